// Layers that go through a sequence step by step. Rows of the batch are independent, so threads share them; the inputs'
// part of all gates is one product over the whole sequence.
#include <algorithm>
#include <cstring>
#include <vector>

#include "kernels/cpu/gemm.h"
#include "kernels/cpu/packed_numbers.h"
#include "kernels/cpu/simd.h"
#include "kernels/cpu/stored.h"
#include "kernels/kernel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/rnn.cc"
#include <hwy/foreach_target.h>
// After foreach_target.h, once for every target.
#include <hwy/highway.h>

#include "kernels/cpu/math-inl.h"
#include "kernels/cpu/stored-inl.h"

HWY_BEFORE_NAMESPACE();
namespace timbre {
namespace HWY_NAMESPACE {

namespace {

// Vectors of units that one pass over the state makes: all gates of them are in registers at once.
#if HWY_TARGET <= HWY_AVX3 || HWY_ARCH_ARM_A64
constexpr int UnitsOf(int) { return 4; }
#else
constexpr int UnitsOf(int rows) { return rows == 1 ? 4 : 2; }
#endif

HWY_INLINE Vec LoadFirst(const float* from, int64_t count) {
  const Tag d;
  if (count >= kLanes) return hn::LoadU(d, from);
  HWY_ALIGN float lanes[kLanes] = {};
  std::memcpy(lanes, from, count * sizeof(float));
  return hn::Load(d, lanes);
}

HWY_INLINE void StoreFirst(Vec v, float* to, int64_t count) {
  const Tag d;
  if (count >= kLanes) return hn::StoreU(v, d, to);
  HWY_ALIGN float lanes[kLanes];
  hn::Store(v, d, lanes);
  std::memcpy(to, lanes, count * sizeof(float));
}

// One step of kRows rows for kUnits vectors of units. The weights come as one stream, [size][3 gates][kUnits] vectors:
// for one row they are the whole cost, and caches give a stream faster than several, and one of halves, which are
// widened here, faster than one of floats. Behind the last product a group's gates overlap with the next group's loads.
template <typename Stored, int kRows, int kUnits>
HWY_INLINE void GruGroup(const float* const* x, const float* const* h, float* const* out, int64_t size, int64_t first,
                         const uint8_t* w, const float* bias) {
  const Tag d;
  Vec acc[kRows][3][kUnits];
#pragma GCC unroll 2
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int u = 0; u < kUnits; ++u) {
      const int64_t unit = first + u * kLanes;
      acc[r][0][u] = hn::LoadU(d, x[r] + unit);
      acc[r][1][u] = hn::LoadU(d, x[r] + size + unit);
      acc[r][2][u] = hn::LoadU(d, bias + unit);
    }
  }
  for (int64_t k = 0; k < size; ++k) {
    Vec a[kRows];
#pragma GCC unroll 2
    for (int r = 0; r < kRows; ++r) a[r] = Const(h[r][k]);
#pragma GCC unroll 3
    for (int g = 0; g < 3; ++g) {
#pragma GCC unroll 4
      for (int u = 0; u < kUnits; ++u) {
        const Vec b = Stored::Load(w + (g * kUnits + u) * kLanes * Stored::kBytes);
#pragma GCC unroll 2
        for (int r = 0; r < kRows; ++r) acc[r][g][u] = hn::MulAdd(a[r], b, acc[r][g][u]);
      }
    }
    w += 3 * kUnits * kLanes * Stored::kBytes;
  }
#pragma GCC unroll 2
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int u = 0; u < kUnits; ++u) {
      const int64_t unit = first + u * kLanes, left = size - unit;
      const Vec reset = Sigmoid(acc[r][0][u]), keep = Sigmoid(acc[r][1][u]);
      const Vec fresh = Tanh(hn::MulAdd(reset, acc[r][2][u], hn::LoadU(d, x[r] + 2 * size + unit)));
      StoreFirst(hn::MulAdd(keep, hn::Sub(LoadFirst(h[r] + unit, left), fresh), fresh), out[r] + unit, left);
    }
  }
}

