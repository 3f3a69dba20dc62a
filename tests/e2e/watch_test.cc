// A client that waits for a job is told by the server's events, and goes on behind the last one after a breach.
#include <gtest/gtest.h>

#include "engine/ids.h"
#include "http/message.h"
#include "tests/e2e/program.h"
#include "tests/support/loopback_server.h"

namespace timbre::testing {
namespace {

TEST(Watch, GoesOnBehindTheLastEventThatItSaw) {
  const TempFolder folder;
  WriteAll(folder / "token", "local 0123456789012345678901234567890123456789\n");
  const std::string id = engine::NewId();
  int streams = 0, asked = 0;
  std::mutex mutex;
  LoopbackServer server([&](const LoopbackRequest& request, LoopbackConnection& connection) {
    const std::lock_guard lock(mutex);
    if (!request.path.starts_with("/v1/events")) {
      const std::string state = ++asked < 3 ? "running" : "succeeded";
      connection.Answer("200 OK", R"({"id": ")" + id + R"(", "state": ")" + state + R"("})");
      return;
    }
    connection.Send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n");
    if (++streams == 1) {
      connection.Send(http::FormatEvent("snapshot", R"({"jobs": [{"id": ")" + id + R"("}]})", 7));
      connection.Send(http::FormatEvent("job.progress", R"({"progress": 0.5})"));
      return;  // breaks off
    }
    connection.Send(http::FormatEvent("job.ended", R"({"state": "succeeded"})", 8));
    connection.Stall();  // the client need not be told twice
  });
  const Ran ran = RunTimbre({"watch", id, "--server", server.Url(""), "--token-file", "token"}, folder.path());
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ran.out, id + " succeeded\n");
  std::vector<std::string> seen;
  for (const LoopbackRequest& request : server.Requests()) {
    if (request.path.starts_with("/v1/events")) seen.push_back(request.path + " " + request.Header("last-event-id"));
  }
  EXPECT_EQ(seen, (std::vector<std::string>{"/v1/events?job=" + id + " ", "/v1/events?job=" + id + " 7"}));
}

}  // namespace
}  // namespace timbre::testing
