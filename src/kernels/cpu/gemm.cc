#include "kernels/cpu/gemm.h"

#include <algorithm>
#include <cstring>
#include <vector>

namespace timbre {
namespace {

// What a core's second-level cache should hold of the left side while all panels pass by: half of the usual 1 MiB.
constexpr int64_t kCacheBytes = 512 << 10;

constexpr int64_t kPiecesAThread = 8;

// Also breaks powers of two.
int64_t GatherLd(int64_t k) { return (k + 15) / 16 * 16 + 16; }

struct Pieces {
  int64_t rows = 0;    // of the left side in a piece, a multiple of the register block's
  int64_t count = 0;   // pieces of rows
  int64_t splits = 1;  // of the panels
};

Pieces PiecesOf(const GemmShape& shape, int64_t panels, int block_rows, int threads) {
  // Gathered rows may take four times as much.
  const int64_t bytes = std::max<int64_t>({shape.row_bytes, shape.k, 4});
  int64_t rows = std::clamp<int64_t>(kCacheBytes / bytes, 3 * block_rows, 64 * block_rows);
  // Several pieces a thread, so that they finish together, and as many for each.
  if (threads > 1) rows = std::min(rows, std::max<int64_t>(shape.m / (kPiecesAThread * threads), 2 * block_rows));
  Pieces pieces;
  const int64_t wanted = ((shape.m + rows - 1) / rows + threads - 1) / threads * threads;
  pieces.rows = ((shape.m + wanted - 1) / wanted + block_rows - 1) / block_rows * block_rows;
  pieces.count = (shape.m + pieces.rows - 1) / pieces.rows;
  if (threads > 1 && pieces.count < kPiecesAThread * threads / 2) {
    pieces.splits = std::min<int64_t>(panels, (kPiecesAThread * threads / 2 + pieces.count - 1) / pieces.count);
  }
  return pieces;
}

}  // namespace

PackedLayout::PackedLayout(int64_t depth, int64_t columns, bool gated)
    : k(depth), n(columns), glu(gated), lanes(CurrentMicro().lanes) {}

bool PlainRows::Find(int64_t row, int64_t rows, Place* place, GemmTap* taps) const {
  if (RowsEvictEachOther(rows, lda_)) return false;
  *place = {.a = a_ + row * lda_, .lda = lda_, .tap_count = 1};
  taps[0] = {.a = 0, .b = 0, .k = k_};
  return true;
}

void PlainRows::Gather(int64_t row, int64_t rows, float* out, int64_t ld) const {
  for (int64_t r = 0; r < rows; ++r) std::memcpy(out + r * ld, a_ + (row + r) * lda_, k_ * sizeof(float));
}

size_t GemmScratchBytes(const GemmShape& shape, int threads) {
  const MicroKernels micro = CurrentMicro();
  const PackedLayout layout(shape.k, shape.n, shape.glu);
  const Pieces pieces = PiecesOf(shape, layout.panels(), micro.block_rows, threads);
  return static_cast<size_t>(threads) * pieces.rows * GatherLd(shape.k) * sizeof(float);
}

void Gemm(const GemmRows& rows, const GemmShape& shape, const float* packed, const Epilogue& epilogue, float* c,
          int64_t ldc, int64_t column, float* scratch, ThreadPool& pool, const GemmTarget* target) {
  const MicroKernels micro = CurrentMicro();
  const PackedLayout layout(shape.k, shape.n, shape.glu);
  const int64_t panels = layout.panels();
  const Pieces pieces = PiecesOf(shape, panels, micro.block_rows, pool.threads());
  const int64_t gather_ld = GatherLd(shape.k);
  const int64_t max_taps = rows.max_taps();
  const float* weights = packed + layout.bias_floats();

  pool.ForEach(pieces.count * pieces.splits, [&](int64_t task, int worker) {
    const int64_t begin = task / pieces.splits * pieces.rows;
    const int64_t end = std::min(begin + pieces.rows, shape.m);
    const int64_t split = task % pieces.splits;
    const int64_t first_panel = panels * split / pieces.splits, last_panel = panels * (split + 1) / pieces.splits;

    // Where each block's rows are, settled once for all panels.
    const int64_t blocks = (end - begin + micro.block_rows - 1) / micro.block_rows;
    // On the stack where they are few, so that a real-time thread may run small products.
    constexpr int64_t kFewBlocks = 32, kFewTaps = 256;
    GemmRows::Place few_places[kFewBlocks];
    GemmTap few_taps[kFewTaps];
    std::vector<GemmRows::Place> many_places(blocks > kFewBlocks ? blocks : 0);
    std::vector<GemmTap> many_taps(blocks * max_taps > kFewTaps ? blocks * max_taps : 0);
    GemmRows::Place* const places = many_places.empty() ? few_places : many_places.data();
    GemmTap* const taps = many_taps.empty() ? few_taps : many_taps.data();
    float* gathered = scratch + worker * pieces.rows * gather_ld;
    for (int64_t i = 0; i < blocks; ++i) {
      const int64_t row = begin + i * micro.block_rows;
      const int64_t count = std::min<int64_t>(micro.block_rows, end - row);
      if (rows.Find(row, count, &places[i], &taps[i * max_taps])) continue;
      rows.Gather(row, count, gathered, gather_ld);
      places[i] = {.a = gathered, .lda = gather_ld, .tap_count = 1};
      taps[i * max_taps] = {.a = 0, .b = 0, .k = shape.k};
      gathered += count * gather_ld;
    }

    alignas(kAlignment) float tile[kMaxBlockRows * kMaxPanel];
    for (int64_t p = first_panel; p < last_panel; ++p) {
      const bool half = layout.half(p);
      const int panel = half ? micro.lanes : micro.panel;
      const int64_t first = p * layout.panel_outputs();
      const int64_t width = std::min(layout.panel_outputs(), layout.outputs() - first);
      const float* b = weights + p * micro.panel * shape.k;
      const float* bias = packed + p * micro.panel;
      const MicroFn product = half ? micro.half : micro.full;
      // Whole panels with nothing to do to them go straight to memory.
      const bool direct = epilogue.count == 0 && width == panel;
      for (int64_t i = 0; i < blocks; ++i) {
        const int64_t row = begin + i * micro.block_rows;
        const int64_t count = std::min<int64_t>(micro.block_rows, end - row);
        const GemmRows::Place& at = places[i];
        int64_t offset = row * ldc;
        const bool whole = target == nullptr || target->Find(row, count, &offset);
        offset += column;
        float* to = direct && whole ? c + offset + first : tile;
        const int64_t to_ld = direct && whole ? ldc : panel;
        product(count, &taps[i * max_taps], at.tap_count, at.a, at.lda, b, panel, GemmStart::kBias, bias, to, to_ld);
        if (to != tile) continue;
        if (whole) {
          ApplyEpilogue(epilogue, tile, panel, micro.lanes, count, width, column + first, c, offset + first, ldc);
          continue;
        }
        for (int64_t r = 0; r < count; ++r) {
          int64_t from, until;
          target->Row(row + r, &offset, &from, &until);
          offset += column;
          from = std::max(from, first);
          until = std::min(until, first + width);
          if (from >= until) continue;
          ApplyEpilogue(epilogue, tile + r * panel + from - first, panel, micro.lanes, 1, until - from, column + from,
                        c, offset + from, ldc);
        }
      }
    }
  });
}

}  // namespace timbre
