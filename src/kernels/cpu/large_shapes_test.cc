// Shapes beyond the op table's small cases: those that take a kernel's second and third way through its work. Every
// target, one and two threads, against the float64 oracle; the threads must agree bit for bit.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>

#include "graph/op_table.h"
#include "kernels/cpu/simd.h"
#include "kernels/kernel.h"

namespace timbre {
namespace {

struct Case {
  std::string name, kernel;
  Op op;
  Attrs attrs;
  std::vector<Shape> inputs;
  uint32_t constants = 0;  // bit i: input i is a weight
  float offset = 0;        // added to input 0
  bool glu = false;
};

std::vector<float> Values(const Shape& shape, uint32_t seed, float offset) {
  std::mt19937 generator(seed);
  std::vector<float> values(shape.elements());
  for (float& v : values) v = static_cast<float>(generator() >> 8) * 0x1p-23f - 1.0f + offset;
  return values;
}

const KernelRow* RowNamed(Op op, std::string_view name) {
  for (const KernelRow* row : KernelsFor(op, DeviceKind::kCpu)) {
    if (row->name == name) return row;
  }
  return nullptr;
}

void Check(const Case& c) {
  SCOPED_TRACE(c.name);
  const OpRow& op = RowOf(c.op);
  Graph graph;
  Node node{.op = c.op, .name = c.name, .attrs = c.attrs};
  std::vector<std::vector<float>> values;
  std::vector<Tensor64> wide;
  std::vector<const Shape*> shapes;
  for (size_t i = 0; i < c.inputs.size(); ++i) {
    values.push_back(Values(c.inputs[i], static_cast<uint32_t>(i + 1), i == 0 ? c.offset : 0));
    wide.push_back({c.inputs[i], std::vector<double>(values[i].begin(), values[i].end())});
    shapes.push_back(&c.inputs[i]);
    node.inputs.push_back(c.constants >> i & 1 ? graph.AddConstant("w", HostTensor::FromF32(c.inputs[i], values[i]))
                                               : graph.AddTensor("x", c.inputs[i], TensorKind::kInput));
  }
  Shape shape = (*op.infer(c.attrs, shapes))[0];
  std::vector<Tensor64> expected{{shape, std::vector<double>(shape.elements())}};
  std::vector<const Tensor64*> oracle_inputs;
  for (const Tensor64& t : wide) oracle_inputs.push_back(&t);
  op.oracle(c.attrs, oracle_inputs, expected, {});
  if (c.glu) {
    const int64_t half = shape.back() / 2;
    Tensor64 gated{shape, {}};
    gated.shape[-1] = half;
    for (size_t i = 0; i < expected[0].data.size(); ++i) {
      if (static_cast<int64_t>(i) % (2 * half) >= half) continue;
      gated.data.push_back(expected[0].data[i] / (1 + std::exp(-expected[0].data[i + half])));
    }
    shape = gated.shape;
    expected[0] = std::move(gated);
    node.epilogue.push_back({.kind = EpilogueStep::Kind::kGlu});
  }
  node.outputs.push_back(graph.AddTensor("y", shape, TensorKind::kActivation));
  graph.nodes.push_back(node);

  double power = 0;
  for (const double v : expected[0].data) power += v * v;
  const double rms = std::sqrt(power / static_cast<double>(expected[0].data.size()));
  const double tolerance = op.tolerance * 1.1920929e-7 * (1 + std::sqrt(op.terms(c.attrs, shapes))) * rms;

  const KernelRow* row = RowNamed(c.op, c.kernel);
  ASSERT_NE(row, nullptr);
  for (const std::string& target : SimdTargets()) {
    SCOPED_TRACE(target);
    ASSERT_TRUE(SetSimdTarget(target).has_value());
    std::vector<float> first;
    for (const int threads : {1, 2}) {
      ThreadPool pool(threads);
      const DeviceCaps caps{.threads = threads, .simd_target = target, .vector_bytes = SimdVectorBytes()};
      const NodeRef ref{graph, graph.nodes[0]};
      ASSERT_TRUE(row->Supports(ref, caps));
      AlignedBytes packed, scratch;
      if (row->pack) packed = *row->pack(ref, caps);
      if (row->scratch_bytes) scratch = *AlignedBytes::Allocate(row->scratch_bytes(ref, caps));
      // Kernels may not count on what scratch holds.
      if (scratch.size() > 0) std::memset(scratch.data(), 0xff, scratch.size());
      std::vector<const float*> in;
      for (size_t i = 0; i < values.size(); ++i) in.push_back(row->packed_inputs >> i & 1 ? nullptr : values[i].data());
      std::vector<float> result(shape.elements(), std::nanf(""));
      float* out = result.data();
      const Status status = std::get<CpuRun>(row->run)(CpuCall{ref, in, {&out, 1}, &packed, scratch.f32(), pool});
      ASSERT_TRUE(status.has_value());
      for (size_t i = 0; i < result.size(); ++i) ASSERT_NEAR(result[i], expected[0].data[i], tolerance) << "at " << i;
      if (first.empty()) first = result;
      EXPECT_EQ(std::memcmp(first.data(), result.data(), result.size() * sizeof(float)), 0) << "threads differ";
    }
  }
  ASSERT_TRUE(SetSimdTarget("").has_value());
}

TEST(LargeShapes, AttentionOverSeveralBlocksOfKeys) {
  const Shape q{1, 45, 40}, k{1, 600, 40};
  Check({"heads of 20", "attention_online", Op::kAttention, AttentionAttrs{2, 0.2f}, {q, k, k}});
  const Shape x{1, 530, 36};
  Check({"causal", "attention_online", Op::kAttention, AttentionAttrs{1, 0.2f, true}, {x, x, x}});
}

TEST(LargeShapes, NormsLongerThanACache) {
  const Shape x{2, 3001, 24}, c{24};
  Check({"one group", "norm_vector", Op::kNorm, NormAttrs{1, 0}, {x, c, c}, 0b110});
  Check({"far from zero", "norm_vector", Op::kNorm, NormAttrs{1, 0}, {x, c, c}, 0b110, 30});
  Check({"each channel", "norm_vector", Op::kNorm, NormAttrs{24, 0}, {x, c, c}, 0b110});
  const Shape gated{1, 70, 37, 48}, d{48};
  Check({"strips", "norm_vector", Op::kNorm, NormAttrs{1, 1u << 2}, {gated, d, d}, 0b110, 3});
  Check({"strips, gated", "norm_vector", Op::kNorm, NormAttrs{1, 1u << 2}, {gated, d, d}, 0b110, 0, true});
}

TEST(LargeShapes, MinimalFiltering) {
  const ConvAttrs conv{2, {1, 3, 3}, {1, 1, 1}, {1, 1, 1}, {0, 1, 1}, {0, 1, 1}, 1};
  Check({"plain", "conv_winograd", Op::kConv, conv, {Shape{1, 23, 30, 48}, Shape{80, 48, 3, 3}, Shape{80}}, 0b110});
  Check({"gated",
         "conv_winograd",
         Op::kConv,
         conv,
         {Shape{2, 21, 22, 32}, Shape{96, 32, 3, 3}, Shape{96}},
         0b110,
         0,
         true});
  const ConvAttrs valid{2, {1, 3, 3}, {1, 1, 1}, {1, 1, 1}, {0, 0, 2}, {0, 0, 0}, 1};
  Check({"causal", "conv_winograd", Op::kConv, valid, {Shape{1, 27, 33, 32}, Shape{32, 32, 3, 3}, Shape{32}}, 0b110});
}

TEST(LargeShapes, ConvolutionsOverManyPieces) {
  const ConvAttrs strided{1, {1, 1, 8}, {1, 1, 4}, {1, 1, 1}, {0, 0, 2}, {0, 0, 2}, 1};
  Check({"strided", "conv_product", Op::kConv, strided, {Shape{1, 9001, 12}, Shape{40, 12, 8}, Shape{40}}, 0b110});
  const ConvTransposeAttrs back{1, {1, 1, 8}, {1, 1, 4}, {0, 0, 2}, {0, 0, 3}, 1};
  Check({"transposed",
         "conv_transpose_product",
         Op::kConvTranspose,
         back,
         {Shape{1, 1501, 24}, Shape{24, 10, 8}, Shape{10}},
         0b110});
}

TEST(LargeShapes, ReductionsInPieces) {
  Check(
      {"deviation", "reduce_vector", Op::kReduce, ReduceAttrs{ReduceFn::kStd, 0b110, 1}, {Shape{2, 1100, 130}}, 0, 5});
  Check({"sum", "reduce_vector", Op::kReduce, ReduceAttrs{ReduceFn::kMean, 0b010, 0}, {Shape{2, 3000, 21}}, 0, 1});
}

}  // namespace
}  // namespace timbre
