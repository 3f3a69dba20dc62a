#include "runtime/check/tile_check.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>

#include "graph/weights.h"
#include "runtime/check/verify.h"

namespace timbre {
namespace {

// What is the matter with an output or a state, whatever it is compared with; empty where nothing is.
std::string ProblemOf(const std::vector<float>& values) {
  if (values.empty()) return "is empty";
  if (!std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v); }))
    return "holds what is no finite number";
  const auto [least, most] = std::minmax_element(values.begin(), values.end());
  return *least == *most ? "has one value only, which shows nothing" : "";
}

}  // namespace

Result<ComputedTile> ComputeTile(const Graph& graph, const SessionOptions& options, ThreadPool& pool, int runs) {
  Stats stats;
  TIMBRE_TRY(const auto session, MakeSession(graph, options, pool, &stats));
  std::vector<std::vector<float>> inputs;
  std::vector<const float*> in;
  for (const GraphPort& port : graph.inputs) {
    auto& values = inputs.emplace_back(graph.shape(port.tensor).elements());
    for (size_t i = 0; i < values.size(); ++i) values[i] = FormulaValue(Fnv1a64(port.name), i, -0.5f, 1.0f);
  }
  for (const auto& values : inputs) in.push_back(values.data());
  ComputedTile tile;
  std::vector<float*> out;
  for (const GraphPort& port : graph.outputs) {
    tile.names.push_back("output '" + port.name + "'");
    tile.values.emplace_back(graph.shape(port.tensor).elements());
  }
  for (auto& values : tile.values) out.push_back(values.data());
  for (int run = 0; run < runs; ++run) {
    // What a run leaves alone must not look like the one before.
    for (auto& values : tile.values) std::fill(values.begin(), values.end(), 0.0f);
    session->state()->Clear();  // of a network with states, each run is the first
    const auto start = std::chrono::steady_clock::now();
    TIMBRE_CHECK(session->Run(in, out));
    tile.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }
  for (const TensorInfo& tensor : graph.tensors) {
    if (tensor.kind != TensorKind::kState || tensor.dtype != DType::kF32) continue;
    TIMBRE_TRY(auto value, session->state()->Get(tensor.name));
    tile.names.push_back("state '" + tensor.name + "'");
    tile.values.push_back(std::move(value));
  }
  tile.device = session->device_name();
  for (const StepDown& step : stats.steps()) {
    if (step.node == "device") tile.retired = step.reason;
  }
  return tile;
}

TileAgreement Compare(const ComputedTile& reference, const ComputedTile& tile) {
  TileAgreement agreement{.db = kMostDb};
  const auto complain = [&](const std::string& problem) {
    if (agreement.problem.empty()) agreement.problem = problem;
  };
  if (!tile.retired.empty()) complain("the device gave up: " + tile.retired);
  if (reference.values.empty() || tile.values.size() != reference.values.size())
    return {.problem = "there is nothing to compare"};
  for (size_t o = 0; o < reference.values.size(); ++o) {
    const std::vector<float>&expected = reference.values[o], &got = tile.values[o];
    const std::string name = "the " + reference.names[o] + " ";
    for (const auto& [values, whose] : {std::pair(&expected, "of the reference "), std::pair(&got, "")}) {
      if (const std::string problem = ProblemOf(*values); !problem.empty()) complain(name + whose + problem);
    }
    if (got.size() != expected.size()) return {.problem = name + "has another size"};
    const double db = SignalToErrorDb(expected, got);
    agreement.db = std::isnan(db) ? -kMostDb : std::clamp(db, -kMostDb, agreement.db);
    if (!(db >= kTileFloorDb)) {
      char text[64];
      std::snprintf(text, sizeof(text), "agrees to %.1f dB only", std::max(db, -kMostDb));
      complain(name + text);
    }
  }
  return agreement;
}

}  // namespace timbre
