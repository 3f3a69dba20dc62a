#include "dsp/overlap_add.h"

#include <algorithm>
#include <string>

namespace timbre {

Status OverlapAdd::Add(const float* output, std::vector<float>* finished) {
  if (next_ >= plan_.tiles.size()) return Fail(ErrorCode::kInternal, "More tiles were added than the plan has.");
  const Tile& tile = plan_.tiles[next_];
  TIMBRE_CHECK(TileFactors(plan_, next_, factors_));
  float* sums = sums_.data() + (tile.begin - position_) * features_;
  const float* from = output + tile.trim * features_;
  for (int64_t i = 0; i < tile.length; ++i) {
    for (int64_t c = 0; c < features_; ++c) sums[i * features_ + c] += factors_[i] * from[i * features_ + c];
  }
  ++next_;
  const int64_t done = next_ < plan_.tiles.size() ? plan_.tiles[next_].begin : plan_.length;
  if (done > tile.begin + tile.length) {
    return Fail(ErrorCode::kInternal,
                "No tile covers sample " + std::to_string(tile.begin + tile.length) + " of the track.");
  }
  const int64_t count = (done - position_) * features_;
  finished->insert(finished->end(), sums_.begin(), sums_.begin() + count);
  std::copy(sums_.begin() + count, sums_.end(), sums_.begin());
  std::fill(sums_.end() - count, sums_.end(), 0.0f);
  position_ = done;
  return {};
}

}  // namespace timbre
