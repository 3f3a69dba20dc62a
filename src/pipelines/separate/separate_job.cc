// Tracks into stems.
#include <fmt/format.h>

#include <filesystem>

#include "base/quantities.h"
#include "pipelines/dry_run.h"
#include "pipelines/job_presets.h"
#include "pipelines/job_schema.h"
#include "pipelines/made_by.h"
#include "pipelines/output_files.h"
#include "pipelines/runtime_options.h"
#include "pipelines/separate/model_choice.h"
#include "pipelines/separate/separate.h"
#include "pipelines/separate/separate_fields.h"
#include "pipelines/separate/separate_outputs.h"
#include "pipelines/sound_stream.h"
#include "pipelines/track_done.h"
#include "pipelines/track_inputs.h"

namespace timbre {
namespace {

Json ToJson(const TrackReport& track) {
  Json outputs = Json::array();
  for (const StemOutput& output : track.outputs) {
    outputs.push_back({{"stem", output.stem},
                       {"path", output.path},
                       {"samples", output.samples},
                       {"channels", output.channels},
                       {"sample_rate", output.sample_rate},
                       {"peak", output.peak},
                       {"gain", output.gain}});
  }
  return {{"input", track.input},
          {"input_format", track.input_format},
          {"sample_rate", track.sample_rate},
          {"channels", track.channels},
          {"samples", track.samples},
          {"seconds", track.seconds},
          {"skipped", track.skipped},
          {"outputs", outputs},
          {"tiles", track.tiles},
          {"timings",
           {{"load", track.times.load},
            {"analyse", track.times.analyse},
            {"decode", track.times.decode},
            {"compute", track.times.compute},
            {"encode", track.times.encode},
            {"total", track.times.total}}},
          {"real_time_factor", track.real_time_factor},
          {"warning", track.warning.empty() ? Json() : Json(track.warning)}};
}

class SeparateJob final : public Job {
 public:
  FieldList Fields() override {
    FieldList fields = {{.name = "input",
                         .value = &inputs_,
                         .help = "audio files, or folders of them; - is the standard input",
                         .positional = true,
                         .required = true}};
    Append(fields, {PresetField(preset_)});
    Append(fields, choice_.Fields("config"));
    Append(fields, choice_.EnsembleFields());
    Append(fields,
           {{.name = "recursive", .value = &recursive_, .help = "look into the folders of folders", .letter = 'r'}});
    Append(fields, SeparateFields(options_));
    IdleWhere([this] { return Streams(); }, {"output", "stems", "name", "skip-existing"}, fields);
    Append(fields, {{.name = "stdout",
                     .value = &options_.stream,
                     .help = "write this stem alone, and no file, to the standard output: wav, flac, ogg or opus; as "
                             "it is made with --clip clamp or none, at the end with rescale",
                     .placeholder = "STEM",
                     .heading = "Files"}});
    Append(fields, Under("Files", {DryRunField(dry_run_)}));
    return Append(fields, runtime_.Fields());
  }

  bool Streams() const override { return !options_.stream.empty(); }

