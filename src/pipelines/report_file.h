// A report on its way to disk.
#pragma once

#include <optional>
#include <string>

#include "base/atomic_file.h"
#include "base/result.h"
#include "pipelines/job.h"

namespace timbre {

// That it can be written is known before the work begins; a regular file has its name only when the report is whole.
class ReportFile {
 public:
  // A file, a character device, or none where `path` is empty.
  static Result<ReportFile> Open(const std::string& path);
  Status Write(const Json& report);

 private:
  std::string path_;
  std::optional<AtomicFile> file_;
};

}  // namespace timbre
