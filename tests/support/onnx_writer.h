// Makes ONNX files for tests, well-formed or not.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "graph/tensor.h"

namespace timbre::testing {

class OnnxWriter {
 public:
  using Names = std::vector<std::string>;
  using Dims = std::vector<int64_t>;

  OnnxWriter& Input(const std::string& name, const Dims& dims) {
    std::string shape;
    for (const int64_t dim : dims) shape += Message(1, dim < 0 ? Message(2, "batch") : Number(1, dim));
    graph_ += Message(11, Message(1, name) + Message(2, Message(1, Number(1, 1) + Message(2, shape))));
    return *this;
  }
  OnnxWriter& Output(const std::string& name) {
    graph_ += Message(12, Message(1, name));
    return *this;
  }
  OnnxWriter& Node(const std::string& op, const Names& inputs, const Names& outputs, const Names& attributes = {}) {
    std::string node;
    for (const std::string& input : inputs) node += Message(1, input);
    for (const std::string& output : outputs) node += Message(2, output);
    node += Message(4, op);
    for (const std::string& attribute : attributes) node += Message(5, attribute);
    graph_ += Message(1, node);
    return *this;
  }
  // form: how the values lie: raw, packed, single, or as halves.
  OnnxWriter& Tensor(const std::string& name, const Dims& dims, const std::vector<float>& values, char form = 'r') {
    graph_ += Message(5, Values(dims, values, form) + Message(8, name));
    return *this;
  }
  OnnxWriter& External(const std::string& name) {
    graph_ += Message(5, Number(1, 1) + Number(2, 1) + Message(8, name) + Number(14, 1));
    return *this;
  }
  OnnxWriter& Texts(const std::string& name) {
    graph_ += Message(5, Number(1, 1) + Number(2, 8) + Message(6, "text") + Message(8, name));
    return *this;
  }
  std::string Build() const { return Number(1, 7) + Message(8, Number(2, 13)) + Message(7, graph_); }

  static std::string IntOf(const std::string& name, int64_t value) { return Message(1, name) + Number(3, value); }
  static std::string FloatOf(const std::string& name, float value) { return Message(1, name) + "\x15" + Bits(value); }
  static std::string TextOf(const std::string& name, const std::string& text) {
    return Message(1, name) + Message(4, text);
  }
  static std::string IntsOf(const std::string& name, const Dims& values) {
    std::string list;
    for (const int64_t value : values) list += Number(8, value);
    return Message(1, name) + list;
  }
  static std::string TensorOf(const std::string& name, const Dims& dims, const std::vector<float>& values) {
    return Message(1, name) + Message(5, Values(dims, values, 'r'));
  }

 private:
  static std::string Varint(uint64_t value) {
    std::string bytes;
    for (; value >= 128; value >>= 7) bytes += static_cast<char>(value | 128);
    return bytes + static_cast<char>(value);
  }
  static std::string Number(uint64_t field, int64_t value) {
    return Varint(field << 3) + Varint(static_cast<uint64_t>(value));
  }
  static std::string Message(uint64_t field, const std::string& bytes) {
    return Varint(field << 3 | 2) + Varint(bytes.size()) + bytes;
  }
  static std::string Bits(float value) {
    std::string bytes(4, '\0');
    std::memcpy(bytes.data(), &value, 4);
    return bytes;
  }
  static std::string Values(const Dims& dims, const std::vector<float>& values, char form) {
    std::string bytes = Number(2, form == 'h' ? 10 : 1), list;
    for (const int64_t dim : dims) bytes += Number(1, dim);
    for (const float value : values) {
      list += form == 'h' ? Varint(FloatToHalf(value)) : form == 's' ? "\x25" + Bits(value) : Bits(value);
    }
    return bytes + (form == 's' ? list : Message(form == 'h' ? 5 : form == 'p' ? 4 : 9, list));
  }

  std::string graph_;
};

}  // namespace timbre::testing
