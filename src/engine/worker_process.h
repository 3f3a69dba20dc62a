// A worker: another process, spoken to in lines of JSON over one socket.
//
//   to it    {"run": JOB}  {"cancel": true}  {"survey": true}
//   from it  {"progress": {"stage", "done", "total"}}  {"event": {"kind", "text", "facts"}}
//            {"survey": what devices there are}
//            {"end": {"state": "succeeded" | "failed" | "cancelled", "error": PROBLEM, "report": {…},
//                     "models": {"loaded": 1, "reused": 0}}}
//
// JOB is what pipelines/job_json.h reads. The worker ends where its socket is closed.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace timbre::engine {

// Splits a stream into lines of bounded length.
class LineBuffer {
 public:
  static constexpr size_t kLongest = size_t{8} << 20;
  // False where a line is longer than that; what has come is then dropped.
  bool Add(std::string_view bytes);
  std::optional<std::string> Next();

 private:
  std::string text_;
  size_t searched_ = 0;
};

// What a worker's line means. Members of other types than these are as if they were missing.
struct WorkerWord {
  enum class Kind : uint8_t { kOther, kProgress, kEvent, kEnd };
  Kind kind = Kind::kOther;
  std::string event, text;      // of kEvent: its kind (base/event.h), and its words
  std::string stage;            // of kProgress
  double done = 0, total = 0;   // total is 0 where it isn't known
  std::string state;            // of kEnd: "succeeded", "failed" or "cancelled"
  std::string problem, detail;  // of a failure: "/problems/…" and a sentence, never empty
  nlohmann::ordered_json report;
  double loaded = 0, reused = 0;  // models, by this job
};
WorkerWord Understand(const nlohmann::ordered_json& message);

class WorkerProcess {
 public:
  // Starts the program. It is killed with the thread that started it, and with this object.
  static Result<WorkerProcess> Start(const std::vector<std::string>& command);
  WorkerProcess(WorkerProcess&& other) noexcept;
  WorkerProcess& operator=(WorkerProcess&& other) noexcept;
  ~WorkerProcess();

  Status Send(const nlohmann::ordered_json& message);
  // The next line within so many milliseconds. kIo where the process has closed its socket or speaks no JSON; empty
  // where nothing came.
  Result<std::optional<nlohmann::ordered_json>> Receive(int milliseconds);
  void Signal(int signal) const;
  // Kills it where it still lives, and says how it ended: "was ended by signal 11", "ended with code 1".
  std::string End();
  pid_t pid() const { return pid_; }

 private:
  WorkerProcess() = default;
  pid_t pid_ = -1;
  int socket_ = -1;
  LineBuffer lines_;
};

}  // namespace timbre::engine
