#include "base/atomic_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

namespace timbre {
namespace {

Status IoError(const std::string& path, const char* what) {
  return Fail(ErrorCode::kIo, "'" + path + "' could not be " + what + ": " + std::strerror(errno) + ".");
}

}  // namespace

Result<AtomicFile> AtomicFile::Create(const std::string& final_path) {
  static std::atomic<unsigned> counter{0};
  const size_t slash = final_path.rfind('/');
  const std::string folder = slash == std::string::npos ? "" : final_path.substr(0, slash + 1);
  const std::string name = final_path.substr(folder.size());
  if (name.empty() || name == "." || name == "..") {
    return Fail(ErrorCode::kInvalidArgument, "'" + final_path + "' names no file; give a file name.");
  }
  struct stat info = {};
  if (stat(final_path.c_str(), &info) == 0 && S_ISDIR(info.st_mode)) {
    return Fail(ErrorCode::kInvalidArgument, "'" + final_path + "' is a folder; give a file name.");
  }
  const size_t dot = name.rfind('.');
  const std::string extension = dot == std::string::npos || dot == 0 ? "" : name.substr(dot);
  AtomicFile file;
  file.final_path_ = final_path;
  // A name left over by a killed process with the same number is skipped, never opened.
  for (int attempt = 0; attempt < 100; ++attempt) {
    file.temporary_path_ = folder;
    file.temporary_path_.append(".timbre-").append(std::to_string(getpid())).append("-");
    file.temporary_path_.append(std::to_string(counter++)).append(extension);
    file.fd_ = open(file.temporary_path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (file.fd_ >= 0) return file;
    if (errno != EEXIST) break;
  }
  file.temporary_path_.clear();
  return Fail(ErrorCode::kIo, "'" + final_path + "' could not be created: " + std::strerror(errno) + ".");
}

AtomicFile::AtomicFile(AtomicFile&& other) noexcept { *this = std::move(other); }

AtomicFile& AtomicFile::operator=(AtomicFile&& other) noexcept {
  if (this == &other) return *this;
  Discard();
  final_path_ = std::move(other.final_path_);
  temporary_path_ = std::exchange(other.temporary_path_, std::string());
  fd_ = std::exchange(other.fd_, -1);
  return *this;
}

Status AtomicFile::Write(std::span<const std::byte> bytes) {
  if (fd_ < 0) return Fail(ErrorCode::kInternal, "'" + final_path_ + "' was written to after it was closed.");
  while (!bytes.empty()) {
    const ssize_t written = write(fd_, bytes.data(), bytes.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      return IoError(final_path_, "written");
    }
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
  return {};
}

Status AtomicFile::Write(std::string_view text) { return Write(std::as_bytes(std::span(text.data(), text.size()))); }

Status AtomicFile::Commit(bool durable) {
  if (fd_ < 0) return Fail(ErrorCode::kInternal, "'" + final_path_ + "' was completed twice.");
  if (durable && fsync(fd_) != 0) return IoError(final_path_, "brought to the disk");
  // Some file systems report a full disk only here.
  if (close(std::exchange(fd_, -1)) != 0) {
    Status error = IoError(final_path_, "closed");
    Discard();
    return error;
  }
  if (std::rename(temporary_path_.c_str(), final_path_.c_str()) != 0) {
    Status error = IoError(final_path_, "put in its place");
    Discard();
    return error;
  }
  temporary_path_.clear();
  return {};
}

void AtomicFile::Discard() {
  if (fd_ >= 0) close(std::exchange(fd_, -1));
  if (!temporary_path_.empty()) unlink(temporary_path_.c_str());
  temporary_path_.clear();
}

}  // namespace timbre
