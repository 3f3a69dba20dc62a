// Latents into a clip, and pictures into latents.
#include <fmt/format.h>

#include "base/quantities.h"
#include "pipelines/frames/frames.h"
#include "pipelines/job_schema.h"
#include "pipelines/model_fetching.h"
#include "pipelines/runtime_options.h"

namespace timbre {
namespace {

Json ToJson(const FramesReport& frames) {
  return {{"output", frames.output},
          {"latents", frames.latents},
          {"frames", frames.frames},
          {"width", frames.width},
          {"height", frames.height},
          {"sections", frames.sections},
          {"tiles", frames.tiles},
          {"resumed", frames.resumed},
          {"in_bands", frames.in_bands},
          {"in_files_mb", static_cast<double>(frames.in_files) / 1e6},
          {"seconds", frames.seconds},
          {"timings", {{"network", frames.network}, {"total", frames.total}}},
          {"real_time_factor", frames.real_time_factor},
          {"warnings", frames.warnings}};
}

Json ToJson(const FramePlan& plan, double estimated) {
  Json tiles = Json::array();
  for (const FramePlan::Tile& tile : plan.tiles) {
    tiles.push_back({{"latents", tile.shape.frames},
                     {"height", tile.shape.height},
                     {"width", tile.shape.width},
                     {"count", tile.count},
                     {"memory_mb", static_cast<double>(tile.bytes) / 1e6},
                     {"in_bands", tile.in_bands},
                     {"in_files_mb", static_cast<double>(tile.in_files) / 1e6},
                     {"gflop", tile.flops / 1e9}});
  }
  return {{"tiles", tiles},
          {"memory_mb", static_cast<double>(plan.bytes()) / 1e6},
          {"weights_mb", static_cast<double>(plan.weights) / 1e6},
          {"gflop", plan.flops / 1e9},
          {"estimated_seconds", estimated > 0 ? Json(estimated) : Json()}};
}

std::string FramesText(const FramesReport& report) {
  return fmt::format("{} frame{} of {}x{}", report.frames, report.frames == 1 ? "" : "s", report.width, report.height);
}
std::string LatentsText(const FramesReport& report) {
  return fmt::format("{} latent{}", report.latents, report.latents == 1 ? "" : "s");
}

class FramesJob final : public Job {
 public:
  FieldList Fields() override {
    FieldList fields = FramesFields(options_);
    Append(fields, {{.name = "model",
                     .value = &model_,
                     .help = "a model's name, or the path of its folder or of its weights",
                     .placeholder = "NAME|FOLDER|FILE",
                     .letter = 'm'},
                    AcceptLicenceField(&accept_licence_)});
    return Append(fields, runtime_.Fields());
  }

  Status Run(const JobHost& host, Observer& observer, Json& report) override {
    TIMBRE_CHECK(runtime_.Check());
    options_.session = runtime_.Session(host);
    report["options"] = FieldsToJson(Reported());
    TIMBRE_CHECK(CheckFramesOptions(options_));
    const bool decodes = options_.decodes();
    FramesModel model;
    if (!options_.preview) {
      TIMBRE_CHECK(FetchIfNamed(model_, ModelTask::kFrames, observer, accept_licence_));
      TIMBRE_TRY(model, OpenFramesModel(model_, decodes ? FramesHalf::kDecoder : FramesHalf::kEncoder));
      report["model"] = {{"name", model.name}, {"path", model.path}, {"architecture", "hunyuan-vae"}};
    }
    ThreadPool pool(runtime_.threads());
    Stats stats;
    FramesReport frames;
    BeginProgress(observer, decodes ? "decoding" : "encoding", options_.inputs.front());
    const FramesModel* const wanted = options_.preview ? nullptr : &model;
    const Status made = decodes ? DecodeFrames(wanted, options_, pool, stats, observer, frames)
                                : EncodeFrames(model, options_, pool, stats, observer, frames);
    EndProgress(observer);
    for (const std::string& warning : frames.warnings) Warn(observer, warning);
    report["frames"] = ToJson(frames);
    if (frames.plan) report["plan"] = ToJson(*frames.plan, frames.estimated);
    if (!frames.device.empty()) {
      report["device"] = {{"name", frames.device}, {"reason", frames.device_reason}, {"kernels", frames.kernels}};
      Say(observer, fmt::format("{} on {}: {}", model.name, frames.device, frames.device_reason));
    }
    report["peak_memory_mb"] = PeakMemory() / 1e6;
    ReportSteps(stats, observer, report);
    TIMBRE_CHECK(made);
    if (options_.dry_run) {
      Tell(frames, report["options"]["mode"], observer);
      return {};
    }
    if (frames.in_bands > 0) {
      Say(observer,
          fmt::format("{} of {} tiles in bands of frames, for want of memory{}", frames.in_bands, frames.tiles,
                      frames.in_files > 0
                          ? fmt::format("; {} went through files", BytesText(static_cast<double>(frames.in_files)))
                          : ""));
    }
    Say(observer, fmt::format("{}: {}, {}, in {}", frames.output, FramesText(frames), LatentsText(frames),
                              DurationText(frames.total)));
    return {};
  }

