#include "models/song/lyrics.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <optional>

#include "base/child_process.h"
#include "base/text.h"
#include "models/song/number_words.h"

namespace timbre {
namespace {

constexpr size_t kMaxText = size_t{1} << 20;
constexpr size_t kMaxTokens = size_t{1} << 16;
constexpr int32_t kMaxToken = 1 << 24;

constexpr std::string_view kPhones[] = {
#include "models/song/phones.inc"
};

constexpr std::pair<std::string_view, int32_t> kTags[] = {
    {"start", 500}, {"end", 501},    {"intro", 502}, {"verse", 503}, {"chorus", 504}, {"outro", 505}, {"inst", 506},
    {"solo", 507},  {"bridge", 508}, {"hook", 509},  {"break", 510}, {"stop", 511},   {"space", 512}};

// ---- Text as code points ----

std::u32string Decode(std::string_view text) {
  std::u32string out;
  const auto* at = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
  for (auto left = static_cast<utf8proc_ssize_t>(text.size()); left > 0;) {
    utf8proc_int32_t c = 0;
    const utf8proc_ssize_t n = utf8proc_iterate(at, left, &c);
    if (n <= 0) break;  // the text was checked
    out.push_back(static_cast<char32_t>(c));
    at += n;
    left -= n;
  }
  return out;
}

std::string Encode(std::u32string_view text) {
  std::string out;
  for (const char32_t c : text) {
    utf8proc_uint8_t bytes[4];
    const utf8proc_ssize_t n = utf8proc_encode_char(static_cast<utf8proc_int32_t>(c), bytes);
    out.append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(n));
  }
  return out;
}

bool IsDigit(char32_t c) { return c >= U'0' && c <= U'9'; }
bool IsLatin(char32_t c) { return (c >= U'A' && c <= U'Z') || (c >= U'a' && c <= U'z'); }
bool IsHan(char32_t c) { return c >= 0x4E00 && c <= 0x9FA5; }
bool IsMark(char32_t c) { return std::u32string_view(U",.?!;:'…").find(c) != std::u32string_view::npos; }

bool IsSpace(char32_t c) {
  if ((c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x1F) || c == 0x85) return true;
  const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(c));
  return category == UTF8PROC_CATEGORY_ZS || category == UTF8PROC_CATEGORY_ZL || category == UTF8PROC_CATEGORY_ZP;
}

// Letters, numbers and '_', of any script.
bool IsWord(char32_t c) {
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(c))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO: return true;
    default: return c == U'_';
  }
}

std::u32string_view Strip(std::u32string_view text) {
  while (!text.empty() && IsSpace(text.front())) text.remove_prefix(1);
  while (!text.empty() && IsSpace(text.back())) text.remove_suffix(1);
  return text;
}

std::u32string Wide(std::string_view ascii) { return {ascii.begin(), ascii.end()}; }
std::string Narrow(std::u32string_view ascii) { return {ascii.begin(), ascii.end()}; }

std::u32string Lower(std::u32string_view text) {
  std::u32string lower(text);
  for (char32_t& c : lower) c = c >= U'A' && c <= U'Z' ? c + 32 : c;
  return lower;
}

// Every occurrence that `match` finds, put through `replace`. match(text, at) gives the end of what begins at `at`, or
// `at` where nothing does; what is replaced is not looked at again.
template <typename Match, typename Replace>
std::u32string ReplaceAll(const std::u32string& text, const Match& match, const Replace& replace) {
  std::u32string out;
  for (size_t at = 0; at < text.size();) {
    const size_t end = match(text, at);
    if (end > at) {
      out += replace(text.substr(at, end - at));
      at = end;
    } else {
      out.push_back(text[at++]);
    }
  }
  return out;
}

// ---- Abbreviations and numbers ----

