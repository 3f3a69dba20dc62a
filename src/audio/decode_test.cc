#include "audio/decode.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <climits>
#include <cstdarg>
#include <cstring>
#include <limits>
#include <thread>

#include "audio/allowed.h"
#include "audio/encode.h"
#include "audio/ffmpeg.h"
#include "audio/ffmpeg_process.h"
#include "audio/test_files.h"
#include "tests/support/golden.h"
#include "tests/support/places.h"

namespace timbre {
namespace {

constexpr int64_t kMost = 1 << 24;

// A WAV file of the given format tag (1 integers, 3 floats).
std::string Wav(int tag, int bits, int channels, int rate, const std::string& data) {
  std::string bytes;
  const auto put = [&](uint32_t value, int size) {
    for (int i = 0; i < size; ++i) bytes.push_back(static_cast<char>(value >> (8 * i)));
  };
  bytes += "RIFF";
  put(36 + static_cast<uint32_t>(data.size()), 4);
  bytes += "WAVEfmt ";
  put(16, 4), put(tag, 2), put(channels, 2), put(rate, 4), put(rate * channels * bits / 8, 4),
      put(channels * bits / 8, 2);
  put(bits, 2);
  bytes += "data";
  put(static_cast<uint32_t>(data.size()), 4);
  return bytes + data;
}

std::string Bytes(const std::vector<float>& x) {
  return {reinterpret_cast<const char*>(x.data()), x.size() * sizeof(float)};
}

std::span<const std::byte> AsBytes(const std::string& s) { return std::as_bytes(std::span(s.data(), s.size())); }

TEST(Decode, ReadsInAnyStepAndAgainAfterRewind) {
  TestFolder folder;
  const std::vector<float> x = NoiseFrames(10007, 2);
  WriteBytes(folder / "x.wav", Wav(3, 32, 2, 44100, Bytes(x)));
  auto reader = AudioReader::Open(folder / "x.wav");
  ASSERT_TRUE(reader) << reader.error().message;
  EXPECT_EQ((*reader)->info().sample_rate, 44100);
  EXPECT_EQ((*reader)->info().expected_frames, 10007);
  EXPECT_EQ((*reader)->info().speakers, (std::vector<Speaker>{Speaker::kFrontLeft, Speaker::kFrontRight}));
  for (int64_t step : {1, 7, 1000, 10007, 20000}) {
    std::vector<float> y;
    std::vector<float> block(step * 2);
    for (;;) {
      auto count = (*reader)->Read(block.data(), step);
      ASSERT_TRUE(count);
      if (*count == 0) break;
      y.insert(y.end(), block.begin(), block.begin() + *count * 2);
      EXPECT_EQ((*reader)->position() * 2, static_cast<int64_t>(y.size()));
      if (*count < step) {
        EXPECT_EQ((*reader)->position(), 10007);
      }
    }
    EXPECT_EQ(y, x) << step;
    EXPECT_EQ((*reader)->warning(), "");
    ASSERT_TRUE((*reader)->Rewind());
    EXPECT_EQ((*reader)->position(), 0);
  }
}

TEST(Decode, EverySampleFormatOfWav) {
  const std::string u8{'\x00', '\x80', '\xff'};
  auto reader = AudioReader::OpenMemory(AsBytes(Wav(1, 8, 1, 8000, u8)), "x.wav");
  ASSERT_FALSE(reader && (*reader)->info().channels != 1);
  const std::string wav8 = Wav(1, 8, 1, 8000, u8),
                    wav16 = Wav(1, 16, 1, 8000, std::string("\x00\x80\xff\x7f\x01\x00", 6)),
                    wav24 = Wav(1, 24, 1, 8000, std::string("\x00\x00\x80\xff\xff\x7f\x01\x00\x00", 9)),
                    wav32 = Wav(1, 32, 1, 8000, std::string("\x00\x00\x00\x80\x00\x00\x00\x40", 8));
  const auto read = [](const std::string& bytes) {
    auto r = AudioReader::OpenMemory(AsBytes(bytes), "x.wav");
    EXPECT_TRUE(r) << r.error().message;
    std::vector<float> x(10);
    auto count = (*r)->Read(x.data(), 10);
    EXPECT_TRUE(count);
    x.resize(*count);
    return x;
  };
  EXPECT_EQ(read(wav8), (std::vector<float>{-1, 0, 127.0f / 128}));
  EXPECT_EQ(read(wav16), (std::vector<float>{-1, 32767.0f / 32768, 1.0f / 32768}));
  EXPECT_EQ(read(wav24), (std::vector<float>{-1, 8388607.0f / 8388608, 1.0f / 8388608}));
  EXPECT_EQ(read(wav32), (std::vector<float>{-1, 0.5f}));
}

TEST(Decode, NotANumberIsOneSentenceWithItsPlace) {
  for (float bad : {std::nanf(""), std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity()}) {
    std::vector<float> x = NoiseFrames(20000, 2);
    x[2 * 12345 + 1] = bad;
    const std::string bytes = Wav(3, 32, 2, 10000, Bytes(x));
    auto reader = AudioReader::OpenMemory(AsBytes(bytes), "song.wav");
    ASSERT_TRUE(reader) << reader.error().message;
    std::vector<float> y(x.size());
    auto count = (*reader)->Read(y.data(), 20000);
    ASSERT_FALSE(count);
    EXPECT_EQ(count.error().code, ErrorCode::kCorrupt);
    EXPECT_EQ(count.error().message,
              "'song.wav' holds a sample that is not a finite number, sample 12345 (1.23 s); repair or re-export it.");
  }
}

TEST(Decode, SamplesBeyondAllSoundAreTheFilesFault) {
  std::vector<float> x = NoiseFrames(20000, 2);
  x[3] = 2147483648.0f;  // integers stored as floats as they were
  std::vector<float> y(x.size());
  std::string bytes = Wav(3, 32, 2, 10000, Bytes(x));
  auto reader = AudioReader::OpenMemory(AsBytes(bytes), "song.wav");
  ASSERT_TRUE(reader && (*reader)->Read(y.data(), 20000));
  EXPECT_EQ(y, x);
  x[2 * 12345 + 1] = -1e30f;
  bytes = Wav(3, 32, 2, 10000, Bytes(x));
  reader = AudioReader::OpenMemory(AsBytes(bytes), "song.wav");
  ASSERT_TRUE(reader) << reader.error().message;
  const auto count = (*reader)->Read(y.data(), 20000);
  ASSERT_FALSE(count);
  EXPECT_EQ(count.error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(count.error().message,
            "'song.wav' holds a sample of -1e+30, sample 12345 (1.23 s), where full scale is 1; repair or re-export "
            "it.");
}

TEST(Decode, FilesThatAreNoAudioAreOneSentence) {
  TestFolder folder;
  WriteBytes(folder / "empty.mp3", "");
  WriteBytes(folder / "text.mp3", std::string(5000, 'a') + "\nplain text\n");
  WriteBytes(folder / "text.txt", "Just some words.\n");
  WriteBytes(folder / "zeros.wav", std::string(100000, '\0'));
  WriteBytes(folder / "header.wav", Wav(1, 16, 2, 44100, ""));
  WriteBytes(folder / "list.m3u8",
             "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n");
  WriteBytes(folder / "list.ffconcat", "ffconcat version 1.0\nfile header.wav\n");
  for (const auto& [name, code, words] : {std::tuple{"missing.mp3", ErrorCode::kNotFound, "does not exist"},
                                          {"", ErrorCode::kInvalidArgument, "is a folder"},
                                          {"empty.mp3", ErrorCode::kCorrupt, "is empty"},
                                          {"text.mp3", ErrorCode::kCorrupt, "text.mp3' "},
                                          {"text.txt", ErrorCode::kCorrupt, "text.txt' "},
                                          {"zeros.wav", ErrorCode::kCorrupt, "zeros.wav' "},
                                          {"header.wav", ErrorCode::kCorrupt, "no samples"},
                                          {"list.m3u8", ErrorCode::kUnsupported, "list.m3u8' "},
                                          {"list.ffconcat", ErrorCode::kUnsupported, "list.ffconcat' "}}) {
    auto reader = AudioReader::Open(folder / name);
    ASSERT_FALSE(reader) << name;
    EXPECT_EQ(reader.error().code, code) << name << ": " << reader.error().message;
    EXPECT_NE(reader.error().message.find(words), std::string::npos) << reader.error().message;
    EXPECT_EQ(reader.error().message.back(), '.');
    EXPECT_EQ(reader.error().message.find('\n'), std::string::npos);
  }
  auto reader = AudioReader::Open("/dev/null");
  ASSERT_FALSE(reader);
  EXPECT_NE(reader.error().message.find("no regular file"), std::string::npos);
}

TEST(Decode, ATruncatedFileGivesWhatIsThereAndSaysSo) {
  TestFolder folder;
  const std::vector<float> x = NoiseFrames(200000, 2);
  for (FileFormat format : {FileFormat::kWav, FileFormat::kFlac, FileFormat::kMp3}) {
    const std::string path = folder / std::string("x.").append(FileExtension(format));
    auto writer = AudioWriter::Create(path, {.format = format}, 44100, 2);
    ASSERT_TRUE(writer);
    ASSERT_TRUE((*writer)->Write(x.data(), 200000));
    ASSERT_TRUE((*writer)->Finish());
    const std::string bytes = ReadBytes(path);
    const std::string half = bytes.substr(0, bytes.size() / 2);
    auto reader = AudioReader::OpenMemory(AsBytes(half), "song");
    ASSERT_TRUE(reader) << reader.error().message;
    std::vector<float> y(x.size());
    auto count = (*reader)->Read(y.data(), 200000);
    ASSERT_TRUE(count) << count.error().message;
    EXPECT_GT(*count, 90000) << FileExtension(format);
    EXPECT_LT(*count, 110000) << FileExtension(format);
    EXPECT_EQ((*reader)->warning().find("'song' ends early, at 2."), 0u)
        << FileExtension(format) << (*reader)->warning();
  }
}

// What writes to a pipe cannot go back to tell the length, and leaves something else in its place.
TEST(Decode, AHeaderWithoutALengthIsNoDamage) {
  const std::vector<float> x = NoiseFrames(30001, 2);
  const std::string wav = Wav(3, 32, 2, 44100, Bytes(x));
  const size_t length = wav.find("data") + 4;
  for (const uint32_t said : {0u, 0xFFFFFFFFu, 0x7FFFFFFFu, 0x7FFFF000u, 0x80000000u, 0xFFFFFF00u}) {
    std::string bytes = wav;
    for (int i = 0; i < 4; ++i) bytes[length + i] = static_cast<char>(said >> 8 * i);
    auto reader = AudioReader::OpenMemory(AsBytes(bytes), "song");
    ASSERT_TRUE(reader) << reader.error().message;
    std::vector<float> y(2 * 40000);
    auto count = (*reader)->Read(y.data(), 40000);
    ASSERT_TRUE(count) << count.error().message;
    EXPECT_EQ(*count, 30001) << said;
    EXPECT_EQ((*reader)->warning(), "") << said;
  }
  // One that tells it and ends a little before is.
  auto reader = AudioReader::OpenMemory(AsBytes(wav.substr(0, wav.size() - 800)), "song");
  ASSERT_TRUE(reader);
  std::vector<float> y(2 * 40000);
  EXPECT_EQ((*reader)->Read(y.data(), 40000).value(), 30001 - 100);
  EXPECT_NE((*reader)->warning(), "");
}

// Two gigabytes and more are a length as any other, unless they are what stands for none.
TEST(Decode, ALargeFileThatEndsEarlyIsNotTakenForOneWithoutALength) {
  std::string bytes = Wav(3, 32, 2, 44100, Bytes(NoiseFrames(30001, 2)));
  const size_t length = bytes.find("data") + 4;
  for (const uint32_t said : {0x80123458u, 0xC0000000u, 0xFFF00000u}) {
    for (int i = 0; i < 4; ++i) bytes[length + i] = static_cast<char>(said >> 8 * i);
    auto reader = AudioReader::OpenMemory(AsBytes(bytes), "song");
    ASSERT_TRUE(reader) << reader.error().message;
    std::vector<float> y(2 * 40000);
    EXPECT_EQ((*reader)->Read(y.data(), 40000).value(), 30001);
    EXPECT_NE((*reader)->warning(), "") << said;
  }
}

// FFmpeg's own programs begin these so when they cannot go back.
TEST(Decode, AnRf64WhoseLengthsWereNeverFilledInIsReadToItsEnd) {
  const std::vector<float> x = NoiseFrames(30001, 2);
  const std::string wav = Wav(3, 32, 2, 44100, Bytes(x));
  for (const char* kind : {"RF64", "BW64"}) {
    for (const char unfilled : {'\0', '\xFF'}) {
      std::string bytes = kind + std::string("\xFF\xFF\xFF\xFFWAVEds64\x1C\0\0\0", 16) + std::string(24, unfilled) +
                          std::string(4, '\0') + wav.substr(12);
      bytes.replace(bytes.find("data") + 4, 4, 4, '\xFF');
      auto reader = AudioReader::OpenMemory(AsBytes(bytes), "song");
      ASSERT_TRUE(reader) << reader.error().message;
      for (int pass = 0; pass < 2; ++pass) {
        std::vector<float> y(2 * 40000);
        const auto count = (*reader)->Read(y.data(), 40000);
        ASSERT_TRUE(count) << count.error().message;
        ASSERT_EQ(*count, 30001);
        y.resize(x.size());
        EXPECT_EQ(y, x);
        EXPECT_EQ((*reader)->warning(), "");
        ASSERT_TRUE((*reader)->Rewind());
      }
    }
  }
}

TEST(Decode, AnAviOutOfAPipeEndsWhereItEnds) {
  if (!HaveFfmpeg()) GTEST_SKIP() << "SKIPPED: there is no ffmpeg program to make the files with";
  TestFolder folder;
  for (const char* codec : {"libmp3lame", "pcm_s16le"}) {
    ASSERT_TRUE(RunFfmpeg("-f lavfi -i sine=duration=1 -c:a " + std::string(codec) + " -f avi - | cat > " +
                          (folder / "x.avi")));
    auto reader = AudioReader::Open(folder / "x.avi");
    ASSERT_TRUE(reader) << reader.error().message;
    EXPECT_LT((*reader)->info().expected_frames, 2 * 44100);
    std::vector<float> y(2 * 44100);
    const auto count = (*reader)->Read(y.data(), 2 * 44100);
    ASSERT_TRUE(count) << count.error().message;
    EXPECT_NEAR(static_cast<double>(*count), 44100, 3 * 1152);
    EXPECT_EQ((*reader)->warning(), "") << codec;
  }
}

TEST(Decode, ADamagedFileIsReadOn) {
  TestFolder folder;
  auto writer = AudioWriter::Create(folder / "x.mp3", {.format = FileFormat::kMp3}, 44100, 2);
  ASSERT_TRUE(writer);
  const std::vector<float> x = NoiseFrames(300000, 2);
  ASSERT_TRUE((*writer)->Write(x.data(), 300000));
  ASSERT_TRUE((*writer)->Finish());
  std::string bytes = ReadBytes(folder / "x.mp3");
  for (size_t i = bytes.size() / 2; i < bytes.size() / 2 + 5000; ++i) bytes[i] = static_cast<char>(i * 37);
  auto reader = AudioReader::OpenMemory(AsBytes(bytes), "song");
  ASSERT_TRUE(reader);
  std::vector<float> y(2 * 400000);
  auto count = (*reader)->Read(y.data(), 400000);
  ASSERT_TRUE(count) << count.error().message;
  EXPECT_GT(*count, 280000);
  EXPECT_NE((*reader)->warning(), "");
}

TEST(Decode, ALimitOnLengthIsKept) {
  TestFolder folder;
  WriteBytes(folder / "x.wav", Wav(3, 32, 1, 44100, Bytes(NoiseFrames(1000, 1))));
  EXPECT_TRUE(ReadAudioFile(folder / "x.wav", 1000));
  EXPECT_FALSE(ReadAudioFile(folder / "x.wav", 999));
}

// What the ffmpeg program encodes comes back to the sample: delay and padding are cut off.
TEST(Decode, ContainersAndCodecsKeepTheLength) {
  if (!HaveFfmpeg()) GTEST_SKIP() << "SKIPPED: there is no ffmpeg program to make the files with";
  TestFolder folder;
  struct Case {
    const char* name;
    const char* options;
    double least_db;
    bool opus = false;
  };
  const Case cases[] = {
      {"x.flac", "", 90},
      {"x.m4a", "-c:a aac -b:a 192k", 20},
      {"alac.m4a", "-c:a alac", 90},
      {"x.mp4", "-f lavfi -i color=s=32x32:r=10 -shortest -c:v mpeg4 -c:a aac -b:a 192k", 20},
      {"x.mkv", "-f lavfi -i color=s=32x32:r=10 -shortest -c:v mpeg4 -c:a flac", 90},
      {"x.mp3", "-b:a 192k", 20},
      {"x.ogg", "-c:a libvorbis -b:a 192k", 20},
      {"x.opus", "-c:a libopus -b:a 192k", 20, true},
      {"x.webm", "-c:a libopus -b:a 192k", 20, true},
      {"x.aiff", "", 90},
      {"x.caf", "-c:a pcm_s24le", 120},
      {"x.wv", "", 90},
      {"x.au", "", 90},
  };
  for (const Case& c : cases) {
    for (int rate : {44100, 48000}) {
      for (int64_t frames : {int64_t{20000}, int64_t{44100 + 777}}) {
        SCOPED_TRACE(::testing::Message() << c.name << " " << rate << " " << frames);
        if (c.opus && rate != 48000) continue;
        const std::vector<float> x = SineFrames(frames, 2, 300, rate);
        WriteBytes(folder / "in.wav", Wav(3, 32, 2, rate, Bytes(x)));
        ASSERT_TRUE(RunFfmpeg("-i " + (folder / "in.wav") + " " + c.options + " " + (folder / c.name)));
        auto back = ReadAudioFile(folder / c.name, kMost);
        ASSERT_TRUE(back) << back.error().message;
        EXPECT_EQ(back->sample_rate, rate);
        EXPECT_EQ(back->channels, 2);
        EXPECT_EQ(back->frames(), frames);
        const size_t edge = x.size() / 10;
        EXPECT_GE(SignalToError({x.begin() + edge, x.end() - edge},
                                {back->samples.begin() + edge, back->samples.begin() + (x.size() - edge)}),
                  c.least_db);
      }
    }
  }
}

// An MP4 box.
std::string Box(const std::string& type, const std::string& content) {
  std::string box;
  const auto size = static_cast<uint32_t>(content.size() + 8);
  for (int i = 3; i >= 0; --i) box.push_back(static_cast<char>(size >> (8 * i)));
  return box + type + content;
}

// iTunes writes the exact length as a comment, since its edit lists don't hold it.
TEST(Decode, TheLengthThatITunesNotesIsKept) {
  if (!HaveFfmpeg()) GTEST_SKIP() << "SKIPPED: there is no ffmpeg program to make the files with";
  TestFolder folder;
  WriteBytes(folder / "in.wav", Wav(3, 32, 2, 44100, Bytes(SineFrames(50000, 2, 300, 44100))));
  ASSERT_TRUE(RunFfmpeg("-i " + (folder / "in.wav") + " -c:a aac " + (folder / "x.m4a")));
  std::string bytes = ReadBytes(folder / "x.m4a");
  const size_t moov = bytes.find("moov");
  ASSERT_NE(moov, std::string::npos);
  const std::string zero(4, '\0');
  // 49600 samples.
  const std::string note = " 00000000 00000400 000003A4 000000000000C1C0 00000000 00000000";
  const std::string item = Box("----", Box("mean", zero + "com.apple.iTunes") + Box("name", zero + "iTunSMPB") +
                                           Box("data", std::string("\0\0\0\1\0\0\0\0", 8) + note));
  const std::string handler = Box("hdlr", zero + zero + "mdirappl" + zero + zero + std::string(1, '\0'));
  const std::string extra = Box("udta", Box("meta", zero + handler + Box("ilst", item)));
  // The box is the file's last: it can grow.
  uint32_t size = 0;
  for (size_t i = moov - 4; i < moov; ++i) size = size << 8 | static_cast<uint8_t>(bytes[i]);
  ASSERT_EQ(moov - 4 + size, bytes.size());
  size += static_cast<uint32_t>(extra.size());
  for (size_t i = 0; i < 4; ++i) bytes[moov - 1 - i] = static_cast<char>(size >> (8 * i));
  bytes += extra;
  WriteBytes(folder / "itunes.m4a", bytes);
  auto plain = ReadAudioFile(folder / "x.m4a", kMost);
  auto noted = ReadAudioFile(folder / "itunes.m4a", kMost);
  ASSERT_TRUE(plain && noted);
  EXPECT_EQ(plain->frames(), 50000);
  EXPECT_EQ(noted->frames(), 49600);
}

TEST(Decode, SurroundLayoutsAreNamed) {
  if (!HaveFfmpeg()) GTEST_SKIP() << "SKIPPED: there is no ffmpeg program to make the files with";
  TestFolder folder;
  using enum Speaker;
  const std::pair<const char*, std::vector<Speaker>> layouts[] = {
      {"mono", {kFrontCenter}},
      {"quad", {kFrontLeft, kFrontRight, kBackLeft, kBackRight}},
      {"5.1", {kFrontLeft, kFrontRight, kFrontCenter, kLowFrequency, kBackLeft, kBackRight}},
      {"5.1(side)", {kFrontLeft, kFrontRight, kFrontCenter, kLowFrequency, kSideLeft, kSideRight}},
      {"7.1", {kFrontLeft, kFrontRight, kFrontCenter, kLowFrequency, kBackLeft, kBackRight, kSideLeft, kSideRight}},
  };
  for (const auto& [name, speakers] : layouts) {
    ASSERT_TRUE(RunFfmpeg(std::string("-f lavfi -i anullsrc=r=44100:cl='") + name + "' -t 0.1 " + (folder / "x.wav")));
    auto reader = AudioReader::Open(folder / "x.wav");
    ASSERT_TRUE(reader);
    EXPECT_EQ((*reader)->info().speakers, speakers) << name;
  }
}

TEST(Decode, AVideoWithoutSoundHoldsNoAudio) {
  if (!HaveFfmpeg()) GTEST_SKIP() << "SKIPPED: there is no ffmpeg program to make the files with";
  TestFolder folder;
  ASSERT_TRUE(RunFfmpeg("-f lavfi -i color=s=32x32:r=10 -t 1 -c:v mpeg4 " + (folder / "x.mp4")));
  auto reader = AudioReader::Open(folder / "x.mp4");
  ASSERT_FALSE(reader);
  EXPECT_NE(reader.error().message.find("holds no audio"), std::string::npos) << reader.error().message;
}

// How much of the energy of channel `c` in [from, to) seconds lies at `hz`.
double ShareAt(const AudioBuffer& audio, int c, double from, double to, double hz) {
  const auto first = static_cast<int64_t>(from * audio.sample_rate),
             last = static_cast<int64_t>(to * audio.sample_rate);
  double energy = 0, re = 0, im = 0;
  for (int64_t i = first; i < last; ++i) {
    const double x = audio.samples[i * audio.channels + c];
    const double phase = 2 * std::numbers::pi * hz * static_cast<double>(i) / audio.sample_rate;
    energy += x * x;
    re += x * std::cos(phase);
    im += x * std::sin(phase);
  }
  return energy > 0 ? 2 * (re * re + im * im) / static_cast<double>(last - first) / energy : 0;
}

// Rate and channels may change where streams were spliced: all of it comes out, in the first format, and is told.
TEST(Decode, AStreamThatChangesItsFormatIsReadToItsEnd) {
  if (!HaveFfmpeg()) GTEST_SKIP() << "SKIPPED: there is no ffmpeg program to make the files with";
  TestFolder folder;
  struct Case {
    const char *extension, *encoder;
    int rates[2], channels[2];
  };
  for (const Case& c :
       {Case{"mp3", "-write_xing 0 -id3v2_version 0 -c:a libmp3lame", {44100, 44100}, {1, 2}},
        Case{"mp3", "-write_xing 0 -id3v2_version 0 -c:a libmp3lame", {44100, 44100}, {2, 1}},
        Case{"mp3", "-c:a libmp3lame", {44100, 48000}, {2, 2}}, Case{"mp2", "-c:a mp2", {48000, 32000}, {2, 1}},
        Case{"aac", "-c:a aac", {44100, 44100}, {1, 2}}, Case{"aac", "-c:a aac", {48000, 44100}, {2, 2}},
        Case{"ac3", "-c:a ac3", {48000, 48000}, {2, 6}}, Case{"ac3", "-c:a ac3", {48000, 48000}, {6, 2}},
        Case{"ts", "-c:a mp2 -f mpegts", {48000, 48000}, {1, 2}}, Case{"flac", "-c:a flac", {44100, 44100}, {1, 2}},
        Case{"ogg", "-c:a libvorbis", {44100, 44100}, {1, 2}}, Case{"ogg", "-c:a libvorbis", {44100, 22050}, {2, 2}},
        Case{"opus", "-c:a libopus", {48000, 48000}, {1, 2}}}) {
    const std::string what = std::string(c.extension) + " " + std::to_string(c.channels[0]) + " to " +
                             std::to_string(c.channels[1]) + " at " + std::to_string(c.rates[1]);
    std::string sources, outputs, bytes;
    for (int part = 0; part < 2; ++part) {
      const std::string rate = std::to_string(c.rates[part]);
      sources += std::string("-f lavfi -i sine=duration=2:frequency=") + (part == 0 ? "440" : "1250") +
                 ":sample_rate=" + rate + " ";
      outputs += "-map " + std::to_string(part) + " -ac " + std::to_string(c.channels[part]) + " -ar " + rate + " " +
                 c.encoder + " " + (folder / (std::to_string(part) + "." + c.extension)) + " ";
    }
    ASSERT_TRUE(RunFfmpeg(sources + outputs)) << what;
    for (const char* part : {"0.", "1."}) bytes += ReadBytes(folder / (std::string(part) + c.extension));
    const std::string path = folder / (std::string("x.") + c.extension);
    WriteBytes(path, bytes);
    auto reader = AudioReader::Open(path);
    ASSERT_TRUE(reader) << what << ": " << reader.error().message;
    const AudioInfo& info = (*reader)->info();
    AudioBuffer audio{.sample_rate = info.sample_rate, .channels = info.channels};
    std::vector<float> block(1000 * static_cast<size_t>(info.channels));
    for (;;) {
      auto count = (*reader)->Read(block.data(), 1000);
      ASSERT_TRUE(count) << what << ": " << count.error().message;
      if (*count == 0) break;
      audio.samples.insert(audio.samples.end(), block.begin(), block.begin() + *count * info.channels);
    }
    EXPECT_EQ(audio.sample_rate, c.rates[0]) << what;
    // Opus decodes to the channels of its first header, whatever comes.
    EXPECT_EQ(audio.channels, c.channels[0]) << what;
    EXPECT_NEAR(static_cast<double>(audio.frames()) / audio.sample_rate, 4.0, 0.15) << what;
    ASSERT_GT(audio.frames(), 39 * audio.sample_rate / 10) << what;
    // The sine is in all channels of up to two; of six, mono was put into the center.
    const int channel = audio.channels == 6 ? -1 : audio.channels - 1;
    if (channel >= 0) {
      EXPECT_GT(ShareAt(audio, channel, 0.5, 1.5, 440), 0.95) << what;
      EXPECT_GT(ShareAt(audio, channel, 2.5, 3.5, 1250), 0.95) << what;
    } else {
      EXPECT_GT(ShareAt(audio, 0, 2.5, 3.5, 1250), 0.95) << what;
    }
    if (std::string(c.extension) != "opus") {
      EXPECT_NE((*reader)->warning().find("changes from " + std::to_string(c.channels[0]) + " channel"),
                std::string::npos)
          << what << ": " << (*reader)->warning();
    }
  }
}

// The same from an encoder that notes in the first frame how many there are of the first kind.
TEST(Decode, MonoThenStereoIsReadToItsEnd) {
  const std::string path = testing::SharedPath("cases/mono-then-stereo.mp3");
  TIMBRE_NEED_SHARED(path);
  auto reader = AudioReader::Open(path);
  ASSERT_TRUE(reader) << reader.error().message;
  EXPECT_EQ((*reader)->info().channels, 1);
  std::vector<float> block(200000);
  auto count = (*reader)->Read(block.data(), 200000);
  ASSERT_TRUE(count) << count.error().message;
  EXPECT_EQ(*count, 156 * 1152);
  EXPECT_NE((*reader)->warning().find("from 1 channel at 44100 Hz to 2 channels at 44100 Hz at 2.0"), std::string::npos)
      << (*reader)->warning();
}

// A header that damage made into one of another format is no change.
TEST(Decode, OneDamagedHeaderChangesNoFormat) {
  if (!HaveFfmpeg()) GTEST_SKIP() << "SKIPPED: there is no ffmpeg program to make the files with";
  TestFolder folder;
  ASSERT_TRUE(RunFfmpeg("-f lavfi -i sine=frequency=440:duration=3 -ac 2 -c:a mp2 -b:a 128k " + (folder / "x.mp2")));
  std::string bytes = ReadBytes(folder / "x.mp2");
  const size_t frame = 417;  // 144 * 128000 / 44100, without padding
  size_t at = 40 * frame;
  while (!(bytes[at] == '\xff' && bytes[at + 1] == '\xfd')) ++at;
  bytes[at + 3] = static_cast<char>(bytes[at + 3] | '\xc0');  // stereo becomes mono
  WriteBytes(folder / "y.mp2", bytes);
  auto reader = AudioReader::Open(folder / "y.mp2");
  ASSERT_TRUE(reader);
  EXPECT_EQ((*reader)->info().channels, 2);
  std::vector<float> block(200000 * 2);
  auto count = (*reader)->Read(block.data(), 200000);
  ASSERT_TRUE(count);
  EXPECT_GT(*count, 3 * 44100 - 2 * 1152);
  EXPECT_EQ((*reader)->warning().find("changes"), std::string::npos) << (*reader)->warning();
  EXPECT_NE((*reader)->warning().find("damaged"), std::string::npos) << (*reader)->warning();
}

TEST(Decode, OtherStreamsAndGapsAreTold) {
  if (!HaveFfmpeg()) GTEST_SKIP() << "SKIPPED: there is no ffmpeg program to make the files with";
  TestFolder folder;
  const auto warning = [&](const char* name) {
    auto reader = AudioReader::Open(folder / name);
    EXPECT_TRUE(reader);
    std::vector<float> block(400000);
    while ((*reader)->Read(block.data(), 100000).value() > 0) {
    }
    return (*reader)->warning();
  };
  ASSERT_TRUE(RunFfmpeg("-f lavfi -i sine=d=1 -f lavfi -i sine=d=1 -map 0 -map 1 -c:a flac " + (folder / "two.mka")));
  EXPECT_NE(warning("two.mka").find("holds 2 streams of audio"), std::string::npos) << warning("two.mka");
  ASSERT_TRUE(
      RunFfmpeg("-f lavfi -i sine=d=4 -af \"aselect='not(between(t,1,2))'\" -c:a flac " + (folder / "gap.mka")));
  EXPECT_NE(warning("gap.mka").find("by its time stamps"), std::string::npos) << warning("gap.mka");
  ASSERT_TRUE(RunFfmpeg("-f lavfi -i sine=d=4 -c:a flac " + (folder / "whole.mka")));
  EXPECT_EQ(warning("whole.mka"), "");
}

// A host's: the words that FFmpeg has for it still reach it, at its level, and it may allocate what it likes.
TEST(Decode, FfmpegsSettingsOfTheProcessStayAsTheyAre) {
  static std::atomic<int> heard{0};
  ASSERT_TRUE(LoadFfmpeg());  // where it is set up for this program; from here on it is the host's
  const int level = av_log_get_level();
  av_log_set_callback([](void*, int, const char*, va_list) { ++heard; });
  av_log_set_level(AV_LOG_VERBOSE);
  av_max_alloc(INT_MAX);
  TestFolder folder;
  const std::vector<float> x = NoiseFrames(50000, 2);
  auto writer = AudioWriter::Create(folder / "x.mp3", {.format = FileFormat::kMp3}, 44100, 2);
  ASSERT_TRUE(writer && (*writer)->Write(x.data(), 50000) && (*writer)->Finish());
  ASSERT_TRUE(ReadAudioFile(folder / "x.mp3", kMost));
  const int before = heard;
  av_log(nullptr, AV_LOG_ERROR, "x");
  EXPECT_EQ(heard, before + 1);
  EXPECT_EQ(av_log_get_level(), AV_LOG_VERBOSE);
  void* large = av_malloc((size_t{1} << 28) + 1);
  EXPECT_NE(large, nullptr);
  av_free(large);
  av_log_set_level(level);
  SetUpFfmpegForProgram();
}

// Scripts and descriptions of sessions behind another file's ending: the first look at them is the last.
TEST(Decode, WhatNamesOtherFilesOrAddressesIsRefusedUnopened) {
  TestFolder folder;
  WriteBytes(folder / "other.wav", Wav(3, 32, 2, 44100, Bytes(NoiseFrames(1000, 2))));
  WriteBytes(folder / "concat.mp3", "ffconcat version 1.0\nfile other.wav\nfile '" + (folder / "other.wav") + "'\n");
  WriteBytes(folder / "list.mp3",
             "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n" + (folder / "other.wav") + "\n#EXT-X-ENDLIST\n");
  WriteBytes(folder / "session.mp3",
             "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 18777 RTP/AVP 0\n");
  WriteBytes(folder / "dash.mp3",
             "<?xml version=\"1.0\"?>\n<MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" type=\"static\" "
             "profiles=\"urn:mpeg:dash:profile:isoff-on-demand:2011\"><Period><BaseURL>other.wav</BaseURL>"
             "</Period></MPD>\n");
  WriteBytes(folder / "stream.mp3", "http://127.0.0.1:9/x\n");
  const int watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  ASSERT_GE(watch, 0);
  ASSERT_GE(inotify_add_watch(watch, (folder / "other.wav").c_str(), IN_OPEN), 0);
  const auto sockets = [] {
    std::ifstream table("/proc/net/udp");
    return std::count(std::istreambuf_iterator<char>(table), {}, '\n');
  };
  const auto before = sockets();
  for (const auto& [name, kind] : {std::pair{"concat.mp3", "'concat'"},
                                   {"list.mp3", "'hls'"},
                                   {"session.mp3", "'sdp'"},
                                   {"dash.mp3", "dash.mp3"},
                                   {"stream.mp3", "stream.mp3"}}) {
    int asked = 0;
    const auto count = [&, file = name] {
      ++asked;
      EXPECT_EQ(sockets(), before) << file;
      return false;
    };
    auto reader = AudioReader::Open(folder / name, {.cancelled = count});
    ASSERT_FALSE(reader) << name;
    EXPECT_GT(asked, 0) << name;
    EXPECT_NE(reader.error().message.find(kind), std::string::npos) << reader.error().message;
  }
  char event[512];
  EXPECT_EQ(read(watch, event, sizeof(event)), -1) << "another file was opened";
  close(watch);
  // Nor does any demuxer that opens its input by itself, or one for scripts, stand on the list.
  void* place = nullptr;
  int allowed = 0;
  while (const AVInputFormat* demuxer = av_demuxer_iterate(&place)) {
    if (!IsAllowedContainer(demuxer->name)) continue;
    ++allowed;
    EXPECT_EQ(demuxer->flags & AVFMT_NOFILE, 0) << demuxer->name;
  }
  EXPECT_GT(allowed, 30);
  for (const char* name : {"sdp", "rtp", "rtsp", "hls", "dash", "concat", "image2", "lavfi", "tty", "imf", "asf_o"})
    EXPECT_FALSE(IsAllowedContainer(name)) << name;
}

TEST(Decode, EveryCallCanBeInterrupted) {
  TestFolder folder;
  const std::vector<float> x = NoiseFrames(400000, 2);
  auto writer = AudioWriter::Create(folder / "x.flac", {.format = FileFormat::kFlac}, 44100, 2);
  ASSERT_TRUE(writer && (*writer)->Write(x.data(), 400000) && (*writer)->Finish());
  WriteBytes(folder / "x.wav", Wav(3, 32, 2, 44100, Bytes(x)));
  for (const char* name : {"x.flac", "x.wav"}) {
    // Cancelled at the n-th question, wherever that is, until a whole read needs no more questions.
    bool whole = false;
    for (int n = 0; !whole; n = n < 20 ? n + 1 : 2 * n) {
      ASSERT_LT(n, 1 << 20);
      int asked = 0;
      auto reader = AudioReader::Open(folder / name, {.cancelled = [&] { return asked++ >= n; }});
      Status status;
      if (!reader) {
        status = tl::unexpected<Error>(reader.error());
      } else {
        std::vector<float> y(x.size() + 2);
        auto count = (*reader)->Read(y.data(), 400001);
        if (count) {
          EXPECT_EQ(*count, 400000) << "ended early instead of being cancelled";
          whole = true;
        } else {
          status = tl::unexpected<Error>(count.error());
        }
      }
      if (!status) {
        EXPECT_EQ(status.error().code, ErrorCode::kCancelled) << status.error().message;
      }
    }
  }
}

// What a pipe gives is the same, read twice, as what lies in a file.
TEST(Decode, AFifoIsReadLikeAFile) {
  TestFolder folder;
  const std::vector<float> x = NoiseFrames(100000, 2);
  const std::string bytes = Wav(3, 32, 2, 44100, Bytes(x));
  const std::string fifo = folder / "song.wav";
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  std::thread writer([&] { WriteBytes(fifo, bytes); });
  auto reader = AudioReader::Open(fifo, {.temporary_folder = folder / ""});
  writer.join();
  ASSERT_TRUE(reader) << reader.error().message;
  for (int pass = 0; pass < 2; ++pass) {
    std::vector<float> y(x.size() + 2);
    auto count = (*reader)->Read(y.data(), 100001);
    ASSERT_TRUE(count);
    y.resize(static_cast<size_t>(*count) * 2);
    EXPECT_EQ(y, x);
    ASSERT_TRUE((*reader)->Rewind());
  }
  EXPECT_EQ(folder.Names(), (std::vector<std::string>{"song.wav"}));
}

// The samples of a part are those of the whole, by whatever reads and however often.
TEST(Decode, APartIsThatStretchOfTheWhole) {
  TestFolder folder;
  const std::vector<float> x = NoiseFrames(100000, 2);
  WriteBytes(folder / "x.wav", Wav(3, 32, 2, 44100, Bytes(x)));
  const auto part = [&](double start, double length, int64_t most) -> Result<std::unique_ptr<AudioReader>> {
    TIMBRE_TRY(auto reader, AudioReader::Open(folder / "x.wav", {.part = {.start = start, .length = length}}));
    const int64_t first = std::llround(start * 44100);
    const int64_t frames = std::min(most, 100000 - first);
    EXPECT_EQ(reader->info().expected_frames, frames);
    for (int pass = 0; pass < 2; ++pass) {
      std::vector<float> y;
      std::vector<float> block(2 * 777);
      for (;;) {
        TIMBRE_TRY(const int64_t count, reader->Read(block.data(), 777));
        y.insert(y.end(), block.begin(), block.begin() + 2 * count);
        if (count < 777) break;
      }
      EXPECT_EQ(reader->position(), frames);
      EXPECT_EQ(y, std::vector<float>(x.begin() + 2 * first, x.begin() + 2 * (first + frames)));
      if (pass == 0) TIMBRE_CHECK(reader->Rewind());
    }
    return reader;
  };
  for (const auto& [start, length, most] : {std::tuple(0.0, 0.5, 22050), {1.0, 0.0, 100000}, {0.75, 1.0, 44100}}) {
    const auto whole = part(start, length, most);
    ASSERT_TRUE(whole) << whole.error().message;
    EXPECT_EQ((*whole)->warning(), "");
  }
  const auto shorter = part(2, 10, 441000);
  ASSERT_TRUE(shorter) << shorter.error().message;
  EXPECT_NE((*shorter)->warning().find("ends at 2.27 s, before"), std::string::npos) << (*shorter)->warning();
  for (const double start : {100000 / 44100.0, 3.0}) {
    auto late = AudioReader::Open(folder / "x.wav", {.part = {.start = start, .length = 1}});
    ASSERT_TRUE(late);
    float frame[2];
    const auto none = (*late)->Read(frame, 1);
    ASSERT_FALSE(none);
    EXPECT_EQ(none.error().code, ErrorCode::kInvalidArgument);
    EXPECT_NE(none.error().message.find("ends at 2.27 s"), std::string::npos) << none.error().message;
  }
}

TEST(Decode, AFifoThatNobodyWritesIsWaitedForUntilCancelled) {
  TestFolder folder;
  const std::string fifo = folder / "song.wav";
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  int asked = 0;
  auto reader = AudioReader::Open(fifo, {.cancelled = [&] { return ++asked > 3; }});
  ASSERT_FALSE(reader);
  EXPECT_EQ(reader.error().code, ErrorCode::kCancelled);
  std::thread writer([&] { WriteBytes(fifo, ""); });
  auto empty = AudioReader::Open(fifo);
  writer.join();
  ASSERT_FALSE(empty);
  EXPECT_NE(empty.error().message.find("ended without audio"), std::string::npos) << empty.error().message;
  const int both_ends = open(fifo.c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_EQ(write(both_ends, "x", 1), 1);
  auto nowhere = AudioReader::Open(fifo, {.temporary_folder = folder / "missing"});
  close(both_ends);
  ASSERT_FALSE(nowhere);
  EXPECT_NE(nowhere.error().message.find("cannot be kept in"), std::string::npos) << nowhere.error().message;
}

TEST(Decode, RealFiles) {
  const std::string shared = testing::SourceDir() + "/../shared/audio/";
  if (!std::filesystem::exists(shared)) GTEST_SKIP() << "SKIPPED: " << shared << " is missing";
  for (const auto& [name, rate, channels] : {std::tuple{"music-20s.mp3", 44100, 2},
                                             {"noisy-speech-16k.wav", 16000, 1},
                                             {"noisy-speech-48k.wav", 48000, 1}}) {
    auto reader = AudioReader::Open(shared + name);
    ASSERT_TRUE(reader) << reader.error().message;
    EXPECT_EQ((*reader)->info().sample_rate, rate);
    EXPECT_EQ((*reader)->info().channels, channels);
    auto all = ReadAudioFile(shared + name, kMost);
    ASSERT_TRUE(all);
    EXPECT_NEAR(static_cast<double>(all->frames()), static_cast<double>((*reader)->info().expected_frames), 2304);
    double energy = 0;
    for (const float v : all->samples) energy += v * v;
    EXPECT_GT(energy / static_cast<double>(all->samples.size()), 1e-6);
  }
}

}  // namespace
}  // namespace timbre
