#include "audio/encode.h"

#include <poll.h>
#include <sndfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <climits>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>
#include <span>
#include <tuple>
#include <utility>
#include <vector>

#include "audio/byte_source.h"
#include "audio/ffmpeg.h"
#include "audio/file_size.h"
#include "audio/resample.h"
#include "base/atomic_file.h"
#include "base/file_faults.h"
#include "base/paths.h"
#include "base/suggest.h"
#include "base/temporary_file.h"

namespace timbre {
namespace {

constexpr int64_t kBlock = 8192;       // frames converted at once
constexpr size_t kMostHeld = 1 << 16;  // samples that are written together
constexpr int kMaxChannels = 8;
constexpr int kMostRate = 768000;      // as much as can be read
constexpr int kPollMilliseconds = 50;  // how long a reader who takes nothing delays a cancellation

template <typename Enum>
Result<Enum> Parse(std::string_view what, std::string_view name,
                   std::span<const std::pair<std::string_view, Enum>> rows) {
  std::vector<std::string> names;
  for (const auto& [row_name, value] : rows) {
    if (row_name == name) return value;
    names.emplace_back(row_name);
  }
  return Fail(ErrorCode::kInvalidArgument,
              "There is no " + std::string(what) + " '" + std::string(name) + "'." + SuggestionFor(name, names));
}

// Infinite or not a number where one of them is. As integers the magnitudes of floats have the same order, and are
// compared without waiting for one another.
float LargestMagnitude(const float* x, int64_t count) {
  std::array<uint32_t, 4> most{};
  const auto magnitude = [&](int64_t i) { return std::bit_cast<uint32_t>(x[i]) & 0x7FFFFFFFu; };
  int64_t i = 0;
  for (; i + 4 <= count; i += 4) {
    for (int j = 0; j < 4; ++j) most[j] = std::max(most[j], magnitude(i + j));
  }
  for (; i < count; ++i) most[0] = std::max(most[0], magnitude(i));
  return std::bit_cast<float>(*std::max_element(most.begin(), most.end()));
}

// A file descriptor, another's, that remembers why it failed: the libraries on top of it don't say.
struct Sink {
  int fd = -1;
  std::string path;     // of the output
  bool stream = false;  // may be a pipe
  std::function<bool()> cancelled = {};
  int failed = 0;  // errno; ECANCELED

  // Waits until a stream takes some bytes: so many of them as it then takes at once. 0: not yet.
  size_t Room() {
    if (cancelled && cancelled()) {
      errno = ECANCELED;
      return 0;
    }
    struct pollfd wait = {.fd = fd, .events = POLLOUT, .revents = 0};
    const int ready = poll(&wait, 1, kPollMilliseconds);
    if (ready > 0) return PIPE_BUF;
    if (ready == 0) errno = EINTR;
    return 0;
  }

  bool Write(const void* bytes, size_t count) {
    const char* from = static_cast<const char*>(bytes);
    while (count > 0) {
      const size_t room = stream ? Room() : count;
      const bool fails = room == 0 || FileStepFails(FileStep::kWrite, path);
      const ssize_t written = fails ? -1 : write(fd, from, std::min(room, count));
      if (written < 0 && (errno == EINTR || (stream && errno == EAGAIN))) continue;
      if (written < 0) {
        failed = errno;
        return false;
      }
      from += written;
      count -= static_cast<size_t>(written);
    }
    return true;
  }

  int64_t Seek(int64_t offset, int whence) {
    const off_t at = lseek(fd, offset, whence);
    if (at < 0) failed = errno;
    return at;
  }

