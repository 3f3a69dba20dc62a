// Speech without the noise around it, in files.
#pragma once

#include <string>
#include <vector>

#include "models/speech/speech.h"
#include "pipelines/job.h"
#include "pipelines/runtime_options.h"
#include "pipelines/speech/denoise.h"

namespace timbre {

// Its parts are for who cleans live sound with the same options.
class DenoiseJob final : public Job {
 public:
  FieldList Fields() override;
  bool Streams() const override { return options_.stream_out; }
  Status Run(const JobHost& host, Observer& observer, Json& report) override;

  // What comes before any work: the options are checked and reported.
  Status Begin(const JobHost& host, Json& report);
  FieldList Reported();
  static Json ModelJson(const SpeechModel& model);

  const std::vector<std::string>& inputs() const { return inputs_; }
  const std::string& model() const { return model_; }
  const DenoiseOptions& options() const { return options_; }

 private:
  Status TellPlan(Denoiser& denoiser, const std::vector<TrackInput>& files, const std::vector<std::string>& refused,
                  Observer& observer, Json& report) const;

  std::vector<std::string> inputs_;
  std::string model_ = kDefaultSpeechModel;
  bool recursive_ = false, dry_run_ = false;
  DenoiseOptions options_;
  RuntimeOptions runtime_;
};

}  // namespace timbre
