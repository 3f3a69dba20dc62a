// Runs the real program, for end-to-end tests.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace timbre::testing {

struct Ran {
  int code = 0;  // exit code; 128 + n where signal n ended it
  std::string out, err;
};

// `timbre WORDS…`, started in `folder` (empty: the test's own). Waits for its end.
Ran RunTimbre(const std::vector<std::string>& words, const std::filesystem::path& folder = {});

// The same with no more than so many bytes of addresses, and a signal that ends it (142) after a minute and a half.
Ran RunTimbreWithin(uint64_t address_space, const std::vector<std::string>& words,
                    const std::filesystem::path& folder = {});

// A running program.
class Child {
 public:
  // address_space: as in RunTimbreWithin; 0: what the test itself may have, and no end.
  Child(const std::vector<std::string>& words, const std::filesystem::path& folder = {}, uint64_t address_space = 0);
  ~Child();
  void Signal(int signal);
  // What it has written to stderr so far.
  std::string ErrorsSoFar() const;
  // And to stdout.
  std::string OutputSoFar() const;
  Ran Wait();

 private:
  int pid_ = -1;
  std::filesystem::path out_, err_;
};

// A new empty folder, removed with everything in it at the end.
class TempFolder {
 public:
  TempFolder();
  ~TempFolder();
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

// Every file below `folder`, relative to it, sorted.
std::vector<std::string> FilesIn(const std::filesystem::path& folder);

std::string ReadAll(const std::filesystem::path& path);
void WriteAll(const std::filesystem::path& path, const std::string& bytes);

// A stereo 16-bit WAV file of tones and clicks.
void WriteTestWav(const std::filesystem::path& path, double seconds, int rate = 44100);

}  // namespace timbre::testing