  int64_t Size() {
    struct stat info = {};
    return fstat(fd, &info) == 0 ? info.st_size : -1;
  }
};

Status NotWritten(const std::string& path, int error, const std::string& otherwise) {
  if (error == ECANCELED) return Fail(ErrorCode::kCancelled, "cancelled");
  if (error == EPIPE) {
    return Fail(ErrorCode::kIo, "'" + path + "' could not be written to its end: whoever read it has stopped.");
  }
  return Fail(ErrorCode::kIo,
              "'" + path + "' could not be written: " + (error != 0 ? std::strerror(error) : otherwise) + ".");
}

int64_t Rounded(float value, float scale) { return std::lrintf(std::clamp(value * scale, -scale, scale - 1)); }

// What WAV has a place for.
constexpr std::pair<std::string_view, int> kWavTags[] = {
    {"title", SF_STR_TITLE}, {"artist", SF_STR_ARTIST},     {"album", SF_STR_ALBUM},    {"date", SF_STR_DATE},
    {"genre", SF_STR_GENRE}, {"track", SF_STR_TRACKNUMBER}, {"comment", SF_STR_COMMENT}};

// Turns samples into bytes of one format.
class Encoder {
 public:
  virtual ~Encoder() = default;
  virtual Status Encode(const float* interleaved, int64_t frames) = 0;
  virtual Status Finish() = 0;
};

// WAV, by libsndfile.
class PcmEncoder : public Encoder {
 public:
  static Result<std::unique_ptr<Encoder>> Create(Sink* sink, const std::string& path, const WriteOptions& options,
                                                 int sample_rate, int channels) {
    const int subtype = options.sample_format == SampleFormat::kS16   ? SF_FORMAT_PCM_16
                        : options.sample_format == SampleFormat::kS24 ? SF_FORMAT_PCM_24
                                                                      : SF_FORMAT_FLOAT;
    SF_INFO info = {};
    info.samplerate = sample_rate;
    info.channels = channels;
    info.format = SF_FORMAT_RF64 | subtype;
    static SF_VIRTUAL_IO io = {
        .get_filelen = [](void* s) { return static_cast<sf_count_t>(static_cast<Sink*>(s)->Size()); },
        .seek = [](sf_count_t offset, int whence,
                   void* s) { return static_cast<sf_count_t>(static_cast<Sink*>(s)->Seek(offset, whence)); },
        .read = [](void*, sf_count_t, void*) -> sf_count_t { return 0; },
        .write = [](const void* bytes, sf_count_t count, void* s) -> sf_count_t {
          return static_cast<Sink*>(s)->Write(bytes, static_cast<size_t>(count)) ? count : 0;
        },
        .tell = [](void* s) { return static_cast<sf_count_t>(static_cast<Sink*>(s)->Seek(0, SEEK_CUR)); },
    };
    std::unique_ptr<PcmEncoder> encoder(new PcmEncoder(sink, path, options.sample_format, channels));
    encoder->file_ = sf_open_virtual(&io, SFM_WRITE, &info, sink);
    if (encoder->file_ == nullptr) return tl::unexpected(NotWritten(path, sink->failed, sf_strerror(nullptr)).error());
    // An RF64 that stays below 4 GiB becomes a plain WAV when it is closed.
    sf_command(encoder->file_, SFC_RF64_AUTO_DOWNGRADE, nullptr, SF_TRUE);
    for (const auto& tag : options.tags.text) {
      const auto known = std::find_if(std::begin(kWavTags), std::end(kWavTags),
                                      [&](const auto& row) { return row.first == tag.first; });
      if (known != std::end(kWavTags)) sf_set_string(encoder->file_, known->second, tag.second.c_str());
    }
    // SFC_SET_ADD_PEAK_CHUNK is left alone: an RF64 has no PEAK chunk, whose time of day would make equal tracks
    // unequal files, and switching off what is not there switches it on.
    return encoder;
  }

  ~PcmEncoder() override {
    if (file_ != nullptr) sf_close(file_);
  }

  Status Encode(const float* interleaved, int64_t frames) override {
    while (frames > 0) {
      const int64_t count = std::min(frames, kBlock);
      const int64_t values = count * channels_;
      sf_count_t written = 0;
      if (format_ == SampleFormat::kF32) {
        written = sf_write_float(file_, interleaved, values);
      } else if (format_ == SampleFormat::kS16) {
        for (int64_t i = 0; i < values; ++i) shorts_[i] = static_cast<int16_t>(Rounded(interleaved[i], 32768.0f));
        written = sf_write_short(file_, shorts_.data(), values);
      } else {
        // libsndfile takes integers from the top of 32 bits.
        for (int64_t i = 0; i < values; ++i) {
          integers_[i] = static_cast<int32_t>(static_cast<uint32_t>(Rounded(interleaved[i], 8388608.0f)) << 8);
        }
        written = sf_write_int(file_, integers_.data(), values);
      }
      if (written != values || sink_->failed != 0) return NotWritten(path_, sink_->failed, sf_strerror(file_));
      interleaved += values;
      frames -= count;
    }
    return {};
  }

  Status Finish() override {
    const int error = sf_close(std::exchange(file_, nullptr));
    if (error != 0 || sink_->failed != 0) return NotWritten(path_, sink_->failed, sf_error_number(error));
    return {};
  }

 private:
  PcmEncoder(Sink* sink, std::string path, SampleFormat format, int channels)
      : sink_(sink), path_(std::move(path)), format_(format), channels_(channels) {
    if (format == SampleFormat::kS16) shorts_.resize(kBlock * channels);
    if (format == SampleFormat::kS24) integers_.resize(kBlock * channels);
  }

