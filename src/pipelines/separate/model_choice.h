// Which networks a job that parts tracks runs: one, several whose stems are combined, or either on a stem of another.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/fields.h"
#include "base/observer.h"
#include "base/thread_pool.h"
#include "models/catalogue.h"
#include "models/separate/mdxnet.h"
#include "models/separate/separation_model.h"
#include "pipelines/job.h"
#include "pipelines/separate/model_ensemble.h"
#include "pipelines/separate/separate.h"

namespace timbre {

// What --model names: the parts of `list` between commas, or all of it where it is a file or a folder.
std::vector<std::string> ModelNames(const std::string& list);

struct ModelChoice {
  std::string model;   // the default is the job's
  std::string config;  // of a checkpoint that needs one
  // The stem that is parted, of a model before; empty: the track itself. Several, with commas between: each is what the
  // next model is given, and --from-model names as many.
  std::string from;
  std::string from_model = std::string(kDefaultSeparationModel);
  double wiener = 0;
  MdxnetGiven mdxnet;
  EnsembleChoice ensemble;

  // --model, --from, --from-model, --wiener, what MDX-Nets need, and the configuration as `config_name`.
  FieldList Fields(std::string config_name);
  // --ensemble and --weights, for jobs that LoadAll().
  FieldList EnsembleFields();
  // kNotFound where one of the models, those of --from among them, would have to be fetched: a dry run fetches nothing.
  Status CheckHere() const;
  // The one model, fetched first where it is of the catalogue.
  Result<LoadedModel> Load(const JobHost& host, Observer& observer) const;
  // All that --model names.
  Result<std::vector<LoadedModel>> LoadAll(const JobHost& host, Observer& observer) const;
  // A separator of `loaded`, behind the models that --from takes its stem of.
  Result<std::unique_ptr<Separator>> MakeSeparator(std::vector<LoadedModel> loaded, const SeparateOptions& options,
                                                   ThreadPool& pool, Stats& stats, const JobHost& host,
                                                   Observer& observer) const;
};

}  // namespace timbre
