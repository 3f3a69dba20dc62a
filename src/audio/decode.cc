#include "audio/decode.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <mutex>

#include "base/log.h"

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/channel_layout.h>
#include <libavutil/log.h>
#include <libavutil/mem.h>
}

namespace timbre {
namespace {

constexpr int kMaxChannels = 64;
constexpr int kMinRate = 1000, kMaxRate = 768000;
// What one allocation of FFmpeg's may take: a header may not ask for more, whatever it declares.
constexpr size_t kMaxAllocation = size_t{1} << 28;
constexpr int kIoBuffer = 1 << 16;

// FFmpeg prints to the error stream unless told otherwise, and a library doesn't print.
void LogFromFfmpeg(void* object, int level, const char* format, va_list arguments) {
  if (level > AV_LOG_WARNING) return;
  char line[512];
  int prefix = 1;
  av_log_format_line2(object, level, format, arguments, line, sizeof(line), &prefix);
  const size_t length = std::strcspn(line, "\n");
  Log(LogLevel::kDebug, std::string_view(line, length));
}

void PrepareFfmpeg() {
  static std::once_flag once;
  std::call_once(once, [] {
    av_log_set_callback(LogFromFfmpeg);
    av_max_alloc(kMaxAllocation);
  });
}

std::string Reason(int error) {
  char text[AV_ERROR_MAX_STRING_SIZE] = {};
  av_strerror(error, text, sizeof(text));
  return text;
}

tl::unexpected<Error> NoMemory(const std::string& name) {
  return Fail(ErrorCode::kOutOfMemory, "There is no memory left to read '" + name + "'.");
}

std::string At(double seconds) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.2f s", seconds);
  return text;
}

Speaker SpeakerOf(AVChannel channel) {
  switch (channel) {
    case AV_CHAN_FRONT_LEFT:
    case AV_CHAN_STEREO_LEFT: return Speaker::kFrontLeft;
    case AV_CHAN_FRONT_RIGHT:
    case AV_CHAN_STEREO_RIGHT: return Speaker::kFrontRight;
    case AV_CHAN_FRONT_CENTER: return Speaker::kFrontCenter;
    case AV_CHAN_LOW_FREQUENCY: return Speaker::kLowFrequency;
    case AV_CHAN_BACK_LEFT: return Speaker::kBackLeft;
    case AV_CHAN_BACK_RIGHT: return Speaker::kBackRight;
    case AV_CHAN_BACK_CENTER: return Speaker::kBackCenter;
    case AV_CHAN_SIDE_LEFT: return Speaker::kSideLeft;
    case AV_CHAN_SIDE_RIGHT: return Speaker::kSideRight;
    case AV_CHAN_FRONT_LEFT_OF_CENTER: return Speaker::kFrontLeftOfCenter;
    case AV_CHAN_FRONT_RIGHT_OF_CENTER: return Speaker::kFrontRightOfCenter;
    default: return Speaker::kOther;
  }
}

// One speaker a channel; a count without a layout gets the usual one for it.
std::vector<Speaker> SpeakersOf(const AVChannelLayout& given) {
  AVChannelLayout layout = {};
  const bool named = given.order != AV_CHANNEL_ORDER_UNSPEC;
  if (!named) av_channel_layout_default(&layout, given.nb_channels);
  std::vector<Speaker> speakers;
  speakers.reserve(static_cast<size_t>(given.nb_channels));
  for (int c = 0; c < given.nb_channels; ++c) {
    speakers.push_back(
        SpeakerOf(av_channel_layout_channel_from_index(named ? &given : &layout, static_cast<unsigned>(c))));
  }
  av_channel_layout_uninit(&layout);
  return speakers;
}

// Sample `i` of a plane as a float of full scale 1.
float ToFloat(uint8_t v) { return (static_cast<float>(v) - 128.0f) / 128.0f; }
float ToFloat(int16_t v) { return static_cast<float>(v) / 32768.0f; }
float ToFloat(int32_t v) { return static_cast<float>(static_cast<double>(v) / 2147483648.0); }
float ToFloat(int64_t v) { return static_cast<float>(static_cast<double>(v) / 9223372036854775808.0); }
float ToFloat(float v) { return v; }
float ToFloat(double v) { return static_cast<float>(v); }

template <typename T>
void Convert(const AVFrame& frame, bool planar, int channels, int64_t first, int64_t count, float* out) {
  for (int c = 0; c < channels; ++c) {
    const int step = planar ? 1 : channels;
    const T* in = reinterpret_cast<const T*>(frame.extended_data[planar ? c : 0]) + (planar ? 0 : c) + first * step;
    for (int64_t i = 0; i < count; ++i) out[i * channels + c] = ToFloat(in[i * step]);
  }
}

}  // namespace

