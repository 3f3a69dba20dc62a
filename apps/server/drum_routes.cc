// What projects of drums have besides a history: a song that is listened to, how (docs/drums.yaml), other mixes of it.
// Their jobs are in drum_jobs.cc.
#include <fstream>
#include <functional>

#include "apps/server/app.h"
#include "apps/server/drum_project.h"
#include "apps/server/kinds.h"
#include "apps/server/project_answers.h"
#include "apps/server/requests.h"
#include "engine/ids.h"
#include "http/ranges.h"
#include "pipelines/drums/drums_config.h"

namespace timbre::server {
namespace {

constexpr size_t kMostJson = size_t{1} << 20;
constexpr size_t kMostConfig = size_t{256} << 10;
constexpr char kConfigName[] = "drums.yaml";

std::vector<std::string> SettingsIn(const Json& list) {
  std::vector<std::string> settings;
  for (const Json& setting : list) settings.push_back(setting.get<std::string>());
  return settings;
}

}  // namespace

// A sound, as a member of the body names it.
std::optional<http::Response> App::FindSound(const Json& body, engine::AssetRecord& sound) {
  const Json id = body.value("asset", Json());
  if (!id.is_string()) return Invalid("/asset", "'asset' is missing, or no text: the id of a sound.");
  auto asset = engine_->journal().FindAsset(id.get<std::string>());
  if (!asset && asset.error().code == ErrorCode::kNotFound) return Invalid("/asset", asset.error().message);
  if (!asset) return Refused(asset.error());
  if (!IsSound(asset->media_type)) return Invalid("/asset", "'" + asset->name + "' is no sound.");
  sound = *std::move(asset);
  return std::nullopt;
}

// A job, as the body's one member names it.
std::optional<http::Response> App::FindListening(const Json& body, engine::JobRecord& job) {
  const Json id = body.value("job", Json());
  if (!id.is_string()) return Invalid("/job", "'job' is missing, or no text: the one that heard the drums.");
  auto found = engine_->journal().FindJob(id.get<std::string>());
  if (!found && found.error().code == ErrorCode::kNotFound) return Invalid("/job", found.error().message);
  if (!found) return Refused(found.error());
  job = *std::move(found);
  return std::nullopt;
}

// What a job heard in place of what `drums` has. All that is needed of the job is kept with the project, which outlives
// it.
std::optional<http::Response> App::TakeHeard(const engine::JobRecord& job, DrumProject& drums) {
  const auto heard = HeardBy(job);
  if (!heard) return Invalid("/job", heard.error().message);
  DrumProject taken = drums;
  taken.set = job.options.value("set", Json::array());
  taken.config = job.options.contains("config") ? job.options["config"].value("asset", "") : "";
  const auto config = ConfigOf(taken);
  if (!config) return Refused(config.error());
  auto hits = DrumHitList::FromHeard(*config, *heard);
  if (!hits) return Invalid("/job", Sentence(hits.error().message));
  taken.hits = *std::move(hits);
  taken.grid.reset();
  // Behind its own inputs are the files among its options.
  const bool has_sound = job.inputs.size() > OptionFiles(job.kind, job.options).size();
  const std::string asset = has_sound ? job.inputs[0].asset : "";
  if (!drums.asset.empty() && asset != drums.asset) {
    return Invalid("/job", "'job' has listened to another sound than the project's.");
  }
  taken.asset = asset;
  taken.sounds.clear();
  for (const engine::JobOutput& output : job.outputs) {
    if (!IsSound(output.media_type)) continue;
    taken.sounds.push_back({output.asset, output.name.substr(output.name.rfind('/') + 1)});
  }
  const auto kept = engine_->AddText(heard->dump(), "heard.json");
  if (!kept) return Refused(kept.error());
  taken.heard = kept->id;
  drums = std::move(taken);
  return std::nullopt;
}

Result<DrumsConfig> App::ConfigOf(const DrumProject& drums) {
  const std::vector<std::string> settings = SettingsIn(drums.set);
  return LoadDrumsConfig(drums.config.empty() ? "" : engine_->assets().PathOf(drums.config),
                         JoinDrumSettings(settings));
}

// Of a sound that is to be listened to, or of what a job has heard already.
http::Response App::CreateDrums(const Json& body) {
  if (auto refused = CheckMembers(body, {"kind", "name", "job", "asset"}); refused) return *std::move(refused);
  std::optional<std::string> name;
  if (auto refused = ReadName(body, name); refused) return *std::move(refused);
  if (body.contains("job") == body.contains("asset")) {
    return Invalid("/job",
                   "name one of two: the 'job' that heard the drums, or the 'asset' that is to be listened to.");
  }
  DrumProject drums;
  engine::ProjectRecord project{.id = engine::NewId(), .kind = kDrums, .created = engine::Now()};
  std::string title = "drums";
  if (body.contains("asset")) {
    engine::AssetRecord sound;
    if (auto refused = FindSound(body, sound); refused) return *std::move(refused);
    drums.asset = sound.id;
    title = sound.name;
  } else {
    engine::JobRecord job;
    if (auto refused = FindListening(body, job); refused) return *std::move(refused);
    if (auto refused = TakeHeard(job, drums); refused) return *std::move(refused);
    project.job = job.id;
    if (!job.inputs.empty()) title = job.inputs[0].name;
  }
  project.name = name.value_or(title.substr(0, title.rfind('.')));
  project.document = drums.ToJson();
  return AddProject(std::move(project), drums.Assets());
}

// The project and what it holds; the answer where it is none of drums.
std::optional<http::Response> App::FindDrums(const http::Request& request, engine::ProjectRecord& project,
                                             DrumProject& drums) {
  auto found = engine_->journal().FindProject(request.Captured("id"));
  if (!found) return Refused(found.error());
  if (found->kind != kDrums) return http::Problem(404, "not-found", "the project is a timeline, and none of drums.");
  auto read = DrumProject::FromJson(found->document);
  if (!read) return http::ProblemOf({ErrorCode::kInternal, read.error().message});
  project = *std::move(found);
  drums = *std::move(read);
  return std::nullopt;
}

// One step of the project's history.
http::Response App::ChangeDrums(const http::Request& request,
                                const std::function<std::optional<http::Response>(DrumProject&)>& change) {
  engine::ProjectRecord project;
  DrumProject drums;
  if (auto refused = FindDrums(request, project, drums); refused) return *std::move(refused);
  if (auto refused = CheckPrecondition(request, project); refused) return *std::move(refused);
  if (auto refused = change(drums); refused) return *std::move(refused);
  return ChangeProject(project, {.document = drums.ToJson(), .assets = drums.Assets()});
}

// Of a text that was put away with a project.
Result<std::string> App::KeptText(const std::string& asset) {
  std::ifstream in(engine_->assets().PathOf(asset), std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(in)), {});
  if (!in.is_open() || in.bad()) return Fail(ErrorCode::kCorrupt, "the file of asset " + asset + " can't be read");
  return text;
}

