// Normalisations, and reductions along neighbouring axes.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <vector>

#include "kernels/cpu/epilogue.h"
#include "kernels/cpu/simd.h"
#include "kernels/kernel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/norm.cc"
#include <hwy/foreach_target.h>
// After foreach_target.h, once for every target.
#include <hwy/highway.h>

#include "kernels/cpu/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace timbre {
namespace HWY_NAMESPACE {
namespace {

// Float32 sums stay short: what is longer continues in float64.
constexpr int64_t kShortRun = 64 * kLanes, kShortColumn = 64;

template <bool kSquares>
HWY_INLINE double RunSum(const float* x, int64_t count, float centre) {
  const Tag d;
  const Vec c = Const(centre);
  const auto term = [&](Vec v) HWY_ATTR {
    v = hn::Sub(v, c);
    return kSquares ? hn::Mul(v, v) : v;
  };
  double total = 0;
  int64_t i = 0;
  while (i + kLanes <= count) {
    const int64_t end = std::min(count, i + kShortRun);
    Vec s0 = hn::Zero(d), s1 = s0, s2 = s0, s3 = s0;
    for (; i + 4 * kLanes <= end; i += 4 * kLanes) {
      s0 = hn::Add(s0, term(hn::LoadU(d, x + i)));
      s1 = hn::Add(s1, term(hn::LoadU(d, x + i + kLanes)));
      s2 = hn::Add(s2, term(hn::LoadU(d, x + i + 2 * kLanes)));
      s3 = hn::Add(s3, term(hn::LoadU(d, x + i + 3 * kLanes)));
    }
    for (; i + kLanes <= end; i += kLanes) s0 = hn::Add(s0, term(hn::LoadU(d, x + i)));
    total += hn::GetLane(hn::SumOfLanes(d, hn::Add(hn::Add(s0, s1), hn::Add(s2, s3))));
  }
  for (; i < count; ++i) {
    const double v = double{x[i]} - centre;
    total += kSquares ? v * v : v;
  }
  return total;
}

// Rows that are not whole vectors and lie without gaps are taken several at a time, so many that together they are: how
// many, or 1 where that does not apply.
constexpr int64_t kNarrow = 4 * kLanes;
HWY_INLINE int64_t RowsTogether(int64_t ld, int64_t rows, int64_t width) {
  if (ld != width || width >= kNarrow) return 1;
  const int64_t together = kLanes / std::gcd<int64_t>(width, kLanes);
  return together <= rows ? together : 1;
}

// A row's values `times` over.
HWY_INLINE void Repeat(const float* x, int64_t width, int64_t times, float* out) {
  for (int64_t i = 0; i < times; ++i) std::copy_n(x, width, out + i * width);
}

}  // namespace

// The sum of x[i] - centre, and of its squares.
double SumT(const float* x, int64_t count, float centre) { return RunSum<false>(x, count, centre); }
double SquaresT(const float* x, int64_t count, float centre) { return RunSum<true>(x, count, centre); }

// sums[j] += sum over rows of x[r][j] - centre[j]; squares[j] likewise of its squares. Rows are `ld` apart.
void ColumnSumsT(const float* x, int64_t ld, int64_t rows, int64_t width, const float* centre, double* sums,
                 double* squares) {
  const Tag d;
  if (const int64_t together = RowsTogether(ld, rows, width); together > 1) {
    const int64_t wide = together * width, whole = rows / together;
    float wide_centre[kNarrow * kLanes];
    double wide_sums[kNarrow * kLanes] = {}, wide_squares[kNarrow * kLanes] = {};
    Repeat(centre, width, together, wide_centre);
    ColumnSumsT(x, wide, whole, wide, wide_centre, wide_sums, wide_squares);
    for (int64_t j = 0; j < wide; ++j) {
      sums[j % width] += wide_sums[j];
      squares[j % width] += wide_squares[j];
    }
    x += whole * wide;
    rows -= whole * together;
  }
  constexpr int kWide = 4;
  HWY_ALIGN float s_out[kWide * kLanes];
  HWY_ALIGN float q_out[kWide * kLanes];
  for (int64_t r0 = 0; r0 < rows; r0 += kShortColumn) {
    const int64_t count = std::min(kShortColumn, rows - r0);
    const float* block = x + r0 * ld;
    int64_t j = 0;
    for (; j + kWide * kLanes <= width; j += kWide * kLanes) {
      Vec s[kWide], q[kWide], c[kWide];
#pragma GCC unroll 4
      for (int v = 0; v < kWide; ++v) {
        s[v] = q[v] = hn::Zero(d);
        c[v] = hn::LoadU(d, centre + j + v * kLanes);
      }
      for (int64_t r = 0; r < count; ++r) {
#pragma GCC unroll 4
        for (int v = 0; v < kWide; ++v) {
          const Vec e = hn::Sub(hn::LoadU(d, block + r * ld + j + v * kLanes), c[v]);
          s[v] = hn::Add(s[v], e);
          q[v] = hn::MulAdd(e, e, q[v]);
        }
      }
#pragma GCC unroll 4
      for (int v = 0; v < kWide; ++v) {
        hn::Store(s[v], d, s_out + v * kLanes);
        hn::Store(q[v], d, q_out + v * kLanes);
      }
      for (int v = 0; v < kWide * kLanes; ++v) {
        sums[j + v] += s_out[v];
        squares[j + v] += q_out[v];
      }
    }
    for (; j + kLanes <= width; j += kLanes) {
      Vec s = hn::Zero(d), q = s;
      const Vec c = hn::LoadU(d, centre + j);
      for (int64_t r = 0; r < count; ++r) {
        const Vec e = hn::Sub(hn::LoadU(d, block + r * ld + j), c);
        s = hn::Add(s, e);
        q = hn::MulAdd(e, e, q);
      }
      hn::Store(s, d, s_out);
      hn::Store(q, d, q_out);
      for (int v = 0; v < kLanes; ++v) {
        sums[j + v] += s_out[v];
        squares[j + v] += q_out[v];
      }
    }
    for (; j < width; ++j) {
      for (int64_t r = 0; r < count; ++r) {
        const double e = double{block[r * ld + j]} - centre[j];
        sums[j] += e;
        squares[j] += e * e;
      }
    }
  }
}

// y[r][j] = (x[r][j] - mean[j]) * scale[j] + shift[j]; rows of x are `ld` apart, those of y `width`.
void NormaliseT(const float* x, int64_t ld, int64_t rows, int64_t width, const float* mean, const float* scale,
                const float* shift, float* y) {
  const Tag d;
  if (const int64_t together = RowsTogether(ld, rows, width); together > 1) {
    const int64_t wide = together * width, whole = rows / together;
    float wide_mean[kNarrow * kLanes], wide_scale[kNarrow * kLanes], wide_shift[kNarrow * kLanes];
    Repeat(mean, width, together, wide_mean);
    Repeat(scale, width, together, wide_scale);
    Repeat(shift, width, together, wide_shift);
    NormaliseT(x, wide, whole, wide, wide_mean, wide_scale, wide_shift, y);
    x += whole * wide;
    y += whole * wide;
    rows -= whole * together;
  }
  int64_t j = 0;
  for (; j + kLanes <= width; j += kLanes) {
    const Vec m = hn::LoadU(d, mean + j), a = hn::LoadU(d, scale + j), b = hn::LoadU(d, shift + j);
    for (int64_t r = 0; r < rows; ++r) {
      hn::StoreU(hn::MulAdd(hn::Sub(hn::LoadU(d, x + r * ld + j), m), a, b), d, y + r * width + j);
    }
  }
  for (; j < width; ++j) {
    for (int64_t r = 0; r < rows; ++r) y[r * width + j] = (x[r * ld + j] - mean[j]) * scale[j] + shift[j];
  }
}

// The same with one mean and one deviation for all: y[r][j] = (x[r][j] - mean - rest) * rstd * gamma[j] + beta[j],
// where `rest` is what a float32 mean leaves of the exact one.
void NormaliseRunT(const float* x, int64_t rows, int64_t width, float mean, float rest, float rstd, const float* gamma,
                   const float* beta, float* y) {
  const Tag d;
  if (const int64_t together = RowsTogether(width, rows, width); together > 1) {
    const int64_t wide = together * width, whole = rows / together;
    float wide_gamma[kNarrow * kLanes], wide_beta[kNarrow * kLanes];
    Repeat(gamma, width, together, wide_gamma);
    Repeat(beta, width, together, wide_beta);
    NormaliseRunT(x, whole, wide, mean, rest, rstd, wide_gamma, wide_beta, y);
    x += whole * wide;
    y += whole * wide;
    rows -= whole * together;
  }
  const Vec m = Const(mean), s = Const(rstd), low = Const(rest);
  int64_t j = 0;
  for (; j + kLanes <= width; j += kLanes) {
    const Vec a = hn::Mul(hn::LoadU(d, gamma + j), s), b = hn::NegMulAdd(a, low, hn::LoadU(d, beta + j));
    for (int64_t r = 0; r < rows; ++r) {
      hn::StoreU(hn::MulAdd(hn::Sub(hn::LoadU(d, x + r * width + j), m), a, b), d, y + r * width + j);
    }
  }
  for (; j < width; ++j) {
    const float a = rstd * gamma[j], b = beta[j] - a * rest;
    for (int64_t r = 0; r < rows; ++r) y[r * width + j] = (x[r * width + j] - mean) * a + b;
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace timbre
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace timbre {
HWY_EXPORT(SumT);
HWY_EXPORT(SquaresT);
HWY_EXPORT(ColumnSumsT);
HWY_EXPORT(NormaliseT);
HWY_EXPORT(NormaliseRunT);

namespace {

// What one task reads when statistics are shared by many: depends on shapes only, so that sums come out alike whatever
// the threads.
constexpr int64_t kChunkFloats = 32 << 10;
// What one task may read several times without leaving the second-level cache.
constexpr int64_t kRunFloats = 64 << 10;
// Rows that are normalised, then changed by the epilogue while they are in the first-level cache.
constexpr int64_t kTileFloats = 4096;

// The input seen as [batch, reduced, kept, channels]: statistics for each (batch, kept, group) over reduced and the
// group's channels.
struct NormShape {
  int64_t batch = 1, reduced = 1, kept = 1, channels = 1, groups = 1;
  bool servable = true;

  int64_t width() const { return kept * channels; }  // of a row
  int64_t sets() const { return kept * groups; }     // statistics for each batch
  // One batch is one contiguous run with one mean, short enough for a cache.
  bool runs() const { return kept == 1 && (groups == 1 || reduced == 1) && reduced * channels <= kRunFloats; }
  // Statistics lie side by side, and one strip of them fits a cache: read from memory once.
  bool strips() const { return kept > 1 && reduced * channels <= kRunFloats; }
  int64_t strip() const { return std::clamp<int64_t>(kRunFloats / (reduced * channels), 1, kept); }
  int64_t chunk_rows() const { return std::clamp<int64_t>(kChunkFloats / width(), 1, reduced); }
  int64_t chunks() const { return (reduced + chunk_rows() - 1) / chunk_rows(); }
  int64_t columns() const { return (strips() ? strip() : kept) * channels; }  // that a task works on
  // A strip is copied whole.
  int64_t tile_rows() const { return strips() ? reduced : std::max<int64_t>(1, kTileFloats / columns()); }
};

NormShape ShapeOfNorm(const NodeRef& ref) {
  const auto& attrs = ref.attrs<NormAttrs>();
  const Shape& x = ref.in(0);
  NormShape s{.batch = x[0], .channels = x.back(), .groups = attrs.groups};
  // Kept axes before the reduced ones act as the batch does, those after as groups of their own.
  enum { kBefore, kReduced, kAfter } at = kBefore;
  for (int i = 1; i < x.rank() - 1; ++i) {
    const bool keep = attrs.keep >> i & 1;
    if (x[i] == 1) continue;
    if (!keep && at == kAfter) s.servable = false;
    if (!keep && at == kBefore) at = kReduced;
    if (keep && at == kReduced) at = kAfter;
    (at == kBefore ? s.batch : at == kReduced ? s.reduced : s.kept) *= x[i];
  }
  return s;
}

bool NormSupports(const NodeRef& ref, const DeviceCaps&) { return ShapeOfNorm(ref).servable && EpilogueServable(ref); }

struct NormMemory {
  float *gamma, *beta;  // [channels]
  float* tiles;         // one for each thread
  double* columns;      // [thread][2][columns]
  float *mean, *scale,
      *shift;       // [batch, or thread if strips][columns]; `mean` first holds what the sums are taken about
  double* partial;  // [batch][chunk][2][sets]
  size_t bytes;
};

NormMemory Divide(const NormShape& s, int threads, float* scratch) {
  char* at = reinterpret_cast<char*>(scratch);
  const auto take = [&]<typename T>(T*& p, int64_t count) {
    p = reinterpret_cast<T*>(at);
    at += (count * static_cast<int64_t>(sizeof(T)) + kAlignment - 1) / kAlignment * kAlignment;
  };
  NormMemory m{};
  take(m.gamma, s.channels);
  take(m.beta, s.channels);
  take(m.tiles, threads * s.tile_rows() * s.columns());
  if (!s.runs()) {
    take(m.columns, threads * 2 * s.columns());
    const int64_t copies = s.strips() ? threads : s.batch;
    take(m.mean, copies * s.columns());
    take(m.scale, copies * s.columns());
    take(m.shift, copies * s.columns());
    if (!s.strips()) take(m.partial, s.batch * s.chunks() * 2 * s.sets());
  }
  m.bytes = static_cast<size_t>(at - reinterpret_cast<char*>(scratch));
  return m;
}

size_t NormScratch(const NodeRef& ref, const DeviceCaps& caps) {
  return Divide(ShapeOfNorm(ref), caps.threads, nullptr).bytes;
}

float Rstd(double squares, double count, float eps) {
  return static_cast<float>(1.0 / std::sqrt(std::max(0.0, squares / count) + eps));
}

// What the three ways below share.
struct NormTask {
  const CpuCall& call;
  NormAttrs attrs;
  NormShape s;
  NormMemory m;
  Epilogue epilogue;
  const float *gamma, *beta;

  int64_t group() const { return s.channels / s.groups; }
  int64_t out_width() const { return epilogue.glu ? s.channels / 2 : s.channels; }
  const float* x() const { return call.in[0]; }

  // Stores `rows` rows of channels from `tile` as the rows from `row` on.
  void Store(const float* tile, int64_t row, int64_t rows) const {
    ApplyEpilogue(epilogue, tile, s.channels, s.channels / 2, rows, out_width(), 0, call.out[0], row * out_width(),
                  out_width());
  }

  // `columns` columns, whole sets: what their sums are taken about. The first value of each set is near the mean where
  // the mean is large.
  void Centre(const float* first_row, int64_t columns, float* centre) const {
    for (int64_t j = 0; j < columns; ++j) centre[j] = attrs.subtract_mean ? first_row[j / group() * group()] : 0.0f;
  }

  double count() const { return static_cast<double>(s.reduced * group()); }  // of values in a set
  // Whether float32 squares about the centre lose more of the variance than they may: the value that a set begins with
  // may lie far from all others.
  bool PoorlyCentred(double sum, double squares) const {
    return attrs.subtract_mean && squares > 4 * (squares - sum * sum / count());
  }

  // One set's sums about its centre become its columns' mean, scale and shift. What a float32 mean leaves of the exact
  // one goes into the shift: where the mean is many times the deviation, it is more than the result's own rounding.
  void Settle(double sum, double squares, int64_t first, float* mean, float* scale, float* shift) const {
    const double offset = attrs.subtract_mean ? sum / count() : 0.0;
    const float rstd = Rstd(squares - sum * offset, count(), attrs.eps);
    for (int64_t j = first; j < first + group(); ++j) {
      const double exact = mean[j] + offset;
      mean[j] = static_cast<float>(exact);
      scale[j] = gamma[j % s.channels] * rstd;
      shift[j] = static_cast<float>(beta[j % s.channels] - (exact - mean[j]) * scale[j]);
    }
  }
};

struct RunStatistics {
  float mean, rest, rstd;  // `rest`: what a float32 mean leaves of the exact one
};

void NormRuns(const NormTask& t) {
  const auto sum = HWY_DYNAMIC_DISPATCH(SumT);
  const auto squares = HWY_DYNAMIC_DISPATCH(SquaresT);
  const auto normalise = HWY_DYNAMIC_DISPATCH(NormaliseRunT);
  const int64_t channels = t.s.channels, group = t.group(), length = t.s.reduced * group;
  t.call.pool.ForRange(
      t.s.batch, std::max<int64_t>(1, 8192 / (t.s.reduced * channels)), [&](int64_t begin, int64_t end, int worker) {
        float* tile = t.m.tiles + worker * t.s.tile_rows() * channels;
        for (int64_t n = begin; n < end; ++n) {
          const float* x = t.x() + n * t.s.reduced * channels;
          // Sums are taken about a value of the run: float32 sums of values far from it would lose what matters.
          const auto statistics = [&](const float* run) {
            const float centre = t.attrs.subtract_mean ? run[0] : 0.0f;
            const double count = static_cast<double>(length);
            const double exact = t.attrs.subtract_mean ? centre + sum(run, length, centre) / count : 0.0;
            const float mean = static_cast<float>(exact);
            const double rest = exact - mean;
            const float rstd = Rstd(squares(run, length, mean) - count * rest * rest, count, t.attrs.eps);
            return RunStatistics{mean, static_cast<float>(rest), rstd};
          };
          if (t.s.groups > 1) {
            for (int64_t c = 0; c < channels; c += group) {
              const auto [mean, rest, rstd] = statistics(x + c);
              normalise(x + c, 1, group, mean, rest, rstd, t.gamma + c, t.beta + c, tile + c);
            }
            t.Store(tile, n, 1);
            continue;
          }
          const auto [mean, rest, rstd] = statistics(x);
          for (int64_t r = 0; r < t.s.reduced; r += t.s.tile_rows()) {
            const int64_t rows = std::min(t.s.tile_rows(), t.s.reduced - r);
            // Without an epilogue the result can go where it belongs.
            float* to = t.epilogue.count == 0 ? t.call.out[0] + (n * t.s.reduced + r) * channels : tile;
            normalise(x + r * channels, rows, channels, mean, rest, rstd, t.gamma, t.beta, to);
            if (to == tile) t.Store(tile, n * t.s.reduced + r, rows);
          }
        }
      });
}

void NormStrips(const NormTask& t) {
  const auto column_sums = HWY_DYNAMIC_DISPATCH(ColumnSumsT);
  const auto normalise = HWY_DYNAMIC_DISPATCH(NormaliseT);
  const int64_t width = t.s.width(), channels = t.s.channels, group = t.group();
  const int64_t strips = (t.s.kept + t.s.strip() - 1) / t.s.strip();
  t.call.pool.ForEach(t.s.batch * strips, [&](int64_t task, int worker) {
    const int64_t n = task / strips, first = task % strips * t.s.strip();
    const int64_t count = std::min(t.s.strip(), t.s.kept - first), columns = count * channels;
    const float* x = t.x() + n * t.s.reduced * width + first * channels;
    double *sums = t.m.columns + worker * 2 * t.s.columns(), *squares = sums + columns;
    float* mean = t.m.mean + worker * t.s.columns();
    float* scale = t.m.scale + worker * t.s.columns();
    float* shift = t.m.shift + worker * t.s.columns();
    // Rows are often a multiple of 4 KiB apart and would evict each other from where they lie.
    float* strip = t.m.tiles + worker * t.s.tile_rows() * t.s.columns();
    for (int64_t r = 0; r < t.s.reduced; ++r) std::memcpy(strip + r * columns, x + r * width, columns * sizeof(float));
    t.Centre(strip, columns, mean);
    for (bool again = false;; again = true) {
      std::fill_n(sums, 2 * columns, 0.0);
      column_sums(strip, columns, t.s.reduced, columns, mean, sums, squares);
      bool poor = false;
      for (int64_t j = 0; j < columns; j += group) {
        for (int64_t i = j + 1; i < j + group; ++i) sums[j] += sums[i], squares[j] += squares[i];
        poor |= t.PoorlyCentred(sums[j], squares[j]);
      }
      if (!poor || again) break;
      // What lies in the cache is summed up once more, about means that are nearly right.
      for (int64_t j = 0; j < columns; ++j) mean[j] += static_cast<float>(sums[j / group * group] / t.count());
    }
    for (int64_t j = 0; j < columns; j += group) t.Settle(sums[j], squares[j], j, mean, scale, shift);
    const int64_t step = std::max<int64_t>(1, kTileFloats / columns);
    for (int64_t r = 0; r < t.s.reduced; r += step) {
      const int64_t rows = std::min(step, t.s.reduced - r);
      float* tile = strip + r * columns;
      normalise(tile, columns, rows, columns, mean, scale, shift, tile);
      for (int64_t i = 0; i < rows; ++i)
        t.Store(tile + i * columns, (n * t.s.reduced + r + i) * t.s.kept + first, count);
    }
  });
}

void NormChunks(const NormTask& t) {
  const auto column_sums = HWY_DYNAMIC_DISPATCH(ColumnSumsT);
  const auto normalise = HWY_DYNAMIC_DISPATCH(NormaliseT);
  const int64_t width = t.s.width(), group = t.group(), sets = t.s.sets();
  const int64_t chunks = t.s.chunks(), chunk_rows = t.s.chunk_rows();
  // Of each batch, the sums of its sets, then of their squares, over all chunks: left where those of the first lay.
  const auto totals = [&](int64_t n) { return t.m.partial + n * chunks * 2 * sets; };
  for (int64_t n = 0; n < t.s.batch; ++n) t.Centre(t.x() + n * t.s.reduced * width, width, t.m.mean + n * width);
  for (bool again = false;; again = true) {
    t.call.pool.ForEach(t.s.batch * chunks, [&](int64_t task, int worker) {
      const int64_t n = task / chunks, row = task % chunks * chunk_rows, rows = std::min(chunk_rows, t.s.reduced - row);
      double *sums = t.m.columns + worker * 2 * width, *squares = sums + width;
      std::fill_n(sums, 2 * width, 0.0);
      column_sums(t.x() + (n * t.s.reduced + row) * width, width, rows, width, t.m.mean + n * width, sums, squares);
      double* to = t.m.partial + task * 2 * sets;
      for (int64_t i = 0; i < sets; ++i) {
        double a = 0, b = 0;
        for (int64_t j = i * group; j < (i + 1) * group; ++j) a += sums[j], b += squares[j];
        to[i] = a;
        to[sets + i] = b;
      }
    });
    t.call.pool.ForRange(t.s.batch * sets, 256, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) {
        double* const first = totals(i / sets) + i % sets;
        for (int64_t c = 1; c < chunks; ++c) {
          first[0] += first[c * 2 * sets];
          first[sets] += first[c * 2 * sets + sets];
        }
      }
    });
    bool poor = false;
    for (int64_t n = 0; n < t.s.batch; ++n) {
      for (int64_t i = 0; i < sets; ++i) poor |= t.PoorlyCentred(totals(n)[i], totals(n)[sets + i]);
    }
    if (!poor || again) break;
    // All is read once more, about means that are nearly right.
    for (int64_t n = 0; n < t.s.batch; ++n) {
      for (int64_t j = 0; j < width; ++j) {
        t.m.mean[n * width + j] += static_cast<float>(totals(n)[j / group] / t.count());
      }
    }
  }
  t.call.pool.ForRange(t.s.batch * sets, 256, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t n = i / sets, set = i % sets;
      t.Settle(totals(n)[set], totals(n)[sets + set], set * group, t.m.mean + n * width, t.m.scale + n * width,
               t.m.shift + n * width);
    }
  });
  t.call.pool.ForEach(t.s.batch * chunks, [&](int64_t task, int worker) {
    const int64_t n = task / chunks, row = task % chunks * chunk_rows, rows = std::min(chunk_rows, t.s.reduced - row);
    const float *mean = t.m.mean + n * width, *scale = t.m.scale + n * width, *shift = t.m.shift + n * width;
    for (int64_t r = row; r < row + rows; r += t.s.tile_rows()) {
      const int64_t count = std::min(t.s.tile_rows(), row + rows - r), from = n * t.s.reduced + r;
      const bool direct = t.epilogue.count == 0;
      float* to = direct ? t.call.out[0] + from * width : t.m.tiles + worker * t.s.tile_rows() * width;
      normalise(t.x() + from * width, width, count, width, mean, scale, shift, to);
      if (!direct) t.Store(to, from * t.s.kept, count * t.s.kept);
    }
  });
}

Status NormRun(const CpuCall& call) {
  const NormShape s = ShapeOfNorm(call.ref);
  NormTask task{
      call,   call.ref.attrs<NormAttrs>(), s, Divide(s, call.pool.threads(), call.scratch), BindEpilogue(call), nullptr,
      nullptr};
  task.gamma = call.ref.has(1) ? call.in[1] : std::fill_n(task.m.gamma, s.channels, 1.0f) - s.channels;
  task.beta = call.ref.has(2) ? call.in[2] : std::fill_n(task.m.beta, s.channels, 0.0f) - s.channels;
  if (s.runs()) {
    NormRuns(task);
  } else if (s.strips()) {
    NormStrips(task);
  } else {
    NormChunks(task);
  }
  return {};
}

// ---- Reduce ----

// What one task sums up: long runs are cut alike whatever the threads.
constexpr int64_t kReduceFloats = 64 << 10;

// The reduced axes are neighbours: [outer, reduced, inner].
struct ReduceShape {
  int64_t outer = 1, reduced = 1, inner = 1;
  bool servable = true;

