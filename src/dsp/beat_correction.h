// A grid of beats that a person sets right: another tempo, other bars.
#pragma once

#include <optional>

#include "base/result.h"
#include "dsp/tempo.h"

namespace timbre {

// What is to be another; what is not said stays. In this order.
struct BeatCorrection {
  static constexpr double kLeastBpm = 20, kMostBpm = 400;
  static constexpr size_t kMostBeats = 30000;

  enum class Times { kSame, kDouble, kHalf };
  Times times = Times::kSame;   // beats for each one that there is: where the octave was wrong
  std::optional<double> bpm;    // one tempo throughout, from the beat that begins a bar, or `first`, in both directions
  std::optional<double> first;  // seconds at which a bar begins: the nearest beat, and with it all, move there
  std::optional<Metre> metre;   // the beats stay, the bars count them so
};

// The grid of a signal of `seconds`, from its begin to its end. kInvalidArgument where the tempo, or the number of
// beats, would be out of range, or where there are no beats that could be moved.
Result<BeatGrid> CorrectBeats(BeatGrid grid, double seconds, const BeatCorrection& correction);

}  // namespace timbre
