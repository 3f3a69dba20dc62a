#include <fmt/format.h>

#include "base/quantities.h"
#include "pipelines/job_schema.h"
#include "pipelines/separate/combine.h"

namespace timbre {
namespace {

class CombineJob final : public Job {
 public:
  FieldList Fields() override {
    FieldList fields = {{.name = "input",
                         .value = &inputs_,
                         .help = "two or more audio files of the same track; with --mix, its parts",
                         .positional = true,
                         .required = true}};
    return Append(fields, CombineFields(options_));
  }

  Status Run(const JobHost& /*host*/, Observer& observer, Json& report) override {
    report["options"] = FieldsToJson(CombineFields(options_));
    BeginProgress(observer, "combining", options_.output);
    const Result<CombineReport> combined = Combine(inputs_, options_, observer);
    EndProgress(observer);
    if (!combined) return tl::unexpected<Error>(combined.error());
    report["combined"] = {{"output", combined->output},
                          {"inputs", inputs_},
                          {"sample_rate", combined->sample_rate},
                          {"channels", combined->channels},
                          {"samples", combined->samples},
                          {"seconds", combined->seconds},
                          {"gain", combined->gain},
                          {"warnings", combined->warnings}};
    for (const std::string& warning : combined->warnings) Warn(observer, warning);
    Say(observer, fmt::format("{}: {} of {} file{} at {} Hz", combined->output, DurationText(combined->seconds),
                              inputs_.size(), inputs_.size() == 1 ? "" : "s", combined->sample_rate));
    if (combined->gain < 1) Say(observer, "  " + LoweredText(combined->gain));
    return {};
  }

 private:
  std::vector<std::string> inputs_;
  CombineOptions options_;
};

}  // namespace

std::unique_ptr<Job> MakeCombineJob() { return std::make_unique<CombineJob>(); }

Json CombineJobReportSchema() {
  CombineOptions options;
  const Json combined = ObjectSchema({{"output", "string"},
                                      {"inputs", ListSchema(TypeSchema("string"))},
                                      {"sample_rate", "integer"},
                                      {"channels", "integer"},
                                      {"samples", "integer"},
                                      {"seconds", "number"},
                                      {"gain", "number"},
                                      {"warnings", ListSchema(TypeSchema("string"))}});
  return ObjectSchema({{"options", OptionsSchema(CombineFields(options))}, {"combined", combined}});
}

}  // namespace timbre
