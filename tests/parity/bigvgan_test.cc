// BigVGAN held against the reference's own output: the waveform, and what every stage and residual block makes.
#include "models/song/bigvgan.h"

#include "formats/formula_weights.h"
#include "tests/parity/song_support.h"

namespace timbre {
namespace {

using testing::SharedPath;
using testing::SongCase;
using testing::Transposed;
using testing::Values;

constexpr double kFloorDb = 110;

void CheckDecoder(const std::string& path, const std::string& weights_path) {
  const auto file = ReadSafetensors(path);
  ASSERT_TRUE(file) << file.error().message;
  const auto tensors = ReadFormulaWeights(weights_path);
  ASSERT_TRUE(tensors) << tensors.error().message;
  const auto config = ParseBigvganConfig(file->metadata.at("config"));
  ASSERT_TRUE(config) << config.error().message;
  const auto weights = WeightsFromMap(*tensors);
  const int64_t frames = file->tensors->at("latent").shape[1];
  auto graph = BuildBigvgan(*config, *weights, frames, true);
  ASSERT_TRUE(graph) << graph.error().message;
  const auto out = testing::RunOnce(*std::move(graph),
                                    {{"latent", Transposed(Values(*file, "latent"), config->in_channels, frames)}});
  ASSERT_FALSE(out.empty());
  for (const auto& [name, values] : out) {
    if (name != "audio") testing::CheckTap(*file, "tap." + name, values, kFloorDb);
  }
  testing::CheckSlices(*file, "audio", out.at("audio"), 1, kFloorDb);
}

TEST(BigvganParity, Tiny) { CheckDecoder(SongCase("bigvgan-tiny.safetensors"), SongCase("bigvgan-tiny.weights.json")); }

TEST(BigvganParity, ReleasedShapeByFormula) {
  const std::string path = SharedPath("goldens/diffrhythm/bigvgan-full.safetensors");
  TIMBRE_NEED_SHARED(path);
  CheckDecoder(path, SharedPath("goldens/diffrhythm/bigvgan-full.weights.json"));
}

}  // namespace
}  // namespace timbre
