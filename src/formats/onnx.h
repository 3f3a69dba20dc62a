// ONNX files as what they are: nodes, and the tensors that belong to them. What a graph computes is for the reader of a
// model to recognise; nothing is run. Format: onnx/onnx.proto (IR version 3 and newer).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "graph/weights.h"

namespace timbre {

struct OnnxAttribute {
  std::optional<float> number;
  std::optional<int64_t> integer;
  std::string text;
  std::vector<int64_t> integers;
  std::optional<HostTensor> tensor;
};

struct OnnxNode {
  std::string op;
  std::vector<std::string> inputs, outputs;  // of the tensors between nodes; an input left out is ""
  std::map<std::string, OnnxAttribute> attributes;

  // The attribute's value, or `otherwise` where the node has none of that kind.
  int64_t Int(const std::string& name, int64_t otherwise) const;
  float Float(const std::string& name, float otherwise) const;
  std::string Text(const std::string& name) const;
  std::vector<int64_t> Ints(const std::string& name, std::vector<int64_t> otherwise) const;
  const std::string& input(size_t i) const;  // "" where there are fewer
};

struct OnnxPort {
  std::string name;
  std::vector<int64_t> dims;  // -1: not fixed
};

struct OnnxGraph {
  std::vector<OnnxNode> nodes;  // in the file's order, which computes what a node reads before it
  TensorMap constants;          // that no input decides: initializers and Constants, handed on by Identity or not
  std::vector<OnnxPort> inputs, outputs;  // of inputs, those that are no constants

  const HostTensor* Constant(const std::string& name) const;  // null for others
};

// Bounded before it is allocated. kUnsupported for tensors in files of their own, and for types that networks are not
// made of; kCorrupt for what is no model.
Result<OnnxGraph> ReadOnnx(const SharedBytes& bytes);

}  // namespace timbre
