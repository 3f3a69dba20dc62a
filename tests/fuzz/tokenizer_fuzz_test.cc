// tokenizer.json: any bytes are refused, or make a tokenizer whose ids are its own and decode to well-formed text.
#include <cstdlib>

#include "base/text.h"
#include "formats/tokenizer.h"
#include "tests/fuzz/fuzz.h"

namespace {

using namespace timbre;

// A small tokenizer with all that there may be: `split` is its pre-tokenizer.
std::string Small(const std::string& split, const std::string& normalizer) {
  return R"({"added_tokens": [{"id": 9, "content": "<|e|>", "special": true, "normalized": false},
                              {"id": 10, "content": "  ", "special": false, "normalized": true}],
             "normalizer": )" +
         normalizer + R"(, "pre_tokenizer": )" + split +
         R"(, "post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<|e|>"}},
              {"Sequence": {"id": "A"}}], "special_tokens": {"<|e|>": {"ids": [9]}}},
             "decoder": {"type": "ByteLevel"},
             "model": {"type": "BPE", "ignore_merges": true, "unk_token": "a", "vocab": {"a": 0, "b": 1, "Ġ": 2, "ab": 3,
              "Ġab": 4, "Ã": 5, "©": 6, "Ã©": 7, "1": 8}, "merges": ["a b", ["Ġ", "ab"], "Ã ©"]}})";
}

std::vector<std::string> Seeds() {
  const std::string byte_level = R"({"type": "ByteLevel", "add_prefix_space": false, "use_regex": )";
  const std::string digits = R"({"type": "Digits", "individual_digits": true})";
  const std::string pattern =
      R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+)";
  const std::string split =
      R"({"type": "Split", "pattern": {"Regex": ")" + pattern + R"("}, "behavior": "Isolated", "invert": false})";
  const auto sequence = [](const std::string& first, const std::string& second) {
    return R"({"type": "Sequence", "pretokenizers": [)" + first + ", " + second + "]}";
  };
  return {Small(byte_level + "true}", "null"), Small(sequence(digits, byte_level + "true}"), "null"),
          Small(sequence(split, byte_level + "false}"), R"({"type": "NFC"})")};
}

void Require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

TIMBRE_FUZZ_TARGET(Tokenizer, Seeds) {
  auto tables = ParseTokenizerJson(bytes);
  if (!tables) return Require(!tables.error().message.empty());
  const auto tokenizer = Tokenizer::FromTables(*std::move(tables));
  if (!tokenizer) return Require(!tokenizer.error().message.empty());
  for (const std::string_view text :
       {std::string_view("ab  ab<|e|>1 b\r\n\u00e9 e\u0301 '\u017ft"), bytes.substr(0, 500)}) {
    for (const bool special : {true, false}) {
      const auto ids = tokenizer->Encode(text, {.parse_special = special, .add_prefix = special});
      if (!ids) {
        Require(!IsUtf8(text));
        continue;
      }
      for (const int32_t id : *ids)
        Require(id >= 0 && id < tokenizer->size() && (special || !tokenizer->IsSpecial(id)));
      Require(IsUtf8(tokenizer->Decode(*ids, false)));
    }
  }
}
