#include "pipelines/separate/two_stage.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "audio/decode.h"
#include "audio/encode.h"
#include "models/separate/hpss.h"

namespace timbre {
namespace {

namespace fs = std::filesystem;

LoadedModel Hpss() {
  LoadedModel model;
  model.name = "hpss";
  model.members.push_back(MakeHpss());
  model.weights.push_back({1.0f, 1.0f});
  return model;
}

class ChainTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(::testing::TempDir()) /
              ("timbre_chain_" + std::string(::testing::UnitTest::GetInstance()->current_test_info()->name()));
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    options_ = {.output_dir = folder_ / "out",
                .name = "{track}-{stem}.{ext}",
                .sample_format = "f32",
                .clip = "none",
                .session = {.device = "cpu"}};
    samples_.resize(2 * 30000);
    for (size_t i = 0; i < samples_.size(); ++i) {
      samples_[i] =
          static_cast<float>(0.3 * std::sin(static_cast<double>(i / 2) * 0.05) + (i / 2 % 9000 < 20 ? 0.5 : 0.0));
    }
    const WriteOptions exact{.sample_format = SampleFormat::kF32, .clip = ClipMode::kNone};
    auto writer = AudioWriter::Create(folder_ / "a song.wav", exact, 44100, 2);
    ASSERT_TRUE(writer && (*writer)->Write(samples_.data(), 30000) && (*writer)->Finish());
  }
  void TearDown() override { fs::remove_all(folder_); }

  // hpss on the stem of hpss.
  Result<std::unique_ptr<Separator>> TwoStage(const std::string& stem) {
    TIMBRE_TRY(std::unique_ptr<Separator> second, Separator::Create(Hpss(), options_, pool_, stats_));
    return CreateTwoStage(Hpss(), stem, std::move(second), options_, pool_, stats_);
  }

  fs::path folder_;
  SeparateOptions options_;
  std::vector<float> samples_;
  ThreadPool pool_{2};
  Stats stats_;
  Observer observer_;
};

TEST_F(ChainTest, FilesAreNamedAfterTheTrackAndEqualTheTwoStepsByHand) {
  auto chain = TwoStage("percussive");
  ASSERT_TRUE(chain) << chain.error().message;
  const auto report = (*chain)->Separate(folder_ / "a song.wav", observer_);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->input, (folder_ / "a song.wav").string());
  ASSERT_EQ(report->outputs.size(), 2u);

  auto single = Separator::Create(Hpss(), options_, pool_, stats_);
  ASSERT_TRUE(single);
  const auto first = (*single)->SeparateSamples(samples_, 2, observer_);
  ASSERT_TRUE(first);
  const auto second = (*single)->SeparateSamples((*first)[1], 2, observer_);
  ASSERT_TRUE(second);
  const auto in_memory = (*chain)->SeparateSamples(samples_, 2, observer_);
  ASSERT_TRUE(in_memory);
  for (size_t s = 0; s < 2; ++s) {
    const std::string stem = s == 0 ? "harmonic" : "percussive";
    const auto audio = ReadAudioFile(folder_ / "out" / ("a song-" + stem + ".wav"), 1 << 24);
    ASSERT_TRUE(audio) << audio.error().message;
    EXPECT_EQ(audio->samples, (*second)[s]);
    EXPECT_EQ((*in_memory)[s], (*second)[s]);
  }
}

// What lies between the two is beside the outputs or where it is told to be, never in the system's folder, and goes.
TEST_F(ChainTest, TheTrackBetweenLiesWhereItMay) {
  const auto hidden = [&](const fs::path& folder) {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder)) {
      const std::string name = entry.path().filename().string();
      if (name.starts_with(".timbre-") && fs::is_directory(entry)) names.push_back(name);
    }
    return names;
  };
  for (const char* temp : {"", "elsewhere"}) {
    fs::remove_all(folder_ / "out");
    fs::create_directories(folder_ / "elsewhere");
    options_.temp_dir = *temp == 0 ? "" : (folder_ / temp).string();
    {
      auto chain = TwoStage("harmonic");
      ASSERT_TRUE(chain) << chain.error().message;
      EXPECT_EQ(hidden(folder_ / (*temp == 0 ? "out" : temp)).size(), 1u);
      EXPECT_EQ(hidden(folder_ / "elsewhere").size(), *temp == 0 ? 0u : 1u);
    }
    EXPECT_TRUE(fs::is_empty(folder_ / "elsewhere"));
    EXPECT_FALSE(fs::exists(folder_ / "out"));
  }
}

// Where only samples are separated there is no folder to lie beside, and the process's own is left alone.
TEST_F(ChainTest, SamplesInMemoryNeedNoFolder) {
  options_.output_dir.clear();
  const fs::path before = fs::current_path();
  fs::current_path(folder_);
  auto chain = TwoStage("harmonic");
  fs::current_path(before);
  ASSERT_TRUE(chain) << chain.error().message;
  for (const auto& entry : fs::directory_iterator(folder_)) EXPECT_EQ(entry.path().filename(), "a song.wav");
  EXPECT_TRUE((*chain)->SeparateSamples(samples_, 2, observer_));
}

TEST_F(ChainTest, SkipsWhatIsThereAndRefusesAStemThatIsNot) {
  options_.skip_existing = true;
  auto chain = TwoStage("harmonic");
  ASSERT_TRUE(chain);
  EXPECT_FALSE((*chain)->Separate(folder_ / "a song.wav", observer_)->skipped);
  EXPECT_TRUE((*chain)->Separate(folder_ / "a song.wav", observer_)->skipped);
  const auto missing = (*chain)->Separate(folder_ / "none.wav", observer_);
  ASSERT_FALSE(missing);
  EXPECT_NE(missing.error().message.find("none.wav"), std::string::npos);

  const auto unknown = TwoStage("drums");
  ASSERT_FALSE(unknown);
  EXPECT_NE(unknown.error().message.find("drums"), std::string::npos);
}

}  // namespace
}  // namespace timbre