std::u32string ExpandAbbreviations(std::u32string text) {
  constexpr std::pair<std::u32string_view, std::u32string_view> kWords[] = {
      {U"mrs", U"misess"},   {U"mr", U"mister"},    {U"dr", U"doctor"},     {U"st", U"saint"},
      {U"co", U"company"},   {U"jr", U"junior"},    {U"maj", U"major"},     {U"gen", U"general"},
      {U"drs", U"doctors"},  {U"rev", U"reverend"}, {U"lt", U"lieutenant"}, {U"hon", U"honorable"},
      {U"sgt", U"sergeant"}, {U"capt", U"captain"}, {U"esq", U"esquire"},   {U"ltd", U"limited"},
      {U"col", U"colonel"},  {U"ft", U"fort"},      {U"etc", U"et cetera"}, {U"btw", U"by the way"}};
  std::u32string out;
  for (size_t at = 0; at < text.size();) {
    if (!IsWord(text[at])) {
      out.push_back(text[at++]);
      continue;
    }
    size_t end = at;
    while (end < text.size() && IsWord(text[end])) ++end;
    const std::u32string word = text.substr(at, end - at), lower = Lower(word);
    const auto* found = std::find_if(std::begin(kWords), std::end(kWords), [&](auto& w) { return w.first == lower; });
    out += found == std::end(kWords) ? word : std::u32string(found->second);
    at = end;
  }
  return out;
}

size_t Digits(const std::u32string& text, size_t at) {
  while (at < text.size() && IsDigit(text[at])) ++at;
  return at;
}

// As far as digits and `others` go, back to the last digit: "[0-9,]*[0-9]+".
size_t DigitsAnd(const std::u32string& text, size_t at, std::u32string_view others) {
  size_t end = at, digit = at;
  for (; end < text.size() && (IsDigit(text[end]) || others.find(text[end]) != std::u32string_view::npos); ++end) {
    if (IsDigit(text[end])) digit = end + 1;
  }
  return digit;
}

std::string OnlyDigits(std::u32string_view text) {
  std::string digits;
  for (const char32_t c : text) {
    if (IsDigit(c)) digits.push_back(static_cast<char>(c));
  }
  return digits;
}

// The value of a run of digits, as far as it can be compared with small numbers.
int64_t SmallValue(std::string_view digits) {
  int64_t value = 0;
  for (const char c : digits) value = std::min<int64_t>(value * 10 + (c - '0'), 1 << 30);
  return value;
}

std::u32string Dollars(const std::u32string& match) {
  const std::u32string amount = match.substr(1);
  const auto points = std::count(amount.begin(), amount.end(), U'.');
  if (points > 1) return U" " + amount + U" dollars ";
  const size_t point = std::min(amount.find(U'.'), amount.size());
  const std::string whole = OnlyDigits(amount.substr(0, point)), part = OnlyDigits(amount.substr(point));
  const int64_t dollars = SmallValue(whole), cents = SmallValue(part);
  const auto units = [](const std::string& digits, int64_t count, const char* one, const char* many) {
    const size_t first = std::min(digits.find_first_not_of('0'), digits.size());
    return digits.substr(first) + " " + (count == 1 ? one : many);
  };
  std::string words;
  if (dollars > 0) words = units(whole, dollars, "dollar", "dollars");
  if (cents > 0) words += (words.empty() ? "" : ", ") + units(part, cents, "cent", "cents");
  return Wide(" " + (words.empty() ? "zero dollars" : words) + " ");
}

std::u32string Fraction(const std::u32string& match) {
  const size_t slash = match.find(U'/');
  const std::string over = Narrow(match.substr(0, slash)), under = Narrow(match.substr(slash + 1));
  const int64_t a = SmallValue(over), b = SmallValue(under);
  if (a == 1 && b == 2) return U" one half ";
  if (a == 1 && b == 4) return U" one quarter ";
  const std::string parts = b == 2 ? "halves" : b == 4 ? "quarters" : OrdinalWords(under);
  return Wide(" " + CardinalWords(over) + " " + parts + " ");
}

