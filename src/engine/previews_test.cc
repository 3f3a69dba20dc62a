#include "engine/previews.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "audio/decode.h"
#include "audio/peaks.h"
#include "audio/test_files.h"
#include "base/files.h"
#include "engine/ids.h"

namespace timbre::engine {
namespace {

namespace fs = std::filesystem;

class PreviewsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto store = AssetStore::Open(folder_ / "data");
    ASSERT_TRUE(store);
    store_.emplace(*std::move(store));
    Open({.reserve_bytes = 0});
  }
  void Open(PreviewSettings settings) {
    auto previews = Previews::Open(*store_, std::move(settings));
    ASSERT_TRUE(previews);
    previews_ = *std::move(previews);
  }
  // Noise, by the ffmpeg program; empty without it.
  std::string Noise(const std::string& kind, double seconds = 1) {
    const std::string path = folder_ / ("noise." + kind);
    const std::string made =
        "ffmpeg -y -loglevel error -f lavfi -i anoisesrc=r=44100:seed=7:a=0.5:d=" + std::to_string(seconds) +
        " -ac 2 " + path;
    if (std::system(made.c_str()) != 0) return "";
    const auto asset = store_->Take(path, "noise." + kind);
    return asset ? asset->id : "";
  }
  // As a page does: asks until it is there.
  Result<Previews::Peaks> Peaks(const std::string& asset) {
    for (int i = 0; i < 2000; ++i) {
      TIMBRE_TRY(const auto peaks, previews_->FindPeaks(asset));
      if (peaks) return *peaks;
      usleep(5000);
    }
    return Fail(ErrorCode::kInternal, "it takes too long");
  }
  Result<Previews::Slice> Read(const std::string& asset, int64_t from, int64_t frames, int rate = 0) {
    for (int i = 0; i < 2000; ++i) {
      TIMBRE_TRY(auto slice, previews_->Read(asset, from, frames, rate));
      if (slice) return *std::move(slice);
      usleep(5000);
    }
    return Fail(ErrorCode::kInternal, "it takes too long");
  }

  const TestFolder folder_;
  std::optional<AssetStore> store_;
  std::unique_ptr<Previews> previews_;
};

TEST_F(PreviewsTest, GivesTheSamplesOfTheFileFromAnywhere) {
  for (const char* kind : {"wav", "mp3", "ogg"}) {
    const std::string asset = Noise(kind);
    if (asset.empty()) GTEST_SKIP() << "SKIPPED: there is no ffmpeg program to make the files with";
    const auto whole = ReadAudioFile(store_->PathOf(asset), 1 << 20);
    ASSERT_TRUE(whole);
    for (const int64_t from : {int64_t{0}, int64_t{17000}, whole->frames() - 100, whole->frames()}) {
      const auto slice = Read(asset, from, 5000);
      ASSERT_TRUE(slice) << slice.error().message;
      EXPECT_EQ(slice->sample_rate, 44100);
      ASSERT_EQ(slice->samples.size(), static_cast<size_t>(2 * std::min<int64_t>(5000, whole->frames() - from)));
      EXPECT_TRUE(std::equal(slice->samples.begin(), slice->samples.end(), whole->samples.begin() + 2 * from)) << kind;
    }
    // What is coded with loss is decoded once.
    EXPECT_EQ(fs::exists(store_->SamplesPath(asset)), std::string(kind) != "wav");
  }
  EXPECT_FALSE(Read(Noise("wav"), 0, 11 * 44100));
}

