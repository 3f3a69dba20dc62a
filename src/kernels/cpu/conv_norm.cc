// A 1x1 convolution that widens, and the norm behind it, without its result in between: what the norm needs to know of
// that result follows from the convolution's input alone, whose rows are short.
//
// With c one row of the input and d = x - c, output o of a row is u_o + w_o . d, where u_o = w_o . c + b_o. So over
// T rows the sum of all outputs is sum_o (T u_o + w_o . s) with s = sum d, and about any m their squares sum up to
// sum_o (w_o^T G w_o + 2 (u_o - m) w_o . s + T (u_o - m)^2) with G = sum d d^T. Of the weights only sum_o w_o w_o^T,
// sum_o b_o w_o and the like are needed, which are made once. Sums about a row of the input's own stay accurate where
// the mean is large; where that row turns out to lie far from all others, they are made again about the mean. The
// norm's scale then goes into the rows, its shift into the bias, and the product runs once.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "kernels/cpu/float_view.h"
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/simd.h"
#include "kernels/kernel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/conv_norm.cc"
#include <hwy/foreach_target.h>
// After foreach_target.h, once for every target.
#include <hwy/highway.h>

#include "kernels/cpu/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace timbre {
namespace HWY_NAMESPACE {
namespace {

template <int kRows>
HWY_INLINE void Products(const float* x, int64_t rows, int64_t ld, int64_t i, double* products) {
  const Tag d;
  HWY_ALIGN float out[kLanes];
  for (int64_t j = 0; j < ld; j += kLanes) {
    Vec acc[kRows];
#pragma GCC unroll 4
    for (int a = 0; a < kRows; ++a) acc[a] = hn::Zero(d);
    for (int64_t r = 0; r < rows; ++r) {
      const Vec v = hn::Load(d, x + r * ld + j);
#pragma GCC unroll 4
      for (int a = 0; a < kRows; ++a) acc[a] = hn::MulAdd(Const(x[r * ld + i + a]), v, acc[a]);
    }
#pragma GCC unroll 4
    for (int a = 0; a < kRows; ++a) {
      hn::Store(acc[a], d, out);
      for (int l = 0; l < kLanes; ++l) products[(i + a) * ld + j + l] += out[l];
    }
  }
}

}  // namespace

// sums[j] += sum over rows of x[r][j] and products[i][j] += that of x[r][i] x[r][j], for i in [0, width) and j in
// [0, ld). Rows are ld apart, whole vectors, and few, because the sums are float32's until the end.
void RowProductsT(const float* x, int64_t rows, int64_t ld, int64_t width, double* sums, double* products) {
  const Tag d;
  HWY_ALIGN float out[kLanes];
  for (int64_t j = 0; j < ld; j += kLanes) {
    Vec s = hn::Zero(d);
    for (int64_t r = 0; r < rows; ++r) s = hn::Add(s, hn::Load(d, x + r * ld + j));
    hn::Store(s, d, out);
    for (int l = 0; l < kLanes; ++l) sums[j + l] += out[l];
  }
  int64_t i = 0;
  for (; i + 4 <= width; i += 4) Products<4>(x, rows, ld, i, products);
  for (; i < width; ++i) Products<1>(x, rows, ld, i, products);
}

}  // namespace HWY_NAMESPACE
}  // namespace timbre
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace timbre {
HWY_EXPORT(RowProductsT);

namespace {

// More inputs than this, or fewer than two outputs for each, and making the sums costs what they save.
constexpr int64_t kMostInputs = 64;
// Rows whose products are summed in float32.
constexpr int64_t kShortRun = 64;
// Of the input, for one task that sums.
constexpr int64_t kSumFloats = 8 << 10;
// Of the output, for one task that multiplies.
constexpr int64_t kTaskFloats = 64 << 10;
// Weights that fit the first-level cache beside everything else: then few rows at a time are best.
constexpr int64_t kFewWeights = 4 << 10;

bool IsGlu(const EpilogueStep& step) { return step.kind == EpilogueStep::Kind::kGlu; }

// The input as [batch, reduced, kept, k]: statistics for each (batch, kept).
struct Sizes {
  int64_t batch = 1, reduced = 1, kept = 1, k = 1;
  PackedLayout layout;
  int lanes, panel, block_rows;
  bool servable = true;

  Sizes(const NodeRef& ref, const NormAttrs& norm)
      : layout(ref.in(1)[1], ref.in(1)[0], std::any_of(ref.node.epilogue.begin(), ref.node.epilogue.end(), IsGlu)) {
    const MicroKernels micro = CurrentMicro();
    lanes = micro.lanes;
    panel = micro.panel;
    block_rows = micro.block_rows;
    const Shape& x = ref.in(0);
    batch = x[0];
    k = x.back();
    enum { kBefore, kReduced, kAfter } at = kBefore;
    for (int i = 1; i < x.rank() - 1; ++i) {
      const bool keep = norm.keep >> i & 1;
      if (x[i] == 1) continue;
      if (!keep && at == kAfter) servable = false;
      if (!keep && at == kBefore) at = kReduced;
      if (keep && at == kReduced) at = kAfter;
      (at == kBefore ? batch : at == kReduced ? reduced : kept) *= x[i];
    }
  }
  int64_t sets() const { return batch * kept; }
  int64_t padded() const { return (k + lanes - 1) / lanes * lanes; }
  int64_t panel_floats() const { return layout.bias_floats(); }
  int64_t chunk_rows() const {
    return std::clamp<int64_t>(kSumFloats / padded(), std::min<int64_t>(kShortRun, reduced), reduced);
  }
  int64_t chunks() const { return (reduced + chunk_rows() - 1) / chunk_rows(); }
  int64_t sum_doubles() const { return padded() * (k + 1); }
  // Rows that pass all panels together, rows of a task, and sets of a task.
  int64_t step_rows() const { return (layout.floats() > kFewWeights ? 4 : 1) * block_rows; }
  int64_t task_rows() const { return 2 * 4 * block_rows; }
  int64_t task_sets() const {
    return std::clamp<int64_t>(kTaskFloats / (task_rows() * layout.outputs()), 1, (kept + 3) / 4);
  }
  // So far apart that rows don't fall into the same few cache lines.
  int64_t row_ld() const { return (k + 15) / 16 * 16 + 16; }
};

// What pack makes: panels of weights, each times its output's gain; then in the order of the panels gains, biases and
// shifts of the norm; then sums over the weights.
struct Packed {
  float *weights, *gain, *bias, *shift;
  double *squares, *by_bias, *sum;  // sum_o w_o w_o^T [k][k], sum_o b_o w_o [k], sum_o w_o [k]
  double *bias_sum, *bias_squares;  // one each
  size_t bytes;

  Packed(const Sizes& s, float* base) {
    const auto whole = [](int64_t floats) { return (floats + 15) / 16 * 16; };
    weights = base;
    gain = weights + whole(s.layout.floats());
    bias = gain + whole(s.panel_floats());
    shift = bias + whole(s.panel_floats());
    squares = reinterpret_cast<double*>(shift + whole(s.panel_floats()));
    by_bias = squares + s.k * s.k;
    sum = by_bias + s.k;
    bias_sum = sum + s.k;
    bias_squares = bias_sum + 1;
    bytes = reinterpret_cast<char*>(bias_squares + 1) - reinterpret_cast<char*>(base);
  }
};

const EpilogueStep& NormOf(const NodeRef& ref) { return ref.node.epilogue[0]; }

bool Supports(const NodeRef& ref, const DeviceCaps&) {
  const auto& attrs = ref.attrs<ConvAttrs>();
  const auto& steps = ref.node.epilogue;
  if (steps.empty() || steps[0].kind != EpilogueStep::Kind::kNorm || !EpilogueServable(ref, 1)) return false;
  const EpilogueStep& norm = steps[0];
  const Dims3 one{1, 1, 1}, zero{0, 0, 0};
  return attrs.groups == 1 && attrs.kernel == one && attrs.stride == one && attrs.pad_lo == zero &&
         attrs.pad_hi == zero && norm.norm.groups == 1 && norm.norm.subtract_mean && ref.constant(1) &&
         (!ref.has(2) || ref.constant(2)) && ref.in(1)[1] <= kMostInputs && ref.in(1)[0] >= 2 * ref.in(1)[1] &&
         Sizes(ref, norm.norm).servable;
}

Result<AlignedBytes> Pack(const NodeRef& ref, const DeviceCaps&) {
  const EpilogueStep& norm = NormOf(ref);
  const Sizes s(ref, norm.norm);
  const PackedLayout& layout = s.layout;
  TIMBRE_TRY(AlignedBytes bytes, AlignedBytes::Allocate(Packed(s, nullptr).bytes, true));
  const Packed packed(s, bytes.f32());
  const FloatView weight(ref.value(1));
  const std::vector<float> bias = ref.has(2) ? ref.value(2).ToF32() : std::vector<float>(layout.n, 0.0f);
  const std::vector<float> gamma = norm.input >= 0 ? ref.value(norm.input).ToF32() : std::vector<float>(layout.n, 1.0f);
  const std::vector<float> beta = norm.shift >= 0 ? ref.value(norm.shift).ToF32() : std::vector<float>(layout.n, 0.0f);
  PackWeights(
      layout, [&](int64_t i, int64_t j) { return weight[j * s.k + i] * gamma[j]; }, gamma.data(), packed.weights);
  std::copy_n(packed.weights, s.panel_floats(), packed.gain);
  // Only their head, in the order of the panels, is wanted of these.
  std::vector<float> panels(layout.floats());
  for (const auto& [values, to] : {std::pair(&bias, packed.bias), std::pair(&beta, packed.shift)}) {
    PackWeights(
        layout, [](int64_t, int64_t) { return 0.0f; }, values->data(), panels.data());
    std::copy_n(panels.data(), s.panel_floats(), to);
  }
  std::fill_n(packed.squares, s.k * s.k + 2 * s.k + 2, 0.0);
  for (int64_t o = 0; o < layout.n; ++o) {
    const float* w = weight.data() + o * s.k;
    const double b = bias[o];
    for (int64_t i = 0; i < s.k; ++i) {
      for (int64_t j = 0; j < s.k; ++j) packed.squares[i * s.k + j] += double{w[i]} * w[j];
      packed.by_bias[i] += b * w[i];
      packed.sum[i] += w[i];
    }
    *packed.bias_sum += b;
    *packed.bias_squares += b * b;
  }
  return bytes;
}

// Asks for memory that the next rows' results go to and what they are added to: rows of one set are far apart, and
// without this their lines and pages come one by one.
void Fetch(const Epilogue& epilogue, const float* out, int64_t offset, int64_t rows, int64_t ld, int64_t width) {
  constexpr int64_t kLine = 16;
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t j = 0; j < width; j += kLine) __builtin_prefetch(out + offset + r * ld + j, 1, 2);
    for (int n = 0; n < epilogue.count; ++n) {
      if (epilogue.ops[n].kind != EpilogueStep::Kind::kAdd) continue;
      for (int64_t j = 0; j < width; j += kLine) __builtin_prefetch(epilogue.ops[n].data + offset + r * ld + j, 0, 2);
    }
  }
}

