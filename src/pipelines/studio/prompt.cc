#include "pipelines/studio/prompt.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <optional>
#include <span>

#include "base/text.h"

namespace timbre {
namespace {

constexpr size_t kLongestPrompt = 10000;

// A value, and the words or phrases that say it, with blanks for hyphens.
struct Entry {
  std::string_view value;
  std::span<const std::string_view> phrases;
};

#define TIMBRE_PHRASES(name, ...) constexpr std::string_view name[] = {__VA_ARGS__}
TIMBRE_PHRASES(kPop, "pop", "mainstream", "catchy", "radio friendly");
TIMBRE_PHRASES(kRock, "rock", "guitar", "electric", "distortion", "power chords");
TIMBRE_PHRASES(kHipHop, "hip hop", "hiphop", "rap", "trap", "beats", "rhymes", "flow");
TIMBRE_PHRASES(kElectronic, "electronic", "edm", "synth", "techno", "house", "trance");
TIMBRE_PHRASES(kJazz, "jazz", "swing", "bebop", "saxophone", "improvisation");
TIMBRE_PHRASES(kClassical, "classical", "orchestra", "symphony", "piano", "strings");
TIMBRE_PHRASES(kCountry, "country", "folk", "acoustic", "banjo", "bluegrass");
TIMBRE_PHRASES(kRnb, "r&b", "soul", "rnb", "rhythm and blues", "groove");
TIMBRE_PHRASES(kMetal, "metal", "heavy", "headbanging", "aggressive", "brutal");
TIMBRE_PHRASES(kIndie, "indie", "alternative", "underground", "experimental");
TIMBRE_PHRASES(kReggae, "reggae", "ska", "dub", "jamaican", "offbeat");
TIMBRE_PHRASES(kBlues, "blues", "twelve bar", "soulful", "melancholic");
constexpr Entry kGenres[] = {
    {"pop", kPop},     {"rock", kRock},           {"hip-hop", kHipHop},  {"electronic", kElectronic},
    {"jazz", kJazz},   {"classical", kClassical}, {"country", kCountry}, {"r&b", kRnb},
    {"metal", kMetal}, {"indie", kIndie},         {"reggae", kReggae},   {"blues", kBlues}};

TIMBRE_PHRASES(kHappy, "happy", "joyful", "cheerful", "uplifting", "bright");
TIMBRE_PHRASES(kSad, "sad", "melancholic", "sorrowful", "emotional", "tearful");
TIMBRE_PHRASES(kEnergetic, "energetic", "powerful", "dynamic", "intense", "vigorous");
TIMBRE_PHRASES(kCalm, "calm", "peaceful", "relaxing", "soothing", "tranquil");
TIMBRE_PHRASES(kDark, "dark", "ominous", "mysterious", "sinister", "haunting");
TIMBRE_PHRASES(kRomantic, "romantic", "love", "passionate", "tender", "intimate");
TIMBRE_PHRASES(kAngry, "angry", "aggressive", "fierce", "furious", "rage");
TIMBRE_PHRASES(kNostalgic, "nostalgic", "reminiscent", "wistful", "longing");
constexpr Entry kMoods[] = {
    {"happy", kHappy}, {"sad", kSad},           {"energetic", kEnergetic}, {"calm", kCalm},
    {"dark", kDark},   {"romantic", kRomantic}, {"angry", kAngry},         {"nostalgic", kNostalgic}};

constexpr std::string_view kInstruments[] = {"guitar",   "piano",     "drums",   "bass",      "synth",
                                             "violin",   "saxophone", "trumpet", "flute",     "organ",
                                             "keyboard", "strings",   "brass",   "percussion"};
constexpr std::string_view kTags[] = {"vintage",  "modern",      "retro",      "futuristic", "minimal",  "complex",
                                      "acoustic", "electric",    "orchestral", "ambient",    "rhythmic", "melodic",
                                      "harmonic", "atmospheric", "driving",    "groovy"};

struct TempoWord {
  std::string_view word;
  double low, high;
};
constexpr TempoWord kTempi[] = {{"slow", 60, 80},    {"ballad", 60, 80},   {"moderate", 80, 120},
                                {"medium", 90, 110}, {"upbeat", 120, 140}, {"energetic", 130, 150},
                                {"fast", 140, 180},  {"intense", 150, 180}};

constexpr std::string_view kNegators[] = {"no", "not", "without", "never"};
// What may stand between a negation and what it is about.
constexpr std::string_view kBetween[] = {"any", "a", "an", "the", "too", "very", "or", "nor", "and"};

struct Word {
  std::string text;
  bool starts = false;  // a clause: after a comma, a full stop and the like
};

std::vector<Word> WordsOf(std::string_view prompt) {
  std::vector<Word> words;
  bool starts = true, inside = false;
  for (const char raw : prompt.substr(0, kLongestPrompt)) {
    const auto c = static_cast<unsigned char>(raw);
    // Bytes of other letters hold words together: "café" is one, and not "caf".
    if (std::isalnum(c) != 0 || c == '&' || c == '\'' || c >= 0x80) {
      if (!inside) words.push_back({"", starts});
      words.back().text += LowerCase(raw);
      inside = true;
      starts = false;
    } else {
      inside = false;
      starts = starts || (c != ' ' && c != '-' && c != '\t' && c != '/');
    }
  }
  return words;
}

// The same word, or the one's plural.
bool Same(std::string_view word, std::string_view phrase) {
  if (word == phrase) return true;
  const std::string_view longer = word.size() > phrase.size() ? word : phrase;
  const std::string_view shorter = word.size() > phrase.size() ? phrase : word;
  return shorter.size() > 3 && longer.size() == shorter.size() + 1 && longer.back() == 's' &&
         longer.substr(0, shorter.size()) == shorter;
}

// How many words from `at` on are the phrase: all of it, or 0.
size_t MatchAt(const std::vector<Word>& words, size_t at, std::string_view phrase) {
  size_t count = 0;
  while (!phrase.empty()) {
    const size_t blank = phrase.find(' ');
    const std::string_view part = phrase.substr(0, blank);
    if (at + count >= words.size() || !Same(words[at + count].text, part)) return 0;
    ++count;
    phrase = blank == std::string_view::npos ? "" : phrase.substr(blank + 1);
  }
  return count;
}

bool IsIn(std::string_view word, std::span<const std::string_view> list) {
  return std::find(list.begin(), list.end(), word) != list.end();
}

std::optional<double> NumberIn(std::string_view word) {
  double number = 0;
  const auto read = std::from_chars(word.data(), word.data() + word.size(), number);
  if (read.ec != std::errc() || read.ptr != word.data() + word.size() || number < 20 || number > 300) return {};
  return number;
}

void AddOnce(std::vector<std::string>& list, std::string_view value, size_t most) {
  if (list.size() < most && std::find(list.begin(), list.end(), value) == list.end()) list.emplace_back(value);
}

class Analyser {
 public:
  explicit Analyser(std::string_view prompt) : words_(WordsOf(prompt)) {}

