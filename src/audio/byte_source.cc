#include "audio/byte_source.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <utility>
#include <vector>

namespace timbre {
namespace {

constexpr int kPollMilliseconds = 50;  // how long a pipe without bytes delays a cancellation

Status Cancelled() { return Fail(ErrorCode::kCancelled, "cancelled"); }

// Of a device: whether it gives no byte at all, as /dev/null.
bool EndsAtOnce(int fd) {
  struct pollfd ready = {.fd = fd, .events = POLLIN, .revents = 0};
  char byte = 0;
  return poll(&ready, 1, 0) > 0 && read(fd, &byte, 1) == 0;
}

}  // namespace

bool IsStandardInput(const std::string& path) {
  return path == "-" || path == "/dev/stdin" || path == "/dev/fd/0" || path == "/proc/self/fd/0";
}

// /tmp may lie in memory; /var/tmp is for what is large.
std::string LargeTemporaryFolder() {
  const char* named = std::getenv("TMPDIR");
  if (named != nullptr && named[0] != 0) return named;
  return access("/var/tmp", W_OK | X_OK) == 0 ? "/var/tmp" : "/tmp";
}

std::string NearestFolder(const std::string& path) {
  std::error_code error;
  std::filesystem::path folder = std::filesystem::absolute(path, error);
  while (!std::filesystem::is_directory(folder, error) && folder.has_relative_path()) folder = folder.parent_path();
  return folder.string();
}

ByteSource::~ByteSource() {
  if (fd_ >= 0 && owned_) close(fd_);
}

std::unique_ptr<ByteSource> ByteSource::OfMemory(std::span<const std::byte> bytes, std::string name,
                                                 CancelCheck cancelled) {
  std::unique_ptr<ByteSource> source(new ByteSource);
  source->name_ = std::move(name);
  source->check_ = std::move(cancelled);
  source->bytes_ = bytes;
  source->size_ = static_cast<int64_t>(bytes.size());
  return source;
}

std::unique_ptr<ByteSource> ByteSource::Again() const {
  std::unique_ptr<ByteSource> source = OfMemory(bytes_, name_, check_);
  source->fd_ = fd_;
  source->owned_ = false;
  source->size_ = size_;
  source->Replace(replaced_at_, replaced_);
  return source;
}

Result<std::unique_ptr<ByteSource>> ByteSource::Open(const std::string& path, const std::string& temporary_folder,
                                                     CancelCheck cancelled) {
  const bool standard = IsStandardInput(path);
  std::unique_ptr<ByteSource> source = OfMemory({}, standard ? "stdin" : path, std::move(cancelled));
  source->piped_ = standard;
  const std::string quoted = "'" + source->name_ + "'";
  // Without O_NONBLOCK opening a FIFO would wait for its writer, and nobody could stop it.
  source->fd_ =
      standard ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0) : open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  struct stat info = {};
  if (source->fd_ < 0 || fstat(source->fd_, &info) != 0) {
    if (errno == ENOENT) return Fail(ErrorCode::kNotFound, quoted + " does not exist; check the name.");
    if (standard && errno == EBADF) return Fail(ErrorCode::kIo, quoted + " is closed; pipe audio into it.");
    return Fail(ErrorCode::kIo, quoted + " could not be opened: " + std::strerror(errno) + ".");
  }
  if (S_ISDIR(info.st_mode)) {
    return Fail(ErrorCode::kInvalidArgument, quoted + " is a folder; give an audio file.");
  }
  if (S_ISFIFO(info.st_mode) || S_ISSOCK(info.st_mode) ||
      (standard && S_ISREG(info.st_mode) && lseek(source->fd_, 0, SEEK_CUR) != 0)) {
    source->piped_ = true;
    const int pipe = std::exchange(source->fd_, -1);
    const Status kept = source->Keep(pipe, temporary_folder);
    close(pipe);
    TIMBRE_CHECK(kept);
    return source;
  }
  if (isatty(source->fd_) != 0) {
    return Fail(ErrorCode::kInvalidArgument, quoted + " is a terminal; pipe audio into it, or give an audio file.");
  }
  if (!S_ISREG(info.st_mode) && !(standard && EndsAtOnce(source->fd_))) {
    return Fail(ErrorCode::kInvalidArgument, quoted + " is no regular file; give an audio file.");
  }
  source->size_ = info.st_size;
  return source;
}