std::optional<http::Response> App::FindHeard(const DrumProject& drums, Json& heard) {
  if (drums.heard.empty()) {
    return http::Problem(409, "conflict", "nothing was heard yet; have it listened to, and take what was heard.");
  }
  const auto text = KeptText(drums.heard);
  if (!text) return http::ProblemOf({ErrorCode::kInternal, text.error().message});
  heard = Json::parse(*text, nullptr, false);
  if (!heard.is_object()) return http::ProblemOf({ErrorCode::kInternal, "what was heard is damaged"});
  return std::nullopt;
}

// Another tempo, first beat or metre.
std::optional<http::Response> App::SetBeats(const Json& body, DrumProject& drums) {
  Json heard;
  if (auto refused = FindHeard(drums, heard); refused) return refused;
  if (const Status set = OperateOnBeats(drums, heard, body); !set) return Invalid("", Sentence(set.error().message));
  return std::nullopt;
}

http::Response App::GetDrumsConfig(http::Request& request) {
  engine::ProjectRecord project;
  DrumProject drums;
  if (auto refused = FindDrums(request, project, drums); refused) return *std::move(refused);
  if (http::Evaluate(request, EtagOf(project)) == http::Condition::kNotModified) {
    return WithRevision({.status = 304}, project);
  }
  std::string text(DefaultDrumsConfig());
  if (!drums.config.empty()) {
    auto kept = KeptText(drums.config);
    if (!kept) return http::ProblemOf({ErrorCode::kInternal, kept.error().message});
    text = *std::move(kept);
  }
  for (const std::string& setting : SettingsIn(drums.set)) text += "\n# over it: " + setting;
  return WithRevision(http::Text(200, text, "application/yaml"), project);
}

http::Response App::PutDrumsConfig(http::Request& request) {
  const bool only_checked = request.QueryValue("validate") == "1";
  if (const std::string_view given = request.QueryValue("validate"); !given.empty() && given != "0" && !only_checked) {
    return http::Problem(422, "invalid", "'validate' is 1 where the configuration is only to be checked.");
  }
  // Whether it is one, and one with which the hits that there are can be written.
  const auto check = [&](DrumProject& drums) -> std::optional<http::Response> {
    const auto config = ParseDrumsConfig(request.body, kConfigName, {});
    if (!config) return Invalid("", Sentence(config.error().message));
    if (const Status used = drums.hits.UseConfig(*config); !used) return Invalid("", used.error().message);
    return std::nullopt;
  };
  if (only_checked) {
    engine::ProjectRecord project;
    DrumProject drums;
    if (auto refused = FindDrums(request, project, drums); refused) return *std::move(refused);
    if (auto refused = check(drums); refused) return *std::move(refused);
    return {.status = 204};
  }
  return ChangeDrums(request, [&](DrumProject& drums) -> std::optional<http::Response> {
    if (auto refused = check(drums); refused) return refused;
    const auto kept = engine_->AddText(request.body, kConfigName);
    if (!kept) return Refused(kept.error());
    drums.config = kept->id;
    drums.set = Json::array();
    return std::nullopt;
  });
}

