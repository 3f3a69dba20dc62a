#include "models/song/noise.h"

#include <cmath>
#include <numbers>

namespace timbre {
namespace {

constexpr size_t kGroup = 16;  // uniform numbers that become normal ones together, i and i + 8

void BoxMuller(std::span<float> group) {
  for (size_t i = 0; i < kGroup / 2; ++i) {
    const double radius = std::sqrt(-2 * std::log(1.0 - static_cast<double>(group[i])));
    const double angle = 2 * std::numbers::pi * static_cast<double>(group[i + kGroup / 2]);
    group[i] = static_cast<float>(radius * std::cos(angle));
    group[i + kGroup / 2] = static_cast<float>(radius * std::sin(angle));
  }
}

}  // namespace

double NormalNoise::Uniform53() {
  const uint64_t high = engine_(), low = engine_();
  return static_cast<double>((high << 32 | low) & ((uint64_t{1} << 53) - 1)) * 0x1p-53;
}

void NormalNoise::Fill(std::span<float> values) {
  if (values.size() < kGroup) {
    for (float& value : values) {
      if (second_) {
        value = static_cast<float>(*second_);
        second_.reset();
        continue;
      }
      const double angle = 2 * std::numbers::pi * Uniform53();
      const double radius = std::sqrt(-2 * std::log1p(-Uniform53()));
      second_ = radius * std::sin(angle);
      value = static_cast<float>(radius * std::cos(angle));
    }
    return;
  }
  const auto draw = [&](float& value) { value = static_cast<float>(engine_() & 0xFFFFFF) * 0x1p-24f; };
  for (float& value : values) draw(value);
  for (size_t at = 0; at + kGroup <= values.size(); at += kGroup) BoxMuller(values.subspan(at, kGroup));
  if (values.size() % kGroup == 0) return;
  // The last group overlaps the one before it and is drawn anew.
  const std::span<float> last = values.last(kGroup);
  for (float& value : last) draw(value);
  BoxMuller(last);
}

}  // namespace timbre
