// A GGUF file's tokenizer, as tables.
#include <algorithm>

#include "base/text.h"
#include "formats/tokenizer.h"

namespace timbre {
namespace {

constexpr int64_t kControl = 3, kUserDefined = 4;  // of tokenizer.ggml.token_type

struct KnownPreTokenizer {
  std::string_view name;
  PreTokenizer kind;
};
constexpr KnownPreTokenizer kPreTokenizers[] = {{"gpt-2", PreTokenizer::kGpt2},       {"phi-2", PreTokenizer::kGpt2},
                                                {"smollm", PreTokenizer::kSmolLm},    {"qwen2", PreTokenizer::kQwen2},
                                                {"llama-bpe", PreTokenizer::kLlama3}, {"llama3", PreTokenizer::kLlama3},
                                                {"llama-v3", PreTokenizer::kLlama3}};

Result<std::optional<int32_t>> IdIfThere(const GgufFile& file, std::string_view key) {
  if (!file.Has(key)) return std::nullopt;
  TIMBRE_TRY(const int64_t id, file.Int(key, 0, kMostTokens - 1));
  return static_cast<int32_t>(id);
}

}  // namespace

Result<Tokenizer> Tokenizer::FromGguf(const GgufFile& file) {
  TIMBRE_TRY(const std::string model, file.Text("tokenizer.ggml.model"));
  if (model != "gpt2") {
    return Fail(ErrorCode::kUnsupported, "the tokenizer model '" + Printable(model) +
                                             "' is not supported; byte-level ones are, which such files call 'gpt2'.");
  }
  TIMBRE_TRY(const std::string pre, file.Text("tokenizer.ggml.pre"));
  const auto* known =
      std::find_if(std::begin(kPreTokenizers), std::end(kPreTokenizers), [&](const auto& k) { return k.name == pre; });
  if (known == std::end(kPreTokenizers)) {
    return Fail(ErrorCode::kUnsupported,
                "the pre-tokenizer '" + Printable(pre) + "' is not supported; gpt-2, smollm, qwen2 and llama-bpe are.");
  }
  TokenizerTables tables{.pre_tokenizer = known->kind,
                         .nfc = known->kind == PreTokenizer::kQwen2,
                         .ignore_merges = known->kind == PreTokenizer::kLlama3};
  TIMBRE_TRY(const std::span<const std::string> tokens, file.Texts("tokenizer.ggml.tokens"));
  TIMBRE_TRY(const std::span<const std::string> merges, file.Texts("tokenizer.ggml.merges"));
  TIMBRE_TRY(const std::span<const int64_t> types, file.Ints("tokenizer.ggml.token_type"));
  if (types.size() != tokens.size()) {
    return Fail(ErrorCode::kCorrupt, "tokenizer.ggml.token_type has another length than tokenizer.ggml.tokens.");
  }
  if (static_cast<int64_t>(tokens.size()) > kMostTokens) {
    return Fail(ErrorCode::kUnsupported, "the tokenizer has " + std::to_string(tokens.size()) +
                                             " tokens, and at most " + std::to_string(kMostTokens) + " are supported.");
  }
  tables.tokens.assign(tokens.begin(), tokens.end());
  for (size_t id = 0; id < tokens.size(); ++id) {
    if (types[id] != kControl && types[id] != kUserDefined) continue;
    tables.added.push_back({.id = static_cast<int32_t>(id), .text = tokens[id], .special = types[id] == kControl});
  }
  tables.merges.reserve(merges.size());
  for (const std::string& merge : merges) {
    const size_t space = merge.find(' ', 1);  // a token may begin with one
    if (space == std::string::npos || space + 1 == merge.size()) {
      return Fail(ErrorCode::kCorrupt, "the tokenizer's merge '" + Printable(merge) + "' is not a pair of tokens.");
    }
    tables.merges.emplace_back(merge.substr(0, space), merge.substr(space + 1));
  }
  TIMBRE_TRY(tables.bos, IdIfThere(file, "tokenizer.ggml.bos_token_id"));
  TIMBRE_TRY(tables.eos, IdIfThere(file, "tokenizer.ggml.eos_token_id"));
  bool add_bos = known->kind == PreTokenizer::kLlama3;
  if (file.Has("tokenizer.ggml.add_bos_token")) {
    TIMBRE_TRY(add_bos, file.Bool("tokenizer.ggml.add_bos_token"));
  }
  if (add_bos && tables.bos) tables.prefix = {*tables.bos};
  if (file.Has("tokenizer.chat_template")) {
    TIMBRE_TRY(tables.chat_template, file.Text("tokenizer.chat_template"));
  }
  return FromTables(std::move(tables));
}

}  // namespace timbre
