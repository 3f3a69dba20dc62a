#include <fmt/format.h>

#include "base/quantities.h"
#include "pipelines/job_schema.h"
#include "pipelines/made_by.h"
#include "pipelines/studio/master.h"
#include "pipelines/studio/studio_job.h"
#include "pipelines/track_inputs.h"

namespace timbre {
namespace {

Json ToJson(const Loudness& loudness) {
  return {{"integrated_lufs", FiniteOrNull(loudness.integrated)},
          {"short_term_max_lufs", FiniteOrNull(loudness.short_term_max)},
          {"range_lu", loudness.range},
          {"true_peak_dbtp", FiniteOrNull(loudness.true_peak)}};
}

Json ToJson(const MasterReport& file) {
  return {{"input", file.input},
          {"input_format", file.input_format},
          {"output", file.output},
          {"sample_rate", file.sample_rate},
          {"channels", file.channels},
          {"samples", file.samples},
          {"seconds", file.seconds},
          {"skipped", file.skipped},
          {"before", ToJson(file.before)},
          {"after", ToJson(file.after)},
          {"gain_db", file.gain_db},
          {"limited_db", file.limited_db},
          {"missed_lu", file.missed},
          {"rounds", file.rounds},
          {"timings", {{"total", file.total}}},
          {"real_time_factor", file.real_time_factor},
          {"warning", file.warning.empty() ? Json() : Json(file.warning)}};
}

class MasterJob final : public Job {
 public:
  FieldList Fields() override {
    FieldList fields = inputs_.Fields();
    Append(fields, MasterFields(options_));
    return AppendStdout(options_.files, fields);
  }

  bool Streams() const override { return options_.files.stream_out; }

  Status Run(const JobHost& host, Observer& observer, Json& report) override {
    options_.files.stream_to = host.stream;
    options_.files.made_by = MadeBy("master", Fields());
    options_.files.name = NameFor(options_.files.name, StudioFiles().name, inputs_.recursive);
    report["options"] = FieldsToJson(MasterFields(options_));
    report["tracks"] = Json::array();
    TIMBRE_TRY(const MasterChain chain, ChainFor(options_));
    report["chain"] = ChainToJson(chain);
    TIMBRE_TRY(const std::vector<TrackInput> files,
               ExpandInputs(inputs_.inputs, inputs_.recursive, options_.files.output_dir));
    TIMBRE_TRY(const std::vector<std::string> refused, PlanStudioOutputs(options_.files, "master", files));
    return ForEachFile(files, refused, "mastering", "mastered", observer, report["tracks"],
                       [&](const TrackInput& input) -> Result<Json> {
                         TIMBRE_TRY(const MasterReport file, MasterFile(input, chain, options_, observer));
                         if (!file.warning.empty()) Warn(observer, file.input + ": " + file.warning);
                         Say(observer,
                             file.skipped
                                 ? fmt::format("{}: skipped, {} is there", file.input, file.output)
                                 : fmt::format("{}: {} to {} LUFS, true peak {} to {} dBTP, in {}, in {}", file.input,
                                               LevelText(file.before.integrated), LevelText(file.after.integrated),
                                               LevelText(file.before.true_peak), LevelText(file.after.true_peak),
                                               DurationText(file.total), file.output));
                         return ToJson(file);
                       });
  }

 private:
  StudioInputs inputs_;
  MasterOptions options_;
};

}  // namespace

std::unique_ptr<Job> MakeMasterJob() { return std::make_unique<MasterJob>(); }

Json MasterJobReportSchema() {
  MasterOptions options;
  const Json loudness = ObjectSchema({{"integrated_lufs", "number|null"},
                                      {"short_term_max_lufs", "number|null"},
                                      {"range_lu", "number"},
                                      {"true_peak_dbtp", "number|null"}});
  const Json track = InputSchema({{"output", "string"},
                                  {"skipped", "boolean"},
                                  {"before", loudness},
                                  {"after", loudness},
                                  {"gain_db", "number"},
                                  {"limited_db", "number"},
                                  {"missed_lu", "number"},
                                  {"rounds", "integer"},
                                  {"timings", ObjectSchema({{"total", "number"}})},
                                  {"real_time_factor", "number"}});
  return ObjectSchema({{"options", OptionsSchema(MasterFields(options))},
                       {"tracks", ListSchema(TrackSchema(track))},
                       {"chain", TypeSchema("object")}});
}

}  // namespace timbre
