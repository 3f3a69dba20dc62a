// A timeline as sound: each clip resampled once, its chain and gain, cross-fades, the master chain. As a stream: of two
// clips it keeps where they overlap.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "audio/decode.h"
#include "base/observer.h"
#include "base/result.h"
#include "pipelines/studio/timeline.h"

namespace timbre {

// How two clips fade into each other. On material that is not alike equal power keeps the level; on material that is,
// linear does. Auto measures how alike the two are where they overlap.
enum class FadeLaw : uint8_t { kEqualPower, kSqrt, kLinear, kAuto };

// The gains of the clip that ends and of the one that begins at sample k of n, where their correlation is `rho`.
struct FadeGains {
  double out = 0, in = 0;
};
FadeGains FadeAt(FadeLaw law, int64_t k, int64_t n, double rho = 0);

// What is known of a sound file once it has been decoded to its end.
struct AssetInfo {
  std::string path;
  int sample_rate = 0, channels = 0;
  int64_t frames = 0;
  std::string warning;
};
Result<AssetInfo> ExamineAsset(const std::string& path, const ReadOptions& options, Observer& observer);

// Gives the whole timeline to `take`, [frames, channels] at a time, as long as it says to the sample. `path_of` finds
// the file of a clip's asset. The master chain works with the studio engine; its limiter, where it has one, is run
// 0.2 dB below its ceiling, since nothing is measured behind it.
Status RenderTimeline(const Timeline& timeline, FadeLaw law,
                      const std::function<Result<std::string>(const TimelineClip&)>& path_of, const ReadOptions& read,
                      Observer& observer, const std::function<Status(const float*, int64_t)>& take);

}  // namespace timbre
