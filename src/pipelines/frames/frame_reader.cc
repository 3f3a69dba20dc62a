#include "pipelines/frames/frame_reader.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <deque>

#include "audio/ffmpeg.h"
#include "base/files.h"
#include "base/text.h"
#include "formats/safetensors.h"
#include "models/frames/hunyuan_vae.h"

namespace timbre {
namespace {

constexpr int64_t kMostFrames = kFrameSteps << 16, kMostSide = 1 << 13;
constexpr int64_t kChannels = 3;

// What FFmpeg may recognise a file as: no scripts, which would have it open others, and none of the formats that nobody
// keeps a start image or a clip in.
constexpr const char* kContainers =
    "png_pipe,jpeg_pipe,webp_pipe,bmp_pipe,tiff_pipe,image2,mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,gif,apng";
constexpr const char* kCodecs =
    "png,apng,mjpeg,webp,bmp,tiff,gif,h264,hevc,mpeg4,vp8,vp9,libvpx,libvpx-vp9,av1,libdav1d,libaom-av1,ffv1,rawvideo";

struct Free {
  void operator()(AVFormatContext* format) const { avformat_close_input(&format); }
  void operator()(AVCodecContext* context) const { avcodec_free_context(&context); }
  void operator()(AVFrame* frame) const { av_frame_free(&frame); }
  void operator()(AVPacket* packet) const { av_packet_free(&packet); }
  void operator()(SwsContext* context) const { sws_freeContext(context); }
};
template <typename T>
using Owned = std::unique_ptr<T, Free>;

// Quarter turns, clockwise, that a display matrix asks for. Other matrices (mirrors, slants) turn nothing.
int TurnsOf(const uint8_t* data, size_t size) {
  int32_t m[9];
  if (size < sizeof(m)) return 0;
  std::memcpy(m, data, sizeof(m));
  if (m[0] == 0 && m[4] == 0 && m[1] > 0 && m[3] < 0) return 1;
  if (m[0] < 0 && m[4] < 0 && m[1] == 0 && m[3] == 0) return 2;
  if (m[0] == 0 && m[4] == 0 && m[1] < 0 && m[3] > 0) return 3;
  return 0;
}

// By which players show what a camera recorded lying on its side: videos say it for a stream, photographs (EXIF) for
// their one picture.
int TurnsOf(const AVStream& stream, const AVFrame& first) {
#if LIBAVFORMAT_VERSION_MAJOR >= 61
  const AVPacketSideData* const data = stream.codecpar->coded_side_data;
  const int count = stream.codecpar->nb_coded_side_data;
#else
  const AVPacketSideData* const data = stream.side_data;
  const int count = stream.nb_side_data;
#endif
  for (int i = 0; i < count; ++i) {
    if (data[i].type == AV_PKT_DATA_DISPLAYMATRIX) return TurnsOf(data[i].data, data[i].size);
  }
  for (int i = 0; i < first.nb_side_data; ++i) {
    const AVFrameSideData& side = *first.side_data[i];
    if (side.type == AV_FRAME_DATA_DISPLAYMATRIX) return TurnsOf(side.data, side.size);
  }
  return 0;
}

// The pictures of a file, one after the other.
class Pictures {
 public:
  static Result<Pictures> Open(const std::string& path) {
    TIMBRE_CHECK(LoadFfmpeg());
    Pictures pictures(Printable(path));
    TIMBRE_CHECK(pictures.OpenFile(path));
    return pictures;
  }

  // The next picture, or null after the last one. Valid until the next call.
  Result<AVFrame*> Next() {
    while (true) {
      av_frame_unref(frame_.get());
      const int got = avcodec_receive_frame(decoder_.get(), frame_.get());
      if (got == 0) return frame_.get();
      if (got == AVERROR_EOF) return nullptr;
      if (got != AVERROR(EAGAIN)) return Failed("decoded", got);
      int read = 0;
      do {
        av_packet_unref(packet_.get());
        read = av_read_frame(format_.get(), packet_.get());
      } while (read >= 0 && packet_->stream_index != stream_);
      if (read < 0 && read != AVERROR_EOF) return Failed("read", read);
      const int sent = avcodec_send_packet(decoder_.get(), read < 0 ? nullptr : packet_.get());
      if (sent < 0 && sent != AVERROR_EOF) return Failed("decoded", sent);
    }
  }

