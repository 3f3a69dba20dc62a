// A small MDX-Net in forms that exporters write: norms left unfolded or in groups, matrices transposed by a node,
// inputs cast to halves.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "graph/weights.h"
#include "tests/support/onnx_writer.h"

namespace timbre::testing {

inline constexpr int kMdxnetBins = 8, kMdxnetFrames = 4;

inline std::vector<float> MdxnetNoise(uint64_t seed, size_t count) {
  std::vector<float> values(count);
  for (size_t i = 0; i < count; ++i) values[i] = FormulaValue(seed, i, -0.5f, 1);
  return values;
}

struct SmallMdxnetParts {
  std::vector<float> first = MdxnetNoise(1, 8), first_bias = MdxnetNoise(2, 2), tfc = MdxnetNoise(3, 36),
                     linear = MdxnetNoise(4, 64), linear_bias = MdxnetNoise(5, 8), last = MdxnetNoise(6, 8);
  std::vector<float> gamma{1.5f, 0.5f}, beta{0.25f, -0.5f}, mean{0.1f, -0.2f}, variance{0.5f, 2};
  float eps = 1e-3f;  // of norms that are not in groups
};

inline OnnxWriter SmallMdxnet(bool grouped, const std::string& odd = "", float group_scale = 1) {
  const SmallMdxnetParts p;
  OnnxWriter writer;
  writer.Input("x", {-1, 4, kMdxnetBins, kMdxnetFrames}).Output("y");
  writer.Tensor("w1", {2, 4, 1, 1}, p.first).Tensor("v", {2}, p.first_bias).Tensor("w2", {2, 2, 3, 3}, p.tfc);
  writer.Tensor("m", {8, 8}, p.linear).Tensor("b8", {8}, p.linear_bias).Tensor("w3", {4, 2, 1, 1}, p.last);
  const int64_t apart = grouped ? 1 : 0;
  for (const auto& [name, values] : {std::pair("gamma", p.gamma), {"beta", p.beta}}) {
    writer.Tensor(name, apart ? OnnxWriter::Dims{2, 1, 1} : OnnxWriter::Dims{2}, values);
  }
  writer.Tensor("mean", {2}, p.mean).Tensor("variance", {2}, p.variance);
  writer.Tensor("shape", {3}, {0, 2, -1}).Tensor("ones", {2}, {group_scale, 1}).Tensor("zeros", {2}, {0, 0});
  const std::string norm = odd.empty() ? "BatchNormalization" : odd;
  const auto normed = [&](const std::string& from, const std::string& to) {
    if (grouped) {
      writer.Node("Reshape", {from, "shape"}, {to + "a"})
          .Node("InstanceNormalization", {to + "a", "ones", "zeros"}, {to + "b"});
      writer.Node("Shape", {from}, {to + "s"}).Node("Reshape", {to + "b", to + "s"}, {to + "c"});
      writer.Node("Mul", {to + "c", "gamma"}, {to + "d"}).Node("Add", {to + "d", "beta"}, {to + "n"});
    } else {
      writer.Node(norm, {from, "gamma", "beta", "mean", "variance"}, {to + "n"},
                  {OnnxWriter::FloatOf("epsilon", p.eps)});
    }
    writer.Node("Relu", {to + "n"}, {to});
  };
  writer.Node("Cast", {"x"}, {"x16"}).Node("Conv", {"x16", "w1", "v"}, {"c1"});
  normed("c1", "r1");
  writer.Node("Transpose", {"r1"}, {"t1"}, {OnnxWriter::IntsOf("perm", {0, 1, 3, 2})});
  writer.Node("Conv", {"t1", "w2"}, {"c2"}, {OnnxWriter::IntsOf("pads", {1, 1, 1, 1})});
  normed("c2", "r2");
  writer.Node("Transpose", {"m"}, {"mt"}, {OnnxWriter::IntsOf("perm", {1, 0})});
  writer.Node("MatMul", {"r2", "mt"}, {"l"}).Node("Add", {"b8", "l"}, {"lb"});
  normed("lb", "r3");
  writer.Node("Add", {"r2", "r3"}, {"s"});
  writer.Node("Transpose", {"s"}, {"t2"}, {OnnxWriter::IntsOf("perm", {0, 1, 3, 2})});
  writer.Node("Conv", {"t2", "w3"}, {"y"});
  return writer;
}

}  // namespace timbre::testing
