// What is made of headers, queries and names from outside.
#include <gtest/gtest.h>

#include "http/message.h"
#include "http/names.h"
#include "http/problem.h"
#include "http/ranges.h"
#include "http/router.h"
#include "http/tus.h"

namespace timbre::http {
namespace {

TEST(HttpRanges, OfATable) {
  struct Row {
    const char* header;
    RangeOutcome outcome;
    int64_t first, last;
  };
  const Row kRows[] = {
      {"bytes=0-0", RangeOutcome::kPart, 0, 0},
      {"bytes=0-", RangeOutcome::kPart, 0, 99},
      {"Bytes=10-19", RangeOutcome::kPart, 10, 19},
      {"bytes=90-1000", RangeOutcome::kPart, 90, 99},
      {"bytes=-1", RangeOutcome::kPart, 99, 99},
      {"bytes=-1000", RangeOutcome::kPart, 0, 99},
      {"bytes=99-99999999999999999999999", RangeOutcome::kPart, 99, 99},
      {"bytes=100-", RangeOutcome::kUnsatisfiable, 0, 0},
      {"bytes=99999999999999999999-", RangeOutcome::kUnsatisfiable, 0, 0},
      {"bytes=-0", RangeOutcome::kUnsatisfiable, 0, 0},
      {"bytes=5-4", RangeOutcome::kWhole, 0, 0},
      {"bytes=0-1,5-6", RangeOutcome::kWhole, 0, 0},
      {"bytes=-", RangeOutcome::kWhole, 0, 0},
      {"bytes=+1-2", RangeOutcome::kWhole, 0, 0},
      {"bytes=1- 2", RangeOutcome::kWhole, 0, 0},
      {"bytes=0x1-2", RangeOutcome::kWhole, 0, 0},
      {"bytes=-1-2", RangeOutcome::kWhole, 0, 0},
      {"samples=0-1", RangeOutcome::kWhole, 0, 0},
      {"", RangeOutcome::kWhole, 0, 0},
  };
  for (const Row& row : kRows) {
    const RangeAnswer answer = ParseRange(row.header, 100);
    EXPECT_EQ(answer.outcome, row.outcome) << row.header;
    EXPECT_EQ(answer.first, row.first) << row.header;
    EXPECT_EQ(answer.last, row.last) << row.header;
  }
  EXPECT_EQ(ParseRange("bytes=0-", 0).outcome, RangeOutcome::kUnsatisfiable);
  EXPECT_EQ(ParseRange("bytes=-5", 0).outcome, RangeOutcome::kUnsatisfiable);
}

TEST(HttpConditions, CompareAsTheHeaderSays) {
  const auto evaluate = [](const char* method, const char* header, const char* value, const char* etag) {
    Request request{.method = method};
    request.headers.Add(header, value);
    return Evaluate(request, etag);
  };
  EXPECT_EQ(evaluate("GET", "If-None-Match", "\"a\"", "\"a\""), Condition::kNotModified);
  EXPECT_EQ(evaluate("GET", "If-None-Match", "W/\"a\"", "\"a\""), Condition::kNotModified);
  EXPECT_EQ(evaluate("GET", "If-None-Match", "\"b\" , \"a\"", "\"a\""), Condition::kNotModified);
  EXPECT_EQ(evaluate("GET", "If-None-Match", "\"b\"", "\"a\""), Condition::kGo);
  EXPECT_EQ(evaluate("GET", "If-None-Match", "*", "\"a\""), Condition::kNotModified);
  EXPECT_EQ(evaluate("PUT", "If-None-Match", "*", "\"a\""), Condition::kFailed);
  EXPECT_EQ(evaluate("PUT", "If-None-Match", "*", ""), Condition::kGo);
  EXPECT_EQ(evaluate("PUT", "If-Match", "\"a\"", "\"a\""), Condition::kGo);
  EXPECT_EQ(evaluate("PUT", "If-Match", "W/\"a\"", "\"a\""), Condition::kFailed);  // weak is not good enough
  EXPECT_EQ(evaluate("PUT", "If-Match", "\"b\"", "\"a\""), Condition::kFailed);
  EXPECT_EQ(evaluate("PUT", "If-Match", "*", ""), Condition::kFailed);
  EXPECT_EQ(evaluate("PUT", "If-Match", "a", "\"a\""), Condition::kFailed);
}

TEST(HttpQuery, DecodesOrRefuses) {
  const auto query = ParseQuery("a=1&b=%C3%A9+x&c&&d=%2B");
  ASSERT_TRUE(query);
  EXPECT_EQ(query->at("a"), "1");
  EXPECT_EQ(query->at("b"), "é x");
  EXPECT_EQ(query->at("c"), "");
  EXPECT_EQ(query->at("d"), "+");
  for (const char* wrong : {"a=%", "a=%4", "a=%zz", "a=%00", "a=1&a=2"}) EXPECT_FALSE(ParseQuery(wrong)) << wrong;
  std::string many;
  for (int i = 0; i < 65; ++i) many += "a" + std::to_string(i) + "=1&";
  EXPECT_FALSE(ParseQuery(many));
}

TEST(HttpCookies, AreFoundByName) {
  EXPECT_EQ(CookieValue("a=1; timbre=xyz; b=2", "timbre"), "xyz");
  EXPECT_EQ(CookieValue("timbre=\"q\"", "timbre"), "q");
  EXPECT_EQ(CookieValue("xtimbre=1; timbre2=3", "timbre"), std::nullopt);
  EXPECT_EQ(CookieValue("", "timbre"), std::nullopt);
}

TEST(HttpNames, HoldNothingAFileSystemMistakes) {
  EXPECT_EQ(SafeFileName("song.wav"), "song.wav");
  EXPECT_EQ(SafeFileName("../../etc/passwd"), "_.._etc_passwd");
  EXPECT_EQ(SafeFileName("..\\..\\boot.ini"), "_.._boot.ini");
  EXPECT_EQ(SafeFileName(".bashrc"), "bashrc");
  EXPECT_EQ(SafeFileName("CON.wav"), "_CON.wav");
  EXPECT_EQ(SafeFileName("lpt1"), "_lpt1");
  EXPECT_EQ(SafeFileName("name. . ."), "name");
  EXPECT_EQ(SafeFileName(""), "unnamed");
  EXPECT_EQ(SafeFileName("..."), "unnamed");
  EXPECT_EQ(SafeFileName("a\nb\x1b[31m.wav"), "a_b_[31m.wav");
  const std::string lengthy = SafeFileName(std::string(100, 'a') + std::string(200, '\xC3') + "é.flac");
  EXPECT_LE(lengthy.size(), 120u);
  EXPECT_TRUE(lengthy.ends_with(".flac"));
  std::string accents;
  for (int i = 0; i < 100; ++i) accents += "é";
  EXPECT_EQ(SafeFileName(accents).size(), 120u);
}

TEST(HttpNames, OfADisposition) {
  EXPECT_EQ(NameFromDisposition("attachment; filename=\"a b.wav\""), "a b.wav");
  EXPECT_EQ(NameFromDisposition("attachment; filename=plain.wav; x=y"), "plain.wav");
  EXPECT_EQ(NameFromDisposition("attachment; filename=\"x\"; filename*=UTF-8''%C3%A9.wav"), "é.wav");
  EXPECT_EQ(NameFromDisposition("attachment; filename*=UTF-8''%2E%2E%2Fa"), "_a");
  EXPECT_EQ(NameFromDisposition("attachment"), "");
  EXPECT_EQ(Attachment("é\".wav"), "attachment; filename=\"___.wav\"; filename*=UTF-8''%C3%A9_.wav");
}

TEST(HttpTus, HeadersAreParsedOrRefused) {
  const auto metadata = ParseUploadMetadata("filename d29ybGQ=,is_private, type YQ==");
  ASSERT_TRUE(metadata);
  EXPECT_EQ(metadata->at("filename"), "world");
  EXPECT_EQ(metadata->at("is_private"), "");
  EXPECT_EQ(metadata->at("type"), "a");
  for (const char* wrong : {"a b", "a YQ==,a YQ==", ",", " ", "a YQ=", "a Y=Q=", "a ===="}) {
    EXPECT_FALSE(ParseUploadMetadata(wrong)) << wrong;
  }
  EXPECT_EQ(ParseUploadChecksum("sha256 47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_FALSE(ParseUploadChecksum("md5 YQ=="));
  EXPECT_FALSE(ParseUploadChecksum("sha256 YQ=="));
  EXPECT_EQ(ParseUploadNumber("0"), 0);
  EXPECT_EQ(ParseUploadNumber("123456789012345678"), 123456789012345678);
  for (const char* wrong : {"", "-1", "+1", "1 ", "0x1", "9999999999999999999"}) {
    EXPECT_EQ(ParseUploadNumber(wrong), -1) << wrong;
  }
}

TEST(HttpJson, IsBoundedBeforeItIsParsed) {
  EXPECT_TRUE(ParseJsonObject(R"({"a": [1, "[[[{"]})"));
  EXPECT_FALSE(ParseJsonObject("[1]"));
  EXPECT_FALSE(ParseJsonObject("{"));
  EXPECT_FALSE(ParseJsonObject(""));
  const std::string deep = "{\"a\":" + std::string(63, '[') + std::string(63, ']') + "}";
  EXPECT_TRUE(ParseJsonObject(deep));
  EXPECT_FALSE(ParseJsonObject("{\"a\":" + std::string(64, '[') + std::string(64, ']') + "}"));
  EXPECT_FALSE(ParseJsonObject("{\"a\":" + std::string(500000, '[')));
  EXPECT_FALSE(ParseJsonObject("{\"a\": 1e999}"));
}

TEST(HttpProblems, TellNothingFromInside) {
  const Response inside = ProblemOf({ErrorCode::kInternal, "table 'secret' is broken"});
  EXPECT_EQ(inside.status, 500);
  EXPECT_EQ(inside.body.find("secret"), std::string::npos);
  EXPECT_EQ(ProblemOf({ErrorCode::kNotFound, "x"}).status, 404);
}

TEST(HttpEvents, DataStaysInItsField) {
  EXPECT_EQ(FormatEvent("job.ended", "a\nevent: forged\r\nb", 7),
            "id: 7\nevent: job.ended\ndata: a\ndata: event: forged\ndata: b\n\n");
  EXPECT_EQ(FormatEvent("x", ""), "event: x\ndata: \n\n");
}

TEST(HttpRouter, MatchesWholeSegments) {
  Router router;
  router.Add({.method = "GET", .pattern = "/v1/jobs/{id}", .name = "getJob"});
  router.Add({.method = "DELETE", .pattern = "/v1/jobs/{id}", .name = "deleteJob"});
  router.Add({.method = "GET", .pattern = "/", .name = "index"});
  const auto match = router.Find("HEAD", "/v1/jobs/a%2Fb");
  ASSERT_NE(match.route, nullptr);
  EXPECT_EQ(match.captured.at("id"), "a/b");
  EXPECT_EQ(router.Find("GET", "/").route->name, "index");
  const auto refused = router.Find("POST", "/v1/jobs/x");
  EXPECT_EQ(refused.route, nullptr);
  EXPECT_EQ(refused.allowed, (std::vector<std::string>{"DELETE", "GET", "HEAD"}));
  for (const char* path : {"", "v1", "/v1/jobs", "/v1/jobs/", "/v1/jobs/a/b", "/v1/jobs/%", "/v1/jobs/a%00", "//"}) {
    EXPECT_TRUE(router.Find("GET", path).allowed.empty()) << path;
  }
}

TEST(HttpRouter, DescribesItself) {
  Router router;
  router.Add({.method = "POST",
              .pattern = "/v1/jobs",
              .name = "createJob",
              .summary = "s",
              .body = BodyKind::kJson,
              .most_body = 10,
              .takes = "JobRequest",
              .gives = "Job",
              .statuses = {202, 422}});
  const auto api = router.OpenApi("1", {{"Job", {{"type", "object"}}}});
  const auto& operation = api["paths"]["/v1/jobs"]["post"];
  EXPECT_EQ(operation["operationId"], "createJob");
  EXPECT_EQ(operation["requestBody"]["content"]["application/json"]["schema"]["$ref"],
            "#/components/schemas/JobRequest");
  EXPECT_TRUE(operation["responses"].contains("202"));
  EXPECT_TRUE(operation["responses"]["422"]["content"].contains("application/problem+json"));
}

}  // namespace
}  // namespace timbre::http
