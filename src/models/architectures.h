// The networks that a checkpoint may be of, found by the names of its tensors, and how each is read.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "graph/weights.h"
#include "models/catalogue.h"
#include "models/separate/separation_model.h"
#include "models/speech/speech.h"

namespace timbre {

struct Architecture {
  std::string_view title;  // with its article, where it takes one
  ModelTask task;
  bool (*knows)(const TensorMap& weights);
  // From bare weights: of one that separates, with the YAML file of its trainer. Null where they alone are not enough,
  // and for other tasks.
  Result<std::shared_ptr<const SeparationModel>> (*separator)(const std::string& yaml,
                                                              std::shared_ptr<const TensorMap> weights) = nullptr;
  Result<SpeechModel> (*speech)(std::shared_ptr<const TensorMap> weights) = nullptr;
  std::string_view instead = {};  // what to do where neither is there
};

// The first that knows them, or null.
const Architecture* ArchitectureOf(const TensorMap& weights);

// Why a checkpoint of that architecture, or of none (null), can't be read for `task`.
Error NotReadFor(ModelTask task, const Architecture* architecture);

}  // namespace timbre
