// Hugging Face's files of a tokenizer, as tables.
#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/files.h"
#include "base/mapped_file.h"
#include "base/text.h"
#include "formats/tokenizer.h"

namespace timbre {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr size_t kMostFile = size_t{64} << 20;  // the largest in use have 17 MB
constexpr size_t kMostMerges = size_t{4} << 20;
constexpr size_t kMostTemplate = size_t{1} << 20;
constexpr int kMostDepth = 64;  // of brackets: the parser recurses where values are destroyed

tl::unexpected<Error> Unsupported(const std::string& what) {
  return Fail(ErrorCode::kUnsupported, what + " is not supported.");
}

bool TooDeep(std::string_view text) {
  int depth = 0;
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted) {
      i += c == '\\';
      quoted = c != '"';
    } else {
      quoted = c == '"';
      depth += c == '[' || c == '{' ? 1 : c == ']' || c == '}' ? -1 : 0;
      if (depth > kMostDepth) return true;
    }
  }
  return false;
}

Result<json> ParseObject(std::string_view text) {
  if (text.size() > kMostFile) return Fail(ErrorCode::kCorrupt, "it is too large for what it should be.");
  if (TooDeep(text)) return Fail(ErrorCode::kCorrupt, "its brackets nest too deep.");
  json root = json::parse(text.begin(), text.end(), nullptr, false);
  if (!root.is_object()) return Fail(ErrorCode::kCorrupt, "it is not a JSON object.");
  return root;
}

// A member of an object, or a null.
const json& At(const json& object, const char* key) {
  static const json null;
  if (!object.is_object()) return null;
  const auto found = object.find(key);
  return found == object.end() ? null : *found;
}

bool True(const json& object, const char* key, bool otherwise = false) {
  const json& value = At(object, key);
  return value.is_boolean() ? value.get<bool>() : otherwise;
}

std::string Text(const json& value) { return value.is_string() ? value.get<std::string>() : std::string(); }
std::string TypeOf(const json& part) {
  const std::string type = Text(At(part, "type"));
  return type.empty() ? "without a type" : "'" + Printable(type) + "'";
}
bool IsType(const json& part, std::string_view type) { return Text(At(part, "type")) == type; }

// A part, or those of a Sequence of them, one level deep.
std::vector<json> PartsOf(const json& part, const char* list) {
  if (part.is_null()) return {};
  if (!IsType(part, "Sequence")) return {part};
  std::vector<json> parts;
  for (const json& inner : At(part, list)) parts.push_back(inner);
  return parts;
}

// An id, or -1.
int32_t IdOf(const json& value) {
  if (!value.is_number_integer()) return -1;
  const double id = value.get<double>();
  return id >= 0 && id < static_cast<double>(kMostTokens) ? static_cast<int32_t>(id) : -1;
}

tl::unexpected<Error> BadId(const std::string& token, const json& value) {
  return Fail(ErrorCode::kUnsupported, "the token '" + Printable(token) + "' has the id " +
                                           Printable(value.dump(-1, ' ', true)) +
                                           "; supported are whole numbers below " + std::to_string(kMostTokens) + ".");
}

// {"token": id, …}
Status ReadVocabulary(const json& vocabulary, std::vector<std::string>& tokens) {
  if (!vocabulary.is_object() || vocabulary.empty()) return Fail(ErrorCode::kCorrupt, "it has no vocabulary.");
  for (const auto& [token, value] : vocabulary.items()) {
    const int32_t id = IdOf(value);
    if (id < 0) return BadId(token, value);
    // Ids may have gaps, but not so many that a few tokens take the memory of a million.
    if (static_cast<size_t>(id) >= 2 * vocabulary.size() + 65536) return BadId(token, value);
    if (static_cast<size_t>(id) >= tokens.size()) tokens.resize(static_cast<size_t>(id) + 1);
    if (!tokens[static_cast<size_t>(id)].empty()) {
      return Fail(ErrorCode::kCorrupt, "the id " + std::to_string(id) + " belongs to two tokens.");
    }
    tokens[static_cast<size_t>(id)] = token;
  }
  return {};
}

Status AddMerge(std::string_view left, std::string_view right, TokenizerTables& tables) {
  if (left.empty() || right.empty()) return Fail(ErrorCode::kCorrupt, "one of its merges is not a pair of tokens.");
  if (tables.merges.size() >= kMostMerges) return Unsupported("a tokenizer with so many merges");
  tables.merges.emplace_back(left, right);
  return {};
}

