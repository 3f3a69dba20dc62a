#include "audio/kept_input.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <vector>

#include "audio/byte_source.h"

namespace timbre {
namespace {

Status WriteAll(int fd, const char* bytes, int64_t count, const std::string& name) {
  for (int64_t at = 0; at < count;) {
    const ssize_t written = write(fd, bytes + at, static_cast<size_t>(count - at));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      return Fail(ErrorCode::kIo, "'" + name + "' is a pipe, and it could not be kept: " + std::strerror(errno) + ".");
    }
    at += written;
  }
  return {};
}

}  // namespace

Result<KeptInput> KeptInput::Open(const std::string& path, const ReadOptions& options) {
  KeptInput input;
  input.path_ = input.name_ = path;
  std::error_code ignored;
  if (!IsStandardInput(path) && !std::filesystem::is_fifo(path, ignored)) return input;
  TIMBRE_TRY(const auto source, ByteSource::Open(path, options.temporary_folder, options.cancelled));
  input.name_ = source->name();
  TIMBRE_TRY(input.kept_, TemporaryFile::Nameless(options.temporary_folder.empty() ? LargeTemporaryFolder()
                                                                                   : options.temporary_folder));
  std::vector<char> block(size_t{1} << 16);
  for (int64_t count = 1; count > 0;) {
    count = source->Read(block.data(), static_cast<int64_t>(block.size()));
    TIMBRE_CHECK(source->Check());
    TIMBRE_CHECK(WriteAll(input.kept_->fd(), block.data(), count, input.name_));
  }
  input.path_ = input.kept_->path();
  return input;
}

std::string KeptInput::Renamed(std::string sentence) const {
  if (path_ == name_) return sentence;
  for (size_t at = sentence.find(path_); at != std::string::npos; at = sentence.find(path_, at + name_.size())) {
    sentence.replace(at, path_.size(), name_);
  }
  return sentence;
}

}  // namespace timbre
