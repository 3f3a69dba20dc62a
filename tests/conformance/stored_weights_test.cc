// Weights in the two bytes of a checkpoint: what kernels keep of them, widen as they read, or widen once and for all
// makes no difference to a single bit.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "graph/op_cases/inputs.h"
#include "kernels/cpu/simd.h"
#include "tests/support/kernel_run.h"

namespace timbre {
namespace {

// The tensor's values rounded to `dtype`, and stored so.
HostTensor Narrowed(const HostTensor& tensor, DType dtype) {
  if (dtype == DType::kF16) return HostTensor::Half(tensor);
  const std::vector<float> values = tensor.ToF32();
  std::vector<std::byte> bytes(values.size() * 2);
  // The upper half of a float; x86 and AArch64 keep it last.
  for (size_t i = 0; i < values.size(); ++i) {
    std::memcpy(&bytes[2 * i], reinterpret_cast<const std::byte*>(&values[i]) + 2, 2);
  }
  return HostTensor::FromBytes(tensor.shape, DType::kBF16, std::move(bytes));
}

// One graph whose constants are stored in `dtype`, or made as numbers of it whenever they are wanted, and one that has
// the same values as float32.
struct Twins {
  SingleOpGraph narrow, wide;

  Twins(const SingleOpGraph& one, DType dtype, bool made) : narrow(one), wide(one) {
    for (size_t id = 0; id < one.graph.tensors.size(); ++id) {
      const TensorInfo& tensor = one.graph.tensors[id];
      if (tensor.kind != TensorKind::kConstant || tensor.constant.dtype != DType::kF32) continue;
      narrow.graph.tensors[id].constant = Narrowed(tensor.constant, dtype);
      const std::vector<float> values = narrow.graph.tensors[id].constant.ToF32();
      wide.graph.tensors[id].constant = HostTensor::FromF32(tensor.shape, values);
      narrow.inputs[id] = wide.inputs[id] = values;
      if (!made) continue;
      HostTensor& computed = narrow.graph.tensors[id].constant;
      computed = HostTensor::Made(tensor.shape, [values](float* out) { std::copy(values.begin(), values.end(), out); });
      computed.dtype = dtype;
    }
  }
};

// Those of the op table, and some whose panels are more than a cache holds: with rows in place, and gathered ones.
Cases CasesOf(Op op) {
  Cases cases = RowOf(op).cases();
  std::erase_if(cases, [](const OpCase& c) { return c.benchmark || c.extent; });
  const ConvAttrs taps3{1, {1, 1, 3}, {1, 1, 1}, {1, 1, 1}, {0, 0, 1}, {0, 0, 1}, 1};
  const ConvAttrs plane{2, {1, 3, 3}, {1, 2, 1}, {1, 1, 1}, {0, 1, 1}, {0, 1, 1}, 1};
  if (op == Op::kConv) {
    cases.push_back({"groups_of_panels", taps3, {X({1, 150, 384}), W({200, 384, 3}), V(200)}});
    cases.push_back({"groups_of_panels_gathered", plane, {X({1, 19, 11, 144}), W({200, 144, 3, 3}), None()}});
    cases.push_back({"many_tiles",
                     ConvAttrs{2, {1, 3, 3}, {1, 1, 1}, {1, 1, 1}, {0, 1, 1}, {0, 1, 1}, 1},
                     {X({1, 62, 66, 48}), W({80, 48, 3, 3}), V(80)}});
    cases.push_back({"one_position", taps3, {X({1, 1, 384}), W({100, 384, 3}), V(100)}});
  } else if (op == Op::kConvTranspose) {
    cases.push_back({"groups_of_panels",
                     ConvTransposeAttrs{1, {1, 1, 8}, {1, 1, 4}, {0, 0, 2}, {0, 0, 2}, 1},
                     {X({1, 71, 320}), W({320, 90, 8}), V(90)}});
  } else if (op == Op::kGru || op == Op::kLstm) {
    const int gates = op == Op::kGru ? 3 : 4;
    for (const int64_t rows : {2, 17}) {
      cases.push_back(
          {"many_steps_" + std::to_string(rows),
           RnnAttrs{},
           {X({rows, 40, 24}), W({gates * 37, 24}), W({gates * 37, 37}), V(gates * 37), V(gates * 37), X({rows, 37})}});
      if (op == Op::kLstm) cases.back().inputs.push_back(X({rows, 37}));
    }
  } else if (op == Op::kLinear) {
    cases.push_back({"groups", LinearAttrs{-1, 2}, {X({1, 75, 600}), W({2, 150, 300}), V(300)}});
  }
  return cases;
}

class StoredWeights : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override { ASSERT_TRUE(SetSimdTarget(GetParam()).has_value()); }
  void TearDown() override { ASSERT_TRUE(SetSimdTarget("").has_value()); }
};

TEST_P(StoredWeights, GiveTheBitsOfWidenedOnes) {
  ThreadPool one(1), two(2);
  std::map<std::string_view, int> taken;
  for (const OpRow& op : OpTable()) {
    for (const KernelRow* row : KernelsFor(op.op, DeviceKind::kCpu)) {
      if (row->pack == nullptr || row->precision != Precision::kF32) continue;
      for (const OpCase& c : CasesOf(op.op)) {
        for (const EpilogueNames& epilogue : {EpilogueNames{}, EpilogueNames{"glu"}, EpilogueNames{"norm", "glu"}}) {
          const SingleOpGraph graph = MakeSingleOpGraph(op.op, c, epilogue);
          if (graph.graph.nodes.empty()) continue;
          for (const auto& [dtype, made] :
               {std::pair(DType::kF16, false), std::pair(DType::kBF16, false), std::pair(DType::kF16, true)}) {
            if (made && !epilogue.empty()) continue;
            const std::string label =
                std::string(row->name) + " " + c.name + (made ? " made " : " ") + std::string(NameOf(dtype));
            const Twins twins(graph, dtype, made);
            const auto wide = testing::RunKernel(*row, twins.wide, one, label);
            const auto alone = testing::RunKernel(*row, twins.narrow, one, label);
            const auto shared = testing::RunKernel(*row, twins.narrow, two, label);
            if (!wide || !alone || !shared) continue;
            taken[row->name] += 1;
            EXPECT_TRUE(wide->out == alone->out) << label;
            EXPECT_TRUE(wide->out == shared->out) << label << " on two threads";
          }
        }
      }
    }
  }
  for (const char* name : {"conv_product", "conv_winograd", "linear_product", "conv_transpose_product", "gru_few",
                           "gru_product", "lstm_product"}) {
    EXPECT_GT(taken[name], 0) << name;
  }
}

INSTANTIATE_TEST_SUITE_P(EveryTarget, StoredWeights, ::testing::ValuesIn(SimdTargets()),
                         [](const auto& test) { return test.param; });

}  // namespace
}  // namespace timbre
