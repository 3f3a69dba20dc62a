// Weights of layers that were trained with weight normalisation: direction and length are stored apart.
#pragma once

#include "graph/weights.h"

namespace timbre {

// Gives "X.weight" as weight_g * weight_v / |weight_v|, the norm over all axes but the first, where `inner` has no
// "X.weight" but "X.weight_v" and "X.weight_g", or PyTorch's newer names "X.parametrizations.weight.original1" and
// "…original0". Everything else passes through. `inner` must outlive this.
class WeightNorm : public Weights {
 public:
  explicit WeightNorm(Weights& inner) : inner_(inner) {}
  Result<HostTensor> Get(const std::string& name, const Shape& shape) override;
  bool Has(const std::string& name) const override;
  Status CheckAllUsed() const override { return inner_.CheckAllUsed(); }
  void Ignore(const std::string& name) override { inner_.Ignore(name); }

 private:
  Weights& inner_;
};

}  // namespace timbre
