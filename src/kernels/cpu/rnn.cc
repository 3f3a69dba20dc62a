// Layers that go through a sequence step by step. Rows of the batch are independent, so threads share them; the inputs'
// part of all gates is one product over the whole sequence.
#include <algorithm>
#include <cstring>
#include <vector>

#include "kernels/cpu/float_view.h"
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/simd.h"
#include "kernels/kernel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/rnn.cc"
#include <hwy/foreach_target.h>
// After foreach_target.h, once for every target.
#include <hwy/highway.h>

#include "kernels/cpu/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace timbre {
namespace HWY_NAMESPACE {

namespace {

// y[j] = bias[j] + sum over i of x[i] w[i][j] for kCount panels of two vectors, each [size][panel]. One row alone waits
// for its sums unless many of them are under way.
template <int kCount>
HWY_INLINE void RowTimesPanels(const float* x, int64_t size, const float* w, const float* bias, float* y) {
  const Tag d;
  constexpr int kPanel = 2 * kLanes;
  Vec acc[2 * kCount];
#pragma GCC unroll 16
  for (int j = 0; j < 2 * kCount; ++j) acc[j] = hn::LoadU(d, bias + j * kLanes);
  for (int64_t i = 0; i < size; ++i) {
    const Vec a = Const(x[i]);
#pragma GCC unroll 16
    for (int j = 0; j < 2 * kCount; ++j) {
      acc[j] = hn::MulAdd(a, hn::LoadU(d, w + (j / 2 * size + i) * kPanel + j % 2 * kLanes), acc[j]);
    }
  }
#pragma GCC unroll 16
  for (int j = 0; j < 2 * kCount; ++j) hn::StoreU(acc[j], d, y + j * kLanes);
}

}  // namespace

// A row of state times all whole panels of its weights.
void RowTimesWeightsT(const float* x, int64_t size, const float* w, const float* bias, int64_t panels, float* y) {
  constexpr int kPanel = 2 * kLanes;
  int64_t p = 0;
  for (; p + 4 <= panels; p += 4) RowTimesPanels<4>(x, size, w + p * size * kPanel, bias + p * kPanel, y + p * kPanel);
  for (; p < panels; ++p) RowTimesPanels<1>(x, size, w + p * size * kPanel, bias + p * kPanel, y + p * kPanel);
}

// One row's step. x and r hold the inputs' and the state's part of the gates, `size` floats each; h and c are the
// state. Whole vectors are read and written: all have room for one more.
void GruStepT(const float* x, const float* r, float* h, float*, int64_t size) {
  const Tag d;
  for (int64_t i = 0; i < size; i += kLanes) {
    const Vec reset = Sigmoid(hn::Add(hn::LoadU(d, x + i), hn::LoadU(d, r + i)));
    const Vec keep = Sigmoid(hn::Add(hn::LoadU(d, x + size + i), hn::LoadU(d, r + size + i)));
    const Vec fresh = Tanh(hn::MulAdd(reset, hn::LoadU(d, r + 2 * size + i), hn::LoadU(d, x + 2 * size + i)));
    hn::StoreU(hn::MulAdd(keep, hn::Sub(hn::LoadU(d, h + i), fresh), fresh), d, h + i);
  }
}

void LstmStepT(const float* x, const float* r, float* h, float* c, int64_t size) {
  const Tag d;
  const auto sum = [&](int64_t i) HWY_ATTR { return hn::Add(hn::LoadU(d, x + i), hn::LoadU(d, r + i)); };
  for (int64_t i = 0; i < size; i += kLanes) {
    const Vec in = Sigmoid(sum(i)), forget = Sigmoid(sum(size + i)), fresh = Tanh(sum(2 * size + i));
    const Vec state = hn::MulAdd(forget, hn::LoadU(d, c + i), hn::Mul(in, fresh));
    hn::StoreU(state, d, c + i);
    hn::StoreU(hn::Mul(Sigmoid(sum(3 * size + i)), Tanh(state)), d, h + i);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace timbre
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace timbre {
HWY_EXPORT(GruStepT);
HWY_EXPORT(LstmStepT);
HWY_EXPORT(RowTimesWeightsT);

namespace {

constexpr int64_t kVectorRoom = 16;  // floats in the widest vector

struct RnnShape {
  int64_t rows, steps, in, hidden, gates;
  int64_t rows_a_task;

  explicit RnnShape(const NodeRef& ref)
      : rows(ref.in(0)[0]),
        steps(ref.in(0)[1]),
        in(ref.in(0)[2]),
        hidden(ref.in(2)[1]),
        gates(ref.node.op == Op::kGru ? 3 : 4),
        rows_a_task(CurrentMicro().block_rows) {}
  int64_t width() const { return gates * hidden; }
  int64_t padded() const { return (hidden + kVectorRoom - 1) / kVectorRoom * kVectorRoom; }
  GemmShape inputs() const { return {.m = rows * steps, .k = in, .n = width(), .row_bytes = in * 4}; }
  int64_t input_floats() const { return rows * steps * width() + kVectorRoom; }
  int64_t worker_floats() const { return rows_a_task * (width() + 2 * padded()) + kVectorRoom; }
};

bool RnnSupports(const NodeRef& ref, const DeviceCaps&) {
  return ref.node.epilogue.empty() && ref.constant(1) && ref.constant(2) && (!ref.has(3) || ref.constant(3)) &&
         (!ref.has(4) || ref.constant(4));
}

size_t RnnScratch(const NodeRef& ref, const DeviceCaps& caps) {
  const RnnShape s(ref);
  return GemmScratchBytes(s.inputs(), caps.threads) +
         (s.input_floats() + caps.threads * s.worker_floats()) * sizeof(float);
}

// The inputs' weights with their biases, then the state's.
Result<AlignedBytes> RnnPack(const NodeRef& ref, const DeviceCaps&) {
  const RnnShape s(ref);
  const PackedLayout inputs(s.in, s.width(), false), state(s.hidden, s.width(), false);
  TIMBRE_TRY(AlignedBytes packed, AlignedBytes::Allocate((inputs.floats() + state.floats()) * sizeof(float)));
  const auto pack = [&](const PackedLayout& layout, int weight_input, float* to) {
    const FloatView w(ref.value(weight_input));
    const std::vector<float> bias =
        ref.has(weight_input + 2) ? ref.value(weight_input + 2).ToF32() : std::vector<float>();
    PackWeights(
        layout, [&](int64_t i, int64_t j) { return w[j * layout.k + i]; }, bias.empty() ? nullptr : bias.data(), to);
  };
  pack(inputs, 1, packed.f32());
  pack(state, 2, packed.f32() + inputs.floats());
  return packed;
}

Status RnnRun(const CpuCall& call) {
  const RnnShape s(call.ref);
  const MicroKernels micro = CurrentMicro();
  const PackedLayout inputs(s.in, s.width(), false), state(s.hidden, s.width(), false);
  const bool gru = call.ref.node.op == Op::kGru, reverse = call.ref.attrs<RnnAttrs>().reverse;
  const auto step = gru ? HWY_DYNAMIC_DISPATCH(GruStepT) : HWY_DYNAMIC_DISPATCH(LstmStepT);
  const auto row_times_weights = HWY_DYNAMIC_DISPATCH(RowTimesWeightsT);
  float* from_inputs = call.scratch + GemmScratchBytes(s.inputs(), call.pool.threads()) / sizeof(float);
  float* workers = from_inputs + s.input_floats();
  Gemm(PlainRows(call.in[0], s.in, s.in), s.inputs(), call.packed->f32(), Epilogue{}, from_inputs, s.width(), 0,
       call.scratch, call.pool);

  const float* weights = call.packed->f32() + inputs.floats();
  const int64_t tasks = (s.rows + s.rows_a_task - 1) / s.rows_a_task;
  call.pool.ForEach(tasks, [&](int64_t task, int worker) {
    const int64_t first = task * s.rows_a_task, rows = std::min(s.rows_a_task, s.rows - first);
    float* h = workers + worker * s.worker_floats();
    float* c = h + s.rows_a_task * s.padded();
    float* from_state = c + s.rows_a_task * s.padded();
    std::fill_n(h, 2 * s.rows_a_task * s.padded(), 0.0f);
    for (int64_t r = 0; r < rows; ++r) {
      std::memcpy(h + r * s.padded(), call.in[5] + (first + r) * s.hidden, s.hidden * sizeof(float));
      if (!gru) std::memcpy(c + r * s.padded(), call.in[6] + (first + r) * s.hidden, s.hidden * sizeof(float));
    }
    alignas(kAlignment) float tile[kMaxBlockRows * kMaxPanel];
    for (int64_t i = 0; i < s.steps; ++i) {
      const int64_t t = reverse ? s.steps - 1 - i : i;
      const GemmTap tap{.a = 0, .b = 0, .k = s.hidden};
      int64_t whole = 0;  // panels done
      if (rows == 1) {
        whole = s.width() / micro.panel;
        row_times_weights(h, s.hidden, weights + state.bias_floats(), weights, whole, from_state);
      }
      for (int64_t p = whole; p < state.panels(); ++p) {
        const bool half = state.half(p);
        const int64_t panel = half ? micro.lanes : micro.panel, column = p * micro.panel;
        const int64_t width = std::min(panel, s.width() - column);
        float* to = width == panel ? from_state + column : tile;
        const int64_t ld = width == panel ? s.width() : panel;
        (half ? micro.half : micro.full)(rows, &tap, 1, h, s.padded(),
                                         weights + state.bias_floats() + column * s.hidden, panel, GemmStart::kBias,
                                         weights + column, to, ld);
        if (to != tile) continue;
        for (int64_t r = 0; r < rows; ++r) {
          std::memcpy(from_state + r * s.width() + column, tile + r * panel, width * sizeof(float));
        }
      }
      for (int64_t r = 0; r < rows; ++r) {
        const int64_t at = (first + r) * s.steps + t;
        float* hr = h + r * s.padded();
        step(from_inputs + at * s.width(), from_state + r * s.width(), hr, c + r * s.padded(), s.hidden);
        std::memcpy(call.out[0] + at * s.hidden, hr, s.hidden * sizeof(float));
      }
    }
    for (int64_t r = 0; r < rows; ++r) {
      std::memcpy(call.out[1] + (first + r) * s.hidden, h + r * s.padded(), s.hidden * sizeof(float));
      if (!gru) std::memcpy(call.out[2] + (first + r) * s.hidden, c + r * s.padded(), s.hidden * sizeof(float));
    }
  });
  return {};
}

// x [N, T, C], state [N, C].
Status CumulativeMeanRun(const CpuCall& call) {
  const Shape& x = call.ref.in(0);
  const int64_t steps = x[1], width = x[2];
  const float alpha = call.ref.attrs<CumulativeMeanAttrs>().alpha, fresh = 1.0f - alpha;
  for (int64_t n = 0; n < x[0]; ++n) {
    const float* state = call.in[1] + n * width;
    for (int64_t t = 0; t < steps; ++t) {
      const float* from = call.in[0] + (n * steps + t) * width;
      float* to = call.out[0] + (n * steps + t) * width;
      for (int64_t c = 0; c < width; ++c) to[c] = from[c] * fresh + state[c] * alpha;
      state = to;
    }
    std::memcpy(call.out[1] + n * width, state, width * sizeof(float));
  }
  return {};
}

const KernelRow kRows[] = {
    {Op::kGru, DeviceKind::kCpu, Tier::kFast, "gru_product", 1, RnnSupports, RnnRun, RnnScratch, RnnPack, 0b11110},
    {Op::kLstm, DeviceKind::kCpu, Tier::kFast, "lstm_product", 1, RnnSupports, RnnRun, RnnScratch, RnnPack, 0b11110},
    {Op::kCumulativeMean, DeviceKind::kCpu, Tier::kFast, "cumulative_mean_rows", 1, nullptr, CumulativeMeanRun},
};

}  // namespace

std::span<const KernelRow> CpuRnnKernels() { return kRows; }

}  // namespace timbre
#endif
