// What recording a Vulkan kernel takes: push constants, grids, inputs that may be absent.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <initializer_list>
#include <numbers>
#include <utility>

#include "kernels/vulkan/recorder.h"

namespace timbre {

inline constexpr int64_t kThreads = 256;  // of a workgroup

// What the loops of a thread may take together. Mesa's software driver ends them all after 65,535 turns, and what is
// stored then is wrong without a word; every loop it comes by, also in a branch not taken, counts up to two turns more
// than it has. A kernel refuses what would take more, or cuts it into several dispatches. Some is left for loops that
// don't grow with a tensor.
inline constexpr int64_t kMostTurns = 65535 - 2048;
// Of a loop over a workgroup's share of so many elements (FOR_SHARE).
inline int64_t ShareTurns(int64_t elements) { return (elements + 8 * kThreads - 1) / (8 * kThreads); }

// `dispatch(first, count)` for each run of `run` among `total`: steps of a recurrence, or rows of a tensor.
template <typename F>
Status InRuns(int64_t total, int64_t run, const F& dispatch) {
  for (int64_t first = 0; first < total; first += run) TIMBRE_CHECK(dispatch(first, std::min(run, total - first)));
  return {};
}
// Steps of a recurrence for one dispatch, each of so many turns.
inline int64_t StepsAtOnce(int64_t turns) { return std::max<int64_t>(1, kMostTurns / turns); }

class Push {
 public:
  Push& I(int64_t value) {
    words_.push_back(static_cast<uint32_t>(value));
    return *this;
  }
  Push& F(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, 4);
    words_.push_back(bits);
    return *this;
  }
  template <typename List>
  Push& All(const List& list) {
    for (const auto value : list) I(value);
    return *this;
  }
  operator std::span<const uint32_t>() const { return words_; }  // NOLINT: what every call wants

 private:
  std::vector<uint32_t> words_;
};

// What the shaders of attention take, one of them the batch too. Where a run says how many keys there are and are
// older, `past` stays as the node has it.
inline Push AttentionPush(const AttentionAttrs& a, const Shape& q, const Shape& k, bool batch) {
  Push push;
  if (batch) push.I(q[0]);
  push.I(q[1]).I(k[1]).I(q[2]).I(a.heads).I(a.causal).F(a.scale);
  const int64_t past = a.at_run_time() ? a.past : a.causal ? a.PastOf(q[1], k[1]) : 0;
  return push.I(a.key_heads()).I(a.LengthOf(k[1])).I(past).I(a.block).I(a.valid).I(a.older);
}

// A row of a fast kernel that packs input 1, if any.
constexpr KernelRow FastVulkan(Op op, std::string_view name, bool (*supports)(const NodeRef&, const DeviceCaps&),
                               VulkanRecord record, size_t (*scratch)(const NodeRef&, const DeviceCaps&) = nullptr,
                               Result<AlignedBytes> (*pack)(const NodeRef&, const DeviceCaps&) = nullptr,
                               int version = 1) {
  return {op, DeviceKind::kVulkan, Tier::kFast, name, version, supports, record, scratch, pack, pack ? 0b10u : 0u};
}

// A grid of at least that many workgroups; shaders number them row by row.
inline std::array<uint32_t, 3> Groups(int64_t count) {
  constexpr int64_t kWidest = 65535;  // what every device has
  const int64_t width = std::min(std::max<int64_t>(count, 1), kWidest);
  return {static_cast<uint32_t>(width), static_cast<uint32_t>((count + width - 1) / width), 1};
}
inline std::array<uint32_t, 3> Threads(int64_t count) { return Groups((count + kThreads - 1) / kThreads); }

inline Status Dispatch(const VulkanCall& call, std::string_view shader, std::initializer_list<BufferRange> bindings,
                       const Push& push, std::array<uint32_t, 3> groups) {
  return call.recorder.Dispatch(FindShader(shader), bindings, {}, push, groups);
}

// ---- tensors larger than what one binding spans: several dispatches, each of which binds a part

inline uint64_t BytesOf(const Shape& shape) { return static_cast<uint64_t>(shape.elements()) * 4; }