  Status Run(const JobHost& host, Observer& observer, Json& report) override {
    TIMBRE_CHECK(runtime_.Check());
    TIMBRE_CHECK(ParsePart(options_.part));
    options_.session = runtime_.Session(host);
    options_.name = NameFor(options_.name, SeparateOptions().name, recursive_);
    options_.made_by = MadeBy("separate", Fields());
    report["options"] = FieldsToJson(Reported());
    report["tracks"] = Json::array();
    TIMBRE_TRY(const std::vector<TrackInput> files, ExpandInputs(inputs_, recursive_, options_.output_dir));
    if (Streams()) {
      TIMBRE_CHECK(CheckStream(options_.format, files.size()));
      options_.stream_to = host.stream;
    } else {
      TIMBRE_CHECK(CheckOutputFolder(options_.output_dir));
    }
    if (dry_run_) TIMBRE_CHECK(choice_.CheckHere());
    TIMBRE_TRY(std::vector<LoadedModel> models, choice_.LoadAll(host, observer));
    ThreadPool pool(runtime_.threads());
    Stats stats;
    TIMBRE_TRY(const std::unique_ptr<Separator> separator,
               choice_.MakeSeparator(std::move(models), options_, pool, stats, host, observer));
    const std::string& name = separator->model().name;
    const SeparationInfo& info = separator->model().info();
    std::vector<std::string> refused(files.size());
    if (!Streams()) {
      TIMBRE_TRY(refused, Plan(*separator, name, files));
    }
    report["model"] = {{"name", name},
                       {"path", separator->model().path},
                       {"architecture", info.architecture},
                       {"networks", separator->model().members.size()},
                       {"stems", info.stems},
                       {"sample_rate", info.sample_rate}};
    if (const std::vector<std::string> parts = ModelNames(choice_.model); parts.size() > 1) {
      report["ensemble"] = {{"algorithm", ValueText(choice_.EnsembleFields().front())},
                            {"models", parts},
                            {"weights", choice_.ensemble.weights}};
    }
    report["device"] = {{"name", separator->device_name()}, {"reason", separator->device_reason()}};
    report["batch"] = separator->batch();
    Say(observer, fmt::format("{} on {}: {}", name, separator->device_name(), separator->device_reason()));
    Status done = dry_run_ ? TellPlan(*separator, name, files, refused, observer, report)
                           : SeparateAll(*separator, files, refused, observer, report["tracks"]);
    report["device"]["kernels"] = separator->kernels();
    report["peak_memory_mb"] = PeakMemory() / 1e6;
    ReportSteps(stats, observer, report);
    return done;
  }

  // What the report says of the options.
  FieldList Reported() {
    FieldList reported = {PresetField(preset_)};
    Append(reported, choice_.Fields("config"));
    Append(reported, choice_.EnsembleFields());
    Append(reported, SeparateFields(options_));
    return Append(reported, runtime_.Fields());
  }

 private:
  // Why each of the files must not be separated, or nothing: its outputs would be another's. A name that would be so in
  // one run alone, or with --strict, is an error.
  Result<std::vector<std::string>> Plan(const Separator& separator, const std::string& model,
                                        const std::vector<TrackInput>& files) const {
    OutputPlan plan(files);
    std::vector<std::string> refused;
    for (const TrackInput& file : files) {
      std::vector<std::string> paths;
      std::string why;
      for (const std::string& stem : separator.output_names()) {
        Result<std::string> path = OutputPath(options_, model, file, stem);
        if (!path && path.error().code == ErrorCode::kInvalidArgument) return tl::unexpected<Error>(path.error());
        if (path) {
          paths.push_back(*std::move(path));
        } else {
          why = path.error().message;
        }
      }
      if (why.empty()) {
        TIMBRE_TRY(why, plan.Add(paths, file.path));
      }
      if (!why.empty() && (files.size() == 1 || options_.session.strict)) {
        return Fail(ErrorCode::kInvalidArgument, why);
      }
      refused.push_back(std::move(why));
    }
    return refused;
  }

  Status TellPlan(Separator& separator, const std::string& model, const std::vector<TrackInput>& files,
                  const std::vector<std::string>& refused, Observer& observer, Json& report) const {
    TIMBRE_TRY(const AudioPart part, ParsePart(options_.part));
    TIMBRE_TRY(const WriteOptions write,
               ParseWriteOptions(options_.format, options_.sample_format, options_.peak ? "rescale" : options_.clip,
                                 options_.bitrate, options_.temp_dir));
    DryRun run({.folder = Streams() ? "" : options_.output_dir,
                .temporary = TemporaryFolderFor(options_.temp_dir, options_.output_dir, Streams()),
                .write = write,
                .rate = options_.rate,
                .most_channels = separator.model().info().channels,
                .files = separator.output_names().size(),
                .piped = Streams(),
                .stems_between = separator.stems_between()});
    TIMBRE_TRY(const std::optional<double> per_tile, SecondsPerTile(separator, observer));
    for (size_t i = 0; i < files.size(); ++i) {
      DryTrack track{.input = files[i].path, .refused = refused[i]};
      if (!Streams() && track.refused.empty()) {
        TIMBRE_TRY(OutputPlaces places, PlacesOf(options_, model, separator.output_names(), files[i]));
        track.outputs = std::move(places.paths);
        track.skipped = places.done;
      }
      TIMBRE_CHECK(run.Add(std::move(track), part, separator, per_tile));
    }
    return run.Tell(observer, report);
  }

