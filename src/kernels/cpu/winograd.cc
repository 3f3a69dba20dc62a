// 3x3 convolutions with a quarter of the multiplications: F(4x4, 3x3) of Winograd's minimal filtering (Lavin and Gray,
// "Fast Algorithms for Convolutional Neural Networks", 2015) by the interpolation points 0, +-3/4, +-3/2 and infinity.
// These are exact in binary and keep the rounding error at a third to a fifth of that of the usual points 0, +-1, +-2:
// 119 against 113 dB over 128 channels.
#include <algorithm>
#include <vector>

#include "kernels/cpu/gemm.h"
#include "kernels/cpu/packed_numbers.h"
#include "kernels/cpu/simd.h"
#include "kernels/cpu/stored.h"
#include "kernels/kernel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/winograd.cc"
#include <hwy/foreach_target.h>
// After foreach_target.h, once for every target.
#include <hwy/highway.h>

#include "kernels/cpu/math-inl.h"

#ifndef TIMBRE_KERNELS_CPU_WINOGRAD_
#define TIMBRE_KERNELS_CPU_WINOGRAD_
namespace timbre {
namespace winograd {
inline constexpr float kA = 0.75f, kB = 1.5f;  // the points
inline constexpr float kA2 = kA * kA, kB2 = kB * kB;
inline constexpr int kIn = 6, kOut = 4, kPoints = kIn * kIn;  // a tile's sides
inline constexpr int kTaps = 9;
}  // namespace winograd
}  // namespace timbre
#endif

