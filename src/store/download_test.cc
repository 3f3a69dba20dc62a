#include "store/download.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>

#include "base/sha256.h"
#include "tests/support/loopback_server.h"

namespace timbre {
namespace {

namespace fs = std::filesystem;

std::string ReadAll(const fs::path& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

void WriteAll(const fs::path& path, const std::string& bytes) { std::ofstream(path, std::ios::binary) << bytes; }

std::string SomeBytes(size_t count, uint32_t seed = 7) {
  std::string bytes(count, 0);
  for (char& byte : bytes) {
    seed = seed * 1664525u + 1013904223u;
    byte = static_cast<char>(seed >> 24);
  }
  return bytes;
}

class DownloadTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(testing::TempDir()) /
              ("timbre-download-" + std::string(testing::UnitTest::GetInstance()->current_test_info()->name()));
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    target_ = folder_ / "model.th";
    part_ = folder_ / "model.th.part";
    tag_ = folder_ / "model.th.part.tag";
    WriteAll(folder_ / "body", body_);
    digest_ = *Sha256OfFile(folder_ / "body");
    fs::remove(folder_ / "body");
  }
  void TearDown() override { fs::remove_all(folder_); }

  DownloadRequest Request(const std::string& url) const {
    return {.url = url,
            .target = target_,
            .bytes = static_cast<int64_t>(body_.size()),
            .sha256 = digest_,
            .stall_seconds = 60,
            .attempts = 1,
            .pause_seconds = 0};
  }
  // For the tests that wait for a stall; the others never should.
  DownloadRequest ImpatientRequest(const std::string& url) const {
    DownloadRequest request = Request(url);
    request.stall_seconds = 0.3;
    return request;
  }
  // Nothing but what is named is in the folder.
  void ExpectOnly(const std::vector<fs::path>& paths) const {
    size_t count = 0;
    for (const auto& entry : fs::directory_iterator(folder_)) {
      ++count;
      EXPECT_NE(std::find(paths.begin(), paths.end(), entry.path()), paths.end()) << entry.path();
    }
    EXPECT_EQ(count, paths.size());
  }

