// --list and --shard: a command's inputs from a file, a share of them on this machine, and a manifest for each that is
// done, so that what was interrupted goes on where it was.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "apps/cli/command.h"
#include "apps/cli/terminal.h"
#include "base/fields.h"
#include "pipelines/job.h"

namespace timbre::cli {

class ManyFiles {
 public:
  // The names of the kinds that take a list of files and do the same to each of them.
  static std::vector<std::string> Kinds();

  // Behind a job's own fields, whose inputs need not be named then. Nothing is added to those of other kinds.
  FieldList& AddTo(std::string_view kind, FieldList& fields);
  bool given() const { return !list_.empty() || !shard_.empty(); }

  // Runs the job over what of the list is this shard's and not done yet; `fields` are those that the job has.
  Status Run(std::string_view kind, Job& job, const Command& asked, Terminal& terminal, Report& report);

 private:
  std::string list_, shard_;
};

}  // namespace timbre::cli