  // The container's name, of a file that is not to be decoded.
  static Result<std::string> FormatOf(const std::string& path) {
    TIMBRE_CHECK(LoadFfmpeg());
    Pictures pictures(Printable(path));
    TIMBRE_CHECK(pictures.OpenContainer(path));
    const AVFormatContext& format = *pictures.format_;
    for (unsigned i = 0; i < format.nb_streams; ++i) {
      const AVStream& stream = *format.streams[i];
      const bool cover = (stream.disposition & AV_DISPOSITION_ATTACHED_PIC) != 0;
      if (stream.codecpar->codec_type == AVMEDIA_TYPE_VIDEO && !cover) return std::string(format.iformat->name);
    }
    return Fail(ErrorCode::kUnsupported, "'" + pictures.name_ + "' holds no picture");
  }

  double fps() const {
    const AVRational rate = format_->streams[stream_]->avg_frame_rate;
    return rate.num > 0 && rate.den > 0 ? av_q2d(rate) : 0;
  }
  int TurnsWith(const AVFrame& first) const { return TurnsOf(*format_->streams[stream_], first); }
  const std::string& name() const { return name_; }

 private:
  explicit Pictures(std::string name) : name_(std::move(name)) {}

  tl::unexpected<Error> Failed(const char* what, int error) const {
    char why[AV_ERROR_MAX_STRING_SIZE] = {};
    av_strerror(error, why, sizeof(why));
    const ErrorCode code = error == AVERROR(ENOMEM) ? ErrorCode::kOutOfMemory : ErrorCode::kCorrupt;
    return Fail(code, "'" + name_ + "' could not be " + what + ": " + why);
  }

  Status OpenContainer(const std::string& path) {
    AVDictionary* settings = nullptr;
    av_dict_set(&settings, "protocol_whitelist", "file", 0);
    av_dict_set(&settings, "format_whitelist", kContainers, 0);
    av_dict_set(&settings, "codec_whitelist", kCodecs, 0);
    AVFormatContext* format = nullptr;
    const int opened = avformat_open_input(&format, ("file:" + path).c_str(), nullptr, &settings);
    av_dict_free(&settings);
    if (opened < 0) return Failed("opened as a picture or a video", opened);
    format_.reset(format);
    return {};
  }

  Status OpenFile(const std::string& path) {
    TIMBRE_CHECK(OpenContainer(path));
    AVFormatContext* const format = format_.get();
    if (const int found = avformat_find_stream_info(format, nullptr); found < 0) return Failed("read", found);
    const AVCodec* codec = nullptr;
    stream_ = av_find_best_stream(format, AVMEDIA_TYPE_VIDEO, -1, -1, &codec, 0);
    if (stream_ < 0 || codec == nullptr) {
      return Fail(ErrorCode::kUnsupported, "'" + name_ + "' holds no picture that can be decoded");
    }
    decoder_.reset(avcodec_alloc_context3(codec));
    frame_.reset(av_frame_alloc());
    packet_.reset(av_packet_alloc());
    if (decoder_ == nullptr || frame_ == nullptr || packet_ == nullptr) return Failed("read", AVERROR(ENOMEM));
    decoder_->max_pixels = kMostSide * kMostSide;
    decoder_->codec_whitelist = av_strdup(kCodecs);
    int ready = avcodec_parameters_to_context(decoder_.get(), format->streams[stream_]->codecpar);
    if (ready >= 0) ready = avcodec_open2(decoder_.get(), codec, nullptr);
    return ready < 0 ? Status(Failed("decoded", ready)) : Status();
  }

  std::string name_;
  Owned<AVFormatContext> format_;
  Owned<AVCodecContext> decoder_;
  Owned<AVFrame> frame_;
  Owned<AVPacket> packet_;
  int stream_ = -1;
};

// Frames that were read and may be asked for again.
class Kept {
 public:
  Kept(int64_t height, int64_t width) : height_(height), width_(width) {}
  int64_t end() const { return first_ + static_cast<int64_t>(frames_.size()); }
  void Add(std::vector<float> frame) { frames_.push_back(std::move(frame)); }
  void ForgetBefore(int64_t begin) {
    for (; first_ < begin && !frames_.empty(); ++first_) frames_.pop_front();
  }
  Volume Part(int64_t begin, int64_t end) const {
    Volume part(end - begin, height_, width_, kChannels);
    for (int64_t t = begin; t < end; ++t) {
      const std::vector<float>& frame = frames_[static_cast<size_t>(t - first_)];
      std::copy(frame.begin(), frame.end(), part.at(t - begin, 0, 0));
    }
    return part;
  }

