#include "base/child_process.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>

extern char** environ;

namespace timbre {
namespace {

constexpr int kWatchMilliseconds = 100;

class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  ~Descriptor() { Close(); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }
  void Reset(int fd) {
    Close();
    fd_ = fd;
  }
  void Close() {
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }

 private:
  int fd_;
};

tl::unexpected<Error> Refused(const std::string& program, int error) {
  return Fail(error == ENOENT ? ErrorCode::kNotFound : ErrorCode::kIo,
              "'" + program + "' can't be started: " + std::strerror(error));
}

// A file without a name that holds `input`: unlike a pipe it neither blocks nor raises a signal.
int InputFile(std::string_view input) {
  const int fd = memfd_create("timbre-input", MFD_CLOEXEC);
  for (size_t done = 0; fd >= 0 && done < input.size();) {
    const ssize_t n = write(fd, input.data() + done, input.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      close(fd);
      return -1;
    }
    done += static_cast<size_t>(n);
  }
  if (fd >= 0) lseek(fd, 0, SEEK_SET);
  return fd;
}

// The program, ended and waited for where nothing else did.
class Child {
 public:
  explicit Child(pid_t pid) : pid_(pid) {}
  ~Child() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    Wait();
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  int Wait() {
    int status = 0;
    while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = 0;
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  }

 private:
  pid_t pid_;
};

Result<pid_t> Spawn(const std::vector<std::string>& command, int input, int output, const ChildOptions& options) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
  if (options.join_errors) {
    posix_spawn_file_actions_adddup2(&actions, output, STDERR_FILENO);
  } else {
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  }
  std::vector<char*> argv;
  for (const std::string& argument : command) argv.push_back(const_cast<char*>(argument.c_str()));  // NOLINT
  argv.push_back(nullptr);
  std::vector<char*> variables;
  for (const std::string& variable : options.environment)
    variables.push_back(const_cast<char*>(variable.c_str()));  // NOLINT
  for (char** own = environ; own != nullptr && *own != nullptr; ++own) variables.push_back(*own);
  variables.push_back(nullptr);
  pid_t pid = 0;
  const int error = posix_spawnp(&pid, argv[0], &actions, nullptr, argv.data(), variables.data());
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return Refused(command[0], error);
  return pid;
}

}  // namespace

Result<ChildResult> RunChild(const std::vector<std::string>& command, std::string_view input, size_t most_output,
                             double seconds) {
  return RunChild(command, input, {.most_output = most_output, .seconds = seconds});
}

Result<ChildResult> RunChild(const std::vector<std::string>& command, std::string_view input,
                             const ChildOptions& options) {
  if (command.empty()) return Fail(ErrorCode::kInternal, "there is no program to run");
  const Descriptor in(InputFile(input));
  if (in.get() < 0) return Refused(command[0], errno);
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return Refused(command[0], errno);
  const Descriptor from(ends[0]);
  Descriptor to(ends[1]);
  TIMBRE_TRY(const pid_t pid, Spawn(command, in.get(), to.get(), options));
  Child child(pid);
  to.Close();

  ChildResult result;
  const auto until = std::chrono::steady_clock::now() + std::chrono::duration<double>(options.seconds);
  for (;;) {
    const double left = std::chrono::duration<double>(until - std::chrono::steady_clock::now()).count();
    if (left <= 0) return Fail(ErrorCode::kIo, "'" + command[0] + "' took too long and was ended");
    if (options.watch) TIMBRE_CHECK(options.watch());
    pollfd wait{from.get(), POLLIN, 0};
    const int ready = poll(&wait, 1, options.watch ? kWatchMilliseconds : static_cast<int>(left * 1000) + 1);
    if (ready < 0 && errno != EINTR) return Fail(ErrorCode::kIo, "'" + command[0] + "' can't be read");
    if (ready <= 0) continue;
    char buffer[4096];
    const ssize_t n = read(from.get(), buffer, sizeof(buffer));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Fail(ErrorCode::kIo, "'" + command[0] + "' can't be read");
    if (n == 0) break;
    result.output.append(buffer, static_cast<size_t>(n));
    if (result.output.size() > options.most_output) {
      return Fail(ErrorCode::kUnsupported, "'" + command[0] + "' writes more than was expected");
    }
  }
  result.exit_code = child.Wait();
  return result;
}

}  // namespace timbre
