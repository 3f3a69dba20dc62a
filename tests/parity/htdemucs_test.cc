// HTDemucs held against the reference's own output: one tile, its intermediate activations, and whole tracks.
#include "models/separate/htdemucs.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <memory>
#include <string>

#include "formats/checkpoint.h"
#include "formats/formula_weights.h"
#include "kernels/kernel.h"
#include "runtime/session/session.h"
#include "tests/parity/htdemucs_case.h"
#include "tests/support/golden.h"

namespace timbre {
namespace {

using testing::DataPath;
using testing::OptionsOf;
using testing::RatioDb;
using testing::SharedPath;
using testing::Transposed;
using testing::Values;

constexpr double kFloorDb = 100;

// One tile: outputs in the graph's order. mix is [channels, samples], as the reference has it.
std::vector<std::vector<float>> RunTile(Graph graph, const std::vector<float>& mix, int64_t channels) {
  ThreadPool pool;
  std::vector<std::vector<float>> outputs;
  for (const GraphPort& port : graph.outputs) outputs.emplace_back(graph.shape(port.tensor).elements());
  auto session = MakeSession(std::move(graph), {.device = "cpu"}, pool, nullptr);
  if (!session) {
    ADD_FAILURE() << session.error().message;
    return outputs;
  }
  const std::vector<float> input = Transposed(mix, channels, static_cast<int64_t>(mix.size()) / channels);
  const float* in[] = {input.data()};
  std::vector<float*> out;
  for (auto& output : outputs) out.push_back(output.data());
  const Status status = (*session)->Run(in, out);
  EXPECT_TRUE(status) << status.error().message;
  return outputs;
}

// Stems [samples, features] of a tile against the case.
void CheckStems(const Safetensors& file, const std::vector<float>& stems, int64_t features) {
  const int64_t samples = static_cast<int64_t>(stems.size()) / features;
  testing::CheckSlices(file, "stems", Transposed(stems, samples, features), features, kFloorDb);
}

TEST(HtdemucsParity, SmallNetworkByFormula) {
  const auto file = ReadSafetensors(DataPath("htdemucs-small.safetensors"));
  ASSERT_TRUE(file) << file.error().message;
  const auto tensors = ReadFormulaWeights(DataPath("htdemucs-small.weights.json"));
  ASSERT_TRUE(tensors) << tensors.error().message;
  const HtdemucsOptions o = OptionsOf(*file);
  const auto weights = WeightsFromMap(*tensors);
  auto graph = BuildHtdemucs(o, *weights, o.training_samples(), 1);
  ASSERT_TRUE(graph) << graph.error().message;
  const auto out = RunTile(*std::move(graph), Values(*file, "mix"), 2);
  CheckStems(*file, out[0], 2 * static_cast<int64_t>(o.sources.size()));
}

// The reference's activations [C, F, 8 of T] or [C, 8 of T] against ours [T, F, C] or [T, C].
void CheckTap(const Safetensors& file, const std::string& name, const std::string& tap,
              const std::vector<float>& ours) {
  const auto found = file.tensors->find("tap." + tap);
  if (found == file.tensors->end()) return;
  const Shape& shape = found->second.shape;
  const int64_t steps = shape.back(), channels = shape[0], bins = shape.rank() == 3 ? shape[1] : 1;
  const std::vector<float> reference = found->second.ToF32();
  std::vector<float> cut(reference.size());
  for (int64_t c = 0; c < channels; ++c) {
    for (int64_t f = 0; f < bins; ++f) {
      for (int64_t t = 0; t < steps; ++t) cut[(c * bins + f) * steps + t] = ours[(t * bins + f) * channels + c];
    }
  }
  const double ratio = RatioDb(reference, cut);
  std::printf("  %-24s %.1f dB\n", name.c_str(), ratio);
  EXPECT_GE(ratio, kFloorDb) << name;
}

void CheckSegment(const std::string& model, const std::string& checkpoint) {
  const std::string path = SharedPath("goldens/htdemucs/" + model + ".segment.safetensors");
  TIMBRE_NEED_SHARED(path);
  const auto file = ReadSafetensors(path);
  ASSERT_TRUE(file) << file.error().message;
  const auto read = ReadCheckpoint(SharedPath("goldens/htdemucs/" + checkpoint));
  ASSERT_TRUE(read) << read.error().message;
  const auto package = ToDemucsPackage(*read);
  ASSERT_TRUE(package) << package.error().message;
  const auto o = ReadHtdemucsOptions(*package);
  ASSERT_TRUE(o) << o.error().message;
  const auto weights = WeightsFromMap(package->state);
  auto graph = BuildHtdemucs(*o, *weights, o->training_samples(), 1, true);
  ASSERT_TRUE(graph) << graph.error().message;
  const std::vector<GraphPort> ports = graph->outputs;
  const auto out = RunTile(*std::move(graph), Values(*file, "mix"), 2);
  for (size_t i = 0; i < ports.size(); ++i) {
    std::string tap = ports[i].name;
    if (tap == "stems") CheckStems(*file, out[i], 2 * static_cast<int64_t>(o->sources.size()));
    if (tap == "crosstransformer.0") tap = "crosstransformer.freq";
    if (tap == "crosstransformer.1") tap = "crosstransformer.time";
    CheckTap(*file, ports[i].name, tap, out[i]);
  }
}

TEST(HtdemucsParity, SegmentOfFourStems) { CheckSegment("htdemucs-tiny", "htdemucs-tiny-b9c4b409.th"); }
TEST(HtdemucsParity, SegmentOfSixStems) { CheckSegment("htdemucs6s-tiny", "htdemucs6s-tiny-155ea895.th"); }

// 337 GFLOP on reference kernels would take minutes.
bool HasFastKernels() {
  for (const Op op : {Op::kConv, Op::kConvTranspose, Op::kLinear, Op::kAttention, Op::kIstft}) {
    const auto rows = KernelsFor(op, DeviceKind::kCpu);
    if (rows.empty() || rows.front()->tier != Tier::kFast) return false;
  }
  return true;
}

TEST(HtdemucsParity, ReleasedShapeByFormula) {
  if (!HasFastKernels()) GTEST_SKIP() << "not here: a kernel that this takes long without is missing";
  const std::string path = SharedPath("goldens/htdemucs/htdemucs-full.segment.safetensors");
  TIMBRE_NEED_SHARED(path);
  const auto file = ReadSafetensors(path);
  ASSERT_TRUE(file) << file.error().message;
  const auto tensors = ReadFormulaWeights(SharedPath("goldens/htdemucs/htdemucs-full.weights.json"));
  ASSERT_TRUE(tensors) << tensors.error().message;
  const HtdemucsOptions o = OptionsOf(*file);
  const auto weights = WeightsFromMap(*tensors);
  auto graph = BuildHtdemucs(o, *weights, o.training_samples(), 1);
  ASSERT_TRUE(graph) << graph.error().message;
  const auto out = RunTile(*std::move(graph), Values(*file, "mix"), 2);
  CheckStems(*file, out[0], 2 * static_cast<int64_t>(o.sources.size()));
}

}  // namespace
}  // namespace timbre
