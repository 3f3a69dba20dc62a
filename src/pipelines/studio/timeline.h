// Clips one after another, cross-faded: what a song is put together from. A model of values alone, without files:
// whoever renders or stores it says what its assets are.
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "pipelines/studio/mastering_chain.h"

namespace timbre {

enum class ClipRole : uint8_t { kNone, kIntro, kOutro };

// Lengths and places are samples at the timeline's rate.
struct TimelineClip {
  std::string id;            // unique in its timeline; given by it
  std::string asset;         // what the sound is found by
  std::string name;          // UTF-8
  int64_t asset_length = 0;  // of the whole sound, as decoding found it
  ClipRole role = ClipRole::kNone;
  int64_t from = 0, length = 0;  // the part that is heard; a length of 0 in a new clip: all that follows `from`
  double gain_db = 0;
  bool mute = false, solo = false;
  std::optional<MasterChain> chain;
  std::optional<double> crossfade;  // seconds, with the clip before; none: the timeline's
};

// Where a clip lies, which follows from all clips together and is never stored.
struct ClipPlace {
  int64_t start = 0, end = 0;
  int64_t overlap = 0;   // with the clip before: as long as wanted, or as the two have room for
  bool audible = false;  // not muted, and solo where any clip is
};

// A document with a history. An operation that fails changes nothing.
class Timeline {
 public:
  static constexpr int kMostClips = 1000, kMostUndo = 200;
  static constexpr int64_t kLongestClip = int64_t{1} << 40;

  // kInvalidArgument for rates beside 1 kHz to 768 kHz, other channels than 1 or 2, cross-fades beside 0 to 60 s.
  static Result<Timeline> Create(int sample_rate, int channels, double crossfade = 0);
  // From what ToJson gave; what it also shows of places is not read. Errors name the entry.
  static Result<Timeline> FromJson(const nlohmann::ordered_json& json);
  // The document, the same bytes for the same document; with `places`, also where each clip lies, in samples and in
  // seconds.
  nlohmann::ordered_json ToJson(bool places = false) const;

  int sample_rate() const { return state_->sample_rate; }
  int channels() const { return state_->channels; }
  double crossfade() const { return state_->crossfade; }
  const std::vector<TimelineClip>& clips() const { return state_->clips; }
  const std::optional<MasterChain>& master() const { return state_->master; }
  // Counts every change, undone and redone ones too: never the same for two documents.
  int64_t revision() const { return revision_; }

  // One a clip, and the length of the whole, to the sample.
  std::vector<ClipPlace> Places() const;
  int64_t Total() const;

  // Where a new clip goes. kIntro: to the start; kOutro: to the end, before which kNext stays from then on; kPrevious:
  // before the last; kNext: behind `after`, or to the end where that is empty; kIndex: before the one that has it.
  struct Position {
    enum class Kind : uint8_t { kIntro, kPrevious, kNext, kOutro, kIndex } kind = Kind::kNext;
    int index = 0;
    std::string after;
  };
  // Gives the new clip's id; that of `clip` is not read.
  Result<std::string> Insert(TimelineClip clip, const Position& position);
  Status Move(const std::string& id, int index);
  // `ids` must be those there are, each once.
  Status Reorder(const std::vector<std::string>& ids);
  Status Trim(const std::string& id, int64_t from, int64_t length);
  // `at` samples into the clip, where a second one begins, without a cross-fade: its id.
  Result<std::string> Split(const std::string& id, int64_t at);
  // Behind itself: the new one's id.
  Result<std::string> Duplicate(const std::string& id);
  Status SetGain(const std::string& id, double gain_db);
  Status SetMute(const std::string& id, bool mute);
  Status SetSolo(const std::string& id, bool solo);
  Status SetChain(const std::string& id, std::optional<MasterChain> chain);
  Status SetCrossfade(const std::string& id, std::optional<double> seconds);
  Status SetMaster(std::optional<MasterChain> chain);
  Status Remove(const std::string& id);
  Status Clear();

  // The last 200 changes. kInvalidArgument where there is none.
  Status Undo();
  Status Redo();

 private:
  struct State {
    int sample_rate = 0, channels = 0;
    double crossfade = 0;
    std::vector<TimelineClip> clips;
    std::optional<MasterChain> master;
  };
  Timeline() = default;
  // The index of the clip, or why there is none.
  Result<size_t> Find(const std::string& id) const;
  // Makes `next` the document, with the one before as the last to go back to.
  Status Change(State next);
  template <typename Edit>
  Status Edit1(const std::string& id, Edit&& edit);
  std::string NewId() { return "c" + std::to_string(next_id_++); }

  std::shared_ptr<const State> state_;
  std::vector<std::shared_ptr<const State>> undo_, redo_;
  int64_t revision_ = 0, next_id_ = 1;
};

}  // namespace timbre
