// What is computed for projects of drums: a job that listens to the song, one that makes MIDI and videos of the hits,
// and what has come of both so far.
#include <optional>
#include <set>

#include "apps/server/app.h"
#include "apps/server/drum_project.h"
#include "apps/server/kinds.h"
#include "apps/server/project_answers.h"
#include "apps/server/requests.h"
#include "http/names.h"
#include "http/ranges.h"

namespace timbre::server {
namespace {

// How the project listens, among a job's options, which may say neither that nor the hits.
std::optional<http::Response> AddOwn(const DrumProject& drums, Json& options) {
  for (const char* name : kOwnOptions) {
    if (options.contains(name)) {
      return Invalid("/options/" + std::string(name), "'" + std::string(name) + "' is what the project has.");
    }
  }
  if (!drums.set.empty()) options["set"] = drums.set;
  if (!drums.config.empty()) options["config"] = {{"asset", drums.config}};
  return std::nullopt;
}

}  // namespace

// The project's sound as a job that listens to it, as the project's configuration says.
http::Response App::ListenToDrums(http::Request& request) {
  engine::ProjectRecord project;
  DrumProject drums;
  if (auto refused = FindDrums(request, project, drums); refused) return *std::move(refused);
  Json options;
  if (auto refused = ReadOptions(request, options); refused) return *std::move(refused);
  if (drums.asset.empty()) return http::Problem(409, "conflict", "the project has no sound to listen to.");
  if (auto refused = AddOwn(drums, options); refused) return *std::move(refused);
  if (const Status good = CheckJob("drums", 1, options); !good) return Invalid("/options", good.error().message);
  const auto sound = engine_->journal().FindAsset(drums.asset);
  if (!sound) return Refused(sound.error());
  engine::Submission submission{.kind = "drums",
                                .client = request.client,
                                .project = project.id,
                                .inputs = {{sound->id, http::SafeFileName(sound->name)}},
                                .options = std::move(options)};
  std::set<std::string> taken = {submission.inputs[0].name};
  if (auto refused = TakeOptionFiles(submission, taken); refused) return *std::move(refused);
  return Submit(request, std::move(submission));
}

// The hits as they are now, as a MIDI file and, where it is asked for, a video with the song's sound, a mix's or none.
http::Response App::ExportDrums(const http::Request& request, const engine::ProjectRecord& project, Json options) {
  const auto drums = DrumProject::FromJson(project.document);
  if (!drums) return http::ProblemOf({ErrorCode::kInternal, drums.error().message});
  Json heard;
  if (auto refused = FindHeard(*drums, heard); refused) return *std::move(refused);
  const std::string name = project.name.empty() ? "drums" : project.name;
  if (auto refused = AddOwn(*drums, options); refused) return *std::move(refused);
  options["hits"] = {{"text", Corrected(*drums, heard).dump()}, {"name", http::SafeFileName(name) + ".hits.json"}};
  if (const auto wish = options.find("video_audio"); wish != options.end()) {
    const Json id = wish->is_object() ? wish->value("asset", Json()) : Json();
    if (!wish->is_null() && (!id.is_string() || !drums->HasSound(id.get<std::string>()))) {
      return Invalid("/options/video_audio", R"('video_audio' is {"asset": ID} of the song or of a mix, or null.)");
    }
    if (wish->is_null()) options.erase(wish);
  } else if (options.contains("video") && !drums->asset.empty()) {
    options["video_audio"] = {{"asset", drums->asset}};
  }
  if (const Status good = CheckJob("drums", 0, options); !good) return Invalid("/options", good.error().message);
  engine::Submission submission{.kind = "drums", .client = request.client, .project = project.id};
  submission.quick = IsQuick("drums", options);
  submission.options = std::move(options);
  std::set<std::string> taken;
  if (auto refused = TakeOptionFiles(submission, taken); refused) return *std::move(refused);
  return Submit(request, std::move(submission));
}

// How far what can be made of the song has come: by the newest job that makes it.
http::Response App::GetStages(http::Request& request) {
  engine::ProjectRecord project;
  DrumProject drums;
  if (auto refused = FindDrums(request, project, drums); refused) return *std::move(refused);
  const auto jobs = JobsOf(project, {.kind = "drums"});
  if (!jobs) return Refused(jobs.error());
  using Makes = bool (*)(const engine::JobRecord&);
  using Belongs = bool (*)(const engine::JobOutput&);
  const auto stage = [&](Makes makes, Belongs belongs) -> Json {
    for (const engine::JobRecord& job : *jobs) {
      if (!makes(job)) continue;
      Json files = Json::array();
      for (const engine::JobOutput& output : job.outputs) {
        if (belongs(output)) files.push_back(OutputJson(output));
      }
      return {{"state", engine::JobStateName(job.state)}, {"job", "/v1/jobs/" + job.id}, {"files", files}};
    }
    return nullptr;
  };
  const Json separated = stage([](const engine::JobRecord& job) { return job.options.value("keep_stems", false); },
                               [](const engine::JobOutput& output) { return IsSound(output.media_type); });
  const Json midi = stage([](const engine::JobRecord&) { return true; },
                          [](const engine::JobOutput& output) { return output.name.ends_with(".mid"); });
  const Json video = stage([](const engine::JobRecord& job) { return job.options.contains("video"); },
                           [](const engine::JobOutput& output) { return output.media_type.starts_with("video/"); });
  return http::WithEtag(request, http::Json(200, {{"separated", separated}, {"midi", midi}, {"video", video}}));
}

}  // namespace timbre::server
