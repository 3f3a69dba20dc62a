#include "dsp/tempo.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>

namespace timbre {
namespace {

constexpr double kFinestStep = 0.005;  // seconds: the grid of the search
constexpr size_t kMostPeriods = 254;
constexpr double kSpread = 0.022;    // seconds: how loosely onsets lie around where they belong
constexpr double kTurn = 40;         // what a relative change of the period costs, per unit of its logarithm
constexpr double kMargin = 1.08;     // how far a tempo that drifts may leave the range asked for
constexpr double kPriorWidth = 0.6;  // octaves
constexpr double kPriorWeight = 6;
// A player fills only some of the places that a style has. Of fourteen plain patterns at 60 to 200 beats a minute, 1
// takes a quarter for half as fast as they are, 0.75 a tenth, and 0.5 begins to take slow ones for twice as fast.
constexpr double kDensity = 0.6;
constexpr size_t kRoles = 3;
constexpr size_t kFewestOnsets = 6;
// How fast a metre becomes sure with the log likelihood by which it is ahead, so that it is right as often as it says:
// chosen on the 174 synthesised tracks of docs/studio.md's table, and on no others.
constexpr double kSure = 2.5;
// How much better two bars of 6/8 must be told apart than taken for the same to be one of 12/8, by the number of beats:
// in a few, places in four have too little to learn from; in many, small differences add up. Chosen on 1600 synthesised
// tracks of 13 to 60 s.
constexpr double kEvenBeats = 45, kBeatsPerUnit = 15, kMostNeeded = 3;

// How many onsets of each role a beat holds on average, by place. A few beats in turn are the unit, the first of them
// the strong one. Not fitted to any recording: round numbers for the drumming of popular music.
constexpr size_t kMostBeats = 4;
struct RoleRates {
  std::array<double, kMostBeats> beat;                      // on each beat of the unit
  double half, quarter, three_quarters, two_thirds, third;  // between beats, straight and swung
  double anywhere;
};
enum class Family { kFours, kThrees, kCompound };
struct Style {
  Family family;
  size_t beats;  // of the unit
  std::array<RoleRates, kRoles> roles;
};
constexpr std::array<Style, 9> kStyles = {{
    // Straight: a snare on the second and fourth.
    {Family::kFours,
     2,
     {{{{0.75, 0.25}, 0.30, 0.08, 0.15, 0.06, 0.02, 0.05},     // low
       {{0.06, 0.85}, 0.06, 0.05, 0.06, 0.04, 0.02, 0.03},     // back
       {{0.85, 0.85}, 0.60, 0.20, 0.20, 0.15, 0.05, 0.08}}}},  // other
    // Swing: time is kept on a cymbal, what lies between the beats is in thirds.
    {Family::kFours,
     2,
     {{{{0.60, 0.45}, 0.03, 0.01, 0.01, 0.20, 0.03, 0.03},
       {{0.12, 0.50}, 0.03, 0.01, 0.01, 0.20, 0.05, 0.03},
       {{0.95, 1.20}, 0.05, 0.01, 0.01, 0.60, 0.08, 0.05}}}},
    // Shuffle: the straight one's kick and snare in the swing's time.
    {Family::kFours,
     2,
     {{{{0.75, 0.25}, 0.02, 0.01, 0.01, 0.30, 0.02, 0.05},
       {{0.06, 0.85}, 0.02, 0.01, 0.01, 0.08, 0.02, 0.03},
       {{0.85, 0.85}, 0.04, 0.01, 0.01, 0.60, 0.04, 0.06}}}},
    // Half-time: a snare on the third of four. Double-time: between the beats.
    {Family::kFours,
     4,
     {{{{0.80, 0.20, 0.15, 0.20}, 0.25, 0.02, 0.03, 0.03, 0.02, 0.04},
       {{0.03, 0.04, 0.85, 0.04}, 0.04, 0.02, 0.03, 0.02, 0.02, 0.03},
       {{0.85, 0.85, 0.85, 0.85}, 0.70, 0.03, 0.03, 0.05, 0.03, 0.06}}}},
    {Family::kFours,
     1,
     {{{{0.85}, 0.10, 0.05, 0.10, 0.03, 0.02, 0.04},
       {{0.04}, 0.90, 0.03, 0.03, 0.03, 0.02, 0.03},
       {{0.85}, 0.80, 0.05, 0.05, 0.03, 0.03, 0.06}}}},
    // A waltz: a kick on the first, snares on the others. Rock in three: a snare on the last. A waltz that swings.
    {Family::kThrees,
     3,
     {{{{0.85, 0.12, 0.20}, 0.20, 0.05, 0.08, 0.06, 0.02, 0.05},
       {{0.05, 0.50, 0.65}, 0.06, 0.05, 0.06, 0.04, 0.02, 0.03},
       {{0.85, 0.85, 0.85}, 0.50, 0.10, 0.10, 0.10, 0.03, 0.08}}}},
    {Family::kThrees,
     3,
     {{{{0.85, 0.12, 0.15}, 0.25, 0.05, 0.08, 0.03, 0.02, 0.05},
       {{0.04, 0.06, 0.85}, 0.06, 0.03, 0.04, 0.02, 0.02, 0.03},
       {{0.85, 0.85, 0.85}, 0.70, 0.10, 0.10, 0.04, 0.03, 0.08}}}},
    {Family::kThrees,
     3,
     {{{{0.70, 0.15, 0.15}, 0.03, 0.01, 0.01, 0.15, 0.03, 0.03},
       {{0.05, 0.25, 0.30}, 0.03, 0.01, 0.01, 0.20, 0.05, 0.03},
       {{0.95, 1.50, 0.95}, 0.04, 0.01, 0.01, 0.40, 0.05, 0.05}}}},
    // Eighths in threes: a snare on the second of two beats.
    {Family::kCompound,
     2,
     {{{{0.80, 0.20}, 0.02, 0.01, 0.01, 0.20, 0.10, 0.03},
       {{0.04, 0.85}, 0.02, 0.01, 0.01, 0.05, 0.02, 0.02},
       {{0.90, 0.90}, 0.04, 0.02, 0.02, 0.75, 0.75, 0.06}}}},
}};

// Where a beat's onsets lie around: its begin and end, and between.
constexpr std::array<double, 7> kCentres = {0, 1, 0.5, 0.25, 0.75, 2.0 / 3, 1.0 / 3};

// The density at a place within a beat of what lies around each of the centres.
std::array<double, kCentres.size()> Bumps(double place, double period_seconds) {
  const double width = kSpread / period_seconds;
  std::array<double, kCentres.size()> bumps;
  for (size_t i = 0; i < bumps.size(); ++i) {
    const double z = (place - kCentres[i]) / width;
    bumps[i] = 0.3989 / width * std::exp(-z * z / 2);
  }
  return bumps;
}

// Onsets of a role per beat where these bumps are, in the beat `index` of a style's unit, of an inhomogeneous Poisson
// process.
double Rate(const Style& style, size_t role, size_t index, const std::array<double, kCentres.size()>& bumps) {
  const RoleRates& rates = style.roles[role];
  const std::array<double, kCentres.size()> heights = {rates.beat[index],    rates.beat[(index + 1) % style.beats],
                                                       rates.half,           rates.quarter,
                                                       rates.three_quarters, rates.two_thirds,
                                                       rates.third};
  return std::inner_product(heights.begin(), heights.end(), bumps.begin(), rates.anywhere);
}

double Expected(const Style& style, size_t role) {
  const RoleRates& r = style.roles[role];
  double on_beats = 0;
  for (size_t i = 0; i < style.beats; ++i) on_beats += r.beat[i] / static_cast<double>(style.beats);
  return on_beats + r.half + r.quarter + r.three_quarters + r.two_thirds + r.third + r.anywhere;
}

struct GridOnset {
  int64_t place;  // in steps
  size_t role;
  float weight;
};

// The beats that explain the onsets best, as places on the grid: dynamic programming over (time of a beat, period of
// the beat that ended there, which of the style's unit it is), a semi-Markov form of the bar pointer of Krebs, Böck and
// Widmer, "An efficient state-space model for joint tempo and meter tracking" (ISMIR 2015).
class BeatSearch {
 public:
  // The grid's step in seconds: what is fine enough, unless the range of tempi is so wide that a byte would not hold
  // it.
  static double GridStep(const TempoOptions& options) {
    const double range = 60 / options.min_bpm * kMargin - 60 / options.max_bpm / kMargin;
    return std::max(kFinestStep, range / (kMostPeriods - 4));
  }

