#include "pipelines/text/lyrics_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <set>

#include "base/suggest.h"
#include "base/text.h"
#include "models/song/lyrics.h"

namespace timbre {
namespace {

constexpr size_t kMostLine = 60, kMostAbout = 1000;
constexpr int kTokensOfALine = 16;
constexpr int kLeastTempo = 20, kMostTempo = 400;
// Sections with words; the other tags stand alone.
constexpr std::array<std::string_view, 5> kSung = {"verse", "chorus", "bridge", "hook", "outro"};

bool IsSung(std::string_view tag) { return std::find(kSung.begin(), kSung.end(), tag) != kSung.end(); }
bool Repeats(std::string_view tag) { return tag == "chorus" || tag == "hook"; }

bool IsLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }

std::string_view Trimmed(std::string_view text, std::string_view away = " \t\r\n") {
  const size_t first = text.find_first_not_of(away);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(away) - first + 1);
}

// ---- What the user wants ----

struct Keyword {
  std::string_view words, meaning;
};

// In the order in which they are looked for: what says more comes first.
constexpr Keyword kStyles[] = {{"drum and bass", "drum and bass"},
                               {"hip hop", "hip hop"},
                               {"hip-hop", "hip hop"},
                               {"rap", "hip hop"},
                               {"trap", "trap"},
                               {"r&b", "R&B"},
                               {"rnb", "R&B"},
                               {"bossa nova", "bossa nova"},
                               {"heavy metal", "metal"},
                               {"metal", "metal"},
                               {"punk", "punk"},
                               {"grunge", "grunge"},
                               {"rock", "rock"},
                               {"blues", "blues"},
                               {"jazz", "jazz"},
                               {"swing", "swing"},
                               {"soul", "soul"},
                               {"funk", "funk"},
                               {"disco", "disco"},
                               {"reggae", "reggae"},
                               {"ska", "ska"},
                               {"country", "country"},
                               {"bluegrass", "bluegrass"},
                               {"folk", "folk"},
                               {"gospel", "gospel"},
                               {"techno", "techno"},
                               {"house", "house"},
                               {"trance", "trance"},
                               {"edm", "electronic"},
                               {"electronic", "electronic"},
                               {"synthwave", "synthwave"},
                               {"synth", "electronic"},
                               {"ambient", "ambient"},
                               {"lo-fi", "lo-fi"},
                               {"lofi", "lo-fi"},
                               {"latin", "latin"},
                               {"salsa", "salsa"},
                               {"opera", "opera"},
                               {"classical", "classical"},
                               {"waltz", "waltz"},
                               {"lullaby", "lullaby"},
                               {"ballad", "ballad"},
                               {"indie", "indie"},
                               {"pop", "pop"}};
constexpr Keyword kMoods[] = {
    {"happy", "happy"},       {"joyful", "happy"},          {"cheerful", "happy"},      {"sad", "sad"},
    {"melancholic", "sad"},   {"melancholy", "sad"},        {"heartbroken", "sad"},     {"lonely", "lonely"},
    {"angry", "angry"},       {"aggressive", "angry"},      {"calm", "calm"},           {"peaceful", "calm"},
    {"relaxed", "calm"},      {"gentle", "calm"},           {"energetic", "energetic"}, {"upbeat", "energetic"},
    {"romantic", "romantic"}, {"tender", "romantic"},       {"dark", "dark"},           {"gloomy", "dark"},
    {"dreamy", "dreamy"},     {"nostalgic", "nostalgic"},   {"hopeful", "hopeful"},     {"uplifting", "hopeful"},
    {"epic", "epic"},         {"mysterious", "mysterious"}, {"playful", "playful"},     {"funny", "playful"}};
struct Pace {
  std::string_view word;
  int tempo;
};
constexpr Pace kPaces[] = {{"slow", 70},       {"ballad", 70},    {"lullaby", 70}, {"calm", 80},
                           {"relaxed", 80},    {"moderate", 105}, {"upbeat", 128}, {"dance", 125},
                           {"energetic", 140}, {"fast", 150},     {"driving", 140}};

