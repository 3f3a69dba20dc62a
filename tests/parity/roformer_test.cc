// BS-RoFormers and Mel-Band RoFormers held against the trainers' own output: one chunk, and whole tracks.
#include "models/separate/roformer.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "formats/formula_weights.h"
#include "models/loader.h"
#include "models/released_networks.h"
#include "runtime/session/faults.h"
#include "runtime/session/session.h"
#include "tests/parity/separator_support.h"
#include "tests/support/golden.h"
#include "tests/support/sweep.h"

namespace timbre {
namespace {

using testing::RatioDb;
using testing::SharedPath;

constexpr double kFloorDb = 100;

std::string Golden(const std::string& name) { return SharedPath("goldens/separators/" + name); }

class RoformerTiny : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Networks, RoformerTiny,
                         ::testing::Values("bsroformer-tiny", "melroformer-tiny", "bspolarformer-tiny"),
                         [](const auto& c) {
                           std::string name = c.param;
                           std::erase(name, '-');
                           return name;
                         });

TEST_P(RoformerTiny, Chunk) {
  const std::string name = GetParam();
  TIMBRE_NEED_SHARED(Golden(name + ".chunk.safetensors"));
  const auto file = ReadSafetensors(Golden(name + ".chunk.safetensors"));
  ASSERT_TRUE(file) << file.error().message;
  const auto model = LoadModel(Golden(name + ".ckpt"));
  ASSERT_TRUE(model) << model.error().message;
  testing::CheckChunk(*file, *model->members[0], kFloorDb);
}

// At the published shapes, whose bands, heads and depths no tiny network has: a tera-operation for ./dev sweep.
void CheckFull(const std::string& name) {
  TIMBRE_NEED_SHARED(Golden(name + ".chunk.safetensors"));
  TIMBRE_SWEEP_ONLY("RoFormers of the published shapes were");
  const auto file = ReadSafetensors(Golden(name + ".chunk.safetensors"));
  ASSERT_TRUE(file) << file.error().message;
  const auto weights = ReadFormulaWeights(Golden(name + ".weights.json"));
  ASSERT_TRUE(weights) << weights.error().message;
  const auto options = ReadRoformerOptions(file->metadata.at("config"), **weights);
  ASSERT_TRUE(options) << options.error().message;
  const auto model = MakeRoformer(*options, *weights);
  ASSERT_TRUE(model) << model.error().message;
  testing::CheckChunk(*file, **model, kFloorDb);
}

TEST(RoformerParity, BsFullSize) { CheckFull("bsroformer-full"); }
TEST(RoformerParity, MelFullSize) { CheckFull("melroformer-full"); }

TEST(RoformerParity, BsTrackThroughTheProgram) {
  TIMBRE_NEED_SHARED(Golden("bsroformer-tiny.track.safetensors"));
  testing::CheckTrack(Golden("bsroformer-tiny.track.safetensors"), Golden("bsroformer-tiny.ckpt"), {"vocals", "other"},
                      kFloorDb);
}

TEST(RoformerParity, MelTrackThroughTheProgram) {
  TIMBRE_NEED_SHARED(Golden("melroformer-tiny.track.safetensors"));
  testing::CheckTrack(Golden("melroformer-tiny.track.safetensors"), Golden("melroformer-tiny.ckpt"),
                      {"vocals", "instrumental"}, kFloorDb);
}

TEST(RoformerParity, MelTrackOfThreeRunsThroughTheProgram) {
  TIMBRE_NEED_SHARED(Golden("melroformer-tiny.track.safetensors"));
  testing::CheckTrack(Golden("melroformer-tiny.track.safetensors"), Golden("melroformer-tiny.ckpt"), {"vocals"},
                      kFloorDb, {"--tta"}, "tta.");
}

// The reference's option of a quarter of a second.
TEST(RoformerParity, BsTrackAsUvrHasItThroughTheProgram) {
  TIMBRE_NEED_SHARED(Golden("bsroformer-tiny.track-uvr.safetensors"));
  testing::CheckTrack(Golden("bsroformer-tiny.track-uvr.safetensors"), Golden("bsroformer-tiny.ckpt"),
                      {"vocals", "other"}, kFloorDb, {"--pipeline", "uvr", "--overlap", "0.25"});
}

// The widths that the released networks' weights have.
TEST(Roformer, MelBandsAreThoseOfReleasedNetworks) {
  const auto widths = [](int n_fft) {
    const auto bands = MelBands(44100, n_fft, 60);
    EXPECT_TRUE(bands) << bands.error().message;
    std::vector<int64_t> each;
    if (bands) {
      for (const BandRange& band : *bands) each.push_back(band.width());
    }
    return each;
  };
  EXPECT_EQ(widths(2048),
            (std::vector<int64_t>{7,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  7,  7,   7,   9,   9,
                                  9,  10, 10, 11, 13, 13, 13, 15, 16, 17, 19, 20, 20, 22, 24, 26, 28,  29,  31,  33,
                                  36, 39, 41, 44, 47, 50, 54, 57, 61, 66, 71, 76, 80, 86, 93, 99, 105, 113, 122, 130}));
  EXPECT_EQ(widths(4096),
            (std::vector<int64_t>{13,  12,  12,  12,  12,  12,  12,  12,  12,  12,  13,  13,  12,  12,  12,
                                  13,  14,  15,  17,  17,  18,  20,  21,  23,  25,  26,  27,  30,  32,  34,
                                  37,  39,  41,  45,  48,  51,  55,  58,  63,  67,  71,  77,  82,  88,  94,
                                  100, 108, 115, 123, 132, 141, 151, 161, 173, 185, 197, 211, 226, 243, 260}));
  EXPECT_FALSE(MelBands(44100, 256, 60));  // more bands than low bins
}

// A network of a few thousand weights, and what its configuration says.
RoformerOptions Small(bool mel = false) {
  RoformerOptions o;
  o.mel = mel;
  o.dim = 8;
  o.depth = 2;
  o.heads = 2;
  o.dim_head = 4;
  o.n_fft = o.win = 64;
  o.hop = 16;
  o.bands = {{0, 3}, {3, 13}, {13, 33}};
  if (mel) o.bands = *MelBands(8000, 64, 3);
  o.tiling = {.chunk_size = 1024, .sample_rate = 8000, .stems = {"a", "b"}};
  return o;
}
std::string SmallYaml(bool mel = false) {
  return std::string("audio: {chunk_size: 1024, sample_rate: 8000, hop_length: 441}\nmodel:\n  dim: 8\n  depth: 2\n") +
         "  stereo: true\n  heads: 2\n  dim_head: 4\n  stft_n_fft: 64\n  stft_hop_length: 16\n  stft_win_length: 64\n" +
         (mel ? "  num_bands: 3\n  sample_rate: 8000\n"
              : "  freqs_per_bands: !!python/tuple [3, 10, 20]\n  num_bands: 60\n") +
         "training: {instruments: [a, b], target_instrument: null}\ninference: {num_overlap: 2}\n";
}

// The weights that a network of these options asks for.
TensorMap WeightsOf(const RoformerOptions& o) {
  auto weights = RandomTensors(5, false, [&](Weights& random) {
    return BuildRoformer(o, random, o.tiling.chunk_size, 1).map([](const Graph&) {});
  });
  EXPECT_TRUE(weights) << weights.error().message;
  return weights ? *std::move(weights) : TensorMap();
}

std::vector<float> RunNoise(const RoformerOptions& o, const TensorMap& weights, FaultInjector* faults = nullptr) {
  const auto held = WeightsFromMap(std::make_shared<const TensorMap>(weights));
  auto graph = BuildRoformer(o, *held, o.tiling.chunk_size, 2);
  EXPECT_TRUE(graph) << graph.error().message;
  if (!graph) return {};
  ThreadPool pool(2);
  SessionOptions options;
  options.device = "cpu";
  options.faults = faults;
  Stats stats;
  auto session = MakeSession(*std::move(graph), options, pool, &stats);
  EXPECT_TRUE(session) << session.error().message;
  if (!session) return {};
  std::vector<float> mix(2 * o.tiling.chunk_size * 2), stems(mix.size() * o.tiling.stems.size());
  for (size_t i = 0; i < mix.size(); ++i) mix[i] = FormulaValue(1, i, -0.5f, 1);
  const float* const in[] = {mix.data()};
  float* const out[] = {stems.data()};
  EXPECT_TRUE((*session)->Run(in, out));
  EXPECT_EQ(stats.steps().empty(), faults == nullptr);
  return stems;
}

struct Variant {
  const char* name;
  void (*change)(RoformerOptions&);
};
constexpr Variant kVariants[] = {
    {"plain", [](RoformerOptions&) {}},
    {"linear attention", [](RoformerOptions& o) { o.linear_depth = 1; }},
    {"deeper", [](RoformerOptions& o) { o.time_depth = 2, o.band_depth = 3; }},
    {"masks of three layers", [](RoformerOptions& o) { o.mask_layers = 3, o.mask_expansion = 2; }},
    {"polar positions", [](RoformerOptions& o) { o.pope = o.stored_positions = true; }},
    {"stored positions", [](RoformerOptions& o) { o.stored_positions = true; }},
    {"mixed values", [](RoformerOptions& o) { o.value_mix = "to_value_residual_mix"; }},
    {"biases", [](RoformerOptions& o) { o.qkv_bias = o.out_bias = true; }},
};

// What the weights are of follows from their names and shapes, for both kinds.
TEST(Roformer, OptionsFollowFromTheWeights) {
  for (const bool mel : {false, true}) {
    for (const Variant& variant : kVariants) {
      SCOPED_TRACE(std::string(variant.name) + (mel ? ", mel bands" : ""));
      RoformerOptions o = Small(mel);
      variant.change(o);
      const auto read = ReadRoformerOptions(SmallYaml(mel), WeightsOf(o));
      ASSERT_TRUE(read) << read.error().message;
      EXPECT_EQ(read->mel, o.mel);
      EXPECT_EQ(read->linear_depth, o.linear_depth);
      EXPECT_EQ(read->time_depth, o.time_depth);
      EXPECT_EQ(read->band_depth, o.band_depth);
      EXPECT_EQ(read->mask_layers, o.mask_layers);
      EXPECT_EQ(read->mask_expansion, o.mask_expansion);
      EXPECT_EQ(read->pope, o.pope);
      EXPECT_EQ(read->stored_positions, o.stored_positions);
      EXPECT_EQ(read->value_mix, o.value_mix);
      EXPECT_EQ(read->qkv_bias, o.qkv_bias);
      EXPECT_EQ(read->out_bias, o.out_bias);
      EXPECT_EQ(read->bands, o.bands);
      EXPECT_EQ(read->hop, 16);  // not audio.hop_length
      EXPECT_EQ(read->heads * 100 + read->dim_head, 204);
    }
  }
}

// Sequences are independent: it changes nothing how many go through a transformer at once.
TEST(Roformer, PiecesGiveWhatTheWholeGives) {
  for (const Variant& variant : kVariants) {
    SCOPED_TRACE(variant.name);
    RoformerOptions o = Small();
    variant.change(o);
    const TensorMap weights = WeightsOf(o);
    const std::vector<float> whole = RunNoise(o, weights);
    o.tokens_at_once = 150;
    EXPECT_GE(RatioDb(whole, RunNoise(o, weights)), 120);
  }
}

// Nor does it cost memory: pieces read the same packed weights.
TEST(Roformer, PiecesShareTheirWeights) {
  RoformerOptions o = Small();
  ThreadPool pool(1);
  int64_t bytes[2] = {};
  for (int i = 0; i < 2; ++i) {
    o.tokens_at_once = i == 0 ? 4096 : 50;
    auto graph = BuildRoformer(o, *RandomWeights(3), o.tiling.chunk_size, 1);
    ASSERT_TRUE(graph) << graph.error().message;
    auto session = MakeSession(*std::move(graph), {.device = "cpu"}, pool, nullptr);
    ASSERT_TRUE(session) << session.error().message;
    bytes[i] = (*session)->weight_bytes();
  }
  EXPECT_LT(static_cast<double>(bytes[1]), 1.1 * static_cast<double>(bytes[0]));
}

// What no released network has, and so no trainer's case shows, against the definitions in float64 (make_roformer.py).
TEST(RoformerParity, Rare) {
  RoformerOptions o = Small();
  o.depth = 3;
  o.linear_depth = 1;
  o.time_depth = 2;
  o.mask_layers = 3;
  o.mask_expansion = 2;
  o.value_mix = "to_value_residual_mix";
  o.qkv_bias = o.out_bias = o.skip_connection = true;
  const auto file = ReadSafetensors(testing::DataPath("roformer-rare.safetensors"));
  ASSERT_TRUE(file) << file.error().message;
  const auto model = MakeRoformer(o, std::make_shared<const TensorMap>(WeightsOf(o)));
  ASSERT_TRUE(model) << model.error().message;
  testing::CheckChunk(*file, **model, kFloorDb);
}

// Biases that a checkpoint holds once are those of every layer.
TEST(Roformer, SharedBiasesServeEveryLayer) {
  RoformerOptions o = Small();
  o.qkv_bias = o.out_bias = true;
  TensorMap weights = WeightsOf(o), shared = weights;
  const HostTensor qkv = weights.at("layers.0.0.layers.0.0.to_qkv.bias");
  const HostTensor out = weights.at("layers.0.0.layers.0.0.to_out.0.bias");
  for (auto& [name, tensor] : weights) {
    if (name.ends_with("to_qkv.bias")) tensor = qkv, shared.erase(name);
    if (name.ends_with("to_out.0.bias")) tensor = out, shared.erase(name);
  }
  shared[kSharedQkvBias] = qkv;
  shared[kSharedOutBias] = out;
  const auto read = ReadRoformerOptions(SmallYaml(), shared);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(RunNoise(o, weights), RunNoise(*read, shared));
  EXPECT_NE(RunNoise(o, weights), RunNoise(Small(), WeightsOf(Small())));
}

TEST(Roformer, WhatBelongsElsewhereIsRefusedByName) {
  const RoformerOptions o = Small();
  const TensorMap weights = WeightsOf(o);
  const auto refused = [](const auto& result, const std::string& words) {
    ASSERT_FALSE(result) << words;
    EXPECT_NE(result.error().message.find(words), std::string::npos) << result.error().message;
  };
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string yaml = SmallYaml();
    yaml.replace(yaml.find(from), from.size(), to);
    return ReadRoformerOptions(yaml, weights);
  };
  ASSERT_TRUE(with("dim: 8", "dim: 8"));
  refused(with("dim: 8", "dim: 12"), "model.dim is 12 where the weights' is 8");
  refused(with("depth: 2", "depth: 3"), "model.depth");
  refused(with("heads: 2", "heads: 2\n  use_pope: true"), "model.use_pope is true");
  refused(with("heads: 2", "heads: 2\n  num_residual_streams: 4"), "num_residual_streams");
  refused(with("heads: 2", "heads: 2\n  mask_estimator_depth: 1"), "model.mask_estimator_depth is 1");
  refused(with("stereo: true", "stereo: false"), "band_split.to_features.0.0.gamma");
  refused(with("[3, 10, 20]", "[3, 20, 10]"), "band_split.to_features.1.0.gamma");
  refused(with("[3, 10, 20]", "[3, 10, 21]"), "freqs_per_bands");
  refused(with("[3, 10, 20]", "[3, -10, 40]"), "freqs_per_bands");
  refused(with("[a, b]", "[a]"), "instruments");
  refused(with("stft_n_fft: 64", "stft_n_fft: 99999999"), "model.stft_n_fft");
  refused(with("stft_hop_length: 16", "stft_hop_length: 64"), "model.stft_hop_length");
  refused(with("stft_hop_length: 16", "stft_hop_length: x"), "model.stft_hop_length");
  refused(with("chunk_size: 1024", "chunk_size: 0"), "chunk_size");

