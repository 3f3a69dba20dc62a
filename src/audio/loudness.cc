#include "audio/loudness.h"

#include <ebur128.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string>

namespace timbre {
namespace {

constexpr double kOffset = 0.691;  // LUFS = 10 log10(power) - this: BS.1770-4

// A step of the sliding windows, in milliseconds: short enough that a sound of just a window's length is met by one
// wherever it begins. Of rates of which so little is no sample, the longest that a momentary window is made of.
int64_t StepOf(int sample_rate) { return sample_rate >= 1000 ? 10 : 100; }
constexpr int64_t kMomentary = 400, kShortTerm = 3000;  // milliseconds
constexpr int64_t kMostSteps = kShortTerm / 10;

int ChannelOf(Speaker speaker) {
  switch (speaker) {
    case Speaker::kFrontLeft: return EBUR128_LEFT;
    case Speaker::kFrontRight: return EBUR128_RIGHT;
    case Speaker::kFrontCenter: return EBUR128_CENTER;
    case Speaker::kLowFrequency: return EBUR128_UNUSED;
    // BS.1770-4, table 3: the weight of +1.5 dB is for what lies 60 to 120 degrees to the side.
    case Speaker::kSideLeft: return EBUR128_Mp090;
    case Speaker::kSideRight: return EBUR128_Mm090;
    case Speaker::kBackLeft: return EBUR128_LEFT_SURROUND;
    case Speaker::kBackRight: return EBUR128_RIGHT_SURROUND;
    case Speaker::kBackCenter: return EBUR128_Mp180;
    case Speaker::kFrontLeftOfCenter: return EBUR128_MpSC;
    case Speaker::kFrontRightOfCenter: return EBUR128_MmSC;
    case Speaker::kOther: break;
  }
  return EBUR128_CENTER;  // as any channel that is not a surround
}

tl::unexpected<Error> Failed(int error) {
  return error == EBUR128_ERROR_NOMEM ? Fail(ErrorCode::kOutOfMemory, "there is no memory to measure the loudness")
                                      : Fail(ErrorCode::kInternal, "the loudness could not be measured");
}

struct Destroy {
  void operator()(ebur128_state* meter) const { ebur128_destroy(&meter); }
};

}  // namespace

struct LoudnessMeter::State {
  std::unique_ptr<ebur128_state, Destroy> meter;
  int channels = 0;
  int64_t step_ms = 0, step = 0, in_step = 0;  // frames, but for the first
  bool true_peak = false;
  // The mean power of the last steps, as the loudness weighs it, the newest at `steps` - 1.
  std::array<double, kMostSteps> powers = {};
  int64_t steps = 0;
  double momentary_max = 0, short_term_max = 0;  // power

  // Over the last milliseconds.
  double MeanOf(int64_t window) const {
    const int64_t count = window / step_ms;
    double sum = 0;
    for (int64_t i = 0; i < count; ++i) {
      sum += powers[static_cast<size_t>((steps + kMostSteps - 1 - i) % kMostSteps)];
    }
    return sum / static_cast<double>(count);
  }
};

LoudnessMeter::LoudnessMeter(std::unique_ptr<State> state) : state_(std::move(state)) {}
LoudnessMeter::LoudnessMeter(LoudnessMeter&&) noexcept = default;
LoudnessMeter& LoudnessMeter::operator=(LoudnessMeter&&) noexcept = default;
LoudnessMeter::~LoudnessMeter() = default;

Result<LoudnessMeter> LoudnessMeter::Create(int sample_rate, const std::vector<Speaker>& speakers, bool true_peak) {
  if (sample_rate < 16 || sample_rate > 2'822'400) {
    return Fail(ErrorCode::kUnsupported, "loudness is not measured at " + std::to_string(sample_rate) + " Hz");
  }
  if (speakers.empty() || speakers.size() > 64) {
    return Fail(ErrorCode::kUnsupported,
                "loudness is not measured of " + std::to_string(speakers.size()) + " channels");
  }
  auto state = std::make_unique<State>();
  const int mode = EBUR128_MODE_I | EBUR128_MODE_LRA | EBUR128_MODE_S | EBUR128_MODE_M |
                   (true_peak ? EBUR128_MODE_TRUE_PEAK : EBUR128_MODE_SAMPLE_PEAK);
  state->meter.reset(
      ebur128_init(static_cast<unsigned>(speakers.size()), static_cast<unsigned long>(sample_rate), mode));
  if (state->meter == nullptr) return Failed(EBUR128_ERROR_NOMEM);
  for (size_t c = 0; c < speakers.size(); ++c) {
    // A lone channel is as loud as it is wherever it is meant to be heard.
    const int channel = speakers.size() == 1 ? EBUR128_CENTER : ChannelOf(speakers[c]);
    if (const int error = ebur128_set_channel(state->meter.get(), static_cast<unsigned>(c), channel); error != 0) {
      return Failed(error);
    }
  }
  state->channels = static_cast<int>(speakers.size());
  state->step_ms = StepOf(sample_rate);
  state->step = std::max<int64_t>(1, sample_rate * state->step_ms / 1000);  // as libebur128 rounds it
  state->true_peak = true_peak;
  return LoudnessMeter(std::move(state));
}

Status LoudnessMeter::Add(const float* interleaved, int64_t frames) {
  State& s = *state_;
  while (frames > 0) {
    // The windows are looked at where each step ends, wherever blocks do.
    const int64_t count = std::min(frames, s.step - s.in_step);
    if (const int error = ebur128_add_frames_float(s.meter.get(), interleaved, static_cast<size_t>(count));
        error != 0) {
      return Failed(error);
    }
    interleaved += count * s.channels;
    frames -= count;
    s.in_step += count;
    if (s.in_step < s.step) break;
    s.in_step = 0;
    // One step at a time: the library would add up all 3 s anew for each.
    double loudness = -HUGE_VAL;
    if (const int error = ebur128_loudness_window(s.meter.get(), static_cast<unsigned long>(s.step_ms), &loudness);
        error != 0)
      return Failed(error);
    s.powers[static_cast<size_t>(s.steps++ % kMostSteps)] = std::pow(10.0, (loudness + kOffset) / 10);
    // A window that is not full would count what was not heard yet as silence.
    const int64_t heard = s.steps * s.step_ms;
    if (heard >= kMomentary) s.momentary_max = std::max(s.momentary_max, s.MeanOf(kMomentary));
    if (heard >= kShortTerm) s.short_term_max = std::max(s.short_term_max, s.MeanOf(kShortTerm));
  }
  return {};
}

Result<Loudness> LoudnessMeter::Measure() const {
  const State& s = *state_;
  Loudness loudness{.short_term_max = 10 * std::log10(s.short_term_max) - kOffset,
                    .momentary_max = 10 * std::log10(s.momentary_max) - kOffset};
  if (const int error = ebur128_loudness_global(s.meter.get(), &loudness.integrated); error != 0) return Failed(error);
  if (const int error = ebur128_loudness_range(s.meter.get(), &loudness.range); error != 0) return Failed(error);
  for (int c = 0; c < s.channels; ++c) {
    double peak = 0;
    const int error = s.true_peak ? ebur128_true_peak(s.meter.get(), static_cast<unsigned>(c), &peak)
                                  : ebur128_sample_peak(s.meter.get(), static_cast<unsigned>(c), &peak);
    if (error != 0) return Failed(error);
    loudness.true_peak = std::max(loudness.true_peak, ToDb(peak));
  }
  return loudness;
}

double FromDb(double db) { return std::pow(10.0, db / 20); }
double ToDb(double factor) { return 20 * std::log10(factor); }

}  // namespace timbre