// The bytes of a file or of a stretch of memory.
struct AudioReader::Source {
  std::string name;
  int fd = -1;
  std::span<const std::byte> bytes;
  int64_t position = 0, size = 0;
  int failed = 0;  // errno of a read that failed

  ~Source() {
    if (fd >= 0) close(fd);
  }

  static int Read(void* self, uint8_t* to, int count) {
    Source& s = *static_cast<Source*>(self);
    if (s.fd >= 0) {
      ssize_t got;
      do {
        got = pread(s.fd, to, static_cast<size_t>(count), s.position);
      } while (got < 0 && errno == EINTR);
      if (got < 0) {
        s.failed = errno;
        return AVERROR(errno);
      }
      s.position += got;
      return got == 0 ? AVERROR_EOF : static_cast<int>(got);
    }
    const int64_t left = std::min<int64_t>(count, s.size - s.position);
    if (left <= 0) return AVERROR_EOF;
    std::memcpy(to, s.bytes.data() + s.position, static_cast<size_t>(left));
    s.position += left;
    return static_cast<int>(left);
  }

  static int64_t Seek(void* self, int64_t offset, int whence) {
    Source& s = *static_cast<Source*>(self);
    whence &= ~AVSEEK_FORCE;
    if (whence == AVSEEK_SIZE) return s.size;
    const int64_t base = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? s.position : s.size;
    if (offset < -base || offset > INT64_MAX - base) return AVERROR(EINVAL);
    return s.position = base + offset;
  }
};

// FFmpeg's objects, freed in the order they need.
struct AudioReader::Decoder {
  AVIOContext* io = nullptr;
  AVFormatContext* format = nullptr;
  AVCodecContext* codec = nullptr;
  AVPacket* packet = nullptr;
  AVFrame* frame = nullptr;
  int stream = -1;
  bool flushing = false;
  bool vorbis = false;    // in Ogg
  int64_t unsounded = 0;  // frames of a first Vorbis packet that were counted though they don't exist

  ~Decoder() {
    av_frame_free(&frame);
    av_packet_free(&packet);
    avcodec_free_context(&codec);
    avformat_close_input(&format);
    if (io != nullptr) {
      av_freep(&io->buffer);
      avio_context_free(&io);
    }
  }
};

AudioReader::AudioReader() = default;
AudioReader::~AudioReader() = default;

// Opens the container with its demuxer's option advanced_editlist (of MP4 and MOV; others have none) as given.
Status AudioReader::OpenContainer(Source* source, const char* edit_lists, Decoder* d) {
  const std::string quoted = "'" + source->name + "'";
  source->position = 0;
  auto* buffer = static_cast<unsigned char*>(av_malloc(kIoBuffer));
  if (buffer == nullptr) return NoMemory(source->name);
  d->io = avio_alloc_context(buffer, kIoBuffer, 0, source, &Source::Read, nullptr, &Source::Seek);
  if (d->io == nullptr) {
    av_free(buffer);
    return NoMemory(source->name);
  }
  d->format = avformat_alloc_context();
  if (d->format == nullptr) return NoMemory(source->name);
  d->format->pb = d->io;
  // Playlists and the like name other files and addresses: none is ever opened.
  d->format->io_open = [](AVFormatContext*, AVIOContext**, const char*, int, AVDictionary**) { return AVERROR(EPERM); };
  AVDictionary* options = nullptr;
  av_dict_set(&options, "advanced_editlist", edit_lists, 0);
  int error = avformat_open_input(&d->format, source->name.c_str(), nullptr, &options);
  av_dict_free(&options);
  if (error == 0) error = avformat_find_stream_info(d->format, nullptr);
  if (source->failed != 0) {
    return Fail(ErrorCode::kIo, quoted + " could not be read: " + std::strerror(source->failed) + ".");
  }
  if (error < 0) {
    return Fail(ErrorCode::kCorrupt, quoted + " is no audio file that can be read (" + Reason(error) +
                                         "); it may be damaged or of another kind.");
  }
  return {};
}

