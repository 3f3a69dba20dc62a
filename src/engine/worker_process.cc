#include "engine/worker_process.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

extern char** environ;

namespace timbre::engine {

using Json = nlohmann::ordered_json;

namespace {

const Json* Member(const Json& json, const char* name) {
  if (!json.is_object()) return nullptr;
  const auto found = json.find(name);
  return found == json.end() ? nullptr : &*found;
}

std::string TextIn(const Json& json, const char* name) {
  const Json* member = Member(json, name);
  return member != nullptr && member->is_string() ? member->get<std::string>() : "";
}

double NumberIn(const Json& json, const char* name) {
  const Json* member = Member(json, name);
  return member != nullptr && member->is_number() ? member->get<double>() : 0;
}

}  // namespace

WorkerWord Understand(const Json& message) {
  WorkerWord word;
  if (const Json* progress = Member(message, "progress"); progress != nullptr) {
    word.kind = WorkerWord::Kind::kProgress;
    word.stage = TextIn(*progress, "stage");
    word.done = NumberIn(*progress, "done");
    word.total = NumberIn(*progress, "total");
  } else if (const Json* event = Member(message, "event"); event != nullptr) {
    word.kind = WorkerWord::Kind::kEvent;
    word.event = TextIn(*event, "kind");
    word.text = TextIn(*event, "text");
  } else if (const Json* end = Member(message, "end"); end != nullptr) {
    word.kind = WorkerWord::Kind::kEnd;
    word.state = TextIn(*end, "state");
    if (word.state != "succeeded" && word.state != "cancelled") word.state = "failed";
    const Json* error = Member(*end, "error");
    word.problem = error == nullptr ? "" : TextIn(*error, "type");
    word.detail = error == nullptr ? "" : TextIn(*error, "detail");
    if (word.problem.empty()) word.problem = "/problems/internal";
    if (word.detail.empty()) word.detail = "the worker does not say why.";
    if (const Json* report = Member(*end, "report"); report != nullptr) word.report = *report;
    if (const Json* models = Member(*end, "models"); models != nullptr) {
      word.loaded = NumberIn(*models, "loaded");
      word.reused = NumberIn(*models, "reused");
    }
  }
  return word;
}

bool LineBuffer::Add(std::string_view bytes) {
  text_ += bytes;
  if (text_.size() <= kLongest || text_.find('\n', searched_) != std::string::npos) return true;
  text_.clear();
  searched_ = 0;
  return false;
}

std::optional<std::string> LineBuffer::Next() {
  const size_t end = text_.find('\n', searched_);
  if (end == std::string::npos) {
    searched_ = text_.size();
    return std::nullopt;
  }
  std::string line = text_.substr(0, end);
  text_.erase(0, end + 1);
  searched_ = 0;
  return line;
}

Result<WorkerProcess> WorkerProcess::Start(const std::vector<std::string>& command) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    return Fail(ErrorCode::kIo, std::string("a worker can't be started: ") + std::strerror(errno) + ".");
  }
  WorkerProcess worker;
  worker.socket_ = ends[0];
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDIN_FILENO);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  // Signals that a terminal sends to its whole group are the server's to heed.
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  posix_spawnattr_setpgroup(&attributes, 0);
  std::vector<char*> argv;
  for (const std::string& word : command) argv.push_back(const_cast<char*>(word.c_str()));  // NOLINT
  argv.push_back(nullptr);
  const int error = posix_spawn(&worker.pid_, argv[0], &actions, &attributes, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  close(ends[1]);
  if (error != 0) {
    worker.pid_ = -1;
    return Fail(ErrorCode::kIo, "the worker '" + command[0] + "' can't be started: " + std::strerror(error) + ".");
  }
  return worker;
}

WorkerProcess::WorkerProcess(WorkerProcess&& other) noexcept { *this = std::move(other); }

WorkerProcess& WorkerProcess::operator=(WorkerProcess&& other) noexcept {
  std::swap(pid_, other.pid_);
  std::swap(socket_, other.socket_);
  std::swap(lines_, other.lines_);
  return *this;
}

WorkerProcess::~WorkerProcess() { (void)End(); }

Status WorkerProcess::Send(const Json& message) {
  const std::string line = message.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  for (size_t sent = 0; sent < line.size();) {
    const ssize_t n = send(socket_, line.data() + sent, line.size() - sent, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return Fail(ErrorCode::kIo, "the worker takes nothing any more.");
    sent += static_cast<size_t>(n);
  }
  return {};
}

Result<std::optional<Json>> WorkerProcess::Receive(int milliseconds) {
  const auto parsed = [](const std::string& line) -> Result<std::optional<Json>> {
    Json message = Json::parse(line, nullptr, false);
    if (!message.is_object()) return Fail(ErrorCode::kIo, "the worker says what is no JSON object.");
    return message;
  };
  if (const auto line = lines_.Next(); line) return parsed(*line);
  pollfd watch{.fd = socket_, .events = POLLIN};
  if (poll(&watch, 1, milliseconds) <= 0) return std::nullopt;
  char buffer[65536];
  const ssize_t n = recv(socket_, buffer, sizeof(buffer), 0);
  if (n < 0 && (errno == EINTR || errno == EAGAIN)) return std::nullopt;
  if (n <= 0) return Fail(ErrorCode::kIo, "the worker has gone.");
  if (!lines_.Add({buffer, static_cast<size_t>(n)})) return Fail(ErrorCode::kIo, "the worker says too much at once.");
  if (const auto line = lines_.Next(); line) return parsed(*line);
  return std::nullopt;
}

void WorkerProcess::Signal(int signal) const {
  if (pid_ > 0) kill(pid_, signal);
}

std::string WorkerProcess::End() {
  if (socket_ >= 0) close(std::exchange(socket_, -1));
  if (pid_ <= 0) return "";
  int status = 0;
  // What closed its socket by itself is about to end by itself, and how is worth knowing.
  pid_t ended = 0;
  for (int i = 0; i < 50 && ended == 0; ++i) {
    ended = waitpid(pid_, &status, WNOHANG);
    if (ended == 0) usleep(2000);
  }
  if (ended == 0) {
    kill(pid_, SIGKILL);
    while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
  }
  pid_ = -1;
  if (WIFSIGNALED(status)) return "was ended by signal " + std::to_string(WTERMSIG(status));
  return "ended with code " + std::to_string(WEXITSTATUS(status));
}

}  // namespace timbre::engine
