// Matrix products with halves: the right side, the weights, is kept in half precision; the products are made in half
// precision where the processor can, with float32 sums of short runs, and in float32 elsewhere.
#pragma once

#include <cstdint>

#include "kernels/cpu/gemm.h"
#include "kernels/cpu/half_micro.h"

namespace timbre {

// The right side: for every panel its bias and the power of two that each column was divided by, kHalfPanel floats
// each, then [k][panel] halves, the last panel half as wide where that is enough. With `glu` as in PackedLayout.
struct HalfLayout {
  int64_t k = 0, n = 0;
  bool glu = false;

  int64_t outputs() const { return glu ? n / 2 : n; }
  int64_t panel_outputs() const { return glu ? kHalfLanes : kHalfPanel; }
  int64_t panels() const { return (outputs() + panel_outputs() - 1) / panel_outputs(); }
  bool half(int64_t panel) const { return !glu && outputs() - panel * kHalfPanel <= kHalfLanes; }
  int64_t width(int64_t panel) const { return half(panel) ? kHalfLanes : kHalfPanel; }
  int64_t panel_bytes(int64_t panel) const {
    return (kHalfPanel * 2 * sizeof(float) + k * width(panel) * sizeof(uint16_t) + kAlignment - 1) / kAlignment *
           kAlignment;
  }
  int64_t bytes() const { return (panels() - 1) * panel_bytes(0) + panel_bytes(panels() - 1); }
};

// Divides `width` columns of k floats by the power of two that brings them to [1/2, 1), and stores both.
void HalvePanel(const float* columns, int64_t k, int64_t width, float* scale, uint16_t* panel);

// Fills `packed` (layout.bytes() of it) from weight(i, j) and bias as PackWeights does.
template <typename Weight>
void PackHalfWeights(const HalfLayout& layout, const Weight& weight, const float* bias, std::byte* packed) {
  std::vector<float> columns(layout.k * kHalfPanel);
  for (int64_t p = 0; p < layout.panels(); ++p) {
    float* const biases = reinterpret_cast<float*>(packed + p * layout.panel_bytes(0));
    const int64_t width = layout.width(p);
    std::fill_n(biases, 2 * kHalfPanel, 0.0f);
    for (int64_t j = 0; j < width; ++j) {
      const int64_t output = layout.glu ? p * kHalfLanes + j % kHalfLanes : p * kHalfPanel + j;
      const bool padding = output >= layout.outputs();
      const int64_t column = layout.glu && j >= kHalfLanes ? output + layout.outputs() : output;
      biases[j] = padding || bias == nullptr ? 0.0f : bias[column];
      for (int64_t i = 0; i < layout.k; ++i) columns[i * width + j] = padding ? 0.0f : weight(i, column);
    }
    HalvePanel(columns.data(), layout.k, width, biases + kHalfPanel,
               reinterpret_cast<uint16_t*>(biases + 2 * kHalfPanel));
  }
}

// The run of convolutions, which are on every path through a network: 3 dB more of HTDemucs for 1 % of its time.
inline constexpr int64_t kConvHalfRun = 32;

// Scratch that HalfGemm needs for any GemmRows of this shape.
size_t HalfGemmScratchBytes(const GemmShape& shape, int threads);

// What Gemm does, with weights that PackHalfWeights packed, and so many products added as halves.
void HalfGemm(const GemmRows& rows, const GemmShape& shape, const std::byte* packed, const Epilogue& epilogue, float* c,
              int64_t ldc, int64_t column, float* scratch, ThreadPool& pool, const GemmTarget* target, int64_t run);

}  // namespace timbre