  PromptAnalysis Run() {
    Bpm();
    for (size_t i = 0; i < words_.size(); ++i) {
      const bool negated = Negated(i);
      for (const Entry& entry : kGenres) Find("genre", entry, i, negated, analysis_.genres, 3);
      for (const Entry& entry : kMoods) Find("mood", entry, i, negated, analysis_.moods, 2);
      for (const std::string_view& word : kInstruments) {
        Find("instrument", {word, {&word, 1}}, i, negated, analysis_.instruments, 100);
      }
      for (const std::string_view& word : kTags) Find("tag", {word, {&word, 1}}, i, negated, analysis_.tags, 100);
      if (!tempo_known_ && !negated) Tempo(i);
      Vocals(i, negated);
    }
    // A value that is asked for somewhere and refused elsewhere is refused.
    for (auto* list : {&analysis_.genres, &analysis_.moods, &analysis_.instruments, &analysis_.tags}) {
      std::erase_if(*list, [&](const std::string& value) {
        return std::find(analysis_.without.begin(), analysis_.without.end(), value) != analysis_.without.end();
      });
    }
    if (analysis_.genres.empty()) analysis_.genres.emplace_back("pop");
    return std::move(analysis_);
  }

 private:
  // Whether "no", "not" or the like stands in front of the word, with nothing between but what such lists hold.
  bool Negated(size_t at) const {
    for (size_t i = at; i > 0 && !words_[i].starts;) {
      --i;
      if (IsIn(words_[i].text, kNegators)) return true;
      if (IsIn(words_[i].text, kBetween)) continue;
      // In a list of what is refused: "no drums or bass".
      const bool joined =
          i + 1 < at && (words_[i + 1].text == "or" || words_[i + 1].text == "nor" || words_[i + 1].text == "and");
      if (!joined) return false;
    }
    return false;
  }

