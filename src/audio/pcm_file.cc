#include "audio/pcm_file.h"

#include <sndfile.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string_view>
#include <vector>

namespace timbre {
namespace {

using namespace std::string_view_literals;

// How a sample lies in a file.
struct Sample {
  enum Kind { kInteger, kFloat, kOther } kind = kOther;
  int bytes = 0;
  bool operator==(const Sample&) const = default;
};

Sample SampleOf(AVCodecID codec) {
  switch (codec) {
    case AV_CODEC_ID_PCM_S8:
    case AV_CODEC_ID_PCM_U8: return {Sample::kInteger, 1};
    case AV_CODEC_ID_PCM_S16LE:
    case AV_CODEC_ID_PCM_S16BE: return {Sample::kInteger, 2};
    case AV_CODEC_ID_PCM_S24LE:
    case AV_CODEC_ID_PCM_S24BE: return {Sample::kInteger, 3};
    case AV_CODEC_ID_PCM_S32LE:
    case AV_CODEC_ID_PCM_S32BE: return {Sample::kInteger, 4};
    case AV_CODEC_ID_PCM_F32LE:
    case AV_CODEC_ID_PCM_F32BE: return {Sample::kFloat, 4};
    case AV_CODEC_ID_PCM_F64LE:
    case AV_CODEC_ID_PCM_F64BE: return {Sample::kFloat, 8};
    default: return {};
  }
}

Sample SampleOf(int subtype) {
  switch (subtype) {
    case SF_FORMAT_PCM_S8:
    case SF_FORMAT_PCM_U8: return {Sample::kInteger, 1};
    case SF_FORMAT_PCM_16: return {Sample::kInteger, 2};
    case SF_FORMAT_PCM_24: return {Sample::kInteger, 3};
    case SF_FORMAT_PCM_32: return {Sample::kInteger, 4};
    case SF_FORMAT_FLOAT: return {Sample::kFloat, 4};
    case SF_FORMAT_DOUBLE: return {Sample::kFloat, 8};
    default: return {};
  }
}

// Plain little-endian WAV is left out: where its place is larger than its sample there, no two programs agree, and
// libsndfile reads it as if it were not.
const char* ContainerName(int format) {
  switch (format & SF_FORMAT_TYPEMASK) {
    case SF_FORMAT_WAV: return (format & SF_FORMAT_ENDMASK) == SF_ENDIAN_BIG ? "WAV" : nullptr;
    case SF_FORMAT_WAVEX: return "WAV";
    case SF_FORMAT_RF64: return "RF64";
    case SF_FORMAT_W64: return "W64";
    case SF_FORMAT_AIFF: return "AIFF";
    case SF_FORMAT_CAF: return "CAF";
    case SF_FORMAT_AU: return "AU";
    default: return nullptr;
  }
}

// Whether the file begins like one of those. libsndfile would try other kinds too, and its MP3 decoder prints.
bool BeginsLikePcm(ByteSource* source) {
  char magic[4];
  source->Seek(0);
  if (source->Read(magic, 4) != 4) return false;
  const std::string_view kind(magic, 4);
  return kind == "RIFF" || kind == "RIFX" || kind == "RF64" || kind == "riff" || kind == "FORM" || kind == "caff" ||
         kind == ".snd" || kind == "dns.";
}

constexpr int kMostChunks = 100;

int64_t LittleEndian(const unsigned char* bytes, int count) {
  uint64_t value = 0;
  for (int i = count - 1; i >= 0; --i) value = value << 8 | bytes[i];
  return static_cast<int64_t>(value);
}

// What the data chunk of a RIFF file says it holds, in bytes, whatever is there; none where there is no such chunk.
std::optional<int64_t> DataBytesOfRiff(ByteSource* source) {
  unsigned char head[12];
  source->Seek(0);
  if (source->Read(head, 12) != 12 || std::memcmp(head, "RIFF", 4) != 0) return std::nullopt;
  for (int chunk = 0; chunk < kMostChunks && source->Read(head, 8) == 8; ++chunk) {
    const int64_t size = LittleEndian(head + 4, 4);
    if (std::memcmp(head, "data", 4) == 0) return size;
    source->Seek(source->position() + size + size % 2);
  }
  return std::nullopt;
}

// The same of a CAF file, whose writers put -1 there.
std::optional<int64_t> DataBytesOfCaf(ByteSource* source) {
  unsigned char head[12];
  source->Seek(0);
  if (source->Read(head, 8) != 8 || std::memcmp(head, "caff", 4) != 0) return std::nullopt;
  for (int chunk = 0; chunk < kMostChunks && source->Read(head, 12) == 12; ++chunk) {
    uint64_t size = 0;
    for (int i = 4; i < 12; ++i) size = size << 8 | head[i];
    if (std::memcmp(head, "data", 4) == 0) return static_cast<int64_t>(size);
    if (size > static_cast<uint64_t>(source->size())) break;
    source->Seek(source->position() + static_cast<int64_t>(size));
  }
  return std::nullopt;
}

// 0 where there is none or a writer left it open.
int64_t PromisedBytes(ByteSource* source) {
  const int64_t size = DataBytesOfRiff(source).value_or(0);
  return size == 0xFFFFFFFF ? 0 : size;
}

// Whether 16-bit samples may be a compressed stream that poses as such: S/PDIF, AC-3, DTS and MPEG audio, which FFmpeg
// looks for in as many bytes. Compressed, they are noise at full scale, as music seldom is for long, but for DTS in the
// lower 14 bits of each sample, which has a mark.
bool MayPoseAsSamples(ByteSource* source, int64_t data_bytes) {
  constexpr int64_t kLookedAt = 128 << 10, kWindow = 64;  // samples
  constexpr int64_t kLoud = 12000;                        // on average, where full scale gives 16384
  std::vector<unsigned char> bytes(static_cast<size_t>(std::min(kLookedAt, data_bytes)));
  bytes.resize(static_cast<size_t>(std::max<int64_t>(0, source->Read(bytes.data(), std::ssize(bytes)))));
  int64_t loud = 0;
  const int64_t windows = std::ssize(bytes) / (2 * kWindow);
  for (int64_t window = 0; window < windows; ++window) {
    int64_t sum = 0;
    for (int64_t i = 0; i < kWindow; ++i) {
      sum += std::abs(static_cast<int16_t>(LittleEndian(&bytes[2 * (window * kWindow + i)], 2)));
    }
    loud += sum > kLoud * kWindow ? 1 : 0;
  }
  if (loud * 100 > windows) return true;
  const std::string_view all(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  return all.find("\xFF\x1F\x00\xE8"sv) != all.npos || all.find("\x1F\xFF\xE8\x00"sv) != all.npos;
}

struct PlainWav {
  int bytes = 0;  // of a sample
  bool integers = false;
  int sample_rate = 0, channels = 0;
  int64_t frames = 0;
};

// Whether a chunk tells of nothing that is kept: how many samples there are, the peak, or the program that wrote them.
bool SaysNothing(const unsigned char* id, const unsigned char* bytes, int64_t size) {
  if (std::memcmp(id, "fact", 4) == 0 || std::memcmp(id, "PEAK", 4) == 0) return true;
  return std::memcmp(id, "LIST", 4) == 0 && size >= 12 && std::memcmp(bytes, "INFOISFT", 8) == 0 &&
         12 + LittleEndian(bytes + 8, 4) + LittleEndian(bytes + 8, 1) % 2 == size;
}

std::optional<PlainWav> ReadPlainWav(ByteSource* source) {
  constexpr int64_t kMostBefore = 256;  // bytes of a chunk before the samples
  unsigned char head[36];               // "RIFF", a length, "WAVE"; "fmt ", its length, 16 bytes
  source->Seek(0);
  if (source->Read(head, 36) != 36 || std::memcmp(head, "RIFF", 4) != 0 || std::memcmp(head + 8, "WAVEfmt ", 8) != 0)
    return std::nullopt;
  const int64_t format_bytes = LittleEndian(head + 16, 4), tag = LittleEndian(head + 20, 2),
                channels = LittleEndian(head + 22, 2), rate = LittleEndian(head + 24, 4),
                bits = LittleEndian(head + 34, 2), bytes = bits / 8;
  const bool integers = tag == 1 && (bits == 16 || bits == 24 || bits == 32), floats = tag == 3 && bits == 32;
  if (LittleEndian(head + 4, 4) + 8 != source->size() || (format_bytes != 16 && format_bytes != 18) ||
      (!integers && !floats) || channels < 1 || channels > 2 || rate < 1 || rate > 1000000 ||
      LittleEndian(head + 28, 4) != rate * channels * bytes || LittleEndian(head + 32, 2) != channels * bytes) {
    return std::nullopt;
  }
  source->Seek(20 + format_bytes);
  for (int chunk = 0; chunk < kMostChunks && source->Read(head, 8) == 8; ++chunk) {
    const int64_t size = LittleEndian(head + 4, 4), begin = source->position();
    if (std::memcmp(head, "data", 4) == 0) {
      if (size == 0 || size % (channels * bytes) != 0 || begin + size + size % 2 != source->size()) return std::nullopt;
      if (bytes == 2 && MayPoseAsSamples(source, size)) return std::nullopt;
      return PlainWav{.bytes = static_cast<int>(bytes),
                      .integers = integers,
                      .sample_rate = static_cast<int>(rate),
                      .channels = static_cast<int>(channels),
                      .frames = size / (channels * bytes)};
    }
    unsigned char words[kMostBefore];
    if (size > kMostBefore || source->Read(words, size) != size || !SaysNothing(head, words, size)) return std::nullopt;
    source->Seek(begin + size + size % 2);
  }
  return std::nullopt;
}

sf_count_t Length(void* source) { return static_cast<ByteSource*>(source)->size(); }
sf_count_t Tell(void* source) { return static_cast<ByteSource*>(source)->position(); }
sf_count_t Seek(sf_count_t offset, int whence, void* source) {
  auto* s = static_cast<ByteSource*>(source);
  const sf_count_t base = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? s->position() : s->size();
  sf_count_t place = 0;
  if (__builtin_add_overflow(base, offset, &place) || !s->Seek(place)) return -1;
  return place;
}
sf_count_t ReadBytes(void* to, sf_count_t count, void* source) {
  return std::max<int64_t>(0, static_cast<ByteSource*>(source)->Read(to, count));
}
sf_count_t WriteNothing(const void*, sf_count_t, void*) { return 0; }

}  // namespace

bool LengthIsOpen(ByteSource* source) {
  // SoX writes 0x7FFFF000, arecord 0x80000000, FFmpeg all ones, others that less a header. What is truncated in between
  // had a length.
  const auto open = [&](int64_t size) {
    constexpr int64_t kHeaders = 0x1000, kSigned = 0x80000000, kUnsigned = 0xFFFFFFFF;
    const bool most = std::llabs(size - kSigned) <= kHeaders || size >= kUnsigned - kHeaders;
    return size == 0 || (most && size > source->size());
  };
  if (const auto size = DataBytesOfRiff(source)) return open(*size);
  unsigned char head[12];
  source->Seek(0);
  if (source->Read(head, 12) == 12 && std::memcmp(head, "RIFF", 4) == 0 && std::memcmp(head + 8, "AVI ", 4) == 0) {
    return open(LittleEndian(head + 4, 4));
  }
  return DataBytesOfCaf(source) == -1;
}

void OpenEmptyRf64(ByteSource* source) {
  unsigned char head[36];  // "RF64", a length, "WAVE"; "ds64", its length, that of the file, that of the data
  source->Seek(0);
  if (source->Read(head, 36) != 36 || (std::memcmp(head, "RF64", 4) != 0 && std::memcmp(head, "BW64", 4) != 0)) return;
  if (std::memcmp(head + 8, "WAVEds64", 8) != 0) return;
  const int64_t bytes = LittleEndian(head + 28, 8);
  if (bytes == 0 || bytes == -1) source->Replace(0, "RIFF");
}

std::unique_ptr<PcmFile> PcmFile::Open(ByteSource* source) {
  SF_VIRTUAL_IO io = {.get_filelen = Length, .seek = Seek, .read = ReadBytes, .write = WriteNothing, .tell = Tell};
  std::unique_ptr<PcmFile> pcm(new PcmFile);
  SF_INFO info = {};
  source->Seek(0);
  pcm->file_ = sf_open_virtual(&io, SFM_READ, &info, source);
  if (pcm->file_ == nullptr || info.channels < 1) return nullptr;
  const Sample sample = SampleOf(info.format & SF_FORMAT_SUBMASK);
  if (sample.kind == Sample::kOther) return nullptr;
  pcm->bytes_ = sample.bytes;
  pcm->integers_ = sample.kind == Sample::kInteger;
  pcm->kind_ = info.format;
  pcm->sample_rate_ = info.samplerate;
  pcm->channels_ = info.channels;
  pcm->frames_ = std::max<sf_count_t>(0, info.frames);
  return pcm;
}

std::unique_ptr<PcmFile> PcmFile::OpenIfDoubtful(ByteSource* source) {
  if (!BeginsLikePcm(source)) return nullptr;
  std::unique_ptr<PcmFile> pcm = Open(source);
  const char* const container = pcm == nullptr ? nullptr : ContainerName(pcm->kind_);
  if (container == nullptr) return nullptr;
  pcm->format_ = std::to_string(8 * pcm->bytes_) + (pcm->integers_ ? "-bit PCM in " : "-bit float in ") + container;
  const int64_t place = source->position();
  pcm->promised_ = std::max(pcm->frames_, PromisedBytes(source) / (int64_t{pcm->bytes_} * pcm->channels_));
  source->Seek(place);
  return pcm;
}

std::unique_ptr<PcmFile> PcmFile::OpenIfPlain(ByteSource* source) {
  const std::optional<PlainWav> wav = ReadPlainWav(source);
  if (!wav) return nullptr;
  std::unique_ptr<PcmFile> pcm = Open(source);
  if (pcm == nullptr || pcm->bytes_ != wav->bytes || pcm->integers_ != wav->integers ||
      pcm->sample_rate_ != wav->sample_rate || pcm->channels_ != wav->channels || pcm->frames_ != wav->frames) {
    return nullptr;
  }
  pcm->format_ = std::string(wav->integers ? "pcm_s" : "pcm_f") + std::to_string(8 * wav->bytes) + "le in wav";
  pcm->promised_ = pcm->frames_;
  return pcm;
}

bool PcmFile::Agrees(AVCodecID codec) const {
  const bool big_endian_wav = (kind_ & SF_FORMAT_TYPEMASK) == SF_FORMAT_WAV;  // little-endian ones are not doubtful
  return !big_endian_wav && Sample{integers_ ? Sample::kInteger : Sample::kFloat, bytes_} == SampleOf(codec);
}

PcmFile::~PcmFile() {
  if (file_ != nullptr) sf_close(static_cast<SNDFILE*>(file_));
}

int64_t PcmFile::Read(float* out, int64_t frames) {
  return std::max<int64_t>(0, sf_readf_float(static_cast<SNDFILE*>(file_), out, frames));
}

}  // namespace timbre
