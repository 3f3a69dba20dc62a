#include "formats/onnx.h"

#include <cstring>
#include <utility>

#include "base/mapped_file.h"
#include "base/text.h"
#include "formats/protobuf.h"
#include "formats/tensor_view.h"

namespace timbre {
namespace {

constexpr size_t kMostNodes = 100'000, kMostTensors = 100'000, kMostPorts = 100'000, kMostName = 1000;
constexpr size_t kMostDims = 1000, kMostInputs = 1000, kMostAttributes = 100, kMostIntegers = 1'000'000;
constexpr int64_t kMostElements = int64_t{1} << 34;

tl::unexpected<Error> Corrupt(const std::string& what) {
  return Fail(ErrorCode::kCorrupt, "the ONNX file is broken: " + what + "; get it again.");
}

Status Name(const ProtoField& field, std::string* name) {
  if (!field.is_bytes || field.bytes.size() > kMostName) return Corrupt("a name is none, or far too long");
  *name = field.bytes;
  return {};
}

// A repeated number: one of them, or several packed.
Status AddIntegers(const ProtoField& field, std::vector<int64_t>* integers) {
  std::string_view packed = field.bytes;
  do {
    if (integers->size() >= kMostIntegers) return Corrupt("a list of numbers is far too long");
    if (!field.is_bytes) {
      integers->push_back(static_cast<int64_t>(field.value));
      break;
    }
    if (packed.empty()) break;
    const auto value = TakeVarint(&packed);
    if (!value) return Corrupt("a list of numbers is cut short");
    integers->push_back(static_cast<int64_t>(*value));
  } while (true);
  return {};
}

// What a number of TensorProto::DataType is; nothing for types that networks are not made of.
std::optional<DType> TypeOf(uint64_t number) {
  switch (number) {
    case 1: return DType::kF32;
    case 2: return DType::kU8;
    case 3: return DType::kI8;
    case 6: return DType::kI32;
    case 7: return DType::kI64;
    case 9: return DType::kBool;
    case 10: return DType::kF16;
    case 11: return DType::kF64;
    case 16: return DType::kBF16;
    default: return {};
  }
}

const OnnxAttribute* Find(const OnnxNode& node, const std::string& name) {
  const auto found = node.attributes.find(name);
  return found == node.attributes.end() ? nullptr : &found->second;
}

class Reader {
 public:
  explicit Reader(const SharedBytes& bytes) : bytes_(bytes) {}

  Result<OnnxGraph> Model() {
    ProtoReader model(bytes_.text());
    std::optional<std::string_view> graph;
    for (ProtoField field; model.Next(&field);) {
      if (field.number == 7 && field.is_bytes) graph = field.bytes;
    }
    if (model.broken() || !graph) return Fail(ErrorCode::kCorrupt, "this is no ONNX file, or it is cut short.");
    TIMBRE_CHECK(Graph(*graph));
    for (const OnnxNode& node : graph_.nodes) {
      if (node.outputs.empty()) continue;
      if (node.op == "Constant") {
        const OnnxAttribute* value = Find(node, "value");
        if (value != nullptr && value->tensor) graph_.constants.emplace(node.outputs[0], *value->tensor);
      } else if (node.op == "Identity") {
        const HostTensor* same = graph_.Constant(node.input(0));
        if (same != nullptr) graph_.constants.emplace(node.outputs[0], *same);
      }
    }
    std::erase_if(graph_.inputs, [&](const OnnxPort& port) { return graph_.constants.contains(port.name); });
    return std::move(graph_);
  }

 private:
  Status Graph(std::string_view message) {
    ProtoReader reader(message);
    for (ProtoField field; reader.Next(&field);) {
      if (!field.is_bytes) continue;
      switch (field.number) {
        case 1: TIMBRE_CHECK(Node(field.bytes)); break;
        case 5: {
          std::string name;
          TIMBRE_TRY(HostTensor tensor, Tensor(field.bytes, &name));
          if (graph_.constants.size() >= kMostTensors) return Corrupt("it has too many tensors");
          if (!graph_.constants.emplace(name, std::move(tensor)).second) {
            return Corrupt("it names the tensor '" + Printable(name) + "' twice");
          }
          break;
        }
        case 11: TIMBRE_CHECK(Port(field.bytes, &graph_.inputs)); break;
        case 12: TIMBRE_CHECK(Port(field.bytes, &graph_.outputs)); break;
        case 15: return Fail(ErrorCode::kUnsupported, "the ONNX file has sparse tensors, which are not read here.");
        default: break;
      }
    }
    return reader.broken() ? Status(Corrupt("its graph is cut short")) : Status();
  }

