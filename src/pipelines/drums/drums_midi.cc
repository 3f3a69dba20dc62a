#include "pipelines/drums/drums_midi.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace timbre {
namespace {

constexpr double kBend = 0.003;  // seconds that a beat may lie beside where the tempo map has it

// Where straight lines through the beats from `first` on must bend, so that none is further off than kBend: Ramer,
// Douglas and Peucker. Ascending, with the last beat at the end.
std::vector<size_t> Bends(const std::vector<double>& beats, size_t first) {
  std::vector<size_t> bends, open = {beats.size() - 1};  // `open`: where lines may end, the nearest last
  while (!open.empty()) {
    const size_t last = open.back();
    const double slope = (beats[last] - beats[first]) / static_cast<double>(last - first);
    size_t worst = last;
    double distance = kBend;
    for (size_t i = first + 1; i < last; ++i) {
      const double d = std::abs(beats[i] - beats[first] - slope * static_cast<double>(i - first));
      if (d <= distance) continue;
      distance = d;
      worst = i;
    }
    if (worst != last) {
      open.push_back(worst);
      continue;
    }
    bends.push_back(last);
    first = last;
    open.pop_back();
  }
  return bends;
}

void AddTempoMap(const DrumAnalysis& analysis, MidiSong& song) {
  const std::vector<double>& beats = analysis.grid.beats;
  const Metre& metre = analysis.grid.metre;
  song.metres.push_back({0, metre.notes, metre.unit});
  if (beats.size() < 2) {
    song.tempi.push_back({0, 500000});
    return;
  }
  // Of so many beats: a dotted quarter need not be a whole number of ticks.
  auto ticks = [&](double count) { return std::llround(count * metre.quarters_per_beat() * song.ticks_per_beat); };
  // The song's own tempo holds from tick 0, so what lies before the first beat need not be a whole number of beats: the
  // beats keep their distance from the file's, and the bars begin anew where the first of them does.
  const std::vector<size_t> bends = Bends(beats, 0);
  const double period = (beats[bends[0]] - beats[0]) / static_cast<double>(bends[0]);
  const int64_t lead = ticks(beats[0] / period);
  const int64_t first_bar = lead + ticks(analysis.grid.downbeat % metre.beats());
  if (first_bar > 0) song.metres.push_back({first_bar, metre.notes, metre.unit});

  // What is one tempo is written as that, and not as what rounded beats and ticks make of it.
  const double exact = analysis.grid.bpm > 0 ? 60 / analysis.grid.bpm : 0;
  if (analysis.grid.steady && bends.size() == 1 &&
      std::abs(exact - period) * static_cast<double>(beats.size()) < kBend) {
    song.tempi.push_back({0, static_cast<int>(std::lround(exact / metre.quarters_per_beat() * 1e6))});
    return;
  }
  int64_t from = 0;    // tick
  double reached = 0;  // seconds, with the tempi rounded to microseconds
  for (size_t bend : bends) {
    const int64_t to = lead + ticks(static_cast<double>(bend));
    const double count = static_cast<double>(to - from) / song.ticks_per_beat;
    const double beat = std::clamp((beats[bend] - reached) / count, 1e-5, 16.7);
    const int microseconds = static_cast<int>(std::lround(beat * 1e6));
    song.tempi.push_back({from, microseconds});
    reached += count * microseconds * 1e-6;
    from = to;
  }
}

}  // namespace

MidiSong DrumsToMidi(const DrumAnalysis& analysis) {
  const DrumsConfig& config = *analysis.config;
  MidiSong song;
  song.ticks_per_beat = config.ticks_per_beat;
  song.track_name = "Drums";
  AddTempoMap(analysis, song);
  for (const DrumStem& stem : analysis.stems) {
    for (const DrumHit& hit : stem.hits) {
      if (!hit.kept) continue;
      const int64_t tick = song.TickAt(hit.seconds);
      const int64_t end = song.TickAt(hit.seconds + config.note_ms / 1000);
      song.notes.push_back(
          {tick, std::max<int64_t>(1, end - tick), config.midi_channel, hit.voice->note, hit.velocity});
    }
  }
  std::stable_sort(song.notes.begin(), song.notes.end(), [](const MidiNote& a, const MidiNote& b) {
    return a.tick != b.tick ? a.tick < b.tick : a.note < b.note;
  });
  EndNotesBeforeTheNext(song);
  return song;
}

void EndNotesBeforeTheNext(MidiSong& song) {
  std::array<size_t, 128> latest;
  latest.fill(song.notes.size());
  for (size_t i = 0; i < song.notes.size(); ++i) {
    const MidiNote& note = song.notes[i];
    size_t& before = latest[static_cast<size_t>(note.note)];
    if (before < i)
      song.notes[before].length = std::min(song.notes[before].length, note.tick - song.notes[before].tick);
    before = i;
  }
}

