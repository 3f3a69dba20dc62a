#include "pipelines/studio/notes_video.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <memory>

#include "audio/encode.h"
#include "audio/kept_input.h"
#include "base/bounded_queue.h"
#include "base/output_set.h"
#include "base/start_thread.h"
#include "base/temporary_file.h"
#include "base/text.h"
#include "base/thread_pool.h"
#include "pipelines/output_files.h"
#include "pipelines/studio/notes_painter.h"
#include "pipelines/studio/render.h"
#include "pipelines/studio/video_writer.h"
#include "pipelines/track_reader.h"

namespace timbre {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr double kAfterLast = 2;  // seconds
constexpr size_t kWaiting = 4;    // pictures between who draws and who encodes
constexpr int64_t kMostPictures = 100000;

struct Size {
  int width, height;
};

Result<Size> SizeOf(const NotesOptions& options) {
  Size size{0, 0};
  const std::string& text = options.size;
  if (text == "720p") size = {1280, 720};
  if (text == "1080p") size = {1920, 1080};
  if (text == "1440p") size = {2560, 1440};
  if (text == "4k") size = {3840, 2160};
  const char* const end = text.data() + text.size();
  if (size.width == 0) {
    const auto first = std::from_chars(text.data(), end, size.width);
    if (first.ec != std::errc() || first.ptr == end || *first.ptr != 'x' ||
        std::from_chars(first.ptr + 1, end, size.height).ptr != end) {
      size = {0, 0};
    }
  }
  if (options.portrait) std::swap(size.width, size.height);
  const auto fits = [](int side) { return side >= 64 && side <= 7680 && side % 2 == 0; };
  if (fits(size.width) && fits(size.height)) return size;
  return Fail(ErrorCode::kInvalidArgument, "the size '" + Printable(text) +
                                               "' is none of 720p, 1080p, 1440p, 4k and WIDTHxHEIGHT of even numbers "
                                               "from 64 to 7680.");
}

Result<std::vector<NoteLane>> LanesOf(const NotesOptions& options) {
  if (options.lanes.empty()) return DefaultNoteLanes();
  std::ifstream in(options.lanes, std::ios::binary);
  if (!in) return Fail(ErrorCode::kNotFound, options.lanes + ": it cannot be opened.");
  std::string text((1 << 20) + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(in.gcount()));
  return ParseNoteLanes(text, options.lanes);
}

struct Sheet {
  std::unique_ptr<VideoPicture> picture;
  PaintedYuv painted;
};
using Sheets = BoundedQueue<Sheet>;

class NotesVideo {
 public:
  NotesVideo(const NotesScene& scene, const NotesOptions& options, Size size, Observer& observer, NotesReport& report)
      : scene_(scene), options_(options), size_(size), observer_(observer), report_(report) {}

  // With `outputs` a video is named together with those.
  Status Run(OutputSet* outputs);

 private:
  double TimeOf(int64_t frame) const { return static_cast<double>(frame) / options_.fps - lead_; }
  Status Told(int64_t frame) {
    observer_.OnProgress(
        {.stage = Stage::kEncode, .done = frame, .total = report_.frames, .audio_seconds = report_.seconds});
    if (observer_.Cancelled()) return Fail(ErrorCode::kCancelled, "cancelled");
    return {};
  }
  ReadOptions Reading() const {
    return {.cancelled = [this] { return observer_.Cancelled(); },
            .temporary_folder = TemporaryFolderFor("", fs::path(options_.output).parent_path().string(), false),
            .part = options_.part};
  }
  Status Encode(NotesPainter& painter, OutputSet& outputs);
  Status EncodePictures(VideoWriter& writer, Sheets& drawn, Sheets& empty);
  Status WriteSound(VideoWriter& writer, double until);
  Status WritePictures(NotesPainter& painter);

