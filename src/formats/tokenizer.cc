#include "formats/tokenizer.h"

#include <algorithm>
#include <array>
#include <unordered_map>
#include <unordered_set>

#include "base/text.h"
#include "formats/byte_pairs.h"
#include "formats/unicode.h"

namespace timbre {
namespace {

constexpr size_t kMostText = size_t{16} << 20;
constexpr size_t kMostTokenBytes = 1024;

// ---- GPT-2's alphabet: a visible character for each byte ----

struct Alphabet {
  std::array<char32_t, 256> character;
  std::unordered_map<char32_t, uint8_t> byte;
};

const Alphabet& ByteAlphabet() {
  static const Alphabet alphabet = [] {
    Alphabet made;
    char32_t next = 0x100;
    for (int b = 0; b < 256; ++b) {
      const bool visible = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
      made.character[static_cast<size_t>(b)] = visible ? static_cast<char32_t>(b) : next++;
      made.byte[made.character[static_cast<size_t>(b)]] = static_cast<uint8_t>(b);
    }
    return made;
  }();
  return alphabet;
}

std::string InAlphabet(std::string_view bytes) {
  std::string text;
  for (const char b : bytes) AppendUtf8(ByteAlphabet().character[static_cast<uint8_t>(b)], text);
  return text;
}

// What a token stands for: a token with a character outside the alphabet is its own text.
std::string BytesOf(std::string_view token) {
  std::string bytes;
  bool plain = false;
  ForEachCodePoint(token, [&](char32_t c, std::string_view) {
    const auto found = ByteAlphabet().byte.find(c);
    plain = plain || found == ByteAlphabet().byte.end();
    if (!plain) bytes.push_back(static_cast<char>(found->second));
  });
  return plain ? std::string(token) : bytes;
}

// ---- Added tokens ----

// Finds the leftmost, of those the longest, of a set of texts.
class TokenFinder {
 public:
  void Add(std::string_view text, int32_t id) {
    uint32_t node = 0;
    for (const char c : text) {
      const auto [edge, isnew] = edges_.try_emplace(Key(node, c), static_cast<uint32_t>(ids_.size()));
      if (isnew) ids_.push_back(-1);
      node = edge->second;
    }
    ids_[node] = id;
    starts_[static_cast<uint8_t>(text.front())] = true;
  }

  // Calls between(text) for what lies between the tokens, where that is not empty, and token(id) for each of them.
  template <typename Between, typename Token>
  void Split(std::string_view text, const Between& between, const Token& token) const {
    size_t begin = 0;
    for (size_t at = 0; at < text.size();) {
      int32_t id = -1;
      size_t end = at;
      uint32_t node = 0;
      for (size_t i = at; i < text.size() && (i > at || starts_[static_cast<uint8_t>(text[at])]); ++i) {
        const auto edge = edges_.find(Key(node, text[i]));
        if (edge == edges_.end()) break;
        node = edge->second;
        if (ids_[node] >= 0) {
          id = ids_[node];
          end = i + 1;
        }
      }
      if (id < 0) {
        ++at;
        continue;
      }
      if (at > begin) between(text.substr(begin, at - begin));
      token(id);
      begin = at = end;
    }
    if (begin < text.size()) between(text.substr(begin));
  }

 private:
  static uint64_t Key(uint32_t node, char c) { return static_cast<uint64_t>(node) << 8 | static_cast<uint8_t>(c); }
  std::unordered_map<uint64_t, uint32_t> edges_;
  std::vector<int32_t> ids_ = {-1};  // of each node, -1 where no token ends there
  std::array<bool, 256> starts_ = {};
};

struct Finders {
  TokenFinder raw, composed;  // for the text as it is, and for what is between those, composed
};

}  // namespace

struct Tokenizer::Data {
  TokenizerTables tables;  // without merges
  PairMerger merger;
  std::array<int32_t, 256> byte_ids;
  std::vector<std::string> bytes;  // by id
  std::vector<bool> special;
  std::unordered_map<std::string, int32_t> ids;    // of all tokens, by name
  std::unordered_map<std::string, int32_t> whole;  // of those that a piece may be, where merges are ignored, by bytes
  Finders all, ordinary;                           // with special tokens and without

