// Filters with some of their taps summed up: where neighbours read the same value, one product stands for several.
#pragma once

#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "graph/weights.h"

namespace timbre {

// Along one axis: of each tap of the new filter, which taps [first, second) of the old one it is the sum of.
using TapGroups = std::vector<std::pair<int, int>>;

class TapSums : public Weights {
 public:
  // `inner` must outlive this. `part`: not all that it has need be used.
  explicit TapSums(Weights& inner, bool part = false) : inner_(inner), part_(part) {}

  // The name under which Get makes the filter of `of` [out, in, 3, 3, 3]: [out, in, times, rows, columns], or without
  // the times where they are one and `flat`.
  std::string Add(const std::string& of, const TapGroups& times, const TapGroups& rows, const TapGroups& columns,
                  bool flat = false);

  Result<HostTensor> Get(const std::string& name, const Shape& shape) override;
  bool Has(const std::string& name) const override { return sums_.contains(name) || inner_.Has(name); }
  Status CheckAllUsed() const override { return part_ ? Status() : inner_.CheckAllUsed(); }
  void Ignore(const std::string& name) override { inner_.Ignore(name); }

 private:
  struct Sum {
    std::string of;
    TapGroups times, rows, columns;
  };
  Weights& inner_;
  const bool part_;
  std::map<std::string, Sum> sums_;
};

}  // namespace timbre
