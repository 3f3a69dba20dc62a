// What shells complete and what man shows: made from the options that commands have, so all of them are there.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <sstream>

#include "tests/e2e/program.h"
#include "tests/support/places.h"

namespace timbre::testing {
namespace {

using Words = std::vector<std::string>;

int Shell(const std::string& command) { return std::system(command.c_str()); }
bool Installed(const std::string& program) { return Shell("command -v " + program + " > /dev/null 2>&1") == 0; }

// "--model", "--no-tags", … of a command's help.
Words OptionsOf(const std::string& command) {
  Words options;
  std::istringstream help(RunTimbre({command, "--help"}).out);
  for (std::string line; std::getline(help, line);) {
    if (!line.starts_with("  -")) continue;
    const size_t begin = line.find("--"), end = line.find_first_of(" ,", begin);
    if (begin < 6) options.push_back(line.substr(begin, end - begin));
  }
  return options;
}

class Shells : public ::testing::Test {
 protected:
  std::string Script(const std::string& shell) {
    const Ran ran = RunTimbre({"completions", shell});
    EXPECT_EQ(ran.code, 0) << ran.err;
    EXPECT_EQ(ran.err, "");
    WriteAll(folder_ / shell, ran.out);
    return ran.out;
  }
  // What bash completes where the cursor stands behind `words`.
  std::string Completed(const std::string& words, int word) {
    WriteAll(folder_ / "asked", "source ./bash\nCOMP_WORDS=(" + words + ")\nCOMP_CWORD=" + std::to_string(word) +
                                    "\n_timbre\nprintf '%s\\n' \"${COMPREPLY[@]}\"\n");
    EXPECT_EQ(Shell("cd '" + folder_.path().string() + "' && bash asked > out"), 0);
    return ReadAll(folder_ / "out");
  }
  TempFolder folder_;
};

TEST_F(Shells, BashCompletesCommandsOptionsAndValues) {
  const std::string script = Script("bash");
  ASSERT_EQ(Shell("bash -n '" + (folder_ / "bash").string() + "'"), 0);
  EXPECT_EQ(Completed("timbre sepa", 1), "separate\n");
  EXPECT_EQ(Completed("timbre separate --two", 2), "--two-stems\n");
  EXPECT_EQ(Completed("timbre separate --clip \"\"", 3), "rescale\nclamp\nnone\n");
  EXPECT_EQ(Completed("timbre separate --preset kara", 3), "karaoke\n");
  EXPECT_EQ(Completed("timbre separate -m htdemucs_f", 3), "htdemucs_ft\n");
  EXPECT_EQ(Completed("timbre models pu", 2), "pull\n");
  EXPECT_EQ(Completed("timbre help doc", 2), "doctor\n");
  std::filesystem::create_directories(folder_ / "stems-here");
  EXPECT_EQ(Completed("timbre separate -o stems-", 3), "stems-here\n");
  for (const char* command : {"separate", "drums", "denoise", "serve"}) {
    const std::string all = Completed(std::string("timbre ") + command + " -", 2);
    for (const std::string& option : OptionsOf(command)) {
      EXPECT_NE(all.find(option + "\n"), std::string::npos) << command << " " << option;
    }
  }
}

TEST_F(Shells, ZshAndFishHaveEveryOption) {
  const std::string zsh = Script("zsh"), fish = Script("fish");
  EXPECT_TRUE(zsh.starts_with("#compdef timbre\n"));
  if (Installed("zsh")) {
    EXPECT_EQ(Shell("zsh -n '" + (folder_ / "zsh").string() + "'"), 0);
  }
  if (Installed("fish")) {
    EXPECT_EQ(Shell("fish -n '" + (folder_ / "fish").string() + "'"), 0);
  }
  // Quotes are closed, which every shell minds.
  EXPECT_EQ(Shell("bash -c 'set -f; eval \"x=($(grep -o \"^complete .*\" " + (folder_ / "fish").string() + "))\"'"), 0);
  for (const std::string& option : OptionsOf("separate")) {
    EXPECT_NE(zsh.find(option), std::string::npos) << option;
    EXPECT_NE(fish.find("'__fish_seen_subcommand_from separate' -l " + option.substr(2) + " "), std::string::npos)
        << option;
  }
  EXPECT_EQ(RunTimbre({"completions", "tcsh"}).code, 2);
}

TEST_F(Shells, ManualPagesHaveEveryOptionAndEveryCommand) {
  ASSERT_EQ(RunTimbre({"man", "--output", "pages"}, folder_.path()).code, 0);
  const Words pages = FilesIn(folder_ / "pages");
  const std::string main = RunTimbre({"man"}).out;
  EXPECT_EQ(main, ReadAll(folder_ / "pages/timbre.1"));
  for (const std::string& page : pages) {
    if (page == "timbre.1") continue;
    const std::string command = page.substr(7, page.size() - 9);
    EXPECT_NE(main.find("\\fBtimbre\\-" + command + "\\fR(1)"), std::string::npos) << command;
  }
  EXPECT_GE(pages.size(), 28u);
  const std::string page = RunTimbre({"man", "separate"}).out;
  for (std::string option : OptionsOf("separate")) {
    if (option == "--help") continue;
    for (size_t at = 0; (at = option.find('-', at)) != std::string::npos; at += 2) option.replace(at, 1, "\\-");
    EXPECT_NE(page.find("\\fB" + option + "\\fR"), std::string::npos) << option;
  }
  // No line is taken for a request that is none.
  std::istringstream lines(page);
  const Words requests = {".TH", ".SH", ".SS", ".TP", ".nf", ".fi"};
  for (std::string line; std::getline(lines, line);) {
    if (line.empty() || (line[0] != '.' && line[0] != '\'')) continue;
    EXPECT_NE(std::find(requests.begin(), requests.end(), line.substr(0, 3)), requests.end()) << line;
  }
  if (Installed("groff")) {
    const std::string all = (folder_ / "pages").string() + "/*.1";
    EXPECT_EQ(Shell("for page in " + all + "; do groff -K utf8 -man -ww -Tutf8 \"$page\" > /dev/null; done 2> '" +
                    (folder_ / "warnings").string() + "'"),
              0);
    EXPECT_EQ(ReadAll(folder_ / "warnings"), "");
  }
  if (Installed("mandoc")) {
    EXPECT_EQ(Shell("mandoc -T lint -W error '" + (folder_ / "pages/timbre-separate.1").string() + "'"), 0);
  }
  EXPECT_NE(RunTimbre({"man", "seperate"}).err.find("Did you mean 'separate'?"), std::string::npos);
}

// The variables of the README are those of the page.
TEST_F(Shells, TheManualPageKnowsTheVariables) {
  const std::string page = RunTimbre({"man"}).out, readme = ReadAll(SourceDir() + "/README.md");
  size_t count = 0;
  for (size_t at = 0; (at = readme.find("\n| `TIMBRE_", at)) != std::string::npos; ++at) {
    const std::string row = readme.substr(at + 1, readme.find(" | ", at) - at);
    for (size_t name = 0; (name = row.find("TIMBRE_", name)) != std::string::npos; ++name) {
      const std::string variable = row.substr(name, row.find('`', name) - name);
      EXPECT_NE(page.find("\\fB" + variable + "\\fR"), std::string::npos) << variable;
      ++count;
    }
  }
  EXPECT_GE(count, 10u);
}

}  // namespace
}  // namespace timbre::testing
