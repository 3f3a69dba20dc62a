#include "pipelines/frames/volume.h"

#include <algorithm>

namespace timbre {

Volume Volume::Part(int64_t t0, int64_t t1, int64_t y0, int64_t y1, int64_t x0, int64_t x1) const {
  t1 = std::min(t1, frames), y1 = std::min(y1, height), x1 = std::min(x1, width);
  Volume part(t1 - t0, y1 - y0, x1 - x0, channels);
  for (int64_t t = t0; t < t1; ++t) {
    for (int64_t y = y0; y < y1; ++y) std::copy_n(at(t, y, x0), part.row(), part.at(t - t0, y - y0, 0));
  }
  return part;
}

void Volume::Paste(const Volume& part, int64_t t, int64_t y, int64_t x) {
  const int64_t count = std::min(part.width, width - x) * channels;
  for (int64_t i = 0; i < std::min(part.frames, frames - t); ++i) {
    for (int64_t j = 0; j < std::min(part.height, height - y); ++j)
      std::copy_n(part.at(i, j, 0), count, at(t + i, y + j, x));
  }
}

void BlendInto(const Volume& a, Volume& b, VolumeAxis axis, int64_t extent) {
  extent = std::min({extent, a.size(axis), b.size(axis)});
  const bool time = axis == VolumeAxis::kTime, down = axis == VolumeAxis::kHeight, across = axis == VolumeAxis::kWidth;
  // Of a, along the axis alone.
  const int64_t t0 = time ? a.frames - extent : 0, y0 = down ? a.height - extent : 0,
                x0 = across ? a.width - extent : 0;
  const int64_t frames = time ? extent : b.frames, height = down ? extent : b.height, width = across ? extent : b.width;
  const auto whole = static_cast<double>(extent);
  for (int64_t t = 0; t < frames; ++t) {
    for (int64_t y = 0; y < height; ++y) {
      const float* from = a.at(t0 + t, y0 + y, x0);
      float* to = b.at(t, y, 0);
      for (int64_t x = 0; x < width; ++x) {
        const double share = static_cast<double>(time ? t : down ? y : x) / whole;
        const auto of_a = static_cast<float>(1 - share), of_b = static_cast<float>(share);
        for (int64_t c = 0; c < b.channels; ++c, ++from, ++to) *to = *from * of_a + *to * of_b;
      }
    }
  }
}

}  // namespace timbre
