// Where the program's words go. Answers go to stdout, everything else to stderr; with `--json -` or `--stdout` stdout
// is the report's or the sound's alone.
#pragma once

#include <atomic>
#include <chrono>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "base/event.h"
#include "base/log.h"
#include "base/result.h"
#include "pipelines/event_lines.h"

namespace timbre::cli {

struct TerminalOptions {
  bool quiet = false;            // only errors, warnings and what was asked for
  bool verbose = false;          // details too
  bool stdout_is_taken = false;  // the report or sound goes to stdout, so words go to stderr
  bool only_answers = false;     // stdout gets answers and nothing else, so other words go to stderr
  // To stderr one line of JSON an event, {"event": "progress", …}, in place of words and the bar; answers stay.
  bool json = false;
};

// Thread-safe.
class Terminal final : public Observer {
 public:
  explicit Terminal(const TerminalOptions& options);
  ~Terminal() override;

  void Print(std::string_view text);   // what was asked for: a list, a table, a plan. Never silenced.
  void Say(std::string_view text);     // what happened; silenced by --quiet
  void Detail(std::string_view text);  // more of it, with --verbose, to stderr
  void Warn(std::string_view text);    // to stderr, always

  // What the progress that follows is about: "separating", "song.mp3".
  void BeginProgress(std::string_view verb, std::string_view subject);
  // A bar with the time left on a terminal; a line every 10 % elsewhere; nothing with --quiet.
  void OnProgress(const Progress& progress) override;
  void OnEvent(const Event& event) override;
  // Whether the user pressed Ctrl-C (or the process was asked to end).
  bool Cancelled() override;
  // Takes the bar away.
  void EndProgress();

  // The last word: one line that says why nothing came of it.
  void Complain(const Error& error);

  const TerminalOptions& options() const { return options_; }

 private:
  void Write(FILE* stream, std::string_view text);
  void WritePiece(const std::string& text);
  void ClearBar();

  TerminalOptions options_;
  std::optional<EventLines> lines_;  // with --progress json
  bool bar_ = false;                 // stderr is a terminal
  std::mutex mutex_;
  bool bar_shown_ = false;
  std::string verb_, subject_;
  Stage stage_ = Stage::kAnalyse;
  std::chrono::steady_clock::time_point stage_start_, last_drawn_;
  int last_tenth_ = 0;
};

// The first SIGINT, SIGTERM or SIGHUP asks the work to stop; the second removes what is half-written and ends the
// process at once.
void CatchSignals();

// Set by that first signal.
const std::atomic<bool>& CancelFlag();

}  // namespace timbre::cli
