// Whole tracks through the separation task, held against the reference's pipeline.
#include <gtest/gtest.h>

#include <cstdio>

#include "audio/decode.h"
#include "audio/encode.h"
#include "models/loader.h"
#include "pipelines/separate/separate.h"
#include "tests/e2e/program.h"
#include "tests/support/golden.h"

namespace timbre {
namespace {

using testing::RatioDb;
using testing::SharedPath;
using testing::Transposed;
using testing::Values;

constexpr double kFloorDb = 100;

struct Case {
  Safetensors file;
  LoadedModel model;
  std::vector<float> mix;  // [samples, 2]
  int64_t samples = 0;
};

Case Read(const std::string& name, const std::string& checkpoint) {
  Case c;
  auto file = ReadSafetensors(SharedPath("goldens/htdemucs/" + name + ".safetensors"));
  auto model = LoadModel(SharedPath("goldens/htdemucs/" + checkpoint));
  if (!file || !model) {
    ADD_FAILURE() << (file ? model.error().message : file.error().message);
    return c;
  }
  c.file = *std::move(file);
  c.model = *std::move(model);
  const std::vector<float> mix = Values(c.file, "mix");
  c.samples = static_cast<int64_t>(mix.size()) / 2;
  c.mix = Transposed(mix, 2, c.samples);
  return c;
}

// The reference's [stems, 2, samples] against results of [samples, 2] each.
void Check(const Case& c, const std::vector<std::vector<float>>& results) {
  const std::vector<float> stems = Values(c.file, "stems");
  ASSERT_EQ(stems.size(), results.size() * 2 * c.samples);
  for (size_t s = 0; s < results.size(); ++s) {
    const auto begin = stems.begin() + s * 2 * c.samples;
    const std::vector<float> reference = Transposed({begin, begin + 2 * c.samples}, 2, c.samples);
    ASSERT_EQ(reference.size(), results[s].size());
    const double ratio = RatioDb(reference, results[s]);
    std::printf("  %-8s %.1f dB\n", c.model.info().stems[s].c_str(), ratio);
    EXPECT_GE(ratio, kFloorDb) << c.model.info().stems[s];
  }
}

struct Network {
  const char *name, *checkpoint;
};
class HtdemucsTrack : public ::testing::TestWithParam<Network> {};

INSTANTIATE_TEST_SUITE_P(Networks, HtdemucsTrack,
                         ::testing::Values(Network{"htdemucs-tiny", "htdemucs-tiny-b9c4b409.th"},
                                           Network{"htdemucs6s-tiny", "htdemucs6s-tiny-155ea895.th"}),
                         [](const auto& c) { return std::string(c.index == 0 ? "FourStems" : "SixStems"); });

TEST_P(HtdemucsTrack, InMemory) {
  TIMBRE_NEED_SHARED(SharedPath("goldens/htdemucs"));
  Case c = Read(GetParam().name + std::string(".track"), GetParam().checkpoint);
  ThreadPool pool;
  Stats stats;
  auto separator = Separator::Create(c.model, {.session = {.device = "cpu"}}, pool, stats);
  ASSERT_TRUE(separator) << separator.error().message;
  Observer observer;
  const auto results = (*separator)->SeparateSamples(c.mix, 2, observer);
  ASSERT_TRUE(results) << results.error().message;
  Check(c, *results);
}

// The same through the program and files, which hold float samples.
void CheckProgram(const Network& network, const std::string& which, const std::vector<std::string>& more) {
  const Case c = Read(network.name + ("." + which), network.checkpoint);
  const testing::TempFolder folder;
  const WriteOptions exact{.format = FileFormat::kWav, .sample_format = SampleFormat::kF32, .clip = ClipMode::kNone};
  {
    auto writer = AudioWriter::Create(folder / "mix.wav", exact, 44100, 2);
    ASSERT_TRUE(writer) << writer.error().message;
    ASSERT_TRUE((*writer)->Write(c.mix.data(), c.samples));
    ASSERT_TRUE((*writer)->Finish());
  }
  const std::string checkpoint = SharedPath(std::string("goldens/htdemucs/") + network.checkpoint);
  std::vector<std::string> words = {"separate", "mix.wav",      "--model",         checkpoint, "--output", ".",
                                    "--name",   "{stem}.{ext}", "--sample-format", "f32",      "--clip",   "none"};
  words.insert(words.end(), more.begin(), more.end());
  const testing::Ran ran = testing::RunTimbre(words, folder.path());
  ASSERT_EQ(ran.code, 0) << ran.err;
  std::vector<std::vector<float>> results;
  for (const std::string& stem : c.model.info().stems) {
    const auto audio = ReadAudioFile(folder / (stem + ".wav"), 1 << 24);
    ASSERT_TRUE(audio) << audio.error().message;
    EXPECT_EQ(audio->frames(), c.samples);
    results.push_back(audio->samples);
  }
  Check(c, results);
}

TEST_P(HtdemucsTrack, ThroughTheProgram) {
  TIMBRE_NEED_SHARED(SharedPath("goldens/htdemucs"));
  CheckProgram(GetParam(), "track", {});
}

// An input shorter than a tile. The reference shows the tiling alone, without the normalisation of the track.
TEST_P(HtdemucsTrack, ShortInput) {
  TIMBRE_NEED_SHARED(SharedPath("goldens/htdemucs"));
  CheckProgram(GetParam(), "short", {"--no-normalise"});
}

}  // namespace
}  // namespace timbre
