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
  switch (stage) {
    case Stage::kDownload: return "fetching";
    case Stage::kAnalyse: return "reading";
    case Stage::kCompute: return verb;
    case Stage::kEncode: return "writing";
  }
  return verb;
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

std::string DurationText(double seconds) {
  if (seconds < 9.95) return fmt::format("{:.1f} s", seconds);
  const auto whole = std::llround(seconds);
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{} min {:02} s", whole / 60, whole % 60);
  return fmt::format("{} h {:02} min", whole / 3600, whole / 60 % 60);
}

std::string LoweredText(double gain) {
  return fmt::format("lowered by {:.1f} dB to stay below full scale (--clip)", -20 * std::log10(gain));
}

std::string BytesText(double bytes) {
  const char* const units[] = {"B", "kB", "MB", "GB", "TB"};
  int unit = 0;
  while (bytes >= 999.5 && unit < 4) {
    bytes /= 1000;
    ++unit;
  }
  return fmt::format("{:.{}f} {}", bytes, bytes < 9.95 && unit > 0 ? 1 : 0, units[unit]);
}

Terminal::Terminal(const TerminalOptions& options) : options_(options), bar_(isatty(STDERR_FILENO) == 1) {
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

void Terminal::Print(std::string_view text) { Write(options_.stdout_is_taken ? stderr : stdout, text); }

void Terminal::Say(std::string_view text) {
  if (!options_.quiet) Print(text);
}

void Terminal::Detail(std::string_view text) {
  if (options_.verbose) Write(stderr, text);
}

void Terminal::Warn(std::string_view text) { Write(stderr, "warning: " + std::string(text)); }

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
  fmt::print(stderr, "{}: {} %{}\n", label, tenth * 10, tenth < 10 ? left : "");
  std::fflush(stderr);
}

}  // namespace timbre::cli