struct Memory {
  double* sums;   // [batch][chunk][kept][sum_doubles]
  float* centre;  // [set][k]: what the sums are about
  bool* poor;     // [set]: whether that lay too far from the mean
  float* rstd;    // [set]
  float* bias;    // [set][panel_floats]
  float* rows;    // [thread]: of the input
  int64_t thread_floats;
  size_t bytes;

  Memory(const Sizes& s, int threads, float* scratch) {
    char* at = reinterpret_cast<char*>(scratch);
    const auto take = [&]<typename T>(T*& p, int64_t count) {
      p = reinterpret_cast<T*>(at);
      at += (count * static_cast<int64_t>(sizeof(T)) + kAlignment - 1) / kAlignment * kAlignment;
    };
    thread_floats = std::max(kShortRun * s.padded(), s.step_rows() * s.row_ld());
    thread_floats = (thread_floats + 15) / 16 * 16;
    take(sums, s.sets() * s.chunks() * s.sum_doubles());
    take(centre, s.sets() * s.k);
    take(poor, s.sets());
    take(rstd, s.sets());
    take(bias, s.sets() * s.panel_floats());
    take(rows, threads * thread_floats);
    bytes = static_cast<size_t>(at - reinterpret_cast<char*>(scratch));
  }
};

size_t Scratch(const NodeRef& ref, const DeviceCaps& caps) {
  return Memory(Sizes(ref, NormOf(ref).norm), caps.threads, nullptr).bytes;
}

