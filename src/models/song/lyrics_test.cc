#include "models/song/lyrics.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

#include "base/child_process.h"
#include "models/song/number_words.h"
#include "tests/support/golden.h"

namespace timbre {
namespace {

using nlohmann::json;
using Tokens = std::vector<int32_t>;

TEST(NumberWords, AreThoseOfInflect) {
  EXPECT_EQ(CardinalWords("0"), "zero");
  EXPECT_EQ(CardinalWords("007"), "seven");
  EXPECT_EQ(CardinalWords("21"), "twenty-one");
  EXPECT_EQ(CardinalWords("100"), "one hundred");
  EXPECT_EQ(CardinalWords("123"), "one hundred and twenty-three");
  EXPECT_EQ(CardinalWords("123", ""), "one hundred twenty-three");
  EXPECT_EQ(CardinalWords("1005"), "one thousand and five");
  EXPECT_EQ(CardinalWords("1005", ""), "one thousand five");
  EXPECT_EQ(CardinalWords("3500", ""), "three thousand, five hundred");
  EXPECT_EQ(CardinalWords("1000001", ""), "one million one");
  EXPECT_EQ(CardinalWords("2010300"), "two million, ten thousand, three hundred");
  EXPECT_EQ(CardinalWords("12345678"),
            "twelve million, three hundred and forty-five thousand, six hundred and seventy-eight");
  EXPECT_EQ(OrdinalWords("3"), "third");
  EXPECT_EQ(OrdinalWords("121"), "one hundred and twenty-first");
  EXPECT_EQ(OrdinalWords("12"), "twelfth");
  EXPECT_EQ(OrdinalWords("40"), "fortieth");
  EXPECT_EQ(OrdinalWords("1000"), "one thousandth");
  EXPECT_EQ(CardinalWords(std::string(37, '1')).substr(0, 11), "one one one");
}

// The golden phones depend on the version that made them.
bool HasEspeak() {
  const auto ran = RunChild({"espeak-ng", "--version"}, "", 1 << 16, 30);
  if (ran && ran->output.find(" 1.51") != std::string::npos) return true;
  std::cerr << "SKIPPED for want of espeak-ng 1.51: English lyrics were not checked against the reference\n";
  return false;
}

json Golden() {
  std::ifstream file(testing::DataPath("diffrhythm/g2p.json"));
  return json::parse(file);
}

TEST(Lyrics, AreTheReferencesTokens) {
  if (!HasEspeak()) GTEST_SKIP() << "no espeak-ng 1.51";
  const json golden = Golden();
  const Phonemizer espeak = EspeakPhonemizer();
  std::string text;
  Tokens expected;
  int lines = 0;
  for (const json& line : golden["lines"]) {
    const std::string sung = line["line"];
    // What the reference sings for want of an exact match is a tag here, or left out with a warning.
    if (sung.starts_with('[')) continue;
    text += sung + "\n";
    for (const int32_t token : line["tokens"]) expected.push_back(token);
    expected.push_back(kEndOfLine);
    const auto alone = TokenizeLyrics(sung, espeak);
    ASSERT_TRUE(alone) << alone.error().message;
    Tokens one = line["tokens"];
    one.push_back(kEndOfLine);
    EXPECT_EQ(alone->tokens, one) << sung;
    ++lines;
  }
  EXPECT_GE(lines, 51);
  const auto together = TokenizeLyrics(text, espeak);
  ASSERT_TRUE(together) << together.error().message;
  EXPECT_EQ(together->tokens, expected);
  EXPECT_TRUE(together->warnings.empty());

  const auto document = TokenizeLyrics(golden["document"]["text"].get<std::string>(), espeak);
  ASSERT_TRUE(document) << document.error().message;
  EXPECT_EQ(document->tokens, golden["document"]["tokens"].get<Tokens>());
}

TEST(Lyrics, ThreeLinesThatTheReferenceSingsAreTags) {
  if (!HasEspeak()) GTEST_SKIP() << "no espeak-ng 1.51";
  std::vector<std::string> phones;
  const json golden = Golden();
  for (const json& line : golden["lines"]) {
    const std::string sung = line["line"];
    if (!sung.starts_with('[')) continue;
    // Their phones are the reference's all the same, where they are asked for as words.
    const auto spoken =
        EnglishPhones(std::vector<std::u32string>{std::u32string(sung.begin(), sung.end())}, EspeakPhonemizer());
    ASSERT_TRUE(spoken) << spoken.error().message;
    EXPECT_EQ((*spoken)[0] + "|", line["phonemes"].get<std::string>());
    phones.push_back((*spoken)[0]);
  }
  EXPECT_EQ(phones.size(), 3u);
}

// Says each letter of a piece as a phone, words apart.
Result<std::vector<std::string>> Spell(std::span<const std::string> pieces) {
  std::vector<std::string> spoken;
  for (const std::string& piece : pieces) {
    std::string text;
    for (const char c : piece) {
      if (!text.empty() && text.back() != ' ' && c != ' ') text += '_';
      text += c;
    }
    spoken.push_back(text);
  }
  return spoken;
}

TEST(Lyrics, TagsAreReadLeniently) {
  const auto exact = TokenizeLyrics("[verse]\n[chorus]\n[start]\n", Spell);
  const auto lenient = TokenizeLyrics("\xEF\xBB\xBF  [Verse 2] \r\n[ CHORUS: softly ]\r\n\r\n[start]", Spell);
  ASSERT_TRUE(exact && lenient);
  EXPECT_EQ(exact->tokens, (Tokens{503, 511, 504, 511, 500, 511}));
  EXPECT_EQ(lenient->tokens, exact->tokens);
  EXPECT_TRUE(lenient->warnings.empty());
}

TEST(Lyrics, WhatCannotBeSungIsLeftOutWithAWarning) {
  const auto result = TokenizeLyrics("\nad\n123\n...\n안녕하세요\n[pre-chorus]\nbe\n", Spell);
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(result->tokens.size(), 6u);
  ASSERT_EQ(result->warnings.size(), 4u);
  bool names_line = false;
  for (const std::string& warning : result->warnings) names_line |= warning.find("line 6") != std::string::npos;
  EXPECT_TRUE(names_line);
}

TEST(Lyrics, ChineseIsAnErrorThatNamesTheLine) {
  const auto result = TokenizeLyrics("hello\n你好\n", Spell);
  ASSERT_FALSE(result);
  EXPECT_NE(result.error().message.find("line 2"), std::string::npos);
  EXPECT_FALSE(TokenizeLyrics("\xff\xfe", Spell));
  EXPECT_FALSE(TokenizeLyrics(std::string((1 << 20) + 1, 'a'), Spell));
}

TEST(Lyrics, AMissingEspeakNamesThePackage) {
  const std::string path = std::getenv("PATH");
  setenv("PATH", "/nowhere", 1);
  const auto result = TokenizeLyrics("hello", EspeakPhonemizer());
  setenv("PATH", path.c_str(), 1);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kNotFound);
  EXPECT_NE(result.error().message.find("package espeak-ng"), std::string::npos);
}

TEST(Lyrics, PhonesAndTokensPassBy) {
  const auto phones = TokenizePhones("[verse]\nh|ə|l|oʊ|_|w|ɜː|l|d|\nqq|a\n");
  ASSERT_TRUE(phones) << phones.error().message;
  EXPECT_EQ(phones->tokens.size(), 2u + 10u + 2u);
  EXPECT_EQ((Tokens(phones->tokens.begin() + 2, phones->tokens.begin() + 12)),
            (Tokens{42, 58, 51, 24, 5, 49, 8, 51, 31, 511}));
  EXPECT_EQ(phones->warnings.size(), 1u);
  const auto tokens = ParseTokens("[1, 2,3\n511]");
  ASSERT_TRUE(tokens) << tokens.error().message;
  EXPECT_EQ(*tokens, (Tokens{1, 2, 3, 511}));
  for (const char* wrong : {"-1", "1.5", "x", "99999999999"}) EXPECT_FALSE(ParseTokens(wrong)) << wrong;
}

}  // namespace
}  // namespace timbre