HWY_BEFORE_NAMESPACE();
namespace timbre {
namespace HWY_NAMESPACE {
namespace {
using namespace winograd;

// B^T d for one line of six.
HWY_INLINE void InputLine(const Vec* d, Vec* out) {
  const Vec p = hn::NegMulAdd(Const(kB2), d[2], d[4]), q = hn::NegMulAdd(Const(kB2), d[1], d[3]);
  const Vec r = hn::NegMulAdd(Const(kA2), d[2], d[4]), s = hn::NegMulAdd(Const(kA2), d[1], d[3]);
  out[0] = hn::MulAdd(Const(kA2 * kB2), d[0], hn::NegMulAdd(Const(kA2 + kB2), d[2], d[4]));
  out[1] = hn::MulAdd(Const(kA), q, p);
  out[2] = hn::NegMulAdd(Const(kA), q, p);
  out[3] = hn::MulAdd(Const(kB), s, r);
  out[4] = hn::NegMulAdd(Const(kB), s, r);
  out[5] = hn::MulAdd(Const(kA2 * kB2), d[1], hn::NegMulAdd(Const(kA2 + kB2), d[3], d[5]));
}

// A^T m for one line of six.
HWY_INLINE void OutputLine(const Vec* m, Vec* out) {
  const Vec sa = hn::Add(m[1], m[2]), da = hn::Sub(m[1], m[2]), sb = hn::Add(m[3], m[4]), db = hn::Sub(m[3], m[4]);
  out[0] = hn::Add(m[0], hn::Add(sa, sb));
  out[1] = hn::MulAdd(Const(kA), da, hn::Mul(Const(kB), db));
  out[2] = hn::MulAdd(Const(kA2), sa, hn::Mul(Const(kB2), sb));
  out[3] = hn::MulAdd(Const(kA2 * kA), da, hn::MulAdd(Const(kB2 * kB), db, m[5]));
}

using WideTag = hn::ScalableTag<double>;
using WideVec = hn::Vec<WideTag>;

// G w for one line of three.
HWY_INLINE void TapLine(WideVec w0, WideVec w1, WideVec w2, WideVec* out) {
  const WideTag d;
  constexpr double a2 = double{kA} * kA, b2 = double{kB} * kB;
  constexpr double scale_a = 1 / (2 * a2 * (a2 - b2)), scale_b = 1 / (2 * b2 * (b2 - a2));
  const auto even = [&](double scale, double square)
                        HWY_ATTR { return hn::MulAdd(hn::Set(d, scale * square), w2, hn::Mul(hn::Set(d, scale), w0)); };
  const WideVec even_a = even(scale_a, a2), odd_a = hn::Mul(hn::Set(d, scale_a * kA), w1);
  const WideVec even_b = even(scale_b, b2), odd_b = hn::Mul(hn::Set(d, scale_b * kB), w1);
  out[0] = hn::Mul(hn::Set(d, 1 / (a2 * b2)), w0);
  out[1] = hn::Add(even_a, odd_a);
  out[2] = hn::Sub(even_a, odd_a);
  out[3] = hn::Add(even_b, odd_b);
  out[4] = hn::Sub(even_b, odd_b);
  out[5] = w2;
}

}  // namespace

// G w G^T, in float64, of `count` channels of the input: taps [count][9][width], value `point` of channel c and column
// n goes to v[point * step + c * width + n].
void TransformTapsT(const float* taps, int64_t count, int64_t width, float* v, int64_t step) {
  const WideTag d;
  const hn::Rebind<float, WideTag> narrow;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t c = 0; c < count; ++c, taps += kTaps * width, v += width) {
    for (int64_t n = 0; n < width; n += lanes) {
      WideVec rows[3][kIn];
#pragma GCC unroll 3
      for (int b = 0; b < 3; ++b) {
        WideVec w[3];
#pragma GCC unroll 3
        for (int a = 0; a < 3; ++a) w[a] = hn::PromoteTo(d, hn::LoadU(narrow, taps + (3 * a + b) * width + n));
        TapLine(w[0], w[1], w[2], rows[b]);
      }
#pragma GCC unroll 6
      for (int i = 0; i < kIn; ++i) {
        WideVec out[kIn];
        TapLine(rows[0][i], rows[1][i], rows[2][i], out);
#pragma GCC unroll 6
        for (int j = 0; j < kIn; ++j) hn::StoreU(hn::DemoteTo(narrow, out[j]), narrow, v + (i * kIn + j) * step + n);
      }
    }
  }
}

// One tile of 6x6 positions, whose channels begin at x[0..36): value `point` of channel c goes to v[point * step + c].
// Meanwhile the positions at next[0..36) are fetched, but for the two columns of them that this tile has.
void InputTileT(const float* const* x, const float* const* next, int64_t channels, float* v, int64_t step) {
  const Tag d;
  for (int64_t c = 0; c < channels; c += kLanes) {
#pragma GCC unroll 6
    for (int i = 0; i < kIn; ++i) {
#pragma GCC unroll 6
      for (int j = kIn - kOut; j < kIn; ++j) __builtin_prefetch(next[i * kIn + j] + c);
    }
    Vec columns[kPoints];  // [column][row]
    for (int j = 0; j < kIn; ++j) {
      Vec line[kIn];
#pragma GCC unroll 6
      for (int i = 0; i < kIn; ++i) line[i] = hn::LoadU(d, x[i * kIn + j] + c);
      InputLine(line, columns + j * kIn);
    }
    for (int i = 0; i < kIn; ++i) {
      Vec line[kIn], out[kIn];
#pragma GCC unroll 6
      for (int j = 0; j < kIn; ++j) line[j] = columns[j * kIn + i];
      InputLine(line, out);
#pragma GCC unroll 6
      for (int j = 0; j < kIn; ++j) hn::StoreU(out[j], d, v + (i * kIn + j) * step + c);
    }
  }
}

// The reverse for one tile's products: m[point * step + c] plus the bias become y[i * row + j * column + c], 4x4
// positions. Meanwhile the same of `next` is fetched.
void OutputTileT(const float* m, int64_t step, int64_t channels, const float* bias, float* y, int64_t row,
                 int64_t column, const float* next) {
  const Tag d;
  for (int64_t c = 0; c < channels; c += kLanes) {
#pragma GCC unroll 4
    for (int i = 0; i < kOut; ++i) {
#pragma GCC unroll 4
      for (int j = 0; j < kOut; ++j) __builtin_prefetch(next + i * row + j * column + c);
    }
    const Vec b = hn::LoadU(d, bias + c);
    Vec columns[kIn * kOut];  // [column][row]
    for (int j = 0; j < kIn; ++j) {
      Vec line[kIn];
#pragma GCC unroll 6
      for (int i = 0; i < kIn; ++i) line[i] = hn::LoadU(d, m + (i * kIn + j) * step + c);
      OutputLine(line, columns + j * kOut);
    }
    for (int i = 0; i < kOut; ++i) {
      Vec line[kIn], out[kOut];
#pragma GCC unroll 6
      for (int j = 0; j < kIn; ++j) line[j] = columns[j * kOut + i];
      OutputLine(line, out);
#pragma GCC unroll 4
      for (int j = 0; j < kOut; ++j) hn::StoreU(hn::Add(out[j], b), d, y + i * row + j * column + c);
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace timbre
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace timbre {
HWY_EXPORT(InputTileT);
HWY_EXPORT(OutputTileT);
HWY_EXPORT(TransformTapsT);

namespace {
using namespace winograd;

// With fewer channels the transforms cost what the product saves.
constexpr int64_t kLeastChannels = 32;
// The transformed weights are four times as large: they may take this many times the memory of what goes in and out.
constexpr int64_t kMostWeights = 6;
// Channels of the output transformed back together.
constexpr int64_t kOutBlock = 256;
// Channels of the input whose taps are transformed in a task, and widened together before.
constexpr int64_t kTaskChannels = 64, kWidenedChannels = 8;

// Whether a node keeps the taps of its filter as they are stored and transforms them in every run, instead of the
// transformed ones, which are four times as many: where enough tiles share that work.
bool KeepsTaps(const NodeRef& ref) {
  constexpr int64_t kManyTiles = 256;
  const Shape& y = ref.out();
  return y[0] * ((y[1] + kOut - 1) / kOut) * ((y[2] + kOut - 1) / kOut) >= kManyTiles;
}

int64_t PackedBytesOf(const NodeRef& ref) {
  if (KeepsTaps(ref)) return PackedBytes(ref, 0b110, 0b010);
  return PackedBytes(ref, 0b010, 0) / kTaps * kPoints + PackedBytes(ref, 0b100, 0);
}

struct WinogradShape {
  int64_t batch, height, width, in, out_height, out_width, out, pad_h, pad_w;
  int64_t tiles_h, tiles_w;
  bool glu = false, keeps_taps;
  MicroKernels micro = CurrentMicro();

  explicit WinogradShape(const NodeRef& ref) : keeps_taps(KeepsTaps(ref)) {
    const Shape &x = ref.in(0), &y = ref.out();
    const auto& attrs = ref.attrs<ConvAttrs>();
    batch = x[0], height = x[1], width = x[2], in = x[3];
    out_height = y[1], out_width = y[2], out = ref.in(1)[0];
    pad_h = attrs.pad_lo[1], pad_w = attrs.pad_lo[2];
    for (const EpilogueStep& step : ref.node.epilogue) glu = glu || step.kind == EpilogueStep::Kind::kGlu;
    tiles_h = (out_height + kOut - 1) / kOut, tiles_w = (out_width + kOut - 1) / kOut;
  }
  int64_t tiles() const { return batch * tiles_h * tiles_w; }
  // Of a task: few, so that what passes between the transforms stays in the second-level cache, but more where fetching
  // the weights is what counts; and few enough for three tasks a thread.
  int64_t task_tiles(int threads) const {
    constexpr int64_t kFew = 28, kMore = 56, kLargeWeights = (8 << 20) / sizeof(float);
    const int64_t most = (kPoints * point_floats() > kLargeWeights ? kMore : kFew) / micro.block_rows;
    return std::clamp<int64_t>(tiles() / (3 * threads * micro.block_rows), 1, most) * micro.block_rows;
  }
  // Distances between the points' planes, kept from being powers of two.
  int64_t in_step(int64_t count) const { return count * in + 48; }
  int64_t out_step(int64_t count) const { return count * kOutBlock + 48; }
  int64_t worker_floats(int threads) const {
    const int64_t count = task_tiles(threads);
    return kPoints * (in_step(count) + out_step(count)) + kOut * kOut * kOutBlock;
  }
  int64_t point_floats() const { return in * out; }
  int64_t points_floats() const { return kPoints * point_floats(); }
  // The products' columns are the outputs in order, but with a gate each block has its values first, then their gates.
  int64_t OutputOf(int64_t column) const {
    if (!glu) return column;
    const int64_t block = column / kOutBlock * kOutBlock, half = std::min(kOutBlock, out - block) / 2,
                  at = column - block;
    return at < half ? block / 2 + at : out / 2 + block / 2 + at - half;
  }
};

bool Supports(const NodeRef& ref, const DeviceCaps&) {
  const auto& a = ref.attrs<ConvAttrs>();
  const int64_t in = ref.in(0).back(), out = ref.in(1)[0];
  if (a.dims != 2 || a.kernel != Dims3{1, 3, 3} || a.stride != Dims3{1, 1, 1} || a.dilation != Dims3{1, 1, 1})
    return false;
  return a.groups == 1 && in % 16 == 0 && in >= kLeastChannels && out % 16 == 0 && out >= kLeastChannels &&
         kPoints * in * out <= kMostWeights * (ref.in(0).elements() + ref.out().elements()) && ref.constant(1) &&
         (!ref.has(2) || ref.constant(2)) && EpilogueServable(ref);
}

size_t Scratch(const NodeRef& ref, const DeviceCaps& caps) {
  const WinogradShape s(ref);
  const int64_t points = s.keeps_taps ? s.points_floats() : 0;
  return (points + caps.threads * s.worker_floats(caps.threads) + s.in) * sizeof(float);
}

// Calls visit(first column of a panel, its width, channel of the input) for all of them in turn.
template <typename Visit>
void ForPanels(const WinogradShape& s, const Visit& visit) {
  for (int64_t first = 0; first < s.out; first += s.micro.panel) {
    for (int64_t k = 0; k < s.in; ++k) visit(first, std::min<int64_t>(s.micro.panel, s.out - first), k);
  }
}

// The taps of channel k for `width` columns, [9][width].
template <typename Number>
void CopyTaps(const WinogradShape& s, const Number* weight, int64_t first, int64_t width, int64_t k, Number* to) {
  for (int64_t n = 0; n < width; ++n) {
    const Number* from = weight + (s.OutputOf(first + n) * s.in + k) * kTaps;
    for (int64_t t = 0; t < kTaps; ++t) to[t * width + n] = from[t];
  }
}

// The bias, then the weights, both in the columns' order: for each point panels of [in][panel], or panels of
// [in][9 taps][panel] as they are stored.
Result<AlignedBytes> Pack(const NodeRef& ref, const DeviceCaps&) {
  const WinogradShape s(ref);
  const DType type = PackedType(ref.value(1));
  const size_t bytes = s.keeps_taps ? BytesOf(type, kTaps * s.point_floats()) : s.points_floats() * sizeof(float);
  TIMBRE_TRY(AlignedBytes packed, AlignedBytes::Allocate(s.out * sizeof(float) + bytes, true));
  if (ref.has(2)) {
    const FloatView bias(ref.value(2));
    for (int64_t n = 0; n < s.out; ++n) packed.f32()[n] = bias[s.OutputOf(n)];
  }
  float* const weights = packed.f32() + s.out;
  if (s.keeps_taps) {
    TIMBRE_CHECK(WithNumbers(ref.value(1), type, [&]<typename Number>(const Number* weight) {
      ForPanels(s, [&](int64_t first, int64_t width, int64_t k) {
        CopyTaps(s, weight, first, width, k, reinterpret_cast<Number*>(weights) + (first * s.in + k * width) * kTaps);
      });
    }));
    return packed;
  }
  const FloatView weight(ref.value(1));
  const auto transform = HWY_DYNAMIC_DISPATCH(TransformTapsT);
  ForPanels(s, [&](int64_t first, int64_t width, int64_t k) {
    float taps[kTaps * kMaxPanel];
    CopyTaps(s, weight.data(), first, width, k, taps);
    transform(taps, 1, width, weights + first * s.in + k * width, s.point_floats());
  });
  return packed;
}

// Transforms the taps that were packed of weights stored as `type`.
void TransformAll(const WinogradShape& s, DType type, const std::byte* taps, float* points, ThreadPool& pool) {
  const auto transform = HWY_DYNAMIC_DISPATCH(TransformTapsT);
  const int64_t panel = s.micro.panel, panels = (s.out + panel - 1) / panel;
  const int64_t chunks = (s.in + kTaskChannels - 1) / kTaskChannels;
  pool.ForEach(panels * chunks, [&](int64_t task, int) {
    const int64_t first = task / chunks * panel, width = std::min(panel, s.out - first);
    const int64_t begin = task % chunks * kTaskChannels, end = std::min(begin + kTaskChannels, s.in);
    alignas(kAlignment) float widened[kWidenedChannels * kTaps * kMaxPanel];
    for (int64_t k = begin; k < end; k += kWidenedChannels) {
      const int64_t count = std::min(kWidenedChannels, end - k);
      const std::byte* const from = taps + BytesOf(type, (first * s.in + k * width) * kTaps);
      if (type != DType::kF32) WidenStored(from, type, count * kTaps * width, widened);
      transform(type == DType::kF32 ? reinterpret_cast<const float*>(from) : widened, count, width,
                points + first * s.in + k * width, s.point_floats());
    }
  });
}

Status Run(const CpuCall& call) {
  const WinogradShape s(call.ref);
  const Epilogue epilogue = BindEpilogue(call);
  const auto input_tile = HWY_DYNAMIC_DISPATCH(InputTileT);
  const auto output_tile = HWY_DYNAMIC_DISPATCH(OutputTileT);
  const int threads = call.pool.threads();
  const float *const bias = call.packed->f32(), *weights = bias + s.out;
  float* scratch = call.scratch;
  if (s.keeps_taps) {
    TransformAll(s, PackedType(call.ref.value(1)), reinterpret_cast<const std::byte*>(weights), scratch, call.pool);
    weights = scratch;
    scratch += s.points_floats();
  }
  float* zeros = scratch + threads * s.worker_floats(threads);
  std::fill_n(zeros, s.in, 0.0f);

  const int64_t task_tiles = s.task_tiles(threads), halves = s.glu ? 2 : 1, features = s.out / halves;
  call.pool.ForEach((s.tiles() + task_tiles - 1) / task_tiles, [&](int64_t task, int worker) {
    const int64_t first = task * task_tiles, count = std::min(task_tiles, s.tiles() - first);
    const int64_t in_step = s.in_step(task_tiles), out_step = s.out_step(task_tiles);
    float* v = scratch + worker * s.worker_floats(threads);
    float* m = v + kPoints * in_step;
    float* y = m + kPoints * out_step;
    const auto corner = [&](int64_t tile, int64_t* n, int64_t* h, int64_t* w) {
      *w = tile % s.tiles_w * kOut;
      *h = tile / s.tiles_w % s.tiles_h * kOut;
      *n = tile / s.tiles_w / s.tiles_h;
    };
    const auto positions = [&](int64_t tile, const float** x) {
      int64_t n, h, w;
      corner(tile, &n, &h, &w);
      for (int i = 0; i < kIn; ++i) {
        const int64_t row = h - s.pad_h + i;
        for (int j = 0; j < kIn; ++j) {
          const int64_t column = w - s.pad_w + j;
          const bool inside = row >= 0 && row < s.height && column >= 0 && column < s.width;
          x[i * kIn + j] = inside ? call.in[0] + ((n * s.height + row) * s.width + column) * s.in : zeros;
        }
      }
    };
    const float* x[2][kPoints];
    positions(first, x[0]);
    for (int64_t t = 0; t < count; ++t) {
      positions(first + std::min(t + 1, count - 1), x[(t + 1) % 2]);
      input_tile(x[t % 2], x[(t + 1) % 2], s.in, v + t * s.in, in_step);
    }
    const GemmTap tap{.a = 0, .b = 0, .k = s.in};
    for (int64_t block = 0; block < s.out; block += kOutBlock) {
      const int64_t channels = std::min(kOutBlock, s.out - block);
      for (int point = 0; point < kPoints; ++point) {
        for (int64_t j = 0; j < channels; j += s.micro.panel) {
          const int64_t panel = std::min<int64_t>(s.micro.panel, s.out - block - j);
          const float* w = weights + point * s.point_floats() + (block + j) * s.in;
          float* to = m + point * out_step + j;
          if (panel < s.micro.panel) {
            s.micro.half(count, &tap, 1, v + point * in_step, s.in, w, panel, GemmStart::kZero, nullptr, to, channels);
            continue;
          }
          // The panel after this one: beside it, or of the next point, or the next block's first.
          const float* next = j + panel < channels       ? w + panel * s.in
                              : point + 1 < kPoints      ? weights + (point + 1) * s.point_floats() + block * s.in
                              : block + channels < s.out ? weights + (block + channels) * s.in
                                                         : weights;
          s.micro.full_fetching(count, s.in, v + point * in_step, s.in, w, panel, to, channels, next);
        }
      }
      const auto offset_of = [&](int64_t tile) {
        int64_t n, h, w;
        corner(tile, &n, &h, &w);
        return ((n * s.out_height + h) * s.out_width + w) * features + block / halves;
      };
      // Whole tiles with nothing to do to them go straight to memory.
      const int64_t row = s.out_width * features;
      for (int64_t t = 0; t < count; ++t) {
        int64_t n, h, w;
        corner(first + t, &n, &h, &w);
        const float* products = m + t * channels;
        const int64_t offset = offset_of(first + t);
        const int64_t rows = std::min<int64_t>(kOut, s.out_height - h),
                      columns = std::min<int64_t>(kOut, s.out_width - w);
        if (epilogue.count == 0 && rows == kOut && columns == kOut) {
          const float* next = call.out[0] + offset_of(first + std::min(t + 1, count - 1));
          output_tile(products, out_step, channels, bias + block, call.out[0] + offset, row, features, next);
          continue;
        }
        output_tile(products, out_step, channels, bias + block, y, kOut * channels, channels, y);
        for (int64_t i = 0; i < rows; ++i) {
          ApplyEpilogue(epilogue, y + i * kOut * channels, channels, channels / 2, columns, channels / halves,
                        block / halves, call.out[0], offset + i * row, features);
        }
      }
    }
  });
  return {};
}

const KernelRow kRows[] = {
    {Op::kConv, DeviceKind::kCpu, Tier::kFast, "conv_winograd", 3, Supports, Run, Scratch, Pack, 0b110, PackedBytesOf},
};

}  // namespace

std::span<const KernelRow> CpuWinogradKernels() { return kRows; }

}  // namespace timbre
#endif
