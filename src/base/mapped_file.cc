#include "base/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <set>
#include <utility>

namespace timbre {
namespace {

struct Descriptor {
  int fd = -1;
  Descriptor() = default;
  explicit Descriptor(int opened) : fd(opened) {}
  Descriptor(Descriptor&& other) noexcept : fd(std::exchange(other.fd, -1)) {}
  Descriptor& operator=(Descriptor&&) = delete;
  ~Descriptor() {
    if (fd >= 0) close(fd);
  }
};

// False at the end of the file and where it can't be read, which errno then says (0: the end).
bool ReadAt(int fd, std::byte* out, size_t size, size_t offset) {
  while (size > 0) {
    const ssize_t got = pread(fd, out, size, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) {
      if (got == 0) errno = 0;
      return false;
    }
    out += got;
    offset += static_cast<size_t>(got);
    size -= static_cast<size_t>(got);
  }
  return true;
}

struct OpenFile;
struct OpenFiles {
  std::mutex mutex;
  std::set<const OpenFile*> files;
  static OpenFiles& Get() {
    static auto* open = new OpenFiles;  // never ended: a tensor may be the last thing that a process lets go of
    return *open;
  }
};

struct OpenFile {
  OpenFile(Descriptor opened, std::string name, std::byte* bytes, size_t count, struct timespec time)
      : file(std::move(opened)), path(std::move(name)), memory(bytes), size(count), changed(time) {
    const std::lock_guard lock(OpenFiles::Get().mutex);
    OpenFiles::Get().files.insert(this);
  }
  ~OpenFile() {
    {
      const std::lock_guard lock(OpenFiles::Get().mutex);
      OpenFiles::Get().files.erase(this);
    }
    munmap(memory, size);
  }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;

  const Descriptor file;
  const std::string path;
  std::byte* const memory;
  const size_t size;
  const struct timespec changed;
  std::atomic<bool> settled{false};  // the memory is the file
};

// What owns the bytes that MapFile gives; every slice of them leads back to it.
struct Owner {
  std::shared_ptr<OpenFile> file;
  void operator()(const std::byte*) { file.reset(); }
};

Status CheckUnchanged(const OpenFile& file) {
  struct stat now = {};
  if (fstat(file.file.fd, &now) == 0 && static_cast<size_t>(now.st_size) == file.size &&
      now.st_mtim.tv_sec == file.changed.tv_sec && now.st_mtim.tv_nsec == file.changed.tv_nsec)
    return {};
  return Fail(ErrorCode::kCorrupt, "'" + file.path + "' was cut short or changed while it was in use; get it again.");
}

OpenFile* FileOf(const std::shared_ptr<const std::byte>& data) {
  const Owner* owner = std::get_deleter<Owner>(data);
  return owner == nullptr ? nullptr : owner->file.get();
}

}  // namespace

Result<SharedBytes> MapFile(const std::string& path) {
  // O_NONBLOCK: opening a pipe must not wait for somebody to write to it.
  Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
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
  void* p = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) {
    return Fail(ErrorCode::kOutOfMemory, "there is no memory for the " + std::to_string(size >> 20) + " MiB of '" +
                                             path + "': " + std::strerror(errno) + ".");
  }
  auto opened = std::make_shared<OpenFile>(std::move(file), path, static_cast<std::byte*>(p), size, info.st_mtim);
  if (!ReadAt(opened->file.fd, opened->memory, size, 0)) {
    return Fail(ErrorCode::kIo,
                "'" + path + "' could not be read: " + (errno != 0 ? std::strerror(errno) : "it was cut short") + ".");
  }
  std::shared_ptr<const std::byte> data(opened->memory, Owner{opened});
  return SharedBytes(std::move(data), size, true);
}

void SettleMapped(const SharedBytes& bytes) {
  OpenFile* file = FileOf(bytes.shared());
  if (file == nullptr || file->settled.exchange(true)) return;
  // In one step: nobody sees a gap. Where a file system has no mappings, the memory stays.
  void* p = mmap(file->memory, file->size, PROT_READ, MAP_PRIVATE | MAP_FIXED, file->file.fd, 0);
  if (p == MAP_FAILED) file->settled = false;
}

bool ReadMapped(const std::shared_ptr<const std::byte>& data, size_t size, std::byte* out) {
  const OpenFile* file = FileOf(data);
  if (file == nullptr) return false;
  return ReadAt(file->file.fd, out, size, static_cast<size_t>(data.get() - file->memory));
}

Status CheckMapped(const std::shared_ptr<const std::byte>& data) {
  const OpenFile* file = FileOf(data);
  return file == nullptr ? Status() : CheckUnchanged(*file);
}

Status CheckMappedFiles() {
  const std::lock_guard lock(OpenFiles::Get().mutex);
  for (const OpenFile* file : OpenFiles::Get().files) TIMBRE_CHECK(CheckUnchanged(*file));
  return {};
}

void DropMappedPages(const std::shared_ptr<const std::byte>& data, size_t size) {
  const OpenFile* file = FileOf(data);
  if (file == nullptr || !file->settled || size == 0) return;
  // Whole pages: what else lies on the first and the last comes back like the rest.
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const size_t before = reinterpret_cast<uintptr_t>(data.get()) % page;
  madvise(const_cast<std::byte*>(data.get()) - before, size + before, MADV_DONTNEED);
}

}  // namespace timbre