// Years are read in pairs.
std::u32string Number(const std::u32string& match) {
  const std::string digits = Narrow(match);
  const int64_t value = SmallValue(digits);
  const auto words = [](int64_t n) { return CardinalWords(std::to_string(n), ""); };
  if (value <= 1000 || value >= 3000) return Wide(" " + CardinalWords(digits, "") + " ");
  if (value == 2000) return U" two thousand ";
  if (value > 2000 && value < 2010) return Wide(" two thousand " + words(value % 100) + " ");
  if (value % 100 == 0) return Wide(" " + words(value / 100) + " hundred ");
  return Wide(" " + words(value / 100) + (value % 100 < 10 ? " oh " : " ") + words(value % 100) + " ");
}

std::u32string ExpandNumbers(std::u32string text) {
  const auto replaced = [](const std::u32string& s, char32_t from, std::u32string_view to) {
    std::u32string out;
    for (const char32_t c : s) {
      if (c == from) {
        out += to;
      } else {
        out.push_back(c);
      }
    }
    return out;
  };
  // At least three characters: a digit, digits and commas, a digit.
  text = ReplaceAll(
      text,
      [](const std::u32string& t, size_t at) {
        if (!IsDigit(t[at])) return at;
        const size_t end = DigitsAnd(t, at, U",");
        return end - at >= 3 ? end : at;
      },
      [&](const std::u32string& m) { return replaced(m, U',', U""); });
  text = ReplaceAll(
      text,
      [](const std::u32string& t, size_t at) {
        if (t[at] != U'£') return at;
        const size_t end = DigitsAnd(t, at + 1, U",");
        return end > at + 1 ? end : at;
      },
      [](const std::u32string& m) { return m.substr(1) + U" pounds"; });
  text = ReplaceAll(
      text,
      [](const std::u32string& t, size_t at) {
        if (t[at] != U'$') return at;
        const size_t end = DigitsAnd(t, at + 1, U".,");
        return end > at + 1 ? end : at;
      },
      Dollars);
  const auto two_parts = [](char32_t between) {
    return [between](const std::u32string& t, size_t at) {
      const size_t first = Digits(t, at);
      if (first == at || first >= t.size() || t[first] != between) return at;
      const size_t end = Digits(t, first + 1);
      return end > first + 1 ? end : at;
    };
  };
  text = ReplaceAll(text, two_parts(U'/'), Fraction);
  text = ReplaceAll(text, two_parts(U'.'), [&](const std::u32string& m) { return replaced(m, U'.', U" point "); });
  text = ReplaceAll(
      text,
      [](const std::u32string& t, size_t at) {
        const size_t end = DigitsAnd(t, at, U".,");
        return end > at && end < t.size() && t[end] == U'%' ? end + 1 : at;
      },
      [&](const std::u32string& m) { return replaced(m, U'%', U" percent "); });
  text = ReplaceAll(
      text,
      [](const std::u32string& t, size_t at) {
        const size_t end = Digits(t, at);
        if (end == at) return at;
        const std::u32string suffix = t.substr(end, 2);
        return suffix == U"st" || suffix == U"nd" || suffix == U"rd" || suffix == U"th" ? end + 2 : at;
      },
      [](const std::u32string& m) { return Wide(" " + OrdinalWords(OnlyDigits(m)) + " "); });
  return ReplaceAll(
      text, [](const std::u32string& t, size_t at) { return Digits(t, at); }, Number);
}

// ---- Punctuation ----

void Replace(std::u32string& text, std::u32string_view from, std::u32string_view to) {
  for (size_t at = 0; (at = text.find(from, at)) != std::u32string::npos; at += to.size()) {
    text.replace(at, from.size(), to);
  }
}

