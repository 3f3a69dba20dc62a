// Colours as videos store them.
#pragma once

#include <cstdint>

namespace timbre {

// A picture's luma, and its two chromas of half the width and height.
struct YuvPlanes {
  uint8_t* data[3];
  int stride[3];
};

// A stretch of pixels by BT.709 in limited range: `rgb` [height][width] of 0xFFRRGGBB with `stride` pixels a row; even
// sizes. The same bits on every processor.
void RgbToYuv(const uint32_t* rgb, int stride, int width, int height, const YuvPlanes& planes);

}  // namespace timbre
