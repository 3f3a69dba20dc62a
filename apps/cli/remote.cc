#include "apps/cli/remote.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <thread>

#include "base/observer.h"
#include "base/output_set.h"
#include "base/text.h"
#include "http/event_reader.h"
#include "http/message.h"
#include "store/curl.h"

namespace timbre::cli {
namespace {

using Json = Remote::Json;
using Clock = std::chrono::steady_clock;

constexpr char kUsualServer[] = "http://127.0.0.1:7433";
constexpr size_t kMostAnswer = size_t{64} << 20;
constexpr long kConnectSeconds = 10;
constexpr auto kAskEvery = std::chrono::milliseconds(300);
constexpr long kKeepAliveSeconds = 15;  // of silence, after which a machine is asked whether it is there
constexpr auto kPatience = std::chrono::seconds(60);

std::string Variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// The last word of the first line that is no comment: "TOKEN", or "NAME TOKEN".
Result<std::string> TokenOf(const std::string& path) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string word, last;
    while (words >> word) last = word;
    if (!last.empty() && line[0] != '#') return last;
  }
  return Fail(ErrorCode::kNotFound, "'" + path + "' holds no token, or can't be read.");
}

// Where a server of this user keeps its token, unless told otherwise.
std::string UsualTokenFile() {
  const std::string data = Variable("XDG_DATA_HOME");
  return (data.starts_with('/') ? data : Variable("HOME") + "/.local/share") + "/timbre/token";
}

ErrorCode CodeOf(long status) {
  if (status == 404) return ErrorCode::kNotFound;
  return status == 400 || status == 415 || status == 422 ? ErrorCode::kInvalidArgument : ErrorCode::kIo;
}

size_t TakeText(char* data, size_t size, size_t count, void* text) {
  auto& kept = *static_cast<std::string*>(text);
  if (kept.size() + size * count > kMostAnswer) return 0;
  kept.append(data, size * count);
  return size * count;
}

struct ToFile {
  AtomicFile* file;
  CURL* curl;
  std::string refusal;  // what comes with a status that is no success
  Status status;
};

size_t TakeBytes(char* data, size_t size, size_t count, void* state) {
  auto& to = *static_cast<ToFile*>(state);
  long status = 0;
  curl_easy_getinfo(to.curl, CURLINFO_RESPONSE_CODE, &status);
  if (status != 200) return TakeText(data, size, count, &to.refusal);
  to.status = to.file->Write(std::string_view(data, size * count));
  return to.status ? size * count : 0;
}

// What is followed of a job, until it has ended.
struct Following {
  std::string job, last;  // the number of the event that was seen last; empty: none
  Terminal* terminal;
  http::EventReader reader = {};
  bool ended = false, gone = false;  // told so, or not among those that are left
};

void ShowProgress(Terminal& terminal, double progress) {
  terminal.OnProgress({.stage = Stage::kCompute, .done = static_cast<int64_t>(progress * 1000), .total = 1000});
}

void Follow(const http::StreamedEvent& event, Following& following) {
  following.last = event.id;
  if (event.type == "job.ended") following.ended = true;
  const Json data = Json::parse(event.data, nullptr, false);
  if (event.type == "job.progress" && data.is_object()) ShowProgress(*following.terminal, data.value("progress", 0.0));
  // What has not ended, as far as it is asked for.
  if (event.type == "snapshot") following.gone = data == Json{{"jobs", Json::array()}};
}

size_t TakeEvents(char* data, size_t size, size_t count, void* state) {
  auto& following = *static_cast<Following*>(state);
  if (!following.reader.Add({data, size * count})) return 0;
  while (const auto event = following.reader.Next()) Follow(*event, following);
  return following.ended || following.gone ? 0 : size * count;
}

size_t GiveBytes(char* data, size_t size, size_t count, void* file) {
  return std::fread(data, size, count, static_cast<std::FILE*>(file));
}

int AskCancelled(void* terminal, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  return static_cast<Terminal*>(terminal)->Cancelled() ? 1 : 0;
}

}  // namespace

FieldList RemoteOptions::Fields() {
  const std::string variable = Variable("TIMBRE_SERVER");
  server = variable.empty() ? kUsualServer : variable;
  FieldList fields = FieldsOfJob();
  fields[0].help = "where a 'timbre serve' is: http://HOST:PORT, or unix:PATH";
  return fields;
}

FieldList RemoteOptions::FieldsOfJob() {
  return {{.name = "server",
           .value = &server,
           .help = "have it done by a 'timbre serve' there: http://HOST:PORT, or unix:PATH",
           .placeholder = "URL"},
          {.name = "token-file",
           .value = &token_file,
           .help = "whose token is shown to the server (default: TIMBRE_TOKEN, or the server's own on this machine)",
           .placeholder = "FILE"}};
}

