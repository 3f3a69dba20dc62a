#include "pipelines/speech/denoise_job.h"

#include <fmt/format.h>

#include <filesystem>
#include <map>

#include "base/quantities.h"
#include "models/named_model.h"
#include "pipelines/dry_run.h"
#include "pipelines/job_schema.h"
#include "pipelines/kept_models.h"
#include "pipelines/made_by.h"
#include "pipelines/model_fetching.h"
#include "pipelines/output_files.h"
#include "pipelines/sound_stream.h"
#include "pipelines/track_done.h"
#include "pipelines/track_inputs.h"

namespace timbre {
namespace {

Json ToJson(const DenoiseReport& file) {
  return {
      {"input", file.input},
      {"input_format", file.input_format},
      {"output", file.output},
      {"sample_rate", file.sample_rate},
      {"channels", file.channels},
      {"samples", file.samples},
      {"seconds", file.seconds},
      {"skipped", file.skipped},
      {"peak", file.peak},
      {"gain", file.gain},
      {"timings", {{"decode", file.decode}, {"compute", file.compute}, {"encode", file.encode}, {"total", file.total}}},
      {"real_time_factor", file.real_time_factor},
      {"warning", file.warning.empty() ? Json() : Json(file.warning)}};
}

// One file that fails does not keep the others from being cleaned.
Status DenoiseAll(Denoiser& denoiser, const DenoiseOptions& options, const std::vector<TrackInput>& files,
                  const std::vector<std::string>& refused, Observer& observer, Json& tracks) {
  size_t failed = 0;
  for (size_t i = 0; i < files.size(); ++i) {
    const std::string& file = files[i].path;
    BeginProgress(observer, "cleaning", std::filesystem::path(file).filename().string());
    const Result<DenoiseReport> done = refused[i].empty()
                                           ? denoiser.Denoise(files[i], observer)
                                           : Result<DenoiseReport>(Fail(ErrorCode::kInvalidArgument, refused[i]));
    EndProgress(observer);
    if (!done) {
      const Error& error = done.error();
      tracks.push_back({{"input", file}, {"error", error.message}});
      if (files.size() == 1 || error.code == ErrorCode::kCancelled) return tl::unexpected<Error>(error);
      Warn(observer, error.message);
      ++failed;
      continue;
    }
    tracks.push_back(ToJson(*done));
    TrackDone(observer, tracks.back());
    if (!done->warning.empty()) Warn(observer, file + ": " + done->warning);
    if (done->skipped) {
      Say(observer, fmt::format("{}: skipped, {} is there", file, done->output));
      continue;
    }
    Say(observer, fmt::format("{}: {} in {}, real-time factor {:.4f}, in {}", file, DurationText(done->seconds),
                              DurationText(done->total), done->real_time_factor, done->output));
    if (!options.peak && done->gain < 1) Say(observer, "  " + LoweredText(done->gain));
  }
  if (failed == 0) return {};
  return Fail(ErrorCode::kIo,
              fmt::format("{} of {} files could not be cleaned; the warnings say why.", failed, files.size()));
}

}  // namespace

FieldList DenoiseJob::Fields() {
  FieldList fields = {
      {.name = "input",
       .value = &inputs_,
       .help = "audio files, or folders of them; - is the standard input",
       .positional = true,
       .required = true},
      {.name = "model",
       .value = &model_,
       .help = "a model's name, or the path of its file or folder",
       .placeholder = "NAME|PATH",
       .letter = 'm'},
      {.name = "recursive", .value = &recursive_, .help = "look into the folders of folders", .letter = 'r'}};
  Append(fields, DenoiseFields(options_));
  IdleWhere([this] { return Streams(); }, {"output", "name", "skip-existing"}, fields);
  Append(fields, {{.name = "stdout",
                   .value = &options_.stream_out,
                   .help = "write to the standard output, and no file: wav, flac, ogg or opus; as it is made with "
                           "--clip clamp or none, at the end with rescale"}});
  Append(fields, {DryRunField(dry_run_)});
  return Append(fields, runtime_.Fields());
}

FieldList DenoiseJob::Reported() {
  FieldList reported = DenoiseFields(options_);
  return Append(reported, runtime_.Fields());
}

Status DenoiseJob::Begin(const JobHost& host, Json& report) {
  TIMBRE_CHECK(runtime_.Check());
  options_.session = runtime_.Session(host);
  report["options"] = FieldsToJson(Reported());
  return {};
}

Json DenoiseJob::ModelJson(const SpeechModel& model) {
  return {{"name", model.name},
          {"path", model.path},
          {"architecture", model.architecture_name()},
          {"sample_rate", model.sample_rate()}};
}

Status DenoiseJob::Run(const JobHost& host, Observer& observer, Json& report) {
  TIMBRE_CHECK(Begin(host, report));
  report["tracks"] = Json::array();
  TIMBRE_CHECK(ParsePart(options_.part));
  options_.name = NameFor(options_.name, DenoiseOptions().name, recursive_);
  options_.made_by = MadeBy("denoise", Fields());
  TIMBRE_TRY(const std::vector<TrackInput> files, ExpandInputs(inputs_, recursive_, options_.output_dir));
  if (options_.stream_out) {
    TIMBRE_CHECK(CheckStream(options_.format, files.size()));
    options_.stream_to = host.stream;
  } else {
    TIMBRE_CHECK(CheckOutputFolder(options_.output_dir));
  }
  TIMBRE_CHECK(CheckModelName(model_, ModelTask::kDenoise));
  if (dry_run_) TIMBRE_CHECK(CheckModelIsHere(model_));
  TIMBRE_CHECK(FetchIfNamed(model_, ModelTask::kDenoise, observer));
  TIMBRE_TRY(SpeechModel model, LoadKept(host, model_, "speech", [this] { return OpenSpeechModel(model_); }));
  report["model"] = ModelJson(model);
  const std::string name = model.name;
  ThreadPool pool(runtime_.threads());
  Stats stats;
  TIMBRE_TRY(const std::unique_ptr<Denoiser> denoiser, Denoiser::Create(std::move(model), options_, pool, stats));
  OutputPlan plan(files);
  std::vector<std::string> refused;  // why a file must not be cleaned, or nothing
  for (const TrackInput& file : files) {
    if (options_.stream_out) {
      refused.emplace_back();
      continue;
    }
    const auto place = denoiser->PlaceFor(file);
    if (!place && place.error().code == ErrorCode::kInvalidArgument) return tl::unexpected<Error>(place.error());
    std::string why;
    if (place) {
      TIMBRE_TRY(why, plan.Add({place->path}, file.path));
    } else {
      why = place.error().message;
    }
    if (!why.empty() && (files.size() == 1 || options_.session.strict)) {
      return Fail(ErrorCode::kInvalidArgument, why);
    }
    refused.push_back(std::move(why));
  }
  report["device"] = {{"name", denoiser->device_name()}, {"reason", denoiser->device_reason()}};
  Say(observer, fmt::format("{} on {}: {}", name, denoiser->device_name(), denoiser->device_reason()));
  Status done = dry_run_ ? TellPlan(*denoiser, files, refused, observer, report)
                         : DenoiseAll(*denoiser, options_, files, refused, observer, report["tracks"]);
  report["device"]["kernels"] = denoiser->kernels();
  report["peak_memory_mb"] = PeakMemory() / 1e6;
  ReportSteps(stats, observer, report);
  return done;
}

Status DenoiseJob::TellPlan(Denoiser& denoiser, const std::vector<TrackInput>& files,
                            const std::vector<std::string>& refused, Observer& observer, Json& report) const {
  TIMBRE_TRY(const AudioPart part, ParsePart(options_.part));
  TIMBRE_TRY(const WriteOptions write,
             ParseWriteOptions(options_.format, options_.sample_format, options_.peak ? "rescale" : options_.clip,
                               options_.bitrate, options_.temp_dir));
  DryRun run({.folder = options_.stream_out ? "" : options_.output_dir,
              .temporary = TemporaryFolderFor(options_.temp_dir, options_.output_dir, options_.stream_out),
              .write = write,
              .rate = options_.rate,
              .files = 1,
              .piped = options_.stream_out});
  std::map<std::pair<int, int>, double> paces;  // by rate and channels
  for (size_t i = 0; i < files.size(); ++i) {
    DryTrack track{.input = files[i].path, .refused = refused[i]};
    if (!options_.stream_out && track.refused.empty()) {
      TIMBRE_TRY(Denoiser::Place place, denoiser.PlaceFor(files[i]));
      track.outputs.push_back(std::move(place.path));
      track.skipped = place.done;
    }
    TIMBRE_CHECK(run.Add(std::move(track), part, [&](int rate, int channels) -> Result<double> {
      const auto known = paces.find({rate, channels});
      if (known != paces.end()) return known->second;
      TIMBRE_TRY(const double pace, denoiser.MeasurePace(rate, channels));
      return paces[{rate, channels}] = pace;
    }));
  }
  return run.Tell(observer, report);
}

std::unique_ptr<Job> MakeDenoiseJob() { return std::make_unique<DenoiseJob>(); }

Json DenoiseJobReportSchema() {
  const Json timings =
      ObjectSchema({{"decode", "number"}, {"compute", "number"}, {"encode", "number"}, {"total", "number"}});
  const Json track = InputSchema({{"output", "string"},
                                  {"skipped", "boolean"},
                                  {"peak", "number"},
                                  {"gain", "number"},
                                  {"timings", timings},
                                  {"real_time_factor", "number"}});
  return ObjectSchema(
      {{"options", OptionsSchema(DenoiseJob().Reported())},
       {"tracks", ListSchema(TrackSchema(track))},
       {"model",
        ObjectSchema({{"name", "string"}, {"path", "string"}, {"architecture", "string"}, {"sample_rate", "integer"}})},
       {"device", DeviceSchema()},
       {"plan?", DryRunSchema()},
       {"peak_memory_mb", "number"},
       {"steps_down", StepsDownSchema()}});
}

}  // namespace timbre
