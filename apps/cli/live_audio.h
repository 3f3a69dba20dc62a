// Sound from and to devices, through PortAudio.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/observer.h"
#include "base/result.h"
#include "pipelines/speech/live_denoiser.h"

namespace timbre::cli {

struct SoundDevice {
  int index = -1;               // by which it can be named as well, until devices come or go
  std::string name;             // as the sound system has it
  std::string system;           // "ALSA", "JACK Audio Connection Kit"
  int inputs = 0, outputs = 0;  // channels at most
  int sample_rate = 0;          // that it prefers
  bool default_input = false, default_output = false;
};

// All that there are. kIo where the sound system can't be reached. Asked while this process has one thread.
Result<std::vector<SoundDevice>> SoundDevices();

// The one that a user means, for recording or for playing: the default where `asked` is empty, else by its index, its
// name, or a part of it, whatever the case, that only one has. kNotFound says what is missing, kInvalidArgument which
// names there are several of.
Result<SoundDevice> ChooseSoundDevice(const std::vector<SoundDevice>& devices, const std::string& asked, bool input);

class LiveAudio {
 public:
  // As ChooseSoundDevice has it.
  static Result<std::unique_ptr<LiveAudio>> Open(const std::string& input, const std::string& output);
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