  Status Node(std::string_view message) {
    if (graph_.nodes.size() >= kMostNodes) return Corrupt("it has too many nodes");
    OnnxNode node;
    ProtoReader reader(message);
    for (ProtoField field; reader.Next(&field);) {
      if (field.number == 1 || field.number == 2) {
        std::vector<std::string>& names = field.number == 1 ? node.inputs : node.outputs;
        if (names.size() >= kMostInputs) return Corrupt("a node has too many inputs or outputs");
        TIMBRE_CHECK(Name(field, &names.emplace_back()));
      } else if (field.number == 4) {
        TIMBRE_CHECK(Name(field, &node.op));
      } else if (field.number == 5 && field.is_bytes) {
        if (node.attributes.size() >= kMostAttributes) return Corrupt("a node has too many attributes");
        TIMBRE_CHECK(Attribute(field.bytes, &node));
      }
    }
    if (reader.broken()) return Corrupt("a node is cut short");
    graph_.nodes.push_back(std::move(node));
    return {};
  }

  Status Attribute(std::string_view message, OnnxNode* node) {
    std::string name;
    OnnxAttribute attribute;
    ProtoReader reader(message);
    for (ProtoField field; reader.Next(&field);) {
      switch (field.number) {
        case 1: TIMBRE_CHECK(Name(field, &name)); break;
        case 2: attribute.number = field.Float(); break;
        case 3: attribute.integer = static_cast<int64_t>(field.value); break;
        case 4: TIMBRE_CHECK(Name(field, &attribute.text)); break;
        case 5: {
          std::string ignored;
          TIMBRE_TRY(attribute.tensor, Tensor(field.bytes, &ignored));
          break;
        }
        case 8: TIMBRE_CHECK(AddIntegers(field, &attribute.integers)); break;
        default: break;
      }
    }
    if (reader.broken()) return Corrupt("an attribute is cut short");
    node->attributes.insert_or_assign(name, std::move(attribute));
    return {};
  }

  // TensorProto: the values lie as they are in memory, or in a list of a type that is as wide or wider.
  Result<HostTensor> Tensor(std::string_view message, std::string* name) {
    std::vector<int64_t> dims, integers;
    uint64_t type = 0;
    std::string_view raw;
    std::string singles;  // floats that are not packed
    ProtoReader reader(message);
    for (ProtoField field; reader.Next(&field);) {
      switch (field.number) {
        case 1: TIMBRE_CHECK(AddIntegers(field, &dims)); break;
        case 2: type = field.value; break;
        case 4:
        case 10:
        case 9:
          if (field.is_bytes) {
            raw = field.bytes;
          } else {
            singles.append(reinterpret_cast<const char*>(&field.value), field.number == 10 ? 8 : 4);
          }
          break;
        case 5:
        case 7: TIMBRE_CHECK(AddIntegers(field, &integers)); break;
        case 8: TIMBRE_CHECK(Name(field, name)); break;
        case 13:
          return Fail(ErrorCode::kUnsupported,
                      "the ONNX file keeps its tensors in another file, which is not read here; save it as one.");
        case 14:
          if (field.value != 0) {
            return Fail(ErrorCode::kUnsupported,
                        "the ONNX file keeps its tensors in another file, which is not read here; save it as one.");
          }
          break;
        default: break;
      }
    }
    const std::string shown = "the tensor '" + Printable(*name) + "'";
    if (reader.broken()) return Corrupt(shown + " is cut short");
    const auto dtype = TypeOf(type);
    if (!dtype) {
      return Fail(ErrorCode::kUnsupported,
                  "the ONNX file's " + shown + " is of type " + std::to_string(type) + ", which is not read here.");
    }
    if (dims.size() > Shape::kMaxRank) return Corrupt(shown + " has " + std::to_string(dims.size()) + " dimensions");
    int64_t elements = 1;
    Shape shape;
    for (const int64_t dim : dims) {
      if (dim < 0 || (dim > 0 && elements > kMostElements / dim)) return Corrupt(shown + " is of a senseless size");
      elements *= dim;
      shape.push_back(dim);
    }
    const size_t bytes = BytesOf(*dtype, elements);
    if (!integers.empty()) return FromIntegers(*dtype, shape, integers, shown);
    if (!singles.empty()) {
      if (singles.size() != bytes) return Corrupt(shown + " has not as many values as its shape says");
      const auto* from = reinterpret_cast<const std::byte*>(singles.data());
      return HostTensor::FromBytes(shape, *dtype, std::vector<std::byte>(from, from + bytes));
    }
    if (raw.size() != bytes) return Corrupt(shown + " has not as many bytes as its shape says");
    if (bytes == 0) return HostTensor::FromBytes(shape, *dtype, {});
    const auto offset = static_cast<size_t>(raw.data() - bytes_.text().data());
    return ViewTensor(bytes_.Slice(offset, bytes), *dtype, shape);
  }

