// Recurrent layers: what the inputs add to the gates as one product over all steps, then all steps in one dispatch.
#include <algorithm>

#include "kernels/vulkan/product.h"

namespace timbre {
namespace {

// How rnn.comp is cut into threads, and how its weights lie.
struct RnnPlan {
  int64_t batch, steps, inputs, units, gates;
  int64_t parts = 1, quads = 1;  // threads that share a unit's sums; of each, fours of units
  int64_t sequences = 1;         // of a workgroup
  bool held = false;             // weights stay in registers

  RnnPlan(const NodeRef& ref, const DeviceCaps& caps)
      : batch(ref.in(0)[0]),
        steps(ref.in(0)[1]),
        inputs(ref.in(0)[2]),
        units(ref.in(2)[1]),
        gates(ref.node.op == Op::kGru ? 3 : 4) {
    const int64_t fours = (units + 3) / 4;
    // Where the weights can stay in registers, as many threads as that takes; where not, as many as there may be.
    int64_t most_threads = units <= 64 ? 256 : 512;
    if (units > 128) most_threads = std::max<int64_t>(1, caps.max_workgroup_threads);
    most_threads = std::min<int64_t>(most_threads, caps.max_workgroup_threads);
    parts = std::clamp<int64_t>(most_threads / units, 1, std::max<int64_t>(1, fours / 2));
    while (parts > 1 && shared_bytes() > caps.max_workgroup_memory) --parts;
    quads = (fours + parts - 1) / parts;
    constexpr int64_t kFullGroup = 64, kMostHeld = 24;
    sequences = std::clamp<int64_t>(kFullGroup / (units * parts), 1, std::max<int64_t>(1, batch));
    held = quads * gates <= kMostHeld && units <= 128;
  }

  int64_t columns() const { return gates * units; }
  int64_t turns() const { return 6 + parts + (held ? 0 : quads); }  // of a step
  int64_t threads() const { return units * parts * sequences; }
  uint64_t shared_bytes() const {
    const int64_t fours = (units + 3) / 4 + parts;  // parts are padded to whole quads
    return static_cast<uint64_t>(sequences * (4 * fours + parts * columns())) * 4;
  }
  // Floats from which each section of the packed block begins; a binding's offset is a multiple of 256 bytes at most.
  static int64_t Aligned(int64_t floats) { return (floats + 63) / 64 * 64; }
  int64_t input_bias() const { return Aligned(inputs * columns()); }
  int64_t state_weights() const { return input_bias() + Aligned(columns()); }
  int64_t state_bias() const { return state_weights() + Aligned(parts * quads * 4 * columns()); }
  int64_t packed_floats() const { return state_bias() + columns(); }
};

bool RnnFits(const NodeRef& ref, const DeviceCaps& caps) {
  if (!ref.node.epilogue.empty() || !ref.constant(1) || !ref.constant(2) || (ref.has(3) && !ref.constant(3)) ||
      (ref.has(4) && !ref.constant(4)))
    return false;
  const RnnPlan plan(ref, caps);
  const Tile tile = TileFor(plan.columns(), caps);
  return plan.units <= caps.max_workgroup_threads && plan.shared_bytes() <= caps.max_workgroup_memory &&
         tile.Down(plan.batch * plan.steps) <= kWidestGrid && tile.Turns(plan.inputs) <= kMostTurns;
}

size_t RnnBytes(const NodeRef& ref, const DeviceCaps& caps) {
  const RnnPlan plan(ref, caps);
  return static_cast<size_t>(plan.batch * plan.steps * plan.columns()) * 4;
}

Result<AlignedBytes> PackRnn(const NodeRef& ref, const DeviceCaps& caps) {
  const RnnPlan plan(ref, caps);
  TIMBRE_TRY(AlignedBytes bytes, AlignedBytes::Allocate(static_cast<size_t>(plan.packed_floats()) * 4, true));
  const std::vector<float> w_ih = ref.value(1).ToF32(), w_hh = ref.value(2).ToF32();
  float* to = bytes.f32();
  for (int64_t c = 0; c < plan.columns(); ++c) {
    for (int64_t i = 0; i < plan.inputs; ++i) to[i * plan.columns() + c] = w_ih[c * plan.inputs + i];
    for (int64_t u = 0; u < plan.units; ++u) {
      to[plan.state_weights() + (u / 4 * plan.columns() + c) * 4 + u % 4] = w_hh[c * plan.units + u];
    }
  }
  if (ref.has(3)) ref.value(3).ReadF32(to + plan.input_bias());
  if (ref.has(4)) ref.value(4).ReadF32(to + plan.state_bias());
  return bytes;
}

Status RecordRnn(const VulkanCall& call) {
  const RnnPlan plan(call.ref, call.caps);
  const auto section = [&](int64_t begin, int64_t floats) {
    return BufferRange{call.packed.buffer, call.packed.offset + static_cast<uint64_t>(begin) * 4,
                       static_cast<uint64_t>(floats) * 4};
  };
  TIMBRE_CHECK(RecordPlainProduct(call, call.in[0], section(0, plan.inputs * plan.columns()),
                                  section(plan.input_bias(), plan.columns()), call.scratch, plan.batch * plan.steps,
                                  plan.inputs, plan.columns()));
  std::vector<uint32_t> sizes;
  for (const int64_t value : {plan.threads(), plan.units, plan.gates, plan.parts, plan.quads, plan.sequences,
                              static_cast<int64_t>(plan.held)})
    sizes.push_back(static_cast<uint32_t>(value));
  return InRuns(plan.steps, StepsAtOnce(plan.turns()), [&](int64_t first, int64_t count) {
    const RnnStates s(call, first == 0);
    const BufferRange bindings[] = {call.scratch,
                                    section(plan.state_weights(), plan.parts * plan.quads * 4 * plan.columns()),
                                    section(plan.state_bias(), plan.columns()),
                                    s.h0,
                                    s.c0,
                                    call.out[0],
                                    s.h1,
                                    s.c1};
    Push push;
    push.I(plan.batch).I(plan.steps).I(call.ref.attrs<RnnAttrs>().reverse).I(first).I(first + count);
    return call.recorder.Dispatch(FindShader("fast/rnn"), bindings, sizes, push,
                                  Groups((plan.batch + plan.sequences - 1) / plan.sequences));
  });
}

constexpr KernelRow Row(Op op, std::string_view name) {
  return {op, DeviceKind::kVulkan, Tier::kFast, name, 1, RnnFits, VulkanRecord(RecordRnn), RnnBytes, PackRnn, 0b11110};
}
const KernelRow kRows[] = {Row(Op::kGru, "vulkan.gru"), Row(Op::kLstm, "vulkan.lstm")};

}  // namespace

std::span<const KernelRow> VulkanRnnKernels() { return kRows; }

}  // namespace timbre
