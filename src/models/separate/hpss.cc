#include "models/separate/hpss.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "dsp/fft.h"
#include "dsp/harmonic_share.h"
#include "dsp/window.h"

namespace timbre {
namespace {

constexpr int64_t kFrame = kHarmonicFrame, kHop = kHarmonicHop, kReach = kHarmonicReach, kBins = kFrame / 2 + 1;
// A sample depends on the frames that cover it, and these on the frames that their medians reach.
constexpr int64_t kContext = kFrame + kReach * kHop;
constexpr int64_t kDefaultStep = 96 * kHop;
// The sum of squared Hann windows at a hop of a quarter.
constexpr float kWindowSum = 1.5f;

class HpssProcessor : public TileProcessor {
 public:
  HpssProcessor(RealFft fft, int64_t tile, int channels)
      : fft_(std::move(fft)),
        window_(MakeWindow(WindowKind::kHann, kFrame)),
        tile_(tile),
        channels_(channels),
        frames_((tile - kFrame) / kHop + 1),
        spectrum_(frames_ * channels * 2 * kBins),
        magnitude_(frames_ * kBins),
        mask_(frames_ * kBins),
        wave_(frames_ * channels * 2 * kFrame) {}

  Status Process(const float* mix, float* stems, ThreadPool& pool) override {
    std::vector<std::vector<float>> scratch(pool.threads(), std::vector<float>(fft_.ScratchFloats() + 2 * kFrame + 2));
    pool.ForEach(frames_, [&](int64_t f, int worker) { Analyse(mix, f, scratch[worker].data()); });
    pool.ForEach(frames_, [&](int64_t f, int) { Mask(f); });
    pool.ForEach(frames_, [&](int64_t f, int worker) { Synthesise(f, scratch[worker].data()); });
    OverlapAdd(stems);
    return {};
  }

 private:
  float* Spectrum(int64_t frame, int channel) { return &spectrum_[(frame * channels_ + channel) * 2 * kBins]; }

  void Analyse(const float* mix, int64_t f, float* scratch) {
    float* magnitude = &magnitude_[f * kBins];
    std::fill_n(magnitude, kBins, 0.0f);
    for (int c = 0; c < channels_; ++c) {
      float* frame = scratch + fft_.ScratchFloats();
      for (int64_t i = 0; i < kFrame; ++i) frame[i] = mix[(f * kHop + i) * channels_ + c] * window_[i];
      float* bins = Spectrum(f, c);
      fft_.Forward(frame, bins, scratch);
      for (int64_t k = 0; k < kBins; ++k) magnitude[k] += bins[2 * k] * bins[2 * k] + bins[2 * k + 1] * bins[2 * k + 1];
    }
    for (int64_t k = 0; k < kBins; ++k) magnitude[k] = std::sqrt(magnitude[k]);
  }

  // The share of the harmonic part: one for all channels, which keeps their balance.
  void Mask(int64_t f) {
    const int64_t first = std::max<int64_t>(0, f - kReach), last = std::min(frames_ - 1, f + kReach);
    std::array<const float*, 2 * kReach + 1> rows;
    for (int64_t g = first; g <= last; ++g) rows[static_cast<size_t>(g - first)] = &magnitude_[g * kBins];
    HarmonicShares({rows.data(), static_cast<size_t>(last - first + 1)}, static_cast<size_t>(f - first), kBins,
                   &mask_[f * kBins]);
  }

  void Synthesise(int64_t f, float* scratch) {
    const float* mask = &mask_[f * kBins];
    for (int c = 0; c < channels_; ++c) {
      const float* bins = Spectrum(f, c);
      for (int stem = 0; stem < 2; ++stem) {
        float* masked = scratch + fft_.ScratchFloats();
        for (int64_t k = 0; k < kBins; ++k) {
          const float share = stem == 0 ? mask[k] : 1 - mask[k];
          masked[2 * k] = share * bins[2 * k];
          masked[2 * k + 1] = share * bins[2 * k + 1];
        }
        fft_.Inverse(masked, &wave_[((f * 2 + stem) * channels_ + c) * kFrame], scratch);
      }
    }
  }

  void OverlapAdd(float* stems) {
    const int64_t features = 2 * channels_;
    std::fill_n(stems, tile_ * features, 0.0f);
    for (int64_t f = 0; f < frames_; ++f) {
      for (int64_t v = 0; v < features; ++v) {
        const float* wave = &wave_[(f * features + v) * kFrame];
        for (int64_t i = 0; i < kFrame; ++i) {
          stems[(f * kHop + i) * features + v] += wave[i] * window_[i] / kWindowSum;
        }
      }
    }
  }

  RealFft fft_;
  std::vector<float> window_;
  int64_t tile_;
  int channels_;
  int64_t frames_;
  std::vector<float> spectrum_;   // [frames, channels, bins, 2]
  std::vector<float> magnitude_;  // [frames, bins], of all channels together
  std::vector<float> mask_;       // [frames, bins]
  std::vector<float> wave_;       // [frames, stems, channels, kFrame]
};

class Hpss : public SeparationModel {
 public:
  Hpss() {
    info_.architecture = "hpss";
    info_.stems = {"harmonic", "percussive"};
    info_.segment = static_cast<double>(kDefaultStep) / info_.sample_rate;
    info_.max_segment = 60;
  }

  const SeparationInfo& info() const override { return info_; }

  // Tiles see all that their middle depends on, so that their size changes nothing in the result.
  Result<TilePlan> Plan(int64_t length, const TilingOptions& tiling) const override {
    if (tiling.overlap >= 0) {
      return Fail(ErrorCode::kInvalidArgument,
                  "hpss's segments overlap by what its medians reach over, and no more; leave --overlap out");
    }
    const double segment = tiling.segment > 0 ? tiling.segment : info_.segment;
    const auto hops = static_cast<int64_t>(std::round(segment * info_.sample_rate / kHop));
    return PlanContext(length, std::max<int64_t>(1, hops) * kHop, kContext);
  }

  Result<Graph> BuildTile(int64_t, int) const override {
    return Fail(ErrorCode::kUnsupported, "hpss is an algorithm without a graph");
  }

  std::unique_ptr<TileProcessor> MakeProcessor(int64_t tile) const override {
    auto fft = RealFft::Create(kFrame);
    if (!fft) return nullptr;
    return std::make_unique<HpssProcessor>(*std::move(fft), tile, info_.channels);
  }

 private:
  SeparationInfo info_;
};

}  // namespace

std::shared_ptr<const SeparationModel> MakeHpss() { return std::make_shared<const Hpss>(); }

}  // namespace timbre
