#include "audio/mix.h"

#include <algorithm>
#include <numbers>
#include <string>
#include <utility>

namespace timbre {
namespace {

constexpr float kMinus3Db = static_cast<float>(1 / std::numbers::sqrt2);

// The factors of a channel in the left and in the right output.
std::pair<float, float> Factors(Speaker speaker) {
  switch (speaker) {
    case Speaker::kFrontLeft: return {1, 0};
    case Speaker::kFrontRight: return {0, 1};
    case Speaker::kFrontLeftOfCenter: return {1, 0};
    case Speaker::kFrontRightOfCenter: return {0, 1};
    case Speaker::kFrontCenter: return {kMinus3Db, kMinus3Db};
    case Speaker::kBackLeft: return {kMinus3Db, 0};
    case Speaker::kBackRight: return {0, kMinus3Db};
    case Speaker::kSideLeft: return {kMinus3Db, 0};
    case Speaker::kSideRight: return {0, kMinus3Db};
    // Two surrounds at 1/sqrt(2) each make one in the back; the same power goes to each side.
    case Speaker::kBackCenter: return {0.5f, 0.5f};
    case Speaker::kLowFrequency: return {0, 0};
    case Speaker::kOther: return {0.5f, 0.5f};
  }
  return {0, 0};
}

}  // namespace

Result<StereoMix> StereoMix::Create(const std::vector<Speaker>& speakers) {
  StereoMix mix;
  if (speakers.empty() || speakers.size() > 8) {
    return Fail(ErrorCode::kUnsupported, "Audio of " + std::to_string(speakers.size()) +
                                             " channels cannot be mixed to stereo; give 1 to 8 channels.");
  }
  if (speakers.size() == 1) {
    mix.left_ = mix.right_ = {1};
  } else if (speakers.size() == 2) {
    mix.left_ = {1, 0};
    mix.right_ = {0, 1};
  } else {
    for (const Speaker speaker : speakers) {
      const auto [left, right] = Factors(speaker);
      mix.left_.push_back(left);
      mix.right_.push_back(right);
    }
  }
  return mix;
}

void StereoMix::Apply(const float* in, int64_t frames, float* out) const {
  const size_t channels = left_.size();
  if (channels == 2) {
    std::copy_n(in, frames * 2, out);
    return;
  }
  for (int64_t i = 0; i < frames; ++i, in += channels) {
    float left = 0, right = 0;
    for (size_t c = 0; c < channels; ++c) {
      left += left_[c] * in[c];
      right += right_[c] * in[c];
    }
    out[2 * i] = left;
    out[2 * i + 1] = right;
  }
}

void FoldToMono(const float* stereo, int64_t frames, float* mono) {
  for (int64_t i = 0; i < frames; ++i) mono[i] = 0.5f * (stereo[2 * i] + stereo[2 * i + 1]);
}

}  // namespace timbre
