#include "http/server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <list>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "base/log.h"
#include "base/start_thread.h"
#include "base/text.h"
#include "http/event_stream.h"
#include "http/listen.h"
#include "http/microhttpd.h"
#include "http/problem.h"

namespace timbre::http {
namespace {

using Clock = std::chrono::steady_clock;

// What a sink is given at a time: larger pieces mean fewer turns through the pool.
constexpr size_t kPiece = size_t{256} << 10;
// A body that is too long is read so much further, that the client sees the answer rather than a closed connection.
constexpr size_t kMostIgnored = size_t{1} << 20;
constexpr auto kHeartbeat = std::chrono::seconds(15);

// Threads that run what may wait for a disk.
class Pool {
 public:
  Status Start(int threads) {
    for (int i = 0; i < threads; ++i) {
      TIMBRE_TRY(std::thread thread, StartThread([this] { Run(); }));
      threads_.push_back(std::move(thread));
    }
    return {};
  }
  ~Pool() { Stop(); }
  void Do(std::function<void()> work) {
    const std::lock_guard lock(mutex_);
    work_.push_back(std::move(work));
    filled_.notify_one();
  }
  // Ends when all that was given is done.
  void Stop() {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
      filled_.notify_all();
    }
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }

 private:
  void Run() {
    std::unique_lock lock(mutex_);
    for (;;) {
      filled_.wait(lock, [&] { return stop_ || !work_.empty(); });
      if (work_.empty()) return;
      const std::function<void()> work = std::move(work_.front());
      work_.pop_front();
      lock.unlock();
      work();
      lock.lock();
    }
  }

  std::mutex mutex_;
  std::condition_variable filled_;
  std::deque<std::function<void()>> work_;  // as many as there are connections, at most
  bool stop_ = false;
  std::vector<std::thread> threads_;
};

// A connection, by what it may take its time for.
struct Connection {
  enum class Phase : uint8_t { kIdle, kHeaders, kBody, kBusy };
  int socket = -1;
  Phase phase = Phase::kIdle;
  Clock::time_point since;
  bool fresh = true;      // no request came yet
  size_t body_bytes = 0;  // since `since`
};

void AddSecurityHeaders(Response& response) {
  constexpr std::pair<const char*, const char*> kHeaders[] = {
      {"Content-Security-Policy",
       "default-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; style-src 'self'; script-src 'self'; "
       "worker-src 'self' blob:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"},
      {"X-Content-Type-Options", "nosniff"},
      {"Referrer-Policy", "no-referrer"},
      {"Cross-Origin-Opener-Policy", "same-origin"},
      {"Cross-Origin-Resource-Policy", "same-origin"},
  };
  for (const auto& [name, value] : kHeaders) response.headers.Set(name, value);
  if (response.headers.Find("Cache-Control") == nullptr) response.headers.Set("Cache-Control", "no-store");
}

}  // namespace

struct Server::Impl {
  struct Transaction;

  ServerSettings settings;
  Router router;
  std::unique_ptr<Guard> guard;
  OwnedFile socket;
  std::string unix_path;
  int port = 0;
  MHD_Daemon* daemon = nullptr;
  Pool pool;
  std::thread clock;

  std::mutex mutex;  // guards what follows
  std::condition_variable changed;
  bool stopping = false, notified = false;
  uint64_t notices = 0;  // how often something was told
  int suspended = 0;     // connections that only we can wake
  int open = 0;          // requests that are not answered to the end
  std::set<Connection*> connections;
  std::list<Transaction*> waiting;  // for a later answer
  std::set<std::shared_ptr<EventStream::Shared>> streams;

  Status Begin();
  void Stop();
  void MindTheClock();
  void CutSlowOnes(Clock::time_point now);
  bool Suspend(Transaction& transaction);
  void Resume(Transaction& transaction);
  void Work(Transaction& transaction, std::function<void()> work);
  void Handle(Transaction& transaction);
  void Settle(Transaction& transaction);
  std::optional<Response> Refusal(Transaction& transaction, const char* method);
  MHD_Result OnRequest(Transaction& transaction, const char* method, const char* data, size_t* size);
  MHD_Result Receive(Transaction& transaction, const char* data, size_t* size);
  MHD_Result Queue(Transaction& transaction, Response response);
  void SetPhase(Connection* connection, Connection::Phase phase);

