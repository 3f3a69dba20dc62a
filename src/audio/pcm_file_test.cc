// Every kind of uncompressed file, against what libsndfile reads in it and against the numbers that were written.
#include "audio/pcm_file.h"

#include <gtest/gtest.h>
#include <sndfile.h>

#include <cmath>
#include <cstring>

#include "audio/decode.h"
#include "audio/test_files.h"

namespace timbre {
namespace {

constexpr int64_t kFrames = 1500;
constexpr int kRate = 44100;

std::vector<float> BySndfile(const std::string& path, SF_INFO* info) {
  SNDFILE* file = sf_open(path.c_str(), SFM_READ, info);
  EXPECT_NE(file, nullptr) << path << ": " << sf_strerror(nullptr);
  if (file == nullptr) return {};
  std::vector<float> samples(static_cast<size_t>(info->frames * info->channels));
  EXPECT_EQ(sf_readf_float(file, samples.data(), info->frames), info->frames);
  sf_close(file);
  return samples;
}

void ExpectTheSame(const std::string& path, const std::string& what) {
  SF_INFO info = {};
  const std::vector<float> expected = BySndfile(path, &info);
  const auto audio = ReadAudioFile(path, 1 << 20);
  ASSERT_TRUE(audio) << what << ": " << audio.error().message;
  EXPECT_EQ(audio->sample_rate, info.samplerate) << what;
  EXPECT_EQ(audio->channels, info.channels) << what;
  ASSERT_EQ(audio->samples.size(), expected.size()) << what;
  for (size_t i = 0; i < expected.size(); ++i) ASSERT_NEAR(audio->samples[i], expected[i], 6e-8) << what << " at " << i;
}

TEST(PcmFile, EveryKindIsReadAsLibsndfileReadsIt) {
  TestFolder folder;
  const std::pair<int, const char*> containers[] = {
      {SF_FORMAT_WAV, "wav"},   {SF_FORMAT_WAVEX, "wavex"}, {SF_FORMAT_RF64, "rf64"}, {SF_FORMAT_W64, "w64"},
      {SF_FORMAT_AIFF, "aiff"}, {SF_FORMAT_CAF, "caf"},     {SF_FORMAT_AU, "au"}};
  const std::pair<int, const char*> subtypes[] = {
      {SF_FORMAT_PCM_S8, "s8"}, {SF_FORMAT_PCM_U8, "u8"},   {SF_FORMAT_PCM_16, "16"},    {SF_FORMAT_PCM_24, "24"},
      {SF_FORMAT_PCM_32, "32"}, {SF_FORMAT_FLOAT, "float"}, {SF_FORMAT_DOUBLE, "double"}};
  int files = 0;
  for (const auto& [container, container_name] : containers) {
    for (const auto& [subtype, subtype_name] : subtypes) {
      for (const int endian : {SF_ENDIAN_FILE, SF_ENDIAN_BIG, SF_ENDIAN_LITTLE}) {
        for (const int channels : {1, 6}) {
          SF_INFO info = {};
          info.samplerate = kRate;
          info.channels = channels;
          info.format = container | subtype | endian;
          if (sf_format_check(&info) == 0) continue;
          const std::string what = std::string(container_name) + " " + subtype_name + " " +
                                   std::to_string(endian >> 28) + " " + std::to_string(channels);
          const std::string path = folder / "x";
          SNDFILE* file = sf_open(path.c_str(), SFM_WRITE, &info);
          ASSERT_NE(file, nullptr) << what;
          const std::vector<float> x = NoiseFrames(kFrames, channels);
          ASSERT_EQ(sf_writef_float(file, x.data(), kFrames), kFrames) << what;
          sf_close(file);
          ExpectTheSame(path, what);
          ++files;
        }
      }
    }
  }
  EXPECT_GT(files, 60);
}

// WAVE_FORMAT_EXTENSIBLE of `valid` bits in places of `bits`; floats where `tag` is 3.
std::string Extensible(int bits, int valid, int tag, const std::vector<double>& values, uint32_t more = 0) {
  const int bytes = bits / 8;
  std::string data, file;
  const auto put = [](std::string& to, uint64_t value, int size) {
    for (int i = 0; i < size; ++i) to.push_back(static_cast<char>(value >> (8 * i)));
  };
  for (const double value : values) {
    if (tag == 3) {
      const auto single = static_cast<float>(value);
      uint64_t raw = 0;
      if (bits == 64) {
        std::memcpy(&raw, &value, 8);
      } else {
        std::memcpy(&raw, &single, 4);
      }
      put(data, raw, bytes);
      continue;
    }
    // Valid bits lie at the top; eight bits or fewer count from 128.
    const auto whole = static_cast<int64_t>(std::lround(value * std::ldexp(1, valid - 1))) << (bits - valid);
    put(data, static_cast<uint64_t>(bits == 8 ? whole + 128 : whole), bytes);
  }
  const auto size = static_cast<uint32_t>(data.size());
  file += "RIFF";
  put(file, 4 + 8 + 40 + 8 + size + more, 4);
  file += "WAVEfmt ";
  put(file, 40, 4), put(file, 0xFFFE, 2), put(file, 2, 2), put(file, kRate, 4);
  put(file, static_cast<uint64_t>(kRate) * 2 * bytes, 4), put(file, 2 * bytes, 2), put(file, bits, 2);
  put(file, 22, 2), put(file, valid, 2), put(file, 3, 4), put(file, tag, 2);
  file += std::string("\x00\x00\x00\x00\x10\x00\x80\x00\x00\xAA\x00\x38\x9B\x71", 14);
  file += "data";
  put(file, size + more, 4);
  return file + data;
}

// A WAV file by libsndfile, with a title where one is given.
void WriteWav(const std::string& path, int subtype, int channels, const std::vector<float>& samples,
              const char* title = nullptr) {
  SF_INFO info = {};
  info.samplerate = kRate;
  info.channels = channels;
  info.format = SF_FORMAT_WAV | subtype;
  SNDFILE* file = sf_open(path.c_str(), SFM_WRITE, &info);
  ASSERT_NE(file, nullptr);
  if (title != nullptr) sf_set_string(file, SF_STR_TITLE, title);
  const auto frames = static_cast<sf_count_t>(samples.size()) / channels;
  EXPECT_EQ(sf_writef_float(file, samples.data(), frames), frames);
  sf_close(file);
}

bool IsPlain(const std::string& path) {
  auto source = ByteSource::Open(path, "", nullptr);
  return source && PcmFile::OpenIfPlain(source->get()) != nullptr;
}

// A title is for FFmpeg's libraries to read, and then the samples are too.
TEST(PcmFile, APlainWavIsReadAsFfmpegReadsIt) {
  TestFolder folder;
  for (const int subtype : {SF_FORMAT_PCM_16, SF_FORMAT_PCM_24, SF_FORMAT_PCM_32, SF_FORMAT_FLOAT}) {
    for (const int channels : {1, 2}) {
      const std::vector<float> x = NoiseFrames(5000, channels);  // more than a block
      WriteWav(folder / "plain.wav", subtype, channels, x);
      WriteWav(folder / "titled.wav", subtype, channels, x, "A song");
      EXPECT_TRUE(IsPlain(folder / "plain.wav"));
      EXPECT_FALSE(IsPlain(folder / "titled.wav"));
      const auto plain = AudioReader::Open(folder / "plain.wav"), titled = AudioReader::Open(folder / "titled.wav");
      ASSERT_TRUE(plain && titled);
      EXPECT_EQ((*plain)->info().format, (*titled)->info().format);
      EXPECT_EQ((*plain)->info().sample_rate, kRate);
      EXPECT_EQ((*plain)->info().speakers, (*titled)->info().speakers);
      EXPECT_EQ((*plain)->info().expected_frames, (*titled)->info().expected_frames);
      EXPECT_TRUE((*plain)->info().tags.empty());
      EXPECT_FALSE((*titled)->info().tags.empty());
      const auto ours = ReadAudioFile(folder / "plain.wav", 1 << 20),
                 theirs = ReadAudioFile(folder / "titled.wav", 1 << 20);
      ASSERT_TRUE(ours && theirs);
      EXPECT_TRUE(ours->samples == theirs->samples) << (*plain)->info().format << ", " << channels;
      EXPECT_TRUE((*plain)->warning().empty());
    }
  }
}

TEST(PcmFile, WhatIsNotQuitePlainIsLeftToFfmpeg) {
  TestFolder folder;
  const std::string path = folder / "x.wav";
  WriteWav(path, SF_FORMAT_PCM_16, 2, NoiseFrames(kFrames, 2));
  const std::string plain = ReadBytes(path);
  const auto with = [&](size_t at, const std::string& bytes) {
    std::string changed = plain;
    return changed.replace(at, bytes.size(), bytes);
  };
  const auto chunk = [&](const std::string& bytes) {  // before the samples; the file's length goes with it
    std::string changed = plain;
    changed.insert(36, bytes);
    const auto size = static_cast<uint32_t>(changed.size() - 8);
    for (size_t i = 0; i < 4; ++i) changed[4 + i] = static_cast<char>(size >> (8 * i));
    return changed;
  };
  using namespace std::string_literals;
  const std::vector<std::pair<std::string, std::string>> left = {
      {"ends early", plain.substr(0, plain.size() - 100)},
      {"something behind it", plain + "more"},
      {"length of 0", with(40, "\0\0\0\0"s)},
      {"length of a pipe", with(40, "\xff\xff\xff\xff"s)},
      {"larger places", with(32, "\x06\0"s)},
      {"another number of bytes a second", with(28, "\x01"s)},
      {"no channels", with(22, "\0\0"s)},
      {"a compressed kind", with(20, "\x11\0"s)},
      {"12 bits", with(34, "\x0c\0"s)},
      {"a title", chunk("LIST\x12\0\0\0INFOINAM\x05\0\0\0Song\0\0"s)},
      {"a title behind the program's name", chunk("LIST\x20\0\0\0INFOISFT\x04\0\0\0LavfINAM\x08\0\0\0My song\0"s)},
      {"an unknown chunk", chunk("id3 \x04\0\0\0ID3\x04"s)},
      {"a chunk longer than the file", chunk("LIST\xf0\xff\xff\x7fINFOISFT"s)}};
  for (const auto& [what, bytes] : left) {
    WriteBytes(path, bytes);
    EXPECT_FALSE(IsPlain(path)) << what;
  }
  WriteBytes(path, chunk("LIST\x12\0\0\0INFOISFT\x05\0\0\0Lavf\0\0"s));
  EXPECT_TRUE(IsPlain(path)) << "the program that wrote it";
  for (const int subtype : {SF_FORMAT_PCM_U8, SF_FORMAT_DOUBLE, SF_FORMAT_ULAW}) {
    WriteWav(path, subtype, 1, NoiseFrames(kFrames, 1));
    EXPECT_FALSE(IsPlain(path)) << subtype;
  }
  WriteWav(path, SF_FORMAT_PCM_16, 6, NoiseFrames(kFrames, 6));
  EXPECT_FALSE(IsPlain(path)) << "six channels";
}

// The streams that are found in 16-bit WAV files: a tone that they code is heard, not themselves.
TEST(PcmFile, ACompressedStreamThatPosesAsSamplesIsDecoded) {
  if (!HaveFfmpeg()) GTEST_SKIP() << "SKIPPED: there is no ffmpeg program to make the files with";
  TestFolder folder;
  const std::string tone = " -f lavfi -i sine=440:duration=3 -ac 2 -ar 48000 ";
  for (const std::string& coded : {tone + "-c:a ac3 -f spdif", tone + "-c:a ac3 -b:a 96k -f spdif",
                                   tone + "-c:a ac3 -f ac3", tone + "-strict -2 -c:a dca -f dts", tone + "-f mp3"}) {
    ASSERT_TRUE(RunFfmpeg(coded + " " + folder / "coded")) << coded;
    std::string bytes = ReadBytes(folder / "coded");
    SF_INFO info = {};
    info.samplerate = 48000;
    info.channels = 2;
    info.format = SF_FORMAT_WAV | SF_FORMAT_PCM_16;
    SNDFILE* file = sf_open((folder / "x.wav").c_str(), SFM_WRITE, &info);
    ASSERT_NE(file, nullptr);
    sf_write_raw(file, bytes.data(), static_cast<sf_count_t>(bytes.size() / 4 * 4));
    sf_close(file);
    EXPECT_FALSE(IsPlain(folder / "x.wav")) << coded;
    const auto audio = ReadAudioFile(folder / "x.wav", 1 << 20);
    ASSERT_TRUE(audio) << coded << ": " << audio.error().message;
    for (const float v : audio->samples) ASSERT_LT(std::abs(v), 0.2f) << coded;  // the tone's peak is 1/8
  }
}

std::vector<double> Values() {
  std::vector<double> values;
  for (const float v : NoiseFrames(kFrames, 2)) values.push_back(v);
  return values;
}

TEST(PcmFile, ValidBitsInLargerPlaces) {
  TestFolder folder;
  const std::vector<double> values = Values();
  struct Kind {
    int bits, valid, tag;
  };
  for (const Kind kind : {Kind{8, 8, 1},
                          {16, 8, 1},
                          {16, 12, 1},
                          {16, 16, 1},
                          {24, 16, 1},
                          {24, 20, 1},
                          {24, 24, 1},
                          {32, 16, 1},
                          {32, 18, 1},
                          {32, 20, 1},
                          {32, 24, 1},
                          {32, 32, 1},
                          {32, 32, 3},
                          {32, 24, 3},
                          {64, 64, 3}}) {
    const std::string what = std::to_string(kind.valid) + " in " + std::to_string(kind.bits);
    WriteBytes(folder / "x.wav", Extensible(kind.bits, kind.valid, kind.tag, values));
    ExpectTheSame(folder / "x.wav", what);
    const auto audio = ReadAudioFile(folder / "x.wav", 1 << 20);
    ASSERT_TRUE(audio && audio->frames() == kFrames) << what;
    const double step = kind.tag == 3 ? 1e-7 : std::ldexp(1, 1 - kind.valid);
    for (size_t i = 0; i < values.size(); ++i) ASSERT_NEAR(audio->samples[i], values[i], step) << what << " at " << i;
  }
}

TEST(PcmFile, TellsWhatIsMissingAndRewinds) {
  TestFolder folder;
  WriteBytes(folder / "x.wav", Extensible(32, 24, 1, Values(), 8 * 44100));
  auto reader = AudioReader::Open(folder / "x.wav");
  ASSERT_TRUE(reader) << reader.error().message;
  EXPECT_EQ((*reader)->info().format, "32-bit PCM in WAV");
  EXPECT_EQ((*reader)->info().speakers, (std::vector<Speaker>{Speaker::kFrontLeft, Speaker::kFrontRight}));
  for (int pass = 0; pass < 2; ++pass) {
    std::vector<float> samples(2 * (kFrames + 1));
    const auto count = (*reader)->Read(samples.data(), kFrames + 1);
    ASSERT_TRUE(count);
    EXPECT_EQ(*count, kFrames);
    EXPECT_NE((*reader)->warning().find("ends early, at 0.03 s of 1.03 s"), std::string::npos) << (*reader)->warning();
    ASSERT_TRUE((*reader)->Rewind());
  }
}

}  // namespace
}  // namespace timbre
