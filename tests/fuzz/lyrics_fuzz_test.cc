// Lyrics, phones and tokens: any bytes give tokens of the vocabulary, or an error.
#include <cstdlib>

#include "models/song/lyrics.h"
#include "tests/fuzz/fuzz.h"

namespace {

using namespace timbre;

std::vector<std::string> Seeds() {
  return {
      "[verse]\nDon't stop me now, I'm having such a good time...\n[Chorus 2]\nIt's $5.50, 3rd of 1/2, 100% in 1999\n",
      "h|ə|l|oʊ|_|w|ɜː|l|d|\n[end]\n123\n", "[1, 2, 511]", "Mr. \xC3\xA9t\xC3\xA9 \xE2\x80\xA6 £1,000,000 2005 2010"};
}

// As a phonemizer may answer: what it was asked, its letters apart.
Result<std::vector<std::string>> Spell(std::span<const std::string> pieces) {
  std::vector<std::string> spoken;
  for (const std::string& piece : pieces) {
    std::string& text = spoken.emplace_back();
    for (const char c : piece) text += c == ' ' ? std::string(" ") : std::string(1, c) + "_";
  }
  return spoken;
}

void Check(const Result<LyricTokens>& read) {
  if (!read) {
    if (read.error().message.empty()) std::abort();
    return;
  }
  for (const int32_t token : read->tokens) {
    if (token < 1 || token > 512) std::abort();
  }
}

}  // namespace

TIMBRE_FUZZ_TARGET(Lyrics, Seeds, 5000) {
  Check(TokenizeLyrics(bytes, Spell));
  Check(TokenizePhones(bytes));
  const auto tokens = ParseTokens(bytes);
  if (!tokens && tokens.error().message.empty()) std::abort();
}
