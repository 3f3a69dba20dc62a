#include "audio/sound_at.h"

#include <sndfile.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <string_view>
#include <vector>

#include "audio/decode.h"

namespace timbre {
namespace {

constexpr int64_t kCompared = 4096;  // frames at the beginning, that both readers have to agree on

// Whether the file begins like one whose samples have places. libsndfile would try other kinds too.
bool BeginsRight(const std::string& path) {
  std::array<char, 4> magic = {};
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"), std::fclose);
  if (!file || std::fread(magic.data(), 1, magic.size(), file.get()) != magic.size()) return false;
  const std::string_view kind(magic.data(), magic.size());
  return kind == "RIFF" || kind == "RF64" || kind == "riff" || kind == "FORM" || kind == "caff" || kind == ".snd" ||
         kind == "fLaC";
}

bool HasPlaces(int format) {
  switch (format & SF_FORMAT_SUBMASK) {
    case SF_FORMAT_PCM_S8:
    case SF_FORMAT_PCM_U8:
    case SF_FORMAT_PCM_16:
    case SF_FORMAT_PCM_24:
    case SF_FORMAT_PCM_32:
    case SF_FORMAT_FLOAT:
    case SF_FORMAT_DOUBLE: return true;
    default: return false;
  }
}

}  // namespace

std::unique_ptr<SoundAt> SoundAt::Open(const std::string& path) {
  if (!BeginsRight(path)) return nullptr;
  std::unique_ptr<SoundAt> sound(new SoundAt);
  SF_INFO info = {};
  sound->file_ = sf_open(path.c_str(), SFM_READ, &info);
  if (sound->file_ == nullptr || info.channels < 1 || info.seekable == 0 || !HasPlaces(info.format)) return nullptr;
  sound->sample_rate_ = info.samplerate;
  sound->channels_ = info.channels;
  sound->frames_ = std::max<sf_count_t>(0, info.frames);
  auto reader = AudioReader::Open(path);
  if (!reader || (*reader)->info().sample_rate != info.samplerate || (*reader)->info().channels != info.channels) {
    return nullptr;
  }
  std::vector<float> ours(static_cast<size_t>(kCompared) * info.channels), others(ours.size());
  const auto read = (*reader)->Read(others.data(), kCompared);
  const auto same = sound->Read(0, kCompared, ours.data());
  if (!read || !same || *read != *same || ours != others) return nullptr;
  return sound;
}

SoundAt::~SoundAt() {
  if (file_ != nullptr) sf_close(static_cast<SNDFILE*>(file_));
}

Result<int64_t> SoundAt::Read(int64_t from, int64_t frames, float* out) {
  const int64_t count = std::clamp<int64_t>(frames_ - from, 0, frames);
  if (count == 0) return int64_t{0};
  auto* file = static_cast<SNDFILE*>(file_);
  if (sf_seek(file, from, SEEK_SET) != from || sf_readf_float(file, out, count) != count) {
    return Fail(ErrorCode::kIo, std::string("samples can't be read: ") + sf_strerror(file) + ".");
  }
  return count;
}

}  // namespace timbre
