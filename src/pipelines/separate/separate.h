// Separating a track into stems: decode, resample, tiles through a model on a device, overlap-add, resample, encode, as
// a pipeline over bounded queues. Memory does not grow with the length of the track.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "audio/encode.h"
#include "base/observer.h"
#include "base/result.h"
#include "base/thread_pool.h"
#include "models/separate/separation_model.h"
#include "pipelines/track_part.h"
#include "runtime/session/session.h"
#include "runtime/session/stats.h"

namespace timbre {

struct SeparateOptions {
  std::vector<std::string> stems;  // those to write; empty: all
  std::string two_stems;           // this stem, and the rest as "no_<stem>"; excludes `stems`
  std::string rest = "sum";        // what the rest is: the sum of the other stems, or the track minus the stem: "minus"
  PartOptions part;                // of the track, that is computed
  double segment = 0;              // seconds; 0: the model's own
  double overlap = -1;             // negative: the model's own
  int shifts = 0;
  uint64_t seed = 0;
  double transition_power = 1;
  bool tta = false;              // the mean of three runs: as it is, channels exchanged, polarity inverted
  std::string pipeline = "own";  // by whose rules tracks are cut: own, msst, uvr (SeparationInfo::pipelines)
  bool normalise = true;         // where the model's own pipeline does: the whole track to zero mean and unit deviation
  int batch = 1;                 // 0: as many as a GPU has memory for

  std::string output_dir = "separated";               // empty where only samples in memory are separated
  std::string name = "{model}/{track}/{stem}.{ext}";  // {folder}, {track}, {stem}, {model}, {ext}
  std::string format = "wav";                         // wav, flac, mp3, ogg, opus, m4a, alac
  std::string sample_format = "s16";                  // s16, s24, f32, where the format has a choice
  std::string clip = "rescale";                       // rescale, clamp, none
  int bitrate = 0;                                    // kbit/s of a lossy format; 0: its default
  int rate = 0;                                       // Hz; 0: the track's
  std::optional<double> peak;                         // dBFS, of the loudest output; `clip` is then of no account
  std::string temp_dir;                               // for what lies on disk meanwhile; empty: beside the outputs
  // This output alone, and not to a file but into `stream_to` as it is made (AudioWriter::Stream). Empty: files.
  std::string stream;
  int stream_to = -1;
  bool tags = true;            // copy title, artist, cover and the like, with the stem's name behind the title
  bool skip_existing = false;  // leave tracks alone that IsDone()
  std::string made_by;         // MadeBy(), kept with the outputs and compared; empty: neither

  SessionOptions session;
};

// What stands for a stream in reports and messages.
inline constexpr char kStreamName[] = "stdout";

// A track, and where it was found: both go into the names of its outputs.
struct TrackInput {
  TrackInput(std::string file, std::string below = "") : path(std::move(file)), folder(std::move(below)) {}
  TrackInput(const char* file) : path(file) {}
  TrackInput(const std::filesystem::path& file) : path(file.string()) {}
  std::string path;
  std::string folder;  // from the folder that was named to the file's own; empty: the file was named, or lies there
  std::optional<AudioTags> tags;  // that its outputs get; none: its own
};

struct StageTimes {
  double load = 0;                             // reading the model and planning: seconds, once per separator
  double analyse = 0;                          // first pass over the input: length, mean and deviation
  double decode = 0, compute = 0, encode = 0;  // busy time of each stage of the pipeline; the stages overlap
  double total = 0;
};

struct StemOutput {
  std::string stem, path;
  int64_t samples = 0;
  int channels = 0, sample_rate = 0;
  float peak = 0;  // before clip handling
  float gain = 1;  // that clip handling applied
};

struct TrackReport {
  std::string input;
  std::string input_format;  // as the decoder names it
  int sample_rate = 0, channels = 0;
  int64_t samples = 0;   // of the part that was computed, at `sample_rate`
  double seconds = 0;    // of audio
  bool skipped = false;  // every output existed
  std::vector<StemOutput> outputs;
  int64_t tiles = 0;
  StageTimes times;
  double real_time_factor = 0;  // times.total / seconds
  std::string warning;          // what was wrong with the input although it could be read; empty where nothing was
  AudioTags tags;               // the input's
};

// A model made ready for any number of tracks.
class Separator {
 public:
  // The outputs of `options` that do not exist in the model, or make no sense, are errors here, before any track is
  // read. `pool` and `stats` must outlive the separator.
  static Result<std::unique_ptr<Separator>> Create(LoadedModel model, const SeparateOptions& options, ThreadPool& pool,
                                                   Stats& stats);
  virtual ~Separator() = default;

  // Separates a file into files (or a stream, see SeparateOptions), which replace old ones of their names together
  // (base/output_set.h). On failure or cancellation nothing is left behind, and old files are as they were.
  virtual Result<TrackReport> Separate(const TrackInput& input, Observer& observer) = 0;

  // The same for samples in memory at the model's rate, without files: mix [samples, channels] -> one [samples,
  // channels] for each of `output_names()`.
  virtual Result<std::vector<std::vector<float>>> SeparateSamples(std::span<const float> mix, int channels,
                                                                  Observer& observer) = 0;

  // How many tiles a track of so many samples, at the model's rate, is computed in.
  virtual Result<int64_t> Tiles(int64_t samples) const = 0;

  // How many stems of a whole track, as float32, lie on disk while it is computed, besides what writers keep.
  virtual size_t stems_between() const { return 0; }

  virtual const std::vector<std::string>& output_names() const = 0;
  virtual const LoadedModel& model() const = 0;
  virtual std::string device_name() const = 0;
  virtual std::string device_reason() const = 0;
  virtual int batch() const = 0;             // of the first member
  virtual KernelCounts kernels() const = 0;  // of the networks that ran last
  virtual int64_t arena_bytes() const = 0;
  virtual int64_t weight_bytes() const = 0;
};

// How each of the model's members cuts a track of `length` samples at its rate. Errors: options that it can't take.
Result<std::vector<TilePlan>> PlanTiles(const LoadedModel& model, const SeparateOptions& options, int64_t length);

// The path that an output of `input` is written to under the options' template: below the output folder, always.
// kInvalidArgument where the template is wrong, kUnsupported where this track's name is too long.
Result<std::string> OutputPath(const SeparateOptions& options, const std::string& model, const TrackInput& input,
                               const std::string& stem);

// Whether an earlier run has left nothing to do: each of `paths` can be read to its end, is as long as `part` of
// `input` to the sample, at the same time, not older, and was made as is to be done now. `marks`: OutputMark() of each.
bool IsDone(const std::string& input, const AudioPart& part, const std::vector<std::string>& paths,
            const std::vector<std::string>& marks);

}  // namespace timbre
