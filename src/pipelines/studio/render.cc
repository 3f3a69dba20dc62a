#include "pipelines/studio/render.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <numbers>
#include <optional>

#include "audio/loudness.h"
#include "audio/resample.h"
#include "base/denormals.h"
#include "dsp/true_peak.h"
#include "pipelines/track_reader.h"

namespace timbre {
namespace {

constexpr int64_t kBlock = 16384;  // frames
constexpr double kLiveMarginDb = 0.2;

// A clip's sound from its first sample to its last: resampled, trimmed, through its chain and gain; silence where it is
// not audible.
class ClipSource {
 public:
  static Result<ClipSource> Open(const TimelineClip& clip, bool audible, const Timeline& timeline,
                                 const std::string& path, const ReadOptions& read) {
    ClipSource source;
    source.channels_ = timeline.channels();
    source.left_ = clip.length;
    if (!audible) return source;
    TIMBRE_TRY(source.reader_, TrackReader::Open(path, timeline.sample_rate(), timeline.channels(), read));
    source.skip_ = clip.from * timeline.channels();
    source.gain_ = clip.gain_db == 0 ? 1 : static_cast<float>(FromDb(clip.gain_db));
    if (clip.chain) source.chain_.emplace(*clip.chain, ChainEngine::kStudio, timeline.sample_rate(), source.channels_);
    return source;
  }

  // The next `frames` frames, as far as the clip has them. A file that has become shorter is silent from there.
  Status Read(int64_t frames, float* out) {
    int64_t values = frames * channels_;
    left_ -= frames;
    while (reader_ != nullptr && static_cast<int64_t>(pending_.size()) - taken_ < skip_ + values) {
      if (skip_ > 0) {
        const int64_t gone = std::min(skip_, static_cast<int64_t>(pending_.size()) - taken_);
        taken_ += gone;
        skip_ -= gone;
      }
      pending_.erase(pending_.begin(), pending_.begin() + taken_);
      taken_ = 0;
      const size_t before = pending_.size();
      TIMBRE_CHECK(reader_->Read(&pending_));
      if (pending_.size() == before) reader_.reset();
    }
    const int64_t gone = std::min(skip_, static_cast<int64_t>(pending_.size()) - taken_);
    taken_ += gone;
    skip_ -= gone;
    const int64_t have = std::min(values, static_cast<int64_t>(pending_.size()) - taken_);
    std::copy_n(pending_.begin() + taken_, have, out);
    std::fill(out + have, out + values, 0.0f);
    taken_ += have;
    if (chain_) chain_->Process(out, frames);
    if (gain_ != 1) {
      for (int64_t i = 0; i < values; ++i) out[i] *= gain_;
    }
    return {};
  }
  int64_t left() const { return left_; }

 private:
  ClipSource() = default;
  int channels_ = 0;
  int64_t left_ = 0;  // frames
  int64_t skip_ = 0;  // values in front of the clip
  std::unique_ptr<TrackReader> reader_;
  std::vector<float> pending_;
  int64_t taken_ = 0;
  float gain_ = 1;
  std::optional<ChainProcessor> chain_;
};

double Correlation(const std::vector<float>& a, const std::vector<float>& b) {
  double aa = 0, bb = 0, ab = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    aa += static_cast<double>(a[i]) * a[i];
    bb += static_cast<double>(b[i]) * b[i];
    ab += static_cast<double>(a[i]) * b[i];
  }
  return aa > 0 && bb > 0 ? std::clamp(ab / std::sqrt(aa * bb), 0.0, 1.0) : 0;
}

// What is behind all clips: the master chain, and whoever takes the sound.
class MasterBus {
 public:
  MasterBus(const Timeline& timeline, const std::function<Status(const float*, int64_t)>& take)
      : channels_(timeline.channels()), take_(take) {
    if (!timeline.master()) return;
    chain_.emplace(*timeline.master(), ChainEngine::kStudio, timeline.sample_rate(), channels_);
    if (const auto& limiter = timeline.master()->limiter) {
      limiter_.emplace(FromDb(limiter->ceiling_db - kLiveMarginDb), limiter->release_ms, timeline.sample_rate(),
                       channels_);
    }
  }
  Status Write(float* samples, int64_t frames) {
    if (chain_) chain_->Process(samples, frames);
    if (!limiter_) return take_(samples, frames);
    ready_.clear();
    limiter_->Process(samples, frames, &ready_);
    return take_(ready_.data(), static_cast<int64_t>(ready_.size()) / channels_);
  }
  Status Finish() {
    if (!limiter_) return {};
    ready_.clear();
    limiter_->Finish(&ready_);
    return take_(ready_.data(), static_cast<int64_t>(ready_.size()) / channels_);
  }

