// Matrix products on a matrix unit: the right side, the weights, is kept in bfloat16, one number a weight or two whose
// sum it is; the left side is converted once for all columns; sums are float32.
#pragma once

#include <cstdint>
#include <cstring>
#include <vector>

#include "kernels/cpu/gemm.h"
#include "kernels/cpu/matrix_unit.h"

namespace timbre {

// The right side: for every panel its bias, kMatrixBlock floats, then for each step its tiles (MatrixProduct::b). With
// `glu` as in PackedLayout: a tile of values, and the tile of their gates.
struct MatrixLayout {
  int64_t k = 0, n = 0;
  bool glu = false;
  int parts = 1;

  int64_t outputs() const { return glu ? n / 2 : n; }
  int64_t panel_outputs() const { return glu ? kMatrixColumns : kMatrixBlock; }
  int64_t panels() const { return (outputs() + panel_outputs() - 1) / panel_outputs(); }
  int64_t steps() const { return (k + kMatrixDepth - 1) / kMatrixDepth; }
  int column_tiles(int64_t panel) const { return glu || outputs() - panel * kMatrixBlock > kMatrixColumns ? 2 : 1; }
  int64_t panel_bytes(int64_t panel) const {
    return kMatrixBlock * sizeof(float) + steps() * column_tiles(panel) * parts * kMatrixTile * sizeof(uint16_t);
  }
  int64_t bytes() const { return (panels() - 1) * panel_bytes(0) + panel_bytes(panels() - 1); }
};

// Fills `packed` (layout.bytes() of it) from weight(i, j) and bias as PackWeights does.
template <typename Weight>
void PackMatrixWeights(const MatrixLayout& layout, const Weight& weight, const float* bias, std::byte* packed) {
  for (int64_t p = 0; p < layout.panels(); ++p) {
    float* const biases = reinterpret_cast<float*>(packed + p * layout.panel_bytes(0));
    auto* tile = reinterpret_cast<uint16_t*>(biases + kMatrixBlock);
    const int tiles = layout.column_tiles(p);
    std::fill_n(biases, kMatrixBlock, 0.0f);
    for (int64_t step = 0; step < layout.steps(); ++step) {
      for (int64_t t = 0; t < tiles; ++t, tile += kMatrixTile) {
        alignas(kAlignment) float values[kMatrixTile] = {};
        for (int64_t j = 0; j < kMatrixColumns; ++j) {
          const int64_t output = p * layout.panel_outputs() + (layout.glu ? 0 : t * kMatrixColumns) + j;
          if (output >= layout.outputs()) break;
          const int64_t column = layout.glu && t == 1 ? output + layout.outputs() : output;
          if (bias != nullptr) biases[t * kMatrixColumns + j] = bias[column];
          const int64_t first = step * kMatrixDepth, terms = std::min<int64_t>(kMatrixDepth, layout.k - first);
          for (int64_t i = 0; i < terms; ++i) {
            values[i / 2 * 2 * kMatrixColumns + j * 2 + i % 2] = weight(first + i, column);
          }
        }
        SplitBf16(values, kMatrixTile, tile, layout.parts == 2 ? tile + tiles * kMatrixTile : nullptr);
      }
      if (layout.parts == 2) tile += tiles * kMatrixTile;
    }
  }
}

// Scratch that MatrixGemm needs for any GemmRows of this shape.
size_t MatrixGemmScratchBytes(const GemmShape& shape, int parts, int threads);

// What Gemm does, with weights that PackMatrixWeights packed.
void MatrixGemm(const GemmRows& rows, const GemmShape& shape, int parts, const std::byte* packed,
                const Epilogue& epilogue, float* c, int64_t ldc, int64_t column, float* scratch, ThreadPool& pool,
                const GemmTarget* target = nullptr);

}  // namespace timbre