http::Response App::ResetDrumsConfig(http::Request& request) {
  return ChangeDrums(request, [](DrumProject& drums) -> std::optional<http::Response> {
    drums.config.clear();
    drums.set = Json::array();
    const auto config = ParseDrumsConfig("", kConfigName, {});
    if (!config) return http::ProblemOf({ErrorCode::kInternal, config.error().message});
    if (const Status used = drums.hits.UseConfig(*config); !used) return Invalid("", used.error().message);
    return std::nullopt;
  });
}

http::Response App::AddMix(http::Request& request) {
  Json body;
  if (auto refused = ReadBody(request, {"asset", "name"}, body); refused) return *std::move(refused);
  std::optional<std::string> name;
  if (auto refused = ReadName(body, name); refused) return *std::move(refused);
  return ChangeDrums(request, [&](DrumProject& drums) -> std::optional<http::Response> {
    engine::AssetRecord sound;
    if (auto refused = FindSound(body, sound); refused) return refused;
    if (sound.id == drums.asset) return Invalid("/asset", "'asset' is the project's song itself.");
    if (const Status added = drums.AddMix({sound.id, name.value_or(sound.name)}); !added) {
      return http::Problem(409, "conflict", added.error().message);
    }
    return std::nullopt;
  });
}

void App::AddDrumRoutes(http::Router& router) {
  const std::string pattern = "/v1/projects/{id}";
  router.Add({.method = "GET",
              .pattern = pattern + "/config/drums",
              .name = "getDrumsConfig",
              .summary = "How a project's drums are listened for, as YAML; the default where it has nothing of its own",
              .gives = "application/yaml",
              .statuses = {200, 304, 404},
              .handler = [this](http::Request& request) { return GetDrumsConfig(request); }});
  router.Add({.method = "PUT",
              .pattern = pattern + "/config/drums",
              .name = "putDrumsConfig",
              .summary = "Another configuration, YAML or JSON of docs/drums.yaml's form; with If-Match",
              .query = {{"validate", "string", "1: it is checked, and nothing else; without If-Match"}},
              .body = http::BodyKind::kText,
              .most_body = kMostConfig,
              .takes = "application/yaml",
              .gives = "Project",
              .statuses = {200, 204, 404, 412, 413, 422, 428, 507},
              .handler = [this](http::Request& request) { return PutDrumsConfig(request); }});
  router.Add({.method = "DELETE",
              .pattern = pattern + "/config/drums",
              .name = "resetDrumsConfig",
              .summary = "The default configuration again; with If-Match",
              .gives = "Project",
              .statuses = {200, 404, 412, 422, 428},
              .handler = [this](http::Request& request) { return ResetDrumsConfig(request); }});
  router.Add({.method = "GET",
              .pattern = pattern + "/mixes",
              .name = "listMixes",
              .summary = "Other mixes of a project's song, which a video of its drums may have in its place",
              .gives = "Mixes",
              .statuses = {200, 304, 404},
              .handler = [this](http::Request& request) {
                engine::ProjectRecord project;
                DrumProject drums;
                if (auto refused = FindDrums(request, project, drums); refused) return *std::move(refused);
                return http::WithEtag(request, http::Json(200, {{"mixes", drums.Shown()["mixes"]}}));
              }});
  router.Add({.method = "POST",
              .pattern = pattern + "/mixes",
              .name = "addMix",
              .summary = "A sound as another mix, or another name for one; with If-Match",
              .body = http::BodyKind::kJson,
              .most_body = kMostJson,
              .takes = "MixRequest",
              .gives = "Project",
              .statuses = {200, 400, 404, 409, 412, 415, 422, 428},
              .handler = [this](http::Request& request) { return AddMix(request); }});
  router.Add({.method = "DELETE",
              .pattern = pattern + "/mixes/{asset}",
              .name = "removeMix",
              .summary = "Takes a mix out of the project; the sound stays; with If-Match",
              .gives = "Project",
              .statuses = {200, 404, 412, 428},
              .handler = [this](http::Request& request) {
                return ChangeDrums(request, [&](DrumProject& drums) -> std::optional<http::Response> {
                  if (drums.RemoveMix(request.Captured("asset"))) return std::nullopt;
                  return http::Problem(404, "not-found", "the project has no such mix.");
                });
              }});
  router.Add({.method = "POST",
              .pattern = pattern + "/listen",
              .name = "listenToDrums",
              .summary = "A job that listens to a project's song by its configuration; the operation 'take' takes "
                         "what it has heard",
              .body = http::BodyKind::kJson,
              .most_body = kMostJson,
              .takes = "ListenRequest",
              .gives = "Job",
              .statuses = {202, 400, 404, 409, 415, 422, 429, 503, 507},
              .handler = [this](http::Request& request) { return ListenToDrums(request); }});
  router.Add({.method = "GET",
              .pattern = pattern + "/stages",
              .name = "getStages",
              .summary = "How far stems, MIDI and video of a project of drums have come, each by its newest job",
              .gives = "Stages",
              .statuses = {200, 304, 404},
              .handler = [this](http::Request& request) { return GetStages(request); }});
}

}  // namespace timbre::server