  const std::string body_ = SomeBytes(300000);
  std::string digest_;
  fs::path folder_, target_, part_, tag_;
};

#define EXPECT_FAILS(status, expected_code, words)                                              \
  do {                                                                                          \
    const Status result = (status);                                                             \
    ASSERT_FALSE(result);                                                                       \
    EXPECT_EQ(result.error().code, ErrorCode::expected_code) << result.error().message;         \
    EXPECT_NE(result.error().message.find(words), std::string::npos) << result.error().message; \
  } while (false)

class Recorder : public Observer {
 public:
  void OnProgress(const Progress& progress) override {
    EXPECT_GE(progress.done, done);
    done = progress.done;
    total = progress.total;
    EXPECT_EQ(progress.stage, Stage::kDownload);
  }
  bool Cancelled() override { return done >= cancel_at; }
  int64_t done = 0, total = 0, cancel_at = std::numeric_limits<int64_t>::max();
};

TEST_F(DownloadTest, BringsTheWholeFileAndNothingElse) {
  LoopbackServer server(ServeFile(body_));
  Recorder recorder;
  const Status status = Download(Request(server.Url()), &recorder);
  ASSERT_TRUE(status) << status.error().message;
  EXPECT_EQ(ReadAll(target_), body_);
  ExpectOnly({target_});
  EXPECT_EQ(recorder.done, 300000);
  EXPECT_EQ(recorder.total, 300000);
}

TEST_F(DownloadTest, NeedsNoPublishedSizeOrDigest) {
  LoopbackServer server(ServeFile(body_, ""));
  DownloadRequest request = Request(server.Url());
  request.bytes = 0;
  request.sha256.clear();
  ASSERT_TRUE(Download(request));
  EXPECT_EQ(ReadAll(target_), body_);
}

TEST_F(DownloadTest, TheFirstDigitsOfADigestAreEnough) {
  LoopbackServer server(ServeFile(body_));
  DownloadRequest request = Request(server.Url());
  request.sha256 = digest_.substr(0, 8);
  EXPECT_TRUE(Download(request));
}

TEST_F(DownloadTest, AStallEndsAndIsGoneOnFromLater) {
  {
    LoopbackServer server([&](const LoopbackRequest&, LoopbackConnection& connection) {
      connection.Send("HTTP/1.1 200 OK\r\nContent-Length: 300000\r\nETag: \"one\"\r\n\r\n" + body_.substr(0, 100000));
      connection.Stall();
    });
    EXPECT_FAILS(Download(ImpatientRequest(server.Url())), kIo, "stalled after 100000 bytes");
    EXPECT_FALSE(fs::exists(target_));
    EXPECT_EQ(ReadAll(part_), body_.substr(0, 100000));
  }
  LoopbackServer server(ServeFile(body_));
  const Status status = Download(Request(server.Url()));
  ASSERT_TRUE(status) << status.error().message;
  ASSERT_EQ(server.Requests().size(), 1u);
  EXPECT_EQ(server.Requests()[0].Header("range"), "bytes=100000-");
  EXPECT_EQ(server.Requests()[0].Header("if-range"), "\"one\"");
  EXPECT_EQ(ReadAll(target_), body_);
  ExpectOnly({target_});
}

TEST_F(DownloadTest, AServerThatNeverAnswersIsAStall) {
  LoopbackServer server([](const LoopbackRequest&, LoopbackConnection& connection) { connection.Stall(); });
  EXPECT_FAILS(Download(ImpatientRequest(server.Url())), kIo, "stalled after 0 bytes");
  ExpectOnly({});
}

TEST_F(DownloadTest, ATrickleIsAStall) {
  LoopbackServer server([&](const LoopbackRequest&, LoopbackConnection& connection) {
    connection.Send("HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n");
    for (int i = 0; i < 100; ++i) {
      connection.Send(body_.substr(i, 1));
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
  });
  EXPECT_FAILS(Download(ImpatientRequest(server.Url())), kIo, "stalled");
}

TEST_F(DownloadTest, ABrokenConnectionIsMadeAgain) {
  std::atomic<int> calls{0};
  LoopbackServer server([&](const LoopbackRequest& request, LoopbackConnection& connection) {
    if (calls++ == 0) {  // promises all and sends half
      connection.Send("HTTP/1.1 200 OK\r\nContent-Length: 300000\r\nETag: \"one\"\r\n\r\n" + body_.substr(0, 150000));
    } else {
      ServeFile(body_)(request, connection);
    }
  });
  DownloadRequest request = Request(server.Url());
  request.attempts = 2;
  const Status status = Download(request);
  ASSERT_TRUE(status) << status.error().message;
  EXPECT_EQ(ReadAll(target_), body_);
  EXPECT_EQ(server.Requests()[1].Header("range"), "bytes=150000-");
}

TEST_F(DownloadTest, ATruncatedFileNeverGetsItsName) {
  LoopbackServer server([&](const LoopbackRequest&, LoopbackConnection& connection) {
    connection.Send("HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + body_.substr(0, 150000));
  });
  DownloadRequest request = Request(server.Url());
  EXPECT_FAILS(Download(request), kIo, "broke off after 150000 bytes");
  EXPECT_FALSE(fs::exists(target_));
}

TEST_F(DownloadTest, AnEarlyEndWithoutALengthIsNoticed) {
  LoopbackServer server([&](const LoopbackRequest&, LoopbackConnection& connection) {
    connection.Send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + body_.substr(0, 150000));
  });
  EXPECT_FAILS(Download(Request(server.Url())), kIo, "ended after 150000 bytes of 300000");
  EXPECT_FALSE(fs::exists(target_));
}

TEST_F(DownloadTest, AnotherAnnouncedLengthIsRefusedBeforeAByteIsKept) {
  for (const char* length : {"299999", "300001", "99999999999999"}) {
    LoopbackServer server([&](const LoopbackRequest&, LoopbackConnection& connection) {
      connection.Send("HTTP/1.1 200 OK\r\nContent-Length: " + std::string(length) + "\r\n\r\n" + body_);
    });
    EXPECT_FAILS(Download(Request(server.Url())), kCorrupt, "by the server's word");
    ExpectOnly({});
  }
}

TEST_F(DownloadTest, MoreBytesThanThereShouldBeAreRefused) {
  LoopbackServer server([&](const LoopbackRequest&, LoopbackConnection& connection) {
    connection.Send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + body_ + "more");
  });
  EXPECT_FAILS(Download(Request(server.Url())), kCorrupt, "sends more than the 300000 bytes");
  ExpectOnly({});
}

TEST_F(DownloadTest, AFileOfUnknownSizeIsBounded) {
  LoopbackServer announced(ServeFile(body_));
  LoopbackServer silent([&](const LoopbackRequest&, LoopbackConnection& connection) {
    connection.Send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + body_);
  });
  for (const std::string& url : {announced.Url(), silent.Url()}) {
    DownloadRequest request = Request(url);
    request.bytes = 0;
    request.most_bytes = 200000;
    EXPECT_FAILS(Download(request), kCorrupt, "more than the 200000 bytes that are accepted");
    ExpectOnly({});
  }
}

