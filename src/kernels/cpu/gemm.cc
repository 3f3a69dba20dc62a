#include "kernels/cpu/gemm.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "base/cpu_cache.h"
#include "kernels/cpu/fetch.h"
#include "kernels/cpu/stored.h"

namespace timbre {
namespace {

// What a core's second-level cache should hold of the weights while rows pass by, or of gathered rows: half of the
// usual 1 MiB.
constexpr int64_t kCacheBytes = 512 << 10;
// What the first-level cache should hold of the rows to come: a third of the usual 48 KiB.
constexpr int64_t kFloatsAhead = (16 << 10) / sizeof(float);

constexpr int64_t kPiecesAThread = 8;

// What is widened for one block of rows alone should still be in the first-level cache when they meet it.
constexpr int64_t kFewRowsCacheBytes = 32 << 10;

// Also breaks powers of two.
int64_t GatherLd(int64_t k) { return (k + 15) / 16 * 16 + 16; }

// Asks for piece `part` of `parts` of what a block's rows read; of several runs the last alone, because the lines of
// the others were read for the positions above.
[[gnu::always_inline]] inline void FetchRows(const GemmRows::Place& place, const GemmTap* taps, int64_t rows,
                                             int64_t part, int64_t parts) {
  if (place.tap_count == 0) return;
  const GemmTap& last = taps[place.tap_count - 1];
  const float* a = place.a + last.a;
  if (place.lda <= last.k) {  // the rows touch or overlap
    const int64_t count = (rows - 1) * place.lda + last.k, first = count * part / parts;
    Fetch(a + first, 1, count * (part + 1) / parts - first, 0);
  } else {
    const int64_t first = rows * part / parts;
    Fetch(a + first * place.lda, rows * (part + 1) / parts - first, last.k, place.lda);
  }
}

// One register block of a task.
struct Block {
  GemmRows::Place place;
  int64_t count = 0;   // rows
  int64_t offset = 0;  // of the results, where `whole`
  bool whole = true;
};

// A task is a piece of the rows by a share of the panels.
struct Pieces {
  int64_t rows = 0;    // of the left side in a piece, a multiple of the register block's
  int64_t count = 0;   // pieces of rows
  int64_t splits = 1;  // of the panels
  int64_t group = 1;   // panels that stay in the cache while a task's rows pass by
};

Pieces PiecesOf(const GemmShape& shape, const PackedLayout& layout, const MicroKernels& micro, int threads) {
  // Gathered rows may take four times as much.
  const int64_t bytes = std::max<int64_t>({shape.row_bytes, shape.k, 4}), panels = layout.panels();
  int64_t rows = std::clamp<int64_t>(kCacheBytes / bytes, 3 * micro.block_rows, 64 * micro.block_rows);
  // Several pieces a thread, so that they finish together, and as many for each.
  if (threads > 1) rows = std::min(rows, std::max<int64_t>(shape.m / (kPiecesAThread * threads), 2 * micro.block_rows));
  Pieces pieces;
  const int64_t wanted = ((shape.m + rows - 1) / rows + threads - 1) / threads * threads;
  pieces.rows = ((shape.m + wanted - 1) / wanted + micro.block_rows - 1) / micro.block_rows * micro.block_rows;
  pieces.count = (shape.m + pieces.rows - 1) / pieces.rows;
  if (threads > 1 && pieces.count < kPiecesAThread * threads / 2) {
    pieces.splits = std::min<int64_t>(panels, (kPiecesAThread * threads / 2 + pieces.count - 1) / pieces.count);
  }
  const int64_t panel_bytes = std::max<int64_t>(shape.k, 1) * micro.panel * sizeof(float);
  const bool few = layout.type != DType::kF32 && pieces.rows <= micro.block_rows;
  const int64_t cache_bytes = few ? kFewRowsCacheBytes : kCacheBytes;
  const int64_t groups = (panels * panel_bytes + cache_bytes - 1) / cache_bytes;
  pieces.group = std::max<int64_t>(1, (panels + groups - 1) / groups);
  return pieces;
}

// What a worker's scratch holds: the rows that it gathers, then the panels that it widened, and which those are.
struct WorkerScratch {
  int64_t row_floats = 0, panel_floats = 0, floats = 0;

