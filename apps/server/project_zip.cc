// All files of a project in one archive: what went into it, and the newest of what was made of it.
#include <set>
#include <utility>

#include "apps/server/app.h"
#include "apps/server/drum_project.h"
#include "apps/server/project_answers.h"
#include "apps/server/requests.h"
#include "apps/server/zip_source.h"
#include "http/names.h"
#include "pipelines/studio/timeline.h"

namespace timbre::server {
namespace {

// An asset in a folder of the archive; unnamed: as it was brought in.
struct Member {
  std::string folder, asset, name;
};

std::vector<Member> MembersOf(const DrumProject& drums) {
  std::vector<Member> members;
  if (!drums.asset.empty()) members.push_back({"", drums.asset, ""});
  for (const engine::JobInput& sound : drums.sounds) members.push_back({"stems/", sound.asset, sound.name});
  for (const engine::JobInput& mix : drums.mixes) members.push_back({"mixes/", mix.asset, ""});
  if (!drums.config.empty()) members.push_back({"", drums.config, "drums.yaml"});
  return members;
}

std::vector<Member> MembersOf(const Timeline& timeline) {
  std::vector<Member> members;
  for (const TimelineClip& clip : timeline.clips()) members.push_back({"clips/", clip.asset, ""});
  return members;
}

}  // namespace

http::Response App::ProjectZip(http::Request& request) {
  const auto project = engine_->journal().FindProject(request.Captured("id"));
  if (!project) return Refused(project.error());
  std::vector<Member> members;
  if (project->kind == kDrums) {
    const auto drums = DrumProject::FromJson(project->document);
    if (!drums) return http::ProblemOf({ErrorCode::kInternal, drums.error().message});
    members = MembersOf(*drums);
  } else {
    const auto timeline = Timeline::FromJson(project->document);
    if (!timeline) return http::ProblemOf({ErrorCode::kInternal, timeline.error().message});
    members = MembersOf(*timeline);
  }
  std::vector<ZipPart> parts;
  std::set<std::string> assets, taken;
  for (const Member& member : members) {
    if (!assets.insert(member.asset).second) continue;
    const auto asset = engine_->journal().FindAsset(member.asset);
    if (!asset) return Refused(asset.error());
    const std::string name = http::SafeFileName(member.name.empty() ? asset->name : member.name);
    parts.push_back(
        {UniqueName(member.folder + name, taken), engine_->assets().PathOf(asset->id), asset->bytes, asset->crc32});
  }
  // Of files of one name the newest.
  const auto jobs = JobsOf(*project, {.state = "succeeded"});
  if (!jobs) return Refused(jobs.error());
  for (const engine::JobRecord& job : *jobs) {
    for (const engine::JobOutput& output : job.outputs) {
      const std::string name = "made/" + output.name;
      if (assets.count(output.asset) > 0 || !taken.insert(name).second) continue;
      parts.push_back({name, engine_->assets().PathOf(output.asset), output.bytes, output.crc32});
    }
  }
  if (parts.empty()) return http::Problem(409, "conflict", "the project has no files yet.");
  return ZipAnswer(std::move(parts), http::SafeFileName(project->name.empty() ? "project" : project->name) + ".zip");
}

}  // namespace timbre::server
