#include "pipelines/dry_run.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "audio/byte_source.h"
#include "audio/file_size.h"
#include "audio/resample.h"
#include "base/quantities.h"
#include "base/timer.h"
#include "models/model_files.h"
#include "models/named_model.h"
#include "pipelines/job_schema.h"
#include "pipelines/model_fetching.h"
#include "pipelines/runtime_options.h"
#include "store/fetch.h"

namespace timbre {
namespace {

namespace fs = std::filesystem;

constexpr double kSegment = 8;        // seconds that are tried of a model without a segment of its own
constexpr double kMostSegment = 600;  // and the most of one with

// Asks whether to stop, and tells nobody of the progress: it is none of a track's.
class Silent final : public Observer {
 public:
  explicit Silent(Observer& observer) : observer_(observer) {}
  void OnProgress(const Progress&) override {}
  bool Cancelled() override { return observer_.Cancelled(); }

 private:
  Observer& observer_;
};

double SecondsOfSound(const AudioInfo& info) {
  return static_cast<double>(info.expected_frames) / std::max(1, info.sample_rate);
}

Json Number(std::optional<double> number) { return number ? Json(*number) : Json(); }

// A sum or a maximum of what may not be known: then it is not either.
struct Total {
  bool known = true;
  double value = 0;

  void Add(std::optional<double> part) {
    known = known && part;
    value += part.value_or(0);
  }
  void Raise(std::optional<double> part) {
    known = known && part;
    value = std::max(value, part.value_or(0));
  }
  Json json(double unit = 1) const { return known ? Json(value / unit) : Json(); }
};

// Bytes that a user may still write there, and the file system that has them.
struct Room {
  Total free;
  std::optional<dev_t> device;
};

Room RoomAt(const std::string& folder) {
  Room room;
  std::error_code error;
  const fs::path nearest = NearestFolder(folder.empty() ? "." : folder);
  const fs::space_info space = fs::space(nearest, error);
  room.free.Add(error ? std::nullopt : std::optional<double>(space.available));
  struct stat facts = {};
  if (stat(nearest.c_str(), &facts) == 0) room.device = facts.st_dev;
  return room;
}

std::string BytesOrUnknown(const Total& bytes) { return bytes.known ? BytesText(bytes.value) : "unknown"; }

}  // namespace

Field DryRunField(bool& dry_run) {
  return {.name = "dry-run",
          .value = &dry_run,
          .help = "write nothing; say which files there would be, and what time, memory and disk they would take"};
}

Status CheckModelIsHere(const std::string& name) {
  const ModelEntry* const model = EntryOfName(name);
  if (model == nullptr || model->files.empty()) return {};
  TIMBRE_TRY(const FetchOptions options, FetchOptionsFromEnvironment());
  if (StatusOfModel(options.cache, *model).state == ModelState::kInstalled) return {};
  return Fail(ErrorCode::kNotFound,
              fmt::format("a dry run fetches nothing, and the model {} ({}) is not here; 'timbre models pull {}' "
                          "fetches it.",
                          name, SizeText(*model), name));
}

Result<std::optional<double>> SecondsPerTile(Separator& separator, Observer& observer) {
  const SeparationInfo& info = separator.model().info();
  const double segment = info.segment > 0 ? std::min(info.segment, kMostSegment) : kSegment;
  const auto samples = static_cast<int64_t>(segment * info.sample_rate);
  TIMBRE_TRY(const int64_t tiles, separator.Tiles(samples));
  if (tiles == 0) return std::nullopt;
  const std::vector<float> silence(static_cast<size_t>(samples) * info.channels);
  Silent silent(observer);
  double seconds = 0;
  {
    const ScopedTimer timer(&seconds);
    const auto done = separator.SeparateSamples(silence, info.channels, silent);
    if (!done && done.error().code == ErrorCode::kUnsupported) return std::nullopt;
    TIMBRE_CHECK(done);
  }
  return seconds / static_cast<double>(tiles);
}

void DryRun::ReadHeader(DryTrack& track, const AudioPart& part) {
  std::error_code error;
  if (!track.refused.empty() || track.skipped || IsStandardInput(track.input) ||
      !fs::is_regular_file(track.input, error))
    return;
  const Result<std::unique_ptr<AudioReader>> reader = AudioReader::Open(track.input, {.part = part});
  if (!reader) {
    track.refused = reader.error().message;
  } else if ((*reader)->info().expected_frames > 0) {
    track.info = (*reader)->info();
  }
}

Status DryRun::Add(DryTrack track, const AudioPart& part, const Separator& separator, std::optional<double> per_tile) {
  ReadHeader(track, part);
  if (track.info && per_tile) {
    const int rate = separator.model().info().sample_rate;
    const AudioInfo& info = *track.info;
    TIMBRE_TRY(const int64_t tiles, separator.Tiles(ResampledLength(info.expected_frames, info.sample_rate, rate)));
    track.seconds = static_cast<double>(tiles) * *per_tile;
  }
  tracks_.push_back(std::move(track));
  return {};
}

Status DryRun::Add(DryTrack track, const AudioPart& part,
                   const std::function<Result<double>(int rate, int channels)>& pace) {
  ReadHeader(track, part);
  if (track.info) {
    TIMBRE_TRY(const double seconds, pace(track.info->sample_rate, track.info->channels));
    track.seconds = seconds * SecondsOfSound(*track.info);
  }
  tracks_.push_back(std::move(track));
  return {};
}

DryRun::Bytes DryRun::BytesOf(const AudioInfo& info) const {
  const int rate = sound_.rate > 0 ? sound_.rate : info.sample_rate;
  const int channels = std::min(info.channels, sound_.most_channels);
  const int64_t frames = ResampledLength(info.expected_frames, info.sample_rate, rate);
  const auto files = static_cast<int64_t>(sound_.files);
  // What goes down a pipe takes no disk, but waits for its gain all the same.
  const auto written =
      sound_.piped ? 0 : static_cast<double>(files * ExpectedFileBytes(sound_.write, frames, rate, channels));
  // Samples that wait for the gain which their peak asks for, and stems that models leave to one another, at the
  // track's rate or the files'.
  const int64_t longest = std::max(frames, info.expected_frames);
  const int64_t samples = (sound_.write.clip == ClipMode::kRescale ? files * frames : 0) +
                          static_cast<int64_t>(sound_.stems_between) * longest;
  const auto waiting = static_cast<double>(samples * channels * 4);
  return sound_.kept ? Bytes{.kept = written, .meanwhile = waiting} : Bytes{.meanwhile = written + waiting};
}

Status DryRun::Tell(Observer& observer, Json& report) const {
  size_t refused = 0;
  Json tracks = Json::array();
  Total seconds, kept, meanwhile;
  for (const DryTrack& track : tracks_) {
    std::optional<double> disk, waiting, length;
    if (track.info) {
      const Bytes bytes = BytesOf(*track.info);
      disk = bytes.kept;
      waiting = bytes.meanwhile;
      length = SecondsOfSound(*track.info);
    }
    tracks.push_back({{"input", track.input},
                      {"skipped", track.skipped},
                      {"seconds", Number(length)},
                      {"outputs", track.outputs},
                      {"estimated_seconds", Number(track.seconds)},
                      {"disk_mb", disk ? Json(*disk / 1e6) : Json()},
                      {"temporary_mb", waiting ? Json(*waiting / 1e6) : Json()},
                      {"error", track.refused.empty() ? Json() : Json(track.refused)}});
    if (!track.refused.empty()) {
      if (tracks_.size() > 1) Warn(observer, track.refused);
      ++refused;
      continue;
    }
    if (track.skipped) {
      Answer(observer, track.input + ": skipped, its files are there");
      continue;
    }
    seconds.Add(track.seconds);
    kept.Add(disk);
    meanwhile.Raise(waiting);  // one track is computed at a time
    Answer(observer, fmt::format("{}: {}{}", track.input, length ? DurationText(*length) : "of unknown length",
                                 track.seconds ? ", about " + DurationText(*track.seconds) + " to compute" : ""));
    for (const std::string& output : track.outputs) Answer(observer, "  " + output);
  }
  if (tracks_.size() == 1 && refused == 1) return Fail(ErrorCode::kIo, tracks_.front().refused);
  const double memory = PeakMemory();
  const Room room = RoomAt(sound_.folder), between = RoomAt(sound_.temporary);
  const bool apart = room.device && between.device && *room.device != *between.device;
  std::string meanwhile_there = BytesOrUnknown(meanwhile);
  if (apart) meanwhile_there += " of " + BytesOrUnknown(between.free) + " in " + sound_.temporary;
  Answer(observer,
         fmt::format("in all: time about {}, memory about {}, disk up to {} and meanwhile {}; {} are free there",
                     seconds.known ? DurationText(seconds.value) : "unknown", BytesText(memory), BytesOrUnknown(kept),
                     meanwhile_there, BytesOrUnknown(room.free)));
  const double here = kept.value + (apart ? 0 : meanwhile.value);
  if (room.free.known && here > room.free.value) Warn(observer, "the disk has no room for that");
  if (apart && between.free.known && meanwhile.value > between.free.value) {
    Warn(observer, "there is no room for that in " + sound_.temporary + "; --temp names another folder");
  }
  report["plan"] = {{"tracks", std::move(tracks)},
                    {"estimated_seconds", seconds.json()},
                    {"memory_mb", memory / 1e6},
                    {"disk_mb", kept.json(1e6)},
                    {"temporary_mb", meanwhile.json(1e6)},
                    {"free_mb", room.free.json(1e6)},
                    {"temporary_free_mb", between.free.json(1e6)}};
  if (refused == 0) return {};
  return Fail(ErrorCode::kIo,
              fmt::format("{} of {} inputs would not be done; the warnings say why.", refused, tracks_.size()));
}

Json DryRunSchema() {
  const Json track = ObjectSchema({{"input", "string"},
                                   {"skipped", "boolean"},
                                   {"seconds", "number|null"},
                                   {"outputs", ListSchema(TypeSchema("string"))},
                                   {"estimated_seconds", "number|null"},
                                   {"disk_mb", "number|null"},
                                   {"temporary_mb", "number|null"},
                                   {"error", "string|null"}});
  return ObjectSchema({{"tracks", ListSchema(track)},
                       {"estimated_seconds", "number|null"},
                       {"memory_mb", "number"},
                       {"disk_mb", "number|null"},
                       {"temporary_mb", "number|null"},
                       {"free_mb", "number|null"},
                       {"temporary_free_mb", "number|null"}});
}

}  // namespace timbre
