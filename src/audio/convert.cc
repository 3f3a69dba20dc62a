#include "audio/convert.h"

#include <algorithm>

namespace timbre {
namespace {

// Where `speaker` is among `speakers`, -1 where it isn't.
int PlaceOf(Speaker speaker, const std::vector<Speaker>& speakers) {
  const auto found = std::find(speakers.begin(), speakers.end(), speaker);
  return found == speakers.end() ? -1 : static_cast<int>(found - speakers.begin());
}

// For each channel its place among the others; empty where one has none, or two have the same.
std::vector<int> Places(const std::vector<Speaker>& from, const std::vector<Speaker>& to) {
  std::vector<int> places;
  for (size_t c = 0; c < from.size(); ++c) {
    const int place = from == to ? static_cast<int>(c) : PlaceOf(from[c], to);
    if (place < 0 || std::find(places.begin(), places.end(), place) != places.end()) return {};
    places.push_back(place);
  }
  return places;
}

}  // namespace

Result<FormatConverter> FormatConverter::Create(const StreamFormat& from, const StreamFormat& to) {
  TIMBRE_TRY(Resampler resampler, Resampler::Create(from.sample_rate, to.sample_rate, to.channels()));
  FormatConverter converter(std::move(resampler));
  converter.from_ = from.channels();
  converter.to_ = to.channels();
  converter.places_ = Places(from.speakers, to.speakers);
  if (!converter.places_.empty()) return converter;
  TIMBRE_TRY(StereoMix mix, StereoMix::Create(from.speakers));
  converter.mix_.push_back(std::move(mix));
  const int left = PlaceOf(Speaker::kFrontLeft, to.speakers), right = PlaceOf(Speaker::kFrontRight, to.speakers);
  if (left >= 0 && right >= 0) {
    converter.left_ = left;
    converter.right_ = right;
  }
  return converter;
}

Status FormatConverter::Push(const float* in, int64_t frames, std::vector<float>* out) {
  moved_.assign(static_cast<size_t>(frames) * to_, 0.0f);
  if (!places_.empty()) {
    for (int c = 0; c < from_; ++c) {
      for (int64_t i = 0; i < frames; ++i) moved_[i * to_ + places_[c]] = in[i * from_ + c];
    }
  } else {
    stereo_.resize(static_cast<size_t>(frames) * 2);
    mix_.front().Apply(in, frames, stereo_.data());
    if (to_ == 1) {
      FoldToMono(stereo_.data(), frames, moved_.data());
    } else {
      for (int64_t i = 0; i < frames; ++i) {
        moved_[i * to_ + left_] = stereo_[2 * i];
        moved_[i * to_ + right_] = stereo_[2 * i + 1];
      }
    }
  }
  return resampler_.Push(moved_.data(), frames, out);
}

}  // namespace timbre
