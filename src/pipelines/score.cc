#include "pipelines/score.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <span>
#include <utility>

#include "audio/decode.h"
#include "audio/resample.h"
#include "dsp/metrics.h"

namespace timbre {
namespace {

constexpr int64_t kMostFrames = 500'000'000;
constexpr double kPadding = 0.25;  // seconds by which lengths may differ

Result<std::vector<float>> Resampled(const AudioBuffer& audio, int rate) {
  TIMBRE_TRY(Resampler resampler, Resampler::Create(audio.sample_rate, rate, audio.channels));
  std::vector<float> out;
  TIMBRE_CHECK(resampler.Push(audio.samples.data(), audio.frames(), &out));
  TIMBRE_CHECK(resampler.Finish(&out));
  return out;
}

AudioBuffer Channel(const AudioBuffer& audio, int64_t frames, int channel) {
  AudioBuffer mono{.sample_rate = audio.sample_rate, .channels = 1, .samples = std::vector<float>(frames)};
  for (int64_t i = 0; i < frames; ++i) mono.samples[i] = audio.samples[i * audio.channels + channel];
  return mono;
}

bool IsSilent(const AudioBuffer& audio) {
  return std::all_of(audio.samples.begin(), audio.samples.end(), [](float x) { return x == 0.0f; });
}

// Mean over channels, of those where it can be taken.
class Mean {
 public:
  void Add(const Result<double>& value) {
    if (value) {
      sum_ += *value;
      ++count_;
    } else {
      reason_ = value.error().message;
    }
  }
  Result<double> Value() const {
    if (count_ == 0) return Fail(ErrorCode::kInvalidArgument, reason_);
    return sum_ / count_;
  }

 private:
  double sum_ = 0;
  int count_ = 0;
  std::string reason_ = "the reference is silent, so nothing can be measured against it.";
};

void Keep(const Result<double>& value, const char* name, std::optional<double>& kept, std::vector<std::string>& notes) {
  if (value) {
    kept = *value;
  } else {
    notes.push_back(std::string(name) + " is absent: " + value.error().message);
  }
}

}  // namespace

Result<Score> ScoreSignals(const AudioBuffer& reference, const AudioBuffer& estimate, bool shorter) {
  if (reference.channels != estimate.channels) {
    return Fail(ErrorCode::kInvalidArgument, "the reference is of " + std::to_string(reference.channels) +
                                                 " and the estimate of " + std::to_string(estimate.channels) +
                                                 " channels; give both the same.");
  }
  Score score{.sample_rate = reference.sample_rate, .channels = reference.channels};
  AudioBuffer converted;
  if (estimate.sample_rate != reference.sample_rate) {
    converted = {.sample_rate = reference.sample_rate, .channels = estimate.channels};
    TIMBRE_TRY(converted.samples, Resampled(estimate, reference.sample_rate));
    score.notes.push_back("The estimate was resampled from " + std::to_string(estimate.sample_rate) + " to " +
                          std::to_string(reference.sample_rate) + " Hz.");
  }
  const AudioBuffer& second = converted.channels > 0 ? converted : estimate;
  score.frames = std::min(reference.frames(), second.frames());
  const double seconds = static_cast<double>(reference.frames()) / score.sample_rate,
               others = static_cast<double>(second.frames()) / score.sample_rate;
  if (std::abs(seconds - others) > kPadding && !shorter) {
    return Fail(ErrorCode::kInvalidArgument,
                fmt::format("the reference is {:.2f} s long and the estimate {:.2f} s, so they are not of the same "
                            "recording; --shorter compares as much as the shorter one holds.",
                            seconds, others));
  }
  if (reference.frames() != second.frames()) {
    score.notes.push_back("The reference has " + std::to_string(reference.frames()) + " frames and the estimate has " +
                          std::to_string(second.frames()) + "; the first " + std::to_string(score.frames) +
                          " of both were compared.");
  }
  const size_t values = score.frames * score.channels;
  const std::span<const float> x(reference.samples.data(), values), y(second.samples.data(), values);
  TIMBRE_TRY(score.sdr, Sdr(x, y));  // what it refuses, nothing can be measured of
  if (std::all_of(y.begin(), y.end(), [](float v) { return v == 0.0f; })) {
    score.notes.emplace_back(
        "The estimate is silent: its SDR is 0 dB by definition, and no other measure has a meaning.");
    return score;
  }
  const int64_t second_long = int64_t{score.sample_rate} * score.channels;
  Keep(MedianFrameSdr(x, y, second_long), "SDR in frames", score.median_frame_sdr, score.notes);
  Keep(SiSdr(x, y), "SI-SDR", score.si_sdr, score.notes);

  Mean segmental, stoi, estoi;
  for (int c = 0; c < score.channels; ++c) {
    const AudioBuffer s = Channel(reference, score.frames, c), e = Channel(second, score.frames, c);
    if (IsSilent(s)) continue;
    segmental.Add(SegmentalSnr(s.samples, e.samples, score.sample_rate));
    TIMBRE_TRY(const std::vector<float> slow_s, Resampled(s, kStoiRate));
    TIMBRE_TRY(const std::vector<float> slow_e, Resampled(e, kStoiRate));
    stoi.Add(Stoi(slow_s, slow_e));
    estoi.Add(ExtendedStoi(slow_s, slow_e));
  }
  Keep(segmental.Value(), "Segmental SNR", score.segmental_snr, score.notes);
  Keep(stoi.Value(), "STOI", score.stoi, score.notes);
  Keep(estoi.Value(), "Extended STOI", score.estoi, score.notes);
  return score;
}

Result<Score> ScoreFiles(const std::string& reference, const std::string& estimate, bool shorter, Observer& observer) {
  const ReadOptions options{.cancelled = [&] { return observer.Cancelled(); }, .temporary_folder = {}};
  TIMBRE_TRY(const AudioBuffer first, ReadAudioFile(reference, kMostFrames, options));
  TIMBRE_TRY(const AudioBuffer second, ReadAudioFile(estimate, kMostFrames, options));
  return ScoreSignals(first, second, shorter);
}

}  // namespace timbre
