// The default microphone and output, through PortAudio.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/observer.h"
#include "base/result.h"
#include "pipelines/speech/live_denoiser.h"

namespace timbre::cli {

class LiveAudio {
 public:
  // Finds the default devices. kNotFound, with advice, where there is no microphone or no output.
  static Result<std::unique_ptr<LiveAudio>> Open();
  ~LiveAudio();

  int sample_rate() const { return sample_rate_; }
  int channels() const { return channels_; }
  const std::string& input_name() const { return input_name_; }
  const std::string& output_name() const { return output_name_; }

  struct Played {
    double seconds = 0;
    int64_t dropouts = 0;  // times that the sound system had to go without
  };
  // Sends the input through `denoiser`, which has this rate and these channels, until the observer asks to stop.
  Result<Played> Run(LiveDenoiser& denoiser, Observer& observer);

 private:
  LiveAudio() = default;
  int input_ = -1, output_ = -1;
  int sample_rate_ = 0, channels_ = 0;
  std::string input_name_, output_name_;
};

}  // namespace timbre::cli
