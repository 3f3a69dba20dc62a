// The networks of songs on a Vulkan device, held against the references as on the CPU.
#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "formats/formula_weights.h"
#include "models/song/bigvgan.h"
#include "models/song/mulan.h"
#include "tests/parity/sampled_song.h"
#include "tests/parity/song_support.h"
#include "tests/vulkan/usable_device.h"

namespace timbre {
namespace {

using testing::RatioDb;
using testing::SampleCase;
using testing::SampledSong;
using testing::SongCase;
using testing::Values;
using Floats = std::vector<float>;

constexpr double kFloorDb = 90;

struct Case {
  Safetensors file;
  std::shared_ptr<const TensorMap> weights;
};

Case ReadCase(const std::string& name, const std::string& weights_name) {
  const auto file = ReadSafetensors(SongCase(name));
  const auto weights = ReadFormulaWeights(SongCase(weights_name));
  EXPECT_TRUE(file && weights);
  return {*file, *weights};
}

TEST(VulkanSong, DecodesLatents) {
  TIMBRE_NEED_VULKAN();
  const Case c = ReadCase("bigvgan-tiny.safetensors", "bigvgan-tiny.weights.json");
  const auto config = ParseBigvganConfig(c.file.metadata.at("config"));
  ASSERT_TRUE(config) << config.error().message;
  const int64_t frames = c.file.tensors->at("latent").shape[1];
  const auto weights = WeightsFromMap(c.weights);
  const auto out =
      testing::RunOnce(BuildBigvgan(*config, *weights, frames).value(),
                       {{"latent", testing::Transposed(Values(c.file, "latent"), config->in_channels, frames)}},
                       {.device = UsableDeviceName(), .strict = true});
  ASSERT_FALSE(out.empty());
  EXPECT_GE(RatioDb(Values(c.file, "audio"), out.at("audio")), kFloorDb);
}

TEST(VulkanSong, MakesLatents) {
  TIMBRE_NEED_VULKAN();
  const Case c = ReadCase("song-tiny.safetensors", "tiny.weights.json");
  const SampledSong song = SampleCase(c.file, c.weights, {.device = UsableDeviceName(), .strict = true});
  EXPECT_GE(RatioDb(Values(c.file, "latent"), song.latents), kFloorDb);
  // On the device, too, an evaluation writes its own keys and values, and no more is brought here.
  const DitConfig config = ParseDitConfig(c.file.metadata.at("config")).value();
  const int64_t pass = int64_t{2} * config.depth * 2 * config.block_size * config.dim * 4;
  EXPECT_EQ(song.moved, (std::vector<int64_t>{7 * pass, 7 * pass, 5 * pass}));
}

// A block that is no number on the device, and none again, is made by the CPU from the keys and values that it began
// with; so are the blocks after it.
TEST(VulkanSong, GoesOnByTheCpuWhereADeviceGivesNoNumbers) {
  TIMBRE_NEED_VULKAN();
  const Case c = ReadCase("song-tiny.safetensors", "tiny.weights.json");
  ThreadPool pool;
  Stats stats;
  const auto sampler = testing::SamplerOf(c.file, c.weights, {.device = UsableDeviceName()}, pool, &stats);
  ASSERT_NE(sampler, nullptr);
  int spoilt = 0;
  const auto noise = [&](int64_t block, std::span<float> values) -> Status {
    TIMBRE_CHECK(testing::NoiseOf(c.file)(block, values));
    if (block == 1 && spoilt++ < 2) values[0] = std::numeric_limits<float>::quiet_NaN();
    return {};
  };
  const SampledSong song = testing::Sample(*sampler, noise, ParseDitConfig(c.file.metadata.at("config"))->mel_dim);
  EXPECT_GE(RatioDb(Values(c.file, "latent"), song.latents), kFloorDb);
  ASSERT_EQ(stats.steps().size(), 2u);
  EXPECT_EQ(stats.steps()[1].to, "the CPU");
  EXPECT_EQ(stats.steps()[1].node, "block 2");
}

TEST(VulkanSong, HearsAStyle) {
  TIMBRE_NEED_VULKAN();
  const Case c = ReadCase("mulan-tiny.safetensors", "mulan-tiny.weights.json");
  const auto json = nlohmann::json::parse(c.file.metadata.at("config"));
  const auto config = ParseMulanConfig(json["mulan"].dump(), json["muq"].dump(), json["xlmr"].dump());
  ASSERT_TRUE(config) << config.error().message;
  const auto weights = WeightsFromMap(c.weights);
  const Floats wav = Values(c.file, "wav"), clips = Values(c.file, "audio.latent_per_clip");
  const int64_t clip = config->clip_samples();
  const auto out = testing::RunOnce(BuildMulanAudio(*config, *weights, clip).value(),
                                    {{"wav", Floats(wav.begin(), wav.begin() + clip)}},
                                    {.device = UsableDeviceName(), .strict = true});
  ASSERT_FALSE(out.empty());
  EXPECT_GE(RatioDb(Floats(clips.begin(), clips.begin() + config->latent), out.at("latent")), kFloorDb);
}

}  // namespace
}  // namespace timbre