// Where `words` stands in `text` with nothing of a word beside it.
bool HasWords(const std::string& text, std::string_view words) {
  const auto part_of_word = [&](size_t i) { return IsLetter(text[i]) || IsDigit(text[i]) || (text[i] & 0x80) != 0; };
  for (size_t at = text.find(words); at != std::string::npos; at = text.find(words, at + 1)) {
    const size_t end = at + words.size();
    if ((at == 0 || !part_of_word(at - 1)) && (end == text.size() || !part_of_word(end))) return true;
  }
  return false;
}

template <typename Table>
std::string Find(const std::string& text, const Table& table, std::string_view otherwise) {
  for (const Keyword& keyword : table) {
    if (HasWords(text, keyword.words)) return std::string(keyword.meaning);
  }
  return std::string(otherwise);
}

// What --tempo takes: two or three digits that no letter stands before.
std::optional<int> BeatsIn(const std::string& text, size_t begin, size_t end) {
  int beats = 0;
  std::from_chars(text.data() + begin, text.data() + end, beats);
  const bool alone = end - begin >= 2 && end - begin <= 3 && (begin == 0 || !IsLetter(text[begin - 1]));
  return alone && beats >= kLeastTempo && beats <= kMostTempo ? std::optional(beats) : std::nullopt;
}

// "95 bpm", "95BPM", "BPM 95", "bpm: 95".
std::optional<int> NumberOfBeats(const std::string& text) {
  for (size_t at = text.find("bpm"); at != std::string::npos; at = text.find("bpm", at + 1)) {
    if (at + 3 < text.size() && (IsLetter(text[at + 3]) || IsDigit(text[at + 3]))) continue;
    size_t end = at;
    while (end > 0 && text[end - 1] == ' ') --end;
    size_t begin = end;
    while (begin > 0 && IsDigit(text[begin - 1])) --begin;
    if (const auto beats = BeatsIn(text, begin, end)) return beats;
    if (at > 0 && IsLetter(text[at - 1])) continue;
    begin = at + 3;
    while (begin < text.size() && (text[begin] == ' ' || text[begin] == ':')) ++begin;
    end = begin;
    while (end < text.size() && IsDigit(text[end])) ++end;
    const bool word = end < text.size() && IsLetter(text[end]);  // "bpm 90s"
    if (const auto beats = BeatsIn(text, begin, end); beats && !word) return beats;
  }
  return std::nullopt;
}

// ---- What the model wrote ----

// A remark to the reader rather than a line of a song.
bool IsChatter(const std::string& lower) {
  constexpr std::string_view kBeginnings[] = {
      "sure!",         "sure,",        "certainly!",   "of course!",    "here is a ",  "here is the ", "here is your ",
      "here's a ",     "here's the ",  "here's your ", "here are the ", "note:",       "notes:",       "title:",
      "this song ",    "these lyrics", "the song is ", "i hope this",   "i hope you ", "let me know",  "as an ai",
      "as a language", "feel free to", "write a ",     "write the ",    "genre:",      "style:",       "tempo:",
      "mood:",         "copyright",    "http",         "assistant:",    "user:"};
  const auto begins = [&](std::string_view beginning) { return lower.starts_with(beginning); };
  // "In verse 2, a chorus is given:"
  constexpr std::string_view kParts[] = {"verse", "chorus", "refrain", "stanza", "song"};
  const auto named = [&](std::string_view part) { return HasWords(lower, part); };
  if (lower.find_first_of(":0123456789") != std::string::npos &&
      std::any_of(std::begin(kParts), std::end(kParts), named)) {
    return true;
  }
  return std::any_of(std::begin(kBeginnings), std::end(kBeginnings), begins) ||
         lower.find("bpm") != std::string::npos || lower.find("lyrics") != std::string::npos;
}

// "Verse 2:", "(Chorus)", "[Bridge]", "Outro".
bool IsHeading(const std::string& lower) {
  std::string_view name = Trimmed(lower, " []():*#-.0123456789");
  for (const std::string_view prefix : {"pre-", "pre ", "final ", "repeat "}) {
    if (name.starts_with(prefix)) name.remove_prefix(prefix.size());
  }
  const auto tags = LyricTagNames();
  return name == "refrain" || std::find(tags.begin(), tags.end(), name) != tags.end();
}

