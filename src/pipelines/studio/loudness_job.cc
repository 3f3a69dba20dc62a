#include <fmt/format.h>

#include <cmath>

#include "base/text.h"
#include "pipelines/job_schema.h"
#include "pipelines/made_by.h"
#include "pipelines/studio/normalise.h"
#include "pipelines/studio/studio_job.h"
#include "pipelines/track_inputs.h"

namespace timbre {
namespace {

Json ToJson(const LoudnessReport& file) {
  const bool written = !file.output.empty(), measured = written && !file.skipped;
  return {{"input", file.input},
          {"input_format", file.input_format},
          {"sample_rate", file.sample_rate},
          {"channels", file.channels},
          {"samples", file.samples},
          {"seconds", file.seconds},
          {"integrated_lufs", FiniteOrNull(file.loudness.integrated)},
          {"short_term_max_lufs", FiniteOrNull(file.loudness.short_term_max)},
          {"momentary_max_lufs", FiniteOrNull(file.loudness.momentary_max)},
          {"range_lu", file.loudness.range},
          {"true_peak_dbtp", FiniteOrNull(file.loudness.true_peak)},
          {"output", written ? Json(file.output) : Json()},
          {"skipped", file.skipped},
          {"gain_db", measured ? Json(file.gain_db) : Json()},
          {"missed_lu", measured ? Json(file.missed) : Json()},
          {"warning", file.warning.empty() ? Json() : Json(file.warning)}};
}

class LoudnessJob final : public Job {
 public:
  FieldList Fields() override {
    FieldList fields = inputs_.Fields();
    Append(fields, NormaliseFields(options_));
    AppendStdout(options_.files, fields);
    fields.back().idle = [this] { return options_.target ? "" : "nothing is written without --normalise"; };
    return fields;
  }

  bool Streams() const override { return options_.files.stream_out; }

  Status Run(const JobHost& host, Observer& observer, Json& report) override {
    options_.files.stream_to = host.stream;
    options_.files.made_by = MadeBy("loudness", Fields());
    options_.files.name = NameFor(options_.files.name, StudioFiles().name, inputs_.recursive);
    report["options"] = FieldsToJson(NormaliseFields(options_));
    report["tracks"] = Json::array();
    const bool writes = options_.target.has_value();
    TIMBRE_TRY(const std::vector<TrackInput> files,
               ExpandInputs(inputs_.inputs, inputs_.recursive, writes ? options_.files.output_dir : ""));
    std::vector<std::string> refused(files.size());
    if (writes) {
      TIMBRE_TRY(refused, PlanStudioOutputs(options_.files, "loudness", files));
    }
    // The table is what was asked for, unless files were.
    const auto print = writes ? Say : Answer;
    print(observer, "integrated  short-term  range  true peak");
    print(observer, "      LUFS    max LUFS     LU       dBTP");
    return ForEachFile(files, refused, "measuring", "measured", observer, report["tracks"],
                       [&](const TrackInput& input) -> Result<Json> {
                         TIMBRE_TRY(const LoudnessReport file, MeasureOrNormalise(input, options_, observer));
                         if (!file.warning.empty()) Warn(observer, file.input + ": " + file.warning);
                         const Loudness& l = file.loudness;
                         if (file.skipped) {
                           Say(observer, fmt::format("{}: skipped, {} is there", file.input, file.output));
                           return ToJson(file);
                         }
                         print(observer, fmt::format("{:>10}  {:>10}  {:>5.1f}  {:>9}  {}", LevelText(l.integrated),
                                                     LevelText(l.short_term_max), l.range, LevelText(l.true_peak),
                                                     PrintableLines(file.input, ' ')));
                         if (writes) Say(observer, fmt::format("  {:+.1f} dB, in {}", file.gain_db, file.output));
                         return ToJson(file);
                       });
  }

 private:
  StudioInputs inputs_;
  NormaliseOptions options_;
};

}  // namespace

std::unique_ptr<Job> MakeLoudnessJob() { return std::make_unique<LoudnessJob>(); }

Json LoudnessJobReportSchema() {
  NormaliseOptions options;
  const Json track = InputSchema({{"integrated_lufs", "number|null"},
                                  {"short_term_max_lufs", "number|null"},
                                  {"momentary_max_lufs", "number|null"},
                                  {"range_lu", "number"},
                                  {"true_peak_dbtp", "number|null"},
                                  {"output", "string|null"},
                                  {"skipped", "boolean"},
                                  {"gain_db", "number|null"},
                                  {"missed_lu", "number|null"}});
  return ObjectSchema(
      {{"options", OptionsSchema(NormaliseFields(options))}, {"tracks", ListSchema(TrackSchema(track))}});
}

}  // namespace timbre