  const NotesScene& scene_;
  const NotesOptions& options_;
  const Size size_;
  Observer& observer_;
  NotesReport& report_;
  double lead_ = 0;  // seconds of counting in
  std::optional<KeptInput> audio_;
  std::unique_ptr<TrackReader> sound_;
  int64_t sound_written_ = 0;  // frames
  std::vector<float> block_;
};

Status NotesVideo::Run(OutputSet* outputs) {
  if (options_.count_in > 0) {
    lead_ = options_.count_in * scene_.beats_per_bar * scene_.beat_seconds - scene_.count_until;
  }
  double length = scene_.last() + kAfterLast;
  if (!options_.audio.empty()) {
    TIMBRE_TRY(audio_, KeptInput::Open(options_.audio, Reading()));
    const Result<AssetInfo> audio = ExamineAsset(audio_->path(), Reading(), observer_);
    if (!audio) return Fail(audio.error().code, audio_->Renamed(audio.error().message));
    if (!audio->warning.empty()) report_.warnings.push_back(options_.audio + ": " + audio->warning);
    length = std::max(length, static_cast<double>(audio->frames) / audio->sample_rate);
    TIMBRE_TRY(sound_, TrackReader::Open(audio_->path(), kVideoSoundRate, kVideoSoundChannels, Reading()));
  }
  if (length + lead_ > kLongestScene + 600) {
    return Fail(ErrorCode::kUnsupported, "the video would be longer than four hours.");
  }
  report_.seconds = length + lead_;
  report_.frames = static_cast<int64_t>(std::ceil(report_.seconds * options_.fps));
  TIMBRE_TRY(
      const std::unique_ptr<NotesPainter> painter,
      NotesPainter::Create(
          scene_, {.width = size_.width, .height = size_.height, .speed = options_.speed, .labels = options_.labels},
          length));
  if (options_.output.ends_with('/')) return WritePictures(*painter);
  if (outputs != nullptr) return Encode(*painter, *outputs);
  OutputSet alone;
  TIMBRE_CHECK(Encode(*painter, alone));
  return alone.Commit();
}

Status NotesVideo::WriteSound(VideoWriter& writer, double until) {
  if (sound_ == nullptr && options_.audio.empty()) return {};
  const auto wanted = static_cast<int64_t>(until * kVideoSoundRate);
  const auto silence = static_cast<int64_t>(std::llround(lead_ * kVideoSoundRate));
  while (sound_ != nullptr && sound_written_ < wanted) {
    block_.clear();
    if (sound_written_ < silence) {
      block_.resize(static_cast<size_t>(std::min<int64_t>(silence - sound_written_, 4096) * kVideoSoundChannels));
    } else {
      TIMBRE_CHECK(sound_->Read(&block_));
    }
    if (block_.empty()) {
      sound_.reset();
      return {};
    }
    const auto frames = static_cast<int64_t>(block_.size()) / kVideoSoundChannels;
    TIMBRE_CHECK(writer.WriteSound(block_.data(), frames));
    sound_written_ += frames;
  }
  return {};
}

Status NotesVideo::EncodePictures(VideoWriter& writer, Sheets& drawn, Sheets& empty) {
  for (int64_t frame = 0; frame < report_.frames; ++frame) {
    std::optional<Sheet> sheet = drawn.Pop();
    if (!sheet) return {};  // who draws says why
    TIMBRE_CHECK(writer.WritePicture(*sheet->picture));
    empty.Push(*std::move(sheet));
    TIMBRE_CHECK(WriteSound(writer, static_cast<double>(frame + 1) / options_.fps));
    TIMBRE_CHECK(Told(frame + 1));
  }
  return WriteSound(writer, 2 * kLongestScene);
}

Status NotesVideo::Encode(NotesPainter& painter, OutputSet& outputs) {
  VideoOptions video{.container = options_.output.ends_with(".webm") ? VideoContainer::kWebm : VideoContainer::kMp4,
                     .width = size_.width,
                     .height = size_.height,
                     .fps = options_.fps,
                     .quality = options_.quality,
                     .effort = options_.effort,
                     .sound = !options_.audio.empty(),
                     .threads = options_.threads};
  TIMBRE_TRY(const std::unique_ptr<VideoWriter> writer, VideoWriter::Create(options_.output, video, &outputs));
  Sheets drawn(kWaiting), empty(kWaiting + 2);
  for (size_t i = 0; i < kWaiting + 2; ++i) {
    TIMBRE_TRY(std::unique_ptr<VideoPicture> picture, writer->NewPicture());
    empty.Push({std::move(picture), {}});
  }
  Status painted;
  const auto paint = [&](Sheet& sheet, int64_t frame) -> Status {
    TIMBRE_CHECK(painter.Paint(TimeOf(frame)));
    TIMBRE_TRY(const YuvPlanes planes, sheet.picture->Planes());
    painter.ToYuv(planes, sheet.painted);
    return {};
  };
  TIMBRE_TRY(std::thread thread, StartThread([&] {
               for (int64_t frame = 0; frame < report_.frames; ++frame) {
                 std::optional<Sheet> sheet = empty.Pop();
                 if (!sheet) break;
                 painted = paint(*sheet, frame);
                 if (!painted || !drawn.Push(*std::move(sheet))) break;
               }
               drawn.Close();
             }));
  const Status encoded = EncodePictures(*writer, drawn, empty);
  drawn.Cancel();
  empty.Cancel();
  thread.join();
  TIMBRE_CHECK(painted);
  TIMBRE_CHECK(encoded);
  return writer->Finish();
}

// A folder that gets its name when every picture is in it.
Status NotesVideo::WritePictures(NotesPainter& painter) {
  const fs::path folder = fs::path(options_.output).parent_path();
  std::error_code error;
  if (fs::exists(folder, error)) {
    return Fail(ErrorCode::kInvalidArgument, "'" + folder.string() + "' exists; pictures go into a new folder.");
  }
  if (report_.frames > kMostPictures) {
    return Fail(ErrorCode::kUnsupported, fmt::format("{} pictures would be too many; make a video, or ask for fewer "
                                                     "frames a second.",
                                                     report_.frames));
  }
  if (!options_.audio.empty()) report_.warnings.push_back("Pictures have no sound.");
  TIMBRE_TRY(TemporaryFolder pictures, TemporaryFolder::Create(NearestFolder(folder.parent_path().string())));
  for (int64_t frame = 0; frame < report_.frames; ++frame) {
    TIMBRE_CHECK(painter.Paint(TimeOf(frame)));
    const std::string path = fmt::format("{}/{:06}.png", pictures.path(), frame);
    pictures.Holds(path);
    TIMBRE_CHECK(painter.WritePng(path));
    TIMBRE_CHECK(Told(frame + 1));
  }
  fs::create_directories(folder.parent_path().empty() ? "." : folder.parent_path(), error);
  fs::permissions(pictures.path(), fs::perms(0755), error);
  fs::rename(pictures.path(), folder, error);
  if (error) return Fail(ErrorCode::kIo, "'" + folder.string() + "' could not be written: " + error.message() + ".");
  return {};
}

}  // namespace

