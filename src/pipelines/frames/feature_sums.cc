#include "pipelines/frames/feature_sums.h"

#include <algorithm>

namespace timbre {
namespace {

constexpr int64_t kPlaces = 1024;  // summed up by one thread: a number of their own, so that threads change nothing

}  // namespace

void FeatureSums::Add(const float* frame, int64_t places, ThreadPool& pool) {
  const auto channels = static_cast<int64_t>(sums_.size());
  const int64_t parts = (places + kPlaces - 1) / kPlaces;
  std::vector<double> partial(static_cast<size_t>(2 * parts * channels));
  pool.ForEach(parts, [&](int64_t part, int) {
    double* const sums = partial.data() + 2 * part * channels;
    double* const squares = sums + channels;
    for (int64_t p = part * kPlaces; p < std::min(places, (part + 1) * kPlaces); ++p) {
      const float* const x = frame + p * channels;
      for (int64_t c = 0; c < channels; ++c) {
        const double value = x[c];
        sums[c] += value;
        squares[c] += value * value;
      }
    }
  });
  for (int64_t part = 0; part < parts; ++part) {
    const double* const sums = partial.data() + 2 * part * channels;
    for (int64_t c = 0; c < channels; ++c) {
      sums_[static_cast<size_t>(c)] += sums[c];
      squares_[static_cast<size_t>(c)] += sums[channels + c];
    }
  }
  places_ += places;
}

void FeatureSums::Groups(int64_t groups, std::vector<float>& mean, std::vector<float>& variance) const {
  const auto channels = static_cast<int64_t>(sums_.size());
  const int64_t of_group = channels / groups;
  mean.resize(sums_.size());
  variance.resize(sums_.size());
  for (int64_t first = 0; first < channels; first += of_group) {
    double sum = 0, squares = 0;
    for (int64_t c = first; c < first + of_group; ++c) {
      sum += sums_[static_cast<size_t>(c)];
      squares += squares_[static_cast<size_t>(c)];
    }
    const auto count = static_cast<double>(of_group * places_);
    const double centre = sum / count;
    std::fill_n(mean.begin() + first, of_group, static_cast<float>(centre));
    std::fill_n(variance.begin() + first, of_group,
                static_cast<float>(std::max(0.0, squares / count - centre * centre)));
  }
}

}  // namespace timbre
