// Every CPU kernel, on every SIMD target this machine has, against the float64 oracle, over every case of the op table,
// plain and with each epilogue that it says it can run.
#include <gtest/gtest.h>

#include <iostream>
#include <map>

#include "graph/single_op_graph.h"
#include "kernels/cpu/simd.h"
#include "runtime/check/verify.h"
#include "runtime/session/cpu_ladder.h"
#include "tests/support/kernel_run.h"

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

// One node of the table, and what its oracle says once a kernel has taken it.
struct Question {
  SingleOpGraph one;
  std::vector<Tensor64> expected;
};

// Runs `row` on the one node and holds it against the oracle. False where the row does not take the node.
bool Conforms(const KernelRow& row, Question& question, ThreadPool& pool, const std::string& label) {
  const auto run = testing::RunKernel(row, question.one, pool, label);
  if (!run) return false;
  const Node& node = run->graph.nodes[0];
  if (question.expected.empty()) question.expected = OracleOf(run->graph, node, run->in);
  const Deviation deviation = Compare(run->graph, node, run->results(), question.expected, row.precision, run->in);
  EXPECT_LE(deviation.worst, 1.0) << label << " (" << deviation.db << " dB): " << deviation.where;
  return true;
}

class Conformance : public ::testing::TestWithParam<int> {};

TEST_P(Conformance, EveryCpuKernelOnEveryTarget) {
  const Op op = static_cast<Op>(GetParam());
  ThreadPool one(1), two(2);
  const std::vector<std::string> targets = SimdTargets();
  const auto has_target = [&](const KernelRow& row, const std::string& target) {
    const bool on_matrices = row.precision == Precision::kBf16 || row.precision == Precision::kBf16x3;
    if (!on_matrices && IsMatrixTarget(target)) return false;  // the vectors are another target's
    return row.tier != Tier::kReference || target == targets.back();
  };
  std::map<std::pair<const KernelRow*, std::string>, int> taken;
  for (const OpCase& c : RowOf(op).cases()) {
    if (c.benchmark) continue;
    for (const EpilogueNames& epilogue : kEpilogues) {
      Question question{MakeSingleOpGraph(op, c, epilogue), {}};
      if (question.one.graph.nodes.empty()) continue;
      for (const std::string& target : targets) {
        ASSERT_TRUE(SetSimdTarget(target).has_value());
        for (const KernelRow* row : KernelsFor(op, DeviceKind::kCpu)) {
          if (!has_target(*row, target)) continue;
          std::string label = std::string(row->name) + "/" + target + "/" + c.name;
          for (const std::string& step : epilogue) label += "+" + step;
          taken[{row, target}] += Conforms(*row, question, one, label + "/1 thread");
          if (row->tier == Tier::kFast) Conforms(*row, question, two, label + "/2 threads");
        }
      }
    }
  }
  for (const std::string& target : targets) {
    ASSERT_TRUE(SetSimdTarget(target).has_value());
    for (const KernelRow* row : KernelsFor(op, DeviceKind::kCpu)) {
      if (!has_target(*row, target) || taken[{row, target}] > 0) continue;
      const bool cannot = row->precision == Precision::kF16 && !CpuCaps(one, Precision::kF16).float16;
      EXPECT_TRUE(cannot) << row->name << " takes no case of its operator";
      if (cannot && target == targets.back())
        std::cerr << "SKIPPED: this processor has no half arithmetic, " << row->name << " was not checked\n";
    }
  }
  ASSERT_TRUE(SetSimdTarget("").has_value());
}

INSTANTIATE_TEST_SUITE_P(Ops, Conformance, ::testing::Range(0, static_cast<int>(Op::kCount)),
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