  static Connection* ConnectionOf(MHD_Connection* connection);
  static void OnConnection(void* self, MHD_Connection* connection, void** context, MHD_ConnectionNotificationCode code);
  static void* OnTarget(void* self, const char* target, MHD_Connection* connection);
  static MHD_Result OnAccess(void* self, MHD_Connection* connection, const char* url, const char* method,
                             const char* version, const char* data, size_t* size, void** state);
  static void OnCompleted(void* self, MHD_Connection* connection, void** state, MHD_RequestTerminationCode code);
  static ssize_t ReadEvents(void* state, uint64_t position, char* out, size_t most);
};

// A request on its way. The daemon's thread and, while the connection is suspended, one of the pool's work on it.
struct Server::Impl::Transaction {
  enum class Step : uint8_t { kNew, kOpening, kReceiving, kWorking, kAnswered };
  Impl* server = nullptr;
  MHD_Connection* connection = nullptr;
  Connection* state = nullptr;
  std::string target;
  Request request;
  const Route* route = nullptr;
  Step step = Step::kNew;
  std::shared_ptr<BodySink> sink;
  std::string piece;  // for the sink
  size_t received = 0;
  bool too_long = false;
  std::optional<Response> answer;
  Clock::time_point begun = Clock::now(), deadline;
  LaterAnswer later;
  uint64_t notices = 0;  // that there were before its answer was last looked for
  int status = 0;
  std::shared_ptr<EventStream::Shared> events;
};

namespace {

// State of an answer whose bytes are asked for as the client reads.
struct SourceState {
  std::unique_ptr<BodySource> source;
};

ssize_t ReadSource(void* state, uint64_t, char* out, size_t most) {
  const Result<size_t> read = static_cast<SourceState*>(state)->source->Read(out, most);
  if (!read) {
    Log(LogLevel::kWarning, "an answer was cut short: " + read.error().message);
    return MHD_CONTENT_READER_END_WITH_ERROR;
  }
  return *read == 0 ? MHD_CONTENT_READER_END_OF_STREAM : static_cast<ssize_t>(*read);
}

void FreeSource(void* state) { delete static_cast<SourceState*>(state); }

size_t LeaveEscaped(void*, MHD_Connection*, char* text) { return std::strlen(text); }

void LogOfLibrary(void*, const char* format, va_list arguments) {
  char text[512];
  const int length = std::vsnprintf(text, sizeof(text), format, arguments);
  if (length > 0) Log(LogLevel::kDebug, std::string("http: ") + text);
}

std::string AddressText(MHD_Connection* connection) {
  const MHD_ConnectionInfo* info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
  char text[INET6_ADDRSTRLEN] = "local";
  if (info == nullptr || info->client_addr == nullptr) return text;
  if (info->client_addr->sa_family == AF_INET) {
    inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in*>(info->client_addr)->sin_addr, text, sizeof(text));
  } else if (info->client_addr->sa_family == AF_INET6) {
    inet_ntop(AF_INET6, &reinterpret_cast<const sockaddr_in6*>(info->client_addr)->sin6_addr, text, sizeof(text));
  }
  return text;
}

MHD_Result TakeHeader(void* headers, MHD_ValueKind, const char* name, const char* value) {
  static_cast<Headers*>(headers)->Add(name, value == nullptr ? "" : value);
  return MHD_YES;
}

}  // namespace

Connection* Server::Impl::ConnectionOf(MHD_Connection* connection) {
  const MHD_ConnectionInfo* info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
  return info == nullptr ? nullptr : static_cast<Connection*>(info->socket_context);
}

void Server::Impl::OnConnection(void* self, MHD_Connection* connection, void** context,
                                MHD_ConnectionNotificationCode code) {
  auto& server = *static_cast<Impl*>(self);
  const std::lock_guard lock(server.mutex);
  if (code == MHD_CONNECTION_NOTIFY_STARTED) {
    const MHD_ConnectionInfo* info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    auto* state = new Connection{.socket = info == nullptr ? -1 : info->connect_fd, .since = Clock::now()};
    server.connections.insert(state);
    *context = state;
  } else if (auto* state = static_cast<Connection*>(*context); state != nullptr) {
    server.connections.erase(state);
    delete state;
    *context = nullptr;
  }
}

