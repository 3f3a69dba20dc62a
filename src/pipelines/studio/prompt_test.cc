#include "pipelines/studio/prompt.h"

#include <gtest/gtest.h>

namespace timbre {
namespace {

using List = std::vector<std::string>;

TEST(Prompt, WordsAreFoundWholeAndTold) {
  const PromptAnalysis a = AnalysePrompt("A slow, melancholic JAZZ ballad with piano and saxophone");
  EXPECT_EQ(a.genres, (List{"blues", "jazz", "classical"}));
  EXPECT_EQ(a.moods, List{"sad"});
  EXPECT_EQ(a.instruments, (List{"piano", "saxophone"}));
  EXPECT_EQ(a.bpm, 70);
  EXPECT_TRUE(a.vocals);
  ASSERT_GT(a.findings.size(), 3u);
  EXPECT_EQ(a.findings[0].kind, "tempo");
  EXPECT_EQ(a.findings[0].words, "slow");
  EXPECT_EQ(a.findings[1].value, "blues");
  EXPECT_EQ(a.findings[1].words, "melancholic");
  EXPECT_EQ(a.Text(), "Genre: blues, jazz, classical; BPM: 70; Mood: sad; Instruments: piano, saxophone");
}

TEST(Prompt, PartsOfWordsSayNothing) {
  for (const char* prompt : {"a flower", "a glove", "organic", "rapid", "popular", "scrapped", "skateboard", "soulé",
                             "drumroll", "basso continuo", "metallic", "unhappy"}) {
    const PromptAnalysis a = AnalysePrompt(prompt);
    EXPECT_EQ(a.genres, List{"pop"}) << prompt;
    EXPECT_TRUE(a.moods.empty()) << prompt;
    EXPECT_TRUE(a.instruments.empty()) << prompt;
    EXPECT_TRUE(a.findings.empty()) << prompt;
  }
}

TEST(Prompt, HyphensBlanksAndPlurals) {
  EXPECT_EQ(AnalysePrompt("hip-hop").genres, List{"hip-hop"});
  EXPECT_EQ(AnalysePrompt("Hip Hop").genres, List{"hip-hop"});
  EXPECT_EQ(AnalysePrompt("rhythm and blues").genres, (List{"r&b", "blues"}));
  EXPECT_EQ(AnalysePrompt("R&B").genres, List{"r&b"});
  EXPECT_EQ(AnalysePrompt("two guitars and a drum").instruments, (List{"guitar", "drums"}));
  EXPECT_EQ(AnalysePrompt("a twelve-bar thing").genres, List{"blues"});
}

TEST(Prompt, TempoInEveryNotation) {
  const auto tempo = [](const char* prompt) {
    const PromptAnalysis a = AnalysePrompt(prompt);
    return List{std::to_string(a.bpm_low), std::to_string(a.bpm), std::to_string(a.bpm_high)};
  };
  const auto want = [](double low, double bpm, double high) {
    return List{std::to_string(low), std::to_string(bpm), std::to_string(high)};
  };
  EXPECT_EQ(tempo("rock at 128 bpm"), want(123, 128, 133));
  EXPECT_EQ(tempo("128bpm rock"), want(123, 128, 133));
  EXPECT_EQ(tempo("BPM 120"), want(115, 120, 125));
  EXPECT_EQ(tempo("BPM: 90, calm"), want(85, 90, 95));
  EXPECT_EQ(tempo("120-130 bpm"), want(120, 125, 130));
  EXPECT_EQ(tempo("slow 140 bpm"), want(135, 140, 145));
  EXPECT_EQ(tempo("fast"), want(140, 160, 180));
  EXPECT_EQ(tempo("9999 bpm"), want(100, 120, 140));
  EXPECT_EQ(tempo("from 1999"), want(100, 120, 140));
  EXPECT_EQ(tempo(""), want(100, 120, 140));
}

TEST(Prompt, WhatIsNotWantedIsNotThere) {
  const PromptAnalysis a = AnalysePrompt("calm jazz without drums or bass, no vocals, not sad, piano");
  EXPECT_EQ(a.genres, (List{"jazz", "classical"}));
  EXPECT_EQ(a.moods, List{"calm"});
  EXPECT_EQ(a.instruments, List{"piano"});
  EXPECT_EQ(a.without, (List{"drums", "bass", "sad"}));
  EXPECT_FALSE(a.vocals);
  // A clause ends it.
  EXPECT_EQ(AnalysePrompt("no drums, piano").instruments, List{"piano"});
  EXPECT_EQ(AnalysePrompt("no drums but piano").instruments, List{"piano"});
  EXPECT_FALSE(AnalysePrompt("Instrumental funk").vocals);
  EXPECT_FALSE(AnalysePrompt("without any singing").vocals);
  EXPECT_TRUE(AnalysePrompt("with vocals").vocals);
  EXPECT_TRUE(AnalysePrompt("not instrumental").vocals);
}

TEST(Prompt, NoMoreThanAFewOfEach) {
  const PromptAnalysis a = AnalysePrompt("pop rock jazz metal blues happy sad calm");
  EXPECT_EQ(a.genres, (List{"pop", "rock", "jazz"}));
  EXPECT_EQ(a.moods, (List{"happy", "sad"}));
}

TEST(Prompt, AnythingMayBeAsked) {
  EXPECT_EQ(AnalysePrompt(std::string(1 << 20, 'a')).genres, List{"pop"});
  EXPECT_EQ(AnalysePrompt("\xff\xfe\0 jazz\x01").genres, List{"pop"});
  std::string nots;
  for (int i = 0; i < 3000; ++i) nots += "no ";
  EXPECT_EQ(AnalysePrompt(nots + "drums").instruments, List{});
}

}  // namespace
}  // namespace timbre
