// Several models on one track, each stem made of the versions that they give of it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "dsp/ensemble.h"
#include "pipelines/separate/separate.h"

namespace timbre {

struct EnsembleChoice {
  EnsembleAlgorithm algorithm = EnsembleAlgorithm::kAvgWave;
  std::vector<std::string> weights;  // numbers, one a model; of the means
};

// A stem's name as all models would write it: lower case, and "instrumental" for what a model gives beside "vocals" and
// nothing else, whatever it calls it. `stems`: all of the model's.
std::string CommonStemName(const std::string& stem, const std::vector<std::string>& stems);

// A separator whose stems are all that any of the models (2 to 16) gives, by their common names, each made of what all
// models give that have it, as `timbre combine` would. One model at a time is made ready and run; its stems lie in
// temporary files beside the outputs, or in `options.temp_dir` (float32, no clipping), so that memory is that of the
// largest model and does not grow with the track. --shifts is for those models that have a use for it. Errors: those of
// Separator::Create, which begin with the model's name; stems that none of the models has; weights that are not one a
// model.
Result<std::unique_ptr<Separator>> CreateModelEnsemble(std::vector<LoadedModel> models, const EnsembleChoice& how,
                                                       const SeparateOptions& options, ThreadPool& pool, Stats& stats);

}  // namespace timbre