void* Server::Impl::OnTarget(void* self, const char* target, MHD_Connection* connection) {
  auto* transaction = new Transaction;
  transaction->server = static_cast<Impl*>(self);
  transaction->connection = connection;
  transaction->state = ConnectionOf(connection);
  transaction->target = target;
  transaction->server->SetPhase(transaction->state, Connection::Phase::kHeaders);
  const std::lock_guard lock(transaction->server->mutex);
  ++transaction->server->open;
  return transaction;
}

MHD_Result Server::Impl::OnAccess(void* self, MHD_Connection*, const char*, const char* method, const char*,
                                  const char* data, size_t* size, void** state) {
  return static_cast<Impl*>(self)->OnRequest(*static_cast<Transaction*>(*state), method, data, size);
}

void Server::Impl::OnCompleted(void* self, MHD_Connection*, void** state, MHD_RequestTerminationCode) {
  auto& server = *static_cast<Impl*>(self);
  auto* transaction = static_cast<Transaction*>(*state);
  if (transaction == nullptr) return;
  *state = nullptr;
  if (transaction->events) {
    {
      const std::lock_guard lock(transaction->events->mutex);
      transaction->events->closed = true;
      transaction->events->wake = nullptr;
      transaction->events->text.clear();
    }
    const std::lock_guard lock(server.mutex);
    server.streams.erase(transaction->events);
  }
  if (server.settings.served) {
    const Request& request = transaction->request;
    server.settings.served({.route = transaction->route == nullptr ? "" : transaction->route->name,
                            .method = request.method,
                            .path = request.path,
                            .peer = request.peer,
                            .client = request.client,
                            .status = transaction->status,
                            .seconds = std::chrono::duration<double>(Clock::now() - transaction->begun).count()});
  }
  server.SetPhase(transaction->state, Connection::Phase::kIdle);
  delete transaction;
  const std::lock_guard lock(server.mutex);
  --server.open;
  server.changed.notify_all();
}

void Server::Impl::SetPhase(Connection* connection, Connection::Phase phase) {
  if (connection == nullptr) return;
  const std::lock_guard lock(mutex);
  if (connection->phase != phase) connection->since = Clock::now();
  connection->phase = phase;
  connection->fresh = false;
  connection->body_bytes = 0;
}

// False where the server stops: then nothing must be suspended any more.
bool Server::Impl::Suspend(Transaction& transaction) {
  SetPhase(transaction.state, Connection::Phase::kBusy);
  const std::lock_guard lock(mutex);
  if (stopping) return false;
  ++suspended;
  MHD_suspend_connection(transaction.connection);
  return true;
}

void Server::Impl::Resume(Transaction& transaction) {
  const std::lock_guard lock(mutex);
  --suspended;
  changed.notify_all();
  MHD_resume_connection(transaction.connection);
}

void Server::Impl::Work(Transaction& transaction, std::function<void()> work) {
  pool.Do([this, &transaction, work = std::move(work)] {
    {
      const std::lock_guard lock(mutex);
      transaction.notices = notices;
    }
    try {
      work();
    } catch (const std::exception& error) {
      // Ours does not throw; of a library's the client learns no more than that.
      transaction.answer = ProblemOf({ErrorCode::kInternal, std::string("a handler threw: ") + error.what()});
    }
    Settle(transaction);
  });
}

// After a handler: an answer that is not there yet waits, everything else goes on its way.
void Server::Impl::Settle(Transaction& transaction) {
  if (transaction.answer && transaction.answer->later) {
    transaction.later = std::move(transaction.answer->later);
    transaction.deadline = Clock::now() + transaction.answer->patience;
    transaction.answer.reset();
  }
  if (!transaction.answer && transaction.later) {
    const std::lock_guard lock(mutex);
    waiting.push_back(&transaction);
    // What was told since then came too early for it.
    notified = notified || stopping || transaction.notices != notices;
    changed.notify_all();
    return;
  }
  Resume(transaction);
}

