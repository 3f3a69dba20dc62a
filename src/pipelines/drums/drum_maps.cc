#include "pipelines/drums/drum_maps.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/quantities.h"
#include "pipelines/drums/drums_midi.h"

namespace timbre {
namespace {

constexpr std::string_view kSnare = "the snare", kCymbal = "a cymbal", kRide = "the ride";

// XLN Audio's key map of June 2021. Only kicks and the snare are where General MIDI has them; cymbals are numbered, and
// what hangs there is the kit's. Of four grades of open hi-hats this is the widest.
constexpr DrumMapEntry kAddictive[] = {
    {35, 36}, {36, 36},          {37, 42}, {38, 38},          {39, 38, kSnare}, {40, 38, kSnare}, {41, 65}, {42, 49},
    {43, 65}, {44, 48},          {45, 67}, {46, 57},          {47, 69},         {48, 71},         {49, 77}, {50, 71},
    {51, 60}, {52, 79, kCymbal}, {53, 61}, {55, 81, kCymbal}, {57, 79},         {59, 84},
};

// Toontrack's layout: General MIDI's, but a roll at 39, a rim shot at 40, a second way to play the ride at 59, and
// cymbals that are choked at 50, 54, 56 and 58. The first version has three toms (48, 47, 43) and other numbers as
// aliases of them: these three are toms in all versions.
constexpr DrumMapEntry kEzdrummer[] = {
    {35, 36}, {36, 36},          {37, 37}, {38, 38},          {39, 38, kSnare}, {40, 38, kSnare}, {41, 43}, {42, 42},
    {43, 43}, {44, 44},          {45, 43}, {46, 46},          {47, 47},         {48, 48},         {49, 49}, {50, 48},
    {51, 51}, {52, 52, kCymbal}, {53, 53}, {55, 55, kCymbal}, {57, 57},         {59, 51, kRide},
};

// The same with five toms, and two kicks.
constexpr DrumMapEntry kSuperior[] = {
    {35, 35}, {36, 36},          {37, 37}, {38, 38},          {39, 38, kSnare}, {40, 38, kSnare}, {41, 41}, {42, 42},
    {43, 43}, {44, 44},          {45, 45}, {46, 46},          {47, 47},         {48, 48},         {49, 49}, {50, 48},
    {51, 51}, {52, 52, kCymbal}, {53, 53}, {55, 55, kCymbal}, {57, 57},         {59, 51, kRide},
};

}  // namespace

std::span<const DrumMap> DrumMaps() {
  static constexpr DrumMap kMaps[] = {{"addictive", "Addictive Drums 2", kAddictive},
                                      {"ezdrummer", "EZdrummer", kEzdrummer},
                                      {"superior", "Superior Drummer 3", kSuperior}};
  return kMaps;
}

std::vector<std::string> MapDrums(const DrumMap& map, MidiSong& song) {
  std::map<int, int> lost, replaced;  // how often, by General MIDI's note
  std::vector<MidiNote> notes;
  for (MidiNote note : song.notes) {
    const auto entry = std::find_if(map.entries.begin(), map.entries.end(),
                                    [&](const DrumMapEntry& e) { return e.general == note.note; });
    if (entry == map.entries.end()) {
      ++lost[note.note];
      continue;
    }
    if (!entry->stand_in.empty()) ++replaced[note.note];
    note.note = entry->note;
    const auto same = std::find_if(notes.rbegin(), notes.rend(), [&](const MidiNote& n) {
      return n.tick != note.tick || (n.note == note.note && n.channel == note.channel);
    });
    if (same != notes.rend() && same->tick == note.tick) {
      same->velocity = std::max(same->velocity, note.velocity);
    } else {
      notes.push_back(note);
    }
  }
  song.notes = std::move(notes);
  EndNotesBeforeTheNext(song);
  std::vector<std::string> told;
  for (const auto& [note, count] : replaced) {
    const auto entry = std::find_if(map.entries.begin(), map.entries.end(),
                                    [note = note](const DrumMapEntry& e) { return e.general == note; });
    told.push_back(fmt::format("{} has no sound like General MIDI's note {}: {} takes its place, {}", map.program, note,
                               entry->stand_in, TimesText(count)));
  }
  for (const auto& [note, count] : lost) {
    told.push_back(fmt::format("{} has no place for General MIDI's note {}, which was left out, {}", map.program, note,
                               TimesText(count)));
  }
  return told;
}

}  // namespace timbre
