#include "apps/server/project_answers.h"

#include "apps/server/drum_project.h"
#include "apps/server/requests.h"
#include "base/text.h"
#include "engine/ids.h"
#include "http/ranges.h"
#include "pipelines/studio/timeline.h"

namespace timbre::server {
namespace {

constexpr size_t kLongestName = 200;

}  // namespace

std::string EtagOf(const engine::ProjectRecord& project) { return "\"" + std::to_string(project.revision) + "\""; }

http::Response WithRevision(http::Response response, const engine::ProjectRecord& project) {
  response.headers.Set("ETag", EtagOf(project));
  return response;
}

http::Response Changed() {
  return http::Problem(412, "precondition-failed", "the project is not what it was; get it anew, then try again.");
}

std::optional<http::Response> CheckPrecondition(const http::Request& request, const engine::ProjectRecord& project) {
  if (request.headers.Find("If-Match") == nullptr) {
    return http::Problem(
        428, "precondition-required",
        "name the revision that you have seen: If-Match: " + EtagOf(project) + " for the one that it is now.");
  }
  if (http::Evaluate(request, EtagOf(project)) == http::Condition::kFailed) return Changed();
  return std::nullopt;
}

std::string Sentence(std::string text) {
  if (!text.empty() && text.back() != '.' && text.back() != '?') text += '.';
  return text;
}

Json ProjectJson(const engine::ProjectRecord& project, bool whole) {
  const std::string self = "/v1/projects/" + project.id;
  Json json = {{"id", project.id},
               {"kind", project.kind},
               {"name", project.name},
               {"job", project.job.empty() ? Json() : Json(project.job)},
               {"revision", project.revision},
               {"undo", project.undo},
               {"redo", project.redo},
               {"created", engine::TimeText(project.created)},
               {"changed", engine::TimeText(project.changed)},
               {"links", {{"self", self}, {"operations", self + "/operations"}, {"export", self + "/export"}}}};
  if (!whole) return json;
  if (project.kind == kDrums) {
    const auto drums = DrumProject::FromJson(project.document);
    json["drums"] = drums ? drums->Shown() : project.document;
    return json;
  }
  const auto timeline = Timeline::FromJson(project.document);
  json["timeline"] = timeline ? timeline->ToJson(true) : project.document;
  return json;
}

std::optional<http::Response> ReadName(const Json& body, std::optional<std::string>& name) {
  const auto value = body.find("name");
  if (value == body.end()) return std::nullopt;
  if (!value->is_string() || value->get_ref<const std::string&>().size() > kLongestName) {
    return Invalid("/name", "'name' is a text of at most 200 bytes.");
  }
  name = Printable(value->get<std::string>(), kLongestName);
  return std::nullopt;
}

}  // namespace timbre::server
