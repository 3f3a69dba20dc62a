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
// All that are known of a model, those of one set together. Empty where there are none.
std::span<const StemScore> ScoresOf(std::string_view model);

}  // namespace timbre
