#include "audio/tags.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "audio/decode.h"
#include "audio/encode.h"
#include "audio/test_files.h"

namespace timbre {
namespace {

// Of each text that a format holds, and the cover where it holds one.
AudioTags Tags() {
  AudioTags tags;
  tags.text = {{"title", "Sóng"},       {"artist", "A & B"},    {"album", "Ålbum"}, {"album_artist", "Various"},
               {"composer", "C"},       {"track", "3/12"},      {"disc", "1/2"},    {"date", "1999"},
               {"genre", "Electronic"}, {"comment", "none; so"}};
  const unsigned char png[] = {0x89, 'P',  'N',  'G',  0x0d, 0x0a, 0x1a, 0x0a, 0,    0,    0,    13,   'I',  'H',
                               'D',  'R',  0,    0,    0,    1,    0,    0,    0,    1,    8,    0,    0,    0,
                               0,    0x3a, 0x7e, 0x9b, 0x55, 0,    0,    0,    10,   'I',  'D',  'A',  'T',  0x78,
                               0x9c, 0x63, 0x60, 0,    0,    0,    2,    0,    1,    0x48, 0xaf, 0xa4, 0x71, 0,
                               0,    0,    0,    'I',  'E',  'N',  'D',  0xae, 0x42, 0x60, 0x82};
  for (const unsigned char byte : png) tags.cover.push_back(static_cast<std::byte>(byte));
  tags.png = true;
  return tags;
}

TEST(AudioTags, EveryFormatHoldsWhatItCan) {
  TestFolder folder;
  const std::vector<float> x = SineFrames(30000, 2, 300, 44100);
  for (const char* name : {"wav", "flac", "mp3", "opus", "ogg", "m4a", "alac"}) {
    SCOPED_TRACE(name);
    WriteOptions options{.format = *ParseFileFormat(name), .tags = Tags().ForPart("vocals")};
    const std::string path = folder / std::string("x.").append(FileExtension(options.format));
    auto writer = AudioWriter::Create(path, options, 44100, 2);
    ASSERT_TRUE(writer) << writer.error().message;
    ASSERT_TRUE((*writer)->Write(x.data(), 30000));
    const auto written = (*writer)->Finish();
    ASSERT_TRUE(written) << written.error().message;
    const auto reader = AudioReader::Open(path);
    ASSERT_TRUE(reader) << reader.error().message;
    const AudioTags& tags = (*reader)->info().tags;
    const bool wav = options.format == FileFormat::kWav;
    for (const auto& [key, value] : options.tags.text) {
      if (wav && (key == "album_artist" || key == "composer" || key == "disc")) continue;
      EXPECT_NE(std::find(tags.text.begin(), tags.text.end(), std::pair(key, value)), tags.text.end()) << key;
    }
    EXPECT_EQ(tags.text.front().second, "Sóng (vocals)");
    EXPECT_EQ(tags.cover, wav ? std::vector<std::byte>() : Tags().cover);
    auto back = ReadAudioFile(path, 1 << 20);
    ASSERT_TRUE(back) << back.error().message;
    EXPECT_EQ(back->frames(), back->sample_rate == 44100 ? 30000 : 32653);
  }
}

TEST(AudioTags, TextFromOutsideIsBounded) {
  TestFolder folder;
  AudioTags wild;
  wild.text = {
      {"title", std::string(1 << 20, 'x')}, {"artist", "bell\a and\nnew\xc2\x9bline"}, {"album", "\xff\xfe broken"}};
  auto writer = AudioWriter::Create(folder / "x.flac", {.format = FileFormat::kFlac, .tags = wild}, 44100, 1);
  const std::vector<float> x = NoiseFrames(1000, 1);
  ASSERT_TRUE(writer && (*writer)->Write(x.data(), 1000) && (*writer)->Finish());
  const auto reader = AudioReader::Open(folder / "x.flac");
  ASSERT_TRUE(reader);
  const AudioTags& tags = (*reader)->info().tags;
  ASSERT_EQ(tags.text.size(), 2u);
  EXPECT_EQ(tags.text[0].second.size(), 4096u);
  EXPECT_EQ(tags.text[1].second, "bell  and new line");
}

}  // namespace
}  // namespace timbre
