// Output that appears under its final name only when it is complete.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>

#include "base/result.h"
#include "base/temporary_file.h"

namespace timbre {

class OutputSet;

// A file written without its final name, in the same folder, which Commit() gives it. Without Commit() nothing is left
// of it. Movable, not copyable.
class AtomicFile {
 public:
  // Makes the temporary file; the folder must exist. With `outputs`, the folder is made where it is missing, and
  // Commit() hands the file over to the set, which names it together with its others and must outlive that.
  static Result<AtomicFile> Create(const std::string& final_path, OutputSet* outputs = nullptr);

  // Whether Create() would succeed now: what can't be written is to be known before hours are spent on it.
  static Status Check(const std::string& final_path);

  // For libraries that write by themselves: an open file, or a path that leads to it.
  int fd() const { return file_ ? file_->fd() : -1; }
  std::string temporary_path() const { return file_ ? file_->path() : ""; }
  const std::string& final_path() const { return final_path_; }

  // Appends. Fails with kIo where the disk is full.
  Status Write(std::span<const std::byte> bytes);
  Status Write(std::string_view text);

  // Gives the file its name, replacing what had it. `durable` first waits until the bytes are on the disk.
  Status Commit(bool durable = false);
  // Does nothing after Commit().
  void Discard() { file_.reset(); }

 private:
  AtomicFile(std::string final_path, TemporaryFile file, OutputSet* outputs)
      : final_path_(std::move(final_path)), file_(std::move(file)), outputs_(outputs) {}
  std::string final_path_;
  std::optional<TemporaryFile> file_;
  OutputSet* outputs_;
};

// "'path' could not be written: No space left on device."
Status NotDone(const std::string& path, const char* what, int error);

}  // namespace timbre
