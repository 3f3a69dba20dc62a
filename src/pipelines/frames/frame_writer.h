// Where a clip's frames go: a video, pictures, or a file of their values.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/output_set.h"
#include "pipelines/frames/frame_tiles.h"

namespace timbre {

struct FrameFileOptions {
  int fps = 30;
  int crf = 16;     // of H.264; lower is better and larger
  int threads = 1;  // of the encoder
};

// Values as 8-bit numbers, as the reference makes them: [-1, 1] onto [0, 255], the rest cut off, fractions dropped.
uint8_t FrameLevel(float value);

// What the path's ending stands for. Errors name it: none of .mp4, .safetensors, and .png with a place for the number.
Status CheckFramePath(const std::string& path);

class FrameWriter {
 public:
  // .mp4: H.264. .png: a picture each, with a number from 0 on in place of "%05d". .safetensors: "frames"
  // [3, frames, height, width] as they come, neither cut off nor rounded.
  static Result<std::unique_ptr<FrameWriter>> Create(const std::string& path, const VolumeSize& size,
                                                     const FrameFileOptions& options, OutputSet& outputs);
  virtual ~FrameWriter() = default;
  // The next frames: [frames, height, width, 3].
  virtual Status Write(const Volume& frames) = 0;
  virtual Status Finish() = 0;
};

}  // namespace timbre