  BeatSearch(const TempoOptions& options, const Style& style, std::array<bool, kRoles> present)
      : step_(GridStep(options)),
        shortest_(static_cast<int>(std::floor(60 / options.max_bpm / kMargin / step_))),
        longest_(static_cast<int>(std::ceil(60 / options.min_bpm * kMargin / step_))),
        periods_(static_cast<size_t>(longest_ - shortest_ + 1)),
        beats_(style.beats) {
    for (size_t i = 0; i < periods_; ++i) {
      const int period = shortest_ + static_cast<int>(i);
      const double seconds = period * step_;
      for (int d = 0; d < period; ++d) {
        const auto bumps = Bumps(static_cast<double>(d) / period, seconds);
        for (size_t beat = 0; beat < beats_; ++beat) {
          for (size_t role = 0; role < kRoles; ++role) {
            std::vector<float>& table = table_[beat][role];
            table.resize(static_cast<size_t>(longest_) * periods_);
            table[static_cast<size_t>(d) * periods_ + i] =
                static_cast<float>(std::log(Rate(style, role, beat, bumps) / seconds));
          }
        }
      }
      const double octaves = std::log2(seconds * options.prior_bpm / 60) / kPriorWidth;
      prior_.push_back(static_cast<float>(-0.5 * kPriorWeight * octaves * octaves));
      log_period_.push_back(static_cast<float>(std::log(seconds)));
    }
    for (size_t role = 0; role < kRoles; ++role) expected_ += present[role] ? kDensity * Expected(style, role) : 0;
  }