  static Result<HostTensor> FromIntegers(DType dtype, const Shape& shape, const std::vector<int64_t>& integers,
                                         const std::string& shown) {
    const size_t width = SizeOf(dtype);
    if (static_cast<int64_t>(integers.size()) != shape.elements() || dtype == DType::kF32 || dtype == DType::kF64) {
      return Corrupt(shown + " has not as many values as its shape says");
    }
    std::vector<std::byte> bytes(integers.size() * width);
    for (size_t i = 0; i < integers.size(); ++i) std::memcpy(bytes.data() + i * width, &integers[i], width);
    return HostTensor::FromBytes(shape, dtype, std::move(bytes));
  }

  // ValueInfoProto, of a tensor.
  static Status Port(std::string_view message, std::vector<OnnxPort>* ports) {
    if (ports->size() >= kMostPorts) return Corrupt("it has too many inputs or outputs");
    OnnxPort port;
    ProtoReader reader(message);
    for (ProtoField field; reader.Next(&field);) {
      if (field.number == 1) TIMBRE_CHECK(Name(field, &port.name));
      if (field.number != 2 || !field.is_bytes) continue;
      std::string_view type = field.bytes;  // TypeProto, in it Tensor, in it TensorShapeProto
      for (const uint32_t inner : {1u, 2u}) {
        std::string_view found;
        ProtoReader level(type);
        for (ProtoField part; level.Next(&part);) {
          if (part.number == inner && part.is_bytes) found = part.bytes;
        }
        type = found;
      }
      ProtoReader dims(type);
      for (ProtoField dim; dims.Next(&dim);) {
        if (port.dims.size() >= kMostDims) return Corrupt("an input has too many dimensions");
        int64_t size = -1;
        ProtoReader values(dim.bytes);
        for (ProtoField value; values.Next(&value);) {
          if (value.number == 1 && !value.is_bytes) size = static_cast<int64_t>(value.value);
        }
        port.dims.push_back(size < 0 ? -1 : size);
      }
    }
    if (reader.broken()) return Corrupt("an input or output is cut short");
    ports->push_back(std::move(port));
    return {};
  }

  const SharedBytes& bytes_;
  OnnxGraph graph_;
};

}  // namespace

int64_t OnnxNode::Int(const std::string& name, int64_t otherwise) const {
  const OnnxAttribute* found = Find(*this, name);
  return found == nullptr ? otherwise : found->integer.value_or(otherwise);
}

float OnnxNode::Float(const std::string& name, float otherwise) const {
  const OnnxAttribute* found = Find(*this, name);
  return found == nullptr ? otherwise : found->number.value_or(otherwise);
}

std::string OnnxNode::Text(const std::string& name) const {
  const OnnxAttribute* found = Find(*this, name);
  return found == nullptr ? "" : found->text;
}

std::vector<int64_t> OnnxNode::Ints(const std::string& name, std::vector<int64_t> otherwise) const {
  const OnnxAttribute* found = Find(*this, name);
  if (found != nullptr && !found->integers.empty()) return found->integers;
  return otherwise;
}

const std::string& OnnxNode::input(size_t i) const {
  static const std::string kNone;
  return i < inputs.size() ? inputs[i] : kNone;
}

const HostTensor* OnnxGraph::Constant(const std::string& name) const {
  const auto found = constants.find(name);
  return found == constants.end() ? nullptr : &found->second;
}

Result<OnnxGraph> ReadOnnx(const SharedBytes& bytes) {
  auto graph = Reader(bytes).Model();
  if (graph) SettleMapped(bytes);
  return graph;
}

}  // namespace timbre
