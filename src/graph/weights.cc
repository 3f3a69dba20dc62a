#include "graph/weights.h"

#include <cmath>

#include "base/mapped_file.h"

namespace timbre {
namespace {

uint64_t Mix(uint64_t z) {
  z += 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

class MapWeights : public Weights {
 public:
  MapWeights(std::shared_ptr<const TensorMap> tensors, std::string prefix)
      : tensors_(std::move(tensors)), prefix_(std::move(prefix)) {}

  Result<HostTensor> Get(const std::string& name, const Shape& shape) override {
    const auto it = tensors_->find(prefix_ + name);
    if (it == tensors_->end()) {
      return Fail(ErrorCode::kNotFound, "the checkpoint has no weight '" + prefix_ + name + "' (wanted with shape " +
                                            shape.ToString() + "); it belongs to another model or configuration");
    }
    // Scalars are [] in some checkpoints and [1] in others; nothing else is bent.
    const bool scalar = shape.elements() == 1 && it->second.shape.elements() == 1;
    if (!(it->second.shape == shape) && !scalar) {
      return Fail(ErrorCode::kCorrupt, "the weight '" + prefix_ + name + "' has shape " + it->second.shape.ToString() +
                                           " where the model wants " + shape.ToString() +
                                           "; the checkpoint belongs to another model or configuration");
    }
    TIMBRE_CHECK(it->second.CheckFile());
    used_.insert(it->first);
    HostTensor tensor = it->second;
    tensor.shape = shape;
    return tensor;
  }

  bool Has(const std::string& name) const override { return tensors_->count(prefix_ + name) > 0; }
  void Ignore(const std::string& name) override { used_.insert(prefix_ + name); }

  Status CheckAllUsed() const override {
    for (const auto& [name, tensor] : *tensors_) {
      if (name.starts_with(prefix_) && !used_.contains(name)) {
        return Fail(ErrorCode::kCorrupt,
                    "the checkpoint's weight '" + name + "' of shape " + tensor.shape.ToString() +
                        " has no place in the model; it belongs to another model or configuration");
      }
    }
    return {};
  }

 private:
  std::shared_ptr<const TensorMap> tensors_;
  std::string prefix_;
  std::set<std::string> used_;
};

class SeededWeights : public Weights {
 public:
  explicit SeededWeights(uint64_t seed) : seed_(seed) {}

  Result<HostTensor> Get(const std::string& name, const Shape& shape) override {
    float lo = -0.1f, hi = 0.1f;
    if (shape.rank() > 1) {
      hi = std::sqrt(3.0f / static_cast<float>(std::max<int64_t>(1, shape.Product(1, shape.rank()))));
      lo = -hi;
    } else if (name.ends_with(".weight") || name.ends_with(".scale") || name.ends_with("running_var")) {
      lo = 0.9f, hi = 1.1f;
    }
    const auto count = static_cast<size_t>(shape.elements());
    return HostTensor::Made(shape, [count, lo, span = hi - lo, hash = Fnv1a64(name) ^ seed_](float* out) {
      for (size_t i = 0; i < count; ++i) out[i] = FormulaValue(hash, i, lo, span);
    });
  }
  bool Has(const std::string&) const override { return true; }

 private:
  uint64_t seed_;
};

}  // namespace

uint64_t Fnv1a64(std::string_view text) {
  uint64_t hash = 0xCBF29CE484222325u;
  for (const char c : text) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001B3u;
  return hash;
}

float FormulaValue(uint64_t name_hash, uint64_t index, float lo, float span) {
  const float unit = static_cast<float>(Mix(name_hash + index) >> 40) * 0x1p-24f;
  const float scaled = span * unit;
  return lo + scaled;
}

std::unique_ptr<Weights> WeightsFromMap(std::shared_ptr<const TensorMap> tensors, std::string prefix) {
  return std::make_unique<MapWeights>(std::move(tensors), std::move(prefix));
}

std::unique_ptr<Weights> RandomWeights(uint64_t seed) { return std::make_unique<SeededWeights>(seed); }

}  // namespace timbre