// Without what stands in brackets, which is how to sing or a remark; one that is not closed takes the rest.
std::string WithoutRemarks(std::string_view text) {
  std::string out;
  int depth = 0;
  for (const char c : text) {
    depth += c == '(' || c == '[';
    if (depth == 0) out.push_back(c);
    if (c == ')' || c == ']') depth = std::max(0, depth - 1);
  }
  return out;
}

// A line without remarks and the marks of a list, of emphasis and of quotation.
std::string Plain(std::string_view line) {
  std::string text = PrintableLines(line, ' ');
  for (const auto& [fancy, plain] : {std::pair<std::string_view, std::string_view>{"\u2019", "'"},
                                     {"\u2018", "'"},
                                     {"\u201c", "\""},
                                     {"\u201d", "\""},
                                     {"\u2026", "..."}}) {
    for (size_t at = 0; (at = text.find(fancy, at)) != std::string::npos; at += plain.size()) {
      text.replace(at, fancy.size(), plain);
    }
  }
  text = WithoutRemarks(text);
  std::string_view rest = Trimmed(text, " \t-*_#>\"`~");
  size_t digits = 0;
  while (digits < rest.size() && IsDigit(rest[digits])) ++digits;
  if (digits > 0 && digits < rest.size() && (rest[digits] == '.' || rest[digits] == ')'))
    rest.remove_prefix(digits + 1);
  rest = Trimmed(rest, " \t-*_#>\"`~");
  std::string plain;
  for (const char c : rest) {
    if (std::string_view("*\"_)]").find(c) != std::string_view::npos || (c == ' ' && plain.ends_with(' '))) continue;
    if ((c == '.' || c == ',') && plain.ends_with(' ')) plain.pop_back();  // what stood before was a remark
    plain.push_back(c == '\t' ? ' ' : c);
  }
  return plain;
}

// Whether it has a word in it, and nothing of a script that is not sung.
bool CanBeSung(std::string_view line) {
  if (line.find_first_of("<>{}|\\") != std::string_view::npos) return false;  // markup
  size_t letters = 0, others = 0;
  for (size_t i = 0; i < line.size(); ++i) {
    const auto byte = static_cast<uint8_t>(line[i]);
    letters += IsLetter(line[i]);
    // U+00C0 to U+024F, Latin with marks, begins with these bytes.
    others += byte >= 0xC0 && (byte < 0xC3 || byte > 0xC9);
    others += IsDigit(line[i]) || std::string_view("=/@").find(line[i]) != std::string_view::npos;
  }
  return letters >= 2 && letters > 4 * others;
}

// Cuts off a line: of about equal parts where there must be several, at a mark at which one breathes where one is near.
std::string_view Breath(std::string_view& rest) {
  if (rest.size() <= kMostLine) return std::exchange(rest, {});
  const size_t parts = (rest.size() + kMostLine - 1) / kMostLine, ideal = rest.size() / parts;
  size_t end = 0, worst = std::string_view::npos;
  for (size_t space = rest.find(' '); space <= kMostLine; space = rest.find(' ', space + 1)) {
    const bool mark = space > 0 && std::string_view(",;:.!?").find(rest[space - 1]) != std::string_view::npos;
    const size_t off = (space > ideal ? space - ideal : ideal - space) + (mark ? 0 : kMostLine / 4);
    if (off < worst) {
      worst = off;
      end = space;
    }
  }
  if (end == 0) end = std::min(rest.find(' '), rest.size());  // one endless word
  const std::string_view line = Trimmed(rest.substr(0, end));
  rest = Trimmed(rest.substr(end));
  return line;
}

// Why lines are no section, or nothing.
std::string Fault(const std::vector<std::string>& lines, int wanted) {
  if (static_cast<int>(lines.size()) < (wanted + 1) / 2) return "it wrote too few lines that can be sung";
  const std::set<std::string> different(lines.begin(), lines.end());
  if (2 * different.size() < lines.size() || (different.size() == 1 && lines.size() > 1)) {
    return "it wrote the same line over and over";
  }
  return "";
}

