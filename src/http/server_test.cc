// The server over real sockets.
#include "http/server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "http/problem.h"
#include "http/ranges.h"
#include "tests/e2e/program.h"

namespace timbre::http {
namespace {

// A connection that sends what it is told.
class Wire {
 public:
  explicit Wire(int port) : socket_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
  }
  ~Wire() { close(socket_); }
  Wire(const Wire&) = delete;
  Wire& operator=(const Wire&) = delete;
  bool connected() const { return connected_; }
  void Send(const std::string& bytes) { (void)send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL); }
  void EndSending() { shutdown(socket_, SHUT_WR); }
  // Until `text` has come, or the other side has closed, or ten seconds are over.
  std::string Until(const std::string& text) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (got_.find(text) == std::string::npos && std::chrono::steady_clock::now() < end) {
      pollfd watch{.fd = socket_, .events = POLLIN};
      if (poll(&watch, 1, 100) <= 0) continue;
      char buffer[65536];
      const ssize_t n = recv(socket_, buffer, sizeof(buffer), 0);
      if (n <= 0) {
        closed_ = true;
        break;
      }
      got_.append(buffer, static_cast<size_t>(n));
    }
    return got_;
  }
  std::string ToEnd() { return Until("\xFF never"); }
  bool closed() const { return closed_; }

 private:
  int socket_;
  bool connected_ = false, closed_ = false;
  std::string got_;
};

class CountingSink : public BodySink {
 public:
  Status Write(std::string_view bytes) override {
    count += bytes.size();
    for (const char c : bytes) sum += static_cast<unsigned char>(c);
    return {};
  }
  std::atomic<size_t> count{0}, sum{0};
};

class HttpServer : public ::testing::Test {
 protected:
  void Start(Limits limits = {}) {
    testing::WriteAll(folder_ / "file", "0123456789");
    Router router;
    router.Add({.method = "GET", .pattern = "/healthz", .name = "health", .open = true, .handler = [](Request&) {
                  return Text(200, "ok\n");
                }});
    router.Add({.method = "POST",
                .pattern = "/echo",
                .name = "echo",
                .body = BodyKind::kJson,
                .most_body = 100,
                .handler = [](Request& request) { return Text(200, request.client + ":" + request.body); }});
    router.Add({.method = "GET", .pattern = "/file", .name = "file", .handler = [this](Request& request) {
                  return ServeFile(request, OwnedFile(open((folder_ / "file").c_str(), O_RDONLY)), 10, "\"v1\"",
                                   "audio/wav");
                }});
    router.Add({.method = "GET", .pattern = "/events", .name = "events", .handler = [this](Request&) {
                  Response response;
                  response.events = std::make_shared<EventStream>();
                  response.events->Push("retry: 2000\n\n");
                  const std::lock_guard lock(mutex_);
                  streams_.push_back(response.events);
                  return response;
                }});
    router.Add({.method = "GET", .pattern = "/later", .name = "later", .handler = [this](Request&) {
                  Response response;
                  response.patience = std::chrono::seconds(30);
                  response.later = [this](bool last) -> std::optional<Response> {
                    if (last) return Text(200, "nothing yet");
                    if (!ready_) return std::nullopt;
                    return Text(200, "ready");
                  };
                  return response;
                }});
    // What it waits for comes, and is told, before it waits.
    router.Add({.method = "GET", .pattern = "/overtaken", .name = "overtaken", .handler = [this](Request&) {
                  Response response;
                  response.patience = std::chrono::seconds(2);
                  response.later = [](bool last) -> std::optional<Response> {
                    return Text(200, last ? "too late" : "ready");
                  };
                  server_->Notify();
                  std::this_thread::sleep_for(std::chrono::milliseconds(500));  // in which all who wait are asked
                  return response;
                }});
    router.Add({.method = "PUT",
                .pattern = "/upload",
                .name = "upload",
                .body = BodyKind::kStream,
                .most_body = 3 << 20,
                .handler = [this](Request&) { return Text(201, std::to_string(sink_->count)); },
                .open_body = [this](Request& request) -> OpenedBody {
                  if (!request.Header("X-Refuse").empty()) return {nullptr, Problem(409, "no", "no.")};
                  sink_ = std::make_shared<CountingSink>();
                  return {sink_, {}};
                }});
    router.Add({.method = "GET", .pattern = "/throw", .name = "throw", .handler = [](Request&) -> Response {
                  throw std::runtime_error("inside");
                }});
    ServerSettings settings{.limits = limits};
    settings.guard.client_of = [](std::string_view token) -> std::optional<std::string> {
      if (EqualInConstantTime(token, "secret")) return "anna";
      return std::nullopt;
    };
    settings.guard.requests_per_second = 0;
    settings.served = [this](const Served& served) {
      const std::lock_guard lock(mutex_);
      served_.push_back(served);
    };
    auto server = Server::Start(std::move(settings), std::move(router));
    ASSERT_TRUE(server) << server.error().message;
    server_ = *std::move(server);
  }
  std::string Host() const { return "Host: localhost:" + std::to_string(server_->port()) + "\r\n"; }
  // A request of its own connection: `rest` are further headers, each with its end, a blank line and a body.
  std::string Ask(const std::string& line, const std::string& rest = "\r\n") {
    Wire wire(server_->port());
    wire.Send(line + " HTTP/1.1\r\n" + Host() + "Authorization: Bearer secret\r\nConnection: close\r\n" + rest);
    return wire.ToEnd();
  }
  static int StatusOf(const std::string& answer) {
    return answer.starts_with("HTTP/1.1 ") ? std::atoi(answer.c_str() + 9) : 0;
  }
  static std::string BodyOf(const std::string& answer) {
    const size_t end = answer.find("\r\n\r\n");
    return end == std::string::npos ? "" : answer.substr(end + 4);
  }

