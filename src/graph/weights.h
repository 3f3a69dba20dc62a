// Where a network's weights come from: a checkpoint, a formula, or a seed.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "graph/tensor.h"

namespace timbre {

// Gives named weights to the builder. Implementations say which names exist; the builder says which it used.
class Weights {
 public:
  virtual ~Weights() = default;
  // The weight `name`, which must have shape `shape`. The error names the weight, the shape wanted and the shape found.
  virtual Result<HostTensor> Get(const std::string& name, const Shape& shape) = 0;
  // Whether the checkpoint has it: for parts of a network that are optional.
  virtual bool Has(const std::string& name) const = 0;
  // An error naming the weights that nothing asked for, if any; buffers that a network computes for itself can be
  // ignored beforehand.
  virtual Status CheckAllUsed() const { return {}; }
  virtual void Ignore(const std::string& name) { (void)name; }
};

using TensorMap = std::map<std::string, HostTensor>;

// Weights from a map, which may live longer than this; names are looked up with `prefix` in front.
std::unique_ptr<Weights> WeightsFromMap(std::shared_ptr<const TensorMap> tensors, std::string prefix = "");

// Reproducible noise of a plausible size (uniform, ±sqrt(3 / fan_in); vectors ±0.1, gains of norms and layers about 1)
// for any name and shape, so that benchmarks need no download. The same name, shape and seed give the same values
// everywhere.
std::unique_ptr<Weights> RandomWeights(uint64_t seed);

// Element i of the tensor `name` under the formula of the reference cases: a 64-bit mix of FNV-1a(name) + i, mapped to
// [lo, hi).
float FormulaValue(uint64_t name_hash, uint64_t index, float lo, float span);
uint64_t Fnv1a64(std::string_view text);

}  // namespace timbre
