#include "formats/weight_values.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

#include "base/text.h"

namespace timbre {
namespace {

constexpr float kMostWeight = 1e18f;

bool IsReal(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16 || dtype == DType::kF64;
}

}  // namespace

Status CheckValues(const TensorMap& weights) {
  std::vector<float> values;
  for (const auto& [name, tensor] : weights) {
    if (!IsReal(tensor.dtype) || tensor.make) continue;
    values.resize(static_cast<size_t>(tensor.shape.elements()));
    tensor.ReadF32(values.data());
    tensor.ReleasePages();
    const auto sane = [](float value) { return std::abs(value) <= kMostWeight; };
    // Counted without a way out in the middle, for the vectors' sake.
    if (std::count_if(values.begin(), values.end(), sane) == static_cast<ptrdiff_t>(values.size())) continue;
    const auto bad = std::find_if_not(values.begin(), values.end(), sane);
    char value[32];
    std::snprintf(value, sizeof value, "%.3g", static_cast<double>(*bad));
    return Fail(ErrorCode::kCorrupt, "the weight '" + Printable(name) + "' of shape " + tensor.shape.ToString() +
                                         " holds " + value + " as its element " + std::to_string(bad - values.begin()) +
                                         ", which no network computes with; the file is damaged, get it again");
  }
  return {};
}

}  // namespace timbre