  testing::TempFolder folder_;
  std::mutex mutex_;
  std::vector<std::shared_ptr<EventStream>> streams_;
  std::vector<Served> served_;
  std::atomic<bool> ready_{false};
  std::shared_ptr<CountingSink> sink_;
  std::unique_ptr<Server> server_;
};

TEST_F(HttpServer, AnswersAndSaysWhoAsked) {
  Start();
  const std::string answer = Ask("POST /echo", "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}");
  EXPECT_EQ(StatusOf(answer), 200);
  EXPECT_EQ(BodyOf(answer), "anna:{}");
  for (const char* header :
       {"Content-Security-Policy: default-src 'self'", "X-Content-Type-Options: nosniff",
        "Referrer-Policy: no-referrer", "Cross-Origin-Resource-Policy: same-origin", "Cache-Control: no-store"}) {
    EXPECT_NE(answer.find(header), std::string::npos) << header;
  }
  EXPECT_EQ(answer.find("Access-Control"), std::string::npos);
}

TEST_F(HttpServer, HeadIsGetWithoutItsBody) {
  Start();
  const std::string head = Ask("HEAD /file"), get = Ask("GET /file");
  EXPECT_EQ(BodyOf(head), "");
  EXPECT_NE(head.find("Content-Length: 10\r\n"), std::string::npos) << head;
  EXPECT_EQ(BodyOf(get), "0123456789");
}

TEST_F(HttpServer, RefusesInTheCommonForm) {
  Start();
  const std::string missing = Ask("GET /nothing");
  EXPECT_EQ(StatusOf(missing), 404);
  EXPECT_NE(missing.find("Content-Type: application/problem+json"), std::string::npos);
  const std::string method = Ask("DELETE /file");
  EXPECT_EQ(StatusOf(method), 405);
  EXPECT_NE(method.find("Allow: GET, HEAD\r\n"), std::string::npos);
  const std::string type = Ask("POST /echo", "Content-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}");
  EXPECT_EQ(StatusOf(type), 415);
  EXPECT_NE(type.find("Accept-Post: application/json"), std::string::npos);
  const std::string thrown = Ask("GET /throw");
  EXPECT_EQ(StatusOf(thrown), 500);
  EXPECT_EQ(thrown.find("inside\""), std::string::npos);
  EXPECT_EQ(StatusOf(Ask("GET /file?a=%zz")), 400);
  EXPECT_EQ(StatusOf(Ask("GET /" + std::string(9000, 'a'))), 414);
  // All headers together: what Ask sends besides is a few of those bytes.
  const auto with_header = [&](size_t bytes) {
    return StatusOf(Ask("GET /file", "X: " + std::string(bytes, 'a') + "\r\n\r\n"));
  };
  EXPECT_EQ(with_header((16 << 10) - 200), 200);
  EXPECT_EQ(with_header(16 << 10), 431);
}

