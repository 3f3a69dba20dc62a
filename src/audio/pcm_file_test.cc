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
