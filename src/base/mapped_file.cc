#include "base/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

namespace timbre {
namespace {

struct Descriptor {
  int fd = -1;
  ~Descriptor() {
    if (fd >= 0) close(fd);
  }
};

}  // namespace

Result<SharedBytes> MapFile(const std::string& path) {
  // O_NONBLOCK: opening a pipe must not wait for somebody to write to it.
  const Descriptor file{open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (file.fd < 0) {
    const ErrorCode code = errno == ENOENT || errno == ENOTDIR ? ErrorCode::kNotFound : ErrorCode::kIo;
    return Fail(code, "'" + path + "' could not be opened: " + std::strerror(errno) + ".");
  }
  struct stat info = {};
  if (fstat(file.fd, &info) != 0) {
    return Fail(ErrorCode::kIo, "'" + path + "' could not be examined: " + std::strerror(errno) + ".");
  }
  if (!S_ISREG(info.st_mode)) {
    const bool folder = S_ISDIR(info.st_mode);
    return Fail(ErrorCode::kInvalidArgument,
                "'" + path + "' is " + (folder ? "a folder" : "not a regular file") + "; name a file.");
  }
  const auto size = static_cast<size_t>(info.st_size);
  if (size == 0) return SharedBytes();
  void* p = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.fd, 0);
  if (p == MAP_FAILED) {
    return Fail(errno == ENOMEM ? ErrorCode::kOutOfMemory : ErrorCode::kIo,
                "'" + path + "' could not be mapped into memory: " + std::strerror(errno) + ".");
  }
  std::shared_ptr<const std::byte> data(static_cast<const std::byte*>(p),
                                        [size](const std::byte* b) { munmap(const_cast<std::byte*>(b), size); });
  return SharedBytes(std::move(data), size, true);
}

void DropMappedPages(std::span<const std::byte> bytes) {
  if (bytes.empty()) return;
  // Whole pages: what else lies on the first and the last comes back like the rest.
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const size_t before = reinterpret_cast<uintptr_t>(bytes.data()) % page;
  madvise(const_cast<std::byte*>(bytes.data()) - before, bytes.size() + before, MADV_DONTNEED);
}

}  // namespace timbre
