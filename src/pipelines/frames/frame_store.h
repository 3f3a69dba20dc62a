// The frames of one layer while another is made of them: in memory as far as there is room, in a file beyond that.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/temporary_file.h"

namespace timbre {

// What several stores may take of memory together, and where the rest goes. Not thread-safe.
struct FrameRoom {
  int64_t bytes = 0;     // of memory that are free still
  std::string folder;    // of the files, which have no names; empty: the current one
  int64_t in_files = 0;  // bytes that were written there
};

class FrameStore {
 public:
  // `room` must outlive it.
  FrameStore(int64_t frames, int64_t height, int64_t width, int64_t channels, FrameRoom& room);
  FrameStore(FrameStore&&) = default;
  FrameStore& operator=(FrameStore&& other) noexcept;
  ~FrameStore();

  int64_t frames() const { return static_cast<int64_t>(frames_.size()); }
  int64_t height() const { return height_; }
  int64_t width() const { return width_; }
  int64_t places() const { return height_ * width_; }
  int64_t channels() const { return channels_; }
  int64_t floats() const { return places() * channels_; }  // of a frame

  // Keeps frame `t`. Errors: kIo where the file can't be written.
  Status Put(int64_t t, const float* values);
  // Copies frame `t`, which was put and not released.
  Status Get(int64_t t, float* values) const;
  // Nobody asks for frames before `end` again.
  void ReleaseBefore(int64_t end);

 private:
  Status WriteToFile(int64_t t, const float* values);
  int64_t bytes() const { return floats() * static_cast<int64_t>(sizeof(float)); }

  int64_t height_, width_, channels_;
  FrameRoom* room_;
  std::vector<std::vector<float>> frames_;  // empty where a frame lies in the file
  std::optional<TemporaryFile> file_;
  int64_t released_ = 0;
};

}  // namespace timbre
