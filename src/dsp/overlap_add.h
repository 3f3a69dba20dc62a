// Adds the results of a plan's tiles up, and gives each sample back once no later tile contributes to it.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "dsp/tile_plan.h"

namespace timbre {

// Holds one tile's samples, whatever the plan's length. `plan` must outlive it.
class OverlapAdd {
 public:
  OverlapAdd(const TilePlan& plan, int64_t features)
      : plan_(plan), features_(features), sums_(plan.tile * features), factors_(plan.tile) {}

  // Adds the result [plan.tile, features] of the next tile of the plan, in the plan's order, and appends the samples
  // that are finished by it, [n, features], to `finished`. Fails with kInternal where the tiles' weights at a sample
  // don't sum to more than zero, or where tiles leave a gap.
  Status Add(const float* output, std::vector<float>* finished);

 private:
  const TilePlan& plan_;
  int64_t features_;
  size_t next_ = 0;
  int64_t position_ = 0;     // the first sample held
  std::vector<float> sums_;  // of samples [position_, position_ + plan.tile)
  std::vector<float> factors_;
};

}  // namespace timbre
