// A track as a model wants it: at its sample rate, with its channels, block by block.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "audio/decode.h"
#include "audio/mix.h"
#include "audio/resample.h"
#include "base/result.h"

namespace timbre {

class TrackReader {
 public:
  // `channels` is 1 or 2: what a model takes.
  static Result<std::unique_ptr<TrackReader>> Open(const std::string& path, int sample_rate, int channels,
                                                   const ReadOptions& options = {});

  // Appends the next samples, interleaved: about a third of a second. None at the end.
  Status Read(std::vector<float>* samples);
  // Back to the begin.
  Status Rewind();

  const AudioInfo& info() const { return reader_->info(); }
  // Frames of the file read so far, at its own rate.
  int64_t input_frames() const { return reader_->position(); }
  const std::string& warning() const { return reader_->warning(); }

 private:
  TrackReader(std::unique_ptr<AudioReader> reader, StereoMix mix, Resampler resampler, int sample_rate, int channels)
      : reader_(std::move(reader)),
        mix_(std::move(mix)),
        resampler_(std::move(resampler)),
        sample_rate_(sample_rate),
        channels_(channels) {}

  std::unique_ptr<AudioReader> reader_;
  StereoMix mix_;
  Resampler resampler_;
  const int sample_rate_, channels_;
  bool ended_ = false;
  std::vector<float> raw_, mixed_;
};

}  // namespace timbre
