// timbre serve: jobs over HTTP. timbre worker: the process that it has them done by.
#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <thread>

#include "apps/cli/command.h"
#include "apps/server/app.h"
#include "apps/server/worker.h"
#include "base/atomic_file.h"
#include "base/quantities.h"

namespace timbre::cli {
namespace {

constexpr int64_t kGigabyte = int64_t{1} << 30;

// $XDG_DATA_HOME/timbre, or ~/.local/share/timbre.
std::string UsualFolder() {
  if (const char* data = std::getenv("XDG_DATA_HOME"); data != nullptr && *data == '/')
    return std::string(data) + "/timbre";
  const char* home = std::getenv("HOME");
  return home == nullptr ? "" : std::string(home) + "/.local/share/timbre";
}

// "cpu=2", "vulkan:0=1", "cpu": so many slots of a device.
Status AddSlots(const std::string& text, std::vector<engine::Slot>& slots) {
  const size_t equals = std::min(text.rfind('='), text.size());
  const std::string device = text.substr(0, equals), count = text.substr(std::min(equals + 1, text.size()));
  const int number = count.empty() ? 1 : std::atoi(count.c_str());
  if (device.empty() || number < 1 || number > 64 || count.find_first_not_of("0123456789") != std::string::npos) {
    return Fail(ErrorCode::kInvalidArgument,
                "--workers takes DEVICE or DEVICE=COUNT with a count of 1 to 64, not '" + text + "'.");
  }
  for (int i = 0; i < number; ++i) slots.push_back({.device = device});
  return {};
}

// Has the desktop show `address`, with the token in it, by way of a file that only its owner can read: the arguments of
// a program are for everybody to see.
Status ShowInBrowser(const std::string& address, const std::string& folder) {
  const std::string path = folder + "/open.html";
  const mode_t old = umask(077);
  auto file = AtomicFile::Create(path);
  Status made =
      file
          ? file->Write("<!doctype html><title>timbre</title><meta http-equiv=\"refresh\" content=\"0; url=" + address +
                        "\">\n")
          : Status(tl::unexpected<Error>(file.error()));
  if (made) made = file->Commit();
  umask(old);
  TIMBRE_CHECK(made);
  char program[] = "xdg-open";
  std::string argument = path;
  char* const arguments[] = {program, argument.data(), nullptr};
  posix_spawn_file_actions_t quiet;
  posix_spawn_file_actions_init(&quiet);
  posix_spawn_file_actions_addopen(&quiet, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_addopen(&quiet, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  pid_t child = 0;
  const int failed = posix_spawnp(&child, program, &quiet, nullptr, arguments, environ);
  posix_spawn_file_actions_destroy(&quiet);
  if (failed != 0) return Fail(ErrorCode::kNotFound, "there is no xdg-open here: open the address by hand.");
  return {};
}

class ServeCommand final : public Command {
 public:
  FieldList Fields() override {
    return {
        {.name = "listen",
         .value = &listen_,
         .help = "where: an address of this machine with its port, or a Unix socket",
         .placeholder = "HOST:PORT|unix:PATH"},
        {.name = "data",
         .value = &data_,
         .help = "what the server keeps: jobs, files, its token",
         .placeholder = "DIR"},
        {.name = "token-file",
         .value = &settings_.token_file,
         .help = "who may ask, 'NAME TOKEN' a line (default: DIR/token, made at the first start)",
         .placeholder = "FILE"},
        {.name = "workers",
         .value = &workers_,
         .help = "processes that jobs run in, by device",
         .placeholder = "DEVICE=N"},
        {.name = "memory",
         .value = &memory_,
         .help = "GiB that a worker may take; 0: no limit",
         .min = 0,
         .max = 65536},
        {.name = "grace",
         .value = &grace_,
         .help = "seconds that running jobs get when the server is asked to end",
         .min = 0,
         .max = 86400},
        {.name = "keep", .value = &keep_, .help = "days that results are kept", .min = 1.0 / 24, .max = 36500},
        {.name = "reserve", .value = &reserve_, .help = "GiB of the disk that are left free", .min = 0, .max = 1048576},
        {.name = "quota",
         .value = &quota_,
         .help = "GiB that all files may take; 0: no limit",
         .min = 0,
         .max = 1048576},
        {.name = "job-disk",
         .value = &job_disk_,
         .help = "GiB that a job may write, besides twelve times its decoded inputs; 0: no limit",
         .min = 0,
         .max = 1048576},
        {.name = "most-upload", .value = &most_upload_, .help = "GiB of one file", .min = 0.001, .max = 1024},
        {.name = "connections",
         .value = &settings_.limits.connections,
         .help = "that are open at once",
         .min = 4,
         .max = 100000},
        {.name = "connections-each",
         .value = &settings_.limits.connections_of_one_address,
         .help = "of one address",
         .min = 1,
         .max = 100000},
        {.name = "rate",
         .value = &settings_.requests_per_second,
         .help = "requests a second of one client, on average; 0: no limit",
         .min = 0,
         .max = 100000},
        {.name = "allow-host",
         .value = &settings_.allowed_hosts,
         .help = "another name that the server is reached by, behind a proxy",
         .placeholder = "HOST[:PORT]"},
        {.name = "allow-origin",
         .value = &settings_.allowed_origin,
         .help = "an origin whose pages may ask",
         .placeholder = "URL"},
        {.name = "open", .value = &open_, .help = "show the page in a browser"},
        {.name = "openapi", .value = &openapi_, .help = "print the description of the API, and serve nothing"},
    };
  }

  std::string Examples() const override {
    return "Examples:\n"
           "  timbre serve --open\n"
           "  timbre serve --listen unix:/run/timbre/socket --workers cpu,vulkan:0\n"
           "docs/server.md shows a session with curl.\n";
  }

  Status Run(Terminal& terminal, Report&) override {
    if (openapi_) {
      terminal.Print(server::App::Description().dump(2));
      return {};
    }
    if (data_.empty()) return Fail(ErrorCode::kInvalidArgument, "--data is missing, and there is no HOME.");
    TIMBRE_TRY(const http::ListenAddress address, http::ParseListenAddress(listen_));
    settings_.listen = listen_;
    settings_.data = data_;
    settings_.limits.connections_of_one_address =
        std::min(settings_.limits.connections_of_one_address, settings_.limits.connections);
    settings_.most_upload = static_cast<int64_t>(most_upload_ * static_cast<double>(kGigabyte));
    settings_.reserve_bytes = static_cast<int64_t>(reserve_ * static_cast<double>(kGigabyte));
    settings_.quota_bytes = static_cast<int64_t>(quota_ * static_cast<double>(kGigabyte));
    settings_.job_bytes = static_cast<int64_t>(job_disk_ * static_cast<double>(kGigabyte));
    settings_.keep_seconds = static_cast<int64_t>(keep_ * 24 * 3600);
    for (const std::string& worker : workers_) TIMBRE_CHECK(AddSlots(worker, settings_.slots));
    settings_.slots.push_back({.device = "cpu", .quick = true});
    settings_.slots.push_back({.device = server::kNetwork, .named = true});
    settings_.worker = {"/proc/self/exe", "worker"};
    if (memory_ > 0) settings_.worker.push_back(fmt::format("--memory={}", memory_));
    settings_.log = [&terminal](const std::string& line) { terminal.Detail(line); };
    TIMBRE_TRY(const std::unique_ptr<server::App> app, server::App::Start(settings_));
    if (address.path.empty()) {
      const std::string host = address.host.find(':') == std::string::npos ? address.host : "[" + address.host + "]";
      const std::string origin = fmt::format("http://{}:{}/", host, app->port());
      terminal.Print(fmt::format("serving at {} with what is kept in {}", origin, data_));
      // The token is for whoever sits there, and for no log.
      const std::string page = origin + "#token=" + app->token();
      if (isatty(STDOUT_FILENO) != 0) terminal.Print("the page, with the token in its address: " + page);
      if (open_) {
        if (const Status shown = ShowInBrowser(page, data_); !shown) terminal.Warn(shown.error().message);
      }
    } else {
      terminal.Print(fmt::format("serving at {} with what is kept in {}", listen_, data_));
    }
    if (settings_.token_file.empty()) terminal.Print("the token is in " + data_ + "/token");
    if (!address.loopback) {
      terminal.Warn("what others send here can be read on the way; put a proxy with TLS before it (docs/server.md)");
    }
    while (!terminal.Cancelled()) std::this_thread::sleep_for(std::chrono::milliseconds(50));
    terminal.Say("ending: what runs gets " + DurationText(grace_));
    app->Stop(grace_);
    return {};
  }

 private:
  std::string listen_ = "127.0.0.1:7433", data_ = UsualFolder();
  std::vector<std::string> workers_ = {"cpu"};
  double grace_ = 30, keep_ = 7, memory_ = 0, reserve_ = 2, quota_ = 0, job_disk_ = 1, most_upload_ = 2;
  bool open_ = false, openapi_ = false;
  server::ServeSettings settings_;
};

class WorkerCommand final : public Command {
 public:
  FieldList Fields() override {
    return {{.name = "memory", .value = &memory_, .help = "GiB of addresses; 0: no limit", .min = 0, .max = 65536},
            {.name = "most-file",
             .value = &most_file_,
             .help = "GiB of one file that it writes",
             .min = 0.001,
             .max = 65536}};
  }
  Status Run(Terminal&, Report&) override {
    return server::RunWorker({.memory_bytes = static_cast<int64_t>(memory_ * static_cast<double>(kGigabyte)),
                              .file_bytes = static_cast<int64_t>(most_file_ * static_cast<double>(kGigabyte))});
  }

 private:
  double memory_ = 0, most_file_ = 64;
};

}  // namespace

std::unique_ptr<Command> MakeServeCommand() { return std::make_unique<ServeCommand>(); }
std::unique_ptr<Command> MakeWorkerCommand() { return std::make_unique<WorkerCommand>(); }

}  // namespace timbre::cli
