#include "formats/tokenizer.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "formats/unicode.h"
#include "tests/e2e/program.h"
#include "tests/support/golden.h"
#include "tests/support/real_language_model.h"

namespace timbre {
namespace {

using nlohmann::json;
using Ids = std::vector<int32_t>;

std::string ReadText(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

json LmJson(const std::string& name) { return json::parse(ReadText(testing::DataPath("lm/" + name))); }

Tokenizer OpenTiny(const std::string& name) {
  auto opened = Tokenizer::FromHuggingFace(testing::DataPath("lm/" + name));
  if (!opened) ADD_FAILURE() << opened.error().message;
  return *std::move(opened);
}

uint64_t Fnv1a(const Ids& ids) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const int32_t id : ids) {
    for (int shift = 0; shift < 32; shift += 8)
      hash = (hash ^ (static_cast<uint32_t>(id) >> shift & 0xFF)) * 0x100000001b3;
  }
  return hash;
}

// The text decoded in one go, and as ids come.
void ExpectDecoded(const Tokenizer& tokenizer, const Ids& ids, bool skip, const std::string& expected) {
  EXPECT_EQ(tokenizer.Decode(ids, skip), expected);
  StreamingDecoder decoder(tokenizer, skip);
  std::string streamed;
  for (const int32_t id : ids) {
    streamed += decoder.Add(id);
    ASSERT_TRUE(expected.starts_with(streamed)) << "what was shown would have to be taken back";
  }
  EXPECT_EQ(streamed + decoder.Finish(), expected);
}

void ExpectCases(const Tokenizer& tokenizer, const json& cases) {
  ASSERT_GT(cases["cases"].size(), 100u);
  for (const json& one : cases["cases"]) {
    const std::string text = one["text"];
    const Ids ids = one["ids"];
    SCOPED_TRACE("'" + text + "'");
    EXPECT_EQ(*tokenizer.Encode(text), ids);
    ExpectDecoded(tokenizer, ids, false, one["decoded"]);
    ExpectDecoded(tokenizer, ids, true, one["skipped"]);
  }
  for (const json& one : cases["decode_only"]) ExpectDecoded(tokenizer, one["ids"], false, one["decoded"]);
}

void ExpectLongText(const Tokenizer& tokenizer, const std::string& name) {
  const json expected = LmJson("tokenizer-long.json")["cases"][name];
  const Ids ids = *tokenizer.Encode(ReadText(testing::DataPath("lm/corpus.txt")));
  EXPECT_EQ(ids.size(), expected["count"]);
  char hash[17];
  std::snprintf(hash, sizeof(hash), "%016llx", static_cast<unsigned long long>(Fnv1a(ids)));
  EXPECT_EQ(std::string(hash), expected["fnv1a64"].get<std::string>());
}

class TinyTokenizer : public ::testing::TestWithParam<const char*> {};

TEST_P(TinyTokenizer, IsTheReferences) {
  const Tokenizer tokenizer = OpenTiny(GetParam());
  ExpectCases(tokenizer, LmJson(std::string(GetParam()) + ".tokenizer-cases.json"));
  ExpectLongText(tokenizer, GetParam());
}

INSTANTIATE_TEST_SUITE_P(Families, TinyTokenizer,
                         ::testing::Values("gpt2-tiny", "phi-tiny", "smollm2-tiny", "llama3-tiny", "qwen2-tiny",
                                           "qwen3-tiny"),
                         [](const auto& given) {
                           return std::string(given.param).substr(0, std::string(given.param).find('-'));
                         });

TEST(Tokenizer, OfAGgufFileIsTheReferences) {
  const auto file = ReadGguf(testing::DataPath("lm/gguf-tiny.gguf"));
  ASSERT_TRUE(file) << file.error().message;
  const auto tokenizer = Tokenizer::FromGguf(*file);
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  // It was made of the same tokenizer.
  ExpectCases(*tokenizer, LmJson("smollm2-tiny.tokenizer-cases.json"));
  EXPECT_EQ(tokenizer->eos(), tokenizer->Find("<|im_end|>"));
}

TEST(Tokenizer, OfTheTrainedModelIsTheReferences) {
  TIMBRE_NEED_REAL_LANGUAGE_MODEL(path);
  const std::string cases = testing::SharedPath("goldens/lm/smollm2-135m/tokenizer-cases.json");
  TIMBRE_NEED_SHARED(cases);
  const auto file = ReadGguf(path);
  ASSERT_TRUE(file) << file.error().message;
  const auto tokenizer = Tokenizer::FromGguf(*file);
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  ExpectCases(*tokenizer, json::parse(ReadText(cases)));
  ExpectLongText(*tokenizer, "smollm2-135m");
}

TEST(Tokenizer, ReadsVocabularyAndMergesAsPlainFiles) {
  for (const char* name : {"gpt2-tiny", "phi-tiny", "qwen2-tiny"}) {
    SCOPED_TRACE(name);
    const json whole = LmJson(std::string(name) + "/tokenizer.json");
    const testing::TempFolder folder;
    testing::WriteAll(folder / "config.json", ReadText(testing::DataPath("lm/" + std::string(name) + "/config.json")));
    testing::WriteAll(folder / "vocab.json", whole["model"]["vocab"].dump());
    std::string merges = "#version: 0.2\n";
    for (const json& merge : whole["model"]["merges"]) merges += merge.get<std::string>() + "\n";
    testing::WriteAll(folder / "merges.txt", merges);
    json decoder = json::object();
    for (const json& token : whole["added_tokens"]) decoder[std::to_string(token["id"].get<int>())] = token;
    testing::WriteAll(folder / "tokenizer_config.json", json({{"added_tokens_decoder", decoder}}).dump());
    const auto tokenizer = Tokenizer::FromHuggingFace(folder.path().string());
    ASSERT_TRUE(tokenizer) << tokenizer.error().message;
    ExpectCases(*tokenizer, LmJson(std::string(name) + ".tokenizer-cases.json"));
  }
}

// Of older folders: texts of added tokens alone.
TEST(Tokenizer, ReadsAddedTokensWithoutADescription) {
  const json whole = LmJson("phi-tiny/tokenizer.json");
  const testing::TempFolder folder;
  testing::WriteAll(folder / "config.json", R"({"model_type": "phi"})");
  testing::WriteAll(folder / "vocab.json", whole["model"]["vocab"].dump());
  std::string merges;
  for (const json& merge : whole["model"]["merges"]) merges += merge.get<std::string>() + "\r\n";
  testing::WriteAll(folder / "merges.txt", merges);
  json added = json::object();
  for (const json& token : whole["added_tokens"]) added[token["content"].get<std::string>()] = token["id"];
  testing::WriteAll(folder / "added_tokens.json", added.dump());
  const auto tokenizer = Tokenizer::FromHuggingFace(folder.path().string());
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  ExpectCases(*tokenizer, LmJson("phi-tiny.tokenizer-cases.json"));
  // A family whose plain files do not say how text is cut.
  testing::WriteAll(folder / "config.json", R"({"model_type": "llama"})");
  const auto refused = Tokenizer::FromHuggingFace(folder.path().string());
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("needs"), std::string::npos) << refused.error().message;
}

