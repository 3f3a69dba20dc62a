// SCNets held against the trainers' own output: one chunk, and whole tracks.
#include "models/separate/scnet.h"

#include <gtest/gtest.h>

#include "models/loader.h"
#include "models/released_networks.h"
#include "tests/parity/separator_support.h"
#include "tests/support/golden.h"

namespace timbre {
namespace {

using testing::RatioDb;
using testing::SharedPath;

constexpr double kFloorDb = 100;

std::string Golden(const std::string& name) { return SharedPath("goldens/separators/" + name); }

void CheckTiny(const std::string& name) {
  TIMBRE_NEED_SHARED(Golden(name + ".chunk.safetensors"));
  const auto file = ReadSafetensors(Golden(name + ".chunk.safetensors"));
  ASSERT_TRUE(file) << file.error().message;
  const auto model = LoadModel(Golden(name + ".ckpt"));
  ASSERT_TRUE(model) << model.error().message;
  testing::CheckChunk(*file, *model->members[0], kFloorDb);
}

TEST(ScnetParity, Chunk) { CheckTiny("scnet-tiny"); }
TEST(ScnetParity, MaskedChunk) { CheckTiny("scnet-masked-tiny"); }

TEST(ScnetParity, TrackThroughTheProgram) {
  TIMBRE_NEED_SHARED(Golden("scnet-tiny.track.safetensors"));
  testing::CheckTrack(Golden("scnet-tiny.track.safetensors"), Golden("scnet-tiny.ckpt"), {"vocals", "other"}, kFloorDb);
}

// Three levels of what is published as XL, and of the default shape, but narrow.
ScnetOptions Small(bool xl) {
  ScnetOptions o;
  o.dims = {4, 4, 8, 8};
  o.nfft = o.win_size = 256;
  o.hop_size = 64;
  o.num_dplayer = 2;
  if (xl) {
    o.band_sr = {0.23, 0.37, 0.4};
    o.band_stride = {1, 4, 4};
    o.band_kernel = {3, 4, 4};
    o.conv_depths = {3, 3, 3};
    o.num_dplayer = 4;
  }
  o.tiling = {.chunk_size = 2000, .sample_rate = 8000, .stems = {"a", "b"}};
  return o;
}

std::vector<float> RunNoise(const ScnetOptions& o) {
  auto graph = BuildScnet(o, *RandomWeights(3), o.tiling.chunk_size, 2);
  EXPECT_TRUE(graph) << graph.error().message;
  if (!graph) return {};
  ThreadPool pool(2);
  auto session = MakeSession(*std::move(graph), {.device = "cpu"}, pool, nullptr);
  EXPECT_TRUE(session) << session.error().message;
  if (!session) return {};
  std::vector<float> mix(2 * o.tiling.chunk_size * 2), stems(mix.size() * o.tiling.stems.size());
  for (size_t i = 0; i < mix.size(); ++i) mix[i] = FormulaValue(1, i, -0.5f, 1);
  const float* const in[] = {mix.data()};
  float* const out[] = {stems.data()};
  EXPECT_TRUE((*session)->Run(in, out));
  return stems;
}

// Sequences are independent: it changes nothing how many go through a recurrent layer at once.
TEST(Scnet, PiecesGiveWhatTheWholeGives) {
  for (const bool xl : {false, true}) {
    ScnetOptions o = Small(xl);
    const std::vector<float> whole = RunNoise(o);
    o.steps_at_once = 300;
    EXPECT_GE(RatioDb(whole, RunNoise(o)), 120) << xl;
  }
}

TEST(Scnet, ConfigurationsFromOutsideAreBounded) {
  const std::string good =
      "audio: {chunk_size: 2000, sample_rate: 8000}\n"
      "model: {sources: &s [a, b], audio_channels: 2, dims: [4, 4, 8, 8], nfft: 256, hop_size: 64, win_size: 256,\n"
      "  band_SR: [0.175, 0.392, 0.433], band_stride: [1, 4, 16], band_kernel: [3, 4, 16], conv_depths: [3, 2, 1],\n"
      "  compress: 4, conv_kernel: 3, num_dplayer: 2, expand: 1}\n"
      "training: {instruments: *s, target_instrument: null}\ninference: {num_overlap: 2}\n";
  const auto random = RandomTensors(
      3, false, [](Weights& weights) { return BuildScnet(Small(false), weights, 2000, 1).map([](const Graph&) {}); });
  ASSERT_TRUE(random) << random.error().message;
  const auto read = ReadScnetOptions(good, *random);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_FALSE(read->masked);
  EXPECT_EQ(read->tiling.stems, (std::vector<std::string>{"a", "b"}));
  const auto model = MakeScnet(*read, std::make_shared<const TensorMap>(*random));
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_TRUE((*model)->BuildTile(2000, 1));

  TensorMap more = *random;
  more["encoder.0.attention.weight"] = HostTensor::FromF32({1}, std::vector<float>{1});
  const auto strange = (*MakeScnet(*read, std::make_shared<const TensorMap>(more)))->BuildTile(2000, 1);
  ASSERT_FALSE(strange);
  EXPECT_NE(strange.error().message.find("encoder.0.attention.weight"), std::string::npos) << strange.error().message;

  for (const auto& [from, to] :
       std::vector<std::pair<std::string, std::string>>{{"dims: [4,", "dims: [6,"},
                                                        {"dims: [4, 4", "dims: [4, 4000000000"},
                                                        {"dims: [4, 4", "dims: [4, 2"},
                                                        {"nfft: 256", "nfft: 16"},
                                                        {"hop_size: 64", "hop_size: 0"},
                                                        {"0.392, 0.433]", "0.9, 0.433]"},
                                                        {"0.392, 0.433]", "0.392]"},
                                                        {"[1, 4, 16], band_k", "[1, 0, 16], band_k"},
                                                        {"[1, 4, 16], band_k", "[1, 4, 17], band_k"},
                                                        {"depths: [3, 2, 1]", "depths: [3, 2, x]"},
                                                        {"compress: 4", "compress: 40"},
                                                        {"num_dplayer: 2", "num_dplayer: 3"},
                                                        {"instruments: *s", "instruments: [a]"},
                                                        {"chunk_size: 2000", "chunk_size: 1e99"}}) {
    std::string text = good;
    text.replace(text.find(from), from.size(), to);
    const auto bad = ReadScnetOptions(text, *random);
    EXPECT_FALSE(bad) << to;
    EXPECT_FALSE(!bad && bad.error().message.empty());
  }
}

}  // namespace
}  // namespace timbre
