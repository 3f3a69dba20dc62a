// Samples from the middle of a file, without those before them.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"

namespace timbre {

// A file in which each sample has its place: uncompressed, or FLAC. Of all others only reading from the beginning on
// (AudioReader) gives the same samples as any other reading.
class SoundAt {
 public:
  // Null where the file is no such file, or AudioReader does not read the same from it.
  static std::unique_ptr<SoundAt> Open(const std::string& path);
  ~SoundAt();
  SoundAt(const SoundAt&) = delete;
  SoundAt& operator=(const SoundAt&) = delete;

  int sample_rate() const { return sample_rate_; }
  int channels() const { return channels_; }
  int64_t frames() const { return frames_; }

  // Interleaved frames from `from` on; fewer than asked for only at the end. kIo where the file can't be read.
  Result<int64_t> Read(int64_t from, int64_t frames, float* out);

 private:
  SoundAt() = default;
  void* file_ = nullptr;  // SNDFILE
  int sample_rate_ = 0, channels_ = 0;
  int64_t frames_ = 0;
};

}  // namespace timbre
