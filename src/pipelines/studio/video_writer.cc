#include "pipelines/studio/video_writer.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <vector>

#include "audio/ffmpeg.h"
#include "base/atomic_file.h"

namespace timbre {
namespace {

struct Free {
  void operator()(AVCodecContext* context) const { avcodec_free_context(&context); }
  void operator()(AVFrame* frame) const { av_frame_free(&frame); }
  void operator()(AVPacket* packet) const { av_packet_free(&packet); }
  void operator()(AVFormatContext* format) const {
    if (format->pb != nullptr) avio_closep(&format->pb);
    avformat_free_context(format);
  }
};
constexpr const char* kNoMemory = "there is no memory for a picture of the video";

template <typename T>
using Owned = std::unique_ptr<T, Free>;

class Picture final : public VideoPicture {
 public:
  explicit Picture(Owned<AVFrame> frame) : frame_(std::move(frame)) {}
  Result<YuvPlanes> Planes() override {
    // The encoder may still hold what it was given last.
    if (av_frame_make_writable(frame_.get()) < 0) return Fail(ErrorCode::kOutOfMemory, kNoMemory);
    return YuvPlanes{{frame_->data[0], frame_->data[1], frame_->data[2]},
                     {frame_->linesize[0], frame_->linesize[1], frame_->linesize[2]}};
  }
  AVFrame* frame() const { return frame_.get(); }

 private:
  Owned<AVFrame> frame_;
};

// One kind of data on its way into the container.
struct Track {
  Owned<AVCodecContext> encoder;
  AVStream* stream = nullptr;
  int64_t next = 0;  // picture or sample
};

class Writer final : public VideoWriter {
 public:
  Writer(std::string path, const VideoOptions& options, AtomicFile file)
      : path_(std::move(path)), options_(options), file_(std::move(file)) {}

  Status Open();
  Result<std::unique_ptr<VideoPicture>> NewPicture() const override;
  Status WritePicture(VideoPicture& picture) override;
  Status WriteSound(const float* interleaved, int64_t frames) override;
  Status Finish() override;

 private:
  bool mp4() const { return options_.container == VideoContainer::kMp4; }
  tl::unexpected<Error> Failed(const char* what, int error) const {
    char why[AV_ERROR_MAX_STRING_SIZE] = {};
    av_strerror(error, why, sizeof(why));
    const ErrorCode code = error == AVERROR(ENOMEM) ? ErrorCode::kOutOfMemory : ErrorCode::kIo;
    return Fail(code, "'" + path_ + "' could not be " + what + ": " + why + ".");
  }
  Result<Owned<AVCodecContext>> NewEncoder(const char* name) const;
  Status OpenPictures();
  Status OpenSound();
  Status Start(Track& track, AVCodecContext* encoder, AVDictionary** settings);
  Status Send(Track& track, AVFrame* frame);
  Status SendSound(int64_t frames);