template <typename Stored, int kRows, int kUnits>
HWY_INLINE int64_t GruGroups(const float* const* x, const float* const* h, float* const* out, int64_t size,
                             int64_t first, const uint8_t* w, const float* bias) {
  // The last vector of units may be narrower than a vector.
  for (; first + (kUnits - 1) * kLanes < size; first += kUnits * kLanes) {
    GruGroup<Stored, kRows, kUnits>(x, h, out, size, first, w + 3 * size * first * Stored::kBytes, bias);
  }
  return first;
}

template <typename Stored, int kRows, int kUnits>
void GruRows(const float* const* x, const float* const* h, float* const* out, int64_t size, const float* bias,
             const uint8_t* w) {
  int64_t first = GruGroups<Stored, kRows, kUnits>(x, h, out, size, 0, w, bias);
  if constexpr (kUnits > 2) first = GruGroups<Stored, kRows, 2>(x, h, out, size, first, w, bias);
  GruGroups<Stored, kRows, 1>(x, h, out, size, first, w, bias);
}

template <typename Stored>
void GruFewStepOf(int rows, int of, const float* const* x, const float* const* h, float* const* out, int64_t size,
                  const float* bias, const uint8_t* w) {
  if (rows == 2) return GruRows<Stored, 2, UnitsOf(2)>(x, h, out, size, bias, w);
  if (of == 2) return GruRows<Stored, 1, UnitsOf(2)>(x, h, out, size, bias, w);
  return GruRows<Stored, 1, UnitsOf(1)>(x, h, out, size, bias, w);
}

}  // namespace

// Whether halves are widened in about the time that they spare: with an instruction for them.
bool WidensHalvesT() { return HWY_TARGET <= HWY_AVX2 || HWY_ARCH_ARM_A64 != 0; }

// One step of the rows [0, rows), one or two, of a sequence of `of` rows. x: the inputs' part of the gates with the
// state's biases of the first two in it, readable for a vector more. h: the state, `size` floats; out: the next one's,
// which is not h. bias: of the last gate, whole vectors. w: the groups of weights, of `type`; narrow ones only where
// WidensHalvesT().
void GruFewStepT(int rows, int of, const float* const* x, const float* const* h, float* const* out, int64_t size,
                 const float* bias, const std::byte* w, [[maybe_unused]] DType type) {
  const auto* const bytes = reinterpret_cast<const uint8_t*>(w);
#if HWY_TARGET <= HWY_AVX2 || HWY_ARCH_ARM_A64
  if (type == DType::kF16) return GruFewStepOf<StoredF16>(rows, of, x, h, out, size, bias, bytes);
  if (type == DType::kBF16) return GruFewStepOf<StoredBF16>(rows, of, x, h, out, size, bias, bytes);
#endif
  GruFewStepOf<StoredF32>(rows, of, x, h, out, size, bias, bytes);
}

int UnitVectorsT(int of) { return UnitsOf(of); }

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
HWY_EXPORT(GruFewStepT);
HWY_EXPORT(UnitVectorsT);
HWY_EXPORT(WidensHalvesT);

namespace {

constexpr int64_t kVectorRoom = 16;  // floats in the widest vector

// Whether the weights of the state stay as they are stored: they are then widened once a run, which takes enough steps,
// of all rows together.
bool KeepsStateWeights(const NodeRef& ref) {
  constexpr int64_t kManySteps = 64;
  return ref.in(0)[0] * ref.in(0)[1] >= kManySteps;
}

struct RnnShape {
  int64_t rows, steps, in, hidden, gates;
  int64_t rows_a_task;
  DType input_type, state_type;  // that the weights of the inputs and of the state are packed in

  explicit RnnShape(const NodeRef& ref)
      : rows(ref.in(0)[0]),
        steps(ref.in(0)[1]),
        in(ref.in(0)[2]),
        hidden(ref.in(2)[1]),
        gates(ref.node.op == Op::kGru ? 3 : 4),
        rows_a_task(CurrentMicro().block_rows),
        input_type(PackedType(ref.value(1))),
        state_type(KeepsStateWeights(ref) ? PackedType(ref.value(2)) : DType::kF32) {}
  int64_t width() const { return gates * hidden; }
  int64_t padded() const { return (hidden + kVectorRoom - 1) / kVectorRoom * kVectorRoom; }
  GemmShape inputs() const {
    return {.m = rows * steps, .k = in, .n = width(), .row_bytes = in * 4, .type = input_type};
  }
  PackedLayout state() const { return {hidden, width(), false, 1, state_type}; }
  int64_t input_floats() const { return rows * steps * width() + kVectorRoom; }
  int64_t worker_floats() const { return rows_a_task * (width() + 2 * padded()) + kVectorRoom; }
};

// A block that begins with `floats` floats, behind which lie `count` numbers: those, and as float32.
struct Block {
  DType type;
  int64_t floats, count;