TEST(Tokenizer, TextIsNoControlTokenWhereItMustNotBe) {
  for (const char* name : {"llama3-tiny", "qwen3-tiny", "phi-tiny", "smollm2-tiny"}) {
    const Tokenizer tokenizer = OpenTiny(name);
    const std::string text = "a <|im_end|><|im_start|>system\n<|endoftext|><|eot_id|><|begin_of_text|> b";
    const Ids ids = *tokenizer.Encode(text, {.parse_special = false, .add_prefix = false});
    for (const int32_t id : ids) EXPECT_FALSE(tokenizer.IsSpecial(id)) << name << ": " << id;
    EXPECT_EQ(tokenizer.Decode(ids, true), text);
    const Ids parsed = *tokenizer.Encode(text);
    EXPECT_TRUE(std::any_of(parsed.begin(), parsed.end(), [&](int32_t id) { return tokenizer.IsSpecial(id); })) << name;
  }
}

// What would take hours if any of it were quadratic.
TEST(Tokenizer, LongRunsTakeNoTimeToSpeakOf) {
  constexpr size_t kSize = size_t{1} << 18;
  std::string marks;
  while (marks.size() < kSize) marks += "\u0301\u0316\u0345";  // of three classes, in the wrong order
  const std::string texts[] = {std::string(kSize, 'a'),  std::string(kSize, ' '), std::string(kSize, '7'),
                               std::string(kSize, '\n'), std::string(kSize, '<'), marks};
  for (const char* name : {"phi-tiny", "qwen2-tiny", "llama3-tiny", "smollm2-tiny"}) {
    const Tokenizer tokenizer = OpenTiny(name);
    for (const std::string& text : texts) {
      if (&text == &texts[5] && std::string(name) != "qwen2-tiny") continue;
      const auto ids = tokenizer.Encode(text);
      ASSERT_TRUE(ids);
      // Composed, the marks are others.
      const bool same = tokenizer.Decode(*ids, true) == text;
      EXPECT_EQ(same, &text != &texts[5]) << name << " " << text[0];
    }
  }
}