// Copies all that `pipe` gives into a file of our own.
Status ByteSource::Keep(int pipe, const std::string& temporary_folder) {
  const std::string folder = temporary_folder.empty() ? LargeTemporaryFolder() : temporary_folder;
  Result<TemporaryFile> file = TemporaryFile::Nameless(folder);
  if (!file) {
    return Fail(file.error().code, "'" + name_ + "' is a pipe, and what it gives cannot be kept in '" + folder +
                                       "': " + file.error().message);
  }
  kept_ = *std::move(file);
  fd_ = kept_->fd();
  owned_ = false;
  std::vector<char> block(size_t{1} << 16);
  for (;;) {
    if (Cancelled()) return timbre::Cancelled();
    // Waits for bytes or the end; of a FIFO that nobody has opened yet, for its writer.
    struct pollfd wait = {.fd = pipe, .events = POLLIN, .revents = 0};
    const int ready = poll(&wait, 1, kPollMilliseconds);
    if (ready == 0 || (ready < 0 && errno == EINTR)) continue;
    const ssize_t got = ready < 0 ? -1 : read(pipe, block.data(), block.size());
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (got < 0) {
      return Fail(ErrorCode::kIo, "'" + name_ + "' could not be read: " + std::strerror(errno) + ".");
    }
    if (got == 0) return {};
    for (ssize_t at = 0; at < got;) {
      const ssize_t written = write(fd_, block.data() + at, static_cast<size_t>(got - at));
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) {
        return Fail(ErrorCode::kIo, "'" + name_ + "' is a pipe, and only " + std::to_string(size_) +
                                        " bytes of it could be kept in '" + folder + "': " + std::strerror(errno) +
                                        ".");
      }
      at += written;
      size_ += written;
    }
  }
}

bool ByteSource::Cancelled() {
  cancelled_ = cancelled_ || (check_ && check_());
  return cancelled_;
}

int64_t ByteSource::Read(void* to, int64_t count) {
  if (Cancelled()) return -1;
  int64_t got = std::clamp<int64_t>(size_ - position_, 0, count);
  if (fd_ >= 0) {
    do {
      got = pread(fd_, to, static_cast<size_t>(count), position_);
    } while (got < 0 && errno == EINTR);
    if (got < 0) failed_ = errno;
  } else if (got > 0) {
    std::memcpy(to, bytes_.data() + position_, static_cast<size_t>(got));
  }
  const int64_t from = std::max(replaced_at_, position_);
  const int64_t end = std::min(replaced_at_ + static_cast<int64_t>(replaced_.size()), position_ + got);
  if (from < end) {
    std::memcpy(static_cast<char*>(to) + (from - position_), replaced_.data() + (from - replaced_at_),
                static_cast<size_t>(end - from));
  }
  position_ += std::max<int64_t>(got, 0);
  return got;
}

void ByteSource::Replace(int64_t at, std::string bytes) {
  replaced_at_ = at;
  replaced_ = std::move(bytes);
}

bool ByteSource::Seek(int64_t offset) {
  if (offset < 0) return false;
  position_ = offset;
  return true;
}

Status ByteSource::Check() const {
  if (cancelled_) return timbre::Cancelled();
  if (failed_ == 0) return {};
  return Fail(ErrorCode::kIo, "'" + name_ + "' could not be read: " + std::strerror(failed_) + ".");
}

void ByteSource::Restart() {
  position_ = 0;
  failed_ = 0;
  cancelled_ = false;
}

}  // namespace timbre
