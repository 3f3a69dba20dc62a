// Video files, by FFmpeg's libraries: pictures and sound in, a container out.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "pipelines/studio/yuv.h"

namespace timbre {

class OutputSet;

// A picture in memory that an encoder reads in place. May be filled on any thread.
class VideoPicture {
 public:
  virtual ~VideoPicture() = default;
  // To be filled anew; what they were filled with last is still there.
  virtual Result<YuvPlanes> Planes() = 0;
};

enum class VideoContainer : uint8_t {
  kMp4,   // H.264 and AAC, the index in front
  kWebm,  // VP9 and Opus
};

struct VideoOptions {
  VideoContainer container = VideoContainer::kMp4;
  int width = 0, height = 0;  // even
  int fps = 60;
  int quality = 23;  // 0 to 51, lower is better; of H.264, and scaled for VP9
  // Of H.264: x264's name for how long it searches. Half a minute of falling notes in 1080p60 is 5.6 MB with veryfast,
  // 10.4 MB with superfast, 18.5 MB with ultrafast, each with less work than the one before. The two fastest take no
  // pictures from later ones, and have one quantiser for all: a fifth less work each, for as many bytes.
  std::string effort = "ultrafast";
  bool sound = false;
  int threads = 1;  // of the encoder
};

// The sound of a video is always so.
inline constexpr int kVideoSoundRate = 48000, kVideoSoundChannels = 2;

// Pictures are tagged as what they must be: BT.709, limited range. The file appears when it is complete, with `outputs`
// together with those.
class VideoWriter {
 public:
  static Result<std::unique_ptr<VideoWriter>> Create(const std::string& path, const VideoOptions& options,
                                                     OutputSet* outputs = nullptr);
  virtual ~VideoWriter() = default;

  virtual Result<std::unique_ptr<VideoPicture>> NewPicture() const = 0;
  // Encodes one of NewPicture() as the next; it can be filled again at once.
  virtual Status WritePicture(VideoPicture& picture) = 0;
  // [frames, 2] at 48 kHz, about as far as the pictures are.
  virtual Status WriteSound(const float* interleaved, int64_t frames) = 0;
  virtual Status Finish() = 0;
};

}  // namespace timbre
