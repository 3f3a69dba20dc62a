// Which networks a job that parts tracks runs: one, or one on a stem of another.
#pragma once

#include <memory>
#include <string>

#include "base/fields.h"
#include "base/observer.h"
#include "base/thread_pool.h"
#include "models/catalogue.h"
#include "models/separate/separation_model.h"
#include "pipelines/separate/separate.h"

namespace timbre {

struct ModelChoice {
  std::string model;   // the default is the job's
  std::string config;  // of a checkpoint that needs one
  std::string from;    // the stem of the first model that is parted; empty: the track itself
  std::string from_model = std::string(kDefaultSeparationModel);
  double wiener = 0;

  // --model, --from, --from-model, --wiener, and the configuration as `config_name`.
  FieldList Fields(std::string config_name);
  // The model, fetched first where it is of the catalogue.
  Result<LoadedModel> Load(Observer& observer) const;
  // A separator of `loaded`, behind the model that --from takes its stem of.
  Result<std::unique_ptr<Separator>> MakeSeparator(LoadedModel loaded, const SeparateOptions& options, ThreadPool& pool,
                                                   Stats& stats, Observer& observer) const;
};

}  // namespace timbre
