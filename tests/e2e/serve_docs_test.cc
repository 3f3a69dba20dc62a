// The session that docs/server.md shows, and a server under many jobs.
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>

#include "base/child_process.h"
#include "tests/e2e/program.h"
#include "tests/support/http_client.h"
#include "tests/support/places.h"

namespace timbre::testing {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

class ServeDocs : public ::testing::Test {
 protected:
  void Start() {
    server_.emplace(std::vector<std::string>{"serve", "--listen", "127.0.0.1:0", "--data", (folder_ / "data").string(),
                                             "--reserve", "0", "--rate", "0"});
    const std::string before = "http://127.0.0.1:";
    for (int i = 0; i < 2000 && port_ == 0; ++i) {
      const std::string said = server_->OutputSoFar();
      if (const size_t at = said.find(before); at != std::string::npos && said.find('\n', at) != std::string::npos) {
        port_ = std::atoi(said.c_str() + at + before.size());
      }
      usleep(5000);
    }
    ASSERT_NE(port_, 0) << server_->ErrorsSoFar();
    std::istringstream line(ReadAll(folder_ / "data" / "token"));
    std::string name;
    line >> name >> token_;
  }
  Json Ask(const std::string& method, const std::string& target, const std::string& body = "") {
    const HttpAnswer answer = AskServer(
        port_, method, target, "Authorization: Bearer " + token_ + "\r\nContent-Type: application/json\r\n", body);
    EXPECT_GE(answer.status, 200) << target;
    EXPECT_LT(answer.status, 300) << target << answer.body;
    return Json::parse(answer.body, nullptr, false);
  }
  double Metric(const std::string& name) {
    const std::string text = AskServer(port_, "GET", "/metrics", "Authorization: Bearer " + token_ + "\r\n").body;
    const size_t at = text.find("\n" + name + " ");
    return at == std::string::npos ? -1 : std::atof(text.c_str() + at + name.size() + 2);
  }

  TempFolder folder_;
  std::optional<Child> server_;
  int port_ = 0;
  std::string token_;
};

TEST_F(ServeDocs, TheSessionWithCurlIsTrue) {
  for (const char* tool : {"curl", "jq", "bash"}) {
    if (!RunChild({tool, "--version"}, "", 65536, 10)) GTEST_SKIP() << tool << " is not installed";
  }
  const std::string text = ReadAll(fs::path(SourceDir()) / "docs" / "server.md");
  const std::string opening = "```sh session\n";
  const size_t begin = text.find(opening) + opening.size(), end = text.find("\n```", begin);
  ASSERT_NE(end, std::string::npos);
  Start();
  WriteTestWav(folder_ / "song.wav", 0.3);
  const std::string script = "set -euo pipefail\nexec 2>&1\ncd '" + folder_.path().string() +
                             "'\nexport no_proxy='*' TIMBRE_SERVER=http://127.0.0.1:" + std::to_string(port_) +
                             " TIMBRE_TOKEN=" + token_ + "\n" + text.substr(begin, end - begin) + "\n";
  const auto ran = RunChild({"bash", "-s"}, script, 1 << 20, 60);
  ASSERT_TRUE(ran) << ran.error().message;
  EXPECT_EQ(ran->exit_code, 0) << ran->output;
  EXPECT_NE(ran->output.find("hpss/song/harmonic.wav "), std::string::npos) << ran->output;
  const std::string whole = ReadAll(folder_ / "harmonic.wav");
  EXPECT_EQ(ReadAll(folder_ / "header"), whole.substr(0, 44));
  EXPECT_TRUE(ReadAll(folder_ / "stems.zip").starts_with("PK"));
}

// Jobs that are done, cancelled and deleted; `./dev soak` does this for an
// hour. Descriptors, and memory once it has settled, stay what they were.
TEST_F(ServeDocs, StaysAsItIsUnderManyJobs) {
  const char* text = std::getenv("TIMBRE_SOAK");
  const int seconds = text == nullptr ? 3 : std::max(1, std::atoi(text));
  Start();
  WriteTestWav(folder_ / "song.wav", 0.05);
  const HttpAnswer brought = AskServer(port_, "POST", "/v1/assets?name=song.wav",
                                       "Authorization: Bearer " + token_ + "\r\n", ReadAll(folder_ / "song.wav"));
  const std::string asset = Json::parse(brought.body)["id"];
  const std::string body = Json{{"kind", "separate"}, {"inputs", {asset}}, {"options", {{"model", "hpss"}}}}.dump();
  double files = 0, memory = 0;
  const auto begun = std::chrono::steady_clock::now();
  const auto elapsed = [&] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count(); };
  int rounds = 0;
  for (; elapsed() < seconds || rounds < 3; ++rounds) {
    std::vector<std::string> jobs;
    for (int i = 0; i < 4; ++i) jobs.push_back(Ask("POST", "/v1/jobs", body)["id"]);
    (void)Ask("POST", "/v1/jobs/" + jobs[static_cast<size_t>(rounds) % 4] + "/cancel");
    for (const std::string& job : jobs) {
      Json now = Ask("GET", "/v1/jobs/" + job);
      while (now["ended"].is_null()) now = Ask("GET", "/v1/jobs/" + job + "?wait=10");
      EXPECT_NE(now["state"], "failed") << now;
      (void)Ask("DELETE", "/v1/jobs/" + job);
    }
    if (rounds == 1) files = Metric("process_open_fds");
    if (memory == 0 && elapsed() > seconds / 4.0) memory = Metric("process_resident_memory_bytes");
  }
  EXPECT_GT(files, 0);
  EXPECT_NEAR(Metric("process_open_fds"), files,
              3);  // a connection that is about to close
  if (seconds >= 60) {
    EXPECT_LT(Metric("process_resident_memory_bytes"), memory * 1.05);
  }
  server_->Signal(SIGTERM);
  EXPECT_EQ(server_->Wait().code, 0);
  EXPECT_TRUE(fs::is_empty(folder_ / "data" / "jobs"));
}

}  // namespace
}  // namespace timbre::testing
