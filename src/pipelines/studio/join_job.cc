#include <fmt/format.h>

#include "base/quantities.h"
#include "pipelines/job_schema.h"
#include "pipelines/studio/join.h"
#include "pipelines/studio/studio_job.h"

namespace timbre {
namespace {

class JoinJob final : public Job {
 public:
  FieldList Fields() override {
    FieldList fields = {{.name = "input",
                         .value = &inputs_,
                         .help = "audio files, in order; - is the standard input",
                         .positional = true}};
    return Append(fields, JoinFields(options_));
  }

  Status Run(const JobHost& host, Observer& observer, Json& report) override {
    (void)host;
    report["options"] = FieldsToJson(JoinFields(options_));
    BeginProgress(observer, "joining", options_.output);
    const Result<JoinReport> joined = Join(inputs_, options_, observer);
    EndProgress(observer);
    if (!joined) return tl::unexpected<Error>(joined.error());
    for (const std::string& warning : joined->warnings) Warn(observer, warning);
    report["song"] = {{"output", joined->output},
                      {"sample_rate", joined->sample_rate},
                      {"channels", joined->channels},
                      {"samples", joined->samples},
                      {"seconds", joined->seconds},
                      {"integrated_lufs", FiniteOrNull(joined->loudness.integrated)},
                      {"true_peak_dbtp", FiniteOrNull(joined->loudness.true_peak)},
                      {"gain_db", joined->gain_db},
                      {"warnings", joined->warnings}};
    report["timeline"] = joined->timeline;
    const size_t clips = joined->timeline["clips"].size();
    Say(observer,
        fmt::format("{}: {} of {} at {} Hz, {} LUFS, true peak {} dBTP", joined->output, DurationText(joined->seconds),
                    clips == 1 ? "1 clip" : fmt::format("{} clips", clips), joined->sample_rate,
                    LevelText(joined->loudness.integrated), LevelText(joined->loudness.true_peak)));
    return {};
  }

 private:
  std::vector<std::string> inputs_;
  JoinOptions options_;
};

}  // namespace

std::unique_ptr<Job> MakeJoinJob() { return std::make_unique<JoinJob>(); }

Json JoinJobReportSchema() {
  JoinOptions options;
  const Json song = ObjectSchema({{"output", "string"},
                                  {"sample_rate", "integer"},
                                  {"channels", "integer"},
                                  {"samples", "integer"},
                                  {"seconds", "number"},
                                  {"integrated_lufs", "number|null"},
                                  {"true_peak_dbtp", "number|null"},
                                  {"gain_db", "number"},
                                  {"warnings", ListSchema(TypeSchema("string"))}});
  return ObjectSchema(
      {{"options", OptionsSchema(JoinFields(options))}, {"song", song}, {"timeline", TypeSchema("object")}});
}

}  // namespace timbre