struct Remote::Connection {
  CURL* curl = nullptr;
  Terminal* terminal = nullptr;
  std::string url, socket, token;
  ~Connection() { curl_easy_cleanup(curl); }

  // One request; `set_up` adds what is particular to it. The status.
  Result<long> Do(const std::string& method, const std::string& path, const std::vector<std::string>& headers,
                  const std::function<void()>& set_up) {
    curl_easy_reset(curl);
    curl_easy_setopt(curl, CURLOPT_URL, (url + path).c_str());
    if (!socket.empty()) curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, socket.c_str());
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method.c_str());
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "127.0.0.1,localhost,::1");
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, kConnectSeconds);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, &AskCancelled);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, terminal);
    curl_slist* list = curl_slist_append(nullptr, ("Authorization: Bearer " + token).c_str());
    for (const std::string& header : headers) list = curl_slist_append(list, header.c_str());
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, list);
    set_up();
    const CURLcode done = curl_easy_perform(curl);
    curl_slist_free_all(list);
    if (done == CURLE_ABORTED_BY_CALLBACK) return Fail(ErrorCode::kCancelled, "cancelled.");
    if (done != CURLE_OK) {
      return Fail(ErrorCode::kIo, "the server " + (socket.empty() ? url : "at " + socket) +
                                      " can't be reached: " + curl_easy_strerror(done) + ".");
    }
    long status = 0;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    return status;
  }

  static Result<Json> Judge(long status, const std::string& text) {
    Json json = text.empty() ? Json() : Json::parse(text, nullptr, false);
    if (status >= 200 && status < 300) {
      if (json.is_discarded()) return Fail(ErrorCode::kCorrupt, "the server answers with what is no JSON.");
      return json;
    }
    std::string detail = "status " + std::to_string(status);
    if (json.is_object() && json.contains("detail") && json["detail"].is_string()) detail = json["detail"];
    return Fail(CodeOf(status), "the server refuses: " + detail);
  }
};

Remote::Remote(std::unique_ptr<Connection> connection) : connection_(std::move(connection)) {}
Remote::Remote(Remote&&) noexcept = default;
Remote::~Remote() = default;

Result<Remote> Remote::Open(const RemoteOptions& options, Terminal& terminal) {
  TIMBRE_CHECK(StartCurl());
  auto connection = std::make_unique<Connection>();
  connection->terminal = &terminal;
  connection->url = options.server;
  if (connection->url.starts_with("unix:")) {
    connection->socket = connection->url.substr(5);
    connection->url = "http://localhost";
  } else if (!connection->url.starts_with("http://") && !connection->url.starts_with("https://")) {
    return Fail(ErrorCode::kInvalidArgument, "--server takes http://HOST:PORT, https://HOST or unix:PATH, not '" +
                                                 Printable(connection->url) + "'.");
  }
  while (connection->url.ends_with('/')) connection->url.pop_back();
  connection->token = Variable("TIMBRE_TOKEN");
  if (!options.token_file.empty() || connection->token.empty()) {
    TIMBRE_TRY(connection->token, TokenOf(options.token_file.empty() ? UsualTokenFile() : options.token_file));
  }
  connection->curl = curl_easy_init();
  if (connection->curl == nullptr) return Fail(ErrorCode::kInternal, "libcurl can't be started.");
  return Remote(std::move(connection));
}

Result<Json> Remote::Ask(const std::string& method, const std::string& path, const Json& body,
                         const std::string& header) {
  const std::string text = body.is_null() ? "" : body.dump(-1, ' ', false, Json::error_handler_t::replace);
  std::string answer;
  std::vector<std::string> headers = {"Content-Type: application/json"};
  if (!header.empty()) headers.push_back(header);
  CURL* const curl = connection_->curl;
  TIMBRE_TRY(const long status, connection_->Do(method, path, headers, [&] {
    if (method != "GET") {
      curl_easy_setopt(curl, CURLOPT_POSTFIELDS, text.data());
      curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(text.size()));
    }
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, &TakeText);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &answer);
  }));
  return Connection::Judge(status, answer);
}