  struct Beat {
    int64_t place;
    size_t index;  // in the style's unit
  };

  struct Path {
    std::vector<Beat> beats;
    float score = 0;  // log likelihood
  };

  // Onsets must be sorted; the first beat lies up to one period before the first of them.
  Path Run(const std::vector<GridOnset>& onsets) const {
    const int64_t origin = onsets.front().place - longest_;  // the earliest beat
    const int64_t first = onsets.front().place + 4 - origin, last = onsets.back().place - origin;
    const int64_t length = last + longest_ + 1;
    const size_t states = beats_ * periods_;
    const int64_t ring = longest_ + 1;
    constexpr float kNever = -std::numeric_limits<float>::infinity();
    // here: the best scores of paths with a beat at t, by (period that ended there, kind of the beat). left: the same
    // for the last times, by (period that began there, kind), with the score of that beat's onsets.
    std::vector<float> here(states), left(static_cast<size_t>(ring) * states, kNever);
    std::vector<uint8_t> came_from(static_cast<size_t>(length) * states);  // the period that ended where one begins

    size_t next_onset = 0;
    std::vector<float> segment(states);
    float best_score = kNever;
    int64_t best_place = 0;
    size_t best_state = 0;
    for (int64_t t = 0; t < length; ++t) {
      for (size_t base = 0; base < states; base += periods_) {
        const float* before = &left[Before(base)];
        int64_t from = t - shortest_;
        int64_t slot = from % ring;
        for (size_t i = 0; i < periods_; ++i, --from, slot = slot == 0 ? ring - 1 : slot - 1) {
          here[base + i] = from < 0 ? kNever : before[static_cast<size_t>(slot) * states + i];
        }
      }
      float* out = &left[static_cast<size_t>(t % ring) * states];
      if (t > last) {
        for (size_t s = 0; s < states; ++s) {
          if (here[s] > best_score && t - Period(s) <= last) {
            best_score = here[s];
            best_place = t;
            best_state = s;
          }
          out[s] = kNever;
        }
        continue;
      }
      while (next_onset < onsets.size() && onsets[next_onset].place - origin < t) ++next_onset;
      Segments(onsets, next_onset, t + origin, segment);
      // The best change of period, whose cost is linear in the period's logarithm: one pass up and one down.
      uint8_t* came = &came_from[static_cast<size_t>(t) * states];
      for (size_t base = 0; base < states; base += periods_) {
        float* score = &here[base];
        for (size_t i = 0; i < periods_; ++i) came[base + i] = static_cast<uint8_t>(i);
        auto relax = [&](size_t from, size_t to) {
          const float changed = score[from] - static_cast<float>(kTurn) * std::abs(log_period_[to] - log_period_[from]);
          if (changed <= score[to]) return;
          score[to] = changed;
          came[base + to] = came[base + from];
        };
        for (size_t i = 1; i < periods_; ++i) relax(i - 1, i);
        for (size_t i = periods_ - 1; i-- > 0;) relax(i + 1, i);
        for (size_t i = 0; i < periods_; ++i) {
          if (t <= first && prior_[i] >= score[i]) {
            score[i] = prior_[i];
            came[base + i] = kStart;
          }
          out[base + i] = score[i] + segment[base + i];
        }
      }
    }

    std::vector<Beat> beats;
    int64_t t = best_place;
    size_t s = best_state;
    while (true) {
      beats.push_back({t + origin, s / periods_});
      t -= Period(s);
      s = Before(s);
      const uint8_t period = came_from[static_cast<size_t>(t) * states + s];
      if (period == kStart) {
        beats.push_back({t + origin, s / periods_});
        break;
      }
      s = s - s % periods_ + period;
    }
    std::reverse(beats.begin(), beats.end());
    return {std::move(beats), best_score};
  }

