// Lyrics as the tokens that DiffRhythm 2 was trained on: tags of a song's structure, and phones.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace timbre {

inline constexpr int32_t kEndOfLine = 511;  // the token behind every line

// What may stand between brackets, in lower case: "verse", "chorus", ….
std::vector<std::string_view> LyricTagNames();

struct LyricTokens {
  std::vector<int32_t> tokens;
  std::vector<std::string> warnings;  // lines that were left out, with their numbers, and why
};

// Phones of pieces of English text: for each piece its words, parted by spaces, of phones in IPA, parted by '_'.
using Phonemizer = std::function<Result<std::vector<std::string>>(std::span<const std::string> pieces)>;

// eSpeak NG, run as a program once for all pieces. `watch` is asked some ten times a second meanwhile. Errors: where it
// is not installed, which package it is in; what the watch says, which ends it.
Phonemizer EspeakPhonemizer(std::function<Status()> watch = {});

// A line that is a tag ("[verse]", in any case, with any spaces and a number: "[Verse 2]") gives the tag's token, any
// other what is sung, and each kEndOfLine after it. Lines that hold no word (empty, digits alone, other scripts) are
// left out with a warning, as are tags that the model does not know. Errors: text that is not UTF-8 or too long,
// Chinese, what the phonemizer says.
Result<LyricTokens> TokenizeLyrics(std::string_view text, const Phonemizer& phonemizer);

// Lines of phones, parted by '|' ("h|ə|l|oʊ|_|w|ɜː|l|d"), and tags. Phones that the vocabulary lacks are left out with
// a warning.
Result<LyricTokens> TokenizePhones(std::string_view text);

// Numbers parted by spaces, commas or line ends, brackets around them or not. Errors: what is none, or is negative.
Result<std::vector<int32_t>> ParseTokens(std::string_view text);

// Phones of English text, parted by '|', before they are looked up: what the vocabulary is given.
Result<std::vector<std::string>> EnglishPhones(std::span<const std::u32string> lines, const Phonemizer& phonemizer);

}  // namespace timbre
