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

// Deeper products take long enough for their own results' lines to arrive meanwhile; shallower ones fetch the next
// block's.
constexpr int64_t kOwnResultsDepth = 256;
// Of deeper ones the processor itself fetches the rows well enough.
constexpr int64_t kFetchedDepth = 1024;
constexpr int64_t kLineFloats = 16;

// Asks for the cache lines of `rows` runs of `width` floats, `ld` apart. Inline, because GCC drops calls of functions
// that do nothing but this.
[[gnu::always_inline]] inline void Fetch(const float* p, int64_t rows, int64_t width, int64_t ld) {
  for (int64_t r = 0; r < rows; ++r, p += ld) {
    for (int64_t i = 0; i < width; i += kLineFloats) __builtin_prefetch(p + i);
    __builtin_prefetch(p + width - 1);
  }
}

// The same for all that a block's rows read, where that is a modest share of what the block computes.
[[gnu::always_inline]] inline void FetchRows(const GemmRows::Place& place, const GemmTap* taps, int64_t rows) {
  for (int64_t t = 0; t < place.tap_count; ++t) {
    const float* a = place.a + taps[t].a;
    if (place.lda <= taps[t].k) {
      Fetch(a, 1, (rows - 1) * place.lda + taps[t].k, 0);  // they touch or overlap
    } else {
      Fetch(a, rows, taps[t].k, place.lda);
    }
  }
}

// One register block of a task.
struct Block {
  GemmRows::Place place;
  int64_t count = 0;   // rows
  int64_t offset = 0;  // of the results, where `whole`
  bool whole = true;
};

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

    // Where each block's rows are and where its results go, settled once for all panels.
    const int64_t blocks = (end - begin + micro.block_rows - 1) / micro.block_rows;
    // On the stack where they are few, so that a real-time thread may run small products.
    constexpr int64_t kFewBlocks = 32, kFewTaps = 256;
    Block few_blocks[kFewBlocks];
    GemmTap few_taps[kFewTaps];
    std::vector<Block> many_blocks(blocks > kFewBlocks ? blocks : 0);
    std::vector<GemmTap> many_taps(blocks * max_taps > kFewTaps ? blocks * max_taps : 0);
    Block* const at = many_blocks.empty() ? few_blocks : many_blocks.data();
    GemmTap* const taps = many_taps.empty() ? few_taps : many_taps.data();
    float* gathered = scratch + worker * pieces.rows * gather_ld;
    for (int64_t i = 0; i < blocks; ++i) {
      const int64_t row = begin + i * micro.block_rows;
      at[i].count = std::min<int64_t>(micro.block_rows, end - row);
      at[i].offset = row * ldc;
      at[i].whole = target == nullptr || target->Find(row, at[i].count, &at[i].offset);
      at[i].offset += column;
      if (rows.Find(row, at[i].count, &at[i].place, &taps[i * max_taps])) continue;
      rows.Gather(row, at[i].count, gathered, gather_ld);
      at[i].place = {.a = gathered, .lda = gather_ld, .tap_count = 1};
      taps[i * max_taps] = {.a = 0, .b = 0, .k = shape.k};
      gathered += at[i].count * gather_ld;
    }

    const auto fetch_results = [&](int64_t count, int64_t width, int64_t offset) __attribute__((always_inline)) {
      Fetch(c + offset, count, width, ldc);
      for (int n = 0; n < epilogue.count; ++n) {
        if (epilogue.ops[n].kind == EpilogueStep::Kind::kAdd) {
          Fetch(epilogue.ops[n].data + offset, count, width, ldc);
        }
      }
    };

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
        const Block& block = at[i];
        const int64_t count = block.count;
        if (i + 1 < blocks) {
          const Block& next = at[i + 1];
          if (p == first_panel && shape.k <= kFetchedDepth)
            FetchRows(next.place, taps + (i + 1) * max_taps, next.count);
          if (shape.k < kOwnResultsDepth && next.whole) fetch_results(next.count, width, next.offset + first);
        }
        if (shape.k >= kOwnResultsDepth && block.whole) fetch_results(count, width, block.offset + first);
        float* to = direct && block.whole ? c + block.offset + first : tile;
        const int64_t to_ld = direct && block.whole ? ldc : panel;
        product(count, &taps[i * max_taps], block.place.tap_count, block.place.a, block.place.lda, b, panel,
                GemmStart::kBias, bias, to, to_ld);
        if (to != tile) continue;
        if (block.whole) {
          ApplyEpilogue(epilogue, tile, panel, micro.lanes, count, width, column + first, c, block.offset + first, ldc);
          continue;
        }
        for (int64_t r = 0; r < count; ++r) {
          int64_t offset, from, until;
          target->Row(begin + i * micro.block_rows + r, &offset, &from, &until);
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