  std::string mel = SmallYaml(true);
  mel.replace(mel.find("chunk_size: 1024"), 16, "chunk_size: 1030");
  refused(ReadRoformerOptions(mel, WeightsOf(Small(true))), "match_input_audio_length");
  mel.replace(mel.find("  heads"), 0, "  match_input_audio_length: true\n");
  EXPECT_TRUE(ReadRoformerOptions(mel, WeightsOf(Small(true))));

  const auto build = [&](TensorMap changed) -> Status {
    TIMBRE_TRY(RoformerOptions read, ReadRoformerOptions(SmallYaml(), changed));
    TIMBRE_TRY(const auto model, MakeRoformer(std::move(read), std::make_shared<const TensorMap>(std::move(changed))));
    return model->BuildTile(1024, 1).map([](const Graph&) {});
  };
  EXPECT_TRUE(build(weights));
  TensorMap more = weights, less = weights;
  more["mask_estimators.0.segm.backbone.0.weight"] = HostTensor::FromF32({1}, std::vector<float>{1});
  refused(build(more), "mask_estimators.0.segm.backbone.0.weight");
  less.erase("layers.1.1.layers.0.1.net.4.bias");
  refused(build(less), "layers.1.1.layers.0.1.net.4.bias");
}

// Nothing in, nothing out, and no NaN: norms of nothing are nothing.
TEST(Roformer, SilenceStaysSilent) {
  const RoformerOptions o = Small();
  const auto held = WeightsFromMap(std::make_shared<const TensorMap>(WeightsOf(o)));
  auto graph = BuildRoformer(o, *held, 1024, 1);
  ASSERT_TRUE(graph) << graph.error().message;
  ThreadPool pool(1);
  auto session = MakeSession(*std::move(graph), {.device = "cpu"}, pool, nullptr);
  ASSERT_TRUE(session) << session.error().message;
  const std::vector<float> mix(2048);
  std::vector<float> stems(4096, 1.0f);
  const float* const in[] = {mix.data()};
  float* const out[] = {stems.data()};
  ASSERT_TRUE((*session)->Run(in, out));
  EXPECT_EQ(stems, std::vector<float>(4096, 0.0f));
}

