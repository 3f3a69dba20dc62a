#include "apps/cli/model_choice.h"

#include "apps/cli/fetching.h"
#include "models/loader.h"
#include "tasks/chain.h"

namespace timbre::cli {

FieldList ModelChoice::Fields(std::string config_name) {
  return {
      {.name = "model",
       .value = &model,
       .help = "a model's name or a checkpoint's path",
       .placeholder = "NAME|PATH",
       .letter = 'm'},
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
       .placeholder = "NAME|PATH"},
      {.name = "wiener",
       .value = &wiener,
       .help = "exponent of larsnet's Wiener filter across the stems (default: none)",
       .placeholder = "A",
       .min = 0,
       .max = 16},
  };
}

Result<LoadedModel> ModelChoice::Load(Terminal& terminal) const {
  TIMBRE_CHECK(FetchIfNamed(model, terminal));
  return LoadModel(model, config, wiener);
}

Result<std::unique_ptr<Separator>> ModelChoice::MakeSeparator(LoadedModel loaded, const SeparateOptions& options,
                                                              ThreadPool& pool, Stats& stats,
                                                              Terminal& terminal) const {
  if (from.empty()) return Separator::Create(std::move(loaded), options, pool, stats);
  TIMBRE_CHECK(FetchIfNamed(from_model, terminal));
  TIMBRE_TRY(LoadedModel first, LoadModel(from_model));
  return CreateChain(std::move(first), from, std::move(loaded), options, pool, stats);
}

}  // namespace timbre::cli