void Server::Impl::Handle(Transaction& transaction) {
  if (transaction.sink && !transaction.piece.empty()) {
    // What failed is known to the sink, and the handler asks it.
    (void)transaction.sink->Write(transaction.piece);
    transaction.piece.clear();
  }
  transaction.answer = transaction.route->handler(transaction.request);
}

// Why a request is not even read to its end.
std::optional<Response> Server::Impl::Refusal(Transaction& transaction, const char* method) {
  Request& request = transaction.request;
  request.method = method;
  request.peer = AddressText(transaction.connection);
  MHD_get_connection_values(transaction.connection, MHD_HEADER_KIND, TakeHeader, &request.headers);
  size_t header_bytes = 0;
  for (const auto& [name, value] : request.headers)
    header_bytes += name.size() + value.size() + 4;  // ": " and the line's end
  if (header_bytes > settings.limits.header_bytes) {
    return Problem(431, "headers",
                   "the request's headers are larger than this server takes: " +
                       std::to_string(settings.limits.header_bytes) + " bytes.");
  }
  std::string_view target = transaction.target;
  if (target.size() > settings.limits.target_bytes) return Problem(414, "target", "the request's target is too long.");
  // The absolute form (RFC 9112, 3.2.2) names the host once more.
  if (target.starts_with("http://")) {
    const size_t slash = std::min(target.find('/', 7), target.size());
    request.headers.Set("Host", std::string(target.substr(7, slash - 7)));
    target.remove_prefix(slash);
    if (target.empty()) target = "/";
  }
  const size_t question = std::min(target.find('?'), target.size());
  request.path = target.substr(0, question);
  if (auto refused = guard->CheckOrigin(request); refused) return refused;
  auto query = ParseQuery(target.substr(std::min(question + 1, target.size())));
  if (!query) return Problem(400, "query", "the query behind the '?' is malformed.");
  request.query = *std::move(query);
  Router::Match match = router.Find(request.method, request.path);
  if (match.route == nullptr && match.allowed.empty()) {
    // Whoever has no token learns nothing of what there is.
    if (auto refused = guard->CheckToken(request); refused) return refused;
    return Problem(404, "not-found", "there is nothing at this path; GET /v1/openapi.json lists what there is.");
  }
  if (match.route == nullptr) {
    Response refused = Problem(405, "method", "this path does not know that method.");
    std::string allowed;
    for (const std::string& name : match.allowed) allowed += (allowed.empty() ? "" : ", ") + name;
    refused.headers.Set("Allow", allowed);
    return refused;
  }
  transaction.route = match.route;
  request.captured = std::move(match.captured);
  if (!match.route->open) {
    if (auto refused = guard->CheckToken(request); refused) return refused;
    if (auto refused = guard->CheckRate(request.client, Clock::now()); refused) return refused;
  }
  const std::string_view length = request.Header("Content-Length");
  const bool has_body = !length.empty() || request.headers.Count("Transfer-Encoding") > 0;
  const size_t most = match.route->body == BodyKind::kNone ? kMostIgnored : match.route->most_body;
  if (!length.empty() && std::stoull(std::string(length)) > most) {
    return Problem(413, "too-large", "the body is larger than this server takes: " + std::to_string(most) + " bytes.");
  }
  if (match.route->body == BodyKind::kJson && has_body && length != "0") {
    std::string_view type = request.Header("Content-Type");
    type = type.substr(0, type.find(';'));
    while (!type.empty() && type.back() == ' ') type.remove_suffix(1);
    if (!EqualIgnoringCase(type, "application/json")) {
      Response refused = Problem(415, "media-type", "the body has to be JSON, with 'Content-Type: application/json'.");
      refused.headers.Set("Accept-Post", "application/json");
      return refused;
    }
  }
  return std::nullopt;
}