// Letters, marks and single spaces; no space beside a mark.
std::u32string Normalise(std::u32string_view text) {
  std::u32string plain(text);
  for (char32_t& c : plain) {
    constexpr std::u32string_view kFrom = U"，。！？；：、‘’⋯", kTo = U",.!?;:,''…";
    if (const size_t found = kFrom.find(c); found != std::u32string_view::npos) c = kTo[found];
  }
  for (const std::u32string_view three : {U"···", U"・・・", U"..."}) Replace(plain, three, U"…");
  std::u32string out;
  bool space = false;
  for (const char32_t c : Strip(plain)) {
    if (IsSpace(c)) {
      space = true;
      continue;
    }
    if (!IsWord(c) && !IsMark(c)) continue;
    if (space && !out.empty() && !IsMark(c) && !IsMark(out.back())) out.push_back(U' ');
    space = false;
    out.push_back(c);
  }
  return out;
}

// ---- Phones ----

// A run of one character as a single one.
std::u32string Collapse(std::u32string_view text, char32_t c) {
  std::u32string out;
  for (const char32_t x : text) {
    if (x != c || out.empty() || out.back() != c) out.push_back(x);
  }
  return out;
}

// A piece's phones as the phonemizer gave them -> phones parted by '|', words by "|_|".
std::u32string JoinPhones(std::u32string_view spoken) {
  std::u32string text(Strip(spoken));
  Replace(text, U"\n", U" ");
  Replace(text, U"  ", U" ");
  text = Collapse(text, U'_');
  Replace(text, U"_ ", U" ");
  // Flags of a change of language: "(fr)".
  for (size_t open = 0; (open = text.find(U'(', open)) != std::u32string::npos;) {
    const size_t close = text.find(U')', open + 2);
    if (close == std::u32string::npos) break;
    text.erase(open, close + 1 - open);
  }
  std::u32string out;
  for (const char32_t c : text) {
    if (std::u32string_view(U"ˈˌ'-").find(c) != std::u32string_view::npos) continue;  // stress
    if (c == U' ') {
      out += U"|_|";
    } else {
      out.push_back(c == U'_' ? U'|' : c);
    }
  }
  return out;
}

// Units between boundaries that the vocabulary joins, or names otherwise.
std::u32string MapSpecial(std::u32string text) {
  constexpr std::pair<std::u32string_view, std::u32string_view> kMap[] = {
      {U"t|ɹ", U"tɹ"}, {U"d|ɹ", U"dɹ"},    {U"t|s", U"ts"},  {U"d|z", U"dz"}, {U"ɪ|ɹ", U"ɪɹ"},
      {U"ɐ", U"ɚ"},    {U"ᵻ", U"ɪ"},       {U"əl", U"l"},    {U"x", U"k"},    {U"ɬ", U"l"},
      {U"ʔ", U"t"},    {U"n\u0329", U"n"}, {U"oː|ɹ", U"oːɹ"}};
  const auto boundary = [](char32_t c) { return c == U'_' || c == U'|'; };
  for (const auto& [from, to] : kMap) {
    for (size_t at = 0; (at = text.find(from, at)) != std::u32string::npos;) {
      const size_t end = at + from.size();
      if ((at == 0 || boundary(text[at - 1])) && (end == text.size() || boundary(text[end]))) {
        text.replace(at, from.size(), to);
        at = 0;
      } else {
        ++at;
      }
    }
  }
  return text;
}

// A line of English cut at its marks: pieces and, before, between and behind them, runs of marks.
struct CutLine {
  std::vector<std::u32string> pieces, marks;  // marks: one more
};

CutLine CutAtMarks(std::u32string_view text) {
  CutLine cut;
  cut.marks.emplace_back();
  std::u32string piece;
  const auto end_piece = [&] {
    if (piece.empty()) return;
    cut.pieces.push_back(std::move(piece));
    cut.marks.emplace_back();
    piece.clear();
  };
  for (const char32_t c : text) {
    if (IsMark(c)) {
      end_piece();
      cut.marks.back().push_back(c);
    } else {
      piece.push_back(c);
    }
  }
  end_piece();
  return cut;
}

