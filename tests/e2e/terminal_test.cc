// What the program shows on a terminal: a bar that fits any width, and no character that drives the terminal.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <pty.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sstream>
#include <string>
#include <vector>

#include "tests/e2e/program.h"
#include "tests/support/places.h"

namespace timbre::testing {
namespace {

// What `timbre WORDS…` writes to a terminal of so many columns, stdout and stderr together.
std::string OnTerminal(const std::vector<std::string>& words, const std::filesystem::path& folder, int columns) {
  std::vector<std::string> all = {ProgramPath()};
  all.insert(all.end(), words.begin(), words.end());
  std::vector<char*> argv;
  for (std::string& word : all) argv.push_back(word.data());
  argv.push_back(nullptr);
  winsize size{};
  size.ws_row = 24;
  size.ws_col = static_cast<unsigned short>(columns);
  int terminal = -1;
  const pid_t child = forkpty(&terminal, nullptr, nullptr, &size);
  if (child < 0) return {};
  if (child == 0) {
    if (chdir(folder.c_str()) == 0) execv(argv[0], argv.data());
    _exit(127);
  }
  std::string text;
  char block[4096];
  for (ssize_t n = 0; (n = read(terminal, block, sizeof(block))) > 0;) text.append(block, static_cast<size_t>(n));
  int status = 0;
  waitpid(child, &status, 0);
  close(terminal);
  EXPECT_EQ(status, 0) << text;
  return text;
}

size_t CharactersIn(const std::string& text) {
  size_t count = 0;
  for (const char c : text) count += (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  return count;
}

TEST(TerminalOutput, TheBarFitsAnyWidth) {
  TempFolder folder;
  const std::string name = "a song whose name is longer than a bar is wide \u266b.wav";
  WriteTestWav(folder / name, 0.5);
  for (const size_t columns : {1, 2, 5, 9, 16, 24, 33, 49, 60, 80, 200}) {
    const std::string text = OnTerminal({"separate", "--model", "hpss", "--device", "cpu", "-o", "out", name},
                                        folder.path(), static_cast<int>(columns));
    // The bar is what ends by clearing the rest of its line.
    int bars = 0;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line, '\r');) {
      const size_t end = line.find("\x1b[K");
      if (end == std::string::npos || end == 0) continue;
      const std::string bar = line.substr(0, end);
      ++bars;
      EXPECT_LT(CharactersIn(bar), columns == 1 ? 2 : columns) << bar;
      EXPECT_EQ(bar.find('\n'), std::string::npos) << bar;
      EXPECT_TRUE(columns <= 5 || bar.find(" %") != std::string::npos) << bar;
    }
    // The last bar is whole.
    EXPECT_EQ(text.find("separating ") != std::string::npos, columns >= 24) << text;
    EXPECT_EQ(text.find("[####") != std::string::npos, columns >= 33) << text;
    EXPECT_GE(bars, columns < 2 ? 0 : 1) << columns << ": " << text;
  }
}

TEST(TerminalOutput, AFilesNameDrivesNoTerminal) {
  TempFolder folder;
  // A C1 introducer of sequences, a title, an override of direction, a line of its own.
  const std::string name = "a\u009b31m\x1b]0;x\x07\u202egpj\u2028\nb\xff.wav";
  WriteTestWav(folder / name, 0.5);
  const std::string text = OnTerminal(
      {"separate", "--model", "hpss", "--device", "cpu", "-o", "out", "--json", "-", name}, folder.path(), 80);
  for (const char* control : {"\u009b", "\u202e", "\u2028", "\x1b]", "\x07", "\xff"}) {
    EXPECT_EQ(text.find(control), std::string::npos) << text;
  }
  EXPECT_NE(text.find("31m"), std::string::npos) << text;
  EXPECT_NE(text.find("\\u009b"), std::string::npos) << "the report has the name itself: " << text;
  const std::string refused = RunTimbre({"separate", "--model", "hpss", "b\u009b\u202e\n.wav"}, folder.path()).err;
  EXPECT_EQ(refused.find("\u009b"), std::string::npos) << refused;
  EXPECT_EQ(refused.find('\n'), refused.size() - 1) << refused;
  // Nor does it begin a line, which who reads lines would take for another's.
  for (const std::vector<std::string>& words : {std::vector<std::string>{"separate", "--model", "hpss", "-o", "out"},
                                                {"loudness"},
                                                {"loudness", "--normalise", "-20"}}) {
    std::vector<std::string> all = words;
    all.push_back(name);
    const Ran ran = RunTimbre(all, folder.path());
    EXPECT_EQ(ran.code, 0) << ran.err;
    EXPECT_NE(ran.out.find(" b?.wav"), std::string::npos) << ran.out;
    EXPECT_EQ(ran.out.find("\nb"), std::string::npos) << ran.out;
  }
}

}  // namespace
}  // namespace timbre::testing