namespace {

constexpr double kTolerance = 0.05;  // seconds between a detection and the note it is taken for
constexpr size_t kFewestNotes = 3;   // of a stem, to fit anything to it
constexpr size_t kMostLimits = 128;  // values tried for one limit
constexpr int kRounds = 3;

bool Kept(const DrumStemRules& rules, const Onset& onset) {
  return std::all_of(rules.keep.begin(), rules.keep.end(), [&](const DrumCondition& c) { return c.Holds(onset); });
}

int NoteOf(const DrumStemRules& rules, const Onset& onset) {
  for (const DrumVoice& voice : rules.voices) {
    if (std::all_of(voice.conditions.begin(), voice.conditions.end(),
                    [&](const DrumCondition& c) { return c.Holds(onset); })) {
      return voice.note;
    }
  }
  return -1;
}

double KeepF1(const DrumStemRules& rules, const std::vector<Onset>& onsets, const std::vector<int>& notes, int wanted) {
  int right = 0, kept = 0;
  for (size_t i = 0; i < onsets.size(); ++i) {
    if (!Kept(rules, onsets[i])) continue;
    ++kept;
    right += notes[i] >= 0;
  }
  return kept + wanted == 0 ? 1 : 2.0 * right / (kept + wanted);
}

double VoiceAccuracy(const DrumStemRules& rules, const std::vector<Onset>& onsets, const std::vector<int>& notes) {
  int right = 0, all = 0;
  for (size_t i = 0; i < onsets.size(); ++i) {
    if (notes[i] < 0) continue;
    ++all;
    right += NoteOf(rules, onsets[i]) == notes[i];
  }
  return all == 0 ? 1 : static_cast<double>(right) / all;
}

// Moves `limit` to the middle of the values with the best score, unless it is already as good as any.
template <typename Score>
void Improve(double& limit, const std::vector<Onset>& onsets, OnsetFeature feature, const Score& score) {
  std::vector<double> values;
  values.reserve(onsets.size());
  for (const Onset& onset : onsets) values.push_back(onset[feature]);
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
  std::vector<double> limits;
  const size_t step = values.size() / kMostLimits + 1;
  for (size_t i = 0; i + 1 < values.size(); i += step) limits.push_back((values[i] + values[i + 1]) / 2);
  if (limits.empty()) return;
  const double before = limit;
  double best = score();
  size_t first = limits.size(), last = first;
  for (size_t i = 0; i < limits.size(); ++i) {
    limit = limits[i];
    const double now = score();
    if (now > best + 1e-9) {
      best = now;
      first = last = i;
    } else if (first < limits.size() && now > best - 1e-9 && last + 1 == i) {
      last = i;
    }
  }
  limit = first < limits.size() ? limits[(first + last) / 2] : before;
}

std::string LimitsText(const DrumCondition& now, const DrumCondition* before) {
  std::string text;
  if (std::isfinite(now.min) && (before == nullptr || before->min != now.min))
    text += fmt::format("min: {:.4g}", now.min);
  if (std::isfinite(now.max) && (before == nullptr || before->max != now.max)) {
    text += fmt::format("{}max: {:.4g}", text.empty() ? "" : ", ", now.max);
  }
  return text.empty() ? text : fmt::format("{}: {{{}}}", OnsetFeatureName(now.feature), text);
}

// What differs between two states of a stem's rules, as YAML; empty where nothing does.
std::string DifferenceText(const DrumStemRules& before, const DrumStemRules& now) {
  std::string text;
  if (now.offset_ms != before.offset_ms) text += fmt::format("    offset_ms: {:.1f}\n", now.offset_ms);
  std::string keep;
  for (size_t i = 0; i < now.keep.size(); ++i) {
    const std::string limits = LimitsText(now.keep[i], i < before.keep.size() ? &before.keep[i] : nullptr);
    if (!limits.empty()) keep += "      " + limits + "\n";
  }
  if (!keep.empty()) text += "    keep:\n" + keep;
  std::string voices;
  for (size_t v = 0; v < now.voices.size(); ++v) {
    std::string all;
    for (size_t i = 0; i < now.voices[v].conditions.size(); ++i) {
      const std::string limits = LimitsText(now.voices[v].conditions[i], &before.voices[v].conditions[i]);
      if (!limits.empty()) all += (all.empty() ? "" : ", ") + limits;
    }
    if (!all.empty()) voices += fmt::format("      {}: {{{}}}\n", now.voices[v].name, all);
  }
  if (!voices.empty()) text += "    voices:\n" + voices;
  return text.empty() ? text : fmt::format("  {}:\n{}", now.name, text);
}

}  // namespace