  Sink* sink_;
  std::string path_;
  SampleFormat format_;
  int channels_;
  SNDFILE* file_ = nullptr;
  std::vector<int16_t> shorts_;
  std::vector<int32_t> integers_;
};

// Width and height of a cover, which containers tell too; 1 where its header does not say.
std::pair<int, int> SizeOfCover(const AudioTags& tags) {
  const auto at = [&](size_t i) { return i < tags.cover.size() ? std::to_integer<int>(tags.cover[i]) : 0; };
  const auto pair = [&](size_t i) { return at(i) << 8 | at(i + 1); };
  int width = 0, height = 0;
  if (tags.png) {
    width = pair(18);
    height = pair(22);
  } else {
    // Segments of FF, a kind and a length, up to the frame's.
    for (size_t i = 2; i + 9 < tags.cover.size() && at(i) == 0xff; i += 2 + std::max(2, pair(i + 2))) {
      const int kind = at(i + 1);
      if (kind < 0xc0 || kind > 0xcf || kind == 0xc4 || kind == 0xc8 || kind == 0xcc) continue;
      height = pair(i + 5);
      width = pair(i + 7);
      break;
    }
  }
  return {std::max(1, width), std::max(1, height)};
}

// A format that FFmpeg's libraries write.
struct Codec {
  FileFormat format;
  const char *name, *encoder, *muxer;
  int least = 0, most = 0, usual = 0;  // kbit/s; a format without loss has none, and 0 is by quality
  std::span<const int> rates = {};     // that it knows, ascending; empty: all up to the next
  int most_channels = 2;
  int highest = kMostRate;
};

constexpr int kMp3Rates[] = {8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000};
constexpr int kAacRates[] = {8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000};
constexpr int kOpusRates[] = {48000};
constexpr Codec kCodecs[] = {
    {FileFormat::kWav, "WAV", "pcm_s16le", "wav", 0, 0, 0, {}, kMaxChannels},  // streams alone
    {FileFormat::kFlac, "FLAC", "flac", "flac", 0, 0, 0, {}, kMaxChannels, 655340},
    {FileFormat::kMp3, "MP3", "libmp3lame", "mp3", 32, 320, 320, kMp3Rates},
    {FileFormat::kOpus, "Opus", "libopus", "opus", 6, 510, 160, kOpusRates},
    {FileFormat::kVorbis, "Vorbis", "libvorbis", "ogg", 32, 500, 0, {}, 2, 200000},
    {FileFormat::kAac, "AAC", "aac", "ipod", 16, 512, 256, kAacRates},
    {FileFormat::kAlac, "ALAC", "alac", "ipod"},
};
constexpr int kVorbisQuality = 7;  // of -1 to 10: about
constexpr int kVorbisUsual = 220;  // kbit/s of stereo at 44.1 kHz

// The nearest rate that the format knows, from above where there is one.
int RateFor(const Codec& codec, int sample_rate) {
  for (const int rate : codec.rates) {
    if (rate >= sample_rate) return rate;
  }
  if (!codec.rates.empty()) return codec.rates.back();
  const int rate = std::min(sample_rate, codec.highest);
  // FLAC has 16 bits for a rate, or for a tenth of it.
  constexpr int kUnits = 65535;
  return codec.format == FileFormat::kFlac && rate >= kUnits ? (rate + 9) / 10 * 10 : rate;
}

void Store(float value, float* out) { *out = value; }
void Store(float value, int16_t* out) { *out = static_cast<int16_t>(Rounded(value, 32768.0f)); }
// Of 32 bits the upper 24 are used.
void Store(float value, int32_t* out) {
  *out = static_cast<int32_t>(static_cast<uint32_t>(Rounded(value, 8388608.0f)) << 8);
}

// Interleaved samples into a frame whose samples are a T each.
template <typename T>
void Fill(const float* from, int64_t frames, int channels, bool planar, AVFrame* to) {
  for (int c = 0; c < channels; ++c) {
    T* out = reinterpret_cast<T*>(to->extended_data[planar ? c : 0]) + (planar ? 0 : c);
    const int step = planar ? 1 : channels;
    for (int64_t i = 0; i < frames; ++i) Store(from[i * channels + c], out + i * step);
  }
}

std::string Reason(int error) {
  char text[AV_ERROR_MAX_STRING_SIZE] = {};
  av_strerror(error, text, sizeof(text));
  return text;
}

// What FFmpeg's libraries write. Their containers record the encoder's delay and padding: the file decodes to the
// number of samples that went in.
class AvEncoder : public Encoder {
 public:
  static Result<std::unique_ptr<Encoder>> Create(Sink* sink, const std::string& path, const WriteOptions& options,
                                                 int sample_rate, int channels) {
    const auto row = std::find_if(std::begin(kCodecs), std::end(kCodecs),
                                  [&](const Codec& known) { return known.format == options.format; });
    if (row == std::end(kCodecs)) return Fail(ErrorCode::kInternal, "a format without a codec");
    const std::string name = row->name;
    if (channels > row->most_channels) {
      return Fail(ErrorCode::kInvalidArgument,
                  name + " files of " + std::to_string(channels) + " channels are not written; choose WAV or FLAC.");
    }
    const bool lossless = IsLossless(options.format);
    const bool floats = options.format == FileFormat::kWav && options.sample_format == SampleFormat::kF32;
    const bool wide = lossless && options.sample_format == SampleFormat::kS24;
    if (lossless && options.sample_format == SampleFormat::kF32 && !floats) {
      return Fail(ErrorCode::kInvalidArgument, name + " holds no floating-point samples; choose s16 or s24, or WAV.");
    }
    if (!lossless && options.bitrate != 0 && (options.bitrate < row->least || options.bitrate > row->most)) {
      return Fail(ErrorCode::kInvalidArgument,
                  "A bit rate of " + std::to_string(options.bitrate) + " kbit/s was asked for; " + name + " takes " +
                      std::to_string(row->least) + " to " + std::to_string(row->most) + ".");
    }
    TIMBRE_CHECK(LoadFfmpeg());
    const char* const wav = floats ? "pcm_f32le" : wide ? "pcm_s24le" : row->encoder;
    const AVCodec* codec = avcodec_find_encoder_by_name(options.format == FileFormat::kWav ? wav : row->encoder);
    if (codec == nullptr) {
      return Fail(ErrorCode::kUnsupported, "FFmpeg's libraries here cannot encode " + name + "; choose WAV or FLAC.");
    }
    const int bitrate = options.bitrate == 0 ? row->usual : options.bitrate;
    const int rate = RateFor(*row, sample_rate);
    TIMBRE_TRY(Resampler resampler, Resampler::Create(sample_rate, rate, channels));
    std::unique_ptr<AvEncoder> encoder(new AvEncoder(sink, path, std::move(resampler), channels));
    AvEncoder& e = *encoder;

    constexpr int kIoBuffer = 1 << 16;
    e.codec_ = avcodec_alloc_context3(codec);
    e.packet_ = av_packet_alloc();
    e.frame_ = av_frame_alloc();
    auto* buffer = static_cast<unsigned char*>(av_malloc(kIoBuffer));
    if (buffer != nullptr)
      e.io_ = avio_alloc_context(buffer, kIoBuffer, 1, sink, nullptr, &WriteBytes, sink->stream ? nullptr : &SeekBytes);
    if (e.io_ == nullptr) av_free(buffer);
    int error = avformat_alloc_output_context2(&e.format_, nullptr, row->muxer, nullptr);
    if (error < 0 || e.codec_ == nullptr || e.packet_ == nullptr || e.frame_ == nullptr || e.io_ == nullptr) {
      return Fail(ErrorCode::kOutOfMemory, "There is no memory left to write '" + path + "'.");
    }
    e.format_->pb = e.io_;
    e.format_->flags |= AVFMT_FLAG_BITEXACT;  // no random serial number, no version: equal input gives equal files
    e.codec_->flags |= AV_CODEC_FLAG_BITEXACT;
    if ((e.format_->oformat->flags & AVFMT_GLOBALHEADER) != 0) e.codec_->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
    e.codec_->sample_fmt = SampleFormatOf(
        *codec, lossless && !floats ? (wide ? AV_SAMPLE_FMT_S32 : AV_SAMPLE_FMT_S16) : AV_SAMPLE_FMT_FLT);
    if (wide) e.codec_->bits_per_raw_sample = 24;
    e.codec_->sample_rate = rate;
    e.codec_->time_base = {1, rate};
    if (bitrate > 0) {
      e.codec_->bit_rate = int64_t{bitrate} * 1000;
      // Without a limit Vorbis takes the rate for a hint.
      if (options.format == FileFormat::kVorbis) e.codec_->rc_max_rate = e.codec_->bit_rate * 11 / 10;
    } else if (!lossless) {
      e.codec_->flags |= AV_CODEC_FLAG_QSCALE;
      e.codec_->global_quality = FF_QP2LAMBDA * kVorbisQuality;
    }
    av_channel_layout_default(&e.codec_->ch_layout, channels);
    error = avcodec_open2(e.codec_, codec, nullptr);
    if (error < 0 && sink->failed == 0 && !lossless) {
      return Fail(ErrorCode::kInvalidArgument, name + " of " + std::to_string(bitrate) + " kbit/s is not made at " +
                                                   std::to_string(rate) + " Hz; choose another --bitrate.");
    }
    if (error >= 0) error = e.Begin(options.tags);
    if (error < 0) return e.Failed(error);
    return encoder;
  }

