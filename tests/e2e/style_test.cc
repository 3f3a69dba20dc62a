// `timbre style`, on files.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "audio/encode.h"
#include "base/file_mark.h"
#include "formats/safetensors.h"
#include "tests/e2e/program.h"
#include "tests/style_synth.h"

namespace timbre::testing {
namespace {

using Json = nlohmann::json;

void WriteMono(const std::filesystem::path& path, const std::vector<float>& mono) {
  auto writer = AudioWriter::Create(path.string(), {}, 44100, 1);
  ASSERT_TRUE(writer && (*writer)->Write(mono.data(), static_cast<int64_t>(mono.size())) && (*writer)->Finish());
}

// Two clips that are made alike, and one that is not.
void WriteClips(const TempFolder& folder) {
  WriteMono(folder / "a.wav", StyleClipOf(RandomStyleSet(1), 1, 2));
  WriteMono(folder / "b.wav", StyleClipOf(RandomStyleSet(1), 2, 2));
  WriteMono(folder / "c.wav", StyleClipOf(RandomStyleSet(2), 3, 2));
}

TEST(StyleCli, MarksTheStrangerAndMatchesIt) {
  const TempFolder folder;
  WriteClips(folder);
  const Ran ran =
      RunTimbre({"style", "a.wav", "b.wav", "c.wav", "--match", "both", "--json", "report.json"}, folder.path());
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_NE(ran.out.find("all together"), std::string::npos) << ran.out;
  const Json report = Json::parse(ReadAll(folder / "report.json"));
  const Json& clips = report["clips"];
  ASSERT_EQ(clips.size(), 3u);
  EXPECT_TRUE(clips[2]["marked"]);
  EXPECT_GT(clips[2]["distance"].get<double>(), clips[0]["distance"].get<double>());
  EXPECT_GE(clips[2]["terms"].size(), 8u);
  EXPECT_EQ(clips[2]["similarity"], nullptr);
  EXPECT_EQ(clips[0]["output"], "matched/a.wav");
  // The mark names the two features that cause it most.
  const std::string first = clips[2]["terms"][0]["feature"], second = clips[2]["terms"][1]["feature"];
  EXPECT_NE(ran.out.find("c.wav: " + first), std::string::npos) << ran.out;
  EXPECT_NE(ran.out.find(", " + second), std::string::npos) << ran.out;
  // What was written is as loud as all together, as far as peaks allow, and nearer to the rest in its tone.
  const Ran again = RunTimbre({"style", "matched", "--json", "-"}, folder.path());
  ASSERT_EQ(again.code, 0) << again.err;
  const Json after = Json::parse(again.out);
  for (const Json& clip : after["clips"]) {
    EXPECT_NEAR(clip["integrated_lufs"], report["style"]["integrated_lufs"].get<double>(), 0.2) << clip["input"];
    for (const Json& band : clip["match_tone"]["bands"]) EXPECT_LE(std::abs(band["db"].get<double>()), 6.0);
  }
  EXPECT_LT(Json::parse(again.out)["clips"][2]["distance"], clips[2]["distance"]);
}

// A part is what is compared and what is written: a loud end that is left out changes neither.
TEST(StyleCli, APartIsComparedAsItIsWritten) {
  const TempFolder folder;
  WriteClips(folder);
  std::vector<float> loud = StyleClipOf(RandomStyleSet(2), 3, 2);
  for (size_t i = loud.size() / 2; i < loud.size(); ++i) loud[i] *= 4;
  WriteMono(folder / "loud.wav", loud);
  const Ran whole = RunTimbre({"style", "a.wav", "c.wav", "--duration", "1", "--json", "-"}, folder.path());
  ASSERT_EQ(whole.code, 0) << whole.err;
  const Ran ran =
      RunTimbre({"style", "a.wav", "loud.wav", "--duration", "1", "--match", "loudness", "--json", "-"}, folder.path());
  ASSERT_EQ(ran.code, 0) << ran.err;
  const Json first = Json::parse(whole.out)["clips"][1], report = Json::parse(ran.out), second = report["clips"][1];
  EXPECT_EQ(second["samples"], 44100);
  EXPECT_NEAR(second["integrated_lufs"], first["integrated_lufs"].get<double>(), 0.1);
  EXPECT_NEAR(second["distance"], first["distance"].get<double>(), 0.1);
  const Ran written = RunTimbre({"loudness", "matched", "--json", "-"}, folder.path());
  const Json measured = Json::parse(written.out);
  for (const Json& track : measured["tracks"]) {
    EXPECT_NEAR(track["integrated_lufs"], report["style"]["integrated_lufs"].get<double>(), 0.2) << track["input"];
  }
}

// What is there by other options, or beside other clips, is made again.
TEST(StyleCli, SkipsOnlyWhatItWouldMakeAgain) {
  const TempFolder folder;
  WriteClips(folder);
  const auto skipped = [&](std::vector<std::string> words) {
    words.insert(words.begin(), "style");
    words.insert(words.end(), {"--skip-existing"});
    const Ran ran = RunTimbre(words, folder.path());
    EXPECT_EQ(ran.code, 0) << ran.err;
    return ran.out.find("a.wav: skipped") != std::string::npos;
  };
  EXPECT_FALSE(skipped({"a.wav", "b.wav", "--match", "loudness"}));
  EXPECT_TRUE(skipped({"a.wav", "b.wav", "--match", "loudness"}));
  // Where the file system keeps no attributes, a file's age and length have to do.
  const bool kept = MarkOf(folder / "matched/a.wav").has_value();
  EXPECT_EQ(skipped({"a.wav", "b.wav", "--match", "both"}), !kept);
  EXPECT_EQ(skipped({"a.wav", "b.wav", "c.wav", "--match", "both"}), !kept);
  EXPECT_TRUE(skipped({"a.wav", "b.wav", "c.wav", "--match", "both"}));
}

// With clips or without; what is refused is told apart, and of each the word that said it.
TEST(StyleCli, SaysWhatAPromptAsksFor) {
  const TempFolder folder;
  const std::string words = "A slow jazz ballad with trumpet, no drums, BPM 72";
  const Ran ran = RunTimbre({"style", "--prompt", words, "--json", "-"}, folder.path());
  ASSERT_EQ(ran.code, 0) << ran.err;
  const Json report = Json::parse(ran.out);
  const Json& prompt = report["prompt"];
  EXPECT_EQ(prompt["genres"], Json({"jazz"}));
  EXPECT_EQ(prompt["instruments"], Json({"trumpet"}));
  EXPECT_EQ(prompt["without"], Json({"drums"}));
  EXPECT_EQ(prompt["tempo_bpm"], 72);
  const Json& found = prompt["findings"];
  EXPECT_NE(std::find(found.begin(), found.end(),
                      Json({{"kind", "instrument"}, {"value", "drums"}, {"words", "drums"}, {"negated", true}})),
            found.end())
      << found;
  EXPECT_TRUE(report["clips"].empty());
  EXPECT_TRUE(report["style"].is_null());

  WriteClips(folder);
  const Ran both = RunTimbre({"style", "a.wav", "b.wav", "--prompt", "sad rock"}, folder.path());
  ASSERT_EQ(both.code, 0) << both.err;
  for (const char* part : {"Genre: rock", "genre ", "by \"sad\"", "all together"}) {
    EXPECT_NE(both.out.find(part), std::string::npos) << both.out;
  }
  for (const std::vector<std::string>& wrong :
       {std::vector<std::string>{"style"}, {"style", "--prompt", "rock", "--match", "tone"}}) {
    const Ran refused = RunTimbre(wrong, folder.path());
    EXPECT_NE(refused.code, 0);
    EXPECT_NE(refused.err.find("name "), std::string::npos) << refused.err;
  }
}

TEST(StyleCli, SaysWhatMakesNoSense) {
  const TempFolder folder;
  WriteMono(folder / "a.wav", std::vector<float>(44100));
  const auto error = [&](const std::vector<std::string>& words) {
    std::vector<std::string> all = {"style"};
    all.insert(all.end(), words.begin(), words.end());
    const Ran ran = RunTimbre(all, folder.path());
    EXPECT_NE(ran.code, 0);
    EXPECT_EQ(FilesIn(folder.path()), std::vector<std::string>{"a.wav"});
    return ran.err;
  };
  EXPECT_NE(error({"a.wav", "--match", "both"}).find("several clips"), std::string::npos);
  EXPECT_NE(error({"-", "a.wav", "--match", "tone"}).find("read once"), std::string::npos);
  EXPECT_NE(error({"a.wav", "--vector", "a.wav"}).find(".safetensors"), std::string::npos);
  EXPECT_NE(error({"a.wav", "--style-text", "slow"}).find("--vector"), std::string::npos);
  EXPECT_NE(error({"a.wav", "-o", "out"}).find("--match"), std::string::npos);
  EXPECT_NE(error({"gone.wav"}).find("gone.wav"), std::string::npos);
  // Silence is no error: it is like nothing.
  const Ran ran = RunTimbre({"style", "a.wav", "--json", "-"}, folder.path());
  ASSERT_EQ(ran.code, 0) << ran.err;
  const Json clip = Json::parse(ran.out)["clips"][0];
  EXPECT_EQ(clip["distance"], nullptr);
  EXPECT_EQ(clip["features"], nullptr);
}

}  // namespace
}  // namespace timbre::testing
