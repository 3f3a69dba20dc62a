// How close an estimate is to its reference.
#include <fmt/format.h>

#include "pipelines/job_schema.h"
#include "pipelines/score.h"

namespace timbre {
namespace {

class ScoreJob final : public Job {
 public:
  FieldList Fields() override {
    return {{.name = "reference",
             .value = &reference_,
             .help = "the audio file to compare with",
             .positional = true,
             .required = true},
            {.name = "estimate",
             .value = &estimate_,
             .help = "the audio file that should be like it",
             .positional = true,
             .required = true},
            {.name = "shorter",
             .value = &shorter_,
             .help = "of files that differ in length, compare as much as the shorter one holds"}};
  }

  Status Run(const JobHost& /*host*/, Observer& observer, Json& report) override {
    report["reference"] = reference_;
    report["estimate"] = estimate_;
    TIMBRE_TRY(const Score score, ScoreFiles(reference_, estimate_, shorter_, observer));
    report["sample_rate"] = score.sample_rate;
    report["channels"] = score.channels;
    report["frames"] = score.frames;
    struct Row {
      const char *key, *name, *unit, *meaning;
      std::optional<double> value;
    };
    const Row rows[] = {{"sdr_db", "SDR", "dB", "energy ratio over all samples and channels", score.sdr},
                        {"median_frame_sdr_db", "SDR, frames of 1 s", "dB", "median over frames, as BSS Eval v4",
                         score.median_frame_sdr},
                        {"si_sdr_db", "SI-SDR", "dB", "scale-invariant", score.si_sdr},
                        {"segmental_snr_db", "segmental SNR", "dB", "mean over frames of 30 ms, each in [-10, 35]",
                         score.segmental_snr},
                        {"stoi", "STOI", "", "intelligibility of speech, at most 1", score.stoi},
                        {"estoi", "extended STOI", "", "the same under changing noise", score.estoi}};
    for (const Row& row : rows) {
      report["metrics"][row.key] = row.value ? Json(*row.value) : Json();
      const std::string value =
          !row.value ? "-" : fmt::format("{:.{}f} {}", *row.value, row.unit[0] != 0 ? 2 : 4, row.unit);
      Answer(observer, fmt::format("{:<19} {:<11} {}", row.name, value, row.meaning));
    }
    report["notes"] = score.notes;
    for (const std::string& note : score.notes) Say(observer, note);
    return {};
  }

 private:
  std::string reference_, estimate_;
  bool shorter_ = false;
};

}  // namespace

std::unique_ptr<Job> MakeScoreJob() { return std::make_unique<ScoreJob>(); }

Json ScoreJobReportSchema() {
  const Json metrics = ObjectSchema({{"sdr_db", "number|null"},
                                     {"median_frame_sdr_db", "number|null"},
                                     {"si_sdr_db", "number|null"},
                                     {"segmental_snr_db", "number|null"},
                                     {"stoi", "number|null"},
                                     {"estoi", "number|null"}});
  return ObjectSchema({{"reference", "string"},
                       {"estimate", "string"},
                       {"sample_rate", "integer"},
                       {"channels", "integer"},
                       {"frames", "integer"},
                       {"metrics", metrics},
                       {"notes", ListSchema(TypeSchema("string"))}});
}

}  // namespace timbre
