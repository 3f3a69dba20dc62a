#include "pipelines/frames/frame_writer.h"

#include <cairo.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/text.h"
#include "pipelines/studio/video_writer.h"
#include "plots/picture.h"

namespace timbre {
namespace {

constexpr int64_t kChannels = 3;

// Frame `index` as 0xFFRRGGBB.
void ToPixels(const Volume& frames, int64_t index, std::vector<uint32_t>& pixels) {
  pixels.resize(static_cast<size_t>(frames.height * frames.width));
  const float* from = frames.at(index, 0, 0);
  for (uint32_t& pixel : pixels) {
    pixel = 0xFF000000U | uint32_t{FrameLevel(from[0])} << 16 | uint32_t{FrameLevel(from[1])} << 8 |
            uint32_t{FrameLevel(from[2])};
    from += kChannels;
  }
}

class Video final : public FrameWriter {
 public:
  explicit Video(std::unique_ptr<VideoWriter> writer) : writer_(std::move(writer)) {}
  Status Write(const Volume& frames) override {
    for (int64_t i = 0; i < frames.frames; ++i) {
      ToPixels(frames, i, pixels_);
      if (picture_ == nullptr) {
        TIMBRE_TRY(picture_, writer_->NewPicture());
      }
      TIMBRE_TRY(const YuvPlanes planes, picture_->Planes());
      const auto width = static_cast<int>(frames.width);
      RgbToYuv(pixels_.data(), width, width, static_cast<int>(frames.height), planes);
      TIMBRE_CHECK(writer_->WritePicture(*picture_));
    }
    return {};
  }
  Status Finish() override { return writer_->Finish(); }

 private:
  std::unique_ptr<VideoWriter> writer_;
  std::unique_ptr<VideoPicture> picture_;
  std::vector<uint32_t> pixels_;
};

// "%05d" in a path: where it is, how long, and how many digits it asks for.
struct NumberPlace {
  size_t at = 0, length = 0;
  int digits = 0;
};

Result<NumberPlace> NumberIn(const std::string& path) {
  const size_t at = path.find('%');
  size_t end = at == std::string::npos ? at : at + 1;
  int digits = 0;
  while (end < path.size() && path[end] >= '0' && path[end] <= '9' && digits < 100)
    digits = 10 * digits + path[end++] - '0';
  if (end >= path.size() || path[end] != 'd' || digits > 9 || path.find('%', end) != std::string::npos) {
    return Fail(ErrorCode::kInvalidArgument,
                "'" + Printable(path) + "' has no place for the frame's number: write it as frame_%05d.png");
  }
  return NumberPlace{at, end + 1 - at, digits};
}

class Pictures final : public FrameWriter {
 public:
  Pictures(std::string path, NumberPlace place, OutputSet& outputs)
      : path_(std::move(path)), place_(place), outputs_(outputs) {}
  Status Write(const Volume& frames) override {
    for (int64_t i = 0; i < frames.frames; ++i) {
      ToPixels(frames, i, pixels_);
      std::string path = path_;
      path.replace(place_.at, place_.length, fmt::format("{:0{}}", next_++, place_.digits));
      TIMBRE_CHECK(WriteOne(path, static_cast<int>(frames.width), static_cast<int>(frames.height)));
    }
    return {};
  }
  Status Finish() override { return {}; }

 private:
  Status WriteOne(const std::string& path, int width, int height) {
    const auto draw = [&](cairo_t* cairo) {
      cairo_surface_t* const surface = cairo_image_surface_create_for_data(
          reinterpret_cast<unsigned char*>(pixels_.data()), CAIRO_FORMAT_RGB24, width, height, width * 4);
      cairo_set_source_surface(cairo, surface, 0, 0);
      cairo_set_operator(cairo, CAIRO_OPERATOR_SOURCE);
      cairo_paint(cairo);
      cairo_surface_destroy(surface);
    };
    return WritePicture(path, width, height, draw, &outputs_);
  }

  const std::string path_;
  const NumberPlace place_;
  OutputSet& outputs_;
  std::vector<uint32_t> pixels_;
  int64_t next_ = 0;
};

// Channels first, so that each frame is written in three places.
class Values final : public FrameWriter {
 public:
  Values(AtomicFile file, const VolumeSize& size) : file_(std::move(file)), size_(size) {}