  ~AvEncoder() override {
    av_frame_free(&frame_);
    av_packet_free(&packet_);
    avcodec_free_context(&codec_);
    avformat_free_context(format_);
    if (io_ != nullptr) {
      av_freep(&io_->buffer);
      avio_context_free(&io_);
    }
  }

  Status Encode(const float* interleaved, int64_t frames) override {
    TIMBRE_CHECK(resampler_.Push(interleaved, frames, &waiting_));
    return Send(false);
  }

  Status Finish() override {
    TIMBRE_CHECK(resampler_.Finish(&waiting_));
    TIMBRE_CHECK(Send(true));
    if (const int error = avcodec_send_frame(codec_, nullptr); error < 0) return Failed(error);
    TIMBRE_CHECK(Drain());
    if (const int error = av_write_trailer(format_); error < 0) return Failed(error);
    avio_flush(io_);
    if (sink_->failed != 0 || io_->error < 0) return Failed(io_->error);
    return {};
  }

 private:
  AvEncoder(Sink* sink, std::string path, Resampler resampler, int channels)
      : sink_(sink), path_(std::move(path)), resampler_(std::move(resampler)), channels_(channels) {}

#if LIBAVFORMAT_VERSION_MAJOR >= 61
  static int WriteBytes(void* sink, const uint8_t* bytes, int count) {
#else
  static int WriteBytes(void* sink, uint8_t* bytes, int count) {
#endif
    Sink& s = *static_cast<Sink*>(sink);
    return s.Write(bytes, static_cast<size_t>(count)) ? count : AVERROR(s.failed);
  }
  static int64_t SeekBytes(void* sink, int64_t offset, int whence) {
    Sink& s = *static_cast<Sink*>(sink);
    whence &= ~AVSEEK_FORCE;
    return whence == AVSEEK_SIZE ? s.Size() : s.Seek(offset, whence);
  }

  // That of the encoder's own which holds samples of `packed`, side by side or not.
  static AVSampleFormat SampleFormatOf(const AVCodec& codec, AVSampleFormat packed) {
#if LIBAVCODEC_VERSION_INT >= AV_VERSION_INT(61, 13, 100)
    const void* all = nullptr;
    avcodec_get_supported_config(nullptr, &codec, AV_CODEC_CONFIG_SAMPLE_FORMAT, 0, &all, nullptr);
    const auto* known = static_cast<const AVSampleFormat*>(all);
#else
    const AVSampleFormat* known = codec.sample_fmts;
#endif
    for (; known != nullptr && *known != AV_SAMPLE_FMT_NONE; ++known) {
      if (av_get_packed_sample_fmt(*known) == packed) return *known;
    }
    return packed;
  }

  // Makes the streams and writes what goes before the sound. An error of FFmpeg's, or 0.
  int Begin(const AudioTags& tags) {
    AVStream* const stream = avformat_new_stream(format_, nullptr);
    if (stream == nullptr) return AVERROR(ENOMEM);
    stream->time_base = codec_->time_base;
    int error = avcodec_parameters_from_context(stream->codecpar, codec_);
    for (const auto& [key, value] : tags.text) {
      if (error >= 0) error = av_dict_set(&format_->metadata, key.c_str(), value.c_str(), 0);
    }
    const bool ogg =
        std::string_view(format_->oformat->name) == "ogg" || std::string_view(format_->oformat->name) == "opus";
    AVStream* picture = nullptr;
    const bool pictures = ogg || format_->oformat->video_codec != AV_CODEC_ID_NONE;
    if (error >= 0 && pictures && !tags.cover.empty()) {
      if (ogg) {
        error = av_dict_set(&format_->metadata, "METADATA_BLOCK_PICTURE", PictureBlock(tags).c_str(), 0);
      } else {
        picture = avformat_new_stream(format_, nullptr);
        if (picture == nullptr) return AVERROR(ENOMEM);
        picture->codecpar->codec_type = AVMEDIA_TYPE_VIDEO;
        picture->codecpar->codec_id = tags.png ? AV_CODEC_ID_PNG : AV_CODEC_ID_MJPEG;
        std::tie(picture->codecpar->width, picture->codecpar->height) = SizeOfCover(tags);
        picture->disposition |= AV_DISPOSITION_ATTACHED_PIC;
        error = av_dict_set(&picture->metadata, "comment", "Cover (front)", 0);
      }
    }
    // MP4 tells lengths in this unit: in another than samples it would round them.
    AVDictionary* settings = nullptr;
    if (error >= 0) error = av_dict_set_int(&settings, "movie_timescale", codec_->sample_rate, 0);
    if (error >= 0) error = avformat_write_header(format_, &settings);
    av_dict_free(&settings);
    if (error >= 0 && picture != nullptr) {
      error = av_new_packet(packet_, static_cast<int>(tags.cover.size()));
      if (error < 0) return error;
      std::memcpy(packet_->data, tags.cover.data(), tags.cover.size());
      packet_->stream_index = picture->index;
      packet_->flags |= AV_PKT_FLAG_KEY;
      packet_->pts = packet_->dts = 0;
      error = av_write_frame(format_, packet_);
      av_packet_unref(packet_);
    }
    return error;
  }

  // A picture as Ogg's comments hold it: FLAC's block of one, in base64.
  static std::string PictureBlock(const AudioTags& tags) {
    std::string block;
    const auto number = [&](uint32_t value) {
      for (int shift = 24; shift >= 0; shift -= 8) block.push_back(static_cast<char>(value >> shift));
    };
    const std::string_view type = tags.png ? "image/png" : "image/jpeg";
    number(3);  // the front cover
    number(static_cast<uint32_t>(type.size()));
    block += type;
    for (int i = 0; i < 5; ++i) number(0);  // no description; width, height, depth and colours are not told
    number(static_cast<uint32_t>(tags.cover.size()));
    block.append(reinterpret_cast<const char*>(tags.cover.data()), tags.cover.size());
    std::string text(AV_BASE64_SIZE(block.size()), '\0');
    av_base64_encode(text.data(), static_cast<int>(text.size()), reinterpret_cast<const uint8_t*>(block.data()),
                     static_cast<int>(block.size()));
    text.resize(std::strlen(text.c_str()));
    return text;
  }

  tl::unexpected<Error> Failed(int error) const {
    return tl::unexpected(NotWritten(path_, sink_->failed, Reason(error)).error());
  }

  // Gives the encoder whole frames of what waits, and at the end the rest.
  Status Send(bool all) {
    const int64_t size = codec_->frame_size > 0 ? codec_->frame_size : kBlock;
    int64_t at = 0;
    const int64_t total = static_cast<int64_t>(waiting_.size()) / channels_;
    while (total - at >= size || (all && at < total)) {
      const int64_t count = std::min(size, total - at);
      frame_->nb_samples = static_cast<int>(count);
      frame_->format = codec_->sample_fmt;
      frame_->sample_rate = codec_->sample_rate;
      frame_->pts = sent_;
      int error = av_channel_layout_copy(&frame_->ch_layout, &codec_->ch_layout);
      if (error >= 0) error = av_frame_get_buffer(frame_, 0);
      if (error < 0) return Failed(error);
      const float* from = waiting_.data() + at * channels_;
      const bool planar = av_sample_fmt_is_planar(codec_->sample_fmt) != 0;
      switch (av_get_packed_sample_fmt(codec_->sample_fmt)) {
        case AV_SAMPLE_FMT_S16: Fill<int16_t>(from, count, channels_, planar, frame_); break;
        case AV_SAMPLE_FMT_S32: Fill<int32_t>(from, count, channels_, planar, frame_); break;
        default: Fill<float>(from, count, channels_, planar, frame_); break;
      }
      error = avcodec_send_frame(codec_, frame_);
      av_frame_unref(frame_);
      if (error < 0) return Failed(error);
      TIMBRE_CHECK(Drain());
      at += count;
      sent_ += count;
    }
    waiting_.erase(waiting_.begin(), waiting_.begin() + at * channels_);
    return {};
  }

  // Writes the packets that the encoder has ready.
  Status Drain() {
    for (;;) {
      int error = avcodec_receive_packet(codec_, packet_);
      if (error == AVERROR(EAGAIN) || error == AVERROR_EOF) return {};
      if (error >= 0) {
        packet_->stream_index = 0;  // that of the sound
        av_packet_rescale_ts(packet_, codec_->time_base, format_->streams[0]->time_base);
        error = av_write_frame(format_, packet_);
        av_packet_unref(packet_);
      }
      if (error < 0 || sink_->failed != 0) return Failed(error);
    }
  }

  Sink* sink_;
  std::string path_;
  Resampler resampler_;
  int channels_;
  AVFormatContext* format_ = nullptr;
  AVCodecContext* codec_ = nullptr;
  AVIOContext* io_ = nullptr;
  AVPacket* packet_ = nullptr;
  AVFrame* frame_ = nullptr;
  std::vector<float> waiting_;  // resampled, not yet a whole frame
  int64_t sent_ = 0;            // frames
};

class FileWriter : public AudioWriter {
 public:
  // Into `file`, which `sink` is the descriptor of; none: a stream.
  FileWriter(std::optional<AtomicFile> file, Sink sink, ClipMode clip, int channels)
      : file_(std::move(file)), clip_(clip), channels_(channels), sink_(std::move(sink)), block_(kBlock * channels) {}

