// How well models of the catalogue do, as others have published it: signal-to-distortion ratios. What is not published
// is not here, and ratios of different sets are not to be compared.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace timbre {

// What was measured on, and who says so.
enum class ScoreSet : uint8_t { kMusdb18Medians, kMusdb18Means, kMultisong, kDrumsep, kAuthors };

// In words, with the source.
std::string_view ScoreSetName(ScoreSet set);

struct StemScore {
  std::string_view model, stem;  // stem: in lower case; "instrumental" for what remains without the vocals
  double sdr = 0;                // dB
  ScoreSet set = ScoreSet::kMultisong;
};

std::span<const StemScore> AllScores();
// The score by which models are compared, of the set that has most of them, kMusdb18Medians. Null where there is none.
// The stem's name may be in capitals.
const StemScore* FindScore(std::string_view model, std::string_view stem);
// All that are known of a model, those of one set together. Empty where there are none.
std::span<const StemScore> ScoresOf(std::string_view model);

}  // namespace timbre
