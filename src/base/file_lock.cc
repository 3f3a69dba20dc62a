#include "base/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <string>
#include <thread>

namespace timbre {

Result<FileLock> FileLock::Acquire(const std::filesystem::path& path, const std::function<bool()>& cancelled) {
  const int descriptor = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (descriptor < 0) {
    return Fail(ErrorCode::kIo, "the lock " + path.string() + " can't be made: " + std::strerror(errno) + ".");
  }
  FileLock lock(descriptor);
  while (flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) {
      return Fail(ErrorCode::kIo, path.string() + " can't be locked: " + std::strerror(errno) + ".");
    }
    if (cancelled && cancelled()) return Fail(ErrorCode::kCancelled, "cancelled.");
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  return lock;
}

FileLock::~FileLock() {
  if (descriptor_ >= 0) close(descriptor_);
}

}  // namespace timbre