  Status Open(const WriteOptions& options, int sample_rate) {
    sample_rate_ = sample_rate;
    report_.sample_rate = NearestFileRate(options.format, sample_rate);
    auto create = options.format == FileFormat::kWav && !sink_.stream ? PcmEncoder::Create : AvEncoder::Create;
    TIMBRE_TRY(encoder_, create(&sink_, path(), options, sample_rate, channels_));
    if (clip_ != ClipMode::kRescale) return {};
    const std::string beside = sink_.stream ? LargeTemporaryFolder() : FolderOf(path());
    auto spilled = TemporaryFile::Nameless(options.temp_dir.empty() ? beside : options.temp_dir);
    if (!spilled) return Prefix(spilled.error(), "'" + path() + "' could not be written");
    spilled_ = *std::move(spilled);
    samples_ = {.fd = spilled_->fd(), .path = path()};
    return {};
  }

  Status Write(const float* interleaved, int64_t frames) override {
    if (encoder_ == nullptr) return Fail(ErrorCode::kInternal, "'" + path() + "' was written to after its end.");
    const int64_t values = frames * channels_;
    const float peak = LargestMagnitude(interleaved, values);
    if (!std::isfinite(peak)) {
      const auto* bad = std::find_if(interleaved, interleaved + values, [](float v) { return !std::isfinite(v); });
      return Fail(ErrorCode::kInternal, "Sample " + std::to_string(report_.frames + (bad - interleaved) / channels_) +
                                            " of '" + path() + "' is not a finite number.");
    }
    report_.peak = std::max(report_.peak, peak);
    report_.frames += frames;
    if (clip_ == ClipMode::kNone) return encoder_->Encode(interleaved, frames);
    if (clip_ == ClipMode::kRescale) {
      // Many small pieces cost a call of the system each.
      held_.insert(held_.end(), interleaved, interleaved + values);
      return held_.size() < kMostHeld ? Status() : Spill();
    }
    for (int64_t at = 0; at < frames; at += kBlock) {
      const int64_t count = std::min(kBlock, frames - at);
      for (int64_t i = 0; i < count * channels_; ++i) {
        block_[i] = std::clamp(interleaved[at * channels_ + i], -0.99f, 0.99f);
      }
      TIMBRE_CHECK(encoder_->Encode(block_.data(), count));
    }
    return {};
  }

