#include "pipelines/separate/model_choice.h"

#include <filesystem>

#include "models/loader.h"
#include "pipelines/model_fetching.h"
#include "pipelines/separate/two_stage.h"

namespace timbre {

namespace fs = std::filesystem;

FieldList ModelChoice::Fields(std::string config_name) {
  FieldList fields = {{.name = "model",
                       .value = &model,
                       .help = "a model's name or a checkpoint's path",
                       .placeholder = "NAME|PATH",
                       .letter = 'm'}};
  FieldList more = {
      {.name = std::move(config_name),
       .value = &config,
       .help = "of a checkpoint that needs one",
       .placeholder = "PATH"},
      {.name = "from",
       .value = &from,
       .help = "part this stem of the track, which --from-model gives first (drums, for a song's drum parts)",
       .placeholder = "STEM"},
      {.name = "from-model",
       .value = &from_model,
       .help = "the model that --from takes its stem from",
       .placeholder = "NAME|PATH",
       .idle = [this] { return from.empty() ? "--from is not given" : ""; }},
      {.name = "wiener",
       .value = &wiener,
       .help = "exponent of larsnet's Wiener filter across the stems (default: none)",
       .placeholder = "A",
       .min = 0,
       .max = 16},
  };
  return Append(fields, Under("Model", std::move(more)));
}

Result<LoadedModel> ModelChoice::Load(Observer& observer) const {
  // A checkpoint may need a configuration; what has a name, a folder of checkpoints and a bag of models never do.
  std::error_code error;
  const fs::path path(model);
  const bool checkpoint = fs::exists(path, error) && !fs::is_directory(path, error) && path.extension() != ".yaml" &&
                          path.extension() != ".yml";
  const bool missing = path.has_parent_path() || path.has_extension();  // which loading says
  if (!config.empty() && !checkpoint && (!missing || fs::exists(path, error))) {
    return Fail(ErrorCode::kInvalidArgument,
                "the model '" + model + "' needs no configuration; leave '" + config + "' out.");
  }
  TIMBRE_CHECK(CheckSeparationModelName(model));
  TIMBRE_CHECK(FetchIfNamed(model, observer));
  return LoadModel(model, config, wiener);
}

Result<std::unique_ptr<Separator>> ModelChoice::MakeSeparator(LoadedModel loaded, const SeparateOptions& options,
                                                              ThreadPool& pool, Stats& stats,
                                                              Observer& observer) const {
  if (from.empty()) return Separator::Create(std::move(loaded), options, pool, stats);
  TIMBRE_CHECK(CheckSeparationModelName(from_model));
  TIMBRE_CHECK(FetchIfNamed(from_model, observer));
  TIMBRE_TRY(LoadedModel first, LoadModel(from_model));
  return CreateTwoStage(std::move(first), from, std::move(loaded), options, pool, stats);
}

}  // namespace timbre
