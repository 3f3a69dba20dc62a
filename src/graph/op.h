// The operators and their attributes. Layouts are features last: [N, T, C], [N, H, W, C], [N, D, H, W, C].
// What an operator means is stated once, in op_table.cc: its shape rule, its float64 oracle, its tolerance, its cases.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <variant>
#include <vector>

#include "graph/tensor.h"

namespace timbre {

enum class Op : uint8_t {
  kConv,            // x, weight [out, in/groups, k...], bias? [out]
  kConvTranspose,   // x, weight [in, out/groups, k...], bias? [out]
  kLinear,          // x, weight, bias?
  kMatMul,          // a [..., M, K], b [..., K, N]
  kAttention,       // q [N, Tq, H*D], k [N, Tk, H*D], v [N, Tk, H*D]
  kNorm,            // x, gamma? [C], beta? [C]
  kBatchNorm,       // x, mean [C], variance [C], gamma? [C], beta? [C]
  kUnary,           // x
  kBinary,          // a, b, broadcast
  kPRelu,           // x, slope [C] or [1]
  kGlu,             // x [..., 2C] -> [..., C]
  kSoftmax,         // x, over the last axis
  kReduce,          // x
  kReshape,         // x
  kTranspose,       // x
  kSlice,           // x
  kConcat,          // any number
  kPad,             // x
  kUpsample,        // x
  kStft,            // x [N, T, C], window [win] -> [N, frames, bins, 2C]
  kIstft,           // x [N, frames, bins, 2C], window [win] -> [N, T, C]
  kGru,             // x, w_ih, w_hh, b_ih, b_hh, h0 -> y, h
  kLstm,            // x, w_ih, w_hh, b_ih, b_hh, h0, c0 -> y, h, c
  kCumulativeMean,  // x [N, T, C], state [N, C] -> y, state'
  kAliasFreeSnake,  // x [N, T, C], alpha [C], scale [C], up [taps], down [taps]
  kCount
};

// Sizes along depth, height and width; lower-dimensional operators use the last entries and have 1 (or 0) in the first.
using Dims3 = std::array<int32_t, 3>;

struct ConvAttrs {
  int dims = 1;  // spatial dimensions, 1 to 3
  Dims3 kernel{1, 1, 1}, stride{1, 1, 1}, dilation{1, 1, 1};
  Dims3 pad_lo{0, 0, 0}, pad_hi{0, 0, 0};  // zeros
  int groups = 1;
};

// Output size along an axis: (in - 1) * stride + kernel - crop_lo - crop_hi.
// PyTorch's padding p and output_padding o are crop_lo = p, crop_hi = p - o.
struct ConvTransposeAttrs {
  int dims = 1;
  Dims3 kernel{1, 1, 1}, stride{1, 1, 1};
  Dims3 crop_lo{0, 0, 0}, crop_hi{0, 0, 0};
  int groups = 1;
};

// axis -1: y[..., o] = sum_i weight[o, i] x[..., i] + bias[o]; weight [out, in], as torch.nn.Linear.
// axis -2: y[..., o, c] = sum_i weight[o, i] x[..., i, c] + bias[o].
// groups > 1 (axis -1 only): weight [groups, out/groups, in/groups], group g maps its slice of the input to its slice
// of the output.
struct LinearAttrs {
  int axis = -1;
  int groups = 1;
};

struct MatMulAttrs {
  bool transpose_b = false;  // b is [..., N, K]
  float scale = 1.0f;
};

// softmax(scale * q k^T [+ causal mask]) v for each head; head h owns features [h*D, (h+1)*D).
struct AttentionAttrs {
  int heads = 1;
  float scale = 1.0f;
  bool causal = false;
};

// y = (x - mean) / sqrt(var + eps) * gamma + beta with the variance over n (not n - 1).
// Statistics are taken over one group of channels and over every axis between the batch and the channels, except the
// axes in `keep` (bit i = axis i), each index of which has statistics of its own. Group norm: groups = G. Instance
// norm: groups = C. Layer norm: groups = 1 and every middle axis kept.
struct NormAttrs {
  int groups = 1;
  uint32_t keep = 0;
  float eps = 1e-5f;
  bool subtract_mean = true;  // false: root-mean-square norm
};

struct BatchNormAttrs {
  float eps = 1e-5f;
};

enum class UnaryFn : uint8_t {
  kIdentity,
  kRelu,
  kLeakyRelu /*alpha*/,
  kElu /*alpha*/,
  kGelu /*exact, erf*/,
  kSilu,
  kSigmoid,
  kTanh,
  kExp,
  kLog,
  kSqrt,
  kRsqrt,
  kAbs,
  kNeg,
  kSquare,
  kSin,
  kCos,
  kSnake /*x + sin^2(alpha x)/alpha*/,
  kClamp /*[alpha, beta]*/,
  kScale /*alpha x + beta*/,
  kPow /*x^alpha*/
};
struct UnaryAttrs {
  UnaryFn fn = UnaryFn::kIdentity;
  float alpha = 0.0f, beta = 0.0f;
};

// Shapes broadcast as in numpy. kComplexMul: the last axis of both is 2 (re, im) and is not broadcast.
enum class BinaryFn : uint8_t { kAdd, kSub, kMul, kDiv, kMax, kMin, kComplexMul, kAtan2 };
struct BinaryAttrs {
  BinaryFn fn = BinaryFn::kAdd;
};

struct NoAttrs {};

enum class ReduceFn : uint8_t { kSum, kMean, kMax, kMin, kStd /*over n - ddof*/ };
struct ReduceAttrs {
  ReduceFn fn = ReduceFn::kSum;
  uint32_t axes = 0;  // bit i = axis i; reduced axes stay with size 1
  int ddof = 0;
};

struct ReshapeAttrs {
  Shape shape;
};
struct TransposeAttrs {
  std::array<int8_t, Shape::kMaxRank> perm{0, 1, 2, 3, 4, 5};  // out axis i is in axis perm[i]
};
struct SliceAttrs {
  int axis = 0;
  int64_t begin = 0, end = 0, step = 1;  // step > 0
};
struct ConcatAttrs {
  int axis = 0;
};
enum class PadMode : uint8_t { kZero, kReflect, kReplicate };
struct PadAttrs {
  int axis = 0;
  int64_t lo = 0, hi = 0;  // >= 0; for kReflect both < the axis' size
  PadMode mode = PadMode::kZero;
};
struct UpsampleAttrs {  // nearest; factor per axis
  int axis = 0;
  int factor = 2;
};

// Frames of n_fft samples every `hop`, the first starting at sample 0 (padding is a kPad of its own), each multiplied
// by the window (zero-padded to n_fft on both sides where shorter) and transformed. Channel c's real part is feature
// 2c, its imaginary part feature 2c + 1. frames = (T - n_fft) / hop + 1, bins = n_fft / 2 + 1. Multiplied by `scale`.
struct StftAttrs {
  int n_fft = 0, hop = 0;
  float scale = 1.0f;
};
// The inverse: each frame's inverse real transform (1/n_fft included) times `scale` times the window, overlap-added
// every hop, divided by the sum of squared windows, then [crop, crop + length) of the (frames - 1) * hop + n_fft
// samples is kept. The window sum must be above 1e-11 on all that is kept. `normalize` false leaves the division out.
struct IstftAttrs {
  int n_fft = 0, hop = 0;
  int64_t crop = 0, length = 0;
  float scale = 1.0f;
  bool normalize = true;
};

// PyTorch's gates: w_ih [3H or 4H, I], w_hh [3H or 4H, H], biases [3H or 4H]; gate order r, z, n (GRU) or i, f, g, o
// (LSTM). x [N, T, I], h0 [N, H] -> y [N, T, H], h [N, H]. reverse runs from the last step to the first.
struct RnnAttrs {
  bool reverse = false;
};

// state' = x (1 - alpha) + state alpha, step by step along T; y is the state after each step.
struct CumulativeMeanAttrs {
  float alpha = 0.99f;
};

// kAliasFreeSnake (no attributes): Snake at twice the rate, so that its overtones do not fold back. Zeros are put
// between the samples of each channel, the filter 2 up makes y of them, y + scale sin^2(alpha y) follows, the filter
// `down`, and every second sample is kept: as many as there were. Both filters have an even number of taps; a signal
// goes on beyond its ends with its first and last sample, before either of them.

using Attrs =
    std::variant<NoAttrs, ConvAttrs, ConvTransposeAttrs, LinearAttrs, MatMulAttrs, AttentionAttrs, NormAttrs,
                 BatchNormAttrs, UnaryAttrs, BinaryAttrs, ReduceAttrs, ReshapeAttrs, TransposeAttrs, SliceAttrs,
                 ConcatAttrs, PadAttrs, UpsampleAttrs, StftAttrs, IstftAttrs, RnnAttrs, CumulativeMeanAttrs>;

std::string_view NameOf(Op op);
std::string_view NameOf(UnaryFn fn);
std::string_view NameOf(BinaryFn fn);

}  // namespace timbre