// Where the audio of an MP4 ends, in frames; 0 where the container doesn't say. FFmpeg cuts an encoder's delay off, but
// decodes the last packet whole. The edit list tells the end in the file's own ticks, often milliseconds; where the
// media's own length, in samples, is the same but for that rounding, it is the exact one.
int64_t AudioReader::Mp4End() {
  const Decoder& d = *decoder_;
  const AVStream& stream = *d.format->streams[d.stream];
  const AVRational samples{1, info_.sample_rate};
  if (std::strstr(d.format->iformat->name, "mp4") == nullptr || stream.nb_frames <= 0 || stream.duration <= 0 ||
      stream.time_base.num != 1 || 2 * int64_t{stream.time_base.den} < info_.sample_rate) {
    return 0;
  }
  const int64_t edited = av_rescale_q(stream.duration, stream.time_base, samples);
  // iTunes tells it apart: " 00000000 DELAY PADDING LENGTH …", hexadecimal.
  unsigned long long length = 0;
  const AVDictionaryEntry* gapless = av_dict_get(d.format->metadata, "iTunSMPB", nullptr, 0);
  if (gapless != nullptr && std::sscanf(gapless->value, " %*x %*x %*x %llx", &length) == 1 &&
      std::llabs(static_cast<long long>(length) - edited) < 8192) {
    return static_cast<int64_t>(length);
  }
  Source source;
  source.name = source_->name;
  source.fd = source_->fd < 0 ? -1 : fcntl(source_->fd, F_DUPFD_CLOEXEC, 0);
  source.bytes = source_->bytes;
  source.size = source_->size;
  if (source_->fd >= 0 && source.fd < 0) return edited;
  Decoder plain;
  if (!OpenContainer(&source, "0", &plain) || static_cast<unsigned>(d.stream) >= plain.format->nb_streams)
    return edited;
  const AVStream& media = *plain.format->streams[d.stream];
  for (unsigned i = 0; i < plain.format->nb_streams; ++i) {
    if (static_cast<int>(i) != d.stream) plain.format->streams[i]->discard = AVDISCARD_ALL;
  }
  plain.packet = av_packet_alloc();
  // The first packet lies before 0 by the encoder's delay.
  if (plain.packet == nullptr || media.duration <= 0 || av_read_frame(plain.format, plain.packet) < 0 ||
      plain.packet->stream_index != d.stream || plain.packet->pts == AV_NOPTS_VALUE) {
    return edited;
  }
  const int64_t whole =
      av_rescale_q(media.duration + std::min<int64_t>(0, plain.packet->pts), media.time_base, samples);
  return std::llabs(whole - edited) <= info_.sample_rate / 500 ? whole : edited;
}

Result<std::unique_ptr<AudioReader>> AudioReader::Open(const std::string& path) {
  auto source = std::make_unique<Source>();
  source->name = path;
  // Without O_NONBLOCK opening a pipe would wait for its writer.
  source->fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  struct stat info = {};
  if (source->fd < 0 || fstat(source->fd, &info) != 0) {
    if (errno == ENOENT) return Fail(ErrorCode::kNotFound, "'" + path + "' does not exist; check the name.");
    return Fail(ErrorCode::kIo, "'" + path + "' could not be opened: " + std::strerror(errno) + ".");
  }
  if (S_ISDIR(info.st_mode)) {
    return Fail(ErrorCode::kInvalidArgument, "'" + path + "' is a folder; give an audio file.");
  }
  if (!S_ISREG(info.st_mode)) {
    return Fail(ErrorCode::kInvalidArgument, "'" + path + "' is no regular file; give an audio file.");
  }
  source->size = info.st_size;
  return OpenSource(std::move(source));
}