Result<std::string> Remote::Upload(const std::string& path) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"), std::fclose);
  struct stat info = {};
  if (!file || fstat(fileno(file.get()), &info) != 0 || !S_ISREG(info.st_mode)) {
    return Fail(ErrorCode::kNotFound, "'" + Printable(path) + "' can't be read as a file.");
  }
  const std::string name = std::filesystem::path(path).filename().string();
  std::string answer;
  CURL* const curl = connection_->curl;
  TIMBRE_TRY(
      const long status,
      connection_->Do("POST", "/v1/assets?name=" + http::PercentEncode(name), {"Content-Type: audio/unknown"}, [&] {
        curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(curl, CURLOPT_READFUNCTION, &GiveBytes);
        curl_easy_setopt(curl, CURLOPT_READDATA, file.get());
        curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(info.st_size));
        curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, &TakeText);
        curl_easy_setopt(curl, CURLOPT_WRITEDATA, &answer);
      }));
  Result<Json> asset = Connection::Judge(status, answer);
  if (!asset) return Prefix(asset.error(), Printable(path));
  return asset->value("id", "");
}

Status Remote::Download(const std::string& path, AtomicFile& file) {
  ToFile to{&file, connection_->curl, "", {}};
  const Result<long> status = connection_->Do("GET", path, {}, [&] {
    curl_easy_setopt(connection_->curl, CURLOPT_WRITEFUNCTION, &TakeBytes);
    curl_easy_setopt(connection_->curl, CURLOPT_WRITEDATA, &to);
  });
  if (!to.status) return to.status;
  if (!status) return tl::unexpected<Error>(status.error());
  if (*status == 200) return {};
  return tl::unexpected<Error>(Connection::Judge(*status, to.refusal).error());
}

// Told by events, with no question asked until the job has ended or the stream has. One that breaks off is gone on with
// behind the last event that was seen; where a server opens none, the job is asked for.
Result<Json> Remote::Wait(const std::string& job) {
  auto reached = Clock::now();
  Following following{.job = job, .terminal = connection_->terminal};
  CURL* const curl = connection_->curl;
  for (;;) {
    if (following.terminal->Cancelled())
      return Fail(ErrorCode::kCancelled, "cancelled; the job goes on at the server.");
    Result<Json> now = Ask("GET", "/v1/jobs/" + job);
    if (!now && (now.error().code != ErrorCode::kIo || Clock::now() - reached > kPatience)) return now;
    if (now) {
      reached = Clock::now();
      const std::string state = now->value("state", "");
      if (state == "succeeded" || state == "failed" || state == "cancelled") return now;
      ShowProgress(*following.terminal, now->value("progress", 0.0));
      std::vector<std::string> headers = {"Accept: text/event-stream"};
      if (!following.last.empty()) headers.push_back("Last-Event-ID: " + following.last);
      following.reader = {};
      following.ended = following.gone = false;
      // However it ends, the job says what comes of it.
      (void)connection_->Do("GET", "/v1/events?job=" + http::PercentEncode(job), headers, [&] {
        curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
        curl_easy_setopt(curl, CURLOPT_TCP_KEEPALIVE, 1L);
        curl_easy_setopt(curl, CURLOPT_TCP_KEEPIDLE, kKeepAliveSeconds);
        curl_easy_setopt(curl, CURLOPT_TCP_KEEPINTVL, kKeepAliveSeconds);
        curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, &TakeEvents);
        curl_easy_setopt(curl, CURLOPT_WRITEDATA, &following);
      });
      if (following.ended) continue;
    }
    std::this_thread::sleep_for(kAskEvery);
  }
}

Result<std::vector<std::string>> Remote::Fetch(const Json& job, const std::string& folder,
                                               const std::map<std::string, std::string>& places) {
  const std::string state = job.value("state", "");
  if (state != "succeeded") {
    std::string why = "the job is " + state;
    if (job.contains("error") && job["error"].is_object()) why = job["error"].value("detail", why);
    return Fail(state == "cancelled" ? ErrorCode::kCancelled : ErrorCode::kIo, why);
  }
  OutputSet outputs;
  std::vector<std::string> paths;
  std::set<std::string> names;
  for (const Json& output : job.value("outputs", Json::array())) {
    const std::string name = output.value("name", ""), link = output.value("link", "");
    // The server is not trusted with where files go.
    const std::filesystem::path relative(name);
    bool inside = !name.empty() && relative.is_relative() && link.starts_with("/v1/");
    for (const auto& part : relative) inside = inside && part != ".." && part != ".";
    if (!inside || !names.insert(name).second) {
      return Fail(ErrorCode::kCorrupt, "the server names an output '" + Printable(name) + "'.");
    }
    const auto place = places.find(name);
    paths.push_back(place != places.end() ? place->second : (std::filesystem::path(folder) / relative).string());
    TIMBRE_TRY(AtomicFile file, outputs.Create(paths.back()));
    TIMBRE_CHECK(Download(link, file));
    TIMBRE_CHECK(file.Commit());
  }
  TIMBRE_CHECK(outputs.Commit());
  return paths;
}

}  // namespace timbre::cli
