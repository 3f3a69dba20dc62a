#include "apps/cli/terminal.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <csignal>
#include <cstdio>

#include "apps/cli/progress_line.h"
#include "base/last_words.h"
#include "base/quantities.h"
#include "base/text.h"

namespace timbre::cli {
namespace {

std::atomic<bool> cancelled{false};
std::atomic<int> signals{0};
static_assert(std::atomic<bool>::is_always_lock_free && std::atomic<int>::is_always_lock_free);

void OnSignal(int signal) {
  cancelled = true;
  const int earlier = signals.fetch_add(1);
  if (earlier == 1) EndBySignal(signal);
  if (earlier > 1) {  // even that does not end
    std::signal(signal, SIG_DFL);
    std::raise(signal);
  }
}

std::string_view VerbFor(Stage stage, std::string_view verb) {
  if (stage == Stage::kDownload) return "fetching";
  if (stage == Stage::kAnalyse) return "reading";
  return stage == Stage::kEncode ? "writing" : verb;
}

// Of the terminal that stderr is; what it doesn't say is the usual.
int Columns() {
  winsize size{};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

}  // namespace

void CatchSignals() {
  std::signal(SIGINT, OnSignal);
  std::signal(SIGTERM, OnSignal);
  // A terminal that was closed asks too, unless that was to make no difference (nohup).
  if (std::signal(SIGHUP, OnSignal) == SIG_IGN) std::signal(SIGHUP, SIG_IGN);
  std::signal(SIGPIPE, SIG_IGN);  // a reader that went away is a write error, not a death
  std::signal(SIGXFSZ, SIG_IGN);  // so is a file that reaches the limit
}

const std::atomic<bool>& CancelFlag() { return cancelled; }

Terminal::Terminal(const TerminalOptions& options)
    : options_(options), bar_(isatty(STDERR_FILENO) == 1 && !options.json) {
  if (options.json) {
    lines_.emplace([](const std::string& line) { std::fputs((line + "\n").c_str(), stderr); });
  }
  SetLogSink([this](LogLevel level, std::string_view message) {
    switch (level) {
      case LogLevel::kDebug: Detail(message); break;
      case LogLevel::kInfo: Say(message); break;
      case LogLevel::kWarning: Warn(message); break;
    }
  });
}

Terminal::~Terminal() {
  SetLogSink({});
  EndProgress();
}

void Terminal::Write(FILE* stream, std::string_view text) {
  const std::string line = PrintableLines(text) + "\n";
  std::lock_guard lock(mutex_);
  ClearBar();
  std::fwrite(line.data(), 1, line.size(), stream);
  std::fflush(stream);
}

// What a language model says: nothing of it drives a terminal, while who reads a pipe gets what was written.
void Terminal::WritePiece(const std::string& text) {
  FILE* const stream = options_.stdout_is_taken ? stderr : stdout;
  const std::string shown = isatty(fileno(stream)) == 1 ? PrintableLines(text) : text;
  std::lock_guard lock(mutex_);
  ClearBar();
  std::fwrite(shown.data(), 1, shown.size(), stream);
  std::fflush(stream);
}

void Terminal::Print(std::string_view text) { OnEvent({kAnswerEvent, std::string(text)}); }
void Terminal::Say(std::string_view text) { OnEvent({kMessageEvent, std::string(text)}); }
void Terminal::Detail(std::string_view text) { OnEvent({kDetailEvent, std::string(text)}); }
void Terminal::Warn(std::string_view text) { OnEvent({kWarningEvent, std::string(text)}); }

void Terminal::OnEvent(const Event& event) {
  if (event.kind == kPieceEvent) {
    if (!options_.stdout_is_taken || !options_.quiet) WritePiece(event.text);
    return;
  }
  const bool answer = event.kind == kAnswerEvent;
  const bool warning = event.kind == kWarningEvent || event.kind == kStepDownEvent;
  const bool detail = event.kind == kDetailEvent;
  const bool silent = (options_.quiet && !answer && !warning) || (detail && !options_.verbose);
  if (event.kind == kBeginEvent) BeginProgress(event.facts.value("verb", ""), event.facts.value("subject", ""));
  if (event.kind == kEndEvent) EndProgress();
  if (lines_ && !answer) {
    if (!silent) lines_->OnEvent(event);
  } else if (!silent && !event.text.empty()) {
    const bool errors = warning || detail || options_.stdout_is_taken || (options_.only_answers && !answer);
    // Answers may have lines of their own; in what else is said, a line's end is someone else's: a file's name has one.
    const std::string text = answer ? event.text : PrintableLines(event.text, ' ');
    Write(errors ? stderr : stdout, warning ? "warning: " + text : text);
  }
}

void Terminal::Complain(const Error& error) {
  std::string message = PrintableLines(error.message, ' ');
  if (message.empty() || std::string_view(".?!").find(message.back()) == std::string_view::npos) message += '.';
  if (lines_) {
    lines_->OnEvent({"error", "", {{"kind", ErrorCodeName(error.code)}, {"message", message}}});
    return;
  }
  std::lock_guard lock(mutex_);
  ClearBar();
  std::fputs(("timbre: " + message + "\n").c_str(), stderr);
}

bool Terminal::Cancelled() { return cancelled.load(std::memory_order_relaxed); }

void Terminal::EndProgress() {
  std::lock_guard lock(mutex_);
  ClearBar();
}

void Terminal::ClearBar() {
  if (!bar_shown_) return;
  std::fputs("\r\x1b[K", stderr);
  std::fflush(stderr);
  bar_shown_ = false;
}

void Terminal::BeginProgress(std::string_view verb, std::string_view subject) {
  std::lock_guard lock(mutex_);
  ClearBar();
  verb_ = verb;
  subject_ = subject;
  stage_start_ = {};
}

void Terminal::OnProgress(const Progress& progress) {
  if (options_.quiet) return;
  if (lines_) return lines_->OnProgress(progress);
  const auto now = std::chrono::steady_clock::now();
  std::lock_guard lock(mutex_);
  if (progress.stage != stage_ || stage_start_ == std::chrono::steady_clock::time_point()) {
    stage_ = progress.stage;
    stage_start_ = now;
    last_drawn_ = {};
    last_tenth_ = 0;
  }
  if (progress.total <= 0) return;
  const double fraction =
      std::clamp(static_cast<double>(progress.done) / static_cast<double>(progress.total), 0.0, 1.0);
  const double elapsed = std::chrono::duration<double>(now - stage_start_).count();
  // A guess from the first moments would only jump about.
  const bool guess = fraction > 0 && elapsed > 1.0;
  const std::string label = Printable(fmt::format("{} {}", VerbFor(stage_, verb_), subject_));
  const std::string left = guess ? ", " + DurationText(elapsed * (1 - fraction) / fraction) + " left" : "";
  if (bar_) {
    if (now - last_drawn_ < std::chrono::milliseconds(100) && fraction < 1) return;
    last_drawn_ = now;
    const std::string line = "\r" + ProgressLine(label, fraction, left, Columns()) + "\x1b[K";
    std::fwrite(line.data(), 1, line.size(), stderr);
    std::fflush(stderr);
    bar_shown_ = true;
    return;
  }
  // What is read or fetched in a moment is not worth a line.
  if (stage_ != Stage::kCompute && elapsed < 1) return;
  const int tenth = static_cast<int>(fraction * 10);
  if (tenth <= last_tenth_) return;
  last_tenth_ = tenth;
  std::fputs(fmt::format("{}: {} %{}\n", label, tenth * 10, tenth < 10 ? left : "").c_str(), stderr);
  std::fflush(stderr);
}

}  // namespace timbre::cli
