#include "http/multipart.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace timbre::http {
namespace {

struct Got {
  FormPart part;
  std::string data;
  bool ended = false;
};

// The parts of a body that comes in pieces of `step` bytes; nothing where it is refused.
std::optional<std::vector<Got>> Read(const std::string& body, size_t step, const std::string& boundary = "b") {
  std::vector<Got> got;
  MultipartReader reader(boundary, {.begin = [&](const FormPart& part) -> Status {
                                      got.push_back({part});
                                      return {};
                                    },
                                    .data = [&](std::string_view bytes) -> Status {
                                      got.back().data += bytes;
                                      return {};
                                    },
                                    .end = [&]() -> Status {
                                      got.back().ended = true;
                                      return {};
                                    }});
  for (size_t at = 0; at < body.size(); at += step) {
    if (!reader.Feed(std::string_view(body).substr(at, step))) return std::nullopt;
  }
  if (!reader.Finish()) return std::nullopt;
  return got;
}

TEST(Multipart, GivesThePartsHoweverTheBytesCome) {
  const std::string body =
      "a preamble\r\n--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a; \\\"b\\\".wav\"\r\n"
      "Content-Type: audio/wav\r\n\r\nRIFF\r\n--\r\n-b\r\n--c\r\n--b  \r\n\r\nno header\r\n--b\r\n"
      "content-disposition: form-data; name=empty\r\n\r\n\r\n--b--\r\nan epilogue";
  for (const size_t step : {size_t{1}, size_t{2}, size_t{3}, size_t{7}, body.size()}) {
    const auto got = Read(body, step);
    ASSERT_TRUE(got) << step;
    ASSERT_EQ(got->size(), 3u);
    EXPECT_EQ((*got)[0].part.name, "file");
    EXPECT_EQ((*got)[0].part.file_name, "a; _b_.wav");
    EXPECT_EQ((*got)[0].data, "RIFF\r\n--\r\n-b\r\n--c");
    EXPECT_EQ((*got)[1].part.name, "");
    EXPECT_EQ((*got)[1].data, "no header");
    EXPECT_EQ((*got)[2].part.name, "empty");
    EXPECT_EQ((*got)[2].data, "");
    EXPECT_TRUE(std::all_of(got->begin(), got->end(), [](const Got& part) { return part.ended; }));
  }
}

TEST(Multipart, RefusesWhatIsNone) {
  for (const std::string& body :
       {std::string("--b\r\n\r\nunfinished"), std::string("no boundary at all"), std::string("--bx\r\n\r\n\r\n--b--"),
        std::string("--b\r\nno colon\r\n\r\n\r\n--b--"), "--b\r\nA: " + std::string(9000, 'x') + "\r\n\r\n\r\n--b--",
        "--b" + std::string(200, ' ') + "\r\n\r\n\r\n--b--", std::string()}) {
    for (const size_t step : {size_t{1}, body.size() + 1}) EXPECT_FALSE(Read(body, step)) << body.substr(0, 40);
  }
  std::string many;
  for (int i = 0; i < 101; ++i) many += "--b\r\n\r\n\r\n";
  EXPECT_FALSE(Read(many + "--b--", many.size()));
}

TEST(Multipart, KnowsItsBoundary) {
  EXPECT_EQ(MultipartReader::BoundaryOf("multipart/form-data; boundary=abc").value_or(""), "abc");
  EXPECT_EQ(MultipartReader::BoundaryOf("Multipart/Form-Data; charset=x; boundary=\"a b:c\"").value_or(""), "a b:c");
  for (const std::string& wrong :
       {std::string("multipart/form-data"), std::string("multipart/mixed; boundary=a"),
        std::string("multipart/form-data; boundary="), std::string("multipart/form-data; boundary=\"a \""),
        "multipart/form-data; boundary=" + std::string(71, 'a'), std::string("multipart/form-data; boundary=a\"b")}) {
    EXPECT_FALSE(MultipartReader::BoundaryOf(wrong)) << wrong;
  }
}

}  // namespace
}  // namespace timbre::http