TEST(Tokenizer, RefusesWhatIsNoText) {
  const Tokenizer tokenizer = OpenTiny("gpt2-tiny");
  EXPECT_EQ(tokenizer.Encode("\xFF").error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(tokenizer.Encode("\xED\xA0\x80").error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(tokenizer.Encode(std::string((size_t{16} << 20) + 1, 'a')).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(tokenizer.Decode(Ids{-1, 1 << 30, tokenizer.size()}, false), "");
}

// Every part of tokenizer.json that another tokenizer may have is refused by name.
TEST(Tokenizer, RefusesWhatItDoesNotSupportByName) {
  const auto expect = [](const json& patch, const std::string& part, const char* name = "qwen2-tiny") {
    json whole = LmJson(std::string(name) + "/tokenizer.json");
    whole.merge_patch(patch);
    auto tables = ParseTokenizerJson(whole.dump());
    const auto made = tables ? Tokenizer::FromTables(*std::move(tables)) : tl::unexpected<Error>(tables.error());
    ASSERT_FALSE(made) << part;
    EXPECT_NE(made.error().message.find(part), std::string::npos) << made.error().message;
  };
  expect({{"model", {{"type", "Unigram"}}}}, "'Unigram'");
  expect({{"model", {{"byte_fallback", true}}}}, "byte_fallback");
  expect({{"model", {{"end_of_word_suffix", "</w>"}}}}, "end_of_word_suffix");
  expect({{"model", {{"dropout", 0.1}}}}, "dropout");
  expect({{"normalizer", {{"type", "NFKC"}}}}, "'NFKC'");
  expect({{"pre_tokenizer", {{"type", "Metaspace"}}}}, "'Metaspace'");
  expect({{"pre_tokenizer", {{"add_prefix_space", true}}}}, "add_prefix_space", "gpt2-tiny");
  expect({{"decoder", {{"type", "WordPiece"}}}}, "'WordPiece'");
  expect({{"post_processor", {{"type", "BertProcessing"}}}}, "'BertProcessing'");
  json pattern = LmJson("qwen2-tiny/tokenizer.json")["pre_tokenizer"];
  pattern["pretokenizers"][0]["pattern"]["Regex"] = R"(\p{L}+|\p{N}{1,4})";
  expect({{"pre_tokenizer", pattern}}, R"(\p{N}{1,4})");
  json added = LmJson("qwen2-tiny/tokenizer.json")["added_tokens"];
  added[0]["rstrip"] = true;
  expect({{"added_tokens", added}}, "rstrip");
  // Ids that nobody has memory for.
  expect({{"model", {{"vocab", {{"far", 1000000000}}}}}}, "1000000000");
  expect({{"model", {{"vocab", {{"far", 900000}}}}}}, "900000");
  added[0]["rstrip"] = false;
  added[0]["id"] = 1000000000;
  expect({{"added_tokens", added}}, "1000000000");
  added[0]["id"] = 3;
  expect({{"added_tokens", added}}, "contradicts");
  // Contradictions.
  expect({{"model", {{"vocab", {{"twice", 5}}}}}}, "two tokens");
  json merges = LmJson("qwen2-tiny/tokenizer.json")["model"]["merges"];
  merges.push_back("no such");
  expect({{"model", {{"merges", merges}}}}, "'no such'");
  merges.back() = "three of them";
  expect({{"model", {{"merges", merges}}}}, "'three of them'");
  expect({{"model", {{"vocab", nullptr}}}}, "vocabulary");
  EXPECT_FALSE(ParseTokenizerJson(std::string(100000, '[')));
  EXPECT_FALSE(ParseTokenizerJson(""));
}

TEST(Tokenizer, NoMergeMakesASpecialToken) {
  TokenizerTables tables;
  for (int c = 33; c < 127; ++c) tables.tokens.emplace_back(1, static_cast<char>(c));
  tables.tokens.emplace_back("<e");
  tables.merges = {{"<", "e"}};
  ASSERT_TRUE(Tokenizer::FromTables(tables));
  tables.added = {{.id = 94, .text = "<e", .special = true}};
  const auto made = Tokenizer::FromTables(tables);
  ASSERT_FALSE(made);
  EXPECT_NE(made.error().message.find("special"), std::string::npos) << made.error().message;
}

TEST(Unicode, ComposesAndReplaces) {
  EXPECT_EQ(ComposeNfc("e\u0301"), "\u00e9");
  EXPECT_EQ(ComposeNfc("\u212b \u1112\u1161\u11ab"), "\u00c5 \ud55c");
  EXPECT_EQ(ComposeNfc("a\u0301\u0323"), "\u1ea1\u0301");  // marks in the order of their classes
  EXPECT_EQ(ComposeNfc(std::string("\0x", 2)), std::string("\0x", 2));
  std::string text;
  EXPECT_EQ(AppendLossyUtf8("a\xE2\x82", false, text), 1u);
  EXPECT_EQ(AppendLossyUtf8("\xE2\x82", true, text), 2u);
  EXPECT_EQ(text, "a\xEF\xBF\xBD");
  text.clear();
  AppendLossyUtf8("\xE0\x80\x80\xF0\x9F\x8E", true, text);  // three bytes that begin nothing; one character's beginning
  EXPECT_EQ(text, "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
}

}  // namespace
}  // namespace timbre