 private:
  int64_t height_, width_;
  int64_t first_ = 0;
  std::deque<std::vector<float>> frames_;
};

// A picture's levels, [height, width, 3].
using Levels = std::vector<uint8_t>;

class Decoded final : public FrameReader {
 public:
  explicit Decoded(Pictures pictures) : pictures_(std::move(pictures)) {}

  // The number of frames is known for sure when they have been decoded once; what is declared is often wrong. A short
  // clip is kept meanwhile, a longer one decoded again.
  static Result<std::unique_ptr<FrameReader>> Of(const std::string& path) {
    TIMBRE_TRY(Pictures pictures, Pictures::Open(path));
    auto reader = std::make_unique<Decoded>(std::move(pictures));
    int64_t frames = 0;
    while (frames <= kMostFrames) {
      TIMBRE_TRY(const AVFrame* const frame, reader->pictures_.Next());
      if (frame == nullptr) break;
      if (frames > 0 && (frame->height != reader->height_ || frame->width != reader->width_)) {
        return Fail(ErrorCode::kUnsupported, "'" + reader->pictures_.name() + "' changes its size in the middle");
      }
      reader->height_ = frame->height, reader->width_ = frame->width;
      if (frames++ == 0) reader->turns_ = reader->pictures_.TurnsWith(*frame);
      if (frames * reader->levels() > kMostAhead) {
        reader->ahead_.clear();
        continue;
      }
      TIMBRE_TRY(Levels levels, reader->Convert(*frame));
      reader->ahead_.push_back(std::move(levels));
    }
    int height = reader->height_, width = reader->width_;
    if (reader->turns_ % 2 != 0) std::swap(height, width);
    TIMBRE_CHECK(reader->Take(path, frames, height, width, reader->pictures_.fps()));
    reader->kept_ = Kept(height, width);
    if (reader->ahead_.empty()) {
      TIMBRE_TRY(reader->pictures_, Pictures::Open(path));
    }
    return reader;
  }

  Result<Volume> Frames(int64_t begin, int64_t end) override {
    kept_.ForgetBefore(begin);
    while (kept_.end() < end) {
      TIMBRE_TRY(Levels levels, NextLevels());
      for (int turn = 0, height = height_, width = width_; turn < turns_; ++turn, std::swap(height, width)) {
        levels = Turned(levels, height, width);
      }
      std::vector<float> values(levels.size());
      std::transform(levels.begin(), levels.end(), values.begin(),
                     [](uint8_t level) { return static_cast<float>(level) / 127.5f - 1; });
      kept_.Add(std::move(values));
    }
    return kept_.Part(begin, end);
  }

 private:
  static constexpr int64_t kMostAhead = int64_t{256} << 20;  // bytes of a clip that is decoded once

  int64_t levels() const { return int64_t{height_} * width_ * kChannels; }

  // A quarter, clockwise: [width, height, 3].
  static Levels Turned(const Levels& levels, int height, int width) {
    Levels turned(levels.size());
    uint8_t* to = turned.data();
    for (int x = 0; x < width; ++x) {
      for (int y = height - 1; y >= 0; --y, to += kChannels) {
        std::memcpy(to, levels.data() + (int64_t{y} * width + x) * kChannels, kChannels);
      }
    }
    return turned;
  }

  Result<Levels> NextLevels() {
    if (!ahead_.empty()) {
      Levels levels = std::move(ahead_.front());
      ahead_.pop_front();
      return levels;
    }
    TIMBRE_TRY(const AVFrame* const frame, pictures_.Next());
    if (frame == nullptr) {
      return Fail(ErrorCode::kIo, "'" + pictures_.name() + "' has become shorter while it was read");
    }
    if (frame->height != height_ || frame->width != width_) {
      return Fail(ErrorCode::kIo, "'" + pictures_.name() + "' has changed while it was read");
    }
    return Convert(*frame);
  }

  Result<Levels> Convert(const AVFrame& frame) {
    const auto format = static_cast<AVPixelFormat>(frame.format);
    if (scaler_ == nullptr || format != format_) {
      format_ = format;
      scaler_.reset(sws_getContext(width_, height_, format, width_, height_, AV_PIX_FMT_RGB24,
                                   SWS_BICUBIC | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INT, nullptr, nullptr, nullptr));
      if (scaler_ == nullptr) {
        return Fail(ErrorCode::kUnsupported, "'" + pictures_.name() + "' has pixels of a kind that can't be read");
      }
      const int* matrix = sws_getCoefficients(frame.colorspace == AVCOL_SPC_BT709 ? SWS_CS_ITU709 : SWS_CS_DEFAULT);
      sws_setColorspaceDetails(scaler_.get(), matrix, frame.color_range == AVCOL_RANGE_JPEG ? 1 : 0, matrix, 1, 0,
                               1 << 16, 1 << 16);
    }
    Levels levels(static_cast<size_t>(this->levels()));
    uint8_t* const planes[] = {levels.data(), nullptr, nullptr, nullptr};
    const int strides[] = {width_ * static_cast<int>(kChannels), 0, 0, 0};
    if (sws_scale(scaler_.get(), frame.data, frame.linesize, 0, height_, planes, strides) != height_) {
      return Fail(ErrorCode::kInternal, "'" + pictures_.name() + "' could not be made red, green and blue");
    }
    return levels;
  }

