#include "tests/e2e/program.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iterator>

#include "pipelines/job_json.h"
#include "tests/support/json_schema.h"
#include "tests/support/places.h"

namespace timbre::testing {
namespace fs = std::filesystem;

namespace {

fs::path TempName(const char* pattern) {
  std::string name = (fs::temp_directory_path() / pattern).string();
  const int file = mkstemp(name.data());
  if (file >= 0) close(file);
  return name;
}

// Whatever a test is about, a report that the program wrote is as its schema says; with --server, that of each job.
void ExpectDescribedReport(const std::vector<std::string>& words, const fs::path& folder, const Ran& ran) {
  const auto json = std::find(words.begin(), words.end(), "--json");
  const bool live = std::find(words.begin(), words.end(), "--live") != words.end();  // no job
  if (json == words.end() || json + 1 == words.end() || live || ran.code > 1) return;
  const std::string text = json[1] == "-" ? ran.out : ReadAll(folder / json[1]);
  const Json report = Json::parse(text, nullptr, false);
  if (!report.is_object()) return;  // there is none, or it is not written to a file
  for (const JobKind& kind : JobKinds()) {
    if (kind.command != words[0] || (kind.name != words[0] && report.value("action", "") != kind.name)) continue;
    const bool there = report.contains("server");
    for (const Json& one : there ? report["jobs"] : Json::array({report})) {
      if (there && !one.contains("report")) continue;  // its error says why
      EXPECT_EQ(SchemaErrors(ReportSchema(kind), there ? one["report"] : one), std::vector<std::string>()) << ran.err;
    }
  }
}

}  // namespace

Child::Child(const std::vector<std::string>& words, const fs::path& folder, uint64_t address_space)
    : out_(TempName("timbre-out-XXXXXX")), err_(TempName("timbre-err-XXXXXX")) {
  std::vector<std::string> all = {testing::ProgramPath()};
  all.insert(all.end(), words.begin(), words.end());
  std::vector<char*> argv;
  for (std::string& word : all) argv.push_back(word.data());
  argv.push_back(nullptr);
  pid_ = fork();
  if (pid_ != 0) return;
  if (!folder.empty() && chdir(folder.c_str()) != 0) _exit(126);
  const int null = open("/dev/null", O_RDONLY), out = open(out_.c_str(), O_WRONLY), err = open(err_.c_str(), O_WRONLY);
  dup2(null, 0);
  dup2(out, 1);
  dup2(err, 2);
  if (address_space > 0) {
    const rlimit limit{address_space, address_space};
    if (setrlimit(RLIMIT_AS, &limit) != 0) _exit(126);
    alarm(90);  // outlives the exec
  }
  execv(argv[0], argv.data());
  _exit(127);
}

Child::~Child() {
  if (pid_ > 0) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  std::error_code ignored;
  fs::remove(out_, ignored);
  fs::remove(err_, ignored);
}

void Child::Signal(int signal) { kill(pid_, signal); }

std::string Child::ErrorsSoFar() const { return ReadAll(err_); }

std::string Child::OutputSoFar() const { return ReadAll(out_); }

Ran Child::Wait() {
  int status = 0;
  waitpid(pid_, &status, 0);
  pid_ = -1;
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), ReadAll(out_), ReadAll(err_)};
}

Ran RunTimbre(const std::vector<std::string>& words, const fs::path& folder) {
  Ran ran = Child(words, folder).Wait();
  if (!words.empty()) ExpectDescribedReport(words, folder, ran);
  return ran;
}

Ran RunTimbreWithin(uint64_t address_space, const std::vector<std::string>& words, const fs::path& folder) {
  return Child(words, folder, address_space).Wait();
}

TempFolder::TempFolder() {
  std::string name = (fs::temp_directory_path() / "timbre-test-XXXXXX").string();
  path_ = mkdtemp(name.data()) != nullptr ? name : "";
}

TempFolder::~TempFolder() {
  if (path_.empty()) return;
  std::error_code ignored;
  for (const auto& entry : fs::recursive_directory_iterator(path_, ignored)) {
    if (entry.is_directory(ignored)) fs::permissions(entry.path(), fs::perms::owner_all, ignored);
  }
  fs::remove_all(path_, ignored);
}

std::vector<std::string> FilesIn(const fs::path& folder) {
  std::vector<std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (!entry.is_directory()) files.push_back(fs::relative(entry.path(), folder).string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::string ReadAll(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

void WriteAll(const fs::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

void WriteTestWav(const fs::path& path, double seconds, int rate) {
  const auto frames = static_cast<uint32_t>(seconds * rate);
  std::string bytes;
  const auto put = [&](uint32_t value, int size) {
    for (int i = 0; i < size; ++i) bytes.push_back(static_cast<char>(value >> (8 * i)));
  };
  bytes += "RIFF";
  put(36 + 4 * frames, 4);
  bytes += "WAVEfmt ";
  put(16, 4);
  put(1, 2);
  put(2, 2);
  put(rate, 4);
  put(4 * rate, 4);
  put(4, 2);
  put(16, 2);
  bytes += "data";
  put(4 * frames, 4);
  uint32_t noise = 1;
  for (uint32_t i = 0; i < frames; ++i) {
    const double t = static_cast<double>(i) / rate;
    noise = noise * 1664525u + 1013904223u;
    const double click = std::fmod(t, 0.5) < 0.01 ? (static_cast<double>(noise >> 8) / (1 << 23) - 1) * 0.4 : 0;
    for (int c = 0; c < 2; ++c) {
      const double tone = 0.2 * std::sin(2 * M_PI * 220 * t) + 0.1 * std::sin(2 * M_PI * (c == 0 ? 330 : 440) * t);
      put(static_cast<uint32_t>(std::lround((tone + click) * 32767)), 2);
    }
  }
  WriteAll(path, bytes);
}

}  // namespace timbre::testing
