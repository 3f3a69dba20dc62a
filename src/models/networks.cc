#include "models/networks.h"

#include <vector>

#include "base/suggest.h"
#include "models/htdemucs.h"

namespace timbre {
namespace {

Result<Graph> Htdemucs(Weights& weights, int batch) {
  const HtdemucsOptions options = HtdemucsOptions::Released();
  return BuildHtdemucs(options, weights, options.training_samples(), batch);
}

Result<Graph> SmallHtdemucs(Weights& weights, int batch) {
  HtdemucsOptions options;
  options.channels = 8;
  options.bottom_channels = 64;
  options.t_layers = 3;
  options.dconv_mode = 3;
  options.segment = 1;
  return BuildHtdemucs(options, weights, options.training_samples(), batch);
}

constexpr NetworkRow kNetworks[] = {
    {"htdemucs", 7.8 * 0.75, Htdemucs},
    {"htdemucs-small", 1 * 0.75, SmallHtdemucs},
};

}  // namespace

std::span<const NetworkRow> Networks() { return kNetworks; }

Result<const NetworkRow*> FindNetwork(std::string_view name) {
  std::vector<std::string> names;
  for (const NetworkRow& row : kNetworks) {
    if (row.name == name) return &row;
    names.emplace_back(row.name);
  }
  return Fail(ErrorCode::kNotFound, "there is no network '" + std::string(name) + "'." + SuggestionFor(name, names));
}

}  // namespace timbre