std::u32string PutBack(const CutLine& cut, std::span<const std::string> spoken) {
  std::u32string text;
  for (size_t i = 0; i < cut.marks.size(); ++i) {
    for (const char32_t c : cut.marks[i]) {
      text.push_back(U'|');
      text.push_back(c);
      text.push_back(U'|');
    }
    if (i < cut.pieces.size()) text += JoinPhones(Decode(spoken[i]));
  }
  text = Collapse(text, U'|');
  while (text.ends_with(U'|')) text.pop_back();
  return text;
}

// The ids of phones; those that the vocabulary lacks go into `unknown`.
std::vector<int32_t> LookUp(std::string_view phones, std::vector<std::string>* unknown) {
  static const std::map<std::string_view, int32_t> ids = [] {
    std::map<std::string_view, int32_t> map;
    for (size_t i = 0; i < std::size(kPhones); ++i) map.emplace(kPhones[i], static_cast<int32_t>(i));
    return map;
  }();
  std::vector<int32_t> tokens;
  while (!phones.empty()) {
    const size_t end = std::min(phones.find('|'), phones.size());
    const std::string_view phone = phones.substr(0, end);
    const auto found = ids.find(phone);
    if (found != ids.end()) {
      tokens.push_back(found->second + 1);  // 0 is the filler
    } else if (!phone.empty() && unknown != nullptr) {
      unknown->emplace_back(phone);
    }
    phones.remove_prefix(std::min(end + 1, phones.size()));
  }
  return tokens;
}

// ---- Lines ----

struct Line {
  int number = 0;
  std::u32string text;
  std::optional<int32_t> tag;
};

std::string Left(int number, const std::string& why) {
  return "line " + std::to_string(number) + " is left out: " + why;
}

// The token of "[tag]", if it is one of the model's.
std::optional<int32_t> TagOf(std::u32string_view inner) {
  std::u32string name = Lower(Strip(inner));
  // A number behind it, and ':' and what follows it, are the writer's own: "[Verse 2: softly]".
  if (const size_t colon = name.find(U':'); colon != std::u32string::npos) name.resize(colon);
  while (!name.empty() && (IsDigit(name.back()) || IsSpace(name.back()) || name.back() == U'#')) name.pop_back();
  for (const auto& [tag, id] : kTags) {
    if (name == Wide(tag)) return id;
  }
  return {};
}

// Lines that hold something; a byte order mark and the carriage returns of other systems are no part of them.
Result<std::vector<Line>> SplitLines(std::string_view text, std::vector<std::string>& warnings) {
  if (text.size() > kMaxText) return Fail(ErrorCode::kUnsupported, "the lyrics take more than a mebibyte");
  if (!IsUtf8(text)) return Fail(ErrorCode::kCorrupt, "the lyrics are not UTF-8; save them as that");
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  std::vector<Line> lines;
  for (int number = 1; !text.empty(); ++number) {
    const size_t end = std::min(text.find('\n'), text.size());
    Line line{number, std::u32string(Strip(Decode(text.substr(0, end)))), {}};
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.text.empty()) continue;
    if (line.text.front() == U'[' && line.text.back() == U']' && line.text.size() > 2) {
      line.tag = TagOf(std::u32string_view(line.text).substr(1, line.text.size() - 2));
      if (!line.tag) {
        warnings.push_back(Left(number, "there is no tag " + Printable(Encode(line.text)) +
                                            "; those that are known are [start], [intro], [verse], [chorus], [bridge], "
                                            "[hook], [break], [inst], [solo], [outro], [end]"));
        continue;
      }
    }
    lines.push_back(std::move(line));
  }
  return lines;
}

