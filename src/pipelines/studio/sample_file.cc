#include "pipelines/studio/sample_file.h"

#include <unistd.h>

#include <cerrno>

#include "base/atomic_file.h"
#include "base/file_faults.h"

namespace timbre {

Result<SampleFile> SampleFile::Create(const std::string& folder) {
  TIMBRE_TRY(TemporaryFile file, TemporaryFile::Nameless(folder));
  return SampleFile(std::move(file), folder.empty() ? "." : folder);
}

Status SampleFile::Append(const float* samples, int64_t count) {
  const char* from = reinterpret_cast<const char*>(samples);
  auto left = static_cast<size_t>(count) * sizeof(float);
  auto at = static_cast<off_t>(size_ * static_cast<int64_t>(sizeof(float)));
  while (left > 0) {
    const ssize_t put = FileStepFails(FileStep::kWrite, folder_) ? -1 : pwrite(file_.fd(), from, left, at);
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return NotDone(folder_, "written to", put < 0 ? errno : ENOSPC);
    from += put;
    at += put;
    left -= static_cast<size_t>(put);
  }
  size_ += count;
  return {};
}

Status SampleFile::Read(int64_t at, int64_t count, float* samples) const {
  char* to = reinterpret_cast<char*>(samples);
  auto left = static_cast<size_t>(count) * sizeof(float);
  auto offset = static_cast<off_t>(at * static_cast<int64_t>(sizeof(float)));
  while (left > 0) {
    const ssize_t got = pread(file_.fd(), to, left, offset);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return NotDone(folder_, "read from", got < 0 ? errno : EIO);
    to += got;
    offset += got;
    left -= static_cast<size_t>(got);
  }
  return {};
}

}  // namespace timbre