// Whether float32 squares about the centre lose more of the input's variance than they may: the row that a set begins
// with may lie far from all others.
bool PoorlyCentred(const Sizes& s, const double* sums) {
  const auto rows = static_cast<double>(s.reduced);
  double squares = 0, off = 0;
  for (int64_t i = 0; i < s.k; ++i) {
    squares += sums[s.padded() + i * (s.padded() + 1)];
    off += sums[i] * sums[i] / rows;
  }
  return squares > 4 * (squares - off);
}

// The norm of one set: its scale, and its bias in the order of the panels. `centre` is what the sums are about.
void Settle(const Sizes& s, const Packed& w, const float* centre, const double* sums, double eps, float* rstd,
            float* bias) {
  const double* products = sums + s.padded();
  const auto rows = static_cast<double>(s.reduced), outputs = static_cast<double>(s.layout.n);
  // Of u_o = w_o . c + b_o: its sum, its squares', and sum_o u_o w_o . s.
  double u = *w.bias_sum, uu = *w.bias_squares, by_sums = 0, sum = 0, spread = 0;
  for (int64_t i = 0; i < s.k; ++i) {
    double squares = 0;
    for (int64_t j = 0; j < s.k; ++j) {
      squares += w.squares[i * s.k + j] * centre[j];
      spread += w.squares[i * s.k + j] * products[i * s.padded() + j];
    }
    u += w.sum[i] * centre[i];
    uu += centre[i] * (squares + 2 * w.by_bias[i]);
    by_sums += (squares + w.by_bias[i]) * sums[i];
    sum += w.sum[i] * sums[i];
  }
  const double mean = (rows * u + sum) / (rows * outputs);
  const double about_mean = spread + 2 * (by_sums - mean * sum) + rows * (uu - 2 * mean * u + outputs * mean * mean);
  const double scale = 1.0 / std::sqrt(std::max(0.0, about_mean / (rows * outputs)) + eps);
  *rstd = static_cast<float>(scale);
  for (int64_t j = 0; j < s.panel_floats(); ++j) {
    bias[j] = static_cast<float>((w.bias[j] - mean) * scale * w.gain[j] + w.shift[j]);
  }
}

