#include "pipelines/text/lyrics_writer.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "models/song/lyrics.h"
#include "tests/support/golden.h"

namespace timbre {
namespace {

using nlohmann::json;
using Lines = std::vector<std::string>;

// A model that answers from a list, and remembers what it was asked.
class Scripted {
 public:
  explicit Scripted(std::vector<TextWritten> answers) : answers_(std::move(answers)) {}
  ContinueText Go() {
    return [this](const TextBegun& begun, int most, std::span<const std::string> stops,
                  uint64_t seed) -> Result<TextWritten> {
      asked.push_back(begun);
      seeds.push_back(seed);
      EXPECT_GT(most, 0);
      EXPECT_FALSE(stops.empty());
      if (asked.size() > answers_.size()) return Fail(ErrorCode::kInternal, "the script has ended.");
      return answers_[asked.size() - 1];
    };
  }
  std::vector<TextBegun> asked;
  std::vector<uint64_t> seeds;

 private:
  std::vector<TextWritten> answers_;
};

const TextWritten kVerse = {
    "Rain on the window\nYour name on the glass\nI count all the drops\nWaiting for it to pass\n", true};
const TextWritten kChorus = {"Come home, come home\nThe river is high\nCome home, come home\nUnder the sky\n", true};

// What a song makes of it: with no phonemizer that knows anything, so that only the lines themselves matter.
std::vector<std::string> WarningsOfASong(const std::string& text) {
  const auto tokens = TokenizeLyrics(text, [](std::span<const std::string> pieces) -> Result<std::vector<std::string>> {
    return std::vector<std::string>(pieces.size(), "h_ə_l");
  });
  if (!tokens) return {tokens.error().message};
  return tokens->warnings;
}

TEST(LyricsWriter, WritesTheSectionsThatAreAskedFor) {
  Scripted model({kVerse, kChorus, {"Second verse line one here\nSecond verse line two\n", true}});
  Observer observer;
  const LyricsOptions options{
      .about = "summer rain", .structure = {"intro", "verse", "chorus", "solo", "verse", "chorus"}, .seed = 7};
  const auto lyrics = WriteLyrics(options, true, model.Go(), observer);
  ASSERT_TRUE(lyrics) << lyrics.error().message;
  EXPECT_EQ(
      lyrics->Text(),
      "[intro]\n\n[verse]\nRain on the window\nYour name on the glass\nI count all the drops\nWaiting for it to "
      "pass\n\n[chorus]\nCome home, come home\nThe river is high\nCome home, come home\nUnder the sky\n\n[solo]\n\n"
      "[verse]\nSecond verse line one here\nSecond verse line two\n\n[chorus]\nCome home, come home\nThe river is "
      "high\nCome home, come home\nUnder the sky\n");
  EXPECT_TRUE(WarningsOfASong(lyrics->Text()).empty());
  // The chorus was asked for once; each section with what stands before it, and a seed of its own.
  ASSERT_EQ(model.asked.size(), 3u);
  EXPECT_EQ(lyrics->tries, 3);
  EXPECT_EQ(model.seeds, (std::vector<uint64_t>{7, 8, 9}));
  EXPECT_EQ(model.asked[0].text, "[Verse 1]\n");
  EXPECT_TRUE(model.asked[1].text.ends_with("Waiting for it to pass\n\n[Chorus]\n")) << model.asked[1].text;
  EXPECT_TRUE(model.asked[2].text.ends_with("Under the sky\n\n[Verse 2]\n")) << model.asked[2].text;
  ASSERT_EQ(model.asked[0].messages.size(), 2u);
  const std::string& wish = model.asked[0].messages[1].content;
  for (const char* part :
       {"summer rain", "pop song", "120 beats", "[Verse 1], [Chorus], [Verse 2], [Chorus]", "4 short"}) {
    EXPECT_NE(wish.find(part), std::string::npos) << part << " in " << wish;
  }
}

// The template of the music app that raw models are used by, with what it was given.
TEST(LyricsWriter, ARawModelGetsTheTemplate) {
  std::ifstream file(testing::DataPath("lm/lemm-prompts.json"));
  int checked = 0;
  for (const json& one : json::parse(file)) {
    const std::string about = one["prompt"];
    if (about.empty()) continue;
    Scripted model({kVerse});
    Observer observer;
    const auto lyrics = WriteLyrics({.about = about,
                                     .style = one["genre"],
                                     .mood = one["mood"],
                                     .tempo = one["bpm"].get<int>(),
                                     .structure = {"verse"}},
                                    false, model.Go(), observer);
    ASSERT_TRUE(lyrics) << lyrics.error().message;
    EXPECT_TRUE(model.asked[0].messages.empty());
    EXPECT_EQ(model.asked[0].text, one["full"]);
    ++checked;
  }
  EXPECT_GE(checked, 10);
}

TEST(LyricsWriter, FindsStyleMoodAndTempoAsWholeWords) {
  const auto expect = [](const std::string& about, const std::string& style, const std::string& mood, int tempo) {
    const LyricsBrief brief = BriefOf({.about = about});
    EXPECT_EQ(brief.style, style) << about;
    EXPECT_EQ(brief.mood, mood) << about;
    EXPECT_EQ(brief.tempo, tempo) << about;
  };
  expect("summer rain", "pop", "neutral", 120);
  expect("a lighthouse keeper", "pop", "neutral", 120);  // neither "house" nor anything else
  expect("House party, ENERGETIC", "house", "energetic", 140);
  expect("rock anthem about freedom at 140 bpm", "rock", "neutral", 140);
  expect("Popular trap beats, 95BPM", "trap", "neutral", 95);
  expect("calm jazz in 3/4, 88 bpm", "jazz", "calm", 88);
  expect("dub techno, 7 bpm or 1200 bpm", "techno", "neutral", 120);
  expect("fast rock at 999 bpm", "rock", "neutral", 150);  // more than --tempo takes
  expect("slow rock, BPM 96", "rock", "neutral", 96);
  expect("bpm: 96, not 1200 bpm", "pop", "neutral", 96);
  expect("a slow bpm 90s song", "pop", "neutral", 70);
  expect("a slow sad hip-hop song", "hip hop", "sad", 70);
  expect("saddle up, rockets and jazzy unhappy people", "pop", "neutral", 120);
  expect("drum and bass for heavy metal fans", "drum and bass", "neutral", 120);
  const LyricsBrief given = BriefOf({.about = "sad rock at 90 bpm", .style = "polka", .mood = "odd", .tempo = 30});
  EXPECT_EQ(given.style + given.mood, "polkaodd");
  EXPECT_EQ(given.tempo, 30);
}

TEST(LyricsWriter, KeepsWhatCanBeSungAndLeavesOutTheRest) {
  const auto sung = [](const std::string& text, bool complete = true) { return SungLines({text, complete}, 8); };
  EXPECT_EQ(
      sung(
          "Sure! Here are some words:\n\n- \"Rain on the *window*\"\n2. Your name  on the glass\n(softly)\n\nVerse 2:\n"
          "Not this\n"),
      (Lines{"Rain on the window", "Your name on the glass"}));
  EXPECT_EQ(sung("Of course I love you\nSure as the sun\n"), (Lines{"Of course I love you", "Sure as the sun"}));
  EXPECT_EQ(sung("There's a refrain: rain\n1. A song of the sea\nIn verse 2, a chorus is given:\nNo more\n"),
            (Lines{"A song of the sea"}));
  EXPECT_EQ(sung("Sing me a song: no\nSing me a song tonight\nOne universe at 9\n"),
            (Lines{"Sing me a song tonight", "One universe at 9"}));
  EXPECT_EQ(sung("One line of it\nThis song is about rain.\nNo more\n"), (Lines{"One line of it"}));
  EXPECT_EQ(sung("\u591c\u306e\u6d77\nCaf\u00e9 de la nuit\n123 456\n<div>\nla la la\n"),
            (Lines{"Caf\u00e9 de la nuit", "la la la"}));
  EXPECT_EQ(sung("Don\u2019t go\u2026\n"), (Lines{"Don't go..."}));
  EXPECT_EQ(sung("again and again\nagain and again\nagain and again\nover\n"),
            (Lines{"again and again", "again and again", "over"}));
  // A line that was cut off by the end of the tokens.
  EXPECT_EQ(sung("a whole line\na half li", false), (Lines{"a whole line"}));
  EXPECT_EQ(sung("all in one, without an e", false), (Lines{"all in one,"}));
  EXPECT_EQ(sung("nothing of it is who", false), Lines{});
  // Remarks, closed and not.
  EXPECT_EQ(sung("I stand by the sea (softly), alone (in verse 2).\nSails away (and repeats\n(hums)\n"),
            (Lines{"I stand by the sea, alone.", "Sails away"}));
  // What would be a tag of no song, and markup.
  EXPECT_EQ(
      sung("[Guitar solo with a lonely bend]\nRain [whispered] on the roof\n<<sample content of it\nAll night ]long\n"),
      (Lines{"Rain on the roof", "All night long"}));
  // Prose, cut where one breathes, into lines of about a length.
  EXPECT_EQ(
      sung("The rain came down on the old tin roof all night, and I lay there counting every drop until the morning "
           "broke the spell at last"),
      (Lines{"The rain came down on the old tin roof all night,", "and I lay there counting every drop",
             "until the morning broke the spell at last"}));
  EXPECT_EQ(sung("In my dreams I see these brave ones with wings like nothing else"),
            (Lines{"In my dreams I see these brave", "ones with wings like nothing else"}));
  EXPECT_TRUE(sung(std::string(5000, 'a')).empty());
  // Nothing that drives a terminal or a song gets through.
  for (const std::string& line : sung("a\x1b[31m red line\nnul\x01 here\n[verse]\nno\n")) {
    EXPECT_EQ(line.find_first_of("\x1b\x01["), std::string::npos) << line;
  }
}

TEST(LyricsWriter, WritesAgainWhatIsNoLyrics) {
  Scripted model({{"", true},
                  {"Sure! Here are the words of the song about rain:\n", true},
                  {"la la\nla la\nla la\nla la\n", true},
                  {"\u4f60\u597d\n", true},
                  kVerse});
  Observer observer;
  const auto lyrics = WriteLyrics({.about = "rain", .structure = {"verse"}, .seed = 3}, true, model.Go(), observer);
  ASSERT_TRUE(lyrics) << lyrics.error().message;
  EXPECT_EQ(lyrics->tries, 5);
  EXPECT_EQ(model.seeds, (std::vector<uint64_t>{3, 4, 5, 6, 7}));
  EXPECT_EQ(lyrics->sections[0].lines.size(), 4u);
  // Where nothing comes of it, that is said; there is nothing in store.
  Scripted silent(std::vector<TextWritten>(100, TextWritten{"la la\nla la\nla la\n", true}));
  const auto none = WriteLyrics({.about = "rain", .structure = {"verse"}}, true, silent.Go(), observer);
  ASSERT_FALSE(none);
  EXPECT_NE(none.error().message.find("same line over and over"), std::string::npos) << none.error().message;
  EXPECT_EQ(silent.asked.size(), 8u);
}

TEST(LyricsWriter, SaysWhatMakesNoSense) {
  Scripted model({});
  Observer observer;
  const auto expect = [&](const LyricsOptions& options, const std::string& part) {
    const auto refused = WriteLyrics(options, true, model.Go(), observer);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
    EXPECT_NE(refused.error().message.find(part), std::string::npos) << refused.error().message;
  };
  expect({.about = "x", .structure = {"verse", "chrous"}}, "Did you mean 'chorus'?");
  expect({.about = "x", .structure = {"intro", "solo"}}, "section with words");
  expect({.about = "x", .structure = {}}, "section with words");
  expect({.about = "x", .structure = std::vector<std::string>(65, "verse")}, "at most 64");
  expect({.about = " "}, "must be said");
  expect({.about = "\xFF"}, "UTF-8");
  expect({.about = std::string(1001, 'x')}, "1000 bytes");
  EXPECT_TRUE(model.asked.empty());
  // What the model says against it is passed on.
  EXPECT_EQ(WriteLyrics({.about = "x"}, true, model.Go(), observer).error().message, "the script has ended.");
}

TEST(LyricsWriter, CanBeCancelled) {
  class Impatient : public Observer {
    bool Cancelled() override { return true; }
  } impatient;
  Scripted model({kVerse});
  const auto cancelled = WriteLyrics({.about = "x"}, true, model.Go(), impatient);
  ASSERT_FALSE(cancelled);
  EXPECT_EQ(cancelled.error().code, ErrorCode::kCancelled);
  EXPECT_TRUE(model.asked.empty());
}

}  // namespace
}  // namespace timbre
