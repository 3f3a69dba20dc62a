#include "models/model_scores.h"

#include <algorithm>

#include "base/text.h"

namespace timbre {
namespace {

using S = ScoreSet;

// The rows of a model stand together.
constexpr StemScore kScores[] = {
    {"htdemucs", "bass", 11.76, S::kMultisong},
    {"htdemucs", "drums", 10.88, S::kMultisong},
    {"htdemucs", "vocals", 8.24, S::kMultisong},
    {"htdemucs", "other", 5.74, S::kMultisong},
    {"htdemucs_ft", "drums", 11.13, S::kMultisong},
    {"htdemucs_ft", "bass", 11.96, S::kMultisong},
    {"htdemucs_ft", "other", 5.85, S::kMultisong},
    {"htdemucs_ft", "vocals", 8.38, S::kMultisong},
    {"htdemucs_6s", "bass", 11.22, S::kMultisong},
    {"htdemucs_6s", "drums", 10.22, S::kMultisong},
    {"htdemucs_6s", "vocals", 8.05, S::kMultisong},
    {"mdx23c-drumsep", "kick", 16.66, S::kDrumsep},
    {"mdx23c-drumsep", "snare", 11.53, S::kDrumsep},
    {"mdx23c-drumsep", "toms", 12.33, S::kDrumsep},
    {"mdx23c-drumsep", "hh", 4.04, S::kDrumsep},
    {"mdx23c-drumsep", "cymbals", 6.36, S::kDrumsep},
    {"mdx23c-musdb18", "bass", 5.77, S::kMusdb18Means},
    {"mdx23c-musdb18", "drums", 7.93, S::kMusdb18Means},
    {"mdx23c-musdb18", "vocals", 9.23, S::kMusdb18Means},
    {"mdx23c-musdb18", "other", 5.68, S::kMusdb18Means},
    {"mdx23c-musdb18", "bass", 8.4, S::kMultisong},
    {"mdx23c-musdb18", "drums", 7.73, S::kMultisong},
    {"mdx23c-musdb18", "vocals", 7.36, S::kMultisong},
    {"mdx23c-musdb18", "other", 4.57, S::kMultisong},
    {"mdx23c-vocals", "vocals", 10.17, S::kMultisong},
    {"bs-roformer-ep317", "vocals", 11.8, S::kMusdb18Medians},
    {"bs-roformer-ep317", "instrumental", 16.5, S::kMusdb18Medians},
    {"bs-roformer-ep317", "vocals", 10.87, S::kMultisong},
    {"mel-roformer-kim", "vocals", 12.6, S::kMusdb18Medians},
    {"mel-roformer-kim", "vocals", 10.98, S::kMultisong},
    {"mdx-net-inst-hq3", "vocals", 8.8, S::kMusdb18Medians},
    {"mdx-net-inst-hq3", "instrumental", 15.4, S::kMusdb18Medians},
    {"mdx-net-kim-vocal-2", "vocals", 10.2, S::kMusdb18Medians},
    {"mdx-net-kim-vocal-2", "instrumental", 15.4, S::kMusdb18Medians},
    {"scnet-small", "bass", 8.89, S::kMusdb18Means},
    {"scnet-small", "drums", 10.44, S::kMusdb18Means},
    {"scnet-small", "vocals", 9.9, S::kMusdb18Means},
    {"scnet-small", "other", 6.89, S::kMusdb18Means},
    {"scnet-small", "bass", 11.07, S::kMultisong},
    {"scnet-small", "drums", 10.79, S::kMultisong},
    {"scnet-small", "vocals", 8.27, S::kMultisong},
    {"scnet-small", "other", 5.34, S::kMultisong},
    {"scnet-masked-small", "bass", 8.32, S::kMusdb18Means},
    {"scnet-masked-small", "drums", 10.48, S::kMusdb18Means},
    {"scnet-masked-small", "vocals", 10.05, S::kMusdb18Means},
    {"scnet-masked-small", "other", 6.4, S::kMusdb18Means},
    {"scnet-masked-small", "bass", 11, S::kMultisong},
    {"scnet-masked-small", "drums", 10.57, S::kMultisong},
    {"scnet-masked-small", "vocals", 8.35, S::kMultisong},
    {"scnet-masked-small", "other", 5.51, S::kMultisong},
    {"scnet-large", "bass", 8.63, S::kMusdb18Means},
    {"scnet-large", "drums", 10.89, S::kMusdb18Means},
    {"scnet-large", "vocals", 10.69, S::kMusdb18Means},
    {"scnet-large", "other", 7.06, S::kMusdb18Means},
    {"scnet-large", "bass", 11.15, S::kMultisong},
    {"scnet-large", "drums", 11.04, S::kMultisong},
    {"scnet-large", "vocals", 8.94, S::kMultisong},
    {"scnet-large", "other", 5.62, S::kMultisong},
    {"scnet-large-starrytong", "bass", 9.38, S::kMusdb18Means},
    {"scnet-large-starrytong", "drums", 11.15, S::kMusdb18Means},
    {"scnet-large-starrytong", "vocals", 10.94, S::kMusdb18Means},
    {"scnet-large-starrytong", "other", 7.31, S::kMusdb18Means},
    {"scnet-large-starrytong", "bass", 11.27, S::kMultisong},
    {"scnet-large-starrytong", "drums", 11.23, S::kMultisong},
    {"scnet-large-starrytong", "vocals", 9.05, S::kMultisong},
    {"scnet-large-starrytong", "other", 5.57, S::kMultisong},
    {"scnet-xl", "bass", 9.23, S::kMusdb18Means},
    {"scnet-xl", "drums", 11.51, S::kMusdb18Means},
    {"scnet-xl", "vocals", 11.05, S::kMusdb18Means},
    {"scnet-xl", "other", 7.41, S::kMusdb18Means},
    {"scnet-xl", "bass", 11.87, S::kMultisong},
    {"scnet-xl", "drums", 11.49, S::kMultisong},
    {"scnet-xl", "vocals", 9.32, S::kMultisong},
    {"scnet-xl", "other", 6.19, S::kMultisong},
    {"scnet-xl-ihf", "bass", 9.23, S::kMusdb18Means},
    {"scnet-xl-ihf", "drums", 11.81, S::kMusdb18Means},
    {"scnet-xl-ihf", "vocals", 11.42, S::kMusdb18Means},
    {"scnet-xl-ihf", "other", 7.88, S::kMusdb18Means},
    {"scnet-xl-ihf", "bass", 11.94, S::kMultisong},
    {"scnet-xl-ihf", "drums", 11.58, S::kMultisong},
    {"scnet-xl-ihf", "vocals", 9.68, S::kMultisong},
    {"scnet-xl-ihf", "other", 6.48, S::kMultisong},
    {"scnet-masked-xl-ihf", "bass", 8.91, S::kMusdb18Means},
    {"scnet-masked-xl-ihf", "drums", 11.62, S::kMusdb18Means},
    {"scnet-masked-xl-ihf", "vocals", 11.06, S::kMusdb18Means},
    {"scnet-masked-xl-ihf", "other", 7.7, S::kMusdb18Means},
    {"scnet-masked-xl-ihf", "bass", 11.57, S::kMultisong},
    {"scnet-masked-xl-ihf", "drums", 11.38, S::kMultisong},
    {"scnet-masked-xl-ihf", "vocals", 9.43, S::kMultisong},
    {"scnet-masked-xl-ihf", "other", 6.3, S::kMultisong},
    {"bs-roformer-musdb18", "bass", 8.48, S::kMusdb18Means},
    {"bs-roformer-musdb18", "drums", 11.61, S::kMusdb18Means},
    {"bs-roformer-musdb18", "vocals", 11.08, S::kMusdb18Means},
    {"bs-roformer-musdb18", "other", 7.44, S::kMusdb18Means},
    {"bs-roformer-musdb18", "bass", 11.08, S::kMultisong},
    {"bs-roformer-musdb18", "drums", 11.29, S::kMultisong},
    {"bs-roformer-musdb18", "vocals", 9.19, S::kMultisong},
    {"bs-roformer-musdb18", "other", 5.96, S::kMultisong},
    {"bs-polarformer", "vocals", 11, S::kMultisong},
    {"mdx23c-drumsep-6", "kick", 14.54, S::kDrumsep},
    {"mdx23c-drumsep-6", "snare", 9.79, S::kDrumsep},
    {"mdx23c-drumsep-6", "toms", 10.63, S::kDrumsep},
    {"mdx23c-drumsep-6", "hh", 3.19, S::kDrumsep},
    {"mel-roformer-crowd", "crowd", 5.99, S::kMultisong},
    {"mel-roformer-aspiration", "aspiration", 9.85, S::kAuthors},
    {"bs-roformer-ep368", "vocals", 12.1, S::kMusdb18Medians},
    {"bs-roformer-ep368", "instrumental", 16.3, S::kMusdb18Medians},
    {"mel-roformer-ep3005", "vocals", 10.5, S::kMusdb18Medians},
    {"mel-roformer-ep3005", "instrumental", 15.1, S::kMusdb18Medians},
    {"mel-roformer-ep3005", "vocals", 9.67, S::kMultisong},
    {"mel-roformer-karaoke", "vocals", 8.4, S::kMusdb18Medians},
    {"mel-roformer-karaoke", "instrumental", 14.7, S::kMusdb18Medians},
    {"mel-roformer-inst-v1", "vocals", 9.8, S::kMusdb18Medians},
    {"mel-roformer-inst-v1", "instrumental", 15.9, S::kMusdb18Medians},
    {"mel-roformer-inst-v2", "vocals", 10.3, S::kMusdb18Medians},
    {"mel-roformer-inst-v2", "instrumental", 16.1, S::kMusdb18Medians},
    {"mel-roformer-duality-v2", "vocals", 11, S::kMusdb18Medians},
    {"mel-roformer-duality-v2", "instrumental", 16.1, S::kMusdb18Medians},
    {"mdx23c-instvoc-hq", "vocals", 10.6, S::kMusdb18Medians},
    {"mdx23c-instvoc-hq", "instrumental", 15.8, S::kMusdb18Medians},
    {"mdx-net-inst-hq1", "vocals", 8.8, S::kMusdb18Medians},
    {"mdx-net-inst-hq1", "instrumental", 15.4, S::kMusdb18Medians},
    {"mdx-net-inst-hq2", "vocals", 8.8, S::kMusdb18Medians},
    {"mdx-net-inst-hq2", "instrumental", 15.3, S::kMusdb18Medians},
    {"mdx-net-inst-hq4", "vocals", 8.8, S::kMusdb18Medians},
    {"mdx-net-inst-hq4", "instrumental", 15.5, S::kMusdb18Medians},
    {"mdx-net-inst-hq5", "vocals", 8.7, S::kMusdb18Medians},
    {"mdx-net-inst-hq5", "instrumental", 15.3, S::kMusdb18Medians},
    {"mdx-net-kim-inst", "vocals", 9.1, S::kMusdb18Medians},
    {"mdx-net-kim-inst", "instrumental", 15.5, S::kMusdb18Medians},
    {"mdx-net-kim-vocal-1", "vocals", 10.1, S::kMusdb18Medians},
    {"mdx-net-kim-vocal-1", "instrumental", 15.5, S::kMusdb18Medians},
    {"mdx-net-voc-ft", "vocals", 10.2, S::kMusdb18Medians},
    {"mdx-net-voc-ft", "instrumental", 15.4, S::kMusdb18Medians},
    {"mel-roformer-becruily-inst", "vocals", 10.8, S::kMusdb18Medians},
    {"mel-roformer-becruily-inst", "instrumental", 15.4, S::kMusdb18Medians},
    {"mel-roformer-kim-ft", "vocals", 12.4, S::kMusdb18Medians},
    {"mel-roformer-big-beta4", "vocals", 12.5, S::kMusdb18Medians},
    {"mel-roformer-big-beta5e", "vocals", 12.4, S::kMusdb18Medians},
    {"bs-roformer-resurrection-vocals", "vocals", 11.34, S::kMultisong},
    {"bs-roformer-resurrection-inst", "other", 17.25, S::kMultisong},
    {"bs-roformer-sw", "guitar", 9, S::kMultisong},
    {"bs-roformer-sw", "piano", 7.8, S::kMultisong},
};

}  // namespace

std::span<const StemScore> AllScores() { return kScores; }

const StemScore* FindScore(std::string_view model, std::string_view stem) {
  for (const StemScore& score : ScoresOf(model)) {
    if (score.set == S::kMusdb18Medians && EqualIgnoringCase(stem, score.stem)) return &score;
  }
  return nullptr;
}

std::span<const StemScore> ScoresOf(std::string_view model) {
  const auto is = [&](const StemScore& score) { return score.model == model; };
  const auto* const first = std::find_if(std::begin(kScores), std::end(kScores), is);
  return {first, std::find_if_not(first, std::end(kScores), is)};
}

std::string_view ScoreSetName(ScoreSet set) {
  switch (set) {
    case S::kMusdb18Medians: return "medians over MUSDB18, python-audio-separator's table";
    case S::kMusdb18Means: return "means over MUSDB18-HQ, the trainer's table";
    case S::kMultisong: return "means over MVSep's Multisong set, as published";
    case S::kDrumsep: return "means over MVSep's set of drums, the trainer's table";
    case S::kAuthors: return "as its author states it";
  }
  return "";
}

}  // namespace timbre