TEST_F(PreviewsTest, SlicesAtAnotherRateFitTogether) {
  const std::string asset = Noise("wav");
  if (asset.empty()) GTEST_SKIP() << "SKIPPED: there is no ffmpeg program to make the files with";
  for (const int rate : {48000, 8000}) {
    const auto whole = Read(asset, 0, rate, rate);
    ASSERT_TRUE(whole) << whole.error().message;
    ASSERT_EQ(whole->samples.size(), static_cast<size_t>(2 * rate));
    std::vector<float> joined;
    const int64_t step = rate / 3;
    for (int64_t at = 0; at < rate + step; at += step) {
      const auto part = Read(asset, at, step, rate);
      ASSERT_TRUE(part) << part.error().message;
      joined.insert(joined.end(), part->samples.begin(), part->samples.end());
    }
    ASSERT_EQ(joined.size(), whole->samples.size());
    double worst = 0;
    for (size_t i = 0; i < joined.size(); ++i) {
      worst = std::max(worst, std::abs(double{joined[i]} - double{whole->samples[i]}));
    }
    EXPECT_LT(worst, 1e-6) << rate;
  }
}

TEST_F(PreviewsTest, DrawsTheWholeFile) {
  const std::string asset = Noise("mp3", 2);
  if (asset.empty()) GTEST_SKIP() << "SKIPPED: there is no ffmpeg program to make the files with";
  const auto whole = ReadAudioFile(store_->PathOf(asset), 1 << 20);
  const auto peaks = Peaks(asset);
  ASSERT_TRUE(whole && peaks) << peaks.error().message;
  EXPECT_EQ(peaks->frames, whole->frames());
  EXPECT_EQ(peaks->channels, 2);
  std::string expected;
  PeakPyramid pyramid(2, [&](int level, std::span<const int8_t> pairs) -> Status {
    if (level == 1) expected.append(reinterpret_cast<const char*>(pairs.data()), pairs.size());
    return {};
  });
  ASSERT_TRUE(pyramid.Push(whole->samples.data(), whole->frames()) && pyramid.Finish());
  EXPECT_EQ(ReadBytes(previews_->PeaksPath(asset, 1)), expected);
  // One that a fall of the system has cut short is computed again.
  WriteBytes(previews_->PeaksPath(asset, 1), "");
  ASSERT_TRUE(Peaks(asset));
  EXPECT_EQ(ReadBytes(previews_->PeaksPath(asset, 1)), expected);
}

TEST_F(PreviewsTest, SaysWhyThereIsNone) {
  WriteBytes(folder_ / "text", "no sound");
  const auto asset = store_->Take(folder_ / "text", "text.wav");
  ASSERT_TRUE(asset);
  for (int i = 0; i < 2; ++i) {  // and does not compute again to find out
    const auto peaks = Peaks(asset->id);
    ASSERT_FALSE(peaks);
    EXPECT_NE(peaks.error().message.find("the asset"), std::string::npos) << peaks.error().message;
    EXPECT_EQ(peaks.error().message.find("/assets/"), std::string::npos) << peaks.error().message;
    EXPECT_FALSE(Read(asset->id, 0, 1));
  }
}

TEST_F(PreviewsTest, KeepsNoMoreThanItMay) {
  const std::string first = Noise("mp3", 1), second = Noise("mp3", 2), third = Noise("ogg", 30);
  if (first.empty()) GTEST_SKIP() << "SKIPPED: there is no ffmpeg program to make the files with";
  Open({.most_bytes = 1000000, .reserve_bytes = 0});  // less than 3 seconds
  ASSERT_TRUE(Read(first, 0, 100));
  for (int i = 0; i < 400 && !fs::exists(store_->SamplesPath(first)); ++i) usleep(5000);
  ASSERT_TRUE(Read(second, 2 * 44100 - 200, 100));
  EXPECT_TRUE(fs::exists(store_->SamplesPath(second)));
  for (int i = 0; i < 400 && fs::exists(store_->SamplesPath(first)); ++i) usleep(5000);
  EXPECT_FALSE(fs::exists(store_->SamplesPath(first)));
  EXPECT_FALSE(Read(third, 3 * 44100, 100)) << "alone it is more than that";
  // Nothing is begun while the disk has no room, and nothing goes with what an asset has.
  Open({.reserve_bytes = int64_t{1} << 60});
  EXPECT_FALSE(Read(third, 0, 100));
  store_->Remove(second);
  EXPECT_FALSE(fs::exists(store_->SamplesPath(second)));
}

}  // namespace
}  // namespace timbre::engine
