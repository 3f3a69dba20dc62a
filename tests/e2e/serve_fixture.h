// A `timbre serve` of its own for each test, in a folder of its own, and requests to it.
#pragma once

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "tests/e2e/program.h"
#include "tests/support/http_client.h"
#include "tests/support/open_api.h"

namespace timbre::testing {

class ServeTest : public ::testing::Test {
 protected:
  using Json = nlohmann::ordered_json;

  void Start(const std::vector<std::string>& more = {}) {
    std::vector<std::string> words = {"serve",     "--listen", "127.0.0.1:0", "--data", (folder_ / "data").string(),
                                      "--reserve", "0",        "--rate",      "0"};
    words.insert(words.end(), more.begin(), more.end());
    server_.emplace(words);
    port_ = 0;
    for (int i = 0; i < 2000 && port_ == 0; ++i) {
      const std::string said = server_->OutputSoFar();
      const std::string before = "http://127.0.0.1:";
      if (const size_t at = said.find(before); at != std::string::npos && said.find('\n', at) != std::string::npos) {
        port_ = std::atoi(said.c_str() + at + before.size());
      }
      usleep(5000);
    }
    ASSERT_NE(port_, 0) << server_->ErrorsSoFar();
    const std::string line = ReadAll(folder_ / "data" / "token");
    token_ = line.substr(line.find(' ') + 1);
    while (!token_.empty() && token_.back() == '\n') token_.pop_back();
  }
  void Kill() {
    server_->Signal(SIGKILL);
    (void)server_->Wait();
  }
  HttpAnswer Ask(const std::string& method, const std::string& target, const std::string& headers = "",
                 const std::string& body = "", const std::string& until = "") {
    HttpAnswer answer =
        AskServer(port_, method, target, "Authorization: Bearer " + token_ + "\r\n" + headers, body, until);
    // Whatever a test is about: each answer is as the server's own description says.
    for (const std::string& error : AnswerErrors(Description(), method, target, answer)) ADD_FAILURE() << error;
    return answer;
  }
  const Json& Description() {
    if (description_.is_null()) {
      const std::string bearer = "Authorization: Bearer " + token_ + "\r\n";
      description_ = Json::parse(AskServer(port_, "GET", "/v1/openapi.json", bearer).body, nullptr, false);
      EXPECT_TRUE(description_.is_object());
    }
    return description_;
  }
  HttpAnswer Post(const std::string& target, const Json& body, const std::string& headers = "") {
    return Ask("POST", target, "Content-Type: application/json\r\n" + headers, body.dump());
  }
  static Json Parse(const HttpAnswer& answer) {
    Json json = Json::parse(answer.body, nullptr, false);
    EXPECT_FALSE(json.is_discarded()) << answer.headers << answer.body;
    return json;
  }
  std::string Wav(double seconds) {
    WriteTestWav(folder_ / "made.wav", seconds);
    return ReadAll(folder_ / "made.wav");
  }
  std::string Asset(const std::string& bytes, const std::string& name = "song.wav") {
    const HttpAnswer answer = Ask("POST", "/v1/assets?name=" + name, "", bytes);
    EXPECT_EQ(answer.status, 201) << answer.body;
    return Parse(answer)["id"];
  }
  std::string Submit(const std::string& asset) {
    const HttpAnswer answer =
        Post("/v1/jobs", {{"kind", "separate"}, {"inputs", {asset}}, {"options", {{"model", "hpss"}}}});
    EXPECT_EQ(answer.status, 202) << answer.body;
    EXPECT_NE(answer.Header("Location").find("/v1/jobs/"), std::string::npos);
    return Parse(answer)["id"];
  }
  Json End(const std::string& job) {
    for (int i = 0; i < 100; ++i) {
      const Json now = Parse(Ask("GET", "/v1/jobs/" + job + "?wait=5"));
      if (now["state"] == "succeeded" || now["state"] == "failed" || now["state"] == "cancelled") return now;
    }
    return {};
  }

  TempFolder folder_;
  std::optional<Child> server_;
  int port_ = 0;
  std::string token_;
  Json description_;
};

}  // namespace timbre::testing