Status Append(std::vector<int32_t>& tokens, const std::vector<int32_t>& more) {
  tokens.insert(tokens.end(), more.begin(), more.end());
  tokens.push_back(kEndOfLine);
  if (tokens.size() > kMaxTokens) {
    return Fail(ErrorCode::kUnsupported,
                "the lyrics give more than " + std::to_string(kMaxTokens) + " tokens; no song is that long");
  }
  return {};
}

}  // namespace

Result<std::vector<std::string>> EnglishPhones(std::span<const std::u32string> lines, const Phonemizer& phonemizer) {
  std::vector<CutLine> cuts;
  std::vector<std::string> pieces;
  for (const std::u32string& line : lines) {
    cuts.push_back(CutAtMarks(Normalise(ExpandNumbers(ExpandAbbreviations(line)))));
    for (const std::u32string& piece : cuts.back().pieces) pieces.push_back(Encode(piece));
  }
  std::vector<std::string> spoken;
  if (!pieces.empty()) {
    TIMBRE_TRY(spoken, phonemizer(pieces));
  }
  if (spoken.size() != pieces.size()) return Fail(ErrorCode::kInternal, "not every piece of the lyrics has phones");
  std::vector<std::string> phones;
  size_t first = 0;
  for (const CutLine& cut : cuts) {
    std::u32string text = PutBack(cut, std::span(spoken).subspan(first, cut.pieces.size()));
    first += cut.pieces.size();
    // A word that ends in one of these has a boundary behind it, which a line's end then does not keep: what is left is
    // that the rules see a boundary there.
    constexpr std::u32string_view kPhoneEnds = U"p⁼ʰmftnlkxʃs`ɹaoəɛɪeɑʊŋiuɥwæjː";
    const bool bounded = !text.empty() && kPhoneEnds.find(text.back()) != std::u32string_view::npos;
    if (bounded) text += U"|_";
    text = MapSpecial(text);
    phones.push_back(Encode(text.ends_with(U"|_") ? text.substr(0, text.size() - 2) : text));
  }
  return phones;
}

Result<LyricTokens> TokenizeLyrics(std::string_view text, const Phonemizer& phonemizer) {
  LyricTokens result;
  TIMBRE_TRY(std::vector<Line> lines, SplitLines(text, result.warnings));
  std::vector<std::u32string> sung;
  for (const Line& line : lines) {
    if (line.tag) continue;
    if (std::any_of(line.text.begin(), line.text.end(), IsHan)) {
      return Fail(ErrorCode::kUnsupported,
                  "line " + std::to_string(line.number) +
                      " of the lyrics is Chinese, which can't be read here yet; give its phones with --phones or the "
                      "tokens with --tokens");
    }
    if (std::any_of(line.text.begin(), line.text.end(), IsLatin)) sung.push_back(line.text);
  }
  TIMBRE_TRY(const std::vector<std::string> phones, EnglishPhones(sung, phonemizer));
  size_t next = 0;
  for (const Line& line : lines) {
    if (line.tag) {
      TIMBRE_CHECK(Append(result.tokens, {*line.tag}));
      continue;
    }
    if (std::none_of(line.text.begin(), line.text.end(), IsLatin)) {
      result.warnings.push_back(Left(line.number, "it has no English words in it"));
      continue;
    }
    const std::vector<int32_t> tokens = LookUp(phones[next++], nullptr);
    if (tokens.empty()) {
      result.warnings.push_back(Left(line.number, "no sound is known for it"));
      continue;
    }
    TIMBRE_CHECK(Append(result.tokens, tokens));
  }
  return result;
}