 private:
  static constexpr uint8_t kStart = 255;

  int64_t Period(size_t state) const { return shortest_ + static_cast<int64_t>(state % periods_); }
  // The same period in the beat before.
  size_t Before(size_t state) const { return state >= periods_ ? state - periods_ : state + (beats_ - 1) * periods_; }

  // The score of the beat that begins at `place`, for every state: log likelihood of its onsets under the process.
  void Segments(const std::vector<GridOnset>& onsets, size_t from, int64_t place, std::vector<float>& segment) const {
    std::fill(segment.begin(), segment.end(), -static_cast<float>(expected_));
    for (size_t k = from; k < onsets.size() && onsets[k].place - place < longest_; ++k) {
      const int64_t distance = onsets[k].place - place;
      const auto first = static_cast<size_t>(std::max<int64_t>(0, distance + 1 - shortest_));  // period that reaches it
      for (size_t beat = 0; beat < beats_; ++beat) {
        const float* table = &table_[beat][onsets[k].role][static_cast<size_t>(distance) * periods_];
        float* score = &segment[beat * periods_];
        for (size_t i = first; i < periods_; ++i) score[i] += onsets[k].weight * table[i];
      }
    }
  }

  double step_;
  int shortest_, longest_;
  size_t periods_, beats_;
  // Log rates by beat of the unit and role: [place, period].
  std::array<std::array<std::vector<float>, kRoles>, kMostBeats> table_;
  std::vector<float> prior_, log_period_;
  double expected_ = 0;
};

struct Observed {
  double index, seconds, weight;
};

// Weighted least squares of seconds over index by a polynomial of degree 1, around `centre`: {value there, slope}.
std::array<double, 2> FitLine(const std::vector<Observed>& points, double centre, const std::vector<double>& weights) {
  double w = 0, x = 0, y = 0, xx = 0, xy = 0;
  for (size_t i = 0; i < points.size(); ++i) {
    const double dx = points[i].index - centre;
    w += weights[i];
    x += weights[i] * dx;
    y += weights[i] * points[i].seconds;
    xx += weights[i] * dx * dx;
    xy += weights[i] * dx * points[i].seconds;
  }
  const double determinant = w * xx - x * x;
  if (determinant <= 1e-12 * w * w) return {w > 0 ? y / w : 0, 0};
  const double slope = (w * xy - x * y) / determinant;
  return {(y - slope * x) / w, slope};
}

// The line through all of them that outliers don't bend: three rounds of Cauchy's weights.
std::array<double, 2> FitSteady(const std::vector<Observed>& points) {
  std::vector<double> weights;
  weights.reserve(points.size());
  for (const Observed& p : points) weights.push_back(p.weight);
  std::array<double, 2> line{};
  for (int round = 0; round < 4; ++round) {
    line = FitLine(points, 0, weights);
    for (size_t i = 0; i < points.size(); ++i) {
      const double error = (points[i].seconds - line[0] - line[1] * points[i].index) / 0.01;
      weights[i] = points[i].weight / (1 + error * error);
    }
  }
  return line;
}

// The mean time of the onsets that belong to each beat, and how much they say.
std::vector<Observed> ObserveBeats(std::span<const BeatOnset> onsets, const std::vector<double>& beats) {
  std::vector<Observed> observed;
  size_t from = 0;
  for (size_t i = 0; i < beats.size(); ++i) {
    const double period = i + 1 < beats.size() ? beats[i + 1] - beats[i] : beats[i] - beats[i - 1];
    const double reach = std::min(0.045, 0.12 * period);
    while (from < onsets.size() && onsets[from].seconds < beats[i] - reach) ++from;
    double sum = 0, weight = 0;
    for (size_t k = from; k < onsets.size() && onsets[k].seconds <= beats[i] + reach; ++k) {
      sum += onsets[k].weight * onsets[k].seconds;
      weight += onsets[k].weight;
    }
    const auto index = static_cast<double>(i);
    if (weight > 0) {
      observed.push_back({index, sum / weight, weight});
    } else {
      observed.push_back({index, beats[i], 0.05});
    }
  }
  return observed;
}

Family FamilyOf(const Metre& metre) {
  if (metre.compound()) return Family::kCompound;
  return metre.notes % 3 == 0 ? Family::kThrees : Family::kFours;
}

// How much better compound beats' onsets are foretold where they are told apart by their place in four than by that in
// two: the log likelihood, each beat left out in turn, of whether there is an onset of a role in a twelfth of a beat.
// Four have fewer beats to learn from, so that they only win by a difference that comes again. What comes once in
// eight, a fill or a crash, is no bar's: a difference only speaks for four if it is there in both halves of eight.
double FourOverTwo(std::span<const BeatOnset> onsets, const std::vector<double>& beats) {
  constexpr size_t kParts = 12, kBins = kParts * kRoles;
  const size_t count = beats.size() - 1;
  std::vector<uint8_t> there(count * kBins, 0);
  size_t beat = 0;
  const double early = (beats[1] - beats[0]) / (2 * kParts);
  for (const BeatOnset& onset : onsets) {
    if (onset.seconds + early < beats[0]) continue;
    while (beat + 1 < beats.size() && beats[beat + 1] <= onset.seconds + early) ++beat;
    if (beat >= count) break;
    const double place = (onset.seconds - beats[beat]) / (beats[beat + 1] - beats[beat]);
    const auto part = static_cast<size_t>(std::clamp<long>(std::lround(place * kParts), 0, kParts - 1));
    there[beat * kBins + static_cast<size_t>(onset.role) * kParts + part] = 1;
  }
  double sum = 0;
  for (size_t bin = 0; bin < kBins; ++bin) {
    double all = 0;
    for (size_t i = 0; i < count; ++i) all += there[i * kBins + bin];
    const double usual = (all + 0.5) / (static_cast<double>(count) + 1);
    auto each = [&](size_t first, size_t step, const auto& visit) {
      for (size_t i = first; i < count; i += step) visit(there[i * kBins + bin] > 0);
    };
    auto fit = [&](size_t first, size_t step) {
      double hits = 0, of = 0, likelihood = 0;
      each(first, step, [&](bool hit) { hits += hit, ++of; });
      each(first, step, [&](bool hit) {
        const double chance = (hits - hit + 2 * usual) / (of - 1 + 2);
        likelihood += std::log(hit ? chance : 1 - chance);
      });
      return likelihood;
    };
    auto share = [&](size_t first) {  // of eight
      double hits = 0, of = 0;
      each(first, 8, [&](bool hit) { hits += hit, ++of; });
      return of > 0 ? hits / of : usual;
    };
    for (size_t first = 0; first < 2; ++first) {
      const double better = fit(first, 4) + fit(first + 2, 4) - fit(first, 2);
      const double one = share(first) - share(first + 2), other = share(first + 4) - share(first + 6);
      const bool again =
          one * other > 0 && std::min(std::abs(one), std::abs(other)) * 3 > std::max(std::abs(one), std::abs(other));
      sum += again ? better : std::min(better, 0.0);
    }
  }
  return sum;
}

struct Explanation {
  BeatSearch::Path path;
  Family family = Family::kFours;
  float margin = 0;  // log likelihood over the best of another family
};

// By the style that explains the onsets best, of one family where one is given.
Explanation Explain(std::span<const BeatOnset> onsets, const TempoOptions& options, std::optional<Family> only) {
  const double step = BeatSearch::GridStep(options);
  std::vector<GridOnset> placed;
  std::array<bool, kRoles> present{};
  for (const BeatOnset& onset : onsets) {
    const auto role = static_cast<size_t>(onset.role);
    present[role] = true;
    const auto weight = static_cast<float>(0.3 + 0.7 * std::clamp(onset.weight, 0.0, 1.0));
    placed.push_back({std::llround(onset.seconds / step), role, weight});
  }
  Explanation best;
  best.path.score = -std::numeric_limits<float>::infinity();
  float other = best.path.score;  // the best of another family
  for (const Style& style : kStyles) {
    if (only && style.family != *only) continue;
    auto candidate = BeatSearch(options, style, present).Run(placed);
    if (candidate.score > best.path.score) {
      if (style.family != best.family) other = best.path.score;
      best.family = style.family;
      best.path = std::move(candidate);
    } else if (style.family != best.family) {
      other = std::max(other, candidate.score);
    }
  }
  best.margin = best.path.score - other;
  return best;
}

}  // namespace

BeatGrid EstimateBeats(std::span<const BeatOnset> onsets, double seconds, const TempoOptions& options) {
  BeatGrid grid;
  if (options.metre) {
    grid.metre = *options.metre;
    grid.metre_confidence = 1;
  }
  if (onsets.size() < kFewestOnsets) return grid;
  if (onsets.back().seconds - onsets.front().seconds < 2 * 60 / options.max_bpm) return grid;
  Explanation explanation;
  const TempoOptions usual;
  if (options.metre) {
    explanation = Explain(onsets, options, FamilyOf(*options.metre));
  } else if (options.min_bpm > usual.min_bpm || options.max_bpm < usual.max_bpm) {
    // What a narrow range leaves out may be the tempo itself, and what it holds two thirds of it: eighths in threes
    // would then explain straight ones best. The metre follows from the usual range, the tempo from the one asked for.
    TempoOptions wide = usual;
    wide.min_bpm = std::min(usual.min_bpm, options.min_bpm);
    wide.max_bpm = std::max(usual.max_bpm, options.max_bpm);
    const Explanation metre = Explain(onsets, wide, std::nullopt);
    explanation = Explain(onsets, options, metre.family);
    explanation.margin = metre.margin;
  } else {
    explanation = Explain(onsets, options, std::nullopt);
  }
  const auto& [path, family, ahead] = explanation;
  const double step = BeatSearch::GridStep(options);
  const std::vector<BeatSearch::Beat>& found = path.beats;
  std::vector<double> beats;
  beats.reserve(found.size());
  for (const auto& beat : found) beats.push_back(static_cast<double>(beat.place) * step);
  if (beats.size() < 3) return grid;

  const std::vector<Observed> observed = ObserveBeats(onsets, beats);
  // Locally straight: what a player who drifts does. Gaussian weights over some beats.
  std::vector<double> local;
  for (size_t i = 0; i < beats.size(); ++i) {
    const auto centre = static_cast<double>(i);
    const size_t begin = i < 8 ? 0 : i - 8, end = std::min(beats.size(), i + 9);
    const std::vector<Observed> near(observed.begin() + static_cast<std::ptrdiff_t>(begin),
                                     observed.begin() + static_cast<std::ptrdiff_t>(end));
    std::vector<double> weights;
    weights.reserve(near.size());
    for (const Observed& p : near) weights.push_back(p.weight * std::exp(-(p.index - centre) * (p.index - centre) / 8));
    local.push_back(FitLine(near, centre, weights)[0]);
  }
  const auto [start, period] = FitSteady(observed);
  double worst = 0;
  for (size_t i = 0; i < beats.size(); ++i) {
    worst = std::max(worst, std::abs(local[i] - start - period * static_cast<double>(i)));
  }
  grid.steady = worst < 0.02;
  for (size_t i = 0; i < beats.size(); ++i) {
    grid.beats.push_back(grid.steady ? start + period * static_cast<double>(i) : local[i]);
  }

  // How much better two bars of 6/8 are told apart than taken for the same.
  const double halves = family == Family::kCompound ? FourOverTwo(onsets, grid.beats) : 0;
  const double needed = std::min(kMostNeeded, (static_cast<double>(grid.beats.size()) - kEvenBeats) / kBeatsPerUnit);
  if (!options.metre) {
    grid.metre = family == Family::kThrees  ? Metre{3, 4}
                 : family == Family::kFours ? Metre{4, 4}
                 : halves > needed          ? Metre{12, 8}
                                            : Metre{6, 8};
    double margin = ahead;
    if (family == Family::kCompound) margin = std::min(margin, std::abs(halves - needed));
    grid.metre_confidence = 1 - 0.5 * std::exp(-margin / kSure);
  }

  // Bars: of the beats that are the unit's first, those under which more lies.
  const auto bar = static_cast<size_t>(grid.metre.beats());
  std::vector<double> support(bar, 0.0);
  for (size_t i = 0; i < grid.beats.size(); ++i) {
    support[i % bar] += found[i].index == 0 ? observed[i].weight : 0;
  }
  auto best = std::max_element(support.begin(), support.end()) - support.begin();

  // From the begin of the signal to its end.
  const double first_period = grid.beats[1] - grid.beats[0];
  const double last_period = grid.beats.back() - grid.beats[grid.beats.size() - 2];
  while (grid.beats.front() < -1e-9) {
    grid.beats.erase(grid.beats.begin());
    best = (best + static_cast<std::ptrdiff_t>(bar) - 1) % static_cast<std::ptrdiff_t>(bar);
  }
  std::vector<double> before;
  const auto missing = static_cast<int64_t>(grid.beats.front() / first_period);
  for (int64_t i = 1; i <= missing; ++i)
    before.push_back(std::max(0.0, grid.beats.front() - static_cast<double>(i) * first_period));
  grid.beats.insert(grid.beats.begin(), before.rbegin(), before.rend());
  best = (best + static_cast<std::ptrdiff_t>(before.size())) % static_cast<std::ptrdiff_t>(bar);
  while (grid.beats.back() + last_period <= seconds) grid.beats.push_back(grid.beats.back() + last_period);
  grid.downbeat = static_cast<int>(best);
  grid.bpm = grid.steady ? 60 / period
                         : 60 * static_cast<double>(grid.beats.size() - 1) / (grid.beats.back() - grid.beats.front());
  return grid;
}

}  // namespace timbre