  std::string Quoted(size_t at, size_t count) const {
    std::string text;
    for (size_t i = at; i < at + count; ++i) text += (text.empty() ? "" : " ") + words_[i].text;
    return text;
  }

  void Find(const char* kind, const Entry& entry, size_t at, bool negated, std::vector<std::string>& list,
            size_t most) {
    for (const std::string_view phrase : entry.phrases) {
      const size_t count = MatchAt(words_, at, phrase);
      if (count == 0) continue;
      analysis_.findings.push_back({kind, std::string(entry.value), Quoted(at, count), negated});
      // Only what is named itself is refused: "no strings" is not "no classical".
      if (!negated) {
        AddOnce(list, entry.value, most);
      } else if (phrase == entry.value || entry.phrases.size() == 1) {
        AddOnce(analysis_.without, entry.value, 100);
      }
      return;
    }
  }

  // "120 bpm", "120bpm", "BPM 120", "120-130 bpm".
  void Bpm() {
    for (size_t i = 0; i < words_.size() && !tempo_known_; ++i) {
      std::string_view word = words_[i].text;
      size_t first = i, count = 1;
      std::optional<double> high;
      if (word == "bpm") {
        if (i > 0 && (high = NumberIn(words_[i - 1].text))) {
          first = i - 1;
          count = 2;
        } else if (i + 1 < words_.size() && (high = NumberIn(words_[i + 1].text))) {
          Set(*high - 5, *high + 5, *high, i, 2);
          continue;
        }
      } else if (word.size() > 3 && word.ends_with("bpm")) {
        high = NumberIn(word.substr(0, word.size() - 3));
      }
      if (!high) continue;
      const std::optional<double> low =
          first > 0 && !words_[first].starts ? NumberIn(words_[first - 1].text) : std::nullopt;
      if (low && *low < *high) {
        Set(*low, *high, (*low + *high) / 2, first - 1, count + 1);
      } else {
        Set(*high - 5, *high + 5, *high, first, count);
      }
    }
  }

  void Tempo(size_t at) {
    for (const TempoWord& tempo : kTempi) {
      if (!Same(words_[at].text, tempo.word)) continue;
      Set(tempo.low, tempo.high, (tempo.low + tempo.high) / 2, at, 1);
      return;
    }
  }

  void Set(double low, double high, double bpm, size_t at, size_t count) {
    tempo_known_ = true;
    analysis_.bpm = bpm;
    analysis_.bpm_low = low;
    analysis_.bpm_high = high;
    analysis_.findings.push_back({"tempo", std::to_string(std::lround(bpm)) + " BPM", Quoted(at, count), false});
  }

  void Vocals(size_t at, bool negated) {
    const std::string& word = words_[at].text;
    const bool voice = Same(word, "vocal") || Same(word, "voice") || word == "singing" || Same(word, "singer");
    if (word != "instrumental" && !(voice && negated)) return;
    if (word == "instrumental" && negated) return;
    analysis_.vocals = false;
    analysis_.findings.push_back({"vocals", "none", word, voice});
  }

  const std::vector<Word> words_;
  PromptAnalysis analysis_;
  bool tempo_known_ = false;
};

std::string Joined(const std::vector<std::string>& list) {
  std::string text;
  for (const std::string& item : list) text += (text.empty() ? "" : ", ") + item;
  return text;
}

}  // namespace

PromptAnalysis AnalysePrompt(std::string_view prompt) { return Analyser(prompt).Run(); }

std::string PromptAnalysis::Text() const {
  std::string text = "Genre: " + Joined(genres) + "; BPM: " + std::to_string(std::lround(bpm));
  if (!moods.empty()) text += "; Mood: " + Joined(moods);
  if (!instruments.empty()) text += "; Instruments: " + Joined(instruments);
  return text;
}

}  // namespace timbre
