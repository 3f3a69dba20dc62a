#include "audio/decode.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <optional>
#include <utility>

#include "audio/allowed.h"
#include "audio/convert.h"
#include "audio/ffmpeg.h"
#include "audio/pcm_file.h"
#include "base/log.h"

namespace timbre {
namespace {

constexpr int kMaxChannels = 64;
constexpr int kMinRate = 1000, kMaxRate = 768000;
// What a file may make FFmpeg keep, whatever its headers declare.
constexpr int kMaxStreams = 256;
constexpr int64_t kMaxFrameSamples = int64_t{1} << 23;
constexpr int kIoBuffer = 1 << 16;
constexpr int64_t kPcmBlock = 4096;  // frames
constexpr double kLeap = 0.25;       // seconds of time stamps without samples that are worth a word

std::string Reason(int error) {
  char text[AV_ERROR_MAX_STRING_SIZE] = {};
  av_strerror(error, text, sizeof(text));
  return text;
}

tl::unexpected<Error> NoMemory(const std::string& name) {
  return Fail(ErrorCode::kOutOfMemory, "There is no memory left to read '" + name + "'.");
}

tl::unexpected<Error> NoSuchFormat(const std::string& name, int channels, int rate) {
  return Fail(ErrorCode::kUnsupported, "'" + name + "' has " + std::to_string(channels) + " channels at " +
                                           std::to_string(rate) +
                                           " Hz; 1 to 64 channels at 1000 to 768000 Hz can be read.");
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

std::vector<Speaker> UsualSpeakers(int channels) {
  if (channels == 1) return {Speaker::kFrontCenter};
  if (channels == 2) return {Speaker::kFrontLeft, Speaker::kFrontRight};
  AVChannelLayout layout = {};
  layout.order = AV_CHANNEL_ORDER_UNSPEC;
  layout.nb_channels = channels;
  return SpeakersOf(layout);
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

// What FFmpeg's input asks of a source.
int ReadBytes(void* source, uint8_t* to, int count) {
  auto& s = *static_cast<ByteSource*>(source);
  const int64_t got = s.Read(to, count);
  if (got < 0) return s.cancelled() ? AVERROR_EXIT : AVERROR(s.failed());
  return got == 0 ? AVERROR_EOF : static_cast<int>(got);
}

int64_t SeekBytes(void* source, int64_t offset, int whence) {
  auto& s = *static_cast<ByteSource*>(source);
  whence &= ~AVSEEK_FORCE;
  if (whence == AVSEEK_SIZE) return s.size();
  const int64_t base = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? s.position() : s.size();
  int64_t place = 0;
  if (__builtin_add_overflow(base, offset, &place) || !s.Seek(place)) return AVERROR(EINVAL);
  return place;
}

StreamFormat FormatOf(const AVFrame& frame) {
  return {.sample_rate = frame.sample_rate, .speakers = SpeakersOf(frame.ch_layout)};
}

// "2 channels at 44100 Hz"
std::string Describe(const StreamFormat& format) {
  return std::to_string(format.channels()) + (format.channels() == 1 ? " channel at " : " channels at ") +
         std::to_string(format.sample_rate) + " Hz";
}

// Whether a damaged header of this codec may pose as a frame of another format: those without a checksum.
bool MayMistakeFormat(AVCodecID codec) {
  return codec == AV_CODEC_ID_MP1 || codec == AV_CODEC_ID_MP2 || codec == AV_CODEC_ID_MP3 || codec == AV_CODEC_ID_AAC;
}

bool SameFormat(const AVFrame& a, const AVFrame& b) {
  return a.sample_rate == b.sample_rate && av_channel_layout_compare(&a.ch_layout, &b.ch_layout) == 0;
}

}  // namespace

// FFmpeg's objects, freed in the order they need.
struct AudioReader::Decoder {
  AVIOContext* io = nullptr;
  AVFormatContext* format = nullptr;
  AVCodecContext* codec = nullptr;
  AVPacket* packet = nullptr;
  AVFrame* frame = nullptr;
  AVFrame* last = nullptr;  // no samples: the format of the frame before
  AVFrame* held = nullptr;  // the first frame of another format, until a second one says that it is no damage
  int stream = -1;
  bool flushing = false;
  bool vorbis = false;    // in Ogg
  int64_t unsounded = 0;  // frames of a first Vorbis packet that were counted though they don't exist

  std::unique_ptr<PcmFile> pcm;              // in place of all of the above
  std::optional<FormatConverter> converter;  // from the stream's present format to its first; none where they are one
  std::vector<float> samples;                // of a frame, before the converter
  std::string change;                        // of the format, the first, for the warning
  int64_t next_pts = AV_NOPTS_VALUE;
  bool open_ended = false;     // the header doesn't tell the length
  int64_t gaps = 0;            // leaps of the time stamps
  double gap = 0, gap_at = 0;  // seconds, of the first

  ~Decoder() {
    if (io == nullptr) return;  // nothing was made, and FFmpeg's libraries may not have been opened
    av_frame_free(&held);
    av_frame_free(&last);
    av_frame_free(&frame);
    av_packet_free(&packet);
    avcodec_free_context(&codec);
    avformat_close_input(&format);
    av_freep(&io->buffer);
    avio_context_free(&io);
  }
};

AudioReader::AudioReader() = default;
AudioReader::~AudioReader() = default;

// Opens the container with its demuxer's option advanced_editlist (of MP4 and MOV; others have none) as given.
Status AudioReader::OpenContainer(ByteSource* source, const char* edit_lists, Decoder* d) {
  const std::string quoted = "'" + source->name() + "'";
  source->Restart();
  auto* buffer = static_cast<unsigned char*>(av_malloc(kIoBuffer));
  if (buffer == nullptr) return NoMemory(source->name());
  d->io = avio_alloc_context(buffer, kIoBuffer, 0, source, &ReadBytes, nullptr, &SeekBytes);
  if (d->io == nullptr) {
    av_free(buffer);
    return NoMemory(source->name());
  }
  // What kind of file it is comes first: a demuxer that is not on the list never sees it.
  const AVInputFormat* demuxer = nullptr;
  int error = av_probe_input_buffer2(d->io, &demuxer, source->name().c_str(), nullptr, 0, 0);
  TIMBRE_CHECK(source->Check());
  if (error >= 0 && demuxer != nullptr && !IsAllowedContainer(demuxer->name)) {
    return Fail(ErrorCode::kUnsupported, quoted + " is no audio file but of the kind '" + demuxer->name +
                                             "', which is not read; give an audio file, or a video with sound.");
  }
  d->format = error < 0 ? nullptr : avformat_alloc_context();
  if (error >= 0) {
    if (d->format == nullptr) return NoMemory(source->name());
    d->format->pb = d->io;
    d->format->max_streams = kMaxStreams;
    d->format->interrupt_callback = {
        .callback = [](void* s) { return static_cast<ByteSource*>(s)->Cancelled() ? 1 : 0; }, .opaque = source};
    // Playlists and the like name other files and addresses: none is ever opened, whatever a demuxer is made to do.
    d->format->io_open = [](AVFormatContext*, AVIOContext**, const char*, int, AVDictionary**) {
      return AVERROR(EPERM);
    };
    AVDictionary* options = nullptr;
    av_dict_set(&options, "format_whitelist", AllowedContainers().c_str(), 0);
    av_dict_set(&options, "codec_whitelist", AllowedDecoders().c_str(), 0);
    av_dict_set(&options, "protocol_whitelist", "none", 0);
    av_dict_set(&options, "advanced_editlist", edit_lists, 0);
    error = avformat_open_input(&d->format, source->name().c_str(), demuxer, &options);
    av_dict_free(&options);
  }
  if (error == 0) error = avformat_find_stream_info(d->format, nullptr);
  TIMBRE_CHECK(source->Check());
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
  const std::unique_ptr<ByteSource> again = source_->Again();
  Decoder plain;
  if (!OpenContainer(again.get(), "0", &plain) || static_cast<unsigned>(d.stream) >= plain.format->nb_streams)
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

Result<std::unique_ptr<AudioReader>> AudioReader::Open(const std::string& path, const ReadOptions& options) {
  TIMBRE_TRY(auto source, ByteSource::Open(path, options.temporary_folder, options.cancelled));
  return OpenSource(std::move(source), options.part);
}

Result<std::unique_ptr<AudioReader>> AudioReader::OpenMemory(std::span<const std::byte> bytes, const std::string& name,
                                                             const ReadOptions& options) {
  return OpenSource(ByteSource::OfMemory(bytes, name, options.cancelled), options.part);
}

Result<std::unique_ptr<AudioReader>> AudioReader::OpenSource(std::unique_ptr<ByteSource> source,
                                                             const AudioPart& part) {
  if (source->size() == 0) {
    const std::string quoted = "'" + source->name() + "'";
    return Fail(ErrorCode::kCorrupt, source->piped() ? "the pipe " + quoted + " ended without audio; pipe some into it."
                                                     : quoted + " is empty; give an audio file.");
  }
  std::unique_ptr<AudioReader> reader(new AudioReader);
  reader->source_ = std::move(source);
  reader->part_ = part;
  TIMBRE_CHECK(reader->Start());
  return reader;
}

Status AudioReader::Start() {
  TIMBRE_CHECK(StartStream());
  skipped_ = 0;
  first_ = std::llround(part_.start * info_.sample_rate);
  // Ends are rounded, not lengths: parts that meet have no frame twice.
  if (part_.length > 0) {
    most_ = std::max<int64_t>(1, std::llround((part_.start + part_.length) * info_.sample_rate) - first_);
  }
  promised_ = info_.expected_frames;
  if (promised_ == 0) return {};
  info_.expected_frames = std::max<int64_t>(0, promised_ - first_);
  if (most_ >= 0) info_.expected_frames = std::min(info_.expected_frames, most_);
  return {};
}

Status AudioReader::StartStream() {
  const std::string quoted = "'" + source_->name() + "'";
  decoder_ = std::make_unique<Decoder>();
  Decoder& d = *decoder_;
  pending_.clear();
  taken_ = 0;
  position_ = decoded_ = damaged_ = end_ = promised_ = 0;
  ended_ = false;
  warning_.clear();
  info_ = {};

  d.pcm = PcmFile::OpenIfPlain(source_.get());
  TIMBRE_CHECK(source_->Check());
  if (d.pcm != nullptr) return StartPcm();
  TIMBRE_CHECK(LoadFfmpeg());
  OpenEmptyRf64(source_.get());
  d.open_ended = LengthIsOpen(source_.get());
  d.pcm = PcmFile::OpenIfDoubtful(source_.get());
  TIMBRE_CHECK(source_->Check());
  // libsndfile's place in the file, which FFmpeg's reading moves.
  const int64_t place = source_->position();
  Status opened = OpenContainer(source_.get(), "1", &d);
  if (!opened && (d.pcm == nullptr || opened.error().code == ErrorCode::kCancelled)) return opened;
  if (opened) {
    const AVCodec* codec = nullptr;
    d.stream = av_find_best_stream(d.format, AVMEDIA_TYPE_AUDIO, -1, -1, &codec, 0);
    if (d.stream == AVERROR_DECODER_NOT_FOUND)
      d.stream = av_find_best_stream(d.format, AVMEDIA_TYPE_AUDIO, -1, -1, nullptr, 0);
  }
  const AVStream* stream = d.stream < 0 ? nullptr : d.format->streams[d.stream];
  if (d.pcm != nullptr && (stream == nullptr || !d.pcm->Agrees(stream->codecpar->codec_id))) {
    source_->Restart();
    source_->Seek(place);
    return StartPcm();
  }
  d.pcm.reset();
  if (stream == nullptr)
    return Fail(ErrorCode::kCorrupt, quoted + " holds no audio; give an audio file, or a video with sound.");
  for (unsigned i = 0; i < d.format->nb_streams; ++i) {
    if (static_cast<int>(i) != d.stream) d.format->streams[i]->discard = AVDISCARD_ALL;
  }
  return StartDecoder();
}

Status AudioReader::StartPcm() {
  const Decoder& d = *decoder_;
  const PcmFile& pcm = *d.pcm;
  if (pcm.channels() > kMaxChannels || pcm.sample_rate() < kMinRate || pcm.sample_rate() > kMaxRate) {
    return NoSuchFormat(source_->name(), pcm.channels(), pcm.sample_rate());
  }
  info_ = {.format = pcm.format(),
           .sample_rate = pcm.sample_rate(),
           .channels = pcm.channels(),
           .expected_frames = pcm.promised_frames()};
  if (d.stream >= 0) {
    const AVChannelLayout& named = d.format->streams[d.stream]->codecpar->ch_layout;
    if (named.nb_channels == pcm.channels()) info_.speakers = SpeakersOf(named);
    info_.tags = TagsOf(*d.format, *d.format->streams[d.stream]);
  }
  if (info_.speakers.empty()) info_.speakers = UsualSpeakers(pcm.channels());
  promised_ = info_.expected_frames;  // a short file ends within the first block
  TIMBRE_CHECK(Fill());
  if (!pending_.empty()) return {};
  return Fail(ErrorCode::kCorrupt, "'" + source_->name() + "' holds no samples; it may be damaged or empty.");
}

Status AudioReader::StartDecoder() {
  const std::string quoted = "'" + source_->name() + "'";
  Decoder& d = *decoder_;
  const AVStream& stream = *d.format->streams[d.stream];
  const AVCodec* codec = avcodec_find_decoder(stream.codecpar->codec_id);
  if (codec == nullptr || !IsAllowedCodec(codec->id)) {
    return Fail(ErrorCode::kUnsupported, quoted + " holds audio of a kind that is not decoded here (" +
                                             avcodec_get_name(stream.codecpar->codec_id) +
                                             "); convert it to WAV or FLAC first.");
  }
  d.codec = avcodec_alloc_context3(codec);
  d.packet = av_packet_alloc();
  d.frame = av_frame_alloc();
  d.last = av_frame_alloc();
  d.held = av_frame_alloc();
  if (d.codec == nullptr || d.packet == nullptr || d.frame == nullptr || d.last == nullptr || d.held == nullptr)
    return NoMemory(source_->name());
  int error = avcodec_parameters_to_context(d.codec, stream.codecpar);
  d.codec->pkt_timebase = stream.time_base;  // by which encoder delay and padding are cut off
  d.codec->max_samples = kMaxFrameSamples;
  d.vorbis = codec->id == AV_CODEC_ID_VORBIS && std::strcmp(d.format->iformat->name, "ogg") == 0;
  if (d.vorbis) d.codec->flags2 |= AV_CODEC_FLAG2_SKIP_MANUAL;  // done in Keep
  if (error >= 0) error = avcodec_open2(d.codec, codec, nullptr);
  if (error < 0) {
    return Fail(ErrorCode::kCorrupt, quoted + " cannot be decoded as " + codec->name + " (" + Reason(error) + ").");
  }
  info_.tags = TagsOf(*d.format, stream);
  info_.format = std::string(codec->name) + " in " + d.format->iformat->name;

  // The first frame says what the stream is; headers may say otherwise.
  TIMBRE_CHECK(Fill());
  if (pending_.empty()) {
    return Fail(ErrorCode::kCorrupt, quoted + " holds no samples that can be decoded; it may be damaged or empty.");
  }
  end_ = Mp4End();
  TIMBRE_CHECK(source_->Check());
  if (end_ > 0) {
    info_.expected_frames = end_;
    if (decoded_ > end_) {
      pending_.resize(static_cast<size_t>(end_) * info_.channels);
      decoded_ = end_;
    }
  } else if (d.open_ended && std::strcmp(d.format->iformat->name, "avi") == 0) {
    // What its header says for want of a length is not one.
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

void AudioReader::NoteDamage() {
  if (damaged_++ == 0) damaged_at_ = Seconds();
}

void AudioReader::Warn(const std::string& sentence) { warning_ += (warning_.empty() ? "" : " ") + sentence; }

// Which of the decoded frame's samples belong to the audio.
AudioReader::Part AudioReader::Keep(const AVFrame& frame) {
  Decoder& d = *decoder_;
  Part part{.count = frame.nb_samples};
  if (!d.vorbis) return part;
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
  return part;
}

// Takes a decoded frame, or holds it back until the next one has told whether it is damage.
Status AudioReader::Take(const AVFrame& frame) {
  Decoder& d = *decoder_;
  const bool changed = info_.channels != 0 && !SameFormat(frame, *d.last);
  if (d.held->nb_samples > 0) {
    const bool second = SameFormat(frame, *d.held);
    if (second) {
      TIMBRE_CHECK(Append(*d.held));
    } else {
      NoteDamage();
    }
    av_frame_unref(d.held);
    if (second) return Append(frame);
  }
  if (changed && MayMistakeFormat(d.codec->codec_id)) {
    if (av_frame_ref(d.held, &frame) < 0) return NoMemory(source_->name());
    return {};
  }
  return Append(frame);
}

// From here on the stream has the format of `frame`.
Status AudioReader::ChangeFormat(const AVFrame& frame) {
  Decoder& d = *decoder_;
  const StreamFormat now = FormatOf(frame);
  if (now.channels() < 1 || now.channels() > kMaxChannels || now.sample_rate < kMinRate || now.sample_rate > kMaxRate) {
    return NoSuchFormat(source_->name(), now.channels(), now.sample_rate);
  }
  if (info_.channels == 0) {
    info_.channels = now.channels();
    info_.sample_rate = now.sample_rate;
    info_.speakers = now.speakers;
  }
  const StreamFormat first{.sample_rate = info_.sample_rate, .speakers = info_.speakers};
  TIMBRE_CHECK(EndFormat());
  if (now != first) {
    if (d.change.empty()) {
      d.change = Describe(first) + " to " + Describe(now) + " at " + At(Seconds());
      if (now.sample_rate == first.sample_rate && now.channels() == first.channels())
        d.change = "one arrangement of " + std::to_string(now.channels()) + " channels to another at " + At(Seconds());
    }
    Result<FormatConverter> converter = FormatConverter::Create(now, first);
    if (!converter) return Prefix(converter.error(), "'" + source_->name() + "' at " + At(Seconds()));
    d.converter = *std::move(converter);
  }
  // Only the format: the samples are the frame's own.
  av_frame_unref(d.last);
  d.last->sample_rate = frame.sample_rate;
  if (av_channel_layout_copy(&d.last->ch_layout, &frame.ch_layout) < 0) return NoMemory(source_->name());
  return {};
}

// What the converter still holds.
Status AudioReader::EndFormat() {
  Decoder& d = *decoder_;
  if (!d.converter) return {};
  const size_t before = pending_.size();
  TIMBRE_CHECK(d.converter->Finish(&pending_));
  decoded_ += static_cast<int64_t>(pending_.size() - before) / info_.channels;
  d.converter.reset();
  return {};
}

Status AudioReader::CheckSamples(const std::vector<float>& samples, int channels) const {
  const auto bad = std::find_if(samples.begin(), samples.end(), [](float v) { return !(std::abs(v) <= kMostSample); });
  if (bad == samples.end()) return {};
  const int64_t at = decoded_ + (bad - samples.begin()) / channels;
  char value[32];
  std::snprintf(value, sizeof value, "of %.3g", static_cast<double>(*bad));
  return Fail(ErrorCode::kCorrupt, "'" + source_->name() + "' holds a sample " +
                                       (std::isfinite(*bad) ? value : "that is not a finite number") + ", sample " +
                                       std::to_string(at) + " (" + At(static_cast<double>(at) / info_.sample_rate) +
                                       (std::isfinite(*bad) ? "), where full scale is 1" : ")") +
                                       "; repair or re-export it.");
}

// Time stamps that leap ahead: samples that were lost before they came here, or were never coded.
void AudioReader::NoteGap(const AVFrame& frame) {
  Decoder& d = *decoder_;
  const AVRational base = d.codec->pkt_timebase;
  if (frame.pts == AV_NOPTS_VALUE || base.num <= 0 || base.den <= 0) return;
  const double seconds_each = av_q2d(base);
  if (d.next_pts != AV_NOPTS_VALUE) {
    const double leap = (static_cast<double>(frame.pts) - static_cast<double>(d.next_pts)) * seconds_each;
    if (leap > kLeap && d.gaps++ == 0) {
      d.gap = leap;
      d.gap_at = Seconds();
    }
  }
  d.next_pts = frame.pts + av_rescale_q(frame.nb_samples, {1, frame.sample_rate}, base);
}

Status AudioReader::Append(const AVFrame& frame) {
  Decoder& d = *decoder_;
  const auto [first, count] = Keep(frame);
  if (count <= 0) return {};
  if (info_.channels == 0 || !SameFormat(frame, *d.last)) TIMBRE_CHECK(ChangeFormat(frame));
  NoteGap(frame);
  if (frame.decode_error_flags != 0 || (frame.flags & AV_FRAME_FLAG_CORRUPT) != 0) NoteDamage();
  const int channels = frame.ch_layout.nb_channels;
  const auto format = static_cast<AVSampleFormat>(frame.format);
  const bool planar = av_sample_fmt_is_planar(format) != 0;
  d.samples.resize(static_cast<size_t>(count) * channels);
  float* out = d.samples.data();
  switch (av_get_packed_sample_fmt(format)) {
    case AV_SAMPLE_FMT_U8: Convert<uint8_t>(frame, planar, channels, first, count, out); break;
    case AV_SAMPLE_FMT_S16: Convert<int16_t>(frame, planar, channels, first, count, out); break;
    case AV_SAMPLE_FMT_S32: Convert<int32_t>(frame, planar, channels, first, count, out); break;
    case AV_SAMPLE_FMT_S64: Convert<int64_t>(frame, planar, channels, first, count, out); break;
    case AV_SAMPLE_FMT_FLT: Convert<float>(frame, planar, channels, first, count, out); break;
    case AV_SAMPLE_FMT_DBL: Convert<double>(frame, planar, channels, first, count, out); break;
    default: return Fail(ErrorCode::kUnsupported, "'" + source_->name() + "' decodes to an unknown kind of sample.");
  }
  TIMBRE_CHECK(CheckSamples(d.samples, channels));
  const size_t before = pending_.size();
  if (d.converter) {
    TIMBRE_CHECK(d.converter->Push(out, count, &pending_));
  } else {
    pending_.insert(pending_.end(), d.samples.begin(), d.samples.end());
  }
  decoded_ += static_cast<int64_t>(pending_.size() - before) / info_.channels;
  return {};
}

Status AudioReader::Fill() {
  Decoder& d = *decoder_;
  pending_.clear();
  taken_ = 0;
  if (d.pcm != nullptr) return FillFromPcm();
  while (pending_.empty() && !ended_) {
    const int got = avcodec_receive_frame(d.codec, d.frame);
    if (got == 0) {
      const Status status = Take(*d.frame);
      av_frame_unref(d.frame);
      if (!status) pending_.clear();
      TIMBRE_CHECK(status);
      continue;
    }
    if (got == AVERROR_EOF || (got != AVERROR(EAGAIN) && d.flushing)) {
      TIMBRE_CHECK(End());
      break;
    }
    if (got == AVERROR(ENOMEM)) return NoMemory(source_->name());
    if (got != AVERROR(EAGAIN)) NoteDamage();
    const int read = av_read_frame(d.format, d.packet);
    if (source_->Cancelled()) return source_->Check();
    if (read < 0) {
      // The end, or bytes that can't be read: the decoder may still hold samples.
      if (read != AVERROR_EOF) NoteDamage();
      d.flushing = true;
      avcodec_send_packet(d.codec, nullptr);
      continue;
    }
    if (d.packet->stream_index == d.stream) {
      if ((d.packet->flags & AV_PKT_FLAG_CORRUPT) != 0) {
        // Where every sample has its place, that says no more than that fewer came than were asked for: what a header
        // without a length always ends with.
        if (!d.open_ended || av_get_bits_per_sample(d.codec->codec_id) == 0) NoteDamage();
      }
      if (avcodec_send_packet(d.codec, d.packet) < 0) NoteDamage();
    }
    av_packet_unref(d.packet);
  }
  // Beyond the end that the container states lies what an encoder added.
  if (end_ > 0 && decoded_ > end_) {
    const int64_t count = static_cast<int64_t>(pending_.size()) / info_.channels;
    pending_.resize(static_cast<size_t>(std::max<int64_t>(0, count - (decoded_ - end_))) * info_.channels);
    decoded_ = end_;
  }
  return {};
}

Status AudioReader::FillFromPcm() {
  if (ended_) return {};
  pending_.resize(static_cast<size_t>(kPcmBlock) * info_.channels);
  const int64_t count = decoder_->pcm->Read(pending_.data(), kPcmBlock);
  pending_.resize(static_cast<size_t>(count) * info_.channels);
  if (source_->Cancelled()) return source_->Check();
  if (Status sound = CheckSamples(pending_, info_.channels); !sound) {
    pending_.clear();
    return sound;
  }
  decoded_ += count;
  return count < kPcmBlock ? End() : Status();
}

Status AudioReader::End() {
  ended_ = true;
  const Decoder& d = *decoder_;
  const std::string quoted = "'" + source_->name() + "'";
  if (d.held != nullptr && d.held->nb_samples > 0) NoteDamage();
  TIMBRE_CHECK(EndFormat());
  if (source_->failed() != 0) {
    return Fail(ErrorCode::kIo,
                quoted + " could not be read beyond " + At(Seconds()) + ": " + std::strerror(source_->failed()) + ".");
  }
  // What the header promised, where it is no estimate from the bit rate; containers round to their ticks and to
  // packets.
  const bool promised =
      !d.open_ended && (d.pcm != nullptr || d.format->duration_estimation_method != AVFMT_DURATION_FROM_BITRATE);
  const int64_t missing = promised_ - decoded_;
  if (promised && promised_ > 0 && missing > info_.sample_rate / 5 + 4096) {
    Warn(quoted + " ends early, at " + At(Seconds()) + " of " + At(static_cast<double>(promised_) / info_.sample_rate) +
         "; what is there was read.");
  } else {
    WarnOfDamage();
  }
  if (!d.change.empty()) Warn(quoted + " changes from " + d.change + "; all of it was converted to its first format.");
  if (d.gaps > 0) {
    Warn(quoted + " lacks " + At(d.gap) + " at " + At(d.gap_at) + " by its time stamps" +
         (d.gaps > 1 ? ", and more at " + std::to_string(d.gaps - 1) + " other places" : "") +
         "; what is there was joined.");
  }
  int streams = 0;
  for (unsigned i = 0; d.pcm == nullptr && i < d.format->nb_streams; ++i) {
    streams += d.format->streams[i]->codecpar->codec_type == AVMEDIA_TYPE_AUDIO ? 1 : 0;
  }
  if (streams > 1) {
    Warn(quoted + " holds " + std::to_string(streams) + " streams of audio; only its main one, stream " +
         std::to_string(d.stream) + ", was read.");
  }
  return {};
}

void AudioReader::WarnOfDamage() {
  if (damaged_ == 0) return;
  Warn("'" + source_->name() + "' is damaged in " + std::to_string(damaged_) +
       (damaged_ == 1 ? " place" : " places, first") + " at " + At(damaged_at_) + "; the rest was read.");
}

Status AudioReader::SkipToPart() {
  while (first_ > 0 && position_ == 0) {
    if (taken_ == pending_.size()) {
      if (ended_) {
        return Fail(ErrorCode::kInvalidArgument, "'" + source_->name() + "' ends at " + At(Seconds()) +
                                                     ", and the part that is wanted begins at " + At(part_.start) +
                                                     "; choose an earlier one.");
      }
      TIMBRE_CHECK(Fill());
      continue;
    }
    if (skipped_ == first_) break;
    const int64_t available = static_cast<int64_t>(pending_.size() - taken_) / info_.channels;
    const int64_t count = std::min(available, first_ - skipped_);
    taken_ += static_cast<size_t>(count) * info_.channels;
    skipped_ += count;
  }
  return {};
}

// What follows the part is not looked at.
void AudioReader::EndPart() {
  if (ended_) return;
  ended_ = true;
  WarnOfDamage();
}

Result<int64_t> AudioReader::Read(float* out, int64_t frames) {
  TIMBRE_CHECK(SkipToPart());
  if (most_ >= 0) frames = std::min(frames, most_ - position_);
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
  if (done < frames && most_ >= 0) {
    Warn("'" + source_->name() + "' ends at " + At(Seconds()) + ", before the part that is wanted, which goes to " +
         At(part_.start + part_.length) + "; what is there was read.");
    most_ = position_;
  }
  if (position_ == most_) EndPart();
  return done;
}

Status AudioReader::Rewind() {
  // Opening anew is exact where seeking is not: the decoder begins as it did before.
  return Start();
}

Result<AudioBuffer> ReadAudioFile(const std::string& path, int64_t max_frames, const ReadOptions& options) {
  TIMBRE_TRY(const std::unique_ptr<AudioReader> reader, AudioReader::Open(path, options));
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