  // `unknown` stands for bytes that the vocabulary lacks.
  void EncodePiece(std::string_view piece, std::optional<int32_t> unknown, std::vector<int32_t>& scratch,
                   std::vector<int32_t>& out) const;
};

void Tokenizer::Data::EncodePiece(std::string_view piece, std::optional<int32_t> unknown, std::vector<int32_t>& scratch,
                                  std::vector<int32_t>& out) const {
  if (tables.ignore_merges) {
    if (const auto found = whole.find(std::string(piece)); found != whole.end()) return out.push_back(found->second);
  }
  scratch.clear();
  for (const char byte : piece) {
    const int32_t id = byte_ids[static_cast<uint8_t>(byte)];
    if (id >= 0) {
      scratch.push_back(id);
    } else if (unknown) {
      scratch.push_back(*unknown);
    }
  }
  merger.Apply(scratch);
  out.insert(out.end(), scratch.begin(), scratch.end());
}

Result<Tokenizer> Tokenizer::FromTables(TokenizerTables tables) {
  const auto corrupt = [](const std::string& what) {
    return Fail(ErrorCode::kCorrupt, "the tokenizer's " + what + ".");
  };
  const auto data = std::make_shared<Data>();
  int64_t count = static_cast<int64_t>(tables.tokens.size());
  for (const AddedToken& token : tables.added) count = std::max<int64_t>(count, int64_t{token.id} + 1);
  if (count > kMostTokens) {
    return Fail(ErrorCode::kUnsupported, "the tokenizer has ids up to " + std::to_string(count - 1) + ", and at most " +
                                             std::to_string(kMostTokens) + " tokens are supported.");
  }
  for (size_t id = 0; id < tables.tokens.size(); ++id) {
    const std::string& token = tables.tokens[id];
    if (token.size() > kMostTokenBytes || !IsUtf8(token)) {
      return corrupt("token " + std::to_string(id) + " is too long or is no UTF-8");
    }
    if (!token.empty() && !data->ids.emplace(token, static_cast<int32_t>(id)).second) {
      return corrupt("token '" + Printable(token) + "' occurs twice");
    }
  }
  tables.tokens.resize(static_cast<size_t>(count));
  data->special.resize(static_cast<size_t>(count));
  std::vector<bool> added(static_cast<size_t>(count));
  for (const AddedToken& token : tables.added) {
    if (token.text.empty()) continue;
    if (token.id < 0 || token.text.size() > kMostTokenBytes || !IsUtf8(token.text)) {
      return corrupt("added token " + std::to_string(token.id) + " makes no sense");
    }
    const auto id = static_cast<size_t>(token.id);
    const auto [known, isnew] = data->ids.emplace(token.text, token.id);
    if (known->second != token.id || (!tables.tokens[id].empty() && tables.tokens[id] != token.text)) {
      return corrupt("added token '" + Printable(token.text) + "' contradicts the vocabulary");
    }
    tables.tokens[id] = token.text;
    added[id] = true;
    data->special[id] = token.special;
    const bool composed = token.normalized && tables.nfc;
    const std::string text = composed ? ComposeNfc(token.text) : token.text;
    for (Finders* finders : {&data->all, &data->ordinary}) {
      if (finders == &data->ordinary && token.special) continue;
      (token.normalized ? finders->composed : finders->raw).Add(text, token.id);
    }
  }
  data->bytes.reserve(tables.tokens.size());
  for (const std::string& token : tables.tokens) data->bytes.push_back(BytesOf(token));
  const auto check = [&](int32_t id) {
    return id >= 0 && id < count && !tables.tokens[static_cast<size_t>(id)].empty();
  };
  for (const auto& named : {tables.bos, tables.eos, tables.unknown}) {
    if (named && !check(*named)) return corrupt("special id " + std::to_string(*named) + " is no token");
  }
  if (!std::all_of(tables.prefix.begin(), tables.prefix.end(), check)) return corrupt("prefix holds what is no token");

  for (size_t b = 0; b < 256; ++b) {
    const auto found = data->ids.find(InAlphabet(std::string(1, static_cast<char>(b))));
    // A byte must not become a control token, whatever the vocabulary calls it.
    const bool usable = found != data->ids.end() && !data->special[static_cast<size_t>(found->second)];
    data->byte_ids[b] = usable ? found->second : -1;
  }
  data->merger.Reserve(tables.merges.size());
  for (size_t rank = 0; rank < tables.merges.size(); ++rank) {
    const auto& [left, right] = tables.merges[rank];
    const auto a = data->ids.find(left), b = data->ids.find(right), merged = data->ids.find(left + right);
    if (a == data->ids.end() || b == data->ids.end() || merged == data->ids.end()) {
      return corrupt("merge '" + Printable(left) + " " + Printable(right) + "' is of what are no tokens");
    }
    if (data->special[static_cast<size_t>(merged->second)]) {
      return corrupt("merge '" + Printable(left) + " " + Printable(right) + "' makes a special token of ordinary text");
    }
    data->merger.Add(a->second, b->second, {static_cast<int32_t>(rank), merged->second});
  }
  if (tables.ignore_merges) {
    for (size_t id = 0; id < tables.tokens.size(); ++id) {
      const std::string& token = tables.tokens[id];
      if (token.empty() || added[id] || InAlphabet(data->bytes[id]) != token) continue;
      data->whole.emplace(data->bytes[id], static_cast<int32_t>(id));
    }
  }
  tables.merges = {};
  data->tables = std::move(tables);
  return Tokenizer(data);
}

Result<std::vector<int32_t>> Tokenizer::Encode(std::string_view text, const EncodeOptions& options) const {
  if (text.size() > kMostText) {
    return Fail(ErrorCode::kInvalidArgument, "the text is longer than " + std::to_string(kMostText >> 20) + " MiB.");
  }
  if (!IsUtf8(text)) return Fail(ErrorCode::kInvalidArgument, "the text is not UTF-8.");
  std::vector<int32_t> ids, scratch;
  if (options.add_prefix) ids = data_->tables.prefix;
  const Finders& finders = options.parse_special ? data_->all : data_->ordinary;
  std::optional<int32_t> unknown = data_->tables.unknown;
  if (unknown && !options.parse_special && IsSpecial(*unknown)) unknown.reset();
  const auto take = [&](int32_t id) { ids.push_back(id); };
  std::vector<std::string_view> pieces;
  finders.raw.Split(
      text,
      [&](std::string_view part) {
        const std::string composed = data_->tables.nfc ? ComposeNfc(part) : std::string(part);
        finders.composed.Split(
            composed,
            [&](std::string_view between) {
              pieces.clear();
              SplitIntoPieces(data_->tables.pre_tokenizer, between, pieces);
              for (const std::string_view piece : pieces) data_->EncodePiece(piece, unknown, scratch, ids);
            },
            take);
      },
      take);
  return ids;
}

std::string Tokenizer::Decode(std::span<const int32_t> ids, bool skip_special) const {
  StreamingDecoder decoder(*this, skip_special);
  std::string text;
  for (const int32_t id : ids) text += decoder.Add(id);
  return text + decoder.Finish();
}

std::string_view Tokenizer::Bytes(int32_t id) const {
  return id >= 0 && id < size() ? std::string_view(data_->bytes[static_cast<size_t>(id)]) : std::string_view();
}

bool Tokenizer::IsSpecial(int32_t id) const {
  return id >= 0 && id < size() && data_->special[static_cast<size_t>(id)];
}

std::optional<int32_t> Tokenizer::Find(std::string_view token) const {
  const auto found = data_->ids.find(std::string(token));
  return found == data_->ids.end() ? std::nullopt : std::optional(found->second);
}

int32_t Tokenizer::size() const { return static_cast<int32_t>(data_->bytes.size()); }
std::optional<int32_t> Tokenizer::bos() const { return data_->tables.bos; }
std::optional<int32_t> Tokenizer::eos() const { return data_->tables.eos; }
const std::vector<int32_t>& Tokenizer::prefix() const { return data_->tables.prefix; }
const std::string& Tokenizer::chat_template() const { return data_->tables.chat_template; }

std::string StreamingDecoder::Add(int32_t id) {
  std::string text;
  if (skip_special_ && tokenizer_.IsSpecial(id)) return text;
  held_ += tokenizer_.Bytes(id);
  held_.erase(0, AppendLossyUtf8(held_, false, text));
  return text;
}

std::string StreamingDecoder::Finish() {
  std::string text;
  AppendLossyUtf8(held_, true, text);
  held_.clear();
  return text;
}

}  // namespace timbre
