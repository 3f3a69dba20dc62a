#include "base/files.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <system_error>

#include "base/text.h"

namespace timbre {

int64_t FileBytes(const std::filesystem::path& path) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) return -1;
  const auto size = std::filesystem::file_size(path, error);
  return error ? -1 : static_cast<int64_t>(size);
}

Error NoFile(const std::string& path) {
  std::error_code error;
  if (!std::filesystem::exists(path, error))
    return {ErrorCode::kNotFound, "there is no file '" + Printable(path) + "'"};
  return {ErrorCode::kUnsupported, "'" + Printable(path) + "' is a folder, a pipe or a device, and not a file"};
}

bool IsSameFile(const std::string& a, const std::string& b) {
  namespace fs = std::filesystem;
  std::error_code error;
  if (fs::equivalent(a, b, error)) return true;
  const fs::path first = fs::weakly_canonical(fs::absolute(a, error), error);
  return !error && first == fs::weakly_canonical(fs::absolute(b, error), error);
}

Status SyncToDisk(const std::filesystem::path& path) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0 || fsync(descriptor) != 0) {
    const int reason = errno;
    if (descriptor >= 0) close(descriptor);
    return Fail(ErrorCode::kIo, path.string() + " can't be written: " + std::strerror(reason) + ".");
  }
  close(descriptor);
  return {};
}

}  // namespace timbre
