// Text to token ids and back: byte-level byte-pair encoding, as GPT-2, phi, SmolLM2, Llama 3 and Qwen use it.
//
// A tokenizer is read from the tokenizer.json of a Hugging Face folder, from vocab.json and merges.txt, or is made of
// tables that were read elsewhere (a GGUF file). Ids are those of the reference, one by one. Whatever a file asks for
// that is not supported (another model than BPE, an unknown pattern, padding added tokens) is an error that names it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "formats/gguf.h"
#include "formats/pre_tokenizer.h"

namespace timbre {

// More than any model has (Gemma: 262,144): what a file claims beyond is refused before memory is asked for it.
inline constexpr int64_t kMostTokens = int64_t{1} << 20;

// A token that is found in the text as it stands, before anything is cut or merged.
struct AddedToken {
  int32_t id = 0;
  std::string text;
  bool special = false;     // controls the model: never made of a user's text, left out of what is shown
  bool normalized = false;  // looked for in the composed text rather than in the raw one
};

// What a tokenizer is made of.
struct TokenizerTables {
  std::vector<std::string> tokens;  // by id, in GPT-2's alphabet for bytes; empty where an id has none
  // Pairs of tokens, the most preferred first.
  std::vector<std::pair<std::string, std::string>> merges;
  std::vector<AddedToken> added;  // also those that `tokens` holds already
  PreTokenizer pre_tokenizer = PreTokenizer::kGpt2;
  bool nfc = false;                // compose the text first
  bool ignore_merges = false;      // a piece that is a token as a whole stays one, whatever the merges say
  std::optional<int32_t> unknown;  // stands for a byte that the vocabulary lacks; else such bytes are left out
  std::vector<int32_t> prefix;     // put before a text (Llama 3: its beginning of text)
  // What the files say besides, for whoever talks to the model.
  std::optional<int32_t> bos, eos;
  std::string chat_template;  // Jinja; empty: none
};

struct EncodeOptions {
  bool parse_special = true;  // the names of special tokens in the text become these tokens; false: text like other
  bool add_prefix = true;     // puts the tables' prefix first
};

class Tokenizer {
 public:
  // Of a folder with tokenizer.json, or, for the families where they say all, vocab.json and merges.txt.
  static Result<Tokenizer> FromHuggingFace(const std::string& folder);
  // Of a GGUF file's metadata: byte-level ones ("gpt2"), with a pre-tokenizer whose name is known.
  static Result<Tokenizer> FromGguf(const GgufFile& file);
  // kCorrupt where the tables contradict themselves: a merge of or into what is no token, an id that is none, a merge
  // that makes a special token.
  static Result<Tokenizer> FromTables(TokenizerTables tables);

  // The ids of at most 16 MiB of UTF-8; kInvalidArgument for what is not. Thread-safe, as is all that follows.
  Result<std::vector<int32_t>> Encode(std::string_view text, const EncodeOptions& options = {}) const;
  // Text of ids, well-formed whatever they are: U+FFFD stands for bytes that make no character. Ids without a token
  // give nothing.
  std::string Decode(std::span<const int32_t> ids, bool skip_special) const;

  // The bytes that the id adds to a text, which need not be whole characters.
  std::string_view Bytes(int32_t id) const;
  bool IsSpecial(int32_t id) const;
  // The id of a token by its name ("<|im_end|>").
  std::optional<int32_t> Find(std::string_view token) const;
  int32_t size() const;  // one more than the largest id
  std::optional<int32_t> bos() const;
  std::optional<int32_t> eos() const;
  const std::vector<int32_t>& prefix() const;
  const std::string& chat_template() const;

 private:
  struct Data;
  explicit Tokenizer(std::shared_ptr<const Data> data) : data_(std::move(data)) {}
  std::shared_ptr<const Data> data_;
};

// Decodes ids as they come: what was given out never changes by what follows. All of it together is what Decode gives.
class StreamingDecoder {
 public:
  StreamingDecoder(Tokenizer tokenizer, bool skip_special)
      : tokenizer_(std::move(tokenizer)), skip_special_(skip_special) {}
  // The text that is certain now, possibly none: the bytes of a character that is not complete are held back.
  std::string Add(int32_t id);
  // What was held back, as U+FFFD.
  std::string Finish();

 private:
  Tokenizer tokenizer_;
  bool skip_special_;
  std::string held_;
};

// What tokenizer.json says; errors name the part. At most 64 MiB. Without bos, eos and template, which lie elsewhere.
Result<TokenizerTables> ParseTokenizerJson(std::string_view json);

}  // namespace timbre
