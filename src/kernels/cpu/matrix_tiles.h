// How a block of products goes through eight tile registers, for whoever has them: AMX, or the software unit, which
// reads the same bytes from the same places. Registers 0 to 3 hold results, [row tile][column tile]; 4 and 5 the left
// side's row tiles; 6 and 7 the right side's column tiles.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cpu/matrix_unit.h"

namespace timbre {

// What LDTILECFG reads: palette 1, and every register 16 rows of 64 bytes.
struct alignas(64) TileConfig {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
static_assert(sizeof(TileConfig) == 64 && offsetof(TileConfig, row_bytes) == 16 && offsetof(TileConfig, rows) == 48);
static_assert(kMatrixRows == 16 && kMatrixColumns == 16 && kMatrixDepth == 32);

// `Tiles` has Load<register>(memory, bytes from row to row), Store<register> likewise, and Multiply<result, left,
// right>.
template <typename Tiles, int kRowTiles, int kColumnTiles>
[[gnu::always_inline]] inline void MultiplyTiles() {
  Tiles::template Multiply<0, 4, 6>();
  if constexpr (kColumnTiles == 2) Tiles::template Multiply<1, 4, 7>();
  if constexpr (kRowTiles == 2) Tiles::template Multiply<2, 5, 6>();
  if constexpr (kRowTiles * kColumnTiles == 4) Tiles::template Multiply<3, 5, 7>();
}

// With two parts each product shares one side with the one before: eight loads serve twelve products.
template <typename Tiles, int kRowTiles, int kColumnTiles, int kParts>
[[gnu::always_inline]] inline void MultiplyBlock(const MatrixProduct& p) {
  constexpr int64_t kStep = int64_t{kParts} * kColumnTiles * kMatrixTile;
  const int64_t left_stride = p.lda * 2, right_stride = kMatrixColumns * 4;
  const int64_t start_stride = p.start_ld * 4, stride = p.ldc * 4;
  const int64_t next_left = kMatrixRows * p.lda, next_start = kMatrixRows * p.start_ld, next = kMatrixRows * p.ldc;

  Tiles::template Load<0>(p.start, start_stride);
  if constexpr (kColumnTiles == 2) Tiles::template Load<1>(p.start + kMatrixColumns, start_stride);
  if constexpr (kRowTiles == 2) Tiles::template Load<2>(p.start + next_start, start_stride);
  if constexpr (kRowTiles * kColumnTiles == 4) {
    Tiles::template Load<3>(p.start + next_start + kMatrixColumns, start_stride);
  }
  for (const MatrixRun* run = p.runs; run != p.runs + p.run_count; ++run) {
    const uint16_t* a = p.a + run->a;
    const uint16_t* b = p.b + run->b * kStep;
    for (int64_t s = run->steps; s > 0; --s, a += kMatrixDepth, b += kStep) {
      Tiles::template Load<4>(a, left_stride);
      if constexpr (kRowTiles == 2) Tiles::template Load<5>(a + next_left, left_stride);
      if constexpr (kParts == 2) {
        const uint16_t* low = b + kColumnTiles * kMatrixTile;
        Tiles::template Load<6>(low, right_stride);
        if constexpr (kColumnTiles == 2) Tiles::template Load<7>(low + kMatrixTile, right_stride);
        MultiplyTiles<Tiles, kRowTiles, kColumnTiles>();
      }
      Tiles::template Load<6>(b, right_stride);
      if constexpr (kColumnTiles == 2) Tiles::template Load<7>(b + kMatrixTile, right_stride);
      MultiplyTiles<Tiles, kRowTiles, kColumnTiles>();
      if constexpr (kParts == 2) {
        Tiles::template Load<4>(a + p.low, left_stride);
        if constexpr (kRowTiles == 2) Tiles::template Load<5>(a + p.low + next_left, left_stride);
        MultiplyTiles<Tiles, kRowTiles, kColumnTiles>();
      }
    }
  }
  Tiles::template Store<0>(p.c, stride);
  if constexpr (kColumnTiles == 2) Tiles::template Store<1>(p.c + kMatrixColumns, stride);
  if constexpr (kRowTiles == 2) Tiles::template Store<2>(p.c + next, stride);
  if constexpr (kRowTiles * kColumnTiles == 4) Tiles::template Store<3>(p.c + next + kMatrixColumns, stride);
}

// By the sizes of the product.
template <typename Tiles>
[[gnu::always_inline]] inline void MultiplyByTiles(const MatrixProduct& p) {
  const bool tall = p.rows > kMatrixRows, wide = p.column_tiles == 2;
  if (p.parts == 1) {
    if (tall && wide) return MultiplyBlock<Tiles, 2, 2, 1>(p);
    if (tall) return MultiplyBlock<Tiles, 2, 1, 1>(p);
    if (wide) return MultiplyBlock<Tiles, 1, 2, 1>(p);
    return MultiplyBlock<Tiles, 1, 1, 1>(p);
  }
  if (tall && wide) return MultiplyBlock<Tiles, 2, 2, 2>(p);
  if (tall) return MultiplyBlock<Tiles, 2, 1, 2>(p);
  if (wide) return MultiplyBlock<Tiles, 1, 2, 2>(p);
  return MultiplyBlock<Tiles, 1, 1, 2>(p);
}

}  // namespace timbre
