// What a project of drums holds: a song, the hits that a job heard in it as they are being corrected, how they are
// listened for, and other mixes of the song.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "dsp/tempo.h"
#include "engine/journal.h"
#include "pipelines/drums/hit_list.h"

namespace timbre::server {

// The options of a job of the kind "drums" that a project has, and a request for one may not have besides.
inline constexpr const char* kOwnOptions[] = {"hits", "config", "set"};

struct DrumProject {
  DrumHitList hits;
  std::optional<BeatGrid> grid;  // the beats as they were set right; none: as they were heard
  std::string heard;             // the asset of what was heard, as JSON, of DrumsToJson's form; empty: nothing yet
  std::string asset;             // the sound; empty: none
  std::vector<engine::JobInput> sounds;  // its stems, where the job kept them
  std::vector<engine::JobInput> mixes;   // that a video may have in place of the song
  std::string config;                    // the asset of the configuration (docs/drums.yaml); empty: the default
  nlohmann::ordered_json set = nlohmann::ordered_json::array();  // and its settings

  // What ToJson gave, of the journal's.
  static Result<DrumProject> FromJson(const nlohmann::ordered_json& json);
  nlohmann::ordered_json ToJson() const;
  // As clients see it.
  nlohmann::ordered_json Shown() const;
  // All that it names.
  std::vector<std::string> Assets() const;

  static constexpr size_t kMostMixes = 32;
  // Another mix, or another name for one that is there. kInvalidArgument where there are too many.
  Status AddMix(const engine::JobInput& mix);
  // Whether it was there.
  bool RemoveMix(const std::string& mix);
  // The song, or a mix.
  bool HasSound(const std::string& sound) const;
};

// What was heard, with the hits and the beats as they are now: what `timbre drums --hits` reads.
nlohmann::ordered_json Corrected(const DrumProject& drums, const nlohmann::ordered_json& heard);

// Not of the notes that are "audio" as well: "audio/midi".
bool IsSound(const std::string& media_type);

// What a job of the kind "drums" heard in its one track, without the features of each hit: kInvalidArgument where it
// has not.
Result<nlohmann::ordered_json> HeardBy(const engine::JobRecord& job);

// One operation, as JSON: {"op": "add", "seconds": 1.5, "note": 38, "velocity": 90}. Gives the id of the hit that came
// to be, or nothing; where it fails (kInvalidArgument) nothing has changed.
Result<std::optional<int>> OperateOnHits(DrumHitList& hits, const nlohmann::ordered_json& operation);

// {"op": "beats", "tempo_bpm": 118, "first": 0.52}: another tempo, first beat or metre, twice or half as many beats, in
// place of the beats that there are, or of those that were heard. The same of errors.
Status OperateOnBeats(DrumProject& drums, const nlohmann::ordered_json& heard, const nlohmann::ordered_json& operation);

// The names of all operations: those, and "take", of what another job has heard.
std::vector<std::string> HitOperations();

}  // namespace timbre::server
