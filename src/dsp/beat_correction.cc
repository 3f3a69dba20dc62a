#include "dsp/beat_correction.h"

#include <algorithm>
#include <cmath>

namespace timbre {
namespace {

constexpr double kEdge = 1e-6;  // seconds by which a beat may lie outside of the signal: rounding

tl::unexpected<Error> NoBeats() {
  return Fail(ErrorCode::kInvalidArgument, "there are no beats yet; say a tempo, and where a bar begins");
}

// Of a list that has two at least: as many more, a first or a last period apart, as the signal has room for.
void FillToEnds(BeatGrid& grid, double seconds) {
  std::vector<double>& beats = grid.beats;
  const double first = beats[1] - beats[0];
  const double last = beats.back() - beats[beats.size() - 2];
  std::vector<double> before;
  for (double beat = beats.front() - first; beat >= -kEdge && before.size() <= BeatCorrection::kMostBeats;
       beat -= first) {
    before.push_back(std::max(0.0, beat));
  }
  beats.insert(beats.begin(), before.rbegin(), before.rend());
  grid.downbeat += static_cast<int>(before.size());
  for (double beat = beats.back() + last; beat <= seconds + kEdge && beats.size() <= BeatCorrection::kMostBeats;
       beat += last) {
    beats.push_back(std::min(beat, seconds));
  }
}

void DoubleBeats(BeatGrid& grid) {
  std::vector<double> beats;
  for (size_t i = 0; i < grid.beats.size(); ++i) {
    if (i > 0) beats.push_back((grid.beats[i - 1] + grid.beats[i]) / 2);
    beats.push_back(grid.beats[i]);
  }
  grid.beats = std::move(beats);
  grid.downbeat *= 2;
  grid.bpm *= 2;
}

// Every other one goes; bars begin where they did.
void HalveBeats(BeatGrid& grid) {
  std::vector<double> beats;
  for (size_t i = static_cast<size_t>(grid.downbeat) % 2; i < grid.beats.size(); i += 2) beats.push_back(grid.beats[i]);
  grid.beats = std::move(beats);
  grid.downbeat /= 2;
  grid.bpm /= 2;
}

void SetTempo(BeatGrid& grid, double bpm, double anchor, double seconds) {
  const double period = 60 / bpm;
  const auto before = static_cast<int64_t>(std::floor((anchor + kEdge) / period));
  const auto behind = static_cast<int64_t>(std::floor((seconds - anchor + kEdge) / period));
  grid.beats.clear();
  for (int64_t i = -before; i <= behind && grid.beats.size() <= BeatCorrection::kMostBeats; ++i) {
    grid.beats.push_back(std::max(0.0, anchor + static_cast<double>(i) * period));
  }
  grid.downbeat = static_cast<int>(before);
  grid.bpm = bpm;
  grid.steady = true;
}

void MoveTo(BeatGrid& grid, double first) {
  const auto next = std::lower_bound(grid.beats.begin(), grid.beats.end(), first);
  auto nearest = next == grid.beats.end() ? next - 1 : next;
  if (nearest != grid.beats.begin() && first - *(nearest - 1) < *nearest - first) --nearest;
  const double shift = first - *nearest;
  grid.downbeat = static_cast<int>(nearest - grid.beats.begin());
  for (double& beat : grid.beats) beat += shift;
}

// What was moved over the ends goes; two beats stay in any case, from which the rest can be told.
void CutToEnds(BeatGrid& grid, double seconds) {
  std::vector<double>& beats = grid.beats;
  while (beats.size() > 2 && beats.back() > seconds + kEdge) beats.pop_back();
  size_t outside = 0;
  while (outside + 2 < beats.size() && beats[outside] < -kEdge) ++outside;
  beats.erase(beats.begin(), beats.begin() + static_cast<std::ptrdiff_t>(outside));
  grid.downbeat -= static_cast<int>(outside);
}

}  // namespace

Result<BeatGrid> CorrectBeats(BeatGrid grid, double seconds, const BeatCorrection& correction) {
  using Times = BeatCorrection::Times;
  const bool has_beats = grid.beats.size() >= 2;
  if (!has_beats && !correction.bpm && (correction.first || correction.times != Times::kSame)) return NoBeats();
  if (correction.first && !(*correction.first >= 0 && *correction.first <= seconds)) {
    return Fail(ErrorCode::kInvalidArgument, "a bar has to begin within the sound");
  }
  if (has_beats && correction.times == Times::kDouble) DoubleBeats(grid);
  if (has_beats && correction.times == Times::kHalf) HalveBeats(grid);
  const double bpm = correction.bpm.value_or(grid.bpm);
  if ((correction.bpm || correction.times != Times::kSame) &&
      !(bpm >= BeatCorrection::kLeastBpm && bpm <= BeatCorrection::kMostBpm)) {
    return Fail(ErrorCode::kInvalidArgument, "a tempo is from 20 to 400 beats a minute");
  }
  if (correction.bpm) {
    const double anchor = has_beats ? grid.beats[static_cast<size_t>(grid.downbeat)] : 0;
    SetTempo(grid, *correction.bpm, correction.first.value_or(anchor), seconds);
  } else if (correction.first) {
    MoveTo(grid, *correction.first);
    CutToEnds(grid, seconds);
  }
  if (correction.metre) {
    grid.metre = *correction.metre;
    grid.metre_confidence = 1;
  }
  if (grid.beats.empty() && correction.metre && !correction.bpm) return grid;  // bars without beats to count
  if (grid.beats.size() >= 2) {
    FillToEnds(grid, seconds);
    CutToEnds(grid, seconds);
  }
  if (grid.beats.size() < 2 || grid.beats.front() < -kEdge || grid.beats.back() > seconds + kEdge) {
    return Fail(ErrorCode::kInvalidArgument, "the sound would have fewer than two beats; say a faster tempo");
  }
  if (grid.beats.size() > BeatCorrection::kMostBeats) {
    return Fail(ErrorCode::kInvalidArgument, "the sound would have too many beats; say a slower tempo");
  }
  grid.beats.front() = std::max(0.0, grid.beats.front());
  const int bar = grid.metre.beats();
  grid.downbeat = (grid.downbeat % bar + bar) % bar;
  grid.downbeat = std::min(grid.downbeat, static_cast<int>(grid.beats.size()) - 1);
  return grid;
}

}  // namespace timbre