Status Run(const CpuCall& call) {
  const EpilogueStep& norm = NormOf(call.ref);
  const Sizes s(call.ref, norm.norm);
  const PackedLayout& layout = s.layout;
  const Packed w(s, const_cast<float*>(call.packed->f32()));
  const Memory m(s, call.pool.threads(), call.scratch);
  const MicroKernels micro = CurrentMicro();
  const Epilogue epilogue = BindEpilogue(call, 1);
  const auto row_products = HWY_DYNAMIC_DISPATCH(RowProductsT);
  const int64_t k = s.k, padded = s.padded();
  const auto row_of = [&](int64_t n, int64_t t, int64_t set) { return (n * s.reduced + t) * s.kept + set; };
  const auto sums_of = [&](int64_t i) {  // of set i, in its first chunk
    return m.sums + (i / s.kept * s.chunks() * s.kept + i % s.kept) * s.sum_doubles();
  };

  const int64_t strip = std::max<int64_t>(1, kSumFloats / (s.chunk_rows() * padded));
  const int64_t strips = (s.kept + strip - 1) / strip;
  const auto sum_up = [&](bool only_poor) {
    call.pool.ForEach(s.batch * s.chunks() * strips, [&](int64_t task, int worker) {
      const int64_t n = task / strips / s.chunks(), chunk = task / strips % s.chunks();
      const int64_t begin = chunk * s.chunk_rows(), end = std::min(begin + s.chunk_rows(), s.reduced);
      float* rows = m.rows + worker * m.thread_floats;
      for (int64_t set = task % strips * strip; set < std::min((task % strips + 1) * strip, s.kept); ++set) {
        if (only_poor && !m.poor[n * s.kept + set]) continue;
        const float* centre = m.centre + (n * s.kept + set) * k;
        double* sums = m.sums + ((n * s.chunks() + chunk) * s.kept + set) * s.sum_doubles();
        std::fill_n(sums, s.sum_doubles(), 0.0);
        for (int64_t t = begin; t < end; t += kShortRun) {
          const int64_t count = std::min(kShortRun, end - t);
          for (int64_t r = 0; r < count; ++r) {
            const float* x = call.in[0] + row_of(n, t + r, set) * k;
            for (int64_t i = 0; i < k; ++i) rows[r * padded + i] = x[i] - centre[i];
            for (int64_t i = k; i < padded; ++i) rows[r * padded + i] = 0.0f;
          }
          row_products(rows, count, padded, k, sums, sums + padded);
        }
      }
    });
    // Of each set over all its chunks, where those of the first lay.
    call.pool.ForRange(s.sets(), 16, [&](int64_t first, int64_t last, int) {
      for (int64_t i = first; i < last; ++i) {
        if (only_poor && !m.poor[i]) continue;
        double* sums = sums_of(i);
        for (int64_t c = 1; c < s.chunks(); ++c) {
          for (int64_t j = 0; j < s.sum_doubles(); ++j) sums[j] += sums[c * s.kept * s.sum_doubles() + j];
        }
        m.poor[i] = PoorlyCentred(s, sums);
      }
    });
  };
  for (int64_t i = 0; i < s.sets(); ++i) {
    std::copy_n(call.in[0] + row_of(i / s.kept, 0, i % s.kept) * k, k, m.centre + i * k);
  }
  sum_up(false);
  if (std::any_of(m.poor, m.poor + s.sets(), [](bool poor) { return poor; })) {
    for (int64_t i = 0; i < s.sets(); ++i) {
      if (!m.poor[i]) continue;
      const double* sums = sums_of(i);
      for (int64_t j = 0; j < k; ++j)
        m.centre[i * k + j] += static_cast<float>(sums[j] / static_cast<double>(s.reduced));
    }
    sum_up(true);
  }

  call.pool.ForRange(s.sets(), 16, [&](int64_t first, int64_t last, int) {
    for (int64_t i = first; i < last; ++i) {
      Settle(s, w, m.centre + i * k, sums_of(i), norm.norm.eps, m.rstd + i, m.bias + i * s.panel_floats());
    }
  });

  const int64_t pieces = (s.reduced + s.task_rows() - 1) / s.task_rows();
  const int64_t groups = (s.kept + s.task_sets() - 1) / s.task_sets();
  const int64_t out_ld = s.kept * layout.outputs();
  call.pool.ForEach(s.batch * pieces * groups, [&](int64_t task, int worker) {
    const int64_t n = task / groups / pieces, piece = task / groups % pieces;
    const int64_t end = std::min((piece + 1) * s.task_rows(), s.reduced);
    const int64_t first_set = task % groups * s.task_sets(), last_set = std::min(first_set + s.task_sets(), s.kept);
    float* rows = m.rows + worker * m.thread_floats;
    alignas(kAlignment) float tile[kMaxBlockRows * kMaxPanel];
    for (int64_t t = piece * s.task_rows(); t < end; t += s.step_rows()) {
      const int64_t count = std::min(s.step_rows(), end - t);
      for (int64_t set = first_set; set < last_set; ++set) {
        const bool last = set + 1 == last_set;
        const int64_t next = last ? t + s.step_rows() : t;
        if (s.kept > 1 && next < end) {
          Fetch(epilogue, call.out[0], row_of(n, next, last ? first_set : set + 1) * layout.outputs(),
                std::min(s.step_rows(), end - next), out_ld, layout.outputs());
        }
        const float rstd = m.rstd[n * s.kept + set];
        for (int64_t r = 0; r < count; ++r) {
          const float* x = call.in[0] + row_of(n, t + r, set) * k;
          for (int64_t i = 0; i < k; ++i) rows[r * s.row_ld() + i] = x[i] * rstd;
        }
        const float* bias = m.bias + (n * s.kept + set) * s.panel_floats();
        for (int64_t p = 0; p < layout.panels(); ++p) {
          const bool half = layout.half(p);
          const int panel = half ? s.lanes : s.panel;
          const int64_t first = p * layout.panel_outputs();
          const int64_t width = std::min(layout.panel_outputs(), layout.outputs() - first);
          const GemmTap tap{.a = 0, .b = 0, .k = k};
          for (int64_t r = 0; r < count; r += s.block_rows) {
            const int64_t block = std::min<int64_t>(s.block_rows, count - r);
            (half ? micro.half : micro.full)(block, &tap, 1, rows + r * s.row_ld(), s.row_ld(),
                                             w.weights + layout.bias_floats() + p * s.panel * k, panel,
                                             GemmStart::kBias, bias + p * s.panel, tile, panel);
            ApplyEpilogue(epilogue, tile, panel, s.lanes, block, width, first, call.out[0],
                          row_of(n, t + r, set) * layout.outputs() + first, out_ld);
          }
        }
      }
    }
  });
  return {};
}

const KernelRow kRows[] = {
    {Op::kConv, DeviceKind::kCpu, Tier::kFast, "conv_norm", 2, Supports, Run, Scratch, Pack, 0b110},
};

}  // namespace

std::span<const KernelRow> CpuConvNormKernels() { return kRows; }

}  // namespace timbre
#endif