MHD_Result Server::Impl::OnRequest(Transaction& transaction, const char* method, const char* data, size_t* size) {
  using Step = Transaction::Step;
  switch (transaction.step) {
    case Step::kNew:
      if (auto refused = Refusal(transaction, method); refused) return Queue(transaction, *std::move(refused));
      if (transaction.route->body == BodyKind::kStream) {
        transaction.step = Step::kOpening;
        if (!Suspend(transaction)) return MHD_NO;
        Work(transaction, [this, &transaction] {
          (void)this;
          OpenedBody opened = transaction.route->open_body(transaction.request);
          transaction.sink = transaction.request.sink = std::move(opened.sink);
          if (!transaction.sink) transaction.answer = std::move(opened.refusal);
        });
        return MHD_YES;
      }
      transaction.step = Step::kReceiving;
      SetPhase(transaction.state, Connection::Phase::kBody);
      return MHD_YES;
    case Step::kOpening:
      if (transaction.answer) return Queue(transaction, *std::exchange(transaction.answer, std::nullopt));
      transaction.step = Step::kReceiving;
      SetPhase(transaction.state, Connection::Phase::kBody);
      return MHD_YES;
    case Step::kReceiving: return Receive(transaction, data, size);
    case Step::kWorking:
      if (!transaction.answer) return MHD_YES;
      return Queue(transaction, *std::exchange(transaction.answer, std::nullopt));
    case Step::kAnswered: break;
  }
  *size = 0;
  return MHD_YES;
}

MHD_Result Server::Impl::Receive(Transaction& transaction, const char* data, size_t* size) {
  const Route& route = *transaction.route;
  if (*size == 0) {
    transaction.step = Transaction::Step::kWorking;
    if (transaction.too_long) {
      return Queue(
          transaction,
          Problem(413, "too-large",
                  "the body is larger than this server takes: " + std::to_string(route.most_body) + " bytes."));
    }
    if (!Suspend(transaction)) return MHD_NO;
    Work(transaction, [this, &transaction] { Handle(transaction); });
    return MHD_YES;
  }
  const size_t taken = std::exchange(*size, 0);
  transaction.received += taken;
  {
    const std::lock_guard lock(mutex);
    if (transaction.state != nullptr) {
      transaction.state->phase = Connection::Phase::kBody;
      transaction.state->body_bytes += taken;
    }
  }
  if (route.body == BodyKind::kNone) return transaction.received > kMostIgnored ? MHD_NO : MHD_YES;
  if (transaction.received > route.most_body) {
    transaction.too_long = true;
    transaction.request.body.clear();
    return transaction.received > route.most_body + kMostIgnored ? MHD_NO : MHD_YES;
  }
  if (!transaction.sink) {
    transaction.request.body.append(data, taken);
    return MHD_YES;
  }
  transaction.piece.append(data, taken);
  if (transaction.piece.size() < kPiece) return MHD_YES;
  // Meanwhile what the client sends stays in its kernel and ours.
  if (!Suspend(transaction)) return MHD_NO;
  pool.Do([this, &transaction] {
    (void)transaction.sink->Write(transaction.piece);
    transaction.piece.clear();
    Resume(transaction);
  });
  return MHD_YES;
}

ssize_t Server::Impl::ReadEvents(void* state, uint64_t, char* out, size_t most) {
  auto& transaction = *static_cast<Transaction*>(state);
  EventStream::Shared& events = *transaction.events;
  const std::lock_guard lock(events.mutex);
  if (!events.text.empty()) {
    const size_t count = std::min(most, events.text.size());
    std::copy_n(events.text.data(), count, out);
    events.text.erase(0, count);
    return static_cast<ssize_t>(count);
  }
  if (events.closed) return MHD_CONTENT_READER_END_OF_STREAM;
  const std::lock_guard server_lock(transaction.server->mutex);
  if (transaction.server->stopping) return MHD_CONTENT_READER_END_OF_STREAM;
  events.asleep = true;
  ++transaction.server->suspended;
  MHD_suspend_connection(transaction.connection);
  return 0;
}

