// Every CPU kernel, on every SIMD target this machine has, against the float64 oracle, over every case of the op table,
// plain and with each epilogue that it says it can run.
#include <gtest/gtest.h>

#include <iostream>

#include "graph/one_node.h"
#include "kernels/cpu/simd.h"
#include "runtime/cpu_session.h"
#include "runtime/verify.h"

namespace timbre {
namespace {

const EpilogueNames kEpilogues[] = {{},
                                    {"gelu"},
                                    {"relu"},
                                    {"silu"},
                                    {"sigmoid"},
                                    {"tanh"},
                                    {"elu"},
                                    {"prelu"},
                                    {"glu"},
                                    {"scale"},
                                    {"add"},
                                    {"gelu", "add"},
                                    {"scale", "add"},
                                    {"glu", "scale", "add"},
                                    {"add", "gelu"},
                                    {"norm"},
                                    {"norm", "gelu"},
                                    {"norm", "glu", "scale", "add"},
                                    {"norm_kept", "glu", "scale", "add"}};

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

// Runs `row` on the one node and holds it against the oracle. False where the row does not take the node.
bool Conforms(const KernelRow& row, const OneNode& plain, ThreadPool& pool, const std::string& label) {
  Graph graph = plain.graph;
  const DeviceCaps caps = CpuCaps(pool, row.precision);
  const size_t wanted = graph.nodes.size();
  FuseEpilogues(graph, [&](const Graph& g, const Node& node) {
    return node.op == row.op && row.Supports({g, node}, caps);
  });
  if (wanted > 1 && graph.nodes.size() != 1) return false;
  const Node& node = graph.nodes[0];
  const NodeRef ref{graph, node};
  if (!row.Supports(ref, caps)) return false;

  AlignedBytes packed, scratch;
  if (row.pack) {
    auto result = row.pack(ref, caps);
    EXPECT_TRUE(result.has_value()) << label;
    if (!result) return true;
    packed = *std::move(result);
  }
  if (row.scratch_bytes) scratch = *AlignedBytes::Allocate(row.scratch_bytes(ref, caps));
  std::vector<Guarded> in_buffers, out_buffers;
  std::vector<const float*> in, oracle_in;
  std::vector<float*> out;
  in_buffers.reserve(node.inputs.size());
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    const TensorId id = node.inputs[i];
    if (id == kNoTensor) {
      in.push_back(nullptr);
      oracle_in.push_back(nullptr);
      continue;
    }
    in_buffers.emplace_back(graph.shape(id).elements());
    std::copy(plain.inputs[id].begin(), plain.inputs[id].end(), in_buffers.back().data());
    in.push_back(row.packed_inputs >> i & 1 && graph.IsConstant(id) ? nullptr : in_buffers.back().data());
    oracle_in.push_back(plain.inputs[id].data());
  }
  out_buffers.reserve(node.outputs.size());
  for (const TensorId id : node.outputs) {
    out_buffers.emplace_back(graph.shape(id).elements());
    out.push_back(out_buffers.back().data());
  }
  const Status status = std::get<CpuRun>(row.run)(CpuCall{ref, in, out, &packed, scratch.f32(), pool});
  EXPECT_TRUE(status.has_value()) << label << ": " << status.error().message;
  const auto expected = OracleOf(graph, node, oracle_in);
  const std::vector<const float*> results(out.begin(), out.end());
  const Deviation deviation = Compare(graph, node, results, expected, row.precision, oracle_in);
  EXPECT_LE(deviation.worst, 1.0) << label << " (" << deviation.db << " dB): " << deviation.where;
  for (Guarded& buffer : out_buffers) EXPECT_TRUE(buffer.Intact()) << label << " wrote outside of its output";
  return true;
}

class Conformance : public testing::TestWithParam<int> {};

TEST_P(Conformance, EveryCpuKernelOnEveryTarget) {
  const Op op = static_cast<Op>(GetParam());
  ThreadPool one(1), two(2);
  std::vector<std::string> targets = SimdTargets();
  for (const std::string& target : targets) {
    ASSERT_TRUE(SetSimdTarget(target).has_value());
    for (const KernelRow* row : KernelsFor(op, DeviceKind::kCpu)) {
      if (row->tier == Tier::kReference && target != targets[0]) continue;  // has no targets
      int cases = 0;
      for (const OpCase& c : RowOf(op).cases()) {
        if (c.benchmark) continue;
        for (const EpilogueNames& epilogue : kEpilogues) {
          const OneNode node = MakeOneNode(op, c, epilogue);
          if (node.graph.nodes.empty()) continue;
          std::string label = std::string(row->name) + "/" + target + "/" + c.name;
          for (const std::string& step : epilogue) label += "+" + step;
          cases += Conforms(*row, node, one, label + "/1 thread");
          if (row->tier == Tier::kFast) Conforms(*row, node, two, label + "/2 threads");
        }
      }
      if (cases == 0 && row->precision == Precision::kF16 && !CpuCaps(one, Precision::kF16).float16) {
        if (target == targets[0])
          std::cerr << "SKIPPED: this processor has no half arithmetic, " << row->name << " was not checked\n";
        continue;
      }
      EXPECT_GT(cases, 0) << row->name << " takes no case of its operator";
    }
  }
  ASSERT_TRUE(SetSimdTarget("").has_value());
}

INSTANTIATE_TEST_SUITE_P(Ops, Conformance, testing::Range(0, static_cast<int>(Op::kCount)),
                         [](const auto& op) { return std::string(NameOf(static_cast<Op>(op.param))); });

TEST(Conformance, EveryOperatorHasAReferenceKernelAndCases) {
  for (const OpRow& row : OpTable()) {
    bool reference = false;
    for (const KernelRow* kernel : KernelsFor(row.op, DeviceKind::kCpu)) reference |= kernel->tier == Tier::kReference;
    EXPECT_TRUE(reference) << row.name;
    EXPECT_FALSE(row.cases().empty()) << row.name;
  }
}

}  // namespace
}  // namespace timbre
