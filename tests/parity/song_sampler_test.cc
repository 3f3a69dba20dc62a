// The loop that makes a song's latents, held against the reference's: every state of it, and where songs end.
#include "pipelines/song/song_sampler.h"

#include <limits>

#include "formats/formula_weights.h"
#include "models/song/noise.h"
#include "runtime/weights/store.h"
#include "tests/parity/sampled_song.h"
#include "tests/parity/song_support.h"

namespace timbre {
namespace {

using testing::NoiseOf;
using testing::RatioDb;
using testing::SampleCase;
using testing::SampledSong;
using testing::SamplerOf;
using testing::SongCase;
using testing::Values;
using Floats = std::vector<float>;

constexpr double kFloorDb = 100;

struct Case {
  Safetensors file;
  std::shared_ptr<const TensorMap> weights;
  int features = 0;  // of a latent
};

Case ReadCase(const std::string& name) {
  const auto file = ReadSafetensors(SongCase(name));
  const auto weights = ReadFormulaWeights(SongCase("tiny.weights.json"));
  EXPECT_TRUE(file && weights) << name;
  if (!file || !weights) return {};
  return {*file, *weights, ParseDitConfig(file->metadata.at("config"))->mel_dim};
}

void CheckSong(const std::string& name) {
  const Case c = ReadCase(name);
  ASSERT_NE(c.weights, nullptr);
  const SampledSong song = SampleCase(c.file, c.weights);
  const double ratio = RatioDb(Values(c.file, "latent"), song.latents);
  std::printf("  %-16s %.1f dB\n", "latent", ratio);
  EXPECT_GE(ratio, kFloorDb);
  for (size_t b = 0; b < song.states.size(); ++b) {
    const Floats reference = Values(c.file, "tap.ode.b" + std::to_string(b));
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
  const Case c = ReadCase("song-stop-tiny.safetensors");
  ASSERT_NE(c.weights, nullptr);
  TensorMap changed = *c.weights;
  for (auto& [name, tensor] : changed) {
    if (!name.starts_with("transformer.proj_out.")) continue;
    tensor = HostTensor::FromF32(
        tensor.shape, Floats(static_cast<size_t>(tensor.shape.elements()), name.ends_with("bias") ? 1.0f : 0.0f));
  }
  const SampledSong song = SampleCase(c.file, std::make_shared<const TensorMap>(std::move(changed)));
  EXPECT_EQ(song.blocks, 3);
  const Floats reference = Values(c.file, "latent");
  ASSERT_EQ(song.latents.size(), reference.size());
  EXPECT_GE(RatioDb(reference, song.latents), kFloorDb);
}

// What an evaluation moves is its own keys and values, written once and, where the evaluation before left some in the
// same places, kept aside once until it is done: neither the song's length nor what is kept already has a part in it.
TEST(SongSampler, NoEvaluationCopiesTheCache) {
  const Case c = ReadCase("song-tiny.safetensors");
  ASSERT_NE(c.weights, nullptr);
  const DitConfig config = ParseDitConfig(c.file.metadata.at("config")).value();
  ThreadPool pool;
  for (const int64_t blocks : {3, 90}) {
    const auto sampler = SamplerOf(c.file, c.weights, {.device = "cpu"}, pool, nullptr, blocks * config.block_size);
    ASSERT_NE(sampler, nullptr);
    const int64_t pass = int64_t{2} * config.depth * 2 * config.block_size * config.dim * 4;  // keys, values, branches
    for (int i = 0; i < 3; ++i) {
      const int64_t before = sampler->state().bytes_moved();
      const Status next = sampler->Next(NoiseOf(c.file), []() -> Status { return {}; });
      ASSERT_TRUE(next) << next.error().message;
      const int64_t evaluations = sampler->evaluations() - (sampler->done() ? 1 : 0);
      EXPECT_EQ(sampler->state().bytes_moved() - before, (2 * evaluations - 1) * pass) << blocks << " blocks, " << i;
    }
  }
}

TEST(SongSampler, ABlockThatIsNoNumberIsMadeAgainFromItsMark) {
  const Case c = ReadCase("song-tiny.safetensors");
  ASSERT_NE(c.weights, nullptr);
  const SampledSong whole = SampleCase(c.file, c.weights);
  for (const bool strict : {false, true}) {
    ThreadPool pool;
    Stats stats;
    const auto sampler = SamplerOf(c.file, c.weights, {.device = "cpu", .strict = strict}, pool, &stats);
    ASSERT_NE(sampler, nullptr);
    bool broken = false;
    const auto once = [&](int64_t block, std::span<float> values) -> Status {
      TIMBRE_CHECK(NoiseOf(c.file)(block, values));
      if (block == 1 && !broken) values[3] = std::numeric_limits<float>::quiet_NaN();
      broken |= block == 1;
      return {};
    };
    const auto go_on = []() -> Status { return {}; };
    ASSERT_TRUE(sampler->Next(once, go_on));
    const Status second = sampler->Next(once, go_on);
    EXPECT_EQ(second.has_value(), !strict);
    if (strict) {
      EXPECT_NE(second.error().message.find("not a number"), std::string::npos) << second.error().message;
      EXPECT_EQ(sampler->block(), 1);
      // What the error left is the state that the block began with.
      ASSERT_TRUE(sampler->Next(once, go_on));
    } else {
      ASSERT_EQ(stats.steps().size(), 1u);
      EXPECT_EQ(stats.steps()[0].node, "block 2");
    }
    ASSERT_TRUE(sampler->Next(once, go_on));
    EXPECT_EQ(sampler->latents(), whole.latents);
  }
}

TEST(SongSampler, ATensorInExcessIsNamedAndTrainingOnlyOnesArePassedOver) {
  const Case c = ReadCase("song-tiny.safetensors");
  ASSERT_NE(c.weights, nullptr);
  const auto create = [&](const std::string& name) {
    TensorMap more = *c.weights;
    more.emplace(name, HostTensor::FromF32({2}, Floats{1, 2}));
    ThreadPool pool;
    return SongSampler::Create(ParseDitConfig(c.file.metadata.at("config")).value(),
                               std::make_shared<const TensorMap>(std::move(more)), std::vector<int32_t>{1, 2},
                               Values(c.file, "style"), {.frames = 4}, {.device = "cpu"}, pool, nullptr)
        .map([](const auto&) {});
  };
  EXPECT_TRUE(create("transformer.projectors.7.0.weight"));
  const Status excess = create("transformer.transformer_blocks.0.self_attn.gate.weight");
  ASSERT_FALSE(excess);
  EXPECT_NE(excess.error().message.find("transformer_blocks.0.self_attn.gate.weight"), std::string::npos)
      << excess.error().message;
}

std::shared_ptr<const TensorMap> AsHalves(const TensorMap& weights) {
  TensorMap halves;
  for (const auto& [name, tensor] : weights) halves.emplace(name, HostTensor::Half(tensor));
  return std::make_shared<const TensorMap>(std::move(halves));
}

int64_t BytesOf(const TensorMap& weights) {
  int64_t sum = 0;
  for (const auto& [name, tensor] : weights) {
    if (!name.starts_with(kDitTrainingOnly)) sum += static_cast<int64_t>(tensor.bytes());
  }
  return sum;
}

// Matrices stay as they are stored; what is small may be widened. The text's pass and a step's read the same.
TEST(SongSampler, HalvesTakeHalfTheMemoryAndAreHeldOnce) {
  const Case c = ReadCase("song-tiny.safetensors");
  ASSERT_NE(c.weights, nullptr);
  const auto halves = AsHalves(*c.weights);
  const DitConfig config = ParseDitConfig(c.file.metadata.at("config")).value();
  const std::unique_ptr<Weights> source = WeightsFromMap(halves);
  ThreadPool pool;
  const int64_t before = WeightStore::Get().bytes();
  auto step =
      MakeSession(BuildDitStep(config, *source, {2, config.block_size, 128}).value(), {.device = "cpu"}, pool, nullptr);
  ASSERT_TRUE(step) << step.error().message;
  const int64_t one = WeightStore::Get().bytes() - before;
  EXPECT_LE(one, BytesOf(*halves) * 21 / 20);
  auto text = MakeSession(BuildDitText(config, *source, {2, 60, 128}).value(), {.device = "cpu"}, pool, nullptr);
  ASSERT_TRUE(text) << text.error().message;
  EXPECT_LE(WeightStore::Get().bytes() - before, one * 21 / 20);

  // The rounding of the weights is what is heard of it (as the reference does: 58 dB at the released shape).
  const Floats reference = Values(c.file, "latent");
  EXPECT_GE(RatioDb(reference, SampleCase(c.file, halves).latents), 40);
}

// Activations take as much however long the song is, and so do the weights.
TEST(SongSampler, OnlyTheCacheGrowsWithTheSong) {
  const Case c = ReadCase("song-tiny.safetensors");
  ASSERT_NE(c.weights, nullptr);
  const DitConfig config = ParseDitConfig(c.file.metadata.at("config")).value();
  ThreadPool pool;
  const auto brief = SamplerOf(c.file, c.weights, {.device = "cpu"}, pool, nullptr, config.block_size);
  const auto lengthy = SamplerOf(c.file, c.weights, {.device = "cpu"}, pool, nullptr, 1050);
  ASSERT_TRUE(brief != nullptr && lengthy != nullptr);
  EXPECT_EQ(brief->session().arena_bytes(), lengthy->session().arena_bytes());
  // A few small constants are used where they lie, if that happens to be aligned.
  EXPECT_NEAR(brief->session().weight_bytes(), lengthy->session().weight_bytes(),
              static_cast<double>(brief->session().weight_bytes()) / 1000);
  // Keys and values of every layer and branch, with room for a few more than are needed.
  const int64_t place = int64_t{2} * config.depth * 2 * config.dim * 4;
  const auto places = static_cast<int64_t>(Values(c.file, "text").size()) + 1050 + config.block_size;
  EXPECT_LE(lengthy->state().bytes(), place * (places + 128));
  EXPECT_LE(brief->state().bytes(), place * 256);
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