TEST_F(DownloadTest, WrongBytesAreDeleted) {
  std::string wrong = body_;
  wrong[200000] ^= 1;
  LoopbackServer server(ServeFile(wrong));
  DownloadRequest request = Request(server.Url());
  request.attempts = 3;
  EXPECT_FAILS(Download(request), kCorrupt, "is not the published file");
  ExpectOnly({});
  EXPECT_EQ(server.Requests().size(), 1u) << "the same wrong bytes again would be no better";
}

TEST_F(DownloadTest, AWebPageIsNotAFile) {
  LoopbackServer server([&](const LoopbackRequest&, LoopbackConnection& connection) {
    connection.Answer("200 OK", "<html>confirm, please</html>", "Content-Type: text/html; charset=utf-8\r\n");
  });
  DownloadRequest request = Request(server.Url());
  request.bytes = 0;
  request.sha256.clear();
  EXPECT_FAILS(Download(request), kCorrupt, "web page");
  ExpectOnly({});
}

TEST_F(DownloadTest, StartsOverWhereTheServerDoesNotResume) {
  WriteAll(part_, body_.substr(0, 100000));
  WriteAll(tag_, "\"one\"");
  LoopbackServer server([&](const LoopbackRequest&, LoopbackConnection& connection) {
    connection.Answer("200 OK", body_, "ETag: \"one\"\r\n");
  });
  const Status status = Download(Request(server.Url()));
  ASSERT_TRUE(status) << status.error().message;
  EXPECT_EQ(ReadAll(target_), body_);
}

TEST_F(DownloadTest, StartsOverWhereTheFileHasChanged) {
  WriteAll(part_, SomeBytes(100000, 99));
  WriteAll(tag_, "\"old\"");
  LoopbackServer server(ServeFile(body_, "\"new\""));
  DownloadRequest request = Request(server.Url());
  request.sha256.clear();  // so that only the validator can tell
  const Status status = Download(request);
  ASSERT_TRUE(status) << status.error().message;
  EXPECT_EQ(ReadAll(target_), body_);
}

TEST_F(DownloadTest, DoesNotResumeWhatNothingVouchesFor) {
  WriteAll(part_, SomeBytes(100000, 99));
  LoopbackServer server(ServeFile(body_, ""));
  DownloadRequest request = Request(server.Url());
  request.sha256.clear();
  ASSERT_TRUE(Download(request));
  EXPECT_EQ(server.Requests()[0].Header("range"), "");
  EXPECT_EQ(ReadAll(target_), body_);
}

TEST_F(DownloadTest, HalvesThatDoNotBelongTogetherAreFetchedAnew) {
  WriteAll(part_, SomeBytes(100000, 99));
  LoopbackServer server(ServeFile(body_, ""));
  DownloadRequest request = Request(server.Url());
  request.attempts = 2;
  const Status status = Download(request);
  ASSERT_TRUE(status) << status.error().message;
  EXPECT_EQ(server.Requests().size(), 2u);
  EXPECT_EQ(ReadAll(target_), body_);
}

TEST_F(DownloadTest, AnotherRangeThanAskedForStartsOver) {
  WriteAll(part_, body_.substr(0, 100000));
  LoopbackServer server([&](const LoopbackRequest& request, LoopbackConnection& connection) {
    if (request.Header("range").empty()) return connection.Answer("200 OK", body_);
    connection.Answer("206 Partial Content", body_.substr(50000), "Content-Range: bytes 50000-299999/300000\r\n");
  });
  DownloadRequest request = Request(server.Url());
  request.attempts = 2;
  const Status status = Download(request);
  ASSERT_TRUE(status) << status.error().message;
  EXPECT_EQ(ReadAll(target_), body_);
}

