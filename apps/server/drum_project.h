// What a project of drums holds: the hits that a job heard, as they are being corrected, and what they were heard in.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/journal.h"
#include "pipelines/drums/hit_list.h"

namespace timbre::server {

struct DrumProject {
  DrumHitList hits;
  std::string heard;                     // the asset of what was heard, as JSON, of the form that DrumHitsToJson gives
  std::string asset;                     // the sound; empty: none
  std::vector<engine::JobInput> sounds;  // its stems, where the job kept them
  std::string config;                    // the asset of the configuration that the job had; empty: none
  nlohmann::ordered_json set = nlohmann::ordered_json::array();  // and its settings

  // What ToJson gave, of the journal's.
  static Result<DrumProject> FromJson(const nlohmann::ordered_json& json);
  nlohmann::ordered_json ToJson() const;
  // As clients see it.
  nlohmann::ordered_json Shown() const;
  // All that it names.
  std::vector<std::string> Assets() const;
};

// What a job of the kind "drums" heard in its one track, without the features of each hit: kInvalidArgument where it
// has not.
Result<nlohmann::ordered_json> HeardBy(const engine::JobRecord& job);

// One operation, as JSON: {"op": "add", "seconds": 1.5, "note": 38, "velocity": 90}. Gives the id of the hit that came
// to be, or nothing; where it fails (kInvalidArgument) nothing has changed.
Result<std::optional<int>> OperateOnHits(DrumHitList& hits, const nlohmann::ordered_json& operation);

// The names of all operations.
std::vector<std::string> HitOperations();

}  // namespace timbre::server
