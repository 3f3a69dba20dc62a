#include "pipelines/frames/frame_store.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/file_faults.h"
#include "base/text.h"

namespace timbre {
namespace {

constexpr int64_t kMostAtOnce = int64_t{1} << 30;  // a system call moves less than 2 GiB

}  // namespace

FrameStore::FrameStore(int64_t frames, int64_t height, int64_t width, int64_t channels, FrameRoom& room)
    : height_(height), width_(width), channels_(channels), room_(&room), frames_(static_cast<size_t>(frames)) {}

FrameStore& FrameStore::operator=(FrameStore&& other) noexcept {
  ReleaseBefore(frames());
  height_ = other.height_, width_ = other.width_, channels_ = other.channels_;
  room_ = other.room_;
  frames_ = std::move(other.frames_);
  file_ = std::move(other.file_);
  released_ = other.released_;
  return *this;
}

FrameStore::~FrameStore() { ReleaseBefore(frames()); }

Status FrameStore::Put(int64_t t, const float* values) {
  if (room_->bytes < bytes()) return WriteToFile(t, values);
  room_->bytes -= bytes();
  frames_[static_cast<size_t>(t)].assign(values, values + floats());
  return {};
}

Status FrameStore::WriteToFile(int64_t t, const float* values) {
  if (!file_) {
    TIMBRE_TRY(file_, TemporaryFile::Nameless(room_->folder));
  }
  const char* const from = reinterpret_cast<const char*>(values);
  for (int64_t done = 0; done < bytes();) {
    const auto size = static_cast<size_t>(std::min(bytes() - done, kMostAtOnce));
    const ssize_t wrote = FileStepFails(FileStep::kWrite, room_->folder)
                              ? -1
                              : pwrite(file_->fd(), from + done, size, t * bytes() + done);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) {
      return Fail(ErrorCode::kIo,
                  "the frames that memory has no room for could not be written to a temporary file in '" +
                      Printable(room_->folder.empty() ? "." : room_->folder) + "': " + std::strerror(errno));
    }
    done += wrote;
  }
  room_->in_files += bytes();
  return {};
}

Status FrameStore::Get(int64_t t, float* values) const {
  if (const std::vector<float>& frame = frames_[static_cast<size_t>(t)]; !frame.empty()) {
    std::copy(frame.begin(), frame.end(), values);
    return {};
  }
  char* const to = reinterpret_cast<char*>(values);
  for (int64_t done = 0; done < bytes();) {
    const auto size = static_cast<size_t>(std::min(bytes() - done, kMostAtOnce));
    const ssize_t read = pread(file_->fd(), to + done, size, t * bytes() + done);
    if (read < 0 && errno == EINTR) continue;
    if (read <= 0) return Fail(ErrorCode::kIo, "frames could not be read back from a temporary file");
    done += read;
  }
  return {};
}

void FrameStore::ReleaseBefore(int64_t end) {
  for (; released_ < std::min(end, frames()); ++released_) {
    std::vector<float>& frame = frames_[static_cast<size_t>(released_)];
    if (!frame.empty()) room_->bytes += bytes();
    frame = std::vector<float>();  // {} would be no values, in the memory of those that it had
  }
}

}  // namespace timbre
