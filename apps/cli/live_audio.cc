#include "apps/cli/live_audio.h"

#include <fcntl.h>
#include <portaudio.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>

namespace timbre::cli {
namespace {

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

}  // namespace

Result<std::unique_ptr<LiveAudio>> LiveAudio::Open() {
  const ScopedSilentStderr silent;
  if (const PaError error = Pa_Initialize(); error != paNoError) {
    return Fail(ErrorCode::kIo, std::string("The sound system can't be reached: ") + Pa_GetErrorText(error) + ".");
  }
  std::unique_ptr<LiveAudio> audio(new LiveAudio());
  audio->input_ = Pa_GetDefaultInputDevice();
  audio->output_ = Pa_GetDefaultOutputDevice();
  if (audio->input_ == paNoDevice || audio->output_ == paNoDevice) {
    return Fail(ErrorCode::kNotFound, std::string("There is no ") +
                                          (audio->output_ == paNoDevice ? "sound card" : "microphone") +
                                          " on this machine; --live needs one, files don't.");
  }
  const PaDeviceInfo* in = Pa_GetDeviceInfo(audio->input_);
  const PaDeviceInfo* out = Pa_GetDeviceInfo(audio->output_);
  audio->input_name_ = in->name;
  audio->output_name_ = out->name;
  audio->channels_ = std::clamp(std::min(in->maxInputChannels, out->maxOutputChannels), 1, 2);
  audio->sample_rate_ = static_cast<int>(out->defaultSampleRate);
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