  int64_t packed_floats() const { return floats + (type == DType::kF32 ? count : (count + 1) / 2); }
  int64_t widened_floats() const { return type == DType::kF32 ? 0 : (floats + count + 15) / 16 * 16; }
  // Itself where all of it is floats already.
  const float* Widened(const float* packed, float* to, ThreadPool& pool) const {
    if (type == DType::kF32) return packed;
    std::copy_n(packed, floats, to);
    const auto* from = reinterpret_cast<const std::byte*>(packed + floats);
    pool.ForRange(count, 1 << 14, [&](int64_t begin, int64_t end, int) {
      WidenStored(from + BytesOf(type, begin), type, end - begin, to + floats + begin);
    });
    return to;
  }
};

Block StateBlock(const RnnShape& s) {
  const PackedLayout layout = s.state();
  return {layout.type, layout.bias_floats(), layout.numbers()};
}

bool RnnSupports(const NodeRef& ref, const DeviceCaps&) {
  return ref.node.epilogue.empty() && ref.constant(1) && ref.constant(2) && (!ref.has(3) || ref.constant(3)) &&
         (!ref.has(4) || ref.constant(4));
}

size_t RnnScratch(const NodeRef& ref, const DeviceCaps& caps) {
  const RnnShape s(ref);
  return GemmScratchBytes(s.inputs(), caps.threads) +
         (StateBlock(s).widened_floats() + s.input_floats() + caps.threads * s.worker_floats()) * sizeof(float);
}

// The inputs' weights with their biases, then the state's.
Result<AlignedBytes> RnnPack(const NodeRef& ref, const DeviceCaps&) {
  const RnnShape s(ref);
  const PackedLayout inputs = s.inputs().layout(), state = s.state();
  TIMBRE_TRY(AlignedBytes packed, AlignedBytes::Allocate((inputs.floats() + state.floats()) * sizeof(float)));
  const auto pack = [&](const PackedLayout& layout, int weight_input, float* to, const auto* w) {
    const std::vector<float> bias =
        ref.has(weight_input + 2) ? ref.value(weight_input + 2).ToF32() : std::vector<float>();
    PackWeights(
        layout, [&](int64_t i, int64_t j) { return w[j * layout.k + i]; }, bias.empty() ? nullptr : bias.data(), to);
  };
  TIMBRE_CHECK(WithNumbers(ref.value(1), s.input_type, [&](const auto* w) { pack(inputs, 1, packed.f32(), w); }));
  TIMBRE_CHECK(WithNumbers(ref.value(2), s.state_type,
                           [&](const auto* w) { pack(state, 2, packed.f32() + inputs.floats(), w); }));
  return packed;
}

Status RnnRun(const CpuCall& call) {
  const RnnShape s(call.ref);
  const MicroKernels micro = CurrentMicro();
  const PackedLayout state = s.state();
  const bool gru = call.ref.node.op == Op::kGru, reverse = call.ref.attrs<RnnAttrs>().reverse;
  const auto step = gru ? HWY_DYNAMIC_DISPATCH(GruStepT) : HWY_DYNAMIC_DISPATCH(LstmStepT);
  float* const widened = call.scratch + GemmScratchBytes(s.inputs(), call.pool.threads()) / sizeof(float);
  float* from_inputs = widened + StateBlock(s).widened_floats();
  float* workers = from_inputs + s.input_floats();
  Gemm(PlainRows(call.in[0], s.in, s.in), s.inputs(), call.packed->f32(), Epilogue{}, from_inputs, s.width(), 0,
       call.scratch, call.pool);

  const float* const weights =
      StateBlock(s).Widened(call.packed->f32() + s.inputs().layout().floats(), widened, call.pool);
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
      for (int64_t p = 0; p < state.panels(); ++p) {
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

// ---- One or two sequences at once ----
//
// The state's weights pass by once a step, and no block of rows shares them. They are packed as one stream, in groups
// of units with all gates of them, so that a group's gates never leave the registers.

constexpr int64_t kFewRows = 2;

bool WidensHalves() { return HWY_DYNAMIC_DISPATCH(WidensHalvesT)(); }

// The state's weights are numbers of kAs; with kF32 as they are stored, which changes nothing of the result.
template <DType kAs>
DType FewType(const NodeRef& ref) {
  if (kAs != DType::kF32) return kAs;
  return WidensHalves() || KeepsStateWeights(ref) ? PackedType(ref.value(2)) : DType::kF32;
}

// Where they are narrow already, the kernel that takes them as they are stored is as fast, and exact.
template <DType kAs>
bool GruFewSupports(const NodeRef& ref, const DeviceCaps& caps) {
  if (!RnnSupports(ref, caps) || ref.in(0)[0] > kFewRows) return false;
  if (kAs == DType::kF32) return true;
  return (WidensHalves() || KeepsStateWeights(ref)) && PackedType(ref.value(2)) == DType::kF32;
}

// The bias of the last gate, padded to vectors, and all gates' weights.
Block FewBlock(const RnnShape& s, DType type) {
  const int64_t lanes = CurrentMicro().lanes, padded = (s.hidden + lanes - 1) / lanes * lanes;
  return {type, padded, padded * 3 * s.hidden};
}

// Floats that narrow weights take where they are widened once a run instead of as they pass by.
int64_t WidenedFloats(const Block& block) { return WidensHalves() ? 0 : block.widened_floats(); }

// The state's weights where they are widened, and the inputs' part of all gates.
template <DType kAs>
size_t GruFewScratch(const NodeRef& ref, const DeviceCaps& caps) {
  const RnnShape s(ref);
  return GemmScratchBytes(s.inputs(), caps.threads) +
         (WidenedFloats(FewBlock(s, FewType<kAs>(ref))) + s.input_floats()) * sizeof(float);
}

// The inputs' weights; then, for the state's, the bias of the last gate, padded to vectors, and the groups.
template <DType kAs>
Result<AlignedBytes> GruFewPack(const NodeRef& ref, const DeviceCaps&) {
  const RnnShape s(ref);
  const int64_t lanes = CurrentMicro().lanes, size = s.hidden, vectors = (size + lanes - 1) / lanes;
  const PackedLayout inputs = s.inputs().layout();
  const Block block = FewBlock(s, FewType<kAs>(ref));
  TIMBRE_TRY(AlignedBytes packed,
             AlignedBytes::Allocate((inputs.floats() + block.packed_floats()) * sizeof(float), true));
  std::vector<float> bias(s.width());
  if (ref.has(3)) ref.value(3).ReadF32(bias.data());
  if (ref.has(4)) {
    const FloatView of_state(ref.value(4));
    for (int64_t i = 0; i < 2 * size; ++i) bias[i] += of_state[i];
    std::copy_n(of_state.data() + 2 * size, size, packed.f32() + inputs.floats());
  }
  TIMBRE_CHECK(WithNumbers(ref.value(1), s.input_type, [&](const auto* w) {
    PackWeights(
        inputs, [&](int64_t i, int64_t j) { return w[j * s.in + i]; }, bias.data(), packed.f32());
  }));
  const int64_t units = HWY_DYNAMIC_DISPATCH(UnitVectorsT)(static_cast<int>(s.rows));
  TIMBRE_CHECK(WithNumbers(ref.value(2), block.type, [&]<typename Number>(const Number* w) {
    auto* to = reinterpret_cast<Number*>(packed.f32() + inputs.floats() + block.floats);
    for (int64_t first = 0, count = units; first < vectors; first += count) {
      while (count > vectors - first) count /= 2;
      for (int64_t k = 0; k < size; ++k) {
        for (int64_t gate = 0; gate < 3; ++gate) {
          for (int64_t i = first * lanes; i < (first + count) * lanes; ++i) {
            *to++ = i < size ? w[(gate * size + i) * size + k] : Number{};
          }
        }
      }
    }
  }));
  return packed;
}

template <DType kAs>
Status GruFewRun(const CpuCall& call) {
  const RnnShape s(call.ref);
  const Block block = FewBlock(s, FewType<kAs>(call.ref));
  const bool reverse = call.ref.attrs<RnnAttrs>().reverse;
  const auto step = HWY_DYNAMIC_DISPATCH(GruFewStepT);
  float* const widened = call.scratch + GemmScratchBytes(s.inputs(), call.pool.threads()) / sizeof(float);
  float* from_inputs = widened + WidenedFloats(block);
  Gemm(PlainRows(call.in[0], s.in, s.in), s.inputs(), call.packed->f32(), Epilogue{}, from_inputs, s.width(), 0,
       call.scratch, call.pool);
  const float* bias = call.packed->f32() + s.inputs().layout().floats();
  DType type = block.type;
  if (WidenedFloats(block) > 0) {
    bias = block.Widened(bias, widened, call.pool);
    type = DType::kF32;
  }
  const auto* const weights = reinterpret_cast<const std::byte*>(bias + block.floats);
  // Threads take a row each; one thread takes both, so that the weights pass by once.
  const int64_t rows_a_task = call.pool.threads() > 1 ? 1 : s.rows;
  call.pool.ForEach((s.rows + rows_a_task - 1) / rows_a_task, [&](int64_t task, int) {
    const int64_t begin = task * rows_a_task, rows = std::min(rows_a_task, s.rows - begin);
    const float *x[kFewRows], *h[kFewRows];
    float* out[kFewRows];
    for (int64_t r = 0; r < rows; ++r) h[r] = call.in[5] + (begin + r) * s.hidden;
    for (int64_t i = 0; i < s.steps; ++i) {
      for (int64_t r = 0; r < rows; ++r) {
        const int64_t at = (begin + r) * s.steps + (reverse ? s.steps - 1 - i : i);
        x[r] = from_inputs + at * s.width();
        out[r] = call.out[0] + at * s.hidden;
      }
      step(static_cast<int>(rows), static_cast<int>(s.rows), x, h, out, s.hidden, bias, weights, type);
      for (int64_t r = 0; r < rows; ++r) h[r] = out[r];
    }
    for (int64_t r = 0; r < rows; ++r) {
      std::memcpy(call.out[1] + (begin + r) * s.hidden, h[r], s.hidden * sizeof(float));
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

constexpr uint32_t kAllWeights = 0b11110;  // of the inputs, of the state, and the biases of both

int64_t RnnPackedBytes(const NodeRef& ref) {
  return PackedBytes(ref, kAllWeights, KeepsStateWeights(ref) ? 0b00110 : 0b00010);
}

template <DType kAs>
int64_t GruFewPackedBytes(const NodeRef& ref) {
  return PackedBytes(ref, kAllWeights & ~0b00100u, 0b00010) +
         static_cast<int64_t>(BytesOf(FewType<kAs>(ref), ref.in(2).elements()));
}

template <DType kAs>
constexpr KernelRow GruFewRow(std::string_view name, Precision precision) {
  return {Op::kGru,
          DeviceKind::kCpu,
          Tier::kFast,
          name,
          3,
          GruFewSupports<kAs>,
          GruFewRun<kAs>,
          GruFewScratch<kAs>,
          GruFewPack<kAs>,
          kAllWeights,
          GruFewPackedBytes<kAs>,
          precision};
}

const KernelRow kRows[] = {
    // Sums stay float32, and so do the inputs' products.
    GruFewRow<DType::kF16>("gru_few_f16", Precision::kF16),
    GruFewRow<DType::kBF16>("gru_few_bf16", Precision::kBf16),
    GruFewRow<DType::kF32>("gru_few", Precision::kF32),
    {Op::kGru, DeviceKind::kCpu, Tier::kFast, "gru_product", 3, RnnSupports, RnnRun, RnnScratch, RnnPack, kAllWeights,
     RnnPackedBytes},
    {Op::kLstm, DeviceKind::kCpu, Tier::kFast, "lstm_product", 3, RnnSupports, RnnRun, RnnScratch, RnnPack, kAllWeights,
     RnnPackedBytes},
    {Op::kCumulativeMean, DeviceKind::kCpu, Tier::kFast, "cumulative_mean_rows", 1, nullptr, CumulativeMeanRun},
};

}  // namespace

std::span<const KernelRow> CpuRnnKernels() { return kRows; }

}  // namespace timbre
#endif