  // Where inner > 1, of a column's rows: each some of the short runs that float32 sums are made of.
  int64_t piece_rows() const { return std::max<int64_t>(1, kReduceFloats / (kRowsOfSum * inner)) * kRowsOfSum; }
  int64_t pieces() const { return (reduced + piece_rows() - 1) / piece_rows(); }

 private:
  static constexpr int64_t kRowsOfSum = 64;
};

ReduceShape ShapeOfReduce(const NodeRef& ref) {
  const Shape& x = ref.in(0);
  const uint32_t axes = ref.attrs<ReduceAttrs>().axes;
  ReduceShape s;
  bool seen = false;
  for (int i = 0; i < x.rank(); ++i) {
    if (x[i] == 1) continue;
    if (axes >> i & 1) {
      if (s.inner > 1) s.servable = false;
      s.reduced *= x[i];
      seen = true;
    } else {
      (seen ? s.inner : s.outer) *= x[i];
    }
  }
  return s;
}

bool ReduceSupports(const NodeRef& ref, const DeviceCaps&) {
  const ReduceFn fn = ref.attrs<ReduceAttrs>().fn;
  return ref.node.epilogue.empty() && ShapeOfReduce(ref).servable && fn != ReduceFn::kMax && fn != ReduceFn::kMin;
}

size_t ReduceScratch(const NodeRef& ref, const DeviceCaps& caps) {
  const ReduceShape s = ShapeOfReduce(ref);
  if (s.inner > 1) {
    const int64_t sets = std::max<int64_t>(s.pieces(), caps.threads);
    return static_cast<size_t>(s.inner) * (2 * sets * sizeof(double) + caps.threads * sizeof(float));
  }
  return s.outer * (s.reduced / kReduceFloats + 1) * sizeof(double);
}

Status ReduceRun(const CpuCall& call) {
  const ReduceShape s = ShapeOfReduce(call.ref);
  const auto& attrs = call.ref.attrs<ReduceAttrs>();
  const float* x = call.in[0];
  float* y = call.out[0];
  const double n = static_cast<double>(s.reduced);
  const auto result = [&](double sum, double squares) {
    if (attrs.fn == ReduceFn::kSum) return static_cast<float>(sum);
    if (attrs.fn == ReduceFn::kMean) return static_cast<float>(sum / n);
    return static_cast<float>(std::sqrt(std::max(0.0, squares) / (n - attrs.ddof)));
  };
  if (s.inner == 1) {
    const auto sum_of = HWY_DYNAMIC_DISPATCH(SumT);
    const auto squares_of = HWY_DYNAMIC_DISPATCH(SquaresT);
    const int64_t pieces = s.reduced / kReduceFloats + 1;
    double* partial = reinterpret_cast<double*>(call.scratch);
    const auto total = [&](int64_t o, bool squares, const float* centres) {
      call.pool.ForEach(pieces, [&](int64_t p, int) {
        const int64_t begin = s.reduced * p / pieces, end = s.reduced * (p + 1) / pieces;
        const float* run = x + o * s.reduced + begin;
        partial[p] = squares ? squares_of(run, end - begin, *centres) : sum_of(run, end - begin, *centres);
      });
      double sum = 0;
      for (int64_t p = 0; p < pieces; ++p) sum += partial[p];
      return sum;
    };
    const auto one = [&](int64_t o, const auto& sum_about) {
      const float zero = 0;
      const double sum = sum_about(o, false, &zero);
      if (attrs.fn != ReduceFn::kStd) {
        y[o] = result(sum, 0);
        return;
      }
      // Squares about the rounded mean, then corrected by what the rounding left.
      const float mean = static_cast<float>(sum / n);
      const double off = sum / n - mean;
      y[o] = result(sum, sum_about(o, true, &mean) - n * off * off);
    };
    if (pieces > 1) {
      for (int64_t o = 0; o < s.outer; ++o) one(o, total);
    } else {
      call.pool.ForRange(s.outer, std::max<int64_t>(1, 16384 / s.reduced), [&](int64_t begin, int64_t end, int) {
        for (int64_t o = begin; o < end; ++o) {
          one(o, [&](int64_t i, bool squares, const float* centre) {
            return squares ? squares_of(x + i * s.reduced, s.reduced, *centre)
                           : sum_of(x + i * s.reduced, s.reduced, *centre);
          });
        }
      });
    }
    return {};
  }
  const auto column_sums = HWY_DYNAMIC_DISPATCH(ColumnSumsT);
  const int64_t pieces = s.pieces(), piece_rows = s.piece_rows(), set = 2 * s.inner;
  double* partial = reinterpret_cast<double*>(call.scratch);  // a set for each piece, or for each worker
  float* centres = reinterpret_cast<float*>(partial + std::max<int64_t>(pieces, call.pool.threads()) * set);
  // A set of sums and squares about `centre` of a piece's rows.
  const auto sum_piece = [&](int64_t o, int64_t piece, const float* centre, double* sums) {
    const int64_t first = piece * piece_rows, rows = std::min(piece_rows, s.reduced - first);
    std::fill_n(sums, set, 0.0);
    column_sums(x + (o * s.reduced + first) * s.inner, s.inner, rows, s.inner, centre, sums, sums + s.inner);
  };
  const auto sum_all = [&](int64_t o, const float* centre, double* sums) {
    call.pool.ForEach(pieces, [&](int64_t piece, int) { sum_piece(o, piece, centre, sums + piece * set); });
    for (int64_t i = set; i < pieces * set; ++i) sums[i % set] += sums[i];
  };
  const auto one = [&](int64_t o, float* centre, double* sums, const auto& sum_about) {
    // About zero: about a value that lies far from all others a sum would lose more than its own terms do.
    std::fill_n(centre, s.inner, 0.0f);
    sum_about(o, centre, sums);
    if (attrs.fn == ReduceFn::kStd) {
      // Squares about the rounded means, then corrected by what the rounding left.
      for (int64_t j = 0; j < s.inner; ++j) centre[j] = static_cast<float>(sums[j] / n);
      sum_about(o, centre, sums);
    }
    const double* squares = sums + s.inner;
    for (int64_t j = 0; j < s.inner; ++j) {
      y[o * s.inner + j] = result(sums[j], squares[j] - sums[j] * sums[j] / n);
    }
  };
  if (pieces > 1) {
    for (int64_t o = 0; o < s.outer; ++o) one(o, centres, partial, sum_all);
  } else {
    call.pool.ForEach(s.outer, [&](int64_t o, int worker) {
      one(o, centres + worker * s.inner, partial + worker * set,
          [&](int64_t i, const float* centre, double* sums) { sum_piece(i, 0, centre, sums); });
    });
  }
  return {};
}

const KernelRow kRows[] = {
    {Op::kNorm, DeviceKind::kCpu, Tier::kFast, "norm_vector", 5, NormSupports, NormRun, NormScratch},
    {Op::kReduce, DeviceKind::kCpu, Tier::kFast, "reduce_vector", 3, ReduceSupports, ReduceRun, ReduceScratch},
};

}  // namespace

std::span<const KernelRow> CpuNormKernels() { return kRows; }

}  // namespace timbre
#endif
