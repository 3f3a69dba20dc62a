#include "models/frames/tap_sums.h"

namespace timbre {
namespace {

constexpr int kTaps = 3;  // along each axis

std::string Text(const TapGroups& groups) {
  std::string text = "(";
  for (const auto& [first, end] : groups) {
    if (text.size() > 1) text += ",";
    for (int tap = first; tap < end; ++tap) text += std::to_string(tap);
  }
  return text + ")";
}

}  // namespace

std::string TapSums::Add(const std::string& of, const TapGroups& times, const TapGroups& rows, const TapGroups& columns,
                         bool flat) {
  std::string name = of + "/" + (flat ? "flat" : "") + Text(times) + Text(rows) + Text(columns);
  sums_.insert_or_assign(name, Sum{of, times, rows, columns});
  return name;
}

Result<HostTensor> TapSums::Get(const std::string& name, const Shape& shape) {
  const auto found = sums_.find(name);
  if (found == sums_.end()) return inner_.Get(name, shape);
  const Sum& sum = found->second;
  TIMBRE_TRY(HostTensor filter, inner_.Get(sum.of, {shape[0], shape[1], kTaps, kTaps, kTaps}));
  // Made whenever it is packed: the filter itself may lie in a file.
  return HostTensor::Made(shape, [filter, sum](float* out) {
    const std::vector<float> taps = filter.ToF32();
    const int64_t pairs = filter.shape[0] * filter.shape[1];
    for (int64_t pair = 0; pair < pairs; ++pair) {
      const float* from = taps.data() + pair * kTaps * kTaps * kTaps;
      for (const auto& [t0, t1] : sum.times) {
        for (const auto& [y0, y1] : sum.rows) {
          for (const auto& [x0, x1] : sum.columns) {
            double total = 0;
            for (int t = t0; t < t1; ++t) {
              for (int y = y0; y < y1; ++y) {
                for (int x = x0; x < x1; ++x) total += from[(t * kTaps + y) * kTaps + x];
              }
            }
            *out++ = static_cast<float>(total);
          }
        }
      }
    }
  });
}

}  // namespace timbre