// Files of the rest get the names that people know them by.
TEST(Roformer, TheRestOfATargetHasAName) {
  const auto stems = [](const std::string& training) {
    auto config = TrainerConfig::Parse("audio: {chunk_size: 2048}\ntraining: " + training);
    EXPECT_TRUE(config);
    const auto tiling = ReadTrainerTiling(*config);
    EXPECT_TRUE(tiling) << tiling.error().message;
    return tiling ? StemsOf(*tiling) : std::vector<std::string>();
  };
  using Names = std::vector<std::string>;
  EXPECT_EQ(stems("{instruments: [vocals, other], target_instrument: vocals}"), (Names{"vocals", "instrumental"}));
  EXPECT_EQ(stems("{instruments: [Vocals, Instrumental], target_instrument: Instrumental}"),
            (Names{"Instrumental", "Vocals"}));
  EXPECT_EQ(stems("{instruments: [vocals, other], target_instrument: other}"), (Names{"other", "vocals"}));
  EXPECT_EQ(stems("{instruments: [noreverb, reverb], target_instrument: noreverb}"), (Names{"noreverb", "reverb"}));
  EXPECT_EQ(stems("{instruments: [drums, bass], target_instrument: null}"), (Names{"drums", "bass"}));
}

// A bug of the machine costs a step down the ladder and nothing else.
TEST(Roformer, FaultsCostNothing) {
  const RoformerOptions o = Small();
  const TensorMap weights = WeightsOf(o);
  const std::vector<float> well = RunNoise(o, weights);
  for (const char* fault : {"kernel:40", "kernel:41", "kernel:44", "pack:9", "allocation:3"}) {
    FaultInjector faults;
    ASSERT_TRUE(FaultInjector::Parse(fault, faults));
    EXPECT_GE(RatioDb(well, RunNoise(o, weights, &faults)), 100) << fault;
  }
}

}  // namespace
}  // namespace timbre
