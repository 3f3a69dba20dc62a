// The operators and their attributes. Layouts are features last: [N, T, C], [N, H, W, C], [N, D, H, W, C].
// What an operator means is stated once, in op_table.cc: its shape rule, its float64 oracle, its tolerance, its cases.
// Those live in op_rules.cc, op_loops.h and op_cases.cc.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <span>
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
  kEmbedding,       // ids int32, table [V, C] -> [..., C]
  kRotary,          // x [N, T, H*D], frequencies [R/2], positions? int32 [T] or [N, T]
  kAttention,       // q [N, Tq, H*D], k [N, Tk, G*D], v [N, Tk, G*D]
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
  kStateWrite,      // state, x -> the state after the write, in the same memory (graph/state.h)
  kCount
};

// A number that a graph reads anew in every run: an index into Graph::scalars.
using ScalarId = int32_t;
inline constexpr ScalarId kNoScalar = -1;

// What the scalars of a graph are during a run: four bytes each, an int32 or a float32 as Graph::scalars says.
struct Scalars {
  std::span<const uint32_t> bits;
  int32_t I32(ScalarId id, int32_t otherwise = 0) const {
    return id == kNoScalar ? otherwise : static_cast<int32_t>(bits[static_cast<size_t>(id)]);
  }
  float F32(ScalarId id, float otherwise = 0) const {
    return id == kNoScalar ? otherwise : std::bit_cast<float>(bits[static_cast<size_t>(id)]);
  }
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

// Turns pairs of features of every head by an angle that grows with the row's position (RoPE): features a and b become
// a cos - b sin and b cos + a sin. The first `dims` features of a head are turned, the others pass. Pair i is made of
// features i and i + dims/2 (as in Llama's and NeoX's checkpoints), or 2i and 2i + 1 where interleaved (as in GPT-J's
// and in GGUF's "llama"). Its angle is the float32 product of the position and frequencies[i]: references compute it
// so, and a finer one would be 15 dB from them at two thousand tokens. Row t of x is at positions[t] or, without
// positions, at first + t, or where a scalar is named at that scalar + t.
struct RotaryAttrs {
  int heads = 1;
  int dims = 0;
  bool interleaved = false;
  int64_t first = 0;
  ScalarId at = kNoScalar;  // int32

  int64_t First(const Scalars& scalars) const { return at == kNoScalar ? first : scalars.I32(at); }
};

// softmax(scale * q k^T) v for each head; head h owns features [h*D, (h+1)*D) of q and of the result. With fewer heads
// of keys and values (kv_heads, a divisor of heads; 0: as many), head h uses their head h / (heads / kv_heads).
// Keys from `length` on are not seen (-1: all are); memory there may hold anything.
// Causal: row i of the queries sees the `past` keys that are older than row 0 (-1: length - Tq), and the keys of its
// own block of rows and of those before: keys below past + (i / block + 1) * block.
// Where scalars are named, the run says both; a length below 1 or above the room is taken for that.
struct AttentionAttrs {
  int heads = 1;
  float scale = 1.0f;
  bool causal = false;
  int kv_heads = 0;
  int block = 1;
  int64_t length = -1, past = -1;
  ScalarId valid = kNoScalar, older = kNoScalar;  // int32: length and past of a run

  int key_heads() const { return kv_heads == 0 ? heads : kv_heads; }
  int64_t LengthOf(int64_t keys) const { return length < 0 ? keys : length; }
  bool at_run_time() const { return valid != kNoScalar || older != kNoScalar; }
  // No groups, blocks or lengths: what every kernel takes.
  bool plain() const { return key_heads() == heads && block == 1 && length < 0 && past < 0 && !at_run_time(); }
  // With what the scalars say, where there is room for so many keys.
  AttentionAttrs At(const Scalars& scalars, int64_t queries, int64_t keys) const {
    AttentionAttrs now = *this;
    if (valid != kNoScalar) now.length = std::clamp<int64_t>(scalars.I32(valid), 1, keys);
    if (older != kNoScalar) now.past = scalars.I32(older);
    if (at_run_time()) now.past = std::max<int64_t>(now.PastOf(queries, keys), 0);
    return now;
  }
  int64_t PastOf(int64_t queries, int64_t keys) const { return past < 0 ? LengthOf(keys) - queries : past; }
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
  kPow /*x^alpha*/,
  kGeluTanh /*x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))*/,
  kCount
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

// x takes the places [at, at + x's size along `axis`) of the state; the rest stays. Without `at`, x is the whole state.
struct StateWriteAttrs {
  int axis = 0;
  ScalarId at = kNoScalar;  // int32; places beyond the state's size are the run's error
};

using Attrs = std::variant<NoAttrs, ConvAttrs, ConvTransposeAttrs, LinearAttrs, MatMulAttrs, RotaryAttrs,
                           AttentionAttrs, NormAttrs, BatchNormAttrs, UnaryAttrs, BinaryAttrs, ReduceAttrs,
                           ReshapeAttrs, TransposeAttrs, SliceAttrs, ConcatAttrs, PadAttrs, UpsampleAttrs, StftAttrs,
                           IstftAttrs, RnnAttrs, CumulativeMeanAttrs, StateWriteAttrs>;

std::string_view NameOf(Op op);
std::string_view NameOf(UnaryFn fn);
std::string_view NameOf(BinaryFn fn);

}  // namespace timbre
