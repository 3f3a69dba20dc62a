#include "tests/support/kernel_run.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "graph/passes.h"
#include "runtime/session/cpu_ladder.h"

namespace timbre::testing {
namespace {

// Guards around a buffer catch writes before its beginning and after its end.
struct Guarded {
  static constexpr size_t kGuard = 64;
  explicit Guarded(int64_t n) : bytes(*AlignedBytes::Allocate((static_cast<size_t>(n) + 2 * kGuard) * 4)), size(n) {
    for (size_t i = 0; i < static_cast<size_t>(n) + 2 * kGuard; ++i) bytes.f32()[i] = 12345.5f;
  }
  float* data() { return bytes.f32() + kGuard; }
  bool Intact() {
    for (size_t i = 0; i < kGuard; ++i) {
      if (bytes.f32()[i] != 12345.5f || bytes.f32()[kGuard + size + i] != 12345.5f) return false;
    }
    return true;
  }
  AlignedBytes bytes;
  int64_t size;
};

}  // namespace

std::vector<const float*> KernelRun::results() const {
  std::vector<const float*> pointers;
  for (const std::vector<float>& values : out) pointers.push_back(values.data());
  return pointers;
}

std::optional<KernelRun> RunKernel(const KernelRow& row, const SingleOpGraph& one, ThreadPool& pool,
                                   const std::string& label) {
  KernelRun run{one.graph, {}, {}};
  Graph& graph = run.graph;
  DeviceCaps caps = CpuCaps(pool, row.precision);
  caps.any_size = true;  // also where the row is not the fastest
  const size_t wanted = graph.nodes.size();
  FuseEpilogues(graph, [&](const Graph& g, const Node& node) {
    return node.op == row.op && row.Supports({g, node}, caps);
  });
  if (wanted > 1 && graph.nodes.size() != 1) return std::nullopt;
  const Node& node = graph.nodes[0];
  const NodeRef ref{graph, node};
  if (!row.Supports(ref, caps)) return std::nullopt;

  AlignedBytes packed, scratch;
  if (row.pack) {
    auto result = row.pack(ref, caps);
    EXPECT_TRUE(result.has_value()) << label;
    if (!result) return std::nullopt;
    packed = *std::move(result);
  }
  if (row.scratch_bytes) scratch = *AlignedBytes::Allocate(row.scratch_bytes(ref, caps));
  std::vector<Guarded> in_buffers, out_buffers;
  std::vector<const float*> in;
  std::vector<float*> out;
  in_buffers.reserve(node.inputs.size());
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    const TensorId id = node.inputs[i];
    if (id == kNoTensor) {
      in.push_back(nullptr);
      run.in.push_back(nullptr);
      continue;
    }
    in_buffers.emplace_back(graph.shape(id).elements());
    std::copy(one.inputs[id].begin(), one.inputs[id].end(), in_buffers.back().data());
    in.push_back(row.packed_inputs >> i & 1 && graph.IsConstant(id) ? nullptr : in_buffers.back().data());
    run.in.push_back(one.inputs[id].data());
  }
  out_buffers.reserve(node.outputs.size());
  for (const TensorId id : node.outputs) {
    out_buffers.emplace_back(graph.shape(id).elements());
    out.push_back(out_buffers.back().data());
  }
  const std::vector<uint32_t> scalars = ScalarDefaults(graph);
  const Status status = std::get<CpuRun>(row.run)(CpuCall{ref, in, out, &packed, scratch.f32(), pool, {scalars}});
  EXPECT_TRUE(status.has_value()) << label << ": " << status.error().message;
  for (Guarded& buffer : out_buffers) {
    EXPECT_TRUE(buffer.Intact()) << label << " wrote outside of its output";
    run.out.emplace_back(buffer.data(), buffer.data() + buffer.size);
  }
  return run;
}

}  // namespace timbre::testing
