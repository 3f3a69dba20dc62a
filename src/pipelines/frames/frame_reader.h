// Pictures, videos and files of values as frames.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "pipelines/frames/frame_tiles.h"

namespace timbre {

class FrameReader {
 public:
  struct Info {
    int64_t frames = 0, height = 0, width = 0;  // 4 k + 1 frames, sides in multiples of 8
    double fps = 0;                             // 0: not known
    std::vector<std::string> warnings;
  };

  // A picture or a video that FFmpeg's libraries decode (turned as players show it), or a .safetensors with "frames"
  // [3, frames, height, width] in [-1, 1]. Of a number of frames that makes no whole latents the last ones are left
  // out, with a warning. Errors name the file: what can't be read, sizes that are no multiples of 8.
  static Result<std::unique_ptr<FrameReader>> Open(const std::string& path);
  virtual ~FrameReader() = default;
  // What FFmpeg calls the picture or video that a file is by its beginning; nothing is decoded.
  static Result<std::string> FormatOf(const std::string& path);

  const Info& info() const { return info_; }
  // Frames [begin, end) as [frames, height, width, 3] in [-1, 1]. `begin` never goes back.
  virtual Result<Volume> Frames(int64_t begin, int64_t end) = 0;

 protected:
  // Checks what was found, and leaves out what makes no latent.
  Status Take(const std::string& path, int64_t frames, int64_t height, int64_t width, double fps);

 private:
  Info info_;
};

}  // namespace timbre
