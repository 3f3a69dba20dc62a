// Who comes from another program finds out what its options are called here.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <regex>
#include <set>

#include "tests/e2e/program.h"

namespace timbre::testing {
namespace {

struct ForeignOption {
  std::string command, name, program, here, why;
};

const ForeignOption kForeign[] = {
#define TIMBRE_FOREIGN(command, name, program, here, why) {command, name, program, here, why},
#define TIMBRE_FOREIGN_LACKING(command, name, program, why) {command, name, program, "", why},
#include "apps/cli/foreign_options.inc"
#undef TIMBRE_FOREIGN
#undef TIMBRE_FOREIGN_LACKING
};

// Every option that an answer names exists, and no foreign one does.
TEST(ForeignOptions, AnswersNameWhatThereIs) {
  std::map<std::string, std::string> help;
  std::set<std::pair<std::string, std::string>> seen;
  for (const ForeignOption& option : kForeign) {
    SCOPED_TRACE(option.name);
    EXPECT_TRUE(seen.insert({option.command, option.name}).second) << "twice in the table";
    EXPECT_NE(option.here.empty(), option.why.empty());
    std::string command = option.command;
    std::smatch other;
    const std::string& here = option.here;
    if (std::regex_search(here, other, std::regex("^timbre ([a-z]+)"))) command = other[1];
    for (const std::string& name : {command, option.command}) {
      if (!help.contains(name)) help[name] = RunTimbre({name, "--help"}).out;
    }
    const std::regex flag("--?[a-z][a-z0-9-]*");
    for (std::sregex_iterator it(here.begin(), here.end(), flag), end; it != end; ++it) {
      EXPECT_NE(help[command].find(it->str() + " "), std::string::npos) << it->str() << " of timbre " << command;
    }
    const std::regex own("[ ,]" + option.name + "[ ,\n]");
    EXPECT_FALSE(std::regex_search(help[option.command], own)) << "timbre has this option itself";
  }
}

TEST(ForeignOptions, TheErrorSaysIt) {
  const auto said = [](const std::vector<std::string>& words) {
    const Ran ran = RunTimbre(words);
    EXPECT_EQ(ran.code, 2);
    EXPECT_EQ(std::count(ran.err.begin(), ran.err.end(), '\n'), 1) << ran.err;
    return ran.err;
  };
  EXPECT_EQ(said({"separate", "song.mp3", "--mp3"}),
            "timbre: there is no option '--mp3'; demucs's --mp3 is --format mp3 here.\n");
  EXPECT_NE(said({"separate", "song.mp3", "-n", "x"}).find("demucs's -n is --model here"), std::string::npos);
  EXPECT_NE(said({"separate", "a.mp3", "--single_stem=Vocals"}).find("--stems here"), std::string::npos);
  EXPECT_NE(said({"denoise", "a.wav", "--pf"}).find("--post-filter 0.02"), std::string::npos);
  EXPECT_NE(said({"denoise", "a.wav", "-D"}).find("needs nothing here"), std::string::npos);
  EXPECT_EQ(said({"drums", "a.wav", "--mp3"}).find("demucs"), std::string::npos);
  EXPECT_NE(said({"separate", "a.wav", "--vr_aggression=5"}).find("has no like here: UVR's VR networks"),
            std::string::npos);
  // A whole command of another program's is answered at once.
  EXPECT_EQ(
      said({"separate", "-n", "htdemucs_ft", "--two-stems=vocals", "--mp3", "--mp3-bitrate=256", "--mp3", "a.wav"}),
      "timbre: there is no option '-n'; demucs's -n is --model here. And demucs's --mp3 is --format mp3 here. And "
      "demucs's --mp3-bitrate is --format mp3 --bitrate here.\n");
}

// So are those who write no command at all, or another program's name.
TEST(ForeignOptions, AFirstWordThatIsNoCommandIsAnswered) {
  const TempFolder folder;
  WriteTestWav(folder / "song.wav", 0.1);
  const auto said = [&](const std::vector<std::string>& words) {
    const Ran ran = RunTimbre(words, folder.path());
    EXPECT_EQ(ran.code, 2);
    return ran.err;
  };
  EXPECT_EQ(said({"demucs", "song.wav"}),
            "timbre: there is no command 'demucs'; what demucs does is 'timbre separate' here.\n");
  for (const char* word : {"song.wav", "-n", "--mp3"}) {
    EXPECT_NE(said({word, "x"}).find("it comes first, as in 'timbre separate song.mp3'"), std::string::npos) << word;
  }
  EXPECT_NE(said({"seperate", "song.wav"}).find("Did you mean 'separate'?"), std::string::npos);
}

// Other programs name models by their files.
TEST(ForeignOptions, AModelNamedByItsFileIsFound) {
  const TempFolder folder;
  WriteTestWav(folder / "song.wav", 0.1);
  const Ran ran = RunTimbre({"separate", "song.wav", "-m", "UVR-MDX-NET-Inst_HQ_5.onnx"}, folder.path());
  EXPECT_EQ(ran.code, 1);
  EXPECT_NE(ran.err.find("belongs to the model mdx-net-inst-hq5"), std::string::npos) << ran.err;
}

}  // namespace
}  // namespace timbre::testing