FieldList NotesFields(NotesOptions& options) {
  const auto of_video = [&options] {
    return options.output.ends_with('/') ? "pictures are not encoded as a video" : "";
  };
  return {
      {.name = "output",
       .value = &options.output,
       .help = "a .mp4 or .webm file, or a new folder for PNG pictures where it ends in /",
       .placeholder = "FILE",
       .letter = 'o'},
      {.name = "audio",
       .value = &options.audio,
       .help = "the sound, which begins with the notes; - is the standard input",
       .placeholder = "FILE"},
      {.name = "size", .value = &options.size, .help = "720p, 1080p, 1440p, 4k or WIDTHxHEIGHT", .placeholder = "SIZE"},
      {.name = "portrait", .value = &options.portrait, .help = "upright: the sides change places"},
      {.name = "fps", .value = &options.fps, .help = "pictures a second", .min = 10, .max = 120},
      {.name = "speed",
       .value = &options.speed,
       .help = "of the fall; 1: a note is seen 2.1 s before it sounds",
       .min = 0.25,
       .max = 4},
      {.name = "count-in",
       .value = &options.count_in,
       .help = "bars that are counted first",
       .placeholder = "BARS",
       .min = 0,
       .max = 8},
      {.name = "labels", .value = &options.labels, .help = "draw no names, numbers and times"},
      {.name = "lanes",
       .value = &options.lanes,
       .help = "a table of lanes, colours and shapes (default: docs/notes.yaml)",
       .placeholder = "FILE.yaml"},
      {.name = "quality",
       .value = &options.quality,
       .help = "of the encoder; lower is better and larger",
       .min = 0,
       .max = 51,
       .idle = of_video},
      {.name = "effort",
       .value = &options.effort,
       .help = "of the encoder of mp4: smaller files take longer",
       .choices = {"ultrafast", "superfast", "veryfast", "fast", "medium", "slow"},
       .idle = [&options] { return options.output.ends_with(".mp4") ? "" : "it belongs to a .mp4"; }},
      {.name = "threads",
       .value = &options.threads,
       .help = "of the encoder (default: twice as many as the process may use)",
       .min = 1,
       .max = 256,
       .idle = of_video},
  };
}

