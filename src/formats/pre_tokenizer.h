// How byte-level tokenizers cut text into pieces before they merge bytes: never across a piece's end.
//
// Tokenizer files state this as a regular expression. Four are in use, in all of the families that are read here, and
// each has a scanner of its own: what a general engine would make of them, in one pass and without backtracking.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace timbre {

enum class PreTokenizer : uint8_t {
  kGpt2,    // contractions in lower case, words and runs of digits with a space before them
  kSmolLm,  // every digit alone, then as kGpt2 what is between them
  kQwen2,   // contractions in any case, words with any one character before them, every digit alone, lines
  kLlama3,  // the same with up to three digits together
};

// Of a Split's regular expression, exactly as tokenizer.json states it; nothing for any other.
std::optional<PreTokenizer> PreTokenizerOfPattern(std::string_view pattern);

// Appends the pieces of `text`, which must be well-formed UTF-8; together they are the text.
void SplitIntoPieces(PreTokenizer kind, std::string_view text, std::vector<std::string_view>& pieces);

}  // namespace timbre