// ---- What the model is told ----

std::string Heading(std::string_view tag, int number) {
  std::string heading(tag);
  heading.front() = static_cast<char>(heading.front() - 32);
  return "[" + heading + (tag == "verse" ? " " + std::to_string(number) : "") + "]\n";
}

TextBegun Begin(const LyricsBrief& brief, const LyricsOptions& options, bool instructed) {
  if (!instructed) {
    return {{},
            "Write " + brief.style + " song lyrics about " + brief.about + ". Make it " + brief.mood + " with a " +
                std::to_string(brief.tempo) + " BPM feel.\n\n"};
  }
  std::string sections;
  int verses = 0;
  for (const std::string& tag : options.structure) {
    if (!IsSung(tag)) continue;
    std::string heading = Heading(tag, verses += tag == "verse");
    heading.pop_back();
    sections += (sections.empty() ? "" : ", ") + heading;
  }
  const std::string mood = brief.mood == "neutral" ? "" : brief.mood + " ";
  return {{{"system", "You are a songwriter. You answer with the words of a song and nothing else."},
           {"user", "Write the words of a " + mood + brief.style + " song about: " + brief.about + ". It has " +
                        std::to_string(brief.tempo) + " beats a minute. Its sections are " + sections + ", each of " +
                        std::to_string(options.lines) +
                        " short lines that rhyme. Every line paints a picture and has at most eight words."}},
          ""};
}

}  // namespace

FieldList LyricsFields(LyricsOptions& options) {
  return {
      {.name = "style", .value = &options.style, .help = "the kind of music (default: found in the prompt, else pop)"},
      {.name = "mood", .value = &options.mood, .help = "the mood (default: found in the prompt, else neutral)"},
      {.name = "tempo",
       .value = &options.tempo,
       .help = "beats a minute (default: found in the prompt, else 120)",
       .placeholder = "BPM",
       .min = kLeastTempo,
       .max = kMostTempo},
      {.name = "structure",
       .value = &options.structure,
       .help = "the sections in order, as tags of songs: verse, chorus, bridge, hook, outro; without words intro, "
               "inst, solo, break, …",
       .placeholder = "TAG,TAG"},
      {.name = "lines", .value = &options.lines, .help = "of a section, at most", .min = 1, .max = 16}};
}

LyricsBrief BriefOf(const LyricsOptions& options) {
  const std::string text = LowerCase(options.about);
  LyricsBrief brief{.about = options.about, .style = options.style, .mood = options.mood};
  if (brief.style.empty()) brief.style = Find(text, kStyles, "pop");
  if (brief.mood.empty()) brief.mood = Find(text, kMoods, "neutral");
  const auto beats = options.tempo ? options.tempo : NumberOfBeats(text);
  const auto* pace =
      std::find_if(std::begin(kPaces), std::end(kPaces), [&](const Pace& p) { return HasWords(text, p.word); });
  brief.tempo = beats.value_or(pace == std::end(kPaces) ? brief.tempo : pace->tempo);
  return brief;
}

std::vector<std::string> SungLines(const TextWritten& written, size_t most) {
  std::string_view text = written.text;
  if (!written.complete) {
    // The last line would have gone on; the only one is taken as far as it made sense.
    const size_t end = text.rfind('\n');
    text = text.substr(0, end != std::string_view::npos ? end : text.find_last_of(".,!?;") + 1);
  }
  std::vector<std::string> lines;
  for (size_t begin = 0; begin < text.size() && lines.size() < most;) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view raw = Trimmed(text.substr(begin, end - begin));
    begin = end + 1;
    if (raw.empty()) continue;
    const std::string line = Plain(raw), lower = LowerCase(line);
    // What comes behind a heading or a remark is another section, or none.
    if (IsHeading(LowerCase(raw)) || IsChatter(lower)) {
      if (lines.empty()) continue;
      break;
    }
    if (!CanBeSung(line)) continue;
    for (std::string_view rest = line; !rest.empty() && lines.size() < most;) {
      const std::string_view part = Trimmed(Breath(rest));
      const bool third = lines.size() >= 2 && lines.back() == part && lines[lines.size() - 2] == part;
      if (part.size() <= kMostLine && CanBeSung(part) && !third) lines.emplace_back(part);
    }
  }
  return lines;
}

