#include "kernels/cpu/half_gemm.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <vector>

#include "kernels/cpu/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/half_gemm.cc"
#include <hwy/foreach_target.h>
// After foreach_target.h, once for every target.
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace timbre {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
#if HWY_TARGET == HWY_SCALAR
using FloatTag = hn::CappedTag<float, 1>;
#else
using FloatTag = hn::CappedTag<float, 16>;
#endif
using HalfTag = hn::Rebind<hwy::float16_t, FloatTag>;

// Rows of `width` (a multiple of kHalfLanes): halves from floats over scale, and back.
void HalveRowsT(const float* x, int64_t rows, int64_t width, const float* scale, uint16_t* out) {
  const FloatTag d;
  const HalfTag half;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t i = 0; i < rows * width; i += width) {
    for (int64_t j = 0; j < width; j += lanes) {
      const auto value = hn::Div(hn::LoadU(d, x + i + j), hn::LoadU(d, scale + j));
      hn::StoreU(hn::DemoteTo(half, value), half, reinterpret_cast<hwy::float16_t*>(out + i + j));
    }
  }
}

void WidenRowsT(const uint16_t* x, int64_t rows, int64_t width, const float* scale, float* out) {
  const FloatTag d;
  const HalfTag half;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t i = 0; i < rows * width; i += width) {
    for (int64_t j = 0; j < width; j += lanes) {
      const auto value = hn::PromoteTo(d, hn::LoadU(half, reinterpret_cast<const hwy::float16_t*>(x + i + j)));
      hn::StoreU(hn::Mul(value, hn::LoadU(d, scale + j)), d, out + i + j);
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace timbre
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace timbre {
HWY_EXPORT(HalveRowsT);
HWY_EXPORT(WidenRowsT);

namespace {

// See gemm.cc; left values take 32 bits here too.
constexpr int64_t kCacheBytes = 512 << 10;
constexpr int64_t kPiecesAThread = 8;
int64_t GatherLd(int64_t k) { return (k + 15) / 16 * 16 + 16; }

struct Pieces {
  int64_t rows = 0;    // of the left side in a piece, a multiple of the register block's
  int64_t count = 0;   // pieces of rows
  int64_t splits = 1;  // of the panels
};

Pieces PiecesOf(const GemmShape& shape, int64_t panels, int threads) {
  int64_t rows = std::clamp<int64_t>(kCacheBytes / (4 * GatherLd(shape.k)), 3 * kHalfBlockRows, 64 * kHalfBlockRows);
  if (threads > 1)
    rows = std::min<int64_t>(rows, std::max<int64_t>(shape.m / (kPiecesAThread * threads), 2 * kHalfBlockRows));
  Pieces pieces;
  const int64_t wanted = ((shape.m + rows - 1) / rows + threads - 1) / threads * threads;
  pieces.rows = ((shape.m + wanted - 1) / wanted + kHalfBlockRows - 1) / kHalfBlockRows * kHalfBlockRows;
  pieces.count = (shape.m + pieces.rows - 1) / pieces.rows;
  if (threads > 1 && pieces.count < kPiecesAThread * threads / 2) {
    pieces.splits = std::min<int64_t>(panels, (kPiecesAThread * threads / 2 + pieces.count - 1) / pieces.count);
  }
  return pieces;
}

// Asks for the cache lines of `rows` runs of `width` floats, `ld` apart.
[[gnu::always_inline]] inline void FetchRows(const float* p, int64_t rows, int64_t width, int64_t ld) {
  for (int64_t r = 0; r < rows; ++r, p += ld) {
    for (int64_t i = 0; i < width; i += 16) __builtin_prefetch(p + i);
  }
}

// A register block's rows: as float32 in place or gathered, or as halves.
struct Block {
  const float* a = nullptr;
  int64_t lda = 0;
  float factor = 1;  // what halves were divided by
  int64_t first_tap = 0, taps = 0;
};

// `taps` as runs of at most `run`, appended to `runs`. `offsets`: where each tap's values lie, if not at tap.a.
void AppendRuns(std::span<const GemmTap> taps, const int64_t* offsets, int64_t run, std::vector<HalfTap>& runs) {
  int64_t length = 0;
  const size_t first = runs.size();
  for (size_t t = 0; t < taps.size(); ++t) {
    for (int64_t at = 0; at < taps[t].k;) {
      const int64_t k = std::min(taps[t].k - at, run - length);
      length = (length + k) % run;
      runs.push_back({.a = (offsets ? offsets[t] : taps[t].a) + at, .b = taps[t].b + at, .k = k, .widen = length == 0});
      at += k;
    }
  }
  if (runs.size() > first) runs.back().widen = true;
}

struct Layout {
  Pieces pieces;
  int64_t gather_ld, max_taps;
  int64_t left_floats;   // of a worker: the left side of a piece
  int64_t panel_floats;  // of a worker: a panel as float32, where halves have no arithmetic
  int64_t worker_floats() const { return left_floats + panel_floats; }
};

Layout LayoutOf(const GemmShape& shape, int threads) {
  const HalfLayout packed{shape.k, shape.n, shape.glu};
  Layout layout;
  layout.pieces = PiecesOf(shape, packed.panels(), threads);
  layout.gather_ld = GatherLd(shape.k);
  layout.left_floats = layout.pieces.rows * layout.gather_ld;
  layout.panel_floats = CurrentHalf() ? 0 : shape.k * packed.width(0);
  return layout;
}

}  // namespace

void HalvePanel(const float* columns, int64_t k, int64_t width, float* scale, uint16_t* panel) {
  std::vector<uint32_t> largest(width);
  for (int64_t i = 0; i < k; ++i) {
    for (int64_t j = 0; j < width; ++j) {
      largest[j] = std::max(largest[j], std::bit_cast<uint32_t>(columns[i * width + j]) & 0x7FFFFFFFu);
    }
  }
  for (int64_t j = 0; j < width; ++j) scale[j] = 1.0f / HalfScale(largest[j], 0);
  HWY_DYNAMIC_DISPATCH(HalveRowsT)(columns, k, width, scale, panel);
}

size_t HalfGemmScratchBytes(const GemmShape& shape, int threads) {
  return static_cast<size_t>(threads) * LayoutOf(shape, threads).worker_floats() * sizeof(float);
}

void HalfGemm(const GemmRows& rows, const GemmShape& shape, const std::byte* packed, const Epilogue& epilogue, float* c,
              int64_t ldc, int64_t column, float* scratch, ThreadPool& pool, const GemmTarget* target, int64_t run) {
  const HalfKernels* const halves = CurrentHalf();
  const MicroKernels micro = CurrentMicro();
  const auto widen_rows = HWY_DYNAMIC_DISPATCH(WidenRowsT);
  const HalfLayout layout{shape.k, shape.n, shape.glu};
  const Layout plan = LayoutOf(shape, pool.threads());
  const Pieces& pieces = plan.pieces;
  const int64_t panels = layout.panels(), max_taps = rows.max_taps();

  pool.ForEach(pieces.count * pieces.splits, [&](int64_t task, int worker) {
    const int64_t begin = task / pieces.splits * pieces.rows;
    const int64_t end = std::min(begin + pieces.rows, shape.m);
    const int64_t split = task % pieces.splits;
    const int64_t first_panel = panels * split / pieces.splits, last_panel = panels * (split + 1) / pieces.splits;
    float* left = scratch + worker * plan.worker_floats();
    float* const panel = left + plan.left_floats;

    std::vector<Block> blocks;
    std::vector<GemmTap> taps(max_taps), all_taps;
    std::vector<HalfTap> runs;
    std::vector<int64_t> offsets(max_taps);
    for (int64_t row = begin; row < end; row += kHalfBlockRows) {
      const int64_t count = std::min<int64_t>(kHalfBlockRows, end - row), room = count * plan.gather_ld;
      GemmRows::Place place;
      Block block{.first_tap = static_cast<int64_t>(halves ? runs.size() : all_taps.size())};
      bool in_place = rows.Find(row, count, &place, taps.data());
      int64_t spans = 0;
      for (int64_t t = 0; in_place && t < place.tap_count; ++t) {
        offsets[t] = spans;
        spans += (count - 1) * place.lda + taps[t].k;
      }
      in_place = in_place && (!halves || spans <= room);
      if (!in_place) {
        rows.Gather(row, count, left, plan.gather_ld);
        for (int64_t r = 0; r < count; ++r)
          std::fill_n(left + r * plan.gather_ld + shape.k, plan.gather_ld - shape.k, 0.0f);
        place = {.a = left, .lda = plan.gather_ld, .tap_count = 1};
        taps[0] = {.a = 0, .b = 0, .k = shape.k};
        offsets[0] = 0;
      }
      block.lda = place.lda;
      const std::span<const GemmTap> used(taps.data(), place.tap_count);
      if (halves) {
        uint32_t* const to = reinterpret_cast<uint32_t*>(left);
        uint32_t largest = 0;
        const auto each = [&](const auto& span) {
          if (!in_place) return span(left, 0, room);
          for (size_t t = 0; t < used.size(); ++t) {
            span(place.a + used[t].a, offsets[t], (count - 1) * place.lda + used[t].k);
          }
        };
        each([&](const float* x, int64_t, int64_t n) { largest = std::max(largest, halves->largest(x, n)); });
        const float scale = HalfScale(largest);
        block.factor = 1.0f / scale;
        each([&](const float* x, int64_t at, int64_t n) { halves->repeat(x, n, scale, to + at); });
        block.a = left;
        AppendRuns(used, offsets.data(), run, runs);
        block.taps = static_cast<int64_t>(runs.size()) - block.first_tap;
        left += room;
      } else {
        block.a = place.a;
        all_taps.insert(all_taps.end(), used.begin(), used.end());
        block.taps = place.tap_count;
        if (!in_place) left += room;
      }
      blocks.push_back(block);
    }

    alignas(kAlignment) float tile[kHalfBlockRows * kHalfPanel];
    for (int64_t p = first_panel; p < last_panel; ++p) {
      const float* const bias = reinterpret_cast<const float*>(packed + p * layout.panel_bytes(0));
      const float* const scale = bias + kHalfPanel;
      const auto* const b = reinterpret_cast<const uint16_t*>(bias + 2 * kHalfPanel);
      const int64_t stored = layout.width(p), first = p * layout.panel_outputs();
      const int64_t width = std::min(layout.panel_outputs(), layout.outputs() - first);
      if (!halves) widen_rows(b, shape.k, stored, scale, panel);
      // Whole panels with nothing to do to them go straight to memory.
      const bool direct = epilogue.count == 0 && width == stored;
      for (int64_t i = 0; i < static_cast<int64_t>(blocks.size()); ++i) {
        const int64_t row = begin + i * kHalfBlockRows;
        const int64_t count = std::min<int64_t>(kHalfBlockRows, end - row);
        const Block& block = blocks[i];
        // What comes next is on its way while this is computed: a share of the next panel, and where the next block's
        // results go.
        HalfNext next;
        if (p + 1 < last_panel) {
          const int64_t lines = layout.panel_bytes(p + 1) / kAlignment, n = static_cast<int64_t>(blocks.size());
          next.data = packed + (p + 1) * layout.panel_bytes(0) + lines * i / n * kAlignment;
          next.lines = lines * (i + 1) / n - lines * i / n;
        }
        if (target == nullptr) {
          const bool down = i + 1 < static_cast<int64_t>(blocks.size());
          const int64_t next_row = down ? row + kHalfBlockRows : begin, next_first = down ? first : first + width;
          const int64_t next_rows = std::min<int64_t>(kHalfBlockRows, end - next_row);
          if (next_first < layout.outputs()) {
            const int64_t at = next_row * ldc + column + next_first;
            FetchRows(c + at, next_rows, width, ldc);
            for (int n = 0; n < epilogue.count; ++n) {
              if (epilogue.ops[n].kind == EpilogueStep::Kind::kAdd) {
                FetchRows(epilogue.ops[n].data + at, next_rows, width, ldc);
              }
            }
          }
        }
        int64_t offset = row * ldc;
        const bool whole = target == nullptr || target->Find(row, count, &offset);
        offset += column;
        float* const to = direct && whole ? c + offset + first : tile;
        const int64_t to_ld = direct && whole ? ldc : stored;
        if (halves) {
          (stored == kHalfPanel ? halves->full : halves->half)(
              count, runs.data() + block.first_tap, block.taps, reinterpret_cast<const uint32_t*>(block.a), block.lda,
              b, HalfStart::kBias, bias, scale, block.factor, to, to_ld, next);
        } else {
          for (int64_t j = 0; j < stored; j += micro.panel) {
            micro.full(count, all_taps.data() + block.first_tap, block.taps, block.a, block.lda, panel + j, stored,
                       GemmStart::kBias, bias + j, to + j, to_ld);
          }
        }
        if (to != tile) continue;
        if (whole) {
          ApplyEpilogue(epilogue, tile, stored, kHalfLanes, count, width, column + first, c, offset + first, ldc);
          continue;
        }
        StoreByRow(epilogue, *target, {tile, stored, row, count, first, width}, kHalfLanes, column, c, ldc);
      }
    }
  });
}

}  // namespace timbre
#endif