// Elements [first, first + count) of a tensor as a binding, which begins up to 63 elements earlier, where a binding may
// on every device; and how many elements that is. The same for all tensors of a shape.
inline std::pair<BufferRange, int64_t> PartOf(const BufferRange& tensor, int64_t first, int64_t count) {
  constexpr int64_t kAlignedElements = 256 / 4;
  const int64_t before = first % kAlignedElements;
  return {{tensor.buffer, tensor.offset + static_cast<uint64_t>(first - before) * 4,
           static_cast<uint64_t>(count + before) * 4},
          before};
}

// For kernels that work row by row: how many rows of `widest` elements in the widest tensor one dispatch can bind. All
// of them, or so many that each run of rows begins where a binding may; 0: not even that fits.
inline int64_t RowsAtOnce(const DeviceCaps& caps, int64_t rows, int64_t widest) {
  const auto most =
      static_cast<int64_t>(std::min(caps.max_range, uint64_t{1} << 40) / 4 / static_cast<uint64_t>(widest));
  return most >= rows ? rows : most / 64 * 64;
}
constexpr KernelRow BindsParts(KernelRow row) {
  row.in_parts = true;
  return row;
}
// `dispatch(first, count)` for each run of rows. The kernel's `supports` has seen that there are any.
template <typename F>
Status InParts(const DeviceCaps& caps, int64_t rows, int64_t widest, const F& dispatch) {
  return InRuns(rows, RowsAtOnce(caps, rows, widest), dispatch);
}
// Rows [first, first + count) of a tensor.
inline BufferRange RowsOf(const BufferRange& tensor, int64_t first, int64_t count, int64_t width) {
  return PartOf(tensor, first * width, count * width).first;
}

// What a run of a recurrence's steps begins with and leaves behind; cells where the layer has them. Each run goes on
// from the state that the one before it left.
struct RnnStates {
  BufferRange h0, c0, h1, c1;
  RnnStates(const VulkanCall& call, bool first_run) : h0(first_run ? call.in[5] : call.out[1]), h1(call.out[1]) {
    if (call.ref.node.op != Op::kLstm) return;
    c0 = first_run ? call.in[6] : call.out[2];
    c1 = call.out[2];
  }
};

// A reduction by a shader that takes what reference/reduce takes, and a grid for so many outputs.
Status RecordReduce(const VulkanCall& call, std::string_view shader, std::array<uint32_t, 3> (*grid)(int64_t));

// Inputs that an operator may lack, or that the graph left out.
inline BufferRange Input(const VulkanCall& call, size_t i) { return i < call.in.size() ? call.in[i] : BufferRange{}; }
inline bool Has(const VulkanCall& call, size_t i) { return Input(call, i).bytes > 0; }

// Sizes along depth, height, width and channels; 1 where there is no such axis.
struct Spatial {
  int64_t d, h, w, c;
};
inline Spatial SpatialOf(const Shape& s) {
  const int dims = s.rank() - 2;
  return {dims > 2 ? s[-4] : 1, dims > 1 ? s[-3] : 1, s[-2], s[-1]};
}

// cos and sin of 2 pi k / n_fft, then the window centred in n_fft samples.
inline Result<AlignedBytes> PackRoots(const NodeRef& ref, const DeviceCaps&) {
  const int n_fft = ref.node.op == Op::kStft ? ref.attrs<StftAttrs>().n_fft : ref.attrs<IstftAttrs>().n_fft;
  TIMBRE_TRY(AlignedBytes bytes, AlignedBytes::Allocate(static_cast<size_t>(n_fft) * 3 * 4, true));
  for (int k = 0; k < n_fft; ++k) {
    const double angle = 2 * std::numbers::pi * k / n_fft;
    bytes.f32()[2 * k] = static_cast<float>(std::cos(angle));
    bytes.f32()[2 * k + 1] = static_cast<float>(std::sin(angle));
  }
  const HostTensor& window = ref.value(1);
  window.ReadF32(bytes.f32() + 2 * n_fft + (n_fft - window.shape.elements()) / 2);
  return bytes;
}

}  // namespace timbre
