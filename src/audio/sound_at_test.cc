#include "audio/sound_at.h"

#include <gtest/gtest.h>

#include "audio/decode.h"
#include "audio/encode.h"
#include "audio/test_files.h"

namespace timbre {
namespace {

TEST(SoundAt, GivesTheSamplesThatReadingFromTheBeginningGives) {
  const TestFolder folder;
  for (const char* kind : {"wav", "flac", "aiff", "w64"}) {
    const std::string path = folder / (std::string("noise.") + kind);
    const std::string made = "ffmpeg -loglevel error -f lavfi -i anoisesrc=d=1:r=44100:seed=7 -ac 2 " + path;
    if (std::system(made.c_str()) != 0) GTEST_SKIP() << "there is no ffmpeg program";
    const auto sound = SoundAt::Open(path);
    ASSERT_NE(sound, nullptr) << kind;
    const auto whole = ReadAudioFile(path, 1 << 20);
    ASSERT_TRUE(whole);
    EXPECT_EQ(sound->frames(), whole->frames());
    std::vector<float> part(2000);
    for (const int64_t from : {int64_t{30000}, int64_t{0}, int64_t{12345}, whole->frames() - 1000}) {
      ASSERT_EQ(sound->Read(from, 1000, part.data()).value_or(-1), 1000);
      EXPECT_TRUE(std::equal(part.begin(), part.end(), whole->samples.begin() + from * 2)) << kind << " " << from;
    }
    EXPECT_EQ(sound->Read(whole->frames() - 10, 1000, part.data()).value_or(-1), 10);
    EXPECT_EQ(sound->Read(whole->frames() + 10, 1000, part.data()).value_or(-1), 0);
  }
}

TEST(SoundAt, LeavesWhatIsCodedWithLossToThoseThatReadItWhole) {
  const TestFolder folder;
  const std::string path = folder / "noise.mp3";
  if (std::system(("ffmpeg -loglevel error -f lavfi -i anoisesrc=d=1 " + path).c_str()) != 0) {
    GTEST_SKIP() << "there is no ffmpeg program";
  }
  EXPECT_EQ(SoundAt::Open(path), nullptr);
  EXPECT_EQ(SoundAt::Open(folder / "missing.wav"), nullptr);
  WriteBytes(folder / "short.wav", "RIFF");
  EXPECT_EQ(SoundAt::Open(folder / "short.wav"), nullptr);
}

}  // namespace
}  // namespace timbre
