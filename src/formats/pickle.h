// Python's pickle format, read as data. Nothing is imported, nothing is run: a class or function that the pickle names
// is at most kept as a name, and one that is not on a short list is an error. The format: Python's pickletools module
// documents each opcode, protocols 0 to 5.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "graph/tensor.h"

namespace timbre {

enum class PickleKind : uint8_t {
  kNone,
  kBool,
  kInt,
  kBigInt,  // beyond 64 bits; its value is not kept
  kDouble,
  kString,  // valid UTF-8
  kBytes,
  kList,
  kTuple,
  kSet,
  kDict,
  kGlobal,   // a class or function that is only named
  kObject,   // what a named class was to be called with: name, arguments, state
  kStorage,  // a run of elements that lies outside the pickle
  kTensor,   // a view of a storage
};

std::string_view NameOf(PickleKind kind);

// A run of elements that the checkpoint keeps outside the pickle.
struct PickleStorage {
  std::string key;
  DType dtype = DType::kF32;
  int64_t elements = 0;
  int64_t root_offset = 0;  // in elements, where the storage is a part of the one that `key` names (legacy files only)
};

// A strided view of a storage. Every element lies inside the storage; strides are counted in elements and not negative.
struct PickleTensor {
  size_t storage = 0;  // index into PickleTree::storages
  int64_t offset = 0;
  Shape shape;
  Shape strides;
};

struct PickleNode {
  PickleKind kind = PickleKind::kNone;
  union {
    int64_t integer = 0;  // kBool, kInt; the index of a kStorage or kTensor
    double real;          // kDouble
  };
  std::string text;             // kString, kBytes; the dotted name of a kGlobal or kObject
  std::vector<uint32_t> items;  // of a container; a dict's keys and values in turn; an object's arguments and its state
};

struct PickleTree {
  std::vector<PickleNode> nodes;
  std::vector<PickleStorage> storages;
  std::vector<PickleTensor> tensors;
};

// One value of a tree, which it keeps alive. Cheap to copy. Values may contain themselves, as in Python: whoever
// descends must bound the depth.
class PickleValue {
 public:
  PickleValue() = default;  // None
  PickleValue(std::shared_ptr<const PickleTree> tree, uint32_t node) : tree_(std::move(tree)), node_(node) {}

  PickleKind kind() const { return tree_ ? node().kind : PickleKind::kNone; }
  bool is_none() const { return kind() == PickleKind::kNone; }
  bool is_dict() const { return kind() == PickleKind::kDict; }

  // Each is empty where the value is of another kind.
  std::optional<bool> Bool() const;
  std::optional<int64_t> Int() const;
  std::optional<double> Number() const;  // an int, a double, or a fractions.Fraction
  std::optional<std::string> String() const;
  std::optional<std::vector<std::string>> Strings() const;  // a list or tuple of strings
  const PickleTensor* Tensor() const;

  // Elements of a list, tuple or set, pairs of a dict, 0 for anything else.
  size_t size() const;
  PickleValue operator[](size_t i) const;  // of a list, tuple or set
  PickleValue Key(size_t i) const;         // of a dict
  PickleValue Value(size_t i) const;
  // The value of a dict under the key `name`.
  std::optional<PickleValue> Find(std::string_view name) const;

  // The dotted name of a global or of an object's class ("demucs.htdemucs.HTDemucs"), else empty.
  std::string class_name() const;
  PickleValue args() const;   // a tuple, of an object
  PickleValue state() const;  // of an object, or None

  uint32_t id() const { return node_; }  // the same for the same Python object
  const std::shared_ptr<const PickleTree>& tree() const { return tree_; }

 private:
  const PickleNode& node() const { return tree_->nodes[node_]; }
  bool IsSequence() const;
  std::shared_ptr<const PickleTree> tree_;
  uint32_t node_ = 0;
};

struct PickleLimits {
  size_t bytes = size_t{64} << 20;    // of the pickle
  size_t memory = size_t{256} << 20;  // of the tree
};

// Reads one pickle from the front of `bytes`; `consumed`, where given, receives its length. Errors say at which byte.
Result<PickleValue> ReadPickle(std::span<const std::byte> bytes, size_t* consumed = nullptr,
                               const PickleLimits& limits = {});

}  // namespace timbre
