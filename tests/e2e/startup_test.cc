// What the program opens before it does anything, and what it says of a library that it then lacks.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

#include "audio/ffmpeg.h"
#include "runtime/device/gpu_presence.h"
#include "tests/e2e/program.h"
#include "tests/support/environment.h"

namespace timbre::testing {
namespace {

class Startup : public ::testing::Test {
 protected:
  // The words of the dynamic loader about every file that it opened while the program ran.
  std::string Opened(const std::vector<std::string>& words) {
    const TempFolder told;
    const Environment environment({{"LD_DEBUG", "files"}, {"LD_DEBUG_OUTPUT", (told / "loader").string()}});
    const Ran ran = RunTimbre(words, folder_.path());
    EXPECT_EQ(ran.code, 0) << ran.err;
    std::string all;
    for (const std::string& file : FilesIn(told.path())) all += ReadAll(told / file);
    EXPECT_NE(all.find("libsndfile"), std::string::npos) << "the loader doesn't say what it opens";
    return all;
  }

  TempFolder folder_;
};

TEST_F(Startup, LibrariesAreOpenedForWhatNeedsThem) {
  const std::vector<std::vector<std::string>> without = {
      {"--version"}, {"--help"}, {"separate", "--help"}, {"completions", "bash"}, {"models", "list"}};
  for (const std::vector<std::string>& words : without) {
    const std::string opened = Opened(words);
    for (const char* library :
         {"libavformat", "libavcodec", "libavutil", "libswscale", "libcurl", "libarchive", "libmicrohttpd"})
      EXPECT_EQ(opened.find(library), std::string::npos) << words[0] << " opens " << library;
  }
  EXPECT_TRUE(MayHaveGpu() || Opened({"explain", "gtcrn"}).find("libvulkan") == std::string::npos);
  WriteTestWav(folder_ / "song.wav", 0.5);
  // A plain WAV is read and written without.
  EXPECT_EQ(Opened({"separate", "--model", "hpss", "-o", "out", "song.wav"}).find("libav"), std::string::npos);
  const std::string opened = Opened({"separate", "--model", "hpss", "--format", "flac", "-o", "out", "song.wav"});
  EXPECT_NE(opened.find("libavcodec"), std::string::npos);
}

// The first of the folders where it is looked for holds something else by its name.
TEST_F(Startup, AMissingLibraryIsOneSentence) {
  if (std::getenv("TIMBRE_CHECKOUT") != nullptr) GTEST_SKIP() << "not here: a bundle's own libraries come first";
  WriteTestWav(folder_ / "song.wav", 0.5);
  WriteAll(folder_ / "model.tar.gz", "\x1f\x8b");
  struct Row {
    std::string soname, package;
    std::vector<std::string> words;
  };
  const std::vector<Row> rows = {
      {"libavutil.so." AV_STRINGIFY(LIBAVUTIL_VERSION_MAJOR),
       "libavutil" AV_STRINGIFY(LIBAVUTIL_VERSION_MAJOR),
       {"separate", "--model", "hpss", "--format", "flac", "-o", "made", "--quiet", "song.wav"}},
      {"libcurl.so.4",
       "libcurl4",
       {"models", "pull", "htdemucs", "--mirror", "http://127.0.0.1:1", "--cache", "cache", "--quiet"}},
      {"libarchive.so.13", "libarchive13", {"denoise", "--model", "model.tar.gz", "-o", "made", "--quiet", "song.wav"}},
      {"libmicrohttpd.so.12", "libmicrohttpd12", {"serve", "--listen", "127.0.0.1:0", "--data", "data", "--quiet"}}};
  for (const Row& row : rows) {
    const TempFolder broken;
    WriteAll(broken / row.soname, "no library");
    const Environment environment({{"LD_LIBRARY_PATH", broken.path().string()}});
    EXPECT_EQ(RunTimbre({"--version"}).code, 0);
    const Ran ran = RunTimbre(row.words, folder_.path());
    EXPECT_EQ(ran.code, 1) << row.soname;
    EXPECT_EQ(ran.out, "");
    for (const std::string& word : {row.soname, "the package " + row.package})
      EXPECT_NE(ran.err.find(word), std::string::npos) << ran.err;
    EXPECT_EQ(std::count(ran.err.begin(), ran.err.end(), '\n'), 1) << ran.err;
    EXPECT_TRUE(ran.err.starts_with("timbre: ")) << ran.err;
    EXPECT_FALSE(std::filesystem::exists(folder_ / "made")) << row.soname << ": something was left behind";
  }
}

}  // namespace
}  // namespace timbre::testing
