#include "formats/pre_tokenizer.h"

#include "formats/unicode.h"

namespace timbre {
namespace {

constexpr std::string_view kQwen2Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kLlama3Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

// A text as characters, and where each begins; behind the last stands one that is of no kind.
class Characters {
 public:
  explicit Characters(std::string_view text) : text_(text) {
    items_.reserve(text.size() + 1);
    ForEachCodePoint(text, [&](char32_t c, std::string_view bytes) {
      items_.push_back({c, static_cast<uint32_t>(bytes.data() - text_.data()), KindOf(c)});
    });
    count_ = items_.size();
    items_.push_back({0, static_cast<uint32_t>(text.size()), CharacterKind::kOther});
  }

  size_t count() const { return count_; }
  char32_t operator[](size_t i) const { return items_[i].c; }
  bool Is(size_t i, CharacterKind kind) const { return i < count_ && items_[i].kind == kind; }
  bool IsLineEnd(size_t i) const { return i < count_ && (items_[i].c == U'\n' || items_[i].c == U'\r'); }
  // The first behind `i` that is of another kind.
  size_t EndOf(CharacterKind kind, size_t i) const {
    while (Is(i, kind)) ++i;
    return i;
  }
  std::string_view Bytes(size_t begin, size_t end) const {
    return text_.substr(items_[begin].offset, items_[end].offset - items_[begin].offset);
  }

 private:
  struct Item {
    char32_t c;
    uint32_t offset;
    CharacterKind kind;
  };
  std::string_view text_;
  std::vector<Item> items_;
  size_t count_ = 0;
};

using enum CharacterKind;

char32_t Folded(char32_t c) { return c == 0x17F ? U's' : c >= U'A' && c <= U'Z' ? c + 32 : c; }

// The end of 's, 't, 're, 've, 'm, 'll or 'd at `i`, or `i` where there is none of them.
size_t Contraction(const Characters& text, size_t i, bool fold) {
  if (i + 1 >= text.count() || text[i] != U'\'') return i;
  const auto at = [&](size_t k) { return k >= text.count() ? 0 : fold ? Folded(text[k]) : text[k]; };
  const char32_t first = at(i + 1), second = at(i + 2);
  if (first == U's' || first == U't' || first == U'm' || first == U'd') return i + 2;
  const bool two =
      (first == U'r' && second == U'e') || (first == U'v' && second == U'e') || (first == U'l' && second == U'l');
  return two ? i + 3 : i;
}

// "\s+(?!\S)|\s+": all space at the end, else all but the last, which belongs to what follows it.
size_t Space(const Characters& text, size_t i) {
  const size_t end = text.EndOf(kSpace, i);
  return end == text.count() || end == i + 1 ? end : end - 1;
}

// '(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
size_t NextGpt2(const Characters& text, size_t i) {
  if (const size_t end = Contraction(text, i, false); end > i) return end;
  const size_t j = i + (text[i] == U' ');
  for (const CharacterKind kind : {kLetter, kNumber, kOther}) {
    if (text.Is(j, kind)) return text.EndOf(kind, j);
  }
  return Space(text, i);
}

// kQwen2Pattern and kLlama3Pattern.
size_t NextQwen2(const Characters& text, size_t i, size_t most_digits) {
  if (const size_t end = Contraction(text, i, true); end > i) return end;
  const bool joins = !text.IsLineEnd(i) && !text.Is(i, kLetter) && !text.Is(i, kNumber);
  if (text.Is(i + joins, kLetter)) return text.EndOf(kLetter, i + joins);
  if (text.Is(i, kNumber)) {
    size_t end = i + 1;
    while (end < i + most_digits && text.Is(end, kNumber)) ++end;
    return end;
  }
  if (const size_t j = i + (text[i] == U' '); text.Is(j, kOther)) {
    size_t end = text.EndOf(kOther, j);
    while (text.IsLineEnd(end)) ++end;
    return end;
  }
  for (size_t end = text.EndOf(kSpace, i); end > i; --end) {
    if (text.IsLineEnd(end - 1)) return end;
  }
  return Space(text, i);
}

}  // namespace

std::optional<PreTokenizer> PreTokenizerOfPattern(std::string_view pattern) {
  if (pattern == kQwen2Pattern) return PreTokenizer::kQwen2;
  if (pattern == kLlama3Pattern) return PreTokenizer::kLlama3;
  return std::nullopt;
}

void SplitIntoPieces(PreTokenizer kind, std::string_view text, std::vector<std::string_view>& pieces) {
  if (kind == PreTokenizer::kSmolLm) {
    size_t begin = 0;  // of what is between two digits: a look ahead ends there
    ForEachCodePoint(text, [&](char32_t c, std::string_view bytes) {
      if (KindOf(c) != kNumber) return;
      const auto at = static_cast<size_t>(bytes.data() - text.data());
      SplitIntoPieces(PreTokenizer::kGpt2, text.substr(begin, at - begin), pieces);
      pieces.push_back(bytes);
      begin = at + bytes.size();
    });
    return SplitIntoPieces(PreTokenizer::kGpt2, text.substr(begin), pieces);
  }
  const Characters characters(text);
  for (size_t i = 0; i < characters.count();) {
    const size_t end = kind == PreTokenizer::kGpt2 ? NextGpt2(characters, i)
                                                   : NextQwen2(characters, i, kind == PreTokenizer::kLlama3 ? 3 : 1);
    pieces.push_back(characters.Bytes(i, end));
    i = end;
  }
}

}  // namespace timbre