  float peak() const override { return report_.peak; }

  Result<WriteReport> Finish(std::optional<float> gain) override {
    if (encoder_ == nullptr) return Fail(ErrorCode::kInternal, "'" + path() + "' was completed twice.");
    if (clip_ == ClipMode::kRescale) {
      TIMBRE_CHECK(Rescale(gain.value_or(1.0f / std::max(1.0f, 1.01f * report_.peak))));
    } else if (gain) {
      return Fail(ErrorCode::kInternal, "'" + path() + "' was written before its gain was known.");
    }
    TIMBRE_CHECK(encoder_->Finish());
    encoder_.reset();
    if (file_) TIMBRE_CHECK(file_->Commit());
    WriteReport report = report_;
    report.frames = ResampledLength(report_.frames, sample_rate_, report_.sample_rate);
    return report;
  }

 private:
  const std::string& path() const { return sink_.path; }

  Status Spill() {
    if (!samples_.Write(held_.data(), held_.size() * sizeof(float))) return NotWritten(path(), samples_.failed, "");
    held_.clear();
    return {};
  }

  // The second pass: reads the samples back, scaled.
  Status Rescale(float gain) {
    report_.gain = gain;
    TIMBRE_CHECK(Spill());
    if (samples_.Seek(0, SEEK_SET) < 0) return NotWritten(path(), samples_.failed, "");
    for (int64_t at = 0; at < report_.frames; at += kBlock) {
      const int64_t count = std::min(kBlock, report_.frames - at);
      char* to = reinterpret_cast<char*>(block_.data());
      size_t left = static_cast<size_t>(count) * channels_ * sizeof(float);
      while (left > 0) {
        const ssize_t got = read(samples_.fd, to, left);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return NotWritten(path(), got < 0 ? errno : 0, "its temporary samples are gone");
        to += got;
        left -= static_cast<size_t>(got);
      }
      for (int64_t i = 0; i < count * channels_; ++i) block_[i] *= report_.gain;
      TIMBRE_CHECK(encoder_->Encode(block_.data(), count));
    }
    return {};
  }