MHD_Result Server::Impl::Queue(Transaction& transaction, Response response) {
  transaction.step = Transaction::Step::kAnswered;
  transaction.status = response.status;
  SetPhase(transaction.state, Connection::Phase::kBusy);
  if (response.events) {
    response.headers.Set("Content-Type", "text/event-stream");
    response.headers.Set("Cache-Control", "no-store");
    response.headers.Set("X-Accel-Buffering", "no");
  }
  AddSecurityHeaders(response);
  MHD_Response* answer = nullptr;
  if (response.events) {
    transaction.events = response.events->shared_;
    {
      const std::lock_guard lock(transaction.events->mutex);
      transaction.events->wake = [&transaction] { transaction.server->Resume(transaction); };
    }
    const std::lock_guard lock(mutex);
    streams.insert(transaction.events);
    answer = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 16 << 10, &ReadEvents, &transaction, nullptr);
  } else if (response.source) {
    auto* state = new SourceState{std::move(response.source)};
    const uint64_t length = response.length < 0 ? MHD_SIZE_UNKNOWN : static_cast<uint64_t>(response.length);
    answer = MHD_create_response_from_callback(length, 64 << 10, &ReadSource, state, &FreeSource);
    if (answer == nullptr) delete state;
  } else if (response.file.get() >= 0 && response.length > 0) {
    answer = MHD_create_response_from_fd_at_offset64(static_cast<uint64_t>(response.length), response.file.get(),
                                                     static_cast<uint64_t>(response.offset));
    if (answer != nullptr) response.file.Release();
  } else {
    answer = MHD_create_response_from_buffer(response.body.size(), response.body.data(), MHD_RESPMEM_MUST_COPY);
  }
  if (answer == nullptr) return MHD_NO;
  for (const auto& [name, value] : response.headers) {
    // What a header can't carry would end it early, and is refused.
    if (MHD_add_response_header(answer, name.c_str(), value.c_str()) != MHD_YES) {
      Log(LogLevel::kWarning, "a header '" + name + "' can't be sent");
    }
  }
  const MHD_Result queued = MHD_queue_response(transaction.connection, static_cast<unsigned>(response.status), answer);
  MHD_destroy_response(answer);
  return queued;
}

void Server::Impl::CutSlowOnes(Clock::time_point now) {
  const Limits& limits = settings.limits;
  for (Connection* connection : connections) {
    const double seconds = std::chrono::duration<double>(now - connection->since).count();
    bool slow = false;
    switch (connection->phase) {
      case Connection::Phase::kIdle:
        slow = seconds > (connection->fresh ? limits.headers_seconds : limits.idle_seconds);
        break;
      case Connection::Phase::kHeaders: slow = seconds > limits.headers_seconds; break;
      case Connection::Phase::kBody:
        if (seconds > limits.body_seconds) {
          slow = connection->body_bytes < static_cast<size_t>(limits.body_seconds) * 1024;
          connection->since = now;
          connection->body_bytes = 0;
        }
        break;
      case Connection::Phase::kBusy: break;
    }
    if (slow) shutdown(connection->socket, SHUT_RDWR);
  }
}

void Server::Impl::MindTheClock() {
  auto last_beat = Clock::now();
  std::unique_lock lock(mutex);
  for (;;) {
    changed.wait_for(lock, std::chrono::milliseconds(200), [&] { return notified || (stopping && suspended == 0); });
    if (stopping && suspended == 0) return;
    const auto now = Clock::now();
    CutSlowOnes(now);
    const bool ask = std::exchange(notified, false) || stopping;
    for (auto next = waiting.begin(); next != waiting.end();) {
      Transaction& transaction = **next;
      const bool last = stopping || now >= transaction.deadline;
      if (!ask && !last) {
        ++next;
        continue;
      }
      next = waiting.erase(next);
      Work(transaction, [&transaction, last] { transaction.answer = transaction.later(last); });
    }
    const bool beat = now - last_beat >= kHeartbeat;
    if (!beat && !stopping) continue;
    if (beat) last_beat = now;
    const std::vector<std::shared_ptr<EventStream::Shared>> all(streams.begin(), streams.end());
    const bool end = stopping;
    lock.unlock();  // a stream's lock is taken before ours
    for (const auto& events : all) {
      const std::lock_guard events_lock(events->mutex);
      if (end) events->closed = true;
      if (!end && events->text.empty()) events->text = ":\n\n";
      events->Wake();
    }
    lock.lock();
  }
}