Result<LyricTokens> TokenizePhones(std::string_view text) {
  LyricTokens result;
  TIMBRE_TRY(const std::vector<Line> lines, SplitLines(text, result.warnings));
  for (const Line& line : lines) {
    if (line.tag) {
      TIMBRE_CHECK(Append(result.tokens, {*line.tag}));
      continue;
    }
    std::vector<std::string> unknown;
    const std::vector<int32_t> tokens = LookUp(Encode(line.text), &unknown);
    if (!unknown.empty()) {
      result.warnings.push_back(
          "line " + std::to_string(line.number) + ": the phone '" + Printable(unknown[0]) + "'" +
          (unknown.size() > 1 ? " and " + std::to_string(unknown.size() - 1) + " more are" : " is") +
          " unknown and left out");
    }
    if (!tokens.empty()) TIMBRE_CHECK(Append(result.tokens, tokens));
  }
  return result;
}

Result<std::vector<int32_t>> ParseTokens(std::string_view text) {
  if (text.size() > kMaxText) return Fail(ErrorCode::kUnsupported, "the tokens take more than a mebibyte");
  std::vector<int32_t> tokens;
  constexpr std::string_view kBetween = " \t\r\n,[]";
  for (;;) {
    const size_t begin = text.find_first_not_of(kBetween);
    if (begin == std::string_view::npos) return tokens;
    text.remove_prefix(begin);
    const std::string_view word = text.substr(0, text.find_first_of(kBetween));
    int32_t token = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), token);
    if (error != std::errc() || end != word.data() + word.size() || token < 0 || token > kMaxToken) {
      return Fail(ErrorCode::kCorrupt, "'" + Printable(word, 40) + "' is not a token");
    }
    tokens.push_back(token);
    if (tokens.size() > kMaxTokens) {
      return Fail(ErrorCode::kUnsupported, "there are more than " + std::to_string(kMaxTokens) + " tokens");
    }
    text.remove_prefix(word.size());
  }
}

std::vector<std::string_view> LyricTagNames() {
  std::vector<std::string_view> names;
  for (const auto& [name, token] : kTags) names.push_back(name);
  return names;
}

Phonemizer EspeakPhonemizer(std::function<Status()> watch) {
  return [watch = std::move(watch)](std::span<const std::string> pieces) -> Result<std::vector<std::string>> {
    const auto speak = [&watch](const std::string& input) -> Result<std::string> {
      auto ran = RunChild({"espeak-ng", "-q", "--ipa", "--sep=_", "-v", "en-us", "-b", "1"}, input,
                          {.most_output = (size_t{1} << 20) + 64 * input.size(), .watch = watch});
      if (!ran && ran.error().code == ErrorCode::kNotFound) {
        return Fail(ErrorCode::kNotFound,
                    "the lyrics are read by espeak-ng, which is not installed: install the package espeak-ng, or give "
                    "--phones or --tokens");
      }
      if (!ran) return tl::unexpected<Error>(ran.error());
      if (ran->exit_code != 0 && watch) TIMBRE_CHECK(watch());  // a signal may have reached both
      if (ran->exit_code != 0) {
        return Fail(ErrorCode::kIo, "espeak-ng failed with exit code " + std::to_string(ran->exit_code));
      }
      return std::move(ran->output);
    };
    const auto lines_of = [](const std::string& text) {
      std::vector<std::string> lines;
      for (size_t at = 0; at < text.size();) {
        const size_t end = std::min(text.find('\n', at), text.size());
        lines.push_back(text.substr(at, end - at));
        at = end + 1;
      }
      return lines;
    };
    std::string input;
    for (const std::string& piece : pieces) input += piece + "\n";
    TIMBRE_TRY(const std::string output, speak(input));
    std::vector<std::string> spoken = lines_of(output);
    if (spoken.size() == pieces.size()) return spoken;
    // A piece that is long comes in several lines: then each is spoken by itself.
    spoken.clear();
    for (const std::string& piece : pieces) {
      TIMBRE_TRY(const std::string alone, speak(piece + "\n"));
      std::string joined;
      for (const std::string& line : lines_of(alone)) joined += (joined.empty() ? "" : " ") + line;
      spoken.push_back(std::move(joined));
    }
    return spoken;
  };
}

}  // namespace timbre
