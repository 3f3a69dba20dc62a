// Hits while a person corrects them: each with an id, so that one can be changed, added or taken away by itself.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "pipelines/drums/drums_config.h"

namespace timbre {

struct ListedHit {
  int id = 0;
  double seconds = 0;  // of the audio, rounded to a tenth of a millisecond
  int note = 0;        // General MIDI
  int velocity = 0;    // 1 to 127
  int stem = 0;        // index
};

// What of a hit is to be another; of a new one all but the stem is needed.
struct HitChange {
  std::optional<double> seconds;
  std::optional<int> note, velocity;
  std::string stem;  // empty: as the note says
};

// In order of time. An operation that fails changes nothing; errors are kInvalidArgument.
class DrumHitList {
 public:
  static constexpr size_t kMostHits = 100000;

  // The kept hits of what was heard, in the form that DrumsFromJson reads (drums_hits.h).
  static Result<DrumHitList> FromHeard(DrumsConfig config, const nlohmann::ordered_json& heard);
  // What ToJson gave.
  static Result<DrumHitList> FromJson(const nlohmann::ordered_json& json);
  // The document: a list of five numbers a hit.
  nlohmann::ordered_json ToJson() const;

  // From now on stems have the notes that `config` gives them. An error where it lacks one of them.
  Status UseConfig(const DrumsConfig& config);

  const std::vector<ListedHit>& hits() const { return hits_; }
  const std::string& StemOf(const ListedHit& hit) const { return stems_[static_cast<size_t>(hit.stem)].name; }
  // The id that the next new hit gets.
  int next_id() const { return next_id_; }

  Result<int> Add(const HitChange& hit);
  // With another note, and no stem named, the hit goes to the stem that has the note among its own: the one that it is
  // in before all others.
  Status Change(int id, const HitChange& change);
  Status Remove(int id);

  // `heard` with these hits in place of its own, as `timbre drums --hits` reads it.
  nlohmann::ordered_json Corrected(const nlohmann::ordered_json& heard) const;

 private:
  struct Stem {
    std::string name;
    std::vector<int> notes;  // that its voices have
  };
  Result<size_t> Find(int id) const;
  Result<int> StemFor(const HitChange& change, int note, int now) const;
  void Place(ListedHit hit);

  std::vector<Stem> stems_;
  std::vector<ListedHit> hits_;
  int next_id_ = 1;
};

}  // namespace timbre