  WorkerScratch(const GemmShape& shape, const PackedLayout& layout, const MicroKernels& micro, const Pieces& pieces)
      : row_floats(pieces.rows * GatherLd(shape.k)) {
    if (layout.type != DType::kF32) {
      panel_floats = std::min(pieces.group * micro.panel * shape.k, layout.numbers());
      panel_floats = (panel_floats + kLineFloats - 1) / kLineFloats * kLineFloats + kLineFloats;
    }
    floats = row_floats + panel_floats;
  }
  // The first of the panels that lie widened; none: -1.
  int64_t* held(float* worker) const { return reinterpret_cast<int64_t*>(worker + floats - kLineFloats); }
};

}  // namespace

PackedLayout::PackedLayout(int64_t depth, int64_t columns, bool gated, int64_t run, DType stored)
    : k(depth), n(columns), glu(gated), lanes(CurrentMicro().lanes), type(stored) {
  // A whole panel reads half as many of the rows' floats for its sums as half a panel.
  if (glu || lanes < 4 || run % 2 != 0 || columns > lanes) return;
  fold = run % 4 == 0 && columns * 4 <= lanes ? 4 : 2;
}

bool RowsEvictEachOther(int64_t rows, int64_t lda) {
  return lda % 1024 == 0 && rows > FirstLevelCacheBytes() / 4096 * 5 / 4;
}

bool PlainRows::Find(int64_t row, int64_t rows, Place* place, GemmTap* taps) const {
  if (RowsEvictEachOther(rows, lda_)) return false;
  *place = {.a = a_ + row * lda_, .lda = lda_, .tap_count = 1};
  taps[0] = {.a = 0, .b = 0, .k = k_};
  return true;
}

void PlainRows::Gather(int64_t row, int64_t rows, float* out, int64_t ld) const {
  for (int64_t r = 0; r < rows; ++r) std::memcpy(out + r * ld, a_ + (row + r) * lda_, k_ * sizeof(float));
}

void StoreByRow(const Epilogue& epilogue, const GemmTarget& target, const GemmBlock& block, int64_t gate,
                int64_t column, float* c, int64_t ldc) {
  for (int64_t r = 0; r < block.rows; ++r) {
    int64_t offset, begin, end;
    target.Row(block.row + r, &offset, &begin, &end);
    begin = std::max(begin, block.first);
    end = std::min(end, block.first + block.width);
    if (begin >= end) continue;
    ApplyEpilogue(epilogue, block.tile + r * block.ld + begin - block.first, block.ld, gate, 1, end - begin,
                  column + begin, c, offset + column + begin, ldc);
  }
}

size_t GemmScratchBytes(const GemmShape& shape, int threads) {
  const MicroKernels micro = CurrentMicro();
  const PackedLayout layout = shape.layout();
  const Pieces pieces = PiecesOf(shape, layout, micro, threads);
  return static_cast<size_t>(threads) * WorkerScratch(shape, layout, micro, pieces).floats * sizeof(float);
}

void Gemm(const GemmRows& rows, const GemmShape& shape, const float* packed, const Epilogue& epilogue, float* c,
          int64_t ldc, int64_t column, float* scratch, ThreadPool& pool, const GemmTarget* target) {
  const MicroKernels micro = CurrentMicro();
  const PackedLayout layout = shape.layout();
  const int64_t panels = layout.panels();
  const Pieces pieces = PiecesOf(shape, layout, micro, pool.threads());
  const int64_t gather_ld = GatherLd(shape.k);
  const int64_t max_taps = rows.max_taps();
  const float* weights = packed + layout.bias_floats();
  const bool stored = layout.type != DType::kF32;
  const WorkerScratch room(shape, layout, micro, pieces);
  for (int worker = 0; stored && worker < pool.threads(); ++worker) *room.held(scratch + worker * room.floats) = -1;
  // Rows read in place cost nothing to visit again: every group of panels passes over all of them, and is fetched once.
  // Rows that are gathered stay with their task instead, and the panels come to them.
  const bool in_place = rows.in_place(micro.block_rows);
  const int64_t groups = (panels + pieces.group - 1) / pieces.group;
  const int64_t splits = in_place ? std::max(pieces.splits, groups) : pieces.splits;

  pool.ForEach(pieces.count * splits, [&](int64_t task, int worker) {
    const int64_t begin = (in_place ? task % pieces.count : task / splits) * pieces.rows;
    const int64_t end = std::min(begin + pieces.rows, shape.m);
    const int64_t split = in_place ? task / pieces.count : task % splits;
    const int64_t first_panel = panels * split / splits, last_panel = panels * (split + 1) / splits;

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
    float* const own = scratch + worker * room.floats;
    float* gathered = own;
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

    // With room behind it: rows narrower than a panel lie side by side, and the last is stored as a whole panel.
    alignas(kAlignment) float tile[(kMaxBlockRows + 1) * kMaxPanel];
    for (int64_t group = first_panel; group < last_panel; group += pieces.group) {
      const int64_t in_group = std::min(pieces.group, last_panel - group);
      const int64_t group_at = group * micro.panel * shape.k;
      const float* const group_weights = stored ? own + room.row_floats : weights + group_at;
      // The worker's last task may have widened the same ones.
      if (stored && *room.held(own) != group) {
        const int64_t until = std::min((group + in_group) * micro.panel * shape.k, layout.numbers());
        WidenStored(reinterpret_cast<const std::byte*>(weights) + BytesOf(layout.type, group_at), layout.type,
                    until - group_at, own + room.row_floats);
        *room.held(own) = group;
      }
      for (int64_t visit = 0; visit < blocks * in_group; ++visit) {
        const int64_t i = visit / in_group, p = group + visit % in_group;
        const bool half = layout.half(p);
        const int64_t panel = (half ? micro.lanes : micro.panel) / layout.fold;
        const int64_t first = p * layout.panel_outputs();
        const int64_t width = std::min(layout.panel_outputs(), layout.outputs() - first);
        const float* b = group_weights + (p - group) * micro.panel * shape.k;
        const float* bias = packed + p * micro.panel;
        const MicroFn product = layout.fold == 1   ? (half ? micro.half : micro.full)
                                : layout.fold == 4 ? micro.folded.half_by4
                                : half             ? micro.folded.half_by2
                                                   : micro.folded.full_by2;
        // Whole panels with nothing to do to them go straight to memory.
        const bool direct = epilogue.count == 0 && width == panel && (layout.fold == 1 || !half);
        const Block& block = at[i];
        const int64_t count = block.count;
        if (i == 0 && block.whole) fetch_results(count, width, block.offset + first);
        if (i + 1 < blocks) {
          const Block& next = at[i + 1];
          if (next.whole) fetch_results(next.count, width, next.offset + first);
          const int64_t row_floats = std::min(shape.k, next.place.lda);
          if (next.count * row_floats <= kFloatsAhead) {
            FetchRows(next.place, taps + (i + 1) * max_taps, next.count, p - group, in_group);
          }
        }
        float* to = direct && block.whole ? c + block.offset + first : tile;
        const int64_t tile_ld = layout.glu ? micro.panel : width;
        const int64_t to_ld = direct && block.whole ? ldc : tile_ld;
        product(count, &taps[i * max_taps], block.place.tap_count, block.place.a, block.place.lda, b, panel,
                GemmStart::kBias, bias, to, to_ld);
        if (to != tile) continue;
        if (block.whole) {
          ApplyEpilogue(epilogue, tile, tile_ld, micro.lanes, count, width, column + first, c, block.offset + first,
                        ldc);
          continue;
        }
        StoreByRow(epilogue, *target, {tile, tile_ld, begin + i * micro.block_rows, count, first, width}, micro.lanes,
                   column, c, ldc);
      }
    }
  });
}

}  // namespace timbre
