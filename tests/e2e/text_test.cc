// timbre text, as people start it.
#include <nlohmann/json.hpp>

#include "tests/parity/language_support.h"
#include "tests/support/job_pair.h"

namespace timbre {
namespace {

using nlohmann::json;
using testing::LanguageCase;
using testing::RunTimbre;

class TextProgram : public ::testing::Test {
 protected:
  TextProgram() {
    testing::WriteLanguageFolder(kTag, folder_ / "model");
    for (const char* name : {"tokenizer.json", "tokenizer_config.json"}) {
      testing::WriteAll(folder_ / "model" / name, testing::ReadAll(LanguageCase(std::string(kTag) + "/" + name)));
    }
    const auto read = ReadSafetensors(LanguageCase(std::string(kTag) + ".safetensors"));
    EXPECT_TRUE(read);
    if (read) reference_ = *read;
    ids_ = LanguageCase(std::string(kTag) + ".safetensors");
  }

  testing::Ran Run(std::vector<std::string> words) {
    words.insert(words.begin(), "text");
    return RunTimbre(words, folder_.path());
  }

  static constexpr const char* kTag = "llama3-tiny";
  testing::TempFolder folder_;
  Safetensors reference_;
  std::string ids_;
};

TEST_F(TextProgram, IdsGiveScoresAndATextAndAReport) {
  const testing::Ran ran = Run({"-m", "model", "--ids", ids_, "--greedy", "-n", "32", "--logits", "scores.safetensors",
                                "--json", "report.json", "--device", "cpu"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  const std::string text = json::parse(reference_.metadata.at("texts"))["greedy"];
  EXPECT_EQ(ran.out, text + "\n");
  EXPECT_EQ(ran.err, "");
  const auto scores = ReadSafetensors(folder_ / "scores.safetensors");
  ASSERT_TRUE(scores) << scores.error().message;
  EXPECT_GE(testing::RatioDb(testing::Values(reference_, "logits"), testing::Values(*scores, "logits")), 100);
  EXPECT_EQ(scores->tensors->at("logits").shape, reference_.tensors->at("logits").shape);
  const json report = json::parse(testing::ReadAll(folder_ / "report.json"));
  EXPECT_EQ(report["ids"], json(testing::Ids(reference_, "greedy")));
  EXPECT_EQ(report["prompt_ids"], json(testing::Ids(reference_, "ids")));
  EXPECT_EQ(report["text"], text);
  EXPECT_EQ(report["end"], "limit");
  for (const char* key : {"seconds_to_first_token", "tokens_per_second", "bytes_per_token", "fraction_of_bandwidth"}) {
    EXPECT_GT(report[key], 0) << key;
  }
}

TEST_F(TextProgram, AJobFromAFileWritesTheSame) {
  const std::string model = (folder_ / "model").string();
  testing::ExpectSame(
      {{"text", "-m", model, "--ids", ids_, "--greedy", "-n", "4", "--logits", "scores.safetensors"},
       {{"kind", "text"},
        {"options",
         {{"model", model}, {"ids", ids_}, {"greedy", true}, {"max_tokens", 4}, {"logits", "scores.safetensors"}}}},
       {"prompt_seconds", "prompt_tokens_per_second", "seconds_to_first_token", "tokens_per_second",
        "fraction_of_bandwidth", "memory_read_gb_per_s"}},
      [](const testing::TempFolder&) {});
  // What it writes comes piece by piece, and a program that reads the events gets it whole.
  testing::WriteAll(
      folder_ / "job.json",
      json({{"kind", "text"},
            {"options", {{"model", "model"}, {"ids", ids_}, {"greedy", true}, {"max_tokens", 32}, {"device", "cpu"}}}})
          .dump());
  const testing::Ran ran = RunTimbre({"run", "job.json"}, folder_.path());
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ran.out, json::parse(reference_.metadata.at("texts"))["greedy"].get<std::string>() + "\n");
}

TEST_F(TextProgram, APromptInWordsIsTheSame) {
  const std::string prompt = reference_.metadata.at("prompt");
  const testing::Ran ran = Run({"-m", "model", prompt, "--greedy", "-n", "8", "--device", "cpu"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  const std::string text = json::parse(reference_.metadata.at("texts"))["greedy"];
  ASSERT_GT(ran.out.size(), 8u);
  EXPECT_TRUE(text.starts_with(ran.out.substr(0, ran.out.size() - 1))) << ran.out;
  // It ends before whichever of several strings comes first.
  const std::string early = text.substr(3, 2), late = text.substr(5, 2);
  if (early.find_first_of(",\\") != std::string::npos || late.find_first_of(",\\") != std::string::npos) return;
  const testing::Ran stopped = Run({"-m", "model", prompt, "--greedy", "-n", "8", "--device", "cpu", "--stop",
                                    "no\\, never," + late, "--stop", early, "--json", "stopped.json"});
  ASSERT_EQ(stopped.code, 0) << stopped.err;
  const json report = json::parse(testing::ReadAll(folder_ / "stopped.json"));
  EXPECT_EQ(report["end"], "stop string");
  EXPECT_EQ(report["text"], text.substr(0, std::min(text.find(early), text.find(late))));
  EXPECT_EQ(report["options"]["stop"].size(), 3u);
}

TEST_F(TextProgram, OneLineSaysWhatIsWrong) {
  const auto line = [&](const std::vector<std::string>& words) {
    const testing::Ran ran = Run(words);
    EXPECT_NE(ran.code, 0);
    EXPECT_EQ(std::count(ran.err.begin(), ran.err.end(), '\n'), 1) << ran.err;
    return ran.err;
  };
  EXPECT_NE(line({"-m", "model"}).find("prompt"), std::string::npos);
  EXPECT_NE(line({"-m", "model", "x", "--ids", ids_}).find("--ids"), std::string::npos);
  EXPECT_NE(line({"-m", "nothing", "x"}).find("'nothing'"), std::string::npos);
  EXPECT_NE(line({"-m", "hpss", "x"}).find("timbre separate"), std::string::npos);
  EXPECT_NE(line({"-m", "model", "x", "-n", "0"}).find("--logits"), std::string::npos);
  EXPECT_NE(line({"-m", "model", "x", "--system", "y"}).find("--chat"), std::string::npos);
  testing::WriteAll(folder_ / "long.txt", std::string(2000, '1').replace(1, 1998, [] {
    std::string ids;
    while (ids.size() < 1998) ids += " 1";
    return ids;
  }()));
  EXPECT_NE(line({"-m", "model", "--ids", "long.txt"}).find("512"), std::string::npos);
  testing::WriteAll(folder_ / "words.txt", "one two");
  EXPECT_NE(line({"-m", "model", "--ids", "words.txt"}).find("'one'"), std::string::npos);
  testing::WriteAll(folder_ / "ids.txt", "1 2");
  EXPECT_NE(line({"-m", "model", "--ids", "ids.txt", "--logits", "ids.txt"}).find("over an input"), std::string::npos);
  EXPECT_EQ(testing::ReadAll(folder_ / "ids.txt"), "1 2");
  EXPECT_NE(line({"-m", "nothing", "x", "--logits", "nowhere/x.safetensors"}).find("nowhere/"), std::string::npos);
  testing::WriteAll(folder_ / "model" / "generation_config.json", R"({"temperature": -3})");
  const std::string blamed = line({"-m", "model", "x"});
  EXPECT_NE(blamed.find("generation_config.json: the configuration's 'temperature' is not a number from 0 to 100"),
            std::string::npos)
      << blamed;
  std::filesystem::remove(folder_ / "model" / "generation_config.json");
  std::filesystem::remove(folder_ / "model" / "tokenizer.json");
  EXPECT_NE(line({"-m", "model", "x"}).find("tokenizer"), std::string::npos);
}

}  // namespace
}  // namespace timbre
