#include "apps/cli/live_audio.h"

#include <fcntl.h>
#include <portaudio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <iterator>
#include <nlohmann/json.hpp>

#include "base/text.h"

namespace timbre::cli {
namespace {

using Json = nlohmann::ordered_json;

// Sound libraries write about every device that they do not find; none of it is for the user.
class ScopedSilentStderr {
 public:
  ScopedSilentStderr() : saved_(dup(STDERR_FILENO)) {
    const int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (null < 0) return;
    dup2(null, STDERR_FILENO);
    close(null);
  }
  ~ScopedSilentStderr() {
    if (saved_ < 0) return;
    dup2(saved_, STDERR_FILENO);
    close(saved_);
  }

 private:
  int saved_;
};

struct Playing {
  LiveDenoiser* denoiser;
  std::atomic<int64_t> frames{0}, dropouts{0}, failures{0};
};

// On PortAudio's own real-time thread: nothing here waits or allocates.
int Process(const void* input, void* output, unsigned long frames, const PaStreamCallbackTimeInfo*,
            PaStreamCallbackFlags flags, void* user) {
  auto& playing = *static_cast<Playing*>(user);
  const auto* in = static_cast<const float* const*>(input);
  auto* out = static_cast<float* const*>(output);
  if (flags != 0 && (flags & paPrimingOutput) == 0) playing.dropouts.fetch_add(1, std::memory_order_relaxed);
  if (in == nullptr) {
    for (int c = 0; c < playing.denoiser->channels(); ++c) std::fill_n(out[c], frames, 0.0f);
    return paContinue;
  }
  if (!playing.denoiser->Process(in, out, static_cast<int64_t>(frames))) {
    playing.failures.fetch_add(1, std::memory_order_relaxed);
  }
  playing.frames.fetch_add(static_cast<int64_t>(frames), std::memory_order_relaxed);
  return paContinue;
}

// In a process of its own: PortAudio aborts that in which it looks for devices where, for one, all that ALSA's
// configuration names can be opened.
Json FoundDevices() {
  const ScopedSilentStderr silent;
  if (const PaError error = Pa_Initialize(); error != paNoError) return {{"error", Pa_GetErrorText(error)}};
  Json devices = Json::array();
  for (int i = 0; i < Pa_GetDeviceCount(); ++i) {
    const PaDeviceInfo* info = Pa_GetDeviceInfo(i);
    const PaHostApiInfo* system = Pa_GetHostApiInfo(info->hostApi);
    devices.push_back({{"index", i},
                       {"name", Printable(info->name, 200)},
                       {"system", system == nullptr ? "" : system->name},
                       {"inputs", info->maxInputChannels},
                       {"outputs", info->maxOutputChannels},
                       {"sample_rate", static_cast<int>(info->defaultSampleRate)},
                       {"default_input", i == Pa_GetDefaultInputDevice()},
                       {"default_output", i == Pa_GetDefaultOutputDevice()}});
  }
  return {{"devices", devices}};
}

}  // namespace

Result<std::vector<SoundDevice>> SoundDevices() {
  int ends[2] = {-1, -1};
  if (pipe2(ends, O_CLOEXEC) != 0) return Fail(ErrorCode::kIo, "The sound devices can't be asked for: no pipe.");
  const pid_t child = fork();
  if (child == 0) {
    const std::string found = FoundDevices().dump(-1, ' ', false, Json::error_handler_t::replace);
    size_t written = 0;
    while (written < found.size()) {
      const ssize_t count = write(ends[1], found.data() + written, found.size() - written);
      if (count <= 0) _exit(1);
      written += static_cast<size_t>(count);
    }
    _exit(0);
  }
  close(ends[1]);
  std::string text;
  char block[4096];
  for (ssize_t count = 0; child > 0 && (count = read(ends[0], block, sizeof(block))) > 0;) text.append(block, count);
  close(ends[0]);
  int status = 1;
  if (child > 0) waitpid(child, &status, 0);
  const Json found = Json::parse(text, nullptr, false);
  if (status != 0 || !found.is_object()) {
    return Fail(ErrorCode::kIo, "The sound system can't be reached: PortAudio ended while it looked for devices.");
  }
  if (found.contains("error")) {
    return Fail(ErrorCode::kIo, "The sound system can't be reached: " + found["error"].get<std::string>() + ".");
  }
  std::vector<SoundDevice> devices;
  for (const Json& device : found["devices"]) {
    devices.push_back({.index = device["index"],
                       .name = device["name"],
                       .system = device["system"],
                       .inputs = device["inputs"],
                       .outputs = device["outputs"],
                       .sample_rate = device["sample_rate"],
                       .default_input = device["default_input"],
                       .default_output = device["default_output"]});
  }
  return devices;
}

Result<SoundDevice> ChooseSoundDevice(const std::vector<SoundDevice>& devices, const std::string& asked, bool input) {
  std::vector<SoundDevice> able;
  std::copy_if(devices.begin(), devices.end(), std::back_inserter(able),
               [&](const SoundDevice& device) { return (input ? device.inputs : device.outputs) > 0; });
  if (asked.empty()) {
    for (const SoundDevice& device : able) {
      if (input ? device.default_input : device.default_output) return device;
    }
    return Fail(ErrorCode::kNotFound, std::string("There is no ") + (input ? "microphone" : "sound card") +
                                          " on this machine; --live needs one, files don't.");
  }
  for (const SoundDevice& device : able) {
    if (device.name == asked || std::to_string(device.index) == asked) return device;
  }
  std::vector<SoundDevice> found;
  std::copy_if(able.begin(), able.end(), std::back_inserter(found), [&](const SoundDevice& device) {
    return LowerCase(device.name).find(LowerCase(asked)) != std::string::npos;
  });
  if (found.size() == 1) return found[0];
  const std::string flag = input ? "--in" : "--out";
  if (found.empty()) {
    return Fail(ErrorCode::kNotFound, flag + ": there is no device '" + Printable(asked) + "' that " +
                                          (input ? "records" : "plays") + "; 'timbre devices' lists them.");
  }
  std::string names;
  for (const SoundDevice& device : found)
    names += (names.empty() ? "" : ", ") + std::to_string(device.index) + ": " + device.name;
  return Fail(ErrorCode::kInvalidArgument, flag + " '" + Printable(asked) + "' could be any of " + names + ".");
}

Result<std::unique_ptr<LiveAudio>> LiveAudio::Open(const std::string& input, const std::string& output) {
  TIMBRE_TRY(const std::vector<SoundDevice> devices, SoundDevices());
  TIMBRE_TRY(const SoundDevice out, ChooseSoundDevice(devices, output, false));
  TIMBRE_TRY(const SoundDevice in, ChooseSoundDevice(devices, input, true));
  const ScopedSilentStderr silent;
  if (const PaError error = Pa_Initialize(); error != paNoError) {
    return Fail(ErrorCode::kIo, std::string("The sound system can't be reached: ") + Pa_GetErrorText(error) + ".");
  }
  std::unique_ptr<LiveAudio> audio(new LiveAudio());
  audio->input_ = in.index;
  audio->output_ = out.index;
  audio->input_name_ = in.name;
  audio->output_name_ = out.name;
  audio->channels_ = std::clamp(std::min(in.inputs, out.outputs), 1, 2);
  audio->sample_rate_ = out.sample_rate;
  return audio;
}

LiveAudio::~LiveAudio() { Pa_Terminate(); }

Result<LiveAudio::Played> LiveAudio::Run(LiveDenoiser& denoiser, Observer& observer) {
  PaStreamParameters in{}, out{};
  in.device = input_;
  out.device = output_;
  in.channelCount = out.channelCount = channels_;
  in.sampleFormat = out.sampleFormat = paFloat32 | paNonInterleaved;
  in.suggestedLatency = Pa_GetDeviceInfo(input_)->defaultLowInputLatency;
  out.suggestedLatency = Pa_GetDeviceInfo(output_)->defaultLowOutputLatency;
  Playing playing{.denoiser = &denoiser};
  PaStream* stream = nullptr;
  PaError error =
      Pa_OpenStream(&stream, &in, &out, sample_rate_, paFramesPerBufferUnspecified, paClipOff, Process, &playing);
  if (error == paNoError) error = Pa_StartStream(stream);
  if (error != paNoError) {
    if (stream != nullptr) Pa_CloseStream(stream);
    return Fail(ErrorCode::kIo, "The sound devices '" + input_name_ + "' and '" + output_name_ +
                                    "' can't be opened: " + Pa_GetErrorText(error) + ".");
  }
  while (!observer.Cancelled() && Pa_IsStreamActive(stream) == 1 && playing.failures == 0) Pa_Sleep(50);
  const bool lost = !observer.Cancelled() && playing.failures == 0;
  Pa_StopStream(stream);
  Pa_CloseStream(stream);
  if (playing.failures > 0)
    return Fail(ErrorCode::kKernelFailed, "The network failed while it ran; 'timbre doctor' tests it.");
  if (lost) return Fail(ErrorCode::kIo, "The sound device went away.");
  return Played{static_cast<double>(playing.frames) / sample_rate_, playing.dropouts};
}

}  // namespace timbre::cli