TEST_F(HttpServer, WhatIsToldWhileAnAnswerIsLookedForIsNotMissed) {
  Start();
  EXPECT_EQ(BodyOf(Ask("GET /overtaken")), "ready");
}

TEST_F(HttpServer, ChecksTheTokenHostAndOrigin) {
  Start();
  const std::string port = std::to_string(server_->port());
  const auto ask = [&](const std::string& line, const std::string& headers) {
    Wire wire(server_->port());
    wire.Send(line + " HTTP/1.1\r\n" + headers + "Connection: close\r\nContent-Length: 0\r\n\r\n");
    return StatusOf(wire.ToEnd());
  };
  const std::string token = "Authorization: Bearer secret\r\n", host = Host();
  EXPECT_EQ(ask("GET /healthz", host), 200);
  EXPECT_EQ(ask("GET /file", host), 401);
  EXPECT_EQ(ask("GET /nothing", host), 401);
  EXPECT_EQ(ask("GET /file", host + "Authorization: Bearer wrong1\r\n"), 401);
  EXPECT_EQ(ask("GET /file", host + "Authorization: Basic secret\r\n"), 401);
  EXPECT_EQ(ask("GET /file", host + token), 200);
  EXPECT_EQ(ask("GET /file", host + "Cookie: a=b; timbre=secret\r\n"), 200);
  // Another name that resolves to here.
  EXPECT_EQ(ask("GET /healthz", "Host: evil.example:" + port + "\r\n"), 421);
  EXPECT_EQ(ask("GET /healthz", "Host: localhost\r\n"), 421);
  EXPECT_EQ(ask("GET /healthz", "Host: LOCALHOST:" + port + "\r\n"), 200);
  EXPECT_EQ(ask("GET http://evil.example/healthz", host), 421);
  EXPECT_EQ(ask("GET http://localhost:" + port + "/healthz", host), 200);
  EXPECT_EQ(ask("GET /healthz", host + host), 400);
  EXPECT_EQ(ask("GET /healthz", ""), 400);
  // Pages of other origins.
  struct Row {
    const char* method;
    std::string headers;
    int status;
  };
  const std::string ours = "Origin: http://localhost:" + port + "\r\n";
  for (const Row& row : std::vector<Row>{
           {"GET", ours, 200},
           {"GET", "Origin: https://localhost:" + port + "\r\n", 200},
           {"GET", "Origin: http://evil.example\r\n", 403},
           {"GET", "Origin: null\r\n", 403},
           {"GET", "Origin: http://localhost:1\r\n", 403},
           {"PUT", ours + "Sec-Fetch-Site: same-origin\r\n", 201},
           {"PUT", "Sec-Fetch-Site: none\r\n", 201},
           {"PUT", "Sec-Fetch-Site: cross-site\r\n", 403},
           {"PUT", "Sec-Fetch-Site: same-site\r\n", 403},
           {"PUT", "Origin: null\r\n", 403},
           {"GET", "Sec-Fetch-Site: cross-site\r\n", 200},
       }) {
    const std::string path = row.method == std::string("GET") ? " /file" : " /upload";
    EXPECT_EQ(ask(row.method + path, host + token + row.headers), row.status) << row.method << " " << row.headers;
  }
}

TEST_F(HttpServer, ServesRangesAndConditions) {
  Start();
  const std::string part = Ask("GET /file", "Range: bytes=2-4\r\n\r\n");
  EXPECT_EQ(StatusOf(part), 206);
  EXPECT_EQ(BodyOf(part), "234");
  EXPECT_NE(part.find("Content-Range: bytes 2-4/10\r\n"), std::string::npos);
  const std::string behind = Ask("GET /file", "Range: bytes=10-\r\n\r\n");
  EXPECT_EQ(StatusOf(behind), 416);
  EXPECT_NE(behind.find("Content-Range: bytes */10\r\n"), std::string::npos);
  EXPECT_EQ(StatusOf(Ask("GET /file", "Range: bytes=2-4\r\nIf-Range: \"v1\"\r\n\r\n")), 206);
  EXPECT_EQ(StatusOf(Ask("GET /file", "Range: bytes=2-4\r\nIf-Range: \"v0\"\r\n\r\n")), 200);
  EXPECT_EQ(StatusOf(Ask("GET /file", "If-None-Match: \"v1\"\r\n\r\n")), 304);
  EXPECT_EQ(StatusOf(Ask("GET /file", "If-Match: \"v0\"\r\n\r\n")), 412);
  EXPECT_EQ(StatusOf(Ask("HEAD /file", "Range: bytes=2-4\r\n\r\n")), 200);
}

