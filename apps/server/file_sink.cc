#include "apps/server/file_sink.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/file_faults.h"

namespace timbre::server {
namespace {

// A server that is killed knows of an upload what has been synced.
constexpr int64_t kSyncEvery = int64_t{8} << 20;

// The name on the server's disk is no matter of a client's.
Status NotWritten(int error) {
  return Fail(ErrorCode::kIo, std::string("what was sent can't be kept: ") + std::strerror(error) + ".");
}

}  // namespace

FileSink::FileSink(std::string path, int64_t offset) : path_(std::move(path)) {
  fd_ = FileStepFails(FileStep::kCreate, path_) ? -1 : open(path_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  if (fd_ < 0 || lseek(fd_, offset, SEEK_SET) != offset) status_ = NotWritten(errno);
}

FileSink::~FileSink() {
  if (fd_ >= 0) close(fd_);
  if (!keep_) unlink(path_.c_str());
}

Status FileSink::Write(std::string_view bytes) {
  while (status_ && !bytes.empty()) {
    const ssize_t n = FileStepFails(FileStep::kWrite, path_) ? -1 : write(fd_, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      status_ = NotWritten(n == 0 ? ENOSPC : errno);
      break;
    }
    bytes.remove_prefix(static_cast<size_t>(n));
    written_ += n;
    unsynced_ += n;
    if (unsynced_ < kSyncEvery) continue;
    if (fdatasync(fd_) != 0) status_ = NotWritten(errno);
    unsynced_ = 0;
  }
  return status_;
}

Status FileSink::Close() {
  if (status_ && (FileStepFails(FileStep::kSync, path_) || fdatasync(fd_) != 0)) status_ = NotWritten(errno);
  return status_;
}

std::string FileSink::Release() {
  keep_ = true;
  return path_;
}

}  // namespace timbre::server
