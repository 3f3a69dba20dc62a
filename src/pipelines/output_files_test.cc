#include "pipelines/output_files.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace timbre {
namespace {

namespace fs = std::filesystem;

TEST(OutputFiles, OptionsThatTheFormatHasNoUseForAreRefused) {
  for (const char* format : {"wav", "flac", "alac"}) {
    EXPECT_TRUE(ParseWriteOptions(format, "s24", "rescale", 0, ""));
    const auto refused = ParseWriteOptions(format, "s16", "rescale", 128, "");
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().message.find("--bitrate"), std::string::npos) << refused.error().message;
  }
  for (const char* format : {"mp3", "opus", "ogg", "m4a"}) {
    EXPECT_TRUE(ParseWriteOptions(format, "s16", "rescale", 128, ""));
    const auto refused = ParseWriteOptions(format, "s24", "rescale", 0, "");
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().message.find("--sample-format"), std::string::npos) << refused.error().message;
  }
  EXPECT_FALSE(ParseWriteOptions("wav", "s16", "rescale", 0, "/no/such"));
}

TEST(OutputFiles, TheFormatIsTheEndingsUnlessNamed) {
  EXPECT_EQ(FormatName("auto", "song.FLAC"), "flac");
  EXPECT_EQ(FormatName("auto", "song"), "wav");
  EXPECT_EQ(FormatName("auto", "song."), "wav");
  EXPECT_EQ(FormatName("alac", "song.m4a"), "alac");
}

TEST(OutputFiles, AnInputIsKnownByAnyName) {
  const fs::path folder = ::testing::TempDir() + "timbre-output-files";
  fs::create_directories(folder);
  std::ofstream(folder / "a.wav") << "x";
  fs::remove(folder / "b.wav");
  fs::create_symlink("a.wav", folder / "b.wav");
  EXPECT_TRUE(CheckNotInput(folder / "c.wav", folder / "a.wav"));
  const auto refused = CheckNotInput(folder / "b.wav", folder / "." / "a.wav", "choose another --output");
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("written over an input; choose another --output"), std::string::npos);
  fs::remove_all(folder);
}

}  // namespace
}  // namespace timbre