std::string Lyrics::Text() const {
  std::string text;
  for (const LyricsSection& section : sections) {
    text += (text.empty() ? "[" : "\n[") + section.tag + "]\n";
    for (const std::string& line : section.lines) text += line + "\n";
  }
  return text;
}

Status CheckLyricsOptions(const LyricsOptions& options) {
  const auto known = LyricTagNames();
  const std::vector<std::string> tags(known.begin(), known.end());
  for (const std::string& tag : options.structure) {
    if (std::find(tags.begin(), tags.end(), tag) == tags.end()) {
      return Fail(ErrorCode::kInvalidArgument,
                  "'" + Printable(tag) + "' is no section of a song." + SuggestionFor(tag, tags));
    }
  }
  const auto sung = std::count_if(options.structure.begin(), options.structure.end(), IsSung);
  if (sung == 0 || options.structure.size() > 64) {
    return Fail(ErrorCode::kInvalidArgument,
                "the structure needs at least one section with words, and at most 64 in all.");
  }
  if (Trimmed(options.about).empty() || options.about.size() > kMostAbout || !IsUtf8(options.about)) {
    return Fail(ErrorCode::kInvalidArgument,
                "what the song is about must be said, in at most " + std::to_string(kMostAbout) + " bytes of UTF-8.");
  }
  return {};
}

Result<Lyrics> WriteLyrics(const LyricsOptions& options, bool instructed, const ContinueText& go_on,
                           Observer& observer) {
  TIMBRE_CHECK(CheckLyricsOptions(options));
  const auto sung = std::count_if(options.structure.begin(), options.structure.end(), IsSung);
  Lyrics lyrics{.brief = BriefOf(options)};
  lyrics.brief.about = PrintableLines(Trimmed(options.about), ' ');
  const TextBegun beginning = Begin(lyrics.brief, options, instructed);
  std::string so_far;  // the lyrics as the model has them before it
  int verses = 0;
  int64_t done = 0;
  for (const std::string& tag : options.structure) {
    LyricsSection section{.tag = tag};
    const auto first = std::find_if(lyrics.sections.begin(), lyrics.sections.end(),
                                    [&](const LyricsSection& other) { return other.tag == tag; });
    if (IsSung(tag)) {
      so_far += Heading(tag, verses += tag == "verse");
      if (Repeats(tag) && first != lyrics.sections.end()) section.lines = first->lines;
      std::string fault;
      for (int i = 0; section.lines.empty(); ++i) {
        if (observer.Cancelled()) return Fail(ErrorCode::kCancelled, "cancelled.");
        if (i == options.tries) {
          return Fail(ErrorCode::kUnsupported,
                      fmt::format("the model wrote no {} in {} {} ({}): try another --seed, or a larger model.", tag, i,
                                  i == 1 ? "try" : "tries", fault));
        }
        TextBegun begun = beginning;
        begun.text += so_far;
        // What a raw model is likely to put next ends the section; one that was instructed may part lines by empty
        // ones.
        const std::vector<std::string> stops =
            instructed ? std::vector<std::string>{"[", "\n\n\n"} : std::vector<std::string>{"[", "\n\n"};
        TIMBRE_TRY(const TextWritten written, go_on(begun, kTokensOfALine * options.lines + kTokensOfALine, stops,
                                                    options.seed + static_cast<uint64_t>(lyrics.tries)));
        ++lyrics.tries;
        std::vector<std::string> lines = SungLines(written, static_cast<size_t>(options.lines));
        fault = Fault(lines, options.lines);
        if (fault.empty()) section.lines = std::move(lines);
      }
      for (const std::string& line : section.lines) so_far += line + "\n";
      so_far += "\n";
      observer.OnProgress({.stage = Stage::kCompute, .done = ++done, .total = sung});
    }
    lyrics.sections.push_back(std::move(section));
  }
  return lyrics;
}

}  // namespace timbre
