// Matrix products whose left side is read where it lies and whose right side, the weights, was packed once.
#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "base/aligned.h"
#include "base/thread_pool.h"
#include "graph/tensor.h"
#include "kernels/cpu/epilogue.h"
#include "kernels/cpu/micro.h"

namespace timbre {

// The right side of a product: bias in panel order, then panels of [k][panel] numbers, the last half as wide where that
// is enough. With `glu`, the first vector of a panel holds values and the second their gates, so that one register
// block has both. Few columns whose terms come in runs of an even length are folded instead: see FoldedKernels.
struct PackedLayout {
  int64_t k = 0, n = 0;  // n: columns; with glu values and gates together
  bool glu = false;
  int lanes = 0;
  int fold = 1;              // lanes that share a column
  DType type = DType::kF32;  // of the panels' numbers: float32, or float16 or bfloat16 as a checkpoint stores them

  // `run`: every run of terms that is read together is a multiple of so many.
  PackedLayout(int64_t depth, int64_t columns, bool gated, int64_t run = 1, DType stored = DType::kF32);
  int64_t outputs() const { return glu ? n / 2 : n; }
  int64_t panel_outputs() const { return glu ? lanes : 2 * lanes; }
  int64_t panels() const { return (outputs() + panel_outputs() - 1) / panel_outputs(); }
  bool half(int64_t panel) const { return !glu && (outputs() - panel * 2 * lanes) * fold <= lanes; }
  int64_t bias_floats() const { return panels() * 2 * lanes; }
  int64_t numbers() const { return (panels() * 2 - (half(panels() - 1) ? 1 : 0)) * lanes * ((k + fold - 1) / fold); }
  // What all of it takes. With numbers of two bytes, whole cache lines, as floats are read behind it.
  int64_t floats() const {
    if (type == DType::kF32) return bias_floats() + numbers();
    constexpr int64_t kLine = kAlignment / sizeof(float);
    return (bias_floats() + (numbers() + 1) / 2 + kLine - 1) / kLine * kLine;
  }
};

// Fills `packed` (layout.floats() of them) from weight(i, j), i in [0, k), j in [0, n), which is a float or the bits of
// what layout.type stores, and bias (n values, or null).
template <typename Weight>
void PackWeights(const PackedLayout& layout, const Weight& weight, const float* bias, float* packed) {
  using Number = std::decay_t<decltype(weight(int64_t{0}, int64_t{0}))>;
  const int lanes = layout.lanes, fold = layout.fold;
  auto* panel = reinterpret_cast<Number*>(packed + layout.bias_floats());
  std::fill(panel + layout.numbers(), reinterpret_cast<Number*>(packed + layout.floats()), Number{});
  for (int64_t p = 0; p < layout.panels(); ++p) {
    const int width = layout.half(p) ? lanes : 2 * lanes;
    for (int j = 0; j < width; ++j) {
      const int64_t output = layout.glu ? p * lanes + j % lanes : (p * 2 * lanes + j) / fold;
      const bool padding = output >= layout.outputs();
      const int64_t column = layout.glu && j >= lanes ? output + layout.outputs() : output;
      packed[p * 2 * lanes + j] = padding || bias == nullptr || j % fold != 0 ? 0.0f : bias[column];
      for (int64_t i = j % fold; i < layout.k; i += fold) {
        panel[i / fold * width + j] = padding ? Number{} : weight(i, column);
      }
    }
    for (int j = width; j < 2 * lanes; ++j) packed[p * 2 * lanes + j] = 0.0f;
    panel += layout.k / fold * width;
  }
}

// The left side: rows of k floats each, which need not be contiguous in memory.
class GemmRows {
 public:
  struct Place {
    const float* a = nullptr;
    int64_t lda = 0;
    int64_t tap_count = 0;
  };
  virtual ~GemmRows() = default;
  // Where rows [row, row + rows) can be read in place: their start, their distance, and up to max_taps() runs that make
  // each. False: they must be gathered.
  virtual bool Find(int64_t row, int64_t rows, Place* place, GemmTap* taps) const = 0;
  // Writes the rows' k values each, `ld` apart.
  virtual void Gather(int64_t row, int64_t rows, float* out, int64_t ld) const = 0;
  virtual int64_t max_taps() const { return 1; }
  // Whether most blocks of so many rows can be read in place.
  virtual bool in_place(int64_t rows) const = 0;
};

// Whether rows so many floats apart should be gathered. Rows a multiple of 4 KiB apart fall into the same few sets of
// the first-level cache, which has a way for each 4 KiB of it. Fourteen rows in eight ways run at three quarters of
// their speed; in twelve ways nothing shows, and gathering costs 6 %.
bool RowsEvictEachOther(int64_t rows, int64_t lda);

// Rows at a fixed distance, each one run.
class PlainRows : public GemmRows {
 public:
  PlainRows(const float* a, int64_t lda, int64_t k) : a_(a), lda_(lda), k_(k) {}
  bool Find(int64_t row, int64_t rows, Place* place, GemmTap* taps) const override;
  void Gather(int64_t row, int64_t rows, float* out, int64_t ld) const override;
  bool in_place(int64_t rows) const override { return !RowsEvictEachOther(rows, lda_); }

 private:
  const float* a_;
  int64_t lda_, k_;
};

// Where the results of a row go.
class GemmTarget {
 public:
  virtual ~GemmTarget() = default;
  // True: rows [row, row + rows) go to c[offset], c[offset + ldc] ..., whole.
  virtual bool Find(int64_t row, int64_t rows, int64_t* offset) const = 0;
  // One row: where its column 0 would go, and which columns exist.
  virtual void Row(int64_t row, int64_t* offset, int64_t* begin, int64_t* end) const = 0;
};

struct GemmShape {
  int64_t m = 0, k = 0, n = 0;
  bool glu = false;
  int64_t row_bytes = 0;     // of memory that a row adds to those before it: sizes the pieces that stay in the cache
  int64_t run = 1;           // see PackedLayout
  DType type = DType::kF32;  // likewise

  PackedLayout layout() const { return PackedLayout(k, n, glu, run, type); }
};

// A block of results as a register block left them: `rows` rows from row `row` on, `width` of them each from column
// `first` on, `ld` apart.
struct GemmBlock {
  const float* tile = nullptr;
  int64_t ld = 0, row = 0, rows = 0, first = 0, width = 0;
};

// Stores a block through the epilogue, as ApplyEpilogue does, for a target that does not take its rows whole: row by
// row, what exists of each. `column` as of Gemm, `gate` as of ApplyEpilogue.
void StoreByRow(const Epilogue& epilogue, const GemmTarget& target, const GemmBlock& block, int64_t gate,
                int64_t column, float* c, int64_t ldc);

// Scratch that Gemm needs for any GemmRows of this shape.
size_t GemmScratchBytes(const GemmShape& shape, int threads);

// c[r * ldc + column + j] = epilogue(bias[j] + sum_i rows[r][i] w[i][j]). Results do not depend on the number of
// threads, nor on the type that w is packed in: panels of two bytes are widened, as many as the cache holds at a time.
// c may be one of the epilogue's residuals, but not overlap the rows. With a target, it says where a row's results go
// instead of r * ldc + column.
void Gemm(const GemmRows& rows, const GemmShape& shape, const float* packed, const Epilogue& epilogue, float* c,
          int64_t ldc, int64_t column, float* scratch, ThreadPool& pool, const GemmTarget* target = nullptr);

}  // namespace timbre