TEST_F(DownloadTest, APartialFileThatIsTooLongStartsOver) {
  WriteAll(part_, SomeBytes(400000, 99));
  WriteAll(tag_, "\"one\"");
  LoopbackServer server(ServeFile(body_));
  const Status status = Download(Request(server.Url()));
  ASSERT_TRUE(status) << status.error().message;
  EXPECT_EQ(ReadAll(target_), body_);
}

TEST_F(DownloadTest, AStoredValidatorCannotSmuggleHeaders) {
  WriteAll(part_, body_.substr(0, 100000));
  WriteAll(tag_, "\"one\"\r\nX-Smuggled: yes");
  LoopbackServer server(ServeFile(body_));
  ASSERT_TRUE(Download(Request(server.Url())));
  EXPECT_EQ(server.Requests()[0].Header("x-smuggled"), "");
}

TEST_F(DownloadTest, ErrorsOfTheServerAreNamed) {
  LoopbackServer server([](const LoopbackRequest& request, LoopbackConnection& connection) {
    connection.Answer(request.path == "/gone" ? "404 Not Found" : "503 Service Unavailable", "an explanation");
  });
  EXPECT_FAILS(Download(Request(server.Url("/gone"))), kNotFound, "status 404");
  ExpectOnly({});
  DownloadRequest request = Request(server.Url("/busy"));
  request.attempts = 3;
  EXPECT_FAILS(Download(request), kIo, "status 503");
  EXPECT_EQ(server.Requests().size(), 4u);  // 404 is final, 503 may pass
  ExpectOnly({});
}

TEST_F(DownloadTest, FollowsARedirectButNotInCircles) {
  LoopbackServer server([&](const LoopbackRequest& request, LoopbackConnection& connection) {
    if (request.path == "/there") return ServeFile(body_)(request, connection);
    const char* to = request.path == "/here" ? "/there" : request.path == "/local" ? "file:///etc/passwd" : "/circle";
    connection.Answer("302 Found", "elsewhere", "Location: " + std::string(to) + "\r\n");
  });
  ASSERT_TRUE(Download(Request(server.Url("/here"))));
  EXPECT_EQ(ReadAll(target_), body_);
  fs::remove(target_);
  EXPECT_FAILS(Download(Request(server.Url("/circle"))), kIo, "redirects in circles");
  EXPECT_FAILS(Download(Request(server.Url("/local"))), kIo, "can't be fetched");
  EXPECT_FAILS(Download(Request("file:///etc/passwd")), kIo, "can't be fetched");
  ExpectOnly({});
}

TEST_F(DownloadTest, NobodyThereIsAnError) {
  std::string url;
  {
    LoopbackServer server([](const LoopbackRequest&, LoopbackConnection&) {});
    url = server.Url();
  }
  EXPECT_FAILS(Download(Request(url)), kIo, "can't be fetched");
  ExpectOnly({});
}

TEST_F(DownloadTest, CancellingKeepsWhatHasArrived) {
  LoopbackServer server([&](const LoopbackRequest&, LoopbackConnection& connection) {
    connection.Send("HTTP/1.1 200 OK\r\nContent-Length: 300000\r\nETag: \"one\"\r\n\r\n" + body_.substr(0, 100000));
    connection.Stall();
  });
  Recorder recorder;
  recorder.cancel_at = 1;
  DownloadRequest request = Request(server.Url());
  request.attempts = 3;
  EXPECT_FAILS(Download(request, &recorder), kCancelled, "cancelled");
  EXPECT_TRUE(fs::exists(part_));
  EXPECT_FALSE(fs::exists(target_));
}

TEST_F(DownloadTest, AFolderThatIsNotThereIsAnError) {
  LoopbackServer server(ServeFile(body_));
  DownloadRequest request = Request(server.Url());
  request.target = folder_ / "missing" / "model.th";
  EXPECT_FAILS(Download(request), kIo, "can't be made");
}

}  // namespace
}  // namespace timbre
