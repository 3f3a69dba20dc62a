#include "tests/support/fake_worker.h"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

namespace timbre::testing {
namespace {

using Json = nlohmann::ordered_json;

void Say(const Json& message) {
  const std::string line = message.dump() + "\n";
  if (send(0, line.data(), line.size(), MSG_NOSIGNAL) < 0) _exit(0);
}

// The next line within so many milliseconds, or nothing; the end where the other side is gone.
Json Hear(int milliseconds) {
  static std::string text;
  for (;;) {
    if (const size_t end = text.find('\n'); end != std::string::npos) {
      const Json message = Json::parse(text.substr(0, end));
      text.erase(0, end + 1);
      return message;
    }
    pollfd watch{.fd = 0, .events = POLLIN};
    if (poll(&watch, 1, milliseconds) == 0) return {};
    char buffer[4096];
    const ssize_t n = recv(0, buffer, sizeof(buffer), 0);
    if (n <= 0) _exit(0);
    text.append(buffer, static_cast<size_t>(n));
  }
}

// As the kernel ends a program, whatever else a sanitizer would make of it.
void Crash() {
  signal(SIGSEGV, SIG_DFL);
  raise(SIGSEGV);
}

void Run(const Json& job) {
  const Json& options = job["options"];
  const std::string what = options.value("do", "copy");
  if (what == "crash") Crash();
  if (what == "crash-once" && !std::filesystem::exists(options["mark"].get<std::string>())) {
    std::ofstream(options["mark"].get<std::string>()) << "1";
    Crash();
  }
  if (what == "hang") pause();
  if (what == "flood") {
    for (std::ofstream file(options["output"].get<std::string>() + "/flood");; usleep(1000)) {
      file << std::string(65536, 'x') << std::flush;
    }
  }
  if (what == "slow" || what == "deaf") {
    if (what == "deaf") signal(SIGTERM, SIG_IGN);
    for (int i = 0;; ++i) {
      Say({{"progress", {{"stage", "compute"}, {"done", i}, {"total", 100000}}}});
      if (Hear(10).contains("cancel") && what == "slow") return Say({{"end", {{"state", "cancelled"}}}});
    }
  }
  const std::string out = options["output"];
  if (what == "talk") {
    const Json event = {{"kind", options["kind"]}, {"text", options["text"]}};
    for (int i = 0; i < options["times"].get<int>(); ++i) Say({{"event", event}});
    Say({{"event", {{"kind", "answer"}, {"text", "the last word"}}}});
  }
  if (what == "fail") {
    std::ofstream(out + "/x") << options.value("tail", "");
    return Say({{"end",
                 {{"state", "failed"},
                  {"error", {{"type", "/problems/corrupt"}, {"detail", out + "/x is no good."}}},
                  {"report", {{"where", out + "/x"}}}}}});
  }
  Say({{"progress", {{"stage", "compute"}, {"done", 1}, {"total", 2}}}});
  Json made = Json::array();
  for (const Json& input : job["inputs"]) {
    const std::filesystem::path from = input.get<std::string>();
    std::filesystem::create_directories(out + "/track");
    const std::string to = out + "/track/" + from.filename().string();
    std::ofstream(to, std::ios::binary) << std::ifstream(from, std::ios::binary).rdbuf() << options.value("tail", "");
    made.push_back({{"input", input}, {"path", to}});
  }
  Say({{"end", {{"state", "succeeded"}, {"report", {{"made", made}}}}}});
}

}  // namespace

int RunFakeWorker() {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  for (;;) {
    const Json message = Hear(-1);
    if (message.contains("run")) Run(message["run"]);
  }
}

}  // namespace timbre::testing
