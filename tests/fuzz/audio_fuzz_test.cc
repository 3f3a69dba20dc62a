// The audio front end: whatever the bytes are, opening and reading them ends, and gives finite samples or an error.
#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <span>

#include "audio/decode.h"
#include "audio/encode.h"
#include "audio/mix.h"
#include "tests/fuzz/fuzz.h"

namespace {

using namespace timbre;

// A tenth of a second of a sine in each format that timbre writes.
std::vector<std::string> Seeds() {
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
    auto writer = AudioWriter::Create(path, options, 16000, 2);
    if (!writer || !(*writer)->Write(samples.data(), 1600) || !(*writer)->Finish()) std::abort();
    std::ifstream file(path, std::ios::binary);
    seeds.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
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