Result<std::unique_ptr<AudioReader>> AudioReader::OpenMemory(std::span<const std::byte> bytes,
                                                             const std::string& name) {
  auto source = std::make_unique<Source>();
  source->name = name;
  source->bytes = bytes;
  source->size = static_cast<int64_t>(bytes.size());
  return OpenSource(std::move(source));
}

Result<std::unique_ptr<AudioReader>> AudioReader::OpenSource(std::unique_ptr<Source> source) {
  PrepareFfmpeg();
  if (source->size == 0) return Fail(ErrorCode::kCorrupt, "'" + source->name + "' is empty; give an audio file.");
  std::unique_ptr<AudioReader> reader(new AudioReader);
  reader->source_ = std::move(source);
  TIMBRE_CHECK(reader->Start());
  return reader;
}

Status AudioReader::Start() {
  const std::string quoted = "'" + source_->name + "'";
  decoder_ = std::make_unique<Decoder>();
  Decoder& d = *decoder_;
  source_->failed = 0;
  pending_.clear();
  taken_ = 0;
  position_ = decoded_ = damaged_ = end_ = 0;
  ended_ = false;
  warning_.clear();

  TIMBRE_CHECK(OpenContainer(source_.get(), "1", &d));
  const AVCodec* codec = nullptr;
  d.stream = av_find_best_stream(d.format, AVMEDIA_TYPE_AUDIO, -1, -1, &codec, 0);
  if (d.stream == AVERROR_DECODER_NOT_FOUND) {
    return Fail(ErrorCode::kUnsupported, quoted + " holds audio of a kind that FFmpeg's libraries here don't decode.");
  }
  if (d.stream < 0)
    return Fail(ErrorCode::kCorrupt, quoted + " holds no audio; give an audio file, or a video with sound.");
  for (unsigned i = 0; i < d.format->nb_streams; ++i) {
    if (static_cast<int>(i) != d.stream) d.format->streams[i]->discard = AVDISCARD_ALL;
  }
  const AVStream& stream = *d.format->streams[d.stream];
  d.codec = avcodec_alloc_context3(codec);
  d.packet = av_packet_alloc();
  d.frame = av_frame_alloc();
  if (d.codec == nullptr || d.packet == nullptr || d.frame == nullptr) return NoMemory(source_->name);
  int error = avcodec_parameters_to_context(d.codec, stream.codecpar);
  d.codec->pkt_timebase = stream.time_base;  // by which encoder delay and padding are cut off
  d.vorbis = codec->id == AV_CODEC_ID_VORBIS && std::strcmp(d.format->iformat->name, "ogg") == 0;
  if (d.vorbis) d.codec->flags2 |= AV_CODEC_FLAG2_SKIP_MANUAL;  // done in Append
  if (error >= 0) error = avcodec_open2(d.codec, codec, nullptr);
  if (error < 0) {
    return Fail(ErrorCode::kCorrupt, quoted + " cannot be decoded as " + codec->name + " (" + Reason(error) + ").");
  }
  info_ = {};
  info_.format = std::string(codec->name) + " in " + d.format->iformat->name;

  // The first frame says what the stream is; headers may say otherwise.
  TIMBRE_CHECK(Fill());
  if (pending_.empty()) {
    return Fail(ErrorCode::kCorrupt, quoted + " holds no samples that can be decoded; it may be damaged or empty.");
  }
  end_ = Mp4End();
  if (end_ > 0) {
    info_.expected_frames = end_;
    if (decoded_ > end_) {
      pending_.resize(static_cast<size_t>(end_) * info_.channels);
      decoded_ = end_;
    }
  } else if (stream.duration > 0) {
    info_.expected_frames = av_rescale_q(stream.duration, stream.time_base, {1, info_.sample_rate});
  } else if (d.format->duration > 0) {
    info_.expected_frames = av_rescale(d.format->duration, info_.sample_rate, AV_TIME_BASE);
  }
  return {};
}

double AudioReader::Seconds() const {
  return info_.sample_rate > 0 ? static_cast<double>(decoded_) / info_.sample_rate : 0.0;
}