// "a b"
Status AddMerge(std::string_view pair, TokenizerTables& tables) {
  const size_t space = pair.find(' ');
  if (space == std::string_view::npos || pair.find(' ', space + 1) != std::string_view::npos) {
    return Fail(ErrorCode::kCorrupt, "its merge '" + Printable(pair) + "' is not a pair of tokens.");
  }
  return AddMerge(pair.substr(0, space), pair.substr(space + 1), tables);
}

Status ReadModel(const json& model, TokenizerTables& tables) {
  if (!At(model, "type").is_null() && !IsType(model, "BPE")) return Unsupported("the tokenizer model " + TypeOf(model));
  if (True(model, "byte_fallback")) return Unsupported("a tokenizer with byte_fallback (SentencePiece)");
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    if (!Text(At(model, key)).empty()) return Unsupported(std::string("a tokenizer with ") + key);
  }
  if (const json& dropout = At(model, "dropout"); dropout.is_number() && dropout.get<double>() > 0) {
    return Unsupported("a tokenizer with dropout");
  }
  TIMBRE_CHECK(ReadVocabulary(At(model, "vocab"), tables.tokens));
  const json& merges = At(model, "merges");
  if (!merges.is_array()) return Fail(ErrorCode::kCorrupt, "it has no merges.");
  tables.merges.reserve(std::min(merges.size(), kMostMerges));
  for (const json& merge : merges) {
    if (merge.is_string()) {
      TIMBRE_CHECK(AddMerge(merge.get_ref<const std::string&>(), tables));
    } else if (merge.is_array() && merge.size() == 2) {
      TIMBRE_CHECK(AddMerge(Text(merge[0]), Text(merge[1]), tables));
    } else {
      return Fail(ErrorCode::kCorrupt, "one of its merges is not a pair of tokens.");
    }
  }
  tables.ignore_merges = True(model, "ignore_merges");
  if (const std::string unknown = Text(At(model, "unk_token")); !unknown.empty()) {
    if (True(model, "fuse_unk")) return Unsupported("a tokenizer with fuse_unk");
    const json& id = At(At(model, "vocab"), unknown.c_str());
    if (IdOf(id) < 0) return Fail(ErrorCode::kCorrupt, "its unk_token is not in its vocabulary.");
    tables.unknown = IdOf(id);
  }
  return {};
}

Status ReadAddedToken(int32_t id, const json& token, TokenizerTables& tables) {
  AddedToken added{.id = id, .text = Text(At(token, "content"))};
  if (id < 0) return BadId(added.text, At(token, "id"));
  for (const char* key : {"lstrip", "rstrip", "single_word"}) {
    if (True(token, key)) return Unsupported("the added token '" + Printable(added.text) + "' with " + key);
  }
  added.special = True(token, "special");
  added.normalized = True(token, "normalized", !added.special);
  tables.added.push_back(std::move(added));
  return {};
}

Status ReadNormalizer(const json& normalizer, TokenizerTables& tables) {
  for (const json& part : PartsOf(normalizer, "normalizers")) {
    if (!IsType(part, "NFC")) return Unsupported("the normalizer " + TypeOf(part));
    tables.nfc = true;
  }
  return {};
}

Status ReadPreTokenizer(const json& pre_tokenizer, TokenizerTables& tables) {
  const std::vector<json> parts = PartsOf(pre_tokenizer, "pretokenizers");
  if (parts.empty() || !IsType(parts.back(), "ByteLevel")) {
    return Unsupported("the pre-tokenizer " + (parts.empty() ? TypeOf(pre_tokenizer) : TypeOf(parts.back())) +
                       " (only byte-level ones are read)");
  }
  if (True(parts.back(), "add_prefix_space", true)) return Unsupported("a pre-tokenizer with add_prefix_space");
  const bool gpt2 = True(parts.back(), "use_regex", true);
  if (parts.size() == 1 && gpt2) {
    tables.pre_tokenizer = PreTokenizer::kGpt2;
  } else if (parts.size() == 2 && gpt2 && IsType(parts[0], "Digits") && True(parts[0], "individual_digits")) {
    tables.pre_tokenizer = PreTokenizer::kSmolLm;
  } else if (parts.size() == 2 && !gpt2 && IsType(parts[0], "Split")) {
    const std::string pattern = Text(At(At(parts[0], "pattern"), "Regex"));
    const auto known = PreTokenizerOfPattern(pattern);
    if (!known || Text(At(parts[0], "behavior")) != "Isolated" || True(parts[0], "invert")) {
      return Unsupported("the pre-tokenizer that splits by '" + Printable(pattern, 200) + "'");
    }
    tables.pre_tokenizer = *known;
  } else {
    return Unsupported("the pre-tokenizer " + TypeOf(parts[0]) + (parts.size() > 1 ? " with others" : ""));
  }
  return {};
}

