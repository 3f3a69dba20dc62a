#include "models/song/weight_norm.h"

#include <cmath>

namespace timbre {
namespace {

struct Parts {
  std::string direction, length;
};

// The names that "X.weight" may be stored under in two parts.
std::vector<Parts> PartsOf(const std::string& name) {
  constexpr std::string_view kWeight = "weight";
  if (!name.ends_with(kWeight)) return {};
  const std::string scope = name.substr(0, name.size() - kWeight.size());
  return {{scope + "weight_v", scope + "weight_g"},
          {scope + "parametrizations.weight.original1", scope + "parametrizations.weight.original0"}};
}

void Normalise(const HostTensor& direction, const std::vector<float>& length, float* out) {
  direction.ReadF32(out);
  direction.ReleasePages();
  const int64_t rows = direction.shape[0], width = direction.shape.stride(0);
  for (int64_t r = 0; r < rows; ++r) {
    float* row = out + r * width;
    double square = 0;
    for (int64_t i = 0; i < width; ++i) square += double{row[i]} * row[i];
    const double gain = length[r] / std::sqrt(square);
    for (int64_t i = 0; i < width; ++i) row[i] = static_cast<float>(row[i] * gain);
  }
}

}  // namespace

bool WeightNorm::Has(const std::string& name) const {
  if (inner_.Has(name)) return true;
  for (const Parts& parts : PartsOf(name)) {
    if (inner_.Has(parts.direction) && inner_.Has(parts.length)) return true;
  }
  return false;
}

Result<HostTensor> WeightNorm::Get(const std::string& name, const Shape& shape) {
  for (const Parts& parts : PartsOf(name)) {
    if (!inner_.Has(parts.direction) || !inner_.Has(parts.length)) continue;
    TIMBRE_TRY(HostTensor direction, inner_.Get(parts.direction, shape));
    Shape one{shape[0]};
    for (int i = 1; i < shape.rank(); ++i) one.push_back(1);
    TIMBRE_TRY(const HostTensor length, inner_.Get(parts.length, one));
    return HostTensor::Made(shape,
                            [direction, values = length.ToF32()](float* out) { Normalise(direction, values, out); });
  }
  return inner_.Get(name, shape);
}

}  // namespace timbre