Result<DrumLearning> LearnDrums(const DrumAnalysis& analysis, const MidiSong& corrected) {
  const std::vector<double> times = corrected.NoteSeconds();
  DrumLearning learning;
  std::string body;
  bool any = false;
  for (const DrumStem& stem : analysis.stems) {
    const DrumStemRules& before = *stem.rules;
    // The stem's corrected notes, and the detection nearest to each, each taken once.
    std::vector<Onset> onsets;
    for (const DrumHit& hit : stem.hits) onsets.push_back(hit.onset);
    std::vector<int> notes(onsets.size(), -1);
    std::vector<double> shifts;
    DrumLearning::Stem result{.name = stem.name};
    for (size_t n = 0; n < times.size(); ++n) {
      const MidiNote& note = corrected.notes[n];
      const bool ours = std::any_of(before.voices.begin(), before.voices.end(),
                                    [&](const DrumVoice& v) { return v.note == note.note; });
      if (!ours) continue;
      ++result.wanted;
      const double offset = before.offset_ms / 1000;
      auto at = std::lower_bound(onsets.begin(), onsets.end(), times[n] - kTolerance - offset,
                                 [](const Onset& o, double t) { return o.seconds < t; });
      double nearest = kTolerance;
      size_t best = onsets.size();
      for (; at != onsets.end() && at->seconds + offset <= times[n] + kTolerance; ++at) {
        const auto i = static_cast<size_t>(at - onsets.begin());
        const double distance = std::abs(at->seconds + offset - times[n]);
        if (notes[i] >= 0 || distance > nearest) continue;
        nearest = distance;
        best = i;
      }
      if (best == onsets.size()) continue;
      ++result.found;
      notes[best] = note.note;
      shifts.push_back(times[n] - onsets[best].seconds);
    }
    any = any || result.wanted > 0;

    DrumStemRules now = before;
    auto keep_f1 = [&] { return KeepF1(now, onsets, notes, result.wanted); };
    auto accuracy = [&] { return VoiceAccuracy(now, onsets, notes); };
    result.f1_before = result.f1_after = keep_f1();
    if (result.wanted >= static_cast<int>(kFewestNotes) && result.found > 0) {
      std::nth_element(shifts.begin(), shifts.begin() + static_cast<std::ptrdiff_t>(shifts.size() / 2), shifts.end());
      const double offset_ms = std::round(1e4 * shifts[shifts.size() / 2]) / 10;
      // Less than a millisecond is what the analysis itself is unsure of.
      if (std::abs(offset_ms - before.offset_ms) >= 1) now.offset_ms = offset_ms;
      const bool limits_strength = std::any_of(now.keep.begin(), now.keep.end(), [](const DrumCondition& c) {
        return c.feature == OnsetFeature::kStrength;
      });
      if (!limits_strength) now.keep.push_back({.feature = OnsetFeature::kStrength, .min = before.pick.threshold});
      for (int round = 0; round < kRounds; ++round) {
        for (DrumCondition& condition : now.keep) {
          if (std::isfinite(condition.min)) Improve(condition.min, onsets, condition.feature, keep_f1);
          if (std::isfinite(condition.max)) Improve(condition.max, onsets, condition.feature, keep_f1);
        }
        for (DrumVoice& voice : now.voices) {
          for (DrumCondition& condition : voice.conditions) {
            // A group is a name, and no measure that a limit could move along.
            if (condition.feature == OnsetFeature::kPitchGroup) continue;
            if (std::isfinite(condition.min)) Improve(condition.min, onsets, condition.feature, accuracy);
            if (std::isfinite(condition.max)) Improve(condition.max, onsets, condition.feature, accuracy);
          }
        }
      }
      if (!limits_strength && now.keep.back().min == before.pick.threshold) now.keep.pop_back();
      result.f1_after = keep_f1();
    }
    body += DifferenceText(before, now);
    learning.stems.push_back(std::move(result));
  }
  if (!any) {
    return Fail(ErrorCode::kInvalidArgument,
                "The corrected MIDI file has no note of these stems; its notes must be those of the configuration.");
  }
  learning.yaml = "# Fitted to a corrected MIDI file; use it with --config. What is not named here keeps its value.\n";
  for (const DrumLearning::Stem& stem : learning.stems) {
    learning.yaml += fmt::format("# {}: {} notes, {} with a detection, F1 {:.3f} before and {:.3f} after\n", stem.name,
                                 stem.wanted, stem.found, stem.f1_before, stem.f1_after);
  }
  learning.yaml += body.empty() ? "{}\n" : "stems:\n" + body;
  return learning;
}

}  // namespace timbre
