// A job command's work, done by a server.
#pragma once

#include <string_view>

#include "apps/cli/command.h"
#include "apps/cli/many_files.h"
#include "apps/cli/remote.h"
#include "pipelines/job.h"

namespace timbre::cli {

// Whether what is said of a server makes sense together with the other options of a job's command.
Status CheckRemote(const RemoteOptions& options, const ManyFiles& many);

// Sends the inputs, one job each (one of all where the kind makes one thing of them), waits, and puts the files where
// the command would have. What fails at one input does not keep the others from being done.
// What the command answers on the standard output, it answers here.
Status RunJobThere(std::string_view kind, Job& job, const RemoteOptions& options, Terminal& terminal, Report& report);

}  // namespace timbre::cli
