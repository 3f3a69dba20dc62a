// Pictures, or latents, of a stretch of time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace timbre {

enum class VolumeAxis : uint8_t { kTime, kHeight, kWidth };

// values: [frames, height, width, channels], contiguous.
struct Volume {
  int64_t frames = 0, height = 0, width = 0, channels = 0;
  std::vector<float> values;

  Volume() = default;
  Volume(int64_t t, int64_t h, int64_t w, int64_t c)
      : frames(t), height(h), width(w), channels(c), values(static_cast<size_t>(t * h * w * c)) {}

  int64_t row() const { return width * channels; }
  int64_t picture() const { return height * row(); }
  int64_t size(VolumeAxis axis) const {
    return axis == VolumeAxis::kTime ? frames : axis == VolumeAxis::kHeight ? height : width;
  }
  float* at(int64_t t, int64_t y, int64_t x) { return values.data() + t * picture() + y * row() + x * channels; }
  const float* at(int64_t t, int64_t y, int64_t x) const {
    return values.data() + t * picture() + y * row() + x * channels;
  }

  // What lies between two corners; ends beyond the volume's are taken for those.
  Volume Part(int64_t t0, int64_t t1, int64_t y0, int64_t y1, int64_t x0, int64_t x1) const;
  // Frames [begin, end), ends as above.
  Volume Frames(int64_t begin, int64_t end) const { return Part(begin, end, 0, height, 0, width); }
  // Puts `part` there, as far as it fits.
  void Paste(const Volume& part, int64_t t, int64_t y, int64_t x);
};

// The first `extent` places of b along the axis (as many as both have) become a mixture of the last ones of a and
// themselves: b's share is 0 at first and grows by 1 / extent a place, so that it is never 1. Along the other axes both
// are of one size.
void BlendInto(const Volume& a, Volume& b, VolumeAxis axis, int64_t extent);

}  // namespace timbre