  Pictures pictures_;
  int height_ = 0, width_ = 0, turns_ = 0;  // as it is stored
  std::deque<Levels> ahead_;                // what was decoded when frames were counted
  Kept kept_{0, 0};
  Owned<SwsContext> scaler_;
  AVPixelFormat format_ = AV_PIX_FMT_NONE;
};

class Stored final : public FrameReader {
 public:
  static Result<std::unique_ptr<FrameReader>> Of(const std::string& path) {
    TIMBRE_TRY(const Safetensors file, ReadSafetensors(path));
    auto found = file.tensors->find("frames");
    if (found == file.tensors->end() && file.tensors->size() == 1) found = file.tensors->begin();
    if (found == file.tensors->end())
      return Fail(ErrorCode::kNotFound, Printable(path) + ": it holds no tensor 'frames'");
    const Shape& shape = found->second.shape;
    if (shape.rank() != 4 || shape[0] != kChannels) {
      return Fail(ErrorCode::kInvalidArgument, Printable(path) + ": '" + Printable(found->first) + "' has shape " +
                                                   shape.ToString() +
                                                   " where the encoder wants [3, frames, height, width]");
    }
    auto reader = std::make_unique<Stored>();
    TIMBRE_CHECK(reader->Take(path, shape[1], shape[2], shape[3], 0));
    const std::vector<float> values = found->second.ToF32();
    if (!std::all_of(values.begin(), values.end(), [](float x) { return std::isfinite(x); })) {
      return Fail(ErrorCode::kCorrupt,
                  Printable(path) + ": '" + Printable(found->first) + "' holds something that is not a number");
    }
    reader->frames_ = Volume(shape[1], shape[2], shape[3], kChannels);
    const int64_t places = shape.Product(1, 4);
    for (int64_t c = 0; c < kChannels; ++c) {
      for (int64_t p = 0; p < places; ++p) {
        reader->frames_.values[static_cast<size_t>(p * kChannels + c)] = values[static_cast<size_t>(c * places + p)];
      }
    }
    return reader;
  }
  Result<Volume> Frames(int64_t begin, int64_t end) override { return frames_.Frames(begin, end); }

 private:
  Volume frames_;
};

}  // namespace

Status FrameReader::Take(const std::string& path, int64_t frames, int64_t height, int64_t width, double fps) {
  const std::string name = "'" + Printable(path) + "'";
  const std::string size = std::to_string(width) + "x" + std::to_string(height);
  if (frames < 1 || height < 1 || width < 1) return Fail(ErrorCode::kUnsupported, name + " holds no picture");
  if (frames > kMostFrames || height > kMostSide || width > kMostSide) {
    return Fail(ErrorCode::kUnsupported, name + " holds " + std::to_string(frames) + " frames of " + size +
                                             ", more or larger ones than can be encoded");
  }
  if (height % kFrameScale != 0 || width % kFrameScale != 0) {
    return Fail(ErrorCode::kInvalidArgument,
                name + " has pictures of " + size + ", whose sides must be multiples of 8; cut or scale it first");
  }
  info_ = {.frames = (frames - 1) / kFrameSteps * kFrameSteps + 1, .height = height, .width = width, .fps = fps};
  if (info_.frames < frames) {
    info_.warnings.push_back(Printable(path) + ": the last " + std::to_string(frames - info_.frames) + " of " +
                             std::to_string(frames) + " frames are left out: they make no whole latent");
  }
  return {};
}

Result<std::string> FrameReader::FormatOf(const std::string& path) { return Pictures::FormatOf(path); }

Result<std::unique_ptr<FrameReader>> FrameReader::Open(const std::string& path) {
  if (FileBytes(path) < 0) return tl::unexpected<Error>(NoFile(path));
  return path.ends_with(".safetensors") ? Stored::Of(path) : Decoded::Of(path);
}

}  // namespace timbre
