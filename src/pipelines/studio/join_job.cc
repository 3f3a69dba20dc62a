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
    Say(observer, fmt::format("{}: {} of {} clips at {} Hz, {:.1f} LUFS, true peak {:.1f} dBTP", joined->output,
                              DurationText(joined->seconds), joined->timeline["clips"].size(), joined->sample_rate,
                              joined->loudness.integrated, joined->loudness.true_peak));
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
