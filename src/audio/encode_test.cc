#include "audio/encode.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <limits>

#include "audio/decode.h"
#include "audio/test_files.h"

namespace timbre {
namespace {

Result<WriteReport> WriteFile(const std::string& path, const WriteOptions& options, const std::vector<float>& samples,
                              int rate, int channels) {
  TIMBRE_TRY(auto writer, AudioWriter::Create(path, options, rate, channels));
  const int64_t frames = static_cast<int64_t>(samples.size()) / channels;
  int64_t piece = 1;
  for (int64_t at = 0; at < frames; at += piece, piece = piece * 5 % 9973 + 1) {
    TIMBRE_CHECK(writer->Write(samples.data() + at * channels, std::min(piece, frames - at)));
  }
  return writer->Finish();
}

constexpr FileFormat kAllFormats[] = {FileFormat::kWav,    FileFormat::kFlac, FileFormat::kMp3, FileFormat::kOpus,
                                      FileFormat::kVorbis, FileFormat::kAac,  FileFormat::kAlac};

// Noise that the sample format holds exactly.
std::vector<float> Exact(SampleFormat format, int64_t frames, int channels) {
  std::vector<float> x = NoiseFrames(frames, channels, 0.99f);
  if (format == SampleFormat::kF32) return x;
  const float scale = format == SampleFormat::kS16 ? 32768.0f : 8388608.0f;
  for (float& v : x) v = std::round(v * scale) / scale;
  x[0] = -1;
  x[channels] = (scale - 1) / scale;
  return x;
}

// The reader of a pipe who takes nothing must not keep a run from being cancelled.
TEST(Encode, AStreamThatNobodyReadsCanBeCancelled) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  int asked = 0;
  auto writer =
      AudioWriter::Stream(ends[1], "stdout", {.clip = ClipMode::kNone}, 44100, 2, [&] { return ++asked > 40; });
  ASSERT_TRUE(writer) << writer.error().message;
  const std::vector<float> x = NoiseFrames(100000, 2);
  const Status status = (*writer)->Write(x.data(), 100000);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kCancelled);
  close(ends[0]);
  close(ends[1]);
  const auto refused = AudioWriter::Stream(1, "stdout", {.format = FileFormat::kMp3}, 44100, 2, {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
}

TEST(Encode, LosslessFormatsGiveEverySampleBack) {
  TestFolder folder;
  for (FileFormat format : {FileFormat::kWav, FileFormat::kFlac, FileFormat::kAlac}) {
    for (SampleFormat sample_format : {SampleFormat::kS16, SampleFormat::kS24, SampleFormat::kF32}) {
      if (format != FileFormat::kWav && sample_format == SampleFormat::kF32) continue;
      for (int channels : {1, 2, 6, 8}) {
        if (format == FileFormat::kAlac && channels > 2) continue;
        for (int rate : {8000, 11025, 44100, 192000}) {
          for (int64_t frames : {2, 3, 1001, 44101}) {
            SCOPED_TRACE(testing::Message() << FileExtension(format) << " " << static_cast<int>(sample_format) << " "
                                            << channels << " " << rate << " " << frames);
            if (frames > 40000 && rate != 44100) continue;
            const std::vector<float> x = Exact(sample_format, frames, channels);
            const std::string path = folder / "x";
            auto report = WriteFile(path, {format, sample_format, ClipMode::kNone}, x, rate, channels);
            ASSERT_TRUE(report) << report.error().message;
            EXPECT_EQ(report->frames, frames);
            EXPECT_EQ(report->sample_rate, rate);
            auto back = ReadAudioFile(path, 1 << 20);
            ASSERT_TRUE(back) << back.error().message;
            EXPECT_EQ(back->sample_rate, rate);
            EXPECT_EQ(back->channels, channels);
            ASSERT_EQ(back->samples, x);
          }
        }
      }
    }
  }
  EXPECT_EQ(folder.Names().size(), 1u);
}

TEST(Encode, LossyFormatsKeepLengthAndPlace) {
  TestFolder folder;
  for (FileFormat format : {FileFormat::kMp3, FileFormat::kOpus, FileFormat::kVorbis, FileFormat::kAac}) {
    for (int channels : {1, 2}) {
      for (int rate : {8000, 11025, 22050, 32000, 44100, 48000, 96000, 192000}) {
        for (int64_t frames : {700, 1151, 20000, 44101}) {
          SCOPED_TRACE(testing::Message() << FileExtension(format) << " " << channels << " " << rate << " " << frames);
          const std::string path = folder / std::string("x.").append(FileExtension(format));
          const std::vector<float> x = SineFrames(frames, channels, 300, rate);
          auto report = WriteFile(path, {.format = format}, x, rate, channels);
          ASSERT_TRUE(report) << report.error().message;
          auto back = ReadAudioFile(path, 1 << 20);
          ASSERT_TRUE(back) << back.error().message;
          const int out_rate = back->sample_rate;
          const int highest = format == FileFormat::kMp3 ? 48000 : format == FileFormat::kAac ? 96000 : 192000;
          EXPECT_EQ(out_rate, format == FileFormat::kOpus ? 48000 : std::min(rate, highest));
          EXPECT_EQ(back->channels, channels);
          const double ideal = static_cast<double>(frames) * out_rate / rate;
          EXPECT_EQ(back->frames(), static_cast<int64_t>(std::floor(ideal + 0.5)));
          EXPECT_EQ(report->frames, back->frames());
          EXPECT_EQ(report->sample_rate, out_rate);
          if (frames >= 20000) {
            const std::vector<float> want = SineFrames(back->frames(), channels, 300, out_rate);
            const size_t edge = want.size() / 10;
            EXPECT_GE(SignalToError({want.begin() + edge, want.end() - edge},
                                    {back->samples.begin() + edge, back->samples.end() - edge}),
                      20);
          }
        }
      }
    }
  }
}

// What can be read can be written: where a format has no such rate, at the nearest that it has.
TEST(Encode, AnyRateThatCanBeReadCanBeWritten) {
  TestFolder folder;
  const auto rate_of = [](FileFormat format, int rate) {
    if (format == FileFormat::kVorbis) return std::min(rate, 200000);
    if (format != FileFormat::kFlac) return rate;
    return rate < 65535 ? rate : std::min((rate + 9) / 10 * 10, 655340);
  };
  for (FileFormat format : {FileFormat::kWav, FileFormat::kFlac, FileFormat::kAlac, FileFormat::kVorbis}) {
    for (int rate : {1000, 3001, 65534, 65535, 65536, 200001, 384000, 655350, 768000}) {
      SCOPED_TRACE(testing::Message() << FileExtension(format) << " " << rate);
      const std::string path = folder / std::string("x.").append(FileExtension(format));
      auto report = WriteFile(path, {.format = format}, SineFrames(20000, 2, 100, rate), rate, 2);
      ASSERT_TRUE(report) << report.error().message;
      EXPECT_EQ(report->sample_rate, rate_of(format, rate));
      EXPECT_EQ(NearestFileRate(format, rate), report->sample_rate);
      auto back = ReadAudioFile(path, 1 << 20);
      ASSERT_TRUE(back) << back.error().message;
      EXPECT_EQ(back->sample_rate, report->sample_rate);
      EXPECT_EQ(back->frames(), report->frames);
    }
  }
}

TEST(Encode, EachFormatIsWhatItsNameSays) {
  TestFolder folder;
  const std::pair<const char*, const char*> formats[] = {
      {"wav", "pcm_s16le in wav"}, {"flac", "flac in flac"}, {"mp3", "mp3"},          {"opus", "opus in ogg"},
      {"ogg", "vorbis in ogg"},    {"m4a", "aac in mov"},    {"alac", "alac in mov"},
  };
  for (const auto& [name, kind] : formats) {
    ASSERT_TRUE(WriteFile(folder / "x", {.format = *ParseFileFormat(name)}, NoiseFrames(5000, 2), 44100, 2));
    const auto reader = AudioReader::Open(folder / "x");
    ASSERT_TRUE(reader) << reader.error().message;
    EXPECT_TRUE((*reader)->info().format.starts_with(kind)) << (*reader)->info().format;
  }
}

TEST(Encode, BitrateIsObeyed) {
  TestFolder folder;
  for (FileFormat format : {FileFormat::kMp3, FileFormat::kOpus, FileFormat::kVorbis, FileFormat::kAac}) {
    const std::vector<float> x = NoiseFrames(10 * 44100, 2);
    double size[2];
    for (int i = 0; i < 2; ++i) {
      ASSERT_TRUE(WriteFile(folder / "x", {.format = format, .bitrate = i == 0 ? 64 : 256}, x, 44100, 2));
      size[i] = static_cast<double>(ReadBytes(folder / "x").size()) * 8 / 10 / 1000;
    }
    EXPECT_NEAR(size[0], 64, 13);
    EXPECT_NEAR(size[1], 256, 50);
    for (int bad : {-1, 5, 513}) {
      auto report = WriteFile(folder / "y", {.format = format, .bitrate = bad}, x, 44100, 2);
      ASSERT_FALSE(report);
      EXPECT_EQ(report.error().code, ErrorCode::kInvalidArgument);
    }
  }
  EXPECT_EQ(folder.Names().size(), 1u);
}

TEST(Encode, EqualInputGivesEqualFiles) {
  TestFolder folder;
  const std::vector<float> x = NoiseFrames(30000, 2);
  for (FileFormat format : kAllFormats) {
    for (const char* name : {"a", "b"}) ASSERT_TRUE(WriteFile(folder / name, {.format = format}, x, 44100, 2));
    EXPECT_EQ(ReadBytes(folder / "a"), ReadBytes(folder / "b")) << FileExtension(format);
  }
  // Two files of the same second may be equal by chance: the chunk that holds the time of day is not there.
  ASSERT_TRUE(WriteFile(folder / "f", {FileFormat::kWav, SampleFormat::kF32, ClipMode::kNone}, x, 44100, 2));
  const auto bytes = ReadBytes(folder / "f");
  EXPECT_EQ(std::string(bytes.begin(), bytes.begin() + 512).find("PEAK"), std::string::npos);
}

TEST(Encode, ClipModes) {
  TestFolder folder;
  std::vector<float> x = NoiseFrames(20000, 2, 0.5f);
  x[777] = -2;
  const auto read = [&](ClipMode clip, SampleFormat sample_format, WriteReport* report) {
    auto written = WriteFile(folder / "x.wav", {FileFormat::kWav, sample_format, clip}, x, 44100, 2);
    EXPECT_TRUE(written);
    *report = *written;
    return ReadAudioFile(folder / "x.wav", 1 << 20)->samples;
  };
  WriteReport report;
  std::vector<float> y = read(ClipMode::kNone, SampleFormat::kF32, &report);
  EXPECT_EQ(y, x);
  EXPECT_EQ(report.peak, 2);
  EXPECT_EQ(report.gain, 1);
  y = read(ClipMode::kNone, SampleFormat::kS16, &report);
  EXPECT_EQ(y[777], -1);
  y = read(ClipMode::kClamp, SampleFormat::kF32, &report);
  EXPECT_EQ(y[777], -0.99f);
  EXPECT_EQ(y[776], x[776]);
  y = read(ClipMode::kRescale, SampleFormat::kF32, &report);
  EXPECT_FLOAT_EQ(report.gain, 1 / 2.02f);
  for (size_t i = 0; i < x.size(); ++i) ASSERT_FLOAT_EQ(y[i], x[i] / 2.02f);
  x[777] = 0.99f;
  y = read(ClipMode::kRescale, SampleFormat::kF32, &report);
  EXPECT_EQ(report.gain, 1);  // 1.01 * 0.99 is below full scale
  EXPECT_EQ(y, x);
}

TEST(Encode, AnUnfinishedFileLeavesNothing) {
  TestFolder folder;
  for (FileFormat format : kAllFormats) {
    for (ClipMode clip : {ClipMode::kRescale, ClipMode::kNone}) {
      WriteBytes(folder / "x", "before");
      {
        auto writer = AudioWriter::Create(folder / "x", {.format = format, .clip = clip}, 44100, 2);
        ASSERT_TRUE(writer) << writer.error().message;
        const std::vector<float> x = NoiseFrames(100000, 2);
        ASSERT_TRUE((*writer)->Write(x.data(), 100000));
        EXPECT_EQ(ReadBytes(folder / "x"), "before");
      }
      EXPECT_EQ(folder.Names(), std::vector<std::string>{"x"});
      EXPECT_EQ(ReadBytes(folder / "x"), "before");
    }
  }
}

TEST(Encode, AnEmptyTrackIsAFile) {
  TestFolder folder;
  for (FileFormat format : kAllFormats) {
    auto report = WriteFile(folder / "x", {.format = format}, {}, 44100, 2);
    EXPECT_TRUE(report) << FileExtension(format) << " " << report.error().message;
  }
}

TEST(Encode, SamplesThatAreNoNumbersAreRefused) {
  TestFolder folder;
  for (float bad : {std::nanf(""), std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity()}) {
    std::vector<float> x = NoiseFrames(100, 2);
    x[31] = bad;
    auto writer = AudioWriter::Create(folder / "x.wav", {}, 44100, 2);
    ASSERT_TRUE(writer);
    const Status status = (*writer)->Write(x.data(), 100);
    ASSERT_FALSE(status);
    EXPECT_NE(status.error().message.find("Sample 15"), std::string::npos) << status.error().message;
  }
}

TEST(Encode, OptionsThatDoNotFitAreRefused) {
  TestFolder folder;
  EXPECT_FALSE(
      AudioWriter::Create(folder / "x", {.format = FileFormat::kFlac, .sample_format = SampleFormat::kF32}, 44100, 2));
  EXPECT_FALSE(AudioWriter::Create(folder / "x", {.format = FileFormat::kMp3}, 44100, 3));
  EXPECT_FALSE(AudioWriter::Create(folder / "x", {.format = FileFormat::kOpus}, 44100, 3));
  EXPECT_FALSE(AudioWriter::Create(folder / "x", {}, 44100, 9));
  EXPECT_FALSE(AudioWriter::Create(folder / "x", {}, 44100, 0));
  EXPECT_FALSE(AudioWriter::Create(folder / "x", {}, 0, 2));
  EXPECT_TRUE(folder.Names().empty());
  EXPECT_EQ(ParseFileFormat("wave").error().message, "There is no audio format 'wave'. Did you mean 'wav'?");
  EXPECT_FALSE(ParseSampleFormat("s32"));
  EXPECT_FALSE(ParseClipMode(""));
  EXPECT_EQ(ParseFileFormat("ogg"), FileFormat::kVorbis);
  for (const char* name : {"wav", "flac", "mp3", "opus", "ogg", "m4a", "alac"}) {
    EXPECT_EQ(FileExtension(*ParseFileFormat(name)), name == std::string("alac") ? "m4a" : name);
  }
}

TEST(Encode, AFolderThatIsMissingIsOneSentence) {
  TestFolder folder;
  auto writer = AudioWriter::Create(folder / "no/such/x.wav", {}, 44100, 2);
  ASSERT_FALSE(writer);
  EXPECT_EQ(writer.error().code, ErrorCode::kIo);
  EXPECT_NE(writer.error().message.find("No such file"), std::string::npos) << writer.error().message;
}

// A limit on the size of files stands for a full disk: the same call fails, with another number.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    getrlimit(RLIMIT_FSIZE, &before_);
    rlimit limit = before_;
    limit.rlim_cur = bytes;
    setrlimit(RLIMIT_FSIZE, &limit);
    handler_ = std::signal(SIGXFSZ, SIG_IGN);
  }
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit before_ = {};
  void (*handler_)(int) = nullptr;
};

TEST(Encode, AFullDiskIsOneSentenceAndLeavesNothing) {
  TestFolder folder;
  const std::vector<float> x = NoiseFrames(200000, 2);
  for (FileFormat format : kAllFormats) {
    for (ClipMode clip : {ClipMode::kRescale, ClipMode::kNone}) {
      Result<WriteReport> report;
      {
        FileSizeLimit limit(20000);
        report = WriteFile(folder / "x", {.format = format, .clip = clip}, x, 44100, 2);
      }
      ASSERT_FALSE(report) << FileExtension(format);
      EXPECT_EQ(report.error().code, ErrorCode::kIo);
      EXPECT_NE(report.error().message.find("could not be written: File too large."), std::string::npos)
          << report.error().message;
      EXPECT_TRUE(folder.Names().empty());
    }
  }
}

}  // namespace
}  // namespace timbre