// Which of the decoded frame's samples belong to the audio.
AudioReader::Part AudioReader::Keep() {
  Decoder& d = *decoder_;
  const AVFrame& frame = *d.frame;
  Part part{.count = frame.nb_samples};
  if (d.vorbis) {
    // A Vorbis stream's first packet gives no samples. Where its page doesn't say so, FFmpeg counts them all the same,
    // and would cut as many too many from the end.
    if (decoded_ == 0 && frame.pts > 0 && frame.pts <= 8192) d.unsounded = frame.pts;
    const AVFrameSideData* skip = av_frame_get_side_data(&frame, AV_FRAME_DATA_SKIP_SAMPLES);
    if (skip != nullptr && skip->size >= 8) {
      // At the beginning, which is that first packet where the decoder gives it out (FFmpeg 7), and at the end.
      const auto number = [&](int at) {  // little-endian
        uint32_t value = 0;
        for (int i = 3; i >= 0; --i) value = value << 8 | skip->data[at + i];
        return static_cast<int64_t>(value);
      };
      part.first = std::min(number(0), part.count);
      part.count -= part.first + std::max<int64_t>(0, number(4) - d.unsounded);
    }
  }
  if (end_ > 0) part.count = std::min(part.count, end_ - decoded_);
  return part;
}

Status AudioReader::Append() {
  const AVFrame& frame = *decoder_->frame;
  const int channels = frame.ch_layout.nb_channels;
  const auto [first, count] = Keep();
  if (count <= 0) return {};
  if (info_.channels == 0) {
    if (channels < 1 || channels > kMaxChannels || frame.sample_rate < kMinRate || frame.sample_rate > kMaxRate) {
      return Fail(ErrorCode::kUnsupported, "'" + source_->name + "' has " + std::to_string(channels) + " channels at " +
                                               std::to_string(frame.sample_rate) +
                                               " Hz; 1 to 64 channels at 1000 to 768000 Hz can be read.");
    }
    info_.channels = channels;
    info_.sample_rate = frame.sample_rate;
    info_.speakers = SpeakersOf(frame.ch_layout);
  }
  const auto format = static_cast<AVSampleFormat>(frame.format);
  // A damaged header may pose as a frame of another kind.
  if (channels != info_.channels || frame.sample_rate != info_.sample_rate) {
    if (damaged_++ == 0) damaged_at_ = Seconds();
    return {};
  }
  pending_.resize(static_cast<size_t>(count) * channels);
  const bool planar = av_sample_fmt_is_planar(format) != 0;
  switch (av_get_packed_sample_fmt(format)) {
    case AV_SAMPLE_FMT_U8: Convert<uint8_t>(frame, planar, channels, first, count, pending_.data()); break;
    case AV_SAMPLE_FMT_S16: Convert<int16_t>(frame, planar, channels, first, count, pending_.data()); break;
    case AV_SAMPLE_FMT_S32: Convert<int32_t>(frame, planar, channels, first, count, pending_.data()); break;
    case AV_SAMPLE_FMT_S64: Convert<int64_t>(frame, planar, channels, first, count, pending_.data()); break;
    case AV_SAMPLE_FMT_FLT: Convert<float>(frame, planar, channels, first, count, pending_.data()); break;
    case AV_SAMPLE_FMT_DBL: Convert<double>(frame, planar, channels, first, count, pending_.data()); break;
    default:
      pending_.clear();
      return Fail(ErrorCode::kUnsupported, "'" + source_->name + "' decodes to an unknown kind of sample.");
  }
  for (size_t i = 0; i < pending_.size(); ++i) {
    if (std::isfinite(pending_[i])) continue;
    const int64_t at = decoded_ + static_cast<int64_t>(i) / channels;
    pending_.clear();
    return Fail(ErrorCode::kCorrupt, "'" + source_->name + "' holds a sample that is not a finite number, sample " +
                                         std::to_string(at) + " (" + At(static_cast<double>(at) / info_.sample_rate) +
                                         "); repair or re-export it.");
  }
  decoded_ += count;
  return {};
}

