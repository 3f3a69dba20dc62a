// The audio front end: whatever the bytes are, opening and reading them ends, and gives finite samples or an error.
#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <span>

#include "audio/decode.h"
#include "audio/encode.h"
#include "audio/ffmpeg_process.h"
#include "audio/mix.h"
#include "tests/fuzz/fuzz.h"

namespace {

using namespace timbre;

// An extensible WAV file whose samples have 24 valid bits in 32, and a big-endian one: libsndfile reads them.
std::vector<std::string> PcmSeeds() {
  const std::string samples(8 * 400, '\x25');
  std::string little("RIFF\xBC\x0C\0\0WAVEfmt \x28\0\0\0\xFE\xFF\2\0\x80\x3E\0\0\0\xF4\1\0\x08\0\x20\0\x16\0\x18\0",
                     40);
  little += std::string(
      "\3\0\0\0\1\0\0\0\0\0\x10\0\x80\0\0\xAA\0\x38\x9B\x71"
      "data\x80\x0C\0\0",
      28);
  std::string big(
      "RIFX\0\0\x0C\xA4WAVEfmt \0\0\0\x10\0\1\0\2\0\0\x3E\x80\0\0\xFA\0\0\4\0\x10"
      "data\0\0\x0C\x80",
      44);
  return {little + samples, big + samples};
}

// A tenth of a second of a sine in each format that timbre writes, streams that change their format, and odd PCM.
std::vector<std::string> Seeds() {
  SetUpFfmpegForProgram();
  std::vector<std::string> seeds;
  const std::string path =
      (std::filesystem::temp_directory_path() / ("timbre-fuzz-seed-" + std::to_string(getpid()))).string();
  std::vector<float> samples(2 * 1600);
  for (size_t i = 0; i < samples.size(); ++i) samples[i] = 0.5f * std::sin(0.05f * static_cast<float>(i));
  for (const WriteOptions& options :
       {WriteOptions{FileFormat::kWav, SampleFormat::kS16, ClipMode::kNone},
        WriteOptions{FileFormat::kWav, SampleFormat::kF32, ClipMode::kNone},
        WriteOptions{FileFormat::kFlac, SampleFormat::kS16, ClipMode::kNone},
        WriteOptions{.format = FileFormat::kMp3, .clip = ClipMode::kNone, .bitrate = 64},
        WriteOptions{.format = FileFormat::kOpus, .clip = ClipMode::kNone, .bitrate = 32}}) {
    std::string spliced;
    for (const int channels : {1, 2}) {
      auto writer = AudioWriter::Create(path, options, 16000, channels);
      if (!writer || !(*writer)->Write(samples.data(), 1600) || !(*writer)->Finish()) std::abort();
      std::ifstream file(path, std::ios::binary);
      seeds.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
      spliced += seeds.back();
    }
    if (options.format == FileFormat::kMp3 || options.format == FileFormat::kFlac) seeds.push_back(spliced);
  }
  for (std::string& seed : PcmSeeds()) seeds.push_back(std::move(seed));
  std::filesystem::remove(path);
  return seeds;
}

}  // namespace

TIMBRE_FUZZ_TARGET(Audio, Seeds) {
  auto reader = AudioReader::OpenMemory(std::as_bytes(std::span(bytes.data(), bytes.size())), "fuzz");
  if (!reader) {
    if (reader.error().message.empty()) std::abort();
    return;
  }
  const AudioInfo& info = (*reader)->info();
  if (info.channels < 1 || info.speakers.size() != static_cast<size_t>(info.channels)) std::abort();
  auto mix = StereoMix::Create(info.speakers);
  if (mix.has_value() != (info.channels <= 8)) std::abort();
  constexpr int64_t kFrames = 1000;
  std::vector<float> samples(kFrames * info.channels), stereo(kFrames * 2);
  // A short input may describe a very long silence: eight thousand frames of it are enough.
  for (int i = 0; i < 8; ++i) {
    auto count = (*reader)->Read(samples.data(), kFrames);
    if (!count || *count == 0) return;
    if (*count < 0 || *count > kFrames) std::abort();
    for (int64_t j = 0; j < *count * info.channels; ++j) {
      if (!std::isfinite(samples[j])) std::abort();
    }
    if (mix) mix->Apply(samples.data(), *count, stereo.data());
  }
}
