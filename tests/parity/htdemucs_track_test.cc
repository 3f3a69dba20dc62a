// Whole tracks through the separation task, held against the reference's pipeline.
#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>

#include "audio/decode.h"
#include "audio/encode.h"
#include "models/loader.h"
#include "tasks/apply.h"
#include "tasks/separate.h"
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

// The same through files, which hold float samples.
TEST_P(HtdemucsTrack, ThroughFiles) {
  TIMBRE_NEED_SHARED(SharedPath("goldens/htdemucs"));
  Case c = Read(GetParam().name + std::string(".track"), GetParam().checkpoint);
  const std::filesystem::path folder =
      std::filesystem::path(::testing::TempDir()) / (std::string("timbre_track_") + GetParam().name);
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  const std::string input = folder / "mix.wav";
  const WriteOptions exact{.format = FileFormat::kWav, .sample_format = SampleFormat::kF32, .clip = ClipMode::kNone};
  {
    auto writer = AudioWriter::Create(input, exact, 44100, 2);
    ASSERT_TRUE(writer) << writer.error().message;
    ASSERT_TRUE((*writer)->Write(c.mix.data(), c.samples));
    ASSERT_TRUE((*writer)->Finish());
  }
  ThreadPool pool;
  Stats stats;
  SeparateOptions options{.output_dir = folder, .sample_format = "f32", .clip = "none", .session = {.device = "cpu"}};
  auto separator = Separator::Create(c.model, options, pool, stats);
  ASSERT_TRUE(separator) << separator.error().message;
  Observer observer;
  const auto report = (*separator)->Separate(input, observer);
  ASSERT_TRUE(report) << report.error().message;
  std::vector<std::vector<float>> results;
  for (const StemOutput& output : report->outputs) {
    EXPECT_EQ(output.samples, c.samples);
    const auto audio = ReadAudioFile(output.path, 1 << 24);
    ASSERT_TRUE(audio) << audio.error().message;
    results.push_back(audio->samples);
  }
  Check(c, results);
  std::filesystem::remove_all(folder);
}

// An input shorter than a tile, without the normalisation of the whole track.
TEST_P(HtdemucsTrack, ShortInput) {
  TIMBRE_NEED_SHARED(SharedPath("goldens/htdemucs"));
  Case c = Read(GetParam().name + std::string(".short"), GetParam().checkpoint);
  ThreadPool pool;
  Stats stats;
  const auto plan = c.model.members[0]->Plan(c.samples, {});
  ASSERT_TRUE(plan) << plan.error().message;
  auto runner = TileRunner::Create(c.model.members[0], plan->tile, 1, {.device = "cpu"}, pool, stats);
  ASSERT_TRUE(runner) << runner.error().message;
  const size_t stems = c.model.info().stems.size();
  ApplyMember member{.runner = runner->get(), .plan = &*plan, .gains = std::vector<float>(stems * stems, 0.0f)};
  for (size_t s = 0; s < stems; ++s) member.gains[s * stems + s] = 1;
  const auto source = [&](std::vector<float>* samples) -> Status {
    samples->insert(samples->end(), c.mix.begin(), c.mix.end());
    return {};
  };
  std::vector<std::vector<float>> results(stems);
  const auto sink = [&](const float* samples, int64_t frames) -> Status {
    for (int64_t i = 0; i < frames; ++i) {
      for (size_t s = 0; s < stems; ++s) {
        for (int channel = 0; channel < 2; ++channel) results[s].push_back(samples[(i * stems + s) * 2 + channel]);
      }
    }
    return {};
  };
  const Status status = ApplyModels({&member, 1}, source, sink, []() -> Status { return {}; });
  ASSERT_TRUE(status) << status.error().message;
  Check(c, results);
}

}  // namespace
}  // namespace timbre