// What is put around a text: only something before it is supported.
Status ReadPostProcessor(const json& processor, TokenizerTables& tables) {
  for (const json& part : PartsOf(processor, "processors")) {
    if (IsType(part, "ByteLevel")) continue;  // changes offsets, which nobody asks for
    if (!IsType(part, "TemplateProcessing")) return Unsupported("the post-processor " + TypeOf(part));
    bool text = false;
    for (const json& item : At(part, "single")) {
      if (!At(item, "Sequence").is_null()) {
        text = true;
        continue;
      }
      const std::string name = Text(At(At(item, "SpecialToken"), "id"));
      const json& ids = At(At(At(part, "special_tokens"), name.c_str()), "ids");
      if (text || !ids.is_array() || ids.size() > 16) {
        return Unsupported("the post-processor that puts '" + Printable(name) + "' behind the text");
      }
      for (const json& id : ids) {
        if (IdOf(id) < 0) return BadId(name, id);
        tables.prefix.push_back(IdOf(id));
      }
    }
    if (!text || tables.prefix.size() > 16) return Unsupported("the post-processor's template");
  }
  return {};
}

// A whole file's text, or nothing where there is none.
Result<std::optional<std::string>> ReadIfThere(const fs::path& path, size_t most) {
  const int64_t size = FileBytes(path);
  if (size < 0) return std::nullopt;
  if (static_cast<uint64_t>(size) > most)
    return Fail(ErrorCode::kCorrupt, path.string() + " is too large for what it should be.");
  TIMBRE_TRY(const SharedBytes bytes, MapFile(path.string()));
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

Result<json> ReadObjectIfThere(const fs::path& path) {
  TIMBRE_TRY(const std::optional<std::string> text, ReadIfThere(path, kMostFile));
  if (!text) return json();
  auto object = ParseObject(*text);
  if (!object) return Prefix(object.error(), path.string());
  return object;
}

// A token of tokenizer_config.json: its text, or an object that has it.
std::string TokenText(const json& token) { return token.is_object() ? Text(At(token, "content")) : Text(token); }

// The tokens that it calls by a role, and all that it describes.
Status ReadRoles(const json& config, const fs::path& folder, TokenizerTables& tables) {
  const auto id_of = [&](const std::string& text) -> std::optional<int32_t> {
    for (const AddedToken& token : tables.added) {
      if (token.text == text) return token.id;
    }
    const auto found = std::find(tables.tokens.begin(), tables.tokens.end(), text);
    return found == tables.tokens.end() || text.empty()
               ? std::nullopt
               : std::optional(static_cast<int32_t>(found - tables.tokens.begin()));
  };
  tables.bos = id_of(TokenText(At(config, "bos_token")));
  tables.eos = id_of(TokenText(At(config, "eos_token")));
  const json& chat = At(config, "chat_template");
  tables.chat_template = Text(chat);
  if (chat.is_array()) {  // several by name
    for (const json& item : chat) {
      if (Text(At(item, "name")) == "default") tables.chat_template = Text(At(item, "template"));
    }
  }
  TIMBRE_TRY(const std::optional<std::string> jinja, ReadIfThere(folder / "chat_template.jinja", kMostTemplate));
  if (jinja) tables.chat_template = *jinja;
  return {};
}

// vocab.json, merges.txt and added_tokens.json. They do not say how text is cut; the model's type does, for some.
Result<TokenizerTables> ReadPlainFiles(const fs::path& folder, const json& config) {
  TIMBRE_TRY(const json model, ReadObjectIfThere(folder / "config.json"));
  const std::string type = Text(At(model, "model_type"));
  TokenizerTables tables;
  if (type == "qwen2" || type == "qwen3") {
    tables.pre_tokenizer = PreTokenizer::kQwen2;
    tables.nfc = true;
  } else if (type != "gpt2" && type != "phi") {
    return Fail(ErrorCode::kNotFound, folder.string() + " has no tokenizer.json, which the model type '" +
                                          Printable(type) + "' needs: put the model's file there.");
  }
  TIMBRE_TRY(const json vocabulary, ReadObjectIfThere(folder / "vocab.json"));
  TIMBRE_TRY(const std::optional<std::string> merges, ReadIfThere(folder / "merges.txt", kMostFile));
  if (vocabulary.is_null() || !merges) {
    return Fail(ErrorCode::kNotFound, folder.string() +
                                          " has neither tokenizer.json nor vocab.json and merges.txt: "
                                          "put the model's tokenizer there.");
  }
  if (auto read = ReadVocabulary(vocabulary, tables.tokens); !read) {
    return Prefix(read.error(), (folder / "vocab.json").string());
  }
  for (size_t begin = 0, line = 0; begin < merges->size(); ++line) {
    const size_t end = std::min(merges->find('\n', begin), merges->size());
    std::string_view pair = std::string_view(*merges).substr(begin, end - begin);
    if (pair.ends_with('\r')) pair.remove_suffix(1);
    begin = end + 1;
    if (pair.empty() || (line == 0 && pair.starts_with("#version"))) continue;
    if (auto read = AddMerge(pair, tables); !read) return Prefix(read.error(), (folder / "merges.txt").string());
  }
  // The config's descriptions first; of what else was added only the text is known.
  std::vector<std::string> special = {"<|endoftext|>"};
  for (const char* role : {"bos_token", "eos_token", "unk_token", "pad_token"})
    special.push_back(TokenText(At(config, role)));
  for (const json& token : At(config, "additional_special_tokens")) special.push_back(TokenText(token));
  const auto known = [&](const std::string& text) {
    return std::any_of(tables.added.begin(), tables.added.end(), [&](const AddedToken& t) { return t.text == text; });
  };
  for (const auto& [key, token] : At(config, "added_tokens_decoder").items()) {
    const json id = json::parse(key, nullptr, false);
    TIMBRE_CHECK(ReadAddedToken(IdOf(id), token, tables));
  }
  TIMBRE_TRY(const json added, ReadObjectIfThere(folder / "added_tokens.json"));
  for (const auto& [text, id] : added.items()) {
    if (known(text)) continue;
    if (IdOf(id) < 0) return BadId(text, id);
    const bool control = std::find(special.begin(), special.end(), text) != special.end();
    tables.added.push_back({.id = IdOf(id), .text = text, .special = control, .normalized = !control});
  }
  for (const std::string& text : special) {
    if (text.empty() || known(text)) continue;
    const auto found = std::find(tables.tokens.begin(), tables.tokens.end(), text);
    if (found == tables.tokens.end()) continue;
    tables.added.push_back({.id = static_cast<int32_t>(found - tables.tokens.begin()), .text = text, .special = true});
  }
  return tables;
}

}  // namespace