  // What a dry run found.
  void Tell(const FramesReport& frames, const std::string& mode, Observer& observer) {
    const FramePlan& plan = *frames.plan;
    const std::string pictures = FramesText(frames), latents = LatentsText(frames);
    Answer(observer, options_.decodes() ? fmt::format("{} from {}, {}", pictures, latents, mode)
                                        : fmt::format("{} from {}, {}", latents, pictures, mode));
    if (frames.resumed > 0) {
      Answer(observer, fmt::format("  {} of {} sections are there", frames.resumed, frames.sections));
    }
    for (const FramePlan::Tile& tile : plan.tiles) {
      std::string how;
      if (tile.in_bands) how = " in bands of frames";
      if (tile.in_files > 0) how += fmt::format(" and {} in files", BytesText(static_cast<double>(tile.in_files)));
      Answer(observer, fmt::format("  {} x {} latents of {}x{}: {}{}, {:.2f} TFLOP each", tile.count, tile.shape.frames,
                                   tile.shape.width, tile.shape.height, BytesText(static_cast<double>(tile.bytes)), how,
                                   tile.flops / 1e12));
    }
    Answer(observer, fmt::format("  memory about {}; all weights are {}", BytesText(static_cast<double>(plan.bytes())),
                                 BytesText(static_cast<double>(plan.weights))));
    Answer(observer, fmt::format("  {:.2f} TFLOP{}", plan.flops / 1e12,
                                 frames.estimated > 0
                                     ? ", about " + DurationText(frames.estimated) + " at the peak of this processor"
                                     : ""));
  }

  // What the report says of the options.
  FieldList Reported() {
    FieldList reported;
    for (Field& field : FramesFields(options_)) {
      if (!field.positional) reported.push_back(std::move(field));
    }
    return Append(reported, runtime_.Fields());
  }

 private:
  std::string model_ = kDefaultFramesModel;
  bool accept_licence_ = false;
  FramesOptions options_;
  RuntimeOptions runtime_;
};

}  // namespace

std::unique_ptr<Job> MakeFramesJob() { return std::make_unique<FramesJob>(); }

Json FramesJobReportSchema() {
  const Json frames = ObjectSchema({{"output", "string"},
                                    {"latents", "integer"},
                                    {"frames", "integer"},
                                    {"width", "integer"},
                                    {"height", "integer"},
                                    {"sections", "integer"},
                                    {"tiles", "integer"},
                                    {"resumed", "integer"},
                                    {"in_bands", "integer"},
                                    {"in_files_mb", "number"},
                                    {"seconds", "number"},
                                    {"timings", ObjectSchema({{"network", "number"}, {"total", "number"}})},
                                    {"real_time_factor", "number"},
                                    {"warnings", ListSchema(TypeSchema("string"))}});
  const Json tile = ObjectSchema({{"latents", "integer"},
                                  {"height", "integer"},
                                  {"width", "integer"},
                                  {"count", "integer"},
                                  {"memory_mb", "number"},
                                  {"in_bands", "boolean"},
                                  {"in_files_mb", "number"},
                                  {"gflop", "number"}});
  const Json plan = ObjectSchema({{"tiles", ListSchema(tile)},
                                  {"memory_mb", "number"},
                                  {"weights_mb", "number"},
                                  {"gflop", "number"},
                                  {"estimated_seconds", "number|null"}});
  return ObjectSchema({{"options", OptionsSchema(FramesJob().Reported())},
                       {"plan?", plan},
                       {"model?", ObjectSchema({{"name", "string"}, {"path", "string"}, {"architecture", "string"}})},
                       {"frames", frames},
                       {"device?", DeviceSchema()},
                       {"peak_memory_mb", "number"},
                       {"steps_down", StepsDownSchema()}});
}

}  // namespace timbre
