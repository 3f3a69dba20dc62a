// Separation of sound that lies in memory, at any sample rate, without a file.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "pipelines/job.h"
#include "pipelines/runtime_options.h"
#include "pipelines/separate/model_choice.h"
#include "pipelines/separate/separate.h"

namespace timbre {

// A model made ready. Runs of one are one thread's at a time.
class MemorySeparator {
 public:
  // `options` is an object of those options of a separate job that say nothing about files (Fields). Fetches the model
  // where it isn't here. `host` outlives the separator, and its flag ends its runs as well.
  static Result<std::unique_ptr<MemorySeparator>> Create(const Json& options, const JobHost& host, Observer& observer);

  // [channels][frames] at `sample_rate` -> for each of stems() as many channels and frames. 1 or 2 channels.
  Result<std::vector<std::vector<std::vector<float>>>> Run(std::span<const float* const> channels, int64_t frames,
                                                           int sample_rate, Observer& observer);

  const std::vector<std::string>& stems() const { return separator_->output_names(); }
  int sample_rate() const { return separator_->model().info().sample_rate; }

 private:
  MemorySeparator() = default;
  FieldList Fields();

  ModelChoice choice_{.model = std::string(kDefaultSeparationModel)};
  SeparateOptions options_;
  RuntimeOptions runtime_;
  Stats stats_;
  std::unique_ptr<ThreadPool> pool_;
  std::unique_ptr<Separator> separator_;
};

}  // namespace timbre