Result<TokenizerTables> ParseTokenizerJson(std::string_view text) {
  TIMBRE_TRY(const json root, ParseObject(text));
  TokenizerTables tables;
  if (!At(root, "model").is_object()) return Fail(ErrorCode::kCorrupt, "it has no tokenizer model.");
  TIMBRE_CHECK(ReadModel(At(root, "model"), tables));
  TIMBRE_CHECK(ReadNormalizer(At(root, "normalizer"), tables));
  TIMBRE_CHECK(ReadPreTokenizer(At(root, "pre_tokenizer"), tables));
  TIMBRE_CHECK(ReadPostProcessor(At(root, "post_processor"), tables));
  if (!IsType(At(root, "decoder"), "ByteLevel")) return Unsupported("the decoder " + TypeOf(At(root, "decoder")));
  for (const json& token : At(root, "added_tokens")) TIMBRE_CHECK(ReadAddedToken(IdOf(At(token, "id")), token, tables));
  return tables;
}

Result<Tokenizer> Tokenizer::FromHuggingFace(const std::string& folder) {
  const fs::path path = fs::path(folder) / "tokenizer.json";
  TIMBRE_TRY(const json config, ReadObjectIfThere(fs::path(folder) / "tokenizer_config.json"));
  TIMBRE_TRY(const std::optional<std::string> text, ReadIfThere(path, kMostFile));
  auto tables = text ? ParseTokenizerJson(*text) : ReadPlainFiles(folder, config);
  if (!tables) {
    return text ? Prefix(tables.error(), path.string()) : tl::unexpected<Error>(tables.error());
  }
  TIMBRE_CHECK(ReadRoles(config, folder, *tables));
  auto made = FromTables(*std::move(tables));
  if (!made) return Prefix(made.error(), text ? path.string() : folder);
  return made;
}

}  // namespace timbre