  std::optional<AtomicFile> file_;
  ClipMode clip_;
  int channels_;
  int sample_rate_ = 0;                   // of what is written to it
  Sink sink_;                             // file_'s, or the stream's, for the encoder; outlives it
  std::optional<TemporaryFile> spilled_;  // with kRescale: all samples, raw
  Sink samples_;                          // spilled_'s
  std::unique_ptr<Encoder> encoder_;
  std::vector<float> held_;  // with kRescale: the last samples, on their way to samples_
  std::vector<float> block_;
  WriteReport report_;  // its frames are those written so far
};

constexpr std::pair<std::string_view, FileFormat> kFileFormats[] = {
    {"wav", FileFormat::kWav},    {"flac", FileFormat::kFlac}, {"mp3", FileFormat::kMp3},  {"opus", FileFormat::kOpus},
    {"ogg", FileFormat::kVorbis}, {"m4a", FileFormat::kAac},   {"alac", FileFormat::kAlac}};
constexpr std::pair<std::string_view, SampleFormat> kSampleFormats[] = {
    {"s16", SampleFormat::kS16}, {"s24", SampleFormat::kS24}, {"f32", SampleFormat::kF32}};
constexpr std::pair<std::string_view, ClipMode> kClipModes[] = {
    {"rescale", ClipMode::kRescale}, {"clamp", ClipMode::kClamp}, {"none", ClipMode::kNone}};

}  // namespace

Result<FileFormat> ParseFileFormat(std::string_view name) {
  return Parse<FileFormat>("audio format", name, kFileFormats);
}
Result<SampleFormat> ParseSampleFormat(std::string_view name) {
  return Parse<SampleFormat>("sample format", name, kSampleFormats);
}
Result<ClipMode> ParseClipMode(std::string_view name) { return Parse<ClipMode>("clip mode", name, kClipModes); }

bool IsLossless(FileFormat format) {
  return format == FileFormat::kWav || format == FileFormat::kFlac || format == FileFormat::kAlac;
}

int NearestFileRate(FileFormat format, int sample_rate) {
  const auto row =
      std::find_if(std::begin(kCodecs), std::end(kCodecs), [&](const Codec& known) { return known.format == format; });
  return row == std::end(kCodecs) ? sample_rate : RateFor(*row, sample_rate);
}

bool CanStream(FileFormat format) {
  return format == FileFormat::kWav || format == FileFormat::kFlac || format == FileFormat::kVorbis ||
         format == FileFormat::kOpus;
}

int64_t ExpectedFileBytes(const WriteOptions& options, int64_t frames, int sample_rate, int channels) {
  if (IsLossless(options.format)) {
    const int bytes = options.sample_format == SampleFormat::kS16   ? 2
                      : options.sample_format == SampleFormat::kS24 ? 3
                                                                    : 4;
    return frames * channels * bytes;
  }
  const auto row = std::find_if(std::begin(kCodecs), std::end(kCodecs),
                                [&](const Codec& known) { return known.format == options.format; });
  const int usual = row->usual > 0 ? row->usual : kVorbisUsual;
  const double seconds = static_cast<double>(frames) / sample_rate;
  return static_cast<int64_t>(seconds * 1000 / 8 * (options.bitrate > 0 ? options.bitrate : usual));
}

std::string_view FileExtension(FileFormat format) {
  switch (format) {
    case FileFormat::kWav: return "wav";
    case FileFormat::kFlac: return "flac";
    case FileFormat::kMp3: return "mp3";
    case FileFormat::kOpus: return "opus";
    case FileFormat::kVorbis: return "ogg";
    case FileFormat::kAac:
    case FileFormat::kAlac: return "m4a";
  }
  return "";
}

namespace {

Status CheckAudio(const std::string& path, int sample_rate, int channels) {
  if (channels >= 1 && channels <= kMaxChannels && sample_rate >= 1000 && sample_rate <= kMostRate) return {};
  return Fail(ErrorCode::kInvalidArgument, "Audio of " + std::to_string(channels) + " channels at " +
                                               std::to_string(sample_rate) + " Hz cannot be written to '" + path +
                                               "'.");
}

}  // namespace

Result<std::unique_ptr<AudioWriter>> AudioWriter::Create(const std::string& path, const WriteOptions& options,
                                                         int sample_rate, int channels, OutputSet* outputs) {
  TIMBRE_CHECK(CheckAudio(path, sample_rate, channels));
  TIMBRE_TRY(AtomicFile file, AtomicFile::Create(path, outputs));
  Sink sink = {.fd = file.fd(), .path = path};
  auto writer = std::make_unique<FileWriter>(std::move(file), std::move(sink), options.clip, channels);
  TIMBRE_CHECK(writer->Open(options, sample_rate));
  return writer;
}

Result<std::unique_ptr<AudioWriter>> AudioWriter::Stream(int fd, const std::string& name, const WriteOptions& options,
                                                         int sample_rate, int channels,
                                                         std::function<bool()> cancelled) {
  TIMBRE_CHECK(CheckAudio(name, sample_rate, channels));
  if (!CanStream(options.format)) {
    return Fail(ErrorCode::kInvalidArgument, "'" + name + "' is a stream, and " +
                                                 std::string(FileExtension(options.format)) +
                                                 " files are not written from front to end; choose WAV or FLAC.");
  }
  Sink sink = {.fd = fd, .path = name, .stream = true, .cancelled = std::move(cancelled)};
  auto writer = std::make_unique<FileWriter>(std::nullopt, std::move(sink), options.clip, channels);
  TIMBRE_CHECK(writer->Open(options, sample_rate));
  return writer;
}

}  // namespace timbre
