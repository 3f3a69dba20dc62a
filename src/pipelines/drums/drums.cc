#include "pipelines/drums/drums.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/suggest.h"

namespace timbre {
namespace {

constexpr double kLoudestLeak = 0.25, kFaintestLeak = 1e-4, kUsualLeak = 0.01;  // of power: -6, -40 and -20 dB
constexpr size_t kFewestForLeak = 4;

// The part of `source`'s power that leaks into `stem`, from what `stem` holds when `source` is struck. Most hits are
// struck with something else at times, but not in every band and not always: so the band in which the least arrives, of
// those that `source` is strong in, and the lower quartile of its hits.
double Leak(const DrumStem& stem, const DrumStem& source) {
  std::vector<double> ratios;
  for (const DrumHit& hit : source.hits) {
    if (hit.onset[OnsetFeature::kLevelDb] < -10) continue;
    const BandPower from = NewPower(source.track, hit.onset.seconds), to = NewPower(stem.track, hit.onset.seconds);
    const float strong = 0.01f * *std::max_element(from.begin(), from.end());
    double least = kLoudestLeak;
    for (size_t b = 0; b < kOnsetBands; ++b) {
      if (from[b] > strong) least = std::min(least, static_cast<double>(to[b]) / from[b]);
    }
    ratios.push_back(least);
  }
  if (ratios.size() < kFewestForLeak) return kUsualLeak;
  const auto quartile = ratios.begin() + static_cast<std::ptrdiff_t>(ratios.size() / 4);
  std::nth_element(ratios.begin(), quartile, ratios.end());
  return std::clamp(*quartile, kFaintestLeak, kLoudestLeak);
}

// How much of each hit is what leaks from the other stems: their expected power in this one's band over what came in
// there.
void MeasureBleed(std::vector<DrumStem>& stems) {
  for (DrumStem& stem : stems) {
    std::vector<double> leaks;
    leaks.reserve(stems.size());
    for (const DrumStem& other : stems) leaks.push_back(&other == &stem ? 0 : Leak(stem, other));
    for (DrumHit& hit : stem.hits) {
      const double low = stem.rules->low_hz, high = stem.rules->high_hz, t = hit.onset.seconds;
      const double own = PowerWithin(NewPower(stem.track, t), low, high) + 1e-20;
      double leaked = 0, loudest = 0, most = 0;
      for (size_t i = 0; i < stems.size(); ++i) {
        if (leaks[i] <= 0) continue;
        const double power = PowerWithin(NewPower(stems[i].track, t), low, high);
        leaked += leaks[i] * power;
        loudest = std::max(loudest, power);
        if (leaks[i] * power <= most) continue;
        most = leaks[i] * power;
        hit.bleeding = stems[i].name;
      }
      auto over_own = [&](double power) { return std::clamp(10 * std::log10(power / own + 1e-20), -99.0, 99.0); };
      hit.onset[OnsetFeature::kBleedDb] = over_own(leaked);
      hit.onset[OnsetFeature::kOthersDb] = over_own(loudest);
    }
  }
}

void KeepOrReject(DrumStem& stem) {
  for (DrumHit& hit : stem.hits) {
    hit.kept = true;
    for (const DrumCondition& condition : stem.rules->keep) {
      if (condition.Holds(hit.onset)) continue;
      const double value = hit.onset[condition.feature];
      const bool below = value < condition.min;
      hit.kept = false;
      hit.reason = fmt::format("{} {:.4g} is {} {:.4g}", OnsetFeatureName(condition.feature), value,
                               below ? "below" : "above", below ? condition.min : condition.max);
      if (condition.feature == OnsetFeature::kBleedDb) hit.reason += " (" + hit.bleeding + ")";
      break;
    }
  }
}

// Splits the kept hits' pitches into at most three drums at the widest gaps, and names each 0, 1 or 2 from low to high.
void GroupPitches(DrumStem& stem) {
  std::vector<double> pitches;  // log2 Hz
  for (const DrumHit& hit : stem.hits) {
    if (hit.kept && hit.onset[OnsetFeature::kPitchHz] > 0)
      pitches.push_back(std::log2(hit.onset[OnsetFeature::kPitchHz]));
  }
  std::sort(pitches.begin(), pitches.end());
  std::vector<std::pair<double, double>> gaps;  // width, middle
  for (size_t i = 0; i + 1 < pitches.size(); ++i) {
    const double width = pitches[i + 1] - pitches[i];
    if (width >= stem.rules->pitch_semitones / 12) gaps.emplace_back(width, (pitches[i] + pitches[i + 1]) / 2);
  }
  std::sort(gaps.rbegin(), gaps.rend());
  std::vector<double> edges;
  for (size_t i = 0; i < std::min<size_t>(2, gaps.size()); ++i) edges.push_back(gaps[i].second);
  std::sort(edges.begin(), edges.end());

  // With three drums the order names them; with fewer, the mean pitch of each does, as far as the order allows.
  std::vector<int> names;
  if (edges.size() == 2) {
    names = {0, 1, 2};
  } else {
    for (size_t group = 0; group <= edges.size(); ++group) {
      double sum = 0;
      int count = 0;
      for (double p : pitches) {
        const auto index = static_cast<size_t>(std::upper_bound(edges.begin(), edges.end(), p) - edges.begin());
        if (index != group) continue;
        sum += p;
        ++count;
      }
      const double hz = count > 0 ? std::exp2(sum / count) : 0;
      names.push_back(hz < stem.rules->pitch_low_hz ? 0 : hz < stem.rules->pitch_high_hz ? 1 : 2);
    }
    if (names.size() == 2 && names[0] == names[1]) ++names[names[0] == 2 ? 0 : 1];
    if (names.size() == 2 && names[0] > 2) names = {1, 2};
  }
  for (DrumHit& hit : stem.hits) {
    const double hz = hit.onset[OnsetFeature::kPitchHz];
    const double p = hz > 0 ? std::log2(hz) : 0;
    const auto index = static_cast<size_t>(std::upper_bound(edges.begin(), edges.end(), p) - edges.begin());
    hit.onset[OnsetFeature::kPitchGroup] = names[index];
  }
}

void Name(DrumStem& stem) {
  const DrumStemRules& rules = *stem.rules;
  for (DrumHit& hit : stem.hits) {
    hit.seconds = std::max(0.0, hit.onset.seconds + rules.offset_ms / 1000);
    if (!hit.kept) continue;
    for (const DrumVoice& voice : rules.voices) {
      const bool all = std::all_of(voice.conditions.begin(), voice.conditions.end(),
                                   [&](const DrumCondition& c) { return c.Holds(hit.onset); });
      if (!all) continue;
      hit.voice = &voice;
      break;
    }
    if (hit.voice == nullptr) {
      hit.kept = false;
      hit.reason = "no voice's conditions hold";
      continue;
    }
    const double loud = std::clamp(1 + hit.onset[OnsetFeature::kLevelDb] / rules.velocity_range_db, 0.0, 1.0);
    hit.velocity = static_cast<int>(std::lround(rules.velocity_min + loud * (rules.velocity_max - rules.velocity_min)));
  }
}

}  // namespace

struct DrumAnalyser::State {
  struct Duck {
    size_t stem, by;
    Ducker ducker;
  };
  std::shared_ptr<const DrumsConfig> config;
  std::vector<std::string> names;
  std::vector<const DrumStemRules*> rules;
  std::vector<OnsetAnalyser> analysers;
  std::vector<Duck> ducks;
  std::vector<std::vector<float>> ducked;  // a stem's block, turned down; empty for stems that nothing ducks
};

Result<DrumAnalyser> DrumAnalyser::Create(DrumsConfig config, std::span<const std::string> stems, double sample_rate) {
  auto state = std::make_unique<State>();
  state->config = std::make_shared<const DrumsConfig>(std::move(config));
  std::vector<std::string> known;
  for (const DrumStemRules& rules : state->config->stems) known.push_back(rules.name);
  for (const std::string& name : stems) {
    const DrumStemRules* rules = state->config->Find(name);
    if (rules == nullptr) {
      return Fail(ErrorCode::kInvalidArgument,
                  "The stem '" + name + "' is no drum that the configuration knows." + SuggestionFor(name, known));
    }
    if (std::find(state->rules.begin(), state->rules.end(), rules) != state->rules.end()) {
      return Fail(ErrorCode::kInvalidArgument, "Two stems are the " + rules->name + "; give one of them.");
    }
    TIMBRE_TRY(OnsetAnalyser analyser, OnsetAnalyser::Create(sample_rate, rules->low_hz, rules->high_hz));
    state->names.push_back(name);
    state->rules.push_back(rules);
    state->analysers.push_back(std::move(analyser));
  }
  for (const DrumDucking& entry : state->config->ducking) {
    auto index = [&](const std::string& name) {
      return static_cast<size_t>(std::find(state->rules.begin(), state->rules.end(), state->config->Find(name)) -
                                 state->rules.begin());
    };
    const size_t stem = index(entry.stem), by = index(entry.by);
    // An entry for stems that this separator does not give has nothing to do.
    if (stem < state->rules.size() && by < state->rules.size())
      state->ducks.push_back({stem, by, Ducker(entry.options, sample_rate)});
  }
  state->ducked.resize(stems.size());
  return DrumAnalyser(std::move(state));
}

DrumAnalyser::DrumAnalyser(std::unique_ptr<State> state) : state_(std::move(state)) {}
DrumAnalyser::~DrumAnalyser() = default;
DrumAnalyser::DrumAnalyser(DrumAnalyser&&) noexcept = default;

Status DrumAnalyser::Push(std::span<const std::span<const float>> stems) {
  State& s = *state_;
  if (stems.size() != s.names.size()) return Fail(ErrorCode::kInternal, "A block of drums must hold every stem.");
  for (const auto& block : stems) {
    if (block.size() != stems.front().size())
      return Fail(ErrorCode::kInternal, "The stems of a block of drums differ in length.");
  }
  for (const State::Duck& duck : s.ducks) s.ducked[duck.stem].assign(stems[duck.stem].begin(), stems[duck.stem].end());
  // The keys are the stems as they came, so that the order of the entries does not matter.
  for (State::Duck& duck : s.ducks) duck.ducker.Process(s.ducked[duck.stem], stems[duck.by]);
  for (size_t i = 0; i < stems.size(); ++i) {
    s.analysers[i].Push(s.ducked[i].empty() ? stems[i] : std::span<const float>(s.ducked[i]));
  }
  return {};
}

DrumAnalysis DrumAnalyser::Finish() {
  State& s = *state_;
  DrumAnalysis analysis;
  analysis.config = s.config;
  for (size_t i = 0; i < s.names.size(); ++i) {
    DrumStem stem{.name = s.names[i], .rules = s.rules[i], .track = s.analysers[i].Finish()};
    for (Onset& onset : PickOnsets(stem.track, s.rules[i]->pick)) stem.hits.push_back({.onset = onset});
    analysis.seconds = std::max(analysis.seconds, stem.track.seconds);
    analysis.stems.push_back(std::move(stem));
  }
  MeasureBleed(analysis.stems);
  std::vector<BeatOnset> onsets;
  for (DrumStem& stem : analysis.stems) {
    KeepOrReject(stem);
    GroupPitches(stem);
    Name(stem);
    for (const DrumHit& hit : stem.hits) {
      if (hit.kept) onsets.push_back({hit.seconds, stem.rules->role, hit.velocity / 127.0});
    }
  }
  std::sort(onsets.begin(), onsets.end(), [](const BeatOnset& a, const BeatOnset& b) { return a.seconds < b.seconds; });
  analysis.grid = EstimateBeats(onsets, analysis.seconds, s.config->tempo);
  return analysis;
}

namespace {

double Rounded(double value, double step) { return std::round(value / step) * step; }

}  // namespace

nlohmann::ordered_json BeatGridToJson(const BeatGrid& grid) {
  using Json = nlohmann::ordered_json;
  const bool has_metre = grid.bpm > 0 || grid.metre_confidence > 0;
  const std::string metre = std::to_string(grid.metre.notes) + "/" + std::to_string(grid.metre.unit);
  Json json = {{"tempo_bpm", grid.bpm > 0 ? Json(grid.bpm) : Json(nullptr)},
               {"tempo_steady", grid.steady},
               {"metre", has_metre ? Json(metre) : Json(nullptr)},
               {"metre_confidence", Rounded(grid.metre_confidence, 1e-3)},
               {"downbeat", grid.downbeat},
               {"beats", Json::array()}};
  for (const double beat : grid.beats) json["beats"].push_back(Rounded(beat, 1e-4));
  return json;
}

nlohmann::ordered_json DrumsToJson(const DrumAnalysis& analysis) {
  using Json = nlohmann::ordered_json;
  Json json = {{"seconds", analysis.seconds}};
  json.update(BeatGridToJson(analysis.grid));
  json["stems"] = Json::array();
  for (const DrumStem& stem : analysis.stems) {
    Json hits = Json::array();
    int kept = 0;
    for (const DrumHit& hit : stem.hits) {
      Json entry = {{"seconds", Rounded(hit.seconds, 1e-4)}, {"kept", hit.kept}};
      if (hit.kept) {
        entry["voice"] = hit.voice->name;
        entry["note"] = hit.voice->note;
        entry["velocity"] = hit.velocity;
        ++kept;
      } else {
        entry["reason"] = hit.reason;
      }
      for (int f = 0; f < kOnsetFeatures; ++f) {
        entry["features"][std::string(OnsetFeatureName(static_cast<OnsetFeature>(f)))] =
            Rounded(hit.onset.features[f], 1e-3);
      }
      if (!hit.bleeding.empty()) entry["bleeding"] = hit.bleeding;
      hits.push_back(std::move(entry));
    }
    json["stems"].push_back({{"name", stem.name},
                             {"rules", stem.rules->name},
                             {"kept", kept},
                             {"rejected", static_cast<int>(stem.hits.size()) - kept},
                             {"hits", std::move(hits)}});
  }
  return json;
}

}  // namespace timbre