Status AudioReader::Fill() {
  Decoder& d = *decoder_;
  pending_.clear();
  taken_ = 0;
  while (pending_.empty() && !ended_) {
    const int got = avcodec_receive_frame(d.codec, d.frame);
    if (got == 0) {
      const Status status = Append();
      av_frame_unref(d.frame);
      TIMBRE_CHECK(status);
      continue;
    }
    if (got == AVERROR_EOF || (got != AVERROR(EAGAIN) && d.flushing)) {
      return End();
    }
    if (got == AVERROR(ENOMEM)) return NoMemory(source_->name);
    if (got != AVERROR(EAGAIN) && damaged_++ == 0) damaged_at_ = Seconds();
    const int read = av_read_frame(d.format, d.packet);
    if (read < 0) {
      // The end, or bytes that can't be read: the decoder may still hold samples.
      if (read != AVERROR_EOF && damaged_++ == 0) damaged_at_ = Seconds();
      d.flushing = true;
      avcodec_send_packet(d.codec, nullptr);
      continue;
    }
    if (d.packet->stream_index == d.stream) {
      const int sent = avcodec_send_packet(d.codec, d.packet);
      if (sent < 0 && sent != AVERROR(EAGAIN) && damaged_++ == 0) damaged_at_ = Seconds();
    }
    av_packet_unref(d.packet);
  }
  return {};
}

Status AudioReader::End() {
  ended_ = true;
  const Decoder& d = *decoder_;
  const std::string quoted = "'" + source_->name + "'";
  // What the header promised, where it is no estimate from the bit rate; containers round to their ticks and to
  // packets.
  const bool promised = d.format->duration_estimation_method != AVFMT_DURATION_FROM_BITRATE;
  const int64_t missing = info_.expected_frames - decoded_;
  if (source_->failed != 0) {
    return Fail(ErrorCode::kIo,
                quoted + " could not be read beyond " + At(Seconds()) + ": " + std::strerror(source_->failed) + ".");
  }
  if (promised && info_.expected_frames > 0 && missing > info_.sample_rate / 5 + 4096) {
    warning_ = quoted + " ends early, at " + At(Seconds()) + " of " +
               At(static_cast<double>(info_.expected_frames) / info_.sample_rate) + "; what is there was read.";
  } else if (damaged_ > 0) {
    warning_ = quoted + " is damaged in " + std::to_string(damaged_) + (damaged_ == 1 ? " place" : " places, first") +
               " at " + At(damaged_at_) + "; the rest was read.";
  }
  return {};
}

Result<int64_t> AudioReader::Read(float* out, int64_t frames) {
  int64_t done = 0;
  while (done < frames) {
    if (taken_ == pending_.size()) {
      if (ended_) break;
      TIMBRE_CHECK(Fill());
      continue;
    }
    const int64_t available = static_cast<int64_t>(pending_.size() - taken_) / info_.channels;
    const int64_t count = std::min(available, frames - done);
    std::copy_n(pending_.data() + taken_, count * info_.channels, out + done * info_.channels);
    taken_ += static_cast<size_t>(count) * info_.channels;
    done += count;
  }
  position_ += done;
  return done;
}

Status AudioReader::Rewind() {
  // Opening anew is exact where seeking is not: the decoder begins as it did before.
  return Start();
}

Result<AudioBuffer> ReadAudioFile(const std::string& path, int64_t max_frames) {
  TIMBRE_TRY(const std::unique_ptr<AudioReader> reader, AudioReader::Open(path));
  AudioBuffer buffer{.sample_rate = reader->info().sample_rate, .channels = reader->info().channels};
  constexpr int64_t kBlock = 1 << 16;
  std::vector<float> block(kBlock * buffer.channels);
  for (;;) {
    TIMBRE_TRY(const int64_t count, reader->Read(block.data(), kBlock));
    if (count == 0) break;
    if (buffer.frames() + count > max_frames) {
      return Fail(ErrorCode::kUnsupported,
                  "'" + path + "' is longer than the " + std::to_string(max_frames) + " samples that fit here.");
    }
    buffer.samples.insert(buffer.samples.end(), block.begin(), block.begin() + count * buffer.channels);
  }
  if (!reader->warning().empty()) Log(LogLevel::kWarning, reader->warning());
  return buffer;
}

}  // namespace timbre