TEST_F(HttpServer, BoundsBodiesBeforeTheyAreRead) {
  Start();
  const std::string json = "Content-Type: application/json\r\n";
  EXPECT_EQ(StatusOf(Ask("POST /echo", json + "Content-Length: 100\r\n\r\n" + std::string(100, 'x'))), 200);
  EXPECT_EQ(StatusOf(Ask("POST /echo", json + "Content-Length: 101\r\n\r\n" + std::string(101, 'x'))), 413);
  EXPECT_EQ(StatusOf(Ask("POST /echo",
                         json + "Transfer-Encoding: chunked\r\n\r\n64\r\n" + std::string(100, 'x') + "\r\n0\r\n\r\n")),
            200);
  EXPECT_EQ(StatusOf(Ask("POST /echo",
                         json + "Transfer-Encoding: chunked\r\n\r\n65\r\n" + std::string(101, 'x') + "\r\n0\r\n\r\n")),
            413);
  // A client that asks first is refused before it sends.
  const std::string refused = Ask("POST /echo", json + "Content-Length: 999\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(StatusOf(refused), 413);
  EXPECT_EQ(refused.find("100 Continue"), std::string::npos);
}

TEST_F(HttpServer, StreamsBodiesThroughASink) {
  Start();
  const size_t size = (size_t{2} << 20) + 12345;
  const std::string sent =
      Ask("PUT /upload", "Content-Length: " + std::to_string(size) + "\r\n\r\n" + std::string(size, '\1'));
  EXPECT_EQ(StatusOf(sent), 201);
  EXPECT_EQ(BodyOf(sent), std::to_string(size));
  EXPECT_EQ(sink_->sum, size);
  const std::string first = "Content-Length: 5\r\nX-Refuse: 1\r\nExpect: 100-continue\r\n\r\n";
  const std::string refused = Ask("PUT /upload", first);
  EXPECT_EQ(StatusOf(refused), 409);
  EXPECT_EQ(refused.find("100 Continue"), std::string::npos);
  EXPECT_EQ(StatusOf(Ask("PUT /upload", "Content-Length: 3145729\r\n\r\n")), 413);
}

// Requests whose end, or whose lines, two parsers could see differently. None may be answered as a second request.
TEST_F(HttpServer, IsNotLedAstrayByFraming) {
  Start();
  const std::string hidden = "GET /file HTTP/1.1\r\n" + Host() + "Authorization: Bearer secret\r\n\r\n";
  const std::string head =
      "POST /echo HTTP/1.1\r\n" + Host() + "Authorization: Bearer secret\r\nContent-Type: application/json\r\n";
  for (const std::string& text : std::vector<std::string>{
           head + "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden,
           head + "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n" + hidden,
           head + "Content-Length: 0\r\nContent-Length: 2\r\n\r\n" + hidden,
           head + "Content-Length: 2\r\nContent-Length: 0\r\n\r\n" + hidden,
           head + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" + hidden,
           head + "Transfer-Encoding: identity\r\n\r\n" + hidden,
           head + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + hidden,
           head + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" + hidden,
           head + "Content-Length: +2\r\n\r\n{}" + hidden,
           head + "Content-Length: 0x2\r\n\r\n{}" + hidden,
           head + "Content-Length: 2 2\r\n\r\n{}" + hidden,
           head + "Content-Length: -2\r\n\r\n{}" + hidden,
           head + "Content-Length: 99999999999999999999999\r\n\r\n{}" + hidden,
           head + "Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n" + hidden,
           head + "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n{}\r\n0\r\n\r\n" + hidden,
           head + "Transfer-Encoding: chunked\r\n\r\n-1\r\n{}\r\n0\r\n\r\n" + hidden,
       }) {
    Wire wire(server_->port());
    wire.Send(text);
    wire.EndSending();
    const std::string got = wire.ToEnd();
    EXPECT_TRUE(wire.closed()) << text;
    EXPECT_EQ(got.find("0123456789"), std::string::npos) << text << "\n---\n" << got;
    EXPECT_NE(StatusOf(got), 200) << text;
  }
}

TEST_F(HttpServer, KeepsAConnectionForPipelinedRequests) {
  Start();
  const std::string request = "GET /healthz HTTP/1.1\r\n" + Host() + "\r\n";
  Wire wire(server_->port());
  wire.Send(request + request + "GET /healthz HTTP/1.1\r\n" + Host() + "Connection: close\r\n\r\n");
  const std::string got = wire.ToEnd();
  size_t count = 0;
  for (size_t at = got.find("HTTP/1.1 200"); at != std::string::npos; at = got.find("HTTP/1.1 200", at + 1)) ++count;
  EXPECT_EQ(count, 3u);
}

TEST_F(HttpServer, SendsEventsAsTheyCome) {
  Start();
  Wire wire(server_->port());
  wire.Send("GET /events HTTP/1.1\r\n" + Host() + "Authorization: Bearer secret\r\n\r\n");
  EXPECT_NE(wire.Until("retry: 2000").find("text/event-stream"), std::string::npos);
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(streams_[0]->Push(FormatEvent("tick", std::to_string(i), i)));
  EXPECT_NE(wire.Until("data: 49\n").find("id: 49\nevent: tick\n"), std::string::npos);
  streams_[0]->Close();
  EXPECT_NE(wire.Until("\r\n0\r\n\r\n").find("\r\n0\r\n\r\n"), std::string::npos);  // the chunk that ends all
}

TEST_F(HttpServer, DropsAClientThatIsTooFarBehind) {
  EventStream stream;
  const std::string piece(64 << 10, 'x');
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(stream.Push(piece));
  EXPECT_FALSE(stream.Push("x"));
  EXPECT_TRUE(stream.closed());
}

TEST_F(HttpServer, HoldsManyStreamsOnOneThread) {
  constexpr int kStreams = 200;
  Start({.connections = 300, .connections_of_one_address = 300});
  std::vector<std::unique_ptr<Wire>> wires;
  for (int i = 0; i < kStreams; ++i) {
    wires.push_back(std::make_unique<Wire>(server_->port()));
    wires.back()->Send("GET /events HTTP/1.1\r\n" + Host() + "Authorization: Bearer secret\r\n\r\n");
    ASSERT_NE(wires.back()->Until("retry").find("retry"), std::string::npos);
  }
  ASSERT_EQ(streams_.size(), static_cast<size_t>(kStreams));
  for (const auto& stream : streams_) EXPECT_TRUE(stream->Push("data: hello\n\n"));
  for (const auto& wire : wires) EXPECT_NE(wire->Until("hello").find("hello"), std::string::npos);
  EXPECT_EQ(StatusOf(Ask("GET /healthz")), 200);
  server_->Stop();  // ends them all
  for (const auto& wire : wires) wire->ToEnd();
  for (const auto& wire : wires) EXPECT_TRUE(wire->closed());
}

TEST_F(HttpServer, AnswersLaterWhereThereIsNothingYet) {
  Start();
  Wire wire(server_->port());
  wire.Send("GET /later HTTP/1.1\r\n" + Host() + "Authorization: Bearer secret\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(StatusOf(Ask("GET /healthz")), 200);  // nothing is held up
  ready_ = true;
  server_->Notify();
  EXPECT_EQ(BodyOf(wire.ToEnd()), "ready");
}

TEST_F(HttpServer, StopsWithRequestsThatWait) {
  Start();
  Wire wire(server_->port());
  wire.Send("GET /later HTTP/1.1\r\n" + Host() + "Authorization: Bearer secret\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(StatusOf(Ask("GET /healthz")), 200);
  server_->Stop();
  EXPECT_EQ(BodyOf(wire.ToEnd()), "nothing yet");
}

TEST_F(HttpServer, CutsConnectionsThatTakeTheirTime) {
  Start({.headers_seconds = 1, .idle_seconds = 60, .body_seconds = 1});
  Wire silent(server_->port()), headers(server_->port()), body(server_->port());
  headers.Send("GET /healthz HTTP/1.1\r\nX: ");
  body.Send("PUT /upload HTTP/1.1\r\n" + Host() + "Authorization: Bearer secret\r\nContent-Length: 5000\r\n\r\nabc");
  silent.ToEnd();
  headers.ToEnd();
  body.ToEnd();
  EXPECT_TRUE(silent.closed());
  EXPECT_TRUE(headers.closed());
  EXPECT_TRUE(body.closed());
}

TEST_F(HttpServer, BoundsConnections) {
  Start({.connections = 20, .connections_of_one_address = 10});
  std::vector<std::unique_ptr<Wire>> wires;
  for (int i = 0; i < 40; ++i) {
    wires.push_back(std::make_unique<Wire>(server_->port()));
    wires.back()->Send("GET /healthz HTTP/1.1\r\n" + Host() + "\r\n");
  }
  int answered = 0;
  for (const auto& wire : wires) answered += wire->Until("ok\n").find("ok\n") != std::string::npos ? 1 : 0;
  EXPECT_EQ(answered, 10);
  wires.clear();
  // Room comes back; the server notices the ends of those that are gone within a moment.
  int status = 0;
  for (int i = 0; i < 50 && status != 200; ++i) status = StatusOf(Ask("GET /healthz"));
  EXPECT_EQ(status, 200);
}

TEST_F(HttpServer, CountsRequestsOfAClient) {
  Guard guard({.requests_per_second = 10, .burst = 3});
  auto now = std::chrono::steady_clock::now();
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(guard.CheckRate("a", now));
  const auto refused = guard.CheckRate("a", now);
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->status, 429);
  EXPECT_EQ(*refused->headers.Find("Retry-After"), "1");
  EXPECT_FALSE(guard.CheckRate("b", now));
  EXPECT_FALSE(guard.CheckRate("a", now + std::chrono::milliseconds(101)));
}

TEST_F(HttpServer, TellsOfEachRequestItServed) {
  Start();
  (void)Ask("GET /file");
  server_->Stop();
  ASSERT_EQ(served_.size(), 1u);
  EXPECT_EQ(served_[0].route, "file");
  EXPECT_EQ(served_[0].status, 200);
  EXPECT_EQ(served_[0].client, "anna");
  EXPECT_EQ(served_[0].peer, "127.0.0.1");
}

TEST(HttpListen, AddressesAreNumericOrSockets) {
  EXPECT_TRUE(ParseListenAddress("127.0.0.1:7433")->loopback);
  EXPECT_TRUE(ParseListenAddress("localhost:0")->loopback);
  EXPECT_TRUE(ParseListenAddress("[::1]:80")->loopback);
  EXPECT_FALSE(ParseListenAddress("0.0.0.0:80")->loopback);
  EXPECT_EQ(ParseListenAddress("unix:/run/x")->path, "/run/x");
  for (const char* wrong :
       {"", ":80", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536", "host:80", "unix:"}) {
    EXPECT_FALSE(ParseListenAddress(wrong)) << wrong;
  }
}

TEST(HttpListen, ASecondServerIsRefusedInOneSentence) {
  ServerSettings settings;
  settings.guard.client_of = [](std::string_view) { return std::nullopt; };
  auto first = Server::Start(settings, {});
  ASSERT_TRUE(first);
  settings.listen = "127.0.0.1:" + std::to_string((*first)->port());
  const auto second = Server::Start(settings, {});
  ASSERT_FALSE(second);
  EXPECT_NE(second.error().message.find("Address already in use"), std::string::npos);
}

TEST(HttpListen, AUnixSocketIsTheUsersAlone) {
  testing::TempFolder folder;
  ServerSettings settings{.listen = "unix:" + (folder / "socket").string()};
  settings.guard.client_of = [](std::string_view) { return std::nullopt; };
  auto server = Server::Start(settings, {});
  ASSERT_TRUE(server) << server.error().message;
  EXPECT_EQ(std::filesystem::status(folder / "socket").permissions(),
            std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  (*server)->Stop();
  EXPECT_FALSE(std::filesystem::exists(folder / "socket"));
}

}  // namespace
}  // namespace timbre::http