  const std::string path_;
  const VideoOptions options_;
  AtomicFile file_;
  Owned<AVFormatContext> format_;
  Owned<AVPacket> packet_;
  Track pictures_, sound_;
  Owned<AVFrame> block_;        // of sound
  std::vector<float> pending_;  // sound that fills no frame yet
};

Result<Owned<AVCodecContext>> Writer::NewEncoder(const char* name) const {
  const AVCodec* const codec = avcodec_find_encoder_by_name(name);
  if (codec == nullptr) {
    return Fail(ErrorCode::kUnsupported,
                "FFmpeg's libraries have no encoder " + std::string(name) + " here; choose another format.");
  }
  Owned<AVCodecContext> encoder(avcodec_alloc_context3(codec));
  if (encoder == nullptr) return Fail(ErrorCode::kOutOfMemory, "there is no memory for an encoder");
  return encoder;
}

Status Writer::Start(Track& track, AVCodecContext* encoder, AVDictionary** settings) {
  if ((format_->oformat->flags & AVFMT_GLOBALHEADER) != 0) encoder->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
  if (const int opened = avcodec_open2(encoder, nullptr, settings); opened < 0) return Failed("encoded", opened);
  track.stream = avformat_new_stream(format_.get(), nullptr);
  if (track.stream == nullptr) return Failed("encoded", AVERROR(ENOMEM));
  track.stream->time_base = encoder->time_base;
  const int copied = avcodec_parameters_from_context(track.stream->codecpar, encoder);
  return copied < 0 ? Status(Failed("encoded", copied)) : Status();
}

Status Writer::OpenPictures() {
  TIMBRE_TRY(pictures_.encoder, NewEncoder(mp4() ? "libx264" : "libvpx-vp9"));
  AVCodecContext* const e = pictures_.encoder.get();
  e->width = options_.width;
  e->height = options_.height;
  e->time_base = {1, options_.fps};
  e->framerate = {options_.fps, 1};
  e->pix_fmt = AV_PIX_FMT_YUV420P;
  e->color_range = AVCOL_RANGE_MPEG;
  e->colorspace = AVCOL_SPC_BT709;
  e->color_primaries = AVCOL_PRI_BT709;
  e->color_trc = AVCOL_TRC_BT709;
  e->chroma_sample_location = AVCHROMA_LOC_LEFT;
  e->gop_size = 2 * options_.fps;
  e->thread_count = options_.threads;
  AVDictionary* settings = nullptr;
  if (mp4()) {
    const bool fast = options_.effort == "superfast" || options_.effort == "ultrafast";
    e->max_b_frames = fast ? 0 : 2;
    av_dict_set(&settings, "preset", options_.effort.c_str(), 0);
    // One quantiser for all, in place of one that is chosen by looking at every picture at half its size first.
    av_dict_set_int(&settings, fast ? "qp" : "crf", options_.quality, 0);
  } else {
    e->bit_rate = 0;
    av_dict_set_int(&settings, "crf", std::min(63, options_.quality + 12), 0);
    av_dict_set(&settings, "deadline", "realtime", 0);
    av_dict_set(&settings, "cpu-used", "8", 0);
    av_dict_set(&settings, "row-mt", "1", 0);
  }
  const Status started = Start(pictures_, e, &settings);
  av_dict_free(&settings);
  TIMBRE_CHECK(started);
  pictures_.stream->avg_frame_rate = e->framerate;
  return {};
}

Status Writer::OpenSound() {
  TIMBRE_TRY(sound_.encoder, NewEncoder(mp4() ? "aac" : "libopus"));
  AVCodecContext* const e = sound_.encoder.get();
  e->sample_rate = kVideoSoundRate;
  av_channel_layout_default(&e->ch_layout, kVideoSoundChannels);
  e->sample_fmt = mp4() ? AV_SAMPLE_FMT_FLTP : AV_SAMPLE_FMT_FLT;
  e->bit_rate = 192000;
  e->time_base = {1, kVideoSoundRate};
  TIMBRE_CHECK(Start(sound_, e, nullptr));
  block_.reset(av_frame_alloc());
  if (block_ == nullptr) return Failed("encoded", AVERROR(ENOMEM));
  AVFrame* const frame = block_.get();
  frame->format = e->sample_fmt;
  frame->nb_samples = e->frame_size;
  frame->sample_rate = e->sample_rate;
  int made = av_channel_layout_copy(&frame->ch_layout, &e->ch_layout);
  if (made >= 0) made = av_frame_get_buffer(frame, 0);
  return made < 0 ? Status(Failed("encoded", made)) : Status();
}

Status Writer::Open() {
  AVFormatContext* format = nullptr;
  const std::string url = "file:" + file_.temporary_path();
  const int allocated = avformat_alloc_output_context2(&format, nullptr, mp4() ? "mp4" : "webm", url.c_str());
  if (allocated < 0) return Failed("made", allocated);
  format_.reset(format);
  packet_.reset(av_packet_alloc());
  if (packet_ == nullptr) return Failed("made", AVERROR(ENOMEM));
  TIMBRE_CHECK(OpenPictures());
  if (options_.sound) TIMBRE_CHECK(OpenSound());
  if (const int opened = avio_open(&format_->pb, url.c_str(), AVIO_FLAG_WRITE); opened < 0) {
    return Failed("written", opened);
  }
  AVDictionary* settings = nullptr;
  // The index in front, so that a player begins before it has the whole file.
  if (mp4()) av_dict_set(&settings, "movflags", "+faststart", 0);
  const int begun = avformat_write_header(format_.get(), &settings);
  av_dict_free(&settings);
  return begun < 0 ? Status(Failed("written", begun)) : Status();
}

Result<std::unique_ptr<VideoPicture>> Writer::NewPicture() const {
  Owned<AVFrame> frame(av_frame_alloc());
  if (frame == nullptr) return Fail(ErrorCode::kOutOfMemory, kNoMemory);
  frame->format = pictures_.encoder->pix_fmt;
  frame->width = options_.width;
  frame->height = options_.height;
  if (av_frame_get_buffer(frame.get(), 0) < 0) return Fail(ErrorCode::kOutOfMemory, kNoMemory);
  return std::make_unique<Picture>(std::move(frame));
}

Status Writer::Send(Track& track, AVFrame* frame) {
  if (const int sent = avcodec_send_frame(track.encoder.get(), frame); sent < 0) return Failed("encoded", sent);
  while (true) {
    const int got = avcodec_receive_packet(track.encoder.get(), packet_.get());
    if (got == AVERROR(EAGAIN) || got == AVERROR_EOF) return {};
    if (got < 0) return Failed("encoded", got);
    av_packet_rescale_ts(packet_.get(), track.encoder->time_base, track.stream->time_base);
    packet_->stream_index = track.stream->index;
    const int written = av_interleaved_write_frame(format_.get(), packet_.get());
    if (written < 0) return Failed("written", written);
  }
}

Status Writer::WritePicture(VideoPicture& picture) {
  AVFrame* const frame = static_cast<Picture&>(picture).frame();
  frame->pts = pictures_.next++;
  return Send(pictures_, frame);
}

Status Writer::SendSound(int64_t frames) {
  AVFrame* const frame = block_.get();
  if (const int free = av_frame_make_writable(frame); free < 0) return Failed("encoded", free);
  frame->nb_samples = static_cast<int>(frames);
  for (int c = 0; c < kVideoSoundChannels; ++c) {
    for (int64_t i = 0; i < frames; ++i) {
      const float sample = pending_[static_cast<size_t>(i * kVideoSoundChannels + c)];
      if (mp4()) {
        reinterpret_cast<float*>(frame->data[c])[i] = sample;
      } else {
        reinterpret_cast<float*>(frame->data[0])[i * kVideoSoundChannels + c] = sample;
      }
    }
  }
  pending_.erase(pending_.begin(), pending_.begin() + static_cast<ptrdiff_t>(frames * kVideoSoundChannels));
  frame->pts = sound_.next;
  sound_.next += frames;
  return Send(sound_, frame);
}

Status Writer::WriteSound(const float* interleaved, int64_t frames) {
  pending_.insert(pending_.end(), interleaved, interleaved + frames * kVideoSoundChannels);
  const int64_t size = sound_.encoder->frame_size;
  while (static_cast<int64_t>(pending_.size()) >= size * kVideoSoundChannels) TIMBRE_CHECK(SendSound(size));
  return {};
}

Status Writer::Finish() {
  TIMBRE_CHECK(Send(pictures_, nullptr));
  if (options_.sound) {
    if (!pending_.empty()) TIMBRE_CHECK(SendSound(static_cast<int64_t>(pending_.size()) / kVideoSoundChannels));
    TIMBRE_CHECK(Send(sound_, nullptr));
  }
  if (const int ended = av_write_trailer(format_.get()); ended < 0) return Failed("written", ended);
  if (const int closed = avio_closep(&format_->pb); closed < 0) return Failed("written", closed);
  format_.reset();
  return file_.Commit();
}

}  // namespace

Result<std::unique_ptr<VideoWriter>> VideoWriter::Create(const std::string& path, const VideoOptions& options,
                                                         OutputSet* outputs) {
  TIMBRE_CHECK(LoadFfmpeg());
  TIMBRE_TRY(AtomicFile file, AtomicFile::Create(path, outputs));
  auto writer = std::make_unique<Writer>(path, options, std::move(file));
  TIMBRE_CHECK(writer->Open());
  return writer;
}

}  // namespace timbre
