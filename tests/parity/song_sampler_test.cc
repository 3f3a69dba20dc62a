// The loop that makes a song's latents, held against the reference's: every state of it, and where songs end.
#include "pipelines/song/song_sampler.h"

#include "formats/formula_weights.h"
#include "models/song/noise.h"
#include "tests/parity/song_support.h"

namespace timbre {
namespace {

using testing::RatioDb;
using testing::SongCase;
using testing::Values;
using Floats = std::vector<float>;

constexpr double kFloorDb = 100;

struct Sampled {
  Floats latents;
  std::vector<Floats> states;  // of each block
  int64_t blocks = 0;
};

Sampled Sample(const Safetensors& file, const std::shared_ptr<const TensorMap>& weights) {
  Sampled result;
  const auto config = ParseDitConfig(file.metadata.at("config"));
  EXPECT_TRUE(config) << config.error().message;
  std::vector<int32_t> tokens;
  for (const float token : Values(file, "text")) tokens.push_back(static_cast<int32_t>(token));
  const Floats style = Values(file, "style"), noise = Values(file, "noise");
  SamplerOptions options;
  options.steps = std::stoi(file.metadata.at("steps"));
  options.guidance = std::stod(file.metadata.at("cfg_strength"));
  options.frames = std::stoll(file.metadata.at("duration"));
  ThreadPool pool;
  auto sampler = SongSampler::Create(*config, weights, tokens, style, options, {.device = "cpu"}, pool, nullptr);
  EXPECT_TRUE(sampler) << sampler.error().message;
  if (!sampler) return result;
  (*sampler)->KeepStates();
  while (!(*sampler)->done()) {
    const Status next = (*sampler)->Next(
        [&](int64_t block, std::span<float> values) -> Status {
          std::copy_n(noise.begin() + block * static_cast<int64_t>(values.size()), values.size(), values.begin());
          return {};
        },
        []() -> Status { return {}; });
    EXPECT_TRUE(next) << next.error().message;
    if (!next) return result;
    result.states.push_back((*sampler)->states());
  }
  result.blocks = (*sampler)->block();
  const auto end = (*sampler)->latents().begin() + (*sampler)->frames() * config->mel_dim;
  result.latents.assign((*sampler)->latents().begin(), end);
  return result;
}

void CheckSong(const std::string& name) {
  const auto file = ReadSafetensors(SongCase(name));
  ASSERT_TRUE(file) << file.error().message;
  const auto weights = ReadFormulaWeights(SongCase("tiny.weights.json"));
  ASSERT_TRUE(weights) << weights.error().message;
  const Sampled song = Sample(*file, *weights);
  const double ratio = RatioDb(Values(*file, "latent"), song.latents);
  std::printf("  %-16s %.1f dB\n", "latent", ratio);
  EXPECT_GE(ratio, kFloorDb);
  for (size_t b = 0; b < song.states.size(); ++b) {
    const Floats reference = Values(*file, "tap.ode.b" + std::to_string(b));
    Floats cut;
    for (size_t row = 0; row * 16 < song.states[b].size(); ++row) {
      cut.insert(cut.end(), song.states[b].begin() + row * 16, song.states[b].begin() + row * 16 + 8);
    }
    EXPECT_GE(RatioDb(reference, cut), kFloorDb) << "block " << b;
  }
}

TEST(SongSamplerParity, WithGuidance) { CheckSong("song-tiny.safetensors"); }
TEST(SongSamplerParity, WithoutGuidance) { CheckSong("song-tiny.nocfg.safetensors"); }

TEST(SongSamplerParity, EndsWhereTheReferenceDoes) {
  const auto file = ReadSafetensors(SongCase("song-stop-tiny.safetensors"));
  ASSERT_TRUE(file) << file.error().message;
  const auto weights = ReadFormulaWeights(SongCase("tiny.weights.json"));
  ASSERT_TRUE(weights) << weights.error().message;
  TensorMap changed = **weights;
  for (auto& [name, tensor] : changed) {
    if (!name.starts_with("transformer.proj_out.")) continue;
    tensor = HostTensor::FromF32(
        tensor.shape, Floats(static_cast<size_t>(tensor.shape.elements()), name.ends_with("bias") ? 1.0f : 0.0f));
  }
  const Sampled song = Sample(*file, std::make_shared<const TensorMap>(std::move(changed)));
  EXPECT_EQ(song.blocks, 3);
  const Floats reference = Values(*file, "latent");
  ASSERT_EQ(song.latents.size(), reference.size());
  EXPECT_GE(RatioDb(reference, song.latents), kFloorDb);
}

TEST(SongNoise, IsPyTorchs) {
  const auto file = ReadSafetensors(SongCase("tables.safetensors"));
  ASSERT_TRUE(file) << file.error().message;
  const auto check = [&](NormalNoise& noise, const std::string& name) {
    const Floats reference = Values(*file, name);
    Floats ours(reference.size());
    noise.Fill(ours);
    EXPECT_GE(RatioDb(reference, ours), 120) << name;
  };
  NormalNoise zero(0);
  check(zero, "randn.seed0.block0");
  check(zero, "randn.seed0.block1");
  NormalNoise other(1234);
  for (const char* name : {"4x16", "next_6x20", "next_3x7", "next_2x5"})
    check(other, std::string("randn.seed1234.") + name);
}

}  // namespace
}  // namespace timbre
