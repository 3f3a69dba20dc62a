// What a worker says, as the server takes it apart.
#include <nlohmann/json.hpp>

#include "engine/worker_process.h"
#include "tests/fuzz/fuzz.h"

namespace {

std::vector<std::string> Seeds() {
  return {"{\"progress\": {\"stage\": \"compute\", \"done\": 1}}\n{\"end\": {\"state\": \"succeeded\"}}\n",
          "{\"event\": {\"kind\": \"message\", \"text\": \"x\"}}\n\n\n",
          "{\"end\": {\"state\": 3, \"report\": [], \"error\": {\"detail\": 1}}}\n"};
}

}  // namespace

// In whatever pieces the bytes come, the lines are the same.
TIMBRE_FUZZ_TARGET(WorkerLines, Seeds) {
  timbre::engine::LineBuffer whole, pieces;
  (void)whole.Add(bytes);
  std::vector<std::string> lines, others;
  for (auto line = whole.Next(); line; line = whole.Next()) lines.push_back(*line);
  for (size_t at = 0, step = 1; at < bytes.size(); at += step, step = step % 7 + 1) {
    (void)pieces.Add(bytes.substr(at, step));
    for (auto line = pieces.Next(); line; line = pieces.Next()) others.push_back(*line);
  }
  if (lines != others) __builtin_trap();
  for (const std::string& line : lines) {
    const auto word = timbre::engine::Understand(nlohmann::ordered_json::parse(line, nullptr, false));
    if (word.kind == timbre::engine::WorkerWord::Kind::kEnd && word.detail.empty()) __builtin_trap();
  }
}
