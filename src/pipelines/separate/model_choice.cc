#include "pipelines/separate/model_choice.h"

#include <fmt/format.h>

#include <filesystem>

#include "models/loader.h"
#include "models/named_model.h"
#include "pipelines/dry_run.h"
#include "pipelines/kept_models.h"
#include "pipelines/model_fetching.h"
#include "pipelines/separate/combine.h"
#include "pipelines/separate/two_stage.h"

namespace timbre {

namespace fs = std::filesystem;

namespace {

std::vector<std::string> Parts(const std::string& list) {
  std::vector<std::string> parts;
  for (size_t begin = 0;;) {
    const size_t comma = list.find(',', begin);
    parts.push_back(list.substr(begin, comma == std::string::npos ? comma : comma - begin));
    if (comma == std::string::npos) return parts;
    begin = comma + 1;
  }
}

Result<LoadedModel> LoadSeparates(const JobHost& host, const std::string& model, const LoadOptions& options) {
  const MdxnetGiven& m = options.mdxnet;
  return LoadKept(host, model,
                  fmt::format("separates, config {}, wiener {}, mdx {} {} {} {}", options.config, options.wiener,
                              m.n_fft.value_or(0), m.compensate.value_or(0), m.denoise, m.stem),
                  [&] { return LoadModel(model, options); });
}

}  // namespace

std::vector<std::string> ModelNames(const std::string& list) {
  std::error_code error;
  return fs::exists(list, error) ? std::vector<std::string>{list} : Parts(list);
}

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
       .help = "part this stem of the track, which --from-model gives first (drums, for a song's drum parts); A,B: "
               "A, then B of it",
       .placeholder = "STEM"},
      {.name = "from-model",
       .value = &from_model,
       .help = "the model that --from takes its stem from; A,B: one for each stem",
       .placeholder = "NAME|PATH",
       .idle = [this] { return from.empty() ? "--from is not given" : ""; }},
      {.name = "wiener",
       .value = &wiener,
       .help = "exponent of larsnet's Wiener filter across the stems (default: none)",
       .placeholder = "A",
       .min = 0,
       .max = 16},
      {.name = "n-fft",
       .value = &mdxnet.n_fft,
       .help = "length of an MDX-Net's transform (default: by its digest)",
       .placeholder = "N",
       .min = 2048,
       .max = 1 << 16},
      {.name = "compensate",
       .value = &mdxnet.compensate,
       .help = "what an MDX-Net's stem is multiplied by (default: by its digest, else 1)",
       .placeholder = "X",
       .min = 0.01,
       .max = 16},
      {.name = "primary-stem",
       .value = &mdxnet.stem,
       .help = "the stem that an MDX-Net gives (default: by its digest, else Vocals)",
       .placeholder = "NAME"},
      {.name = "mdx-denoise",
       .value = &mdxnet.denoise,
       .help = "run an MDX-Net on the negated signal too, which cancels its own noise: twice the work"},
  };
  return Append(fields, Under("Model", std::move(more)));
}

FieldList ModelChoice::EnsembleFields() {
  FieldList fields = AlgorithmFields("ensemble", ensemble.algorithm, ensemble.weights);
  fields[0].help = "how the stems of several models (--model A,B) become one";
  fields[1].help = "of the means, one a model (default: equal)";
  for (Field& field : fields) {
    field.idle = [this, idle = std::move(field.idle)]() -> std::string {
      if (ModelNames(model).size() < 2) return "--model names one model";
      return idle ? idle() : "";
    };
  }
  return Under("Model", std::move(fields));
}

Status ModelChoice::CheckHere() const {
  for (const std::string& name : ModelNames(model)) TIMBRE_CHECK(CheckModelIsHere(name));
  if (from.empty()) return {};
  for (const std::string& name : ModelNames(from_model)) TIMBRE_CHECK(CheckModelIsHere(name));
  return {};
}

Result<LoadedModel> ModelChoice::Load(const JobHost& host, Observer& observer) const {
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
  TIMBRE_CHECK(FetchIfNamed(model, ModelTask::kSeparate, observer));
  return LoadSeparates(host, model, {.config = config, .wiener = wiener, .mdxnet = mdxnet});
}

Result<std::vector<LoadedModel>> ModelChoice::LoadAll(const JobHost& host, Observer& observer) const {
  const std::vector<std::string> names = ModelNames(model);
  std::vector<LoadedModel> models;
  if (names.size() == 1) {
    TIMBRE_TRY(models.emplace_back(), Load(host, observer));
    return models;
  }
  if (!config.empty()) {
    return Fail(
        ErrorCode::kInvalidArgument,
        "--config is one model's, and --model names several; put each YAML file beside its checkpoint, under the "
        "same name.");
  }
  for (const std::string& name : names) TIMBRE_CHECK(CheckModelName(name, ModelTask::kSeparate));
  for (const std::string& name : names) TIMBRE_CHECK(FetchIfNamed(name, ModelTask::kSeparate, observer));
  for (const std::string& name : names) {
    TIMBRE_TRY(models.emplace_back(), LoadSeparates(host, name, {.wiener = wiener, .mdxnet = mdxnet}));
  }
  return models;
}

Result<std::unique_ptr<Separator>> ModelChoice::MakeSeparator(std::vector<LoadedModel> loaded,
                                                              const SeparateOptions& options, ThreadPool& pool,
                                                              Stats& stats, const JobHost& host,
                                                              Observer& observer) const {
  std::vector<std::string> stems, models;
  if (!from.empty()) {
    stems = Parts(from);
    models = ModelNames(from_model);
  }
  if (stems.size() != models.size()) {
    return Fail(ErrorCode::kInvalidArgument, "--from names " + std::to_string(stems.size()) +
                                                 " stems and --from-model " + std::to_string(models.size()) +
                                                 " models; give one for each");
  }
  SeparateOptions own = options;
  // Of several models in a row, shifts are for those that have a use for them.
  if (!stems.empty() && !loaded.front().info().shifts) own.shifts = 0;
  if (!stems.empty()) own.part = {};  // what the first gives is no more
  std::unique_ptr<Separator> separator;
  if (loaded.size() > 1) {
    TIMBRE_TRY(separator, CreateModelEnsemble(std::move(loaded), ensemble, own, pool, stats));
  } else {
    TIMBRE_TRY(separator, Separator::Create(std::move(loaded.front()), own, pool, stats));
  }
  for (const std::string& name : models) TIMBRE_CHECK(CheckModelName(name, ModelTask::kSeparate));
  for (const std::string& name : models) TIMBRE_CHECK(FetchIfNamed(name, ModelTask::kSeparate, observer));
  // From the last to the first: what each is given comes from those before it.
  for (size_t i = stems.size(); i-- > 0;) {
    TIMBRE_TRY(LoadedModel before, LoadSeparates(host, models[i], {}));
    own = options;
    if (i > 0) own.part = {};
    TIMBRE_TRY(separator, CreateTwoStage(std::move(before), stems[i], std::move(separator), own, pool, stats));
  }
  return separator;
}

}  // namespace timbre