  // One track that fails does not keep the others from being separated.
  Status SeparateAll(Separator& separator, const std::vector<TrackInput>& files,
                     const std::vector<std::string>& refused, Observer& observer, Json& tracks) const {
    size_t failed = 0;
    for (size_t i = 0; i < files.size(); ++i) {
      const std::string& file = files[i].path;
      BeginProgress(observer, "separating", std::filesystem::path(file).filename().string());
      const Result<TrackReport> track = refused[i].empty()
                                            ? separator.Separate(files[i], observer)
                                            : Result<TrackReport>(Fail(ErrorCode::kInvalidArgument, refused[i]));
      EndProgress(observer);
      if (!track) {
        const Error& error = track.error();
        tracks.push_back({{"input", file}, {"error", error.message}});
        if (files.size() == 1 || error.code == ErrorCode::kCancelled) return tl::unexpected<Error>(error);
        Warn(observer, error.message);
        ++failed;
        continue;
      }
      tracks.push_back(ToJson(*track));
      TrackDone(observer, tracks.back());
      if (!track->warning.empty()) Warn(observer, file + ": " + track->warning);
      for (const StemOutput& output : track->outputs) Detail(observer, "  " + output.path);
      if (track->skipped) {
        Say(observer, fmt::format("{}: skipped, its files are there", file));
        continue;
      }
      const std::filesystem::path first = track->outputs.empty() ? "" : track->outputs.front().path;
      const std::string where = first.has_parent_path()
                                    ? fmt::format("{} file{} in {}", track->outputs.size(),
                                                  track->outputs.size() == 1 ? "" : "s", first.parent_path().string())
                                    : "to " + first.string();
      Say(observer, fmt::format("{}: {} in {}, real-time factor {:.3f}, {}", file, DurationText(track->seconds),
                                DurationText(track->times.total), track->real_time_factor, where));
      for (const StemOutput& output : track->outputs) {
        if (!options_.peak && output.gain < 1) Say(observer, "  " + output.stem + ": " + LoweredText(output.gain));
      }
    }
    if (failed == 0) return {};
    return Fail(ErrorCode::kIo,
                fmt::format("{} of {} tracks could not be separated; the warnings say why.", failed, files.size()));
  }

  std::vector<std::string> inputs_;
  std::string preset_;
  ModelChoice choice_{.model = std::string(kDefaultSeparationModel)};
  bool recursive_ = false, dry_run_ = false;
  SeparateOptions options_;
  RuntimeOptions runtime_;
};

}  // namespace

std::unique_ptr<Job> MakeSeparateJob() { return std::make_unique<SeparateJob>(); }

Json SeparateJobReportSchema() {
  const Json output = ObjectSchema({{"stem", "string"},
                                    {"path", "string"},
                                    {"samples", "integer"},
                                    {"channels", "integer"},
                                    {"sample_rate", "integer"},
                                    {"peak", "number"},
                                    {"gain", "number"}});
  const Json timings = ObjectSchema({{"load", "number"},
                                     {"analyse", "number"},
                                     {"decode", "number"},
                                     {"compute", "number"},
                                     {"encode", "number"},
                                     {"total", "number"}});
  const Json track = InputSchema({{"skipped", "boolean"},
                                  {"outputs", ListSchema(output)},
                                  {"tiles", "integer"},
                                  {"timings", timings},
                                  {"real_time_factor", "number"}});
  return ObjectSchema({{"options", OptionsSchema(SeparateJob().Reported())},
                       {"tracks", ListSchema(TrackSchema(track))},
                       {"model", ObjectSchema({{"name", "string"},
                                               {"path", "string"},
                                               {"architecture", "string"},
                                               {"networks", "integer"},
                                               {"stems", ListSchema(TypeSchema("string"))},
                                               {"sample_rate", "integer"}})},
                       {"ensemble?", ObjectSchema({{"algorithm", "string"},
                                                   {"models", ListSchema(TypeSchema("string"))},
                                                   {"weights", ListSchema(TypeSchema("string"))}})},
                       {"device", DeviceSchema()},
                       {"batch", "integer"},
                       {"plan?", DryRunSchema()},
                       {"peak_memory_mb", "number"},
                       {"steps_down", StepsDownSchema()}});
}

}  // namespace timbre
