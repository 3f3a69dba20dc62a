// A song from words and a style.
#include <fmt/format.h>

#include "audio/byte_source.h"
#include "base/quantities.h"
#include "models/named_model.h"
#include "pipelines/job_schema.h"
#include "pipelines/model_fetching.h"
#include "pipelines/runtime_options.h"
#include "pipelines/song/song.h"

namespace timbre {
namespace {

Json ToJson(const SongReport& song) {
  return {{"output", song.output},
          {"latents", song.latents.empty() ? Json() : Json(song.latents)},
          {"tokens", song.tokens},
          {"blocks", song.blocks},
          {"frames", song.frames},
          {"sample_rate", song.sample_rate},
          {"channels", song.channels},
          {"samples", song.samples},
          {"seconds", song.seconds},
          {"gain", song.gain},
          {"ended", song.ended},
          {"partial", song.partial},
          {"timings", {{"text", song.text}, {"sample", song.sample}, {"decode", song.decode}, {"total", song.total}}},
          {"real_time_factor", song.real_time_factor},
          {"warnings", song.warnings}};
}

class SongJob final : public Job {
 public:
  FieldList Fields() override {
    FieldList fields = {{.name = "model",
                         .value = &model_,
                         .help = "a model's name, or the path of its folder",
                         .placeholder = "NAME|FOLDER",
                         .letter = 'm'}};
    Append(fields, SongFields(options_));
    return Append(fields, runtime_.Fields());
  }

  Status Run(const JobHost& host, Observer& observer, Json& report) override {
    TIMBRE_CHECK(runtime_.Check());
    // What was finished before a cancellation is still to be decoded: then the observer alone is asked, between steps.
    options_.session = runtime_.Session(options_.keep_partial ? JobHost{} : host);
    report["options"] = FieldsToJson(Reported());
    if (!host.standard_input && IsStandardInput(options_.lyrics)) {
      return Fail(ErrorCode::kInvalidArgument, "the lyrics are the standard input, which this job may not read.");
    }
    TIMBRE_CHECK(CheckSongOptions(options_));
    const bool decode_only = !options_.from_latents.empty();
    const bool makes_style = !decode_only && options_.style.empty();
    // Both are looked at before either is fetched.
    TIMBRE_CHECK(CheckModelName(model_, ModelTask::kSong));
    if (makes_style) TIMBRE_CHECK(CheckModelName(options_.style_model, ModelTask::kStyle));
    TIMBRE_CHECK(FetchIfNamed(model_, ModelTask::kSong, observer));
    if (makes_style) {
      TIMBRE_CHECK(FetchIfNamed(options_.style_model, ModelTask::kStyle, observer));
    }
    TIMBRE_TRY(const SongModel model, OpenSongModel(model_, decode_only));
    report["model"] = {{"name", model.name}, {"path", model.path}, {"architecture", "diffrhythm2"}};

    ThreadPool pool(runtime_.threads());
    Stats stats;
    SongReport song;
    BeginProgress(observer, decode_only ? "decoding" : "composing", options_.output);
    Status made = MakeSong(model, options_, pool, stats, observer, song);
    EndProgress(observer);
    report["song"] = ToJson(song);
    if (!song.device.empty()) {
      report["device"] = {{"name", song.device}, {"reason", song.device_reason}, {"kernels", song.kernels}};
      Say(observer, fmt::format("{} on {}: {}", model.name, song.device, song.device_reason));
    }
    report["peak_memory_mb"] = PeakMemory() / 1e6;
    ReportSteps(stats, observer, report);
    if (!song.output.empty()) {
      Say(observer,
          fmt::format("{}: {}{} in {}, real-time factor {:.2f}", song.output, DurationText(song.seconds),
                      song.partial ? ", all that was finished," : "", DurationText(song.total), song.real_time_factor));
      if (song.gain < 1) Say(observer, "  " + LoweredText(song.gain));
    }
    return made;
  }

  // What the report says of the options.
  FieldList Reported() {
    FieldList reported = SongFields(options_);
    return Append(reported, runtime_.Fields());
  }

 private:
  std::string model_ = kDefaultSongModel;
  SongOptions options_;
  RuntimeOptions runtime_;
};

}  // namespace

std::unique_ptr<Job> MakeSongJob() { return std::make_unique<SongJob>(); }

Json SongJobReportSchema() {
  const Json timings =
      ObjectSchema({{"text", "number"}, {"sample", "number"}, {"decode", "number"}, {"total", "number"}});
  const Json song = ObjectSchema({{"output", "string"},
                                  {"latents", "string|null"},
                                  {"tokens", "integer"},
                                  {"blocks", "integer"},
                                  {"frames", "integer"},
                                  {"sample_rate", "integer"},
                                  {"channels", "integer"},
                                  {"samples", "integer"},
                                  {"seconds", "number"},
                                  {"gain", "number"},
                                  {"ended", "boolean"},
                                  {"partial", "boolean"},
                                  {"timings", timings},
                                  {"real_time_factor", "number"},
                                  {"warnings", ListSchema(TypeSchema("string"))}});
  return ObjectSchema({{"options", OptionsSchema(SongJob().Reported())},
                       {"model", ObjectSchema({{"name", "string"}, {"path", "string"}, {"architecture", "string"}})},
                       {"song", song},
                       {"device", DeviceSchema()},
                       {"peak_memory_mb", "number"},
                       {"steps_down", StepsDownSchema()}});
}

}  // namespace timbre
