// Inputs that are read more than once, pipes among them.
#pragma once

#include <optional>
#include <string>

#include "audio/decode.h"
#include "base/result.h"
#include "base/temporary_file.h"

namespace timbre {

// An input as a path that this process can open again and again while this lives: a file's own, or that of a nameless
// file in ReadOptions::temporary_folder that holds what a pipe, a FIFO or the standard input has given.
class KeptInput {
 public:
  static Result<KeptInput> Open(const std::string& path, const ReadOptions& options);

  const std::string& path() const { return path_; }
  // What was said of path(), said of the input itself.
  std::string Renamed(std::string sentence) const;

 private:
  KeptInput() = default;
  std::string path_, name_;
  std::optional<TemporaryFile> kept_;
};

}  // namespace timbre