  Status Open() {
    const int64_t bytes = kChannels * size_.frames * size_.height * size_.width * static_cast<int64_t>(sizeof(float));
    const nlohmann::ordered_json header = {{"frames",
                                            {{"dtype", "F32"},
                                             {"shape", {kChannels, size_.frames, size_.height, size_.width}},
                                             {"data_offsets", {0, bytes}}}}};
    std::string text = header.dump();
    text.resize((text.size() + 7) / 8 * 8, ' ');
    std::string prefix(8, '\0');
    for (int i = 0; i < 8; ++i) prefix[i] = static_cast<char>(text.size() >> (8 * i));
    TIMBRE_CHECK(file_.Write(prefix));
    TIMBRE_CHECK(file_.Write(text));
    data_ = static_cast<int64_t>(prefix.size() + text.size());
    if (ftruncate(file_.fd(), data_ + bytes) != 0) return NotDone(file_.final_path(), "written", errno);
    return {};
  }

  Status Write(const Volume& frames) override {
    const int64_t area = size_.height * size_.width;
    plane_.resize(static_cast<size_t>(area));
    for (int64_t i = 0; i < frames.frames; ++i, ++next_) {
      for (int64_t c = 0; c < kChannels; ++c) {
        const float* from = frames.at(i, 0, 0) + c;
        for (int64_t p = 0; p < area; ++p) plane_[static_cast<size_t>(p)] = from[p * kChannels];
        TIMBRE_CHECK(WritePlane(data_ + (c * size_.frames + next_) * area * static_cast<int64_t>(sizeof(float))));
      }
    }
    return {};
  }
  Status Finish() override { return file_.Commit(); }

 private:
  Status WritePlane(int64_t at) {
    const auto* bytes = reinterpret_cast<const char*>(plane_.data());
    size_t left = plane_.size() * sizeof(float);
    while (left > 0) {
      const ssize_t written = pwrite(file_.fd(), bytes, left, at);
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) return NotDone(file_.final_path(), "written", written < 0 ? errno : ENOSPC);
      bytes += written, at += written, left -= static_cast<size_t>(written);
    }
    return {};
  }

  AtomicFile file_;
  const VolumeSize size_;
  int64_t data_ = 0, next_ = 0;
  std::vector<float> plane_;
};

}  // namespace

uint8_t FrameLevel(float value) { return static_cast<uint8_t>(std::clamp(value, -1.0f, 1.0f) * 127.5f + 127.5f); }

Status CheckFramePath(const std::string& path) {
  if (path.ends_with(".mp4") || path.ends_with(".safetensors")) return {};
  if (path.ends_with(".png")) {
    TIMBRE_TRY([[maybe_unused]] const NumberPlace place, NumberIn(path));
    return {};
  }
  return Fail(ErrorCode::kInvalidArgument,
              "'" + Printable(path) + "' ends neither in .mp4, nor in .png, nor in .safetensors");
}

Result<std::unique_ptr<FrameWriter>> FrameWriter::Create(const std::string& path, const VolumeSize& size,
                                                         const FrameFileOptions& options, OutputSet& outputs) {
  TIMBRE_CHECK(CheckFramePath(path));
  if (path.ends_with(".mp4")) {
    const VideoOptions video{.width = static_cast<int>(size.width),
                             .height = static_cast<int>(size.height),
                             .fps = options.fps,
                             .quality = options.crf,
                             .effort = "medium",
                             .threads = options.threads};
    TIMBRE_TRY(std::unique_ptr<VideoWriter> writer, VideoWriter::Create(path, video, &outputs));
    return std::make_unique<Video>(std::move(writer));
  }
  if (path.ends_with(".png")) {
    TIMBRE_TRY(const NumberPlace place, NumberIn(path));
    // They get their names together, and each is open until then.
    constexpr int64_t kOthers = 64;
    rlimit files{};
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && size.frames + kOthers > static_cast<int64_t>(files.rlim_cur)) {
      return Fail(ErrorCode::kUnsupported,
                  fmt::format("{} pictures are more than the {} files that a process may have open here; raise that "
                              "(ulimit -n), or write a .mp4",
                              size.frames, files.rlim_cur));
    }
    return std::make_unique<Pictures>(path, place, outputs);
  }
  TIMBRE_TRY(AtomicFile file, AtomicFile::Create(path, &outputs));
  auto values = std::make_unique<Values>(std::move(file), size);
  TIMBRE_CHECK(values->Open());
  return values;
}

}  // namespace timbre
