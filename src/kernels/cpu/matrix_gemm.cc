#include "kernels/cpu/matrix_gemm.h"

#include <algorithm>
#include <vector>

namespace timbre {
namespace {

// See gemm.cc; what the second-level cache should hold of the left side while panels pass by.
constexpr int64_t kCacheBytes = 512 << 10;
constexpr int64_t kPiecesAThread = 8;

struct Plan {
  int64_t rows = 0;    // of the left side in a piece, a multiple of kMatrixBlock
  int64_t count = 0;   // pieces of rows
  int64_t splits = 1;  // of the panels
  int64_t ld = 0;      // of rows that are gathered: whole steps, and no power of two
  int64_t parts = 1;
  int64_t block() const { return kMatrixBlock * ld; }           // numbers of a block of rows
  int64_t left_bytes() const { return parts * rows * ld * 2; }  // of a worker: the left side of a piece
  int64_t worker_bytes() const { return left_bytes() + kMatrixBlock * ld * 4; }  // and a block's rows as floats
};

Plan PlanOf(const GemmShape& shape, int parts, int threads) {
  const MatrixLayout layout{shape.k, shape.n, shape.glu, parts};
  Plan plan;
  plan.parts = parts;
  plan.ld = layout.steps() * kMatrixDepth + kMatrixDepth;
  int64_t rows = std::clamp<int64_t>(kCacheBytes / (2 * parts * plan.ld), 2 * kMatrixBlock, 32 * kMatrixBlock);
  if (threads > 1)
    rows = std::min<int64_t>(rows, std::max<int64_t>(shape.m / (kPiecesAThread * threads), kMatrixBlock));
  const int64_t wanted = ((shape.m + rows - 1) / rows + threads - 1) / threads * threads;
  plan.rows = ((shape.m + wanted - 1) / wanted + kMatrixBlock - 1) / kMatrixBlock * kMatrixBlock;
  plan.count = (shape.m + plan.rows - 1) / plan.rows;
  if (threads > 1 && plan.count < kPiecesAThread * threads / 2) {
    plan.splits = std::min<int64_t>(layout.panels(), (kPiecesAThread * threads / 2 + plan.count - 1) / plan.count);
  }
  return plan;
}

// A block's rows, converted.
struct Block {
  const uint16_t* a = nullptr;
  int64_t lda = 0;
  int64_t first_run = 0, runs = 0;
};

// Whether the runs of rows that are read in place are whole steps, and fit a block with the rows that fill its tiles.
bool WholeSteps(const GemmRows::Place& place, const GemmTap* taps, int64_t count, int64_t room) {
  const int64_t rows = (count + kMatrixRows - 1) / kMatrixRows * kMatrixRows;
  int64_t numbers = (rows - count) * place.lda;
  for (int64_t t = 0; t < place.tap_count; ++t) {
    if (taps[t].k % kMatrixDepth != 0 || taps[t].b % kMatrixDepth != 0) return false;
    numbers += (count - 1) * place.lda + taps[t].k;
  }
  return numbers <= room;
}

}  // namespace

size_t MatrixGemmScratchBytes(const GemmShape& shape, int parts, int threads) {
  return static_cast<size_t>(threads) * PlanOf(shape, parts, threads).worker_bytes();
}

void MatrixGemm(const GemmRows& rows, const GemmShape& shape, int parts, const std::byte* packed,
                const Epilogue& epilogue, float* c, int64_t ldc, int64_t column, float* scratch, ThreadPool& pool,
                const GemmTarget* target) {
  const MatrixUnit& unit = CurrentMatrixUnit();
  const MatrixLayout layout{shape.k, shape.n, shape.glu, parts};
  const Plan plan = PlanOf(shape, parts, pool.threads());
  const int64_t panels = layout.panels(), max_taps = rows.max_taps(), low = plan.rows * plan.ld;
  const int64_t whole_k = layout.steps() * kMatrixDepth;

  pool.ForEach(plan.count * plan.splits, [&](int64_t task, int worker) {
    const MatrixUse use(unit);
    const int64_t begin = task / plan.splits * plan.rows, end = std::min(begin + plan.rows, shape.m);
    const int64_t split = task % plan.splits;
    const int64_t first_panel = panels * split / plan.splits, last_panel = panels * (split + 1) / plan.splits;
    std::byte* const own = reinterpret_cast<std::byte*>(scratch) + worker * plan.worker_bytes();
    auto* const left = reinterpret_cast<uint16_t*>(own);
    auto* const gathered = reinterpret_cast<float*>(own + plan.left_bytes());

    // The left side in bfloat16, its runs settled once for all panels.
    std::vector<Block> blocks;
    std::vector<GemmTap> taps(max_taps);
    std::vector<MatrixRun> runs;
    for (int64_t row = begin; row < end; row += kMatrixBlock) {
      const int64_t count = std::min<int64_t>(kMatrixBlock, end - row);
      uint16_t* const to = left + (row - begin) * plan.ld;
      const auto convert = [&](const float* x, int64_t n, int64_t at) {
        unit.split(x, n, to + at, parts == 2 ? to + low + at : nullptr);
      };
      Block block{.a = to, .first_run = static_cast<int64_t>(runs.size())};
      GemmRows::Place place;
      if (rows.Find(row, count, &place, taps.data()) && WholeSteps(place, taps.data(), count, plan.block())) {
        block.lda = place.lda;
        int64_t at = 0;
        for (int64_t t = 0; t < place.tap_count; ++t) {
          const int64_t span = (count - 1) * place.lda + taps[t].k;
          convert(place.a + taps[t].a, span, at);
          runs.push_back({.a = at, .b = taps[t].b / kMatrixDepth, .steps = taps[t].k / kMatrixDepth});
          at += span;
        }
      } else {
        rows.Gather(row, count, gathered, plan.ld);
        for (int64_t r = 0; r < kMatrixBlock; ++r) {
          const int64_t filled = r < count ? shape.k : 0;
          std::fill_n(gathered + r * plan.ld + filled, plan.ld - filled, 0.0f);
        }
        convert(gathered, plan.block(), 0);
        block.lda = plan.ld;
        runs.push_back({.a = 0, .b = 0, .steps = whole_k / kMatrixDepth});
      }
      block.runs = static_cast<int64_t>(runs.size()) - block.first_run;
      blocks.push_back(block);
    }

    alignas(kAlignment) float tile[kMatrixBlock * kMatrixBlock];
    for (int64_t p = first_panel; p < last_panel; ++p) {
      const float* const bias = reinterpret_cast<const float*>(packed + p * layout.panel_bytes(0));
      const int tiles = layout.column_tiles(p);
      const int64_t stored = tiles * kMatrixColumns, first = p * layout.panel_outputs();
      const int64_t width = std::min(layout.panel_outputs(), layout.outputs() - first);
      // Whole blocks with nothing to do to them go straight to memory.
      const bool direct = epilogue.count == 0 && width == stored;
      for (int64_t i = 0; i < static_cast<int64_t>(blocks.size()); ++i) {
        const Block& block = blocks[i];
        const int64_t row = begin + i * kMatrixBlock, count = std::min<int64_t>(kMatrixBlock, end - row);
        int64_t offset = row * ldc;
        const bool whole = target == nullptr || target->Find(row, count, &offset);
        offset += column;
        const bool to_memory = direct && whole && count % kMatrixRows == 0;
        float* const to = to_memory ? c + offset + first : tile;
        unit.multiply({.runs = runs.data() + block.first_run,
                       .run_count = block.runs,
                       .parts = parts,
                       .column_tiles = tiles,
                       .rows = count,
                       .a = block.a,
                       .lda = block.lda,
                       .low = low,
                       .b = reinterpret_cast<const uint16_t*>(bias + kMatrixBlock),
                       .start = bias,
                       .start_ld = 0,
                       .c = to,
                       .ldc = to_memory ? ldc : stored});
        if (to_memory) continue;
        if (whole) {
          ApplyEpilogue(epilogue, tile, stored, kMatrixColumns, count, width, column + first, c, offset + first, ldc);
          continue;
        }
        StoreByRow(epilogue, *target, {tile, stored, row, count, first, width}, kMatrixColumns, column, c, ldc);
      }
    }
  });
}

}  // namespace timbre
