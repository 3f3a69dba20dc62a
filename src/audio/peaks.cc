#include "audio/peaks.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace timbre {
namespace {

constexpr size_t kMostHeld = size_t{64} << 10;  // bytes of a level, before they are handed on

int8_t Byte(float value) { return static_cast<int8_t>(std::clamp(value, -128.0f, 127.0f)); }

}  // namespace

PeakPyramid::PeakPyramid(int channels, Sink sink) : channels_(static_cast<size_t>(channels)), sink_(std::move(sink)) {
  for (Level& level : levels_) {
    level.low.resize(channels_);
    level.high.resize(channels_);
    Reset(level);
  }
}

void PeakPyramid::Reset(Level& level) const {
  std::fill(level.low.begin(), level.low.end(), std::numeric_limits<float>::max());
  std::fill(level.high.begin(), level.high.end(), std::numeric_limits<float>::lowest());
  level.filled = 0;
}

Status PeakPyramid::Close(int index) {
  Level& level = levels_[static_cast<size_t>(index)];
  for (size_t c = 0; c < channels_; ++c) {
    level.pairs.push_back(Byte(std::floor(level.low[c] * 127)));
    level.pairs.push_back(Byte(std::ceil(level.high[c] * 127)));
  }
  if (level.pairs.size() >= kMostHeld) {
    TIMBRE_CHECK(sink_(index, level.pairs));
    level.pairs.clear();
  }
  if (index + 1 < kLevels) {
    Level& above = levels_[static_cast<size_t>(index) + 1];
    for (size_t c = 0; c < channels_; ++c) {
      above.low[c] = std::min(above.low[c], level.low[c]);
      above.high[c] = std::max(above.high[c], level.high[c]);
    }
    if (++above.filled == 4) TIMBRE_CHECK(Close(index + 1));
  }
  Reset(level);
  return {};
}

Status PeakPyramid::Push(const float* samples, int64_t frames) {
  Level& finest = levels_[0];
  while (frames > 0) {
    const int64_t count = std::min(frames, kFinest - finest.filled);
    for (int64_t i = 0; i < count; ++i, samples += channels_) {
      for (size_t c = 0; c < channels_; ++c) {
        finest.low[c] = std::min(finest.low[c], samples[c]);
        finest.high[c] = std::max(finest.high[c], samples[c]);
      }
    }
    finest.filled += count;
    frames_ += count;
    frames -= count;
    if (finest.filled == kFinest) TIMBRE_CHECK(Close(0));
  }
  return {};
}

Status PeakPyramid::Finish() {
  for (int i = 0; i < kLevels; ++i) {
    if (levels_[static_cast<size_t>(i)].filled > 0) TIMBRE_CHECK(Close(i));
  }
  for (int i = 0; i < kLevels; ++i) {
    std::vector<int8_t>& pairs = levels_[static_cast<size_t>(i)].pairs;
    if (!pairs.empty()) TIMBRE_CHECK(sink_(i, pairs));
    pairs.clear();
  }
  return {};
}

}  // namespace timbre
