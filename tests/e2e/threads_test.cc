// The number of threads decides how long a track takes, and nothing else: the files are the same, bit for bit.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/e2e/program.h"
#include "tests/parity/larsnet_folder.h"
#include "tests/support/golden.h"

namespace timbre::testing {
namespace {

struct Work {
  std::string name;
  std::vector<std::string> words;  // the command, its model and what else it needs
  std::string model;               // below the folder of reference cases; empty: built in, or made here
};

class Threads : public ::testing::TestWithParam<Work> {};

TEST_P(Threads, GiveTheSameBits) {
  const Work& work = GetParam();
  std::vector<std::string> words = work.words;
  if (!work.model.empty()) {
    TIMBRE_NEED_SHARED(SharedPath(work.model));
    words.insert(words.end(), {"--model", SharedPath(work.model)});
  }
  TempFolder folder;
  if (work.name == "larsnet") {
    MakeLarsnetFolder(folder / "larsnet", DataPath("larsnet-small.weights.json"));
    words.insert(words.end(), {"--model", (folder / "larsnet").string()});
  }
  WriteTestWav(folder / "track.wav", 2.5);
  words.insert(words.end(), {"track.wav", "--sample-format", "f32", "--clip", "none", "--device", "cpu"});
  for (const std::string threads : {"1", "2", "3"}) {
    std::vector<std::string> run = words;
    run.insert(run.end(), {"--threads", threads, "-o", threads});
    const Ran ran = RunTimbre(run, folder.path());
    ASSERT_EQ(ran.code, 0) << ran.err;
  }
  const std::vector<std::string> files = FilesIn(folder / "1");
  ASSERT_FALSE(files.empty());
  for (const std::string& file : files) {
    const std::string one = ReadAll(folder / ("1/" + file));
    EXPECT_TRUE(one == ReadAll(folder / ("2/" + file))) << file << " on two threads";
    EXPECT_TRUE(one == ReadAll(folder / ("3/" + file))) << file << " on three threads";
  }
}

INSTANTIATE_TEST_SUITE_P(
    Models, Threads,
    ::testing::Values(Work{"hpss", {"separate", "--model", "hpss"}, ""},
                      Work{"htdemucs", {"separate"}, "goldens/htdemucs/htdemucs-tiny-b9c4b409.th"},
                      Work{"mdx23c",
                           {"separate", "--config", SharedPath("goldens/mdx23c/mdx23c-tiny.yaml")},
                           "goldens/mdx23c/mdx23c-tiny.ckpt"},
                      Work{"larsnet", {"separate"}, ""},
                      Work{"deepfilternet3", {"denoise"}, "goldens/deepfilternet/deepfilternet3.zip"},
                      Work{"gtcrn", {"denoise"}, "goldens/gtcrn/gtcrn-dns3.tar"}),
    [](const auto& test) { return test.param.name; });

// Where the system gives no more threads, as many do as there are; where not even memory for the work is left, a
// sentence says so. Whatever the limit, the program ends.
TEST(ThreadLimit, WithoutRoomForThemThereAreFewer) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer's shadow takes more addresses than any limit leaves";
#endif
  TempFolder folder;
  WriteTestWav(folder / "track.wav", 0.5);
  const std::vector<std::string> words{"separate", "--model", "hpss", "--threads", "1024",
                                       "--device", "cpu",     "-o",   "out",       "track.wav"};
  int fewer = 0;
  for (const uint64_t megabytes : {40, 80, 150, 300, 600}) {
    const Ran ran = RunTimbreWithin(megabytes << 20, words, folder.path());
    if (ran.code == 0) {
      EXPECT_NE(ran.err.find("the system gave no more threads"), std::string::npos) << megabytes << ": " << ran.err;
      EXPECT_EQ(FilesIn(folder / "out").size(), 2u);
      ++fewer;
    } else if (ran.code != 127) {  // not even loaded
      EXPECT_EQ(ran.code, 1) << megabytes << ": " << ran.err;
      EXPECT_NE(ran.err.find("timbre: "), std::string::npos) << megabytes << ": " << ran.err;
    }
  }
  EXPECT_GE(fewer, 1);
}

}  // namespace
}  // namespace timbre::testing