Status CheckNotesSize(const NotesOptions& options) {
  const Result<Size> size = SizeOf(options);
  return size ? Status() : Status(tl::unexpected<Error>(size.error()));
}

Result<NotesReport> MakeNotesVideo(const std::string& midi, const NotesOptions& options, Observer& observer) {
  TIMBRE_TRY(const MidiSong song, ReadMidi(midi));
  return MakeNotesVideo(song, midi, options, observer);
}

Result<NotesReport> MakeNotesVideo(const MidiSong& song, const std::string& name, const NotesOptions& options,
                                   Observer& observer, OutputSet* outputs) {
  const Clock::time_point start = Clock::now();
  NotesOptions own = options;
  // Pictures are encoded side by side, each a little behind the one before it: twice as many as can run keep all busy.
  if (own.threads <= 0) own.threads = std::min(16, 2 * ThreadPool().threads());
  TIMBRE_TRY(const Size size, SizeOf(own));
  if (!own.output.ends_with('/') && !own.output.ends_with(".mp4") && !own.output.ends_with(".webm")) {
    return Fail(ErrorCode::kInvalidArgument,
                "'" + Printable(own.output) + "' ends neither in .mp4 nor in .webm, nor in / as a folder of pictures.");
  }
  for (const std::string& input : {name, own.audio}) {
    TIMBRE_CHECK(CheckNotInput(own.output, input, "choose another --output"));
  }
  TIMBRE_TRY(const std::vector<NoteLane> lanes, LanesOf(own));
  Result<NotesScene> scene = MakeNotesScene(song, lanes);
  if (!scene) return Prefix(scene.error(), name);
  if (own.count_in == 0) scene->count_until = 0;
  NotesReport report{.input = name, .output = own.output, .width = size.width, .height = size.height, .fps = own.fps};
  report.notes = static_cast<int64_t>(scene->notes.size());
  for (const NoteLane& lane : scene->lanes) report.lanes.push_back(lane.name);
  if (!scene->unknown.empty()) {
    std::string notes;
    for (const int note : scene->unknown) notes += (notes.empty() ? "" : ", ") + std::to_string(note);
    report.warnings.push_back("No lane of the table has the notes " + notes + "; they get grey ones.");
  }
  TIMBRE_CHECK(NotesVideo(*scene, own, size, observer, report).Run(outputs));
  report.total = std::chrono::duration<double>(Clock::now() - start).count();
  report.real_time_factor = report.total / report.seconds;
  return report;
}

}  // namespace timbre