Status Server::Impl::Begin() {
  TIMBRE_CHECK(LoadMicrohttpd());
  TIMBRE_TRY(const ListenAddress address, ParseListenAddress(settings.listen));
  TIMBRE_TRY(Listening listening, Listen(address));
  socket = std::move(listening.socket);
  port = listening.port;
  unix_path = address.path;
  if (address.path.empty()) {
    const std::string shown = address.host.find(':') == std::string::npos ? address.host : "[" + address.host + "]";
    for (const std::string& host : {shown, std::string("localhost"), std::string("127.0.0.1"), std::string("[::1]")}) {
      settings.guard.hosts.insert(host + ":" + std::to_string(port));
      if (port == 80) settings.guard.hosts.insert(host);
    }
  } else {
    settings.guard.any_host = true;
  }
  guard = std::make_unique<Guard>(settings.guard);
  TIMBRE_CHECK(pool.Start(settings.limits.handlers));
  const Limits& limits = settings.limits;
  const auto per_address = static_cast<unsigned>(address.path.empty() ? limits.connections_of_one_address : 0);
  daemon = MHD_start_daemon(
      MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC | MHD_USE_ERROR_LOG, 0, nullptr, nullptr,
      &OnAccess, this, MHD_OPTION_EXTERNAL_LOGGER, &LogOfLibrary, nullptr, MHD_OPTION_LISTEN_SOCKET, socket.get(),
      MHD_OPTION_CONNECTION_LIMIT, static_cast<unsigned>(limits.connections), MHD_OPTION_PER_IP_CONNECTION_LIMIT,
      per_address, MHD_OPTION_CONNECTION_TIMEOUT, static_cast<unsigned>(limits.idle_seconds),
      // One buffer holds the headers and what of the body has come.
      MHD_OPTION_CONNECTION_MEMORY_LIMIT, limits.header_bytes + (size_t{16} << 10), MHD_OPTION_NOTIFY_COMPLETED,
      &OnCompleted, this, MHD_OPTION_NOTIFY_CONNECTION, &OnConnection, this, MHD_OPTION_URI_LOG_CALLBACK, &OnTarget,
      this, MHD_OPTION_UNESCAPE_CALLBACK, &LeaveEscaped, nullptr,
#if MHD_VERSION >= 0x00097600
      MHD_OPTION_CLIENT_DISCIPLINE_LVL, 1,
#else
      MHD_OPTION_STRICT_FOR_CLIENT, 1,
#endif
      MHD_OPTION_END);
  if (daemon == nullptr) return Fail(ErrorCode::kIo, "the web server could not be started.");
  socket.Release();  // the daemon closes it
  TIMBRE_TRY(clock, StartThread([this] { MindTheClock(); }));
  return {};
}

void Server::Impl::Stop() {
  if (daemon == nullptr) return;
  const MHD_socket listener = MHD_quiesce_daemon(daemon);
  {
    const std::lock_guard lock(mutex);
    stopping = true;
    changed.notify_all();
  }
  if (clock.joinable()) clock.join();  // ends when nothing is suspended
  pool.Stop();
  {
    std::unique_lock lock(mutex);
    changed.wait_for(lock, std::chrono::seconds(2), [&] { return open == 0; });
  }
  MHD_stop_daemon(daemon);
  daemon = nullptr;
  if (listener != MHD_INVALID_SOCKET) close(listener);
  if (!unix_path.empty()) unlink(unix_path.c_str());
}

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Server::~Server() { Stop(); }

Result<std::unique_ptr<Server>> Server::Start(ServerSettings settings, Router router) {
  auto impl = std::make_unique<Impl>();
  impl->settings = std::move(settings);
  impl->router = std::move(router);
  Impl& begun = *impl;
  std::unique_ptr<Server> server(new Server(std::move(impl)));
  TIMBRE_CHECK(begun.Begin());
  return server;
}

int Server::port() const { return impl_->port; }

void Server::Notify() {
  const std::lock_guard lock(impl_->mutex);
  impl_->notified = true;
  ++impl_->notices;
  impl_->changed.notify_all();
}

void Server::Stop() { impl_->Stop(); }

}  // namespace timbre::http
