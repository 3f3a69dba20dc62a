// --list, --shard and timbre audit: what many machines do together, and what says that it is done.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "tests/e2e/program.h"
#include "tests/support/job_pair.h"
#include "tests/support/json_schema.h"

namespace timbre::testing {
namespace {

namespace fs = std::filesystem;

class ManyFilesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    fs::create_directories(folder_ / "in");
    std::string list = "\xEF\xBB\xBF";  // as editors of other systems begin a text
    for (int i = 0; i < 8; ++i) {
      const std::string name = "in/" + std::to_string(i) + ".wav";
      WriteTestWav(folder_ / name, 0.05 + 0.01 * i);
      list += name + (i % 2 == 0 ? "\n" : "\r\n\n");
    }
    WriteAll(folder_ / "list.txt", list);
  }
  Ran Separate(std::vector<std::string> more) {
    std::vector<std::string> words = {"separate", "--model", "hpss", "-o", "out"};
    words.insert(words.end(), more.begin(), more.end());
    return RunTimbre(words, folder_.path());
  }
  // "3 of 5 inputs are done already, …": 3 and 5.
  static std::pair<int, int> Counts(const Ran& ran) {
    int done = -1, all = -1;
    (void)std::sscanf(ran.out.c_str(), "%d of %d inputs are done already", &done, &all);
    return {done, all};
  }
  Ran Audit(std::vector<std::string> more = {}) {
    std::vector<std::string> words = {"audit", "list.txt", "-o", "out"};
    words.insert(words.end(), more.begin(), more.end());
    return RunTimbre(words, folder_.path());
  }
  TempFolder folder_;
};

TEST_F(ManyFilesTest, SharesAddUpToTheListAndNothingIsDoneTwice) {
  size_t done = 0;
  for (int i = 0; i < 3; ++i) {
    const Ran ran = Separate({"--list", "list.txt", "--shard", std::to_string(i) + "/3"});
    ASSERT_EQ(ran.code, 0) << ran.err;
    done += static_cast<size_t>(Counts(ran).second);
    const Ran audit = Audit();
    EXPECT_EQ(audit.code, done == 8 ? 0 : 1) << audit.err;
    EXPECT_EQ(static_cast<size_t>(std::count(audit.out.begin(), audit.out.end(), '\n')), 8 - done);
  }
  EXPECT_EQ(done, 8u);
  // The same bytes as without a list.
  ASSERT_EQ(RunTimbre({"separate", "--model", "hpss", "-o", "alone", "in"}, folder_.path()).code, 0);
  for (int i = 0; i < 8; ++i) {
    const std::string name = "hpss/" + std::to_string(i) + "/harmonic.wav";
    EXPECT_EQ(ReadAll(folder_ / "out" / name), ReadAll(folder_ / "alone" / name));
  }
  EXPECT_EQ(Counts(Separate({"--list", "list.txt", "--json", "report.json"})).first, 8);
  const auto report = nlohmann::ordered_json::parse(ReadAll(folder_ / "report.json"));
  EXPECT_EQ(SchemaErrors(SchemasOf("separate")["report"], report), std::vector<std::string>());
  EXPECT_EQ(Counts(Separate({"--list", "list.txt", "--dry-run"})).first, 8);
  // Other options are other work.
  EXPECT_EQ(Counts(Separate({"--list", "list.txt", "--shard", "0/3", "--sample-format", "f32"})).first, 0);
}

TEST_F(ManyFilesTest, AnAuditFindsWhatIsMissingAndWhatIsDamaged) {
  ASSERT_EQ(Separate({"--list", "list.txt"}).code, 0);
  ASSERT_EQ(Audit().code, 0);
  fs::remove(folder_ / "out" / "hpss" / "3" / "harmonic.wav");
  WriteTestWav(folder_ / "in" / "4.wav", 0.2);
  std::string bytes = ReadAll(folder_ / "out" / "hpss" / "5" / "percussive.wav");
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  WriteAll(folder_ / "out" / "hpss" / "5" / "percussive.wav", bytes);
  EXPECT_EQ(Audit().out, "in/3.wav\nin/4.wav\n");
  EXPECT_EQ(Audit({"--whole"}).out, "in/3.wav\nin/4.wav\nin/5.wav\n");
  // What it prints is a list again.
  WriteAll(folder_ / "again.txt", Audit({"--whole"}).out);
  ASSERT_EQ(Separate({"--list", "again.txt"}).code, 0);
  EXPECT_EQ(Audit().code, 0);
}

TEST_F(ManyFilesTest, OneThatFailsKeepsNoOtherFromBeingDone) {
  WriteAll(folder_ / "in" / "2.wav", "no sound");
  WriteAll(folder_ / "list.txt", ReadAll(folder_ / "list.txt") + "in/none.wav\n");
  const Ran ran = Separate({"--list", "list.txt"});
  EXPECT_EQ(ran.code, 1);
  EXPECT_NE(ran.err.find("in/none.wav"), std::string::npos);
  EXPECT_EQ(Audit().out, "in/2.wav\nin/none.wav\n");
}

TEST_F(ManyFilesTest, EveryCommandOfManyInputsTakesAList) {
  for (const std::vector<std::string>& words : std::vector<std::vector<std::string>>{
           {"master", "-o", "made"}, {"loudness", "--normalise", "-16", "-o", "made"}}) {
    std::vector<std::string> with = words;
    with.insert(with.end(), {"--list", "list.txt", "--shard", "1/4"});
    const Ran ran = RunTimbre(with, folder_.path());
    ASSERT_EQ(ran.code, 0) << ran.err;
    const Ran audit =
        RunTimbre({"audit", "list.txt", "--command", words[0], "-o", "made", "--shard", "1/4"}, folder_.path());
    EXPECT_EQ(audit.code, 0) << audit.err;
  }
  for (const char* command : {"drums", "denoise"}) {
    EXPECT_NE(RunTimbre({command, "--help"}).out.find("--shard"), std::string::npos) << command;
  }
  // A share of what is compared, or made into one, is other work.
  for (const char* command : {"style", "combine", "join", "score"}) {
    const Ran ran = RunTimbre({command, "--shard", "0/2", "in/0.wav", "in/1.wav"}, folder_.path());
    EXPECT_EQ(ran.code, 2) << command;
    EXPECT_NE(ran.err.find("there is no option '--shard'"), std::string::npos) << ran.err;
  }
}

TEST_F(ManyFilesTest, SaysWhatIsWrong) {
  for (const char* shard : {"1", "3/3", "-1/3", "1/0", "a/b", "1/3/5", "0/9999999"}) {
    const Ran ran = Separate({"--list", "list.txt", "--shard", shard});
    EXPECT_EQ(ran.code, 2) << shard;
    EXPECT_NE(ran.err.find("--shard takes I/N"), std::string::npos) << ran.err;
  }
  EXPECT_EQ(Separate({"--list", "nothing.txt"}).code, 1);
  EXPECT_EQ(Separate({}).code, 2);
  EXPECT_EQ(Separate({"--list", "list.txt", "--recursive"}).code, 2);
  WriteAll(folder_ / "long.txt", std::string(5000, 'x'));
  EXPECT_EQ(Separate({"--list", "long.txt"}).code, 2);
}

}  // namespace
}  // namespace timbre::testing