 private:
  int channels_;
  const std::function<Status(const float*, int64_t)>& take_;
  std::optional<ChainProcessor> chain_;
  std::optional<TruePeakLimiter> limiter_;
  std::vector<float> ready_;
};

}  // namespace

FadeGains FadeAt(FadeLaw law, int64_t k, int64_t n, double rho) {
  const double u = (static_cast<double>(k) + 0.5) / static_cast<double>(n);
  switch (law) {
    case FadeLaw::kLinear: return {1 - u, u};
    case FadeLaw::kSqrt: return {std::sqrt(1 - u), std::sqrt(u)};
    case FadeLaw::kEqualPower:
    case FadeLaw::kAuto: break;
  }
  const double out = std::cos(std::numbers::pi * u / 2), in = std::sin(std::numbers::pi * u / 2);
  if (law == FadeLaw::kEqualPower) return {out, in};
  // The power of the sum of two that are alike to `rho` is 1 + 2 rho out in.
  const double scale = 1 / std::sqrt(1 + 2 * rho * out * in);
  return {out * scale, in * scale};
}

Result<AssetInfo> ExamineAsset(const std::string& path, const ReadOptions& options, Observer& observer) {
  TIMBRE_TRY(const std::unique_ptr<AudioReader> reader, AudioReader::Open(path, options));
  AssetInfo info{.path = path, .sample_rate = reader->info().sample_rate, .channels = reader->info().channels};
  std::vector<float> block(static_cast<size_t>(kBlock) * info.channels);
  while (true) {
    TIMBRE_TRY(const int64_t frames, reader->Read(block.data(), kBlock));
    if (frames == 0) break;
    observer.OnProgress(
        {.stage = Stage::kAnalyse, .done = reader->position(), .total = reader->info().expected_frames});
    if (observer.Cancelled()) return Fail(ErrorCode::kCancelled, "cancelled");
  }
  info.frames = reader->position();
  if (info.frames == 0) return Fail(ErrorCode::kCorrupt, path + ": it holds no samples");
  info.warning = reader->warning();
  return info;
}

Status RenderTimeline(const Timeline& timeline, FadeLaw law,
                      const std::function<Result<std::string>(const TimelineClip&)>& path_of, const ReadOptions& read,
                      Observer& observer, const std::function<Status(const float*, int64_t)>& take) {
  const ScopedFlushDenormals flush;
  const int channels = timeline.channels();
  const std::vector<ClipPlace> places = timeline.Places();
  const int64_t total = timeline.Total();
  MasterBus bus(timeline, take);
  std::vector<float> block(static_cast<size_t>(kBlock * channels)), tail, head;
  int64_t done = 0;
  const auto report = [&](int64_t frames) -> Status {
    done += frames;
    observer.OnProgress({.stage = Stage::kCompute,
                         .done = done,
                         .total = total,
                         .audio_seconds = static_cast<double>(total) / timeline.sample_rate()});
    if (observer.Cancelled()) return Fail(ErrorCode::kCancelled, "cancelled");
    return {};
  };
  for (size_t i = 0; i < places.size(); ++i) {
    const TimelineClip& clip = timeline.clips()[i];
    std::string path;
    if (places[i].audible) {
      TIMBRE_TRY(path, path_of(clip));
    }
    TIMBRE_TRY(ClipSource source, ClipSource::Open(clip, places[i].audible, timeline, path, read));
    if (const int64_t overlap = places[i].overlap; overlap > 0) {
      head.resize(static_cast<size_t>(overlap * channels));
      TIMBRE_CHECK(source.Read(overlap, head.data()));
      const double rho = law == FadeLaw::kAuto ? Correlation(tail, head) : 0;
      for (int64_t k = 0; k < overlap; ++k) {
        const FadeGains gains = FadeAt(law, k, overlap, rho);
        for (int c = 0; c < channels; ++c) {
          const auto at = static_cast<size_t>(k * channels + c);
          head[at] = static_cast<float>(gains.out * tail[at] + gains.in * head[at]);
        }
      }
      TIMBRE_CHECK(bus.Write(head.data(), overlap));
      TIMBRE_CHECK(report(overlap));
    }
    const int64_t next_overlap = i + 1 < places.size() ? places[i + 1].overlap : 0;
    while (source.left() > next_overlap) {
      const int64_t frames = std::min(kBlock, source.left() - next_overlap);
      TIMBRE_CHECK(source.Read(frames, block.data()));
      TIMBRE_CHECK(bus.Write(block.data(), frames));
      TIMBRE_CHECK(report(frames));
    }
    tail.resize(static_cast<size_t>(next_overlap * channels));
    if (next_overlap > 0) TIMBRE_CHECK(source.Read(next_overlap, tail.data()));
  }
  return bus.Finish();
}

}  // namespace timbre
