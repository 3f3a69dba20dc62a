// The page that a server shows, and what that shows and plays of a file: GET /v1/assets/{id}/peaks and /pcm.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "tests/e2e/serve_fixture.h"
#include "tests/support/places.h"

namespace timbre::testing {
namespace {

namespace fs = std::filesystem;

TEST_F(ServeTest, GivesSamplesAndPeaksOfAnAsset) {
  Start();
  const std::string wav = Wav(0.5);  // 44 bytes of header, then 16-bit stereo
  const std::string self = "/v1/assets/" + Asset(wav);
  const HttpAnswer slice = Ask("GET", self + "/pcm?from=1000&frames=500");
  ASSERT_EQ(slice.status, 200) << slice.body;
  EXPECT_EQ(slice.body, wav.substr(44 + 4000, 2000));
  EXPECT_EQ(slice.Header("Timbre-Channels"), "2");
  EXPECT_EQ(slice.Header("Timbre-Sample-Rate"), "44100");
  EXPECT_EQ(Ask("GET", self + "/pcm?from=1000&frames=500", "If-None-Match: " + slice.Header("ETag") + "\r\n").status,
            304);
  EXPECT_EQ(Ask("GET", self + "/pcm?from=22000&frames=500").body.size(), 50u * 4);
  EXPECT_EQ(Ask("GET", self + "/pcm?from=30000&frames=500").body, "");
  EXPECT_EQ(Ask("GET", self + "/pcm?frames=48000&rate=48000&format=f32").body.size(), 24000u * 8);
  for (const char* wrong : {"", "?frames=0", "?frames=441001", "?frames=-1", "?from=x&frames=1", "?frames=1&rate=1",
                            "?frames=1&format=mp3", "?frames=99999999999999999999"}) {
    EXPECT_EQ(Ask("GET", self + "/pcm" + wrong).status, 422) << wrong;
  }

  const Json peaks = Parse(Ask("GET", self + "/peaks"));
  EXPECT_EQ(peaks["frames"], 22050);
  ASSERT_EQ(peaks["levels"].size(), 8u);
  EXPECT_EQ(peaks["levels"][0]["bins"], 87);
  const HttpAnswer finest = Ask("GET", peaks["levels"][0]["link"]);
  EXPECT_EQ(finest.status, 200);
  EXPECT_EQ(finest.body.size(), 87u * 4);
  EXPECT_NE(finest.Header("Cache-Control").find("immutable"), std::string::npos);
  const HttpAnswer part = Ask("GET", self + "/peaks?level=0", "Range: bytes=4-7\r\n");
  EXPECT_EQ(part.status, 206);
  EXPECT_EQ(part.body, finest.body.substr(4, 4));
  int16_t least = 0, greatest = 0;
  for (size_t i = 44; i + 4 <= wav.size(); i += 4) {
    int16_t sample = 0;
    std::memcpy(&sample, wav.data() + i, 2);
    least = std::min(least, sample);
    greatest = std::max(greatest, sample);
  }
  const HttpAnswer widest = Ask("GET", self + "/peaks?level=7");
  ASSERT_EQ(widest.body.size(), 4u);
  EXPECT_EQ(static_cast<int8_t>(widest.body[0]), std::floor(least / 32768.0 * 127));
  EXPECT_EQ(static_cast<int8_t>(widest.body[1]), std::ceil(greatest / 32768.0 * 127));
  EXPECT_EQ(Ask("GET", self + "/peaks?level=8").status, 422);
  EXPECT_EQ(Ask("GET", "/v1/assets/" + std::string(64, '0') + "/peaks").status, 404);
}

TEST_F(ServeTest, ShowsThePageToAnybodyAndNothingElse) {
  Start();
  const HttpAnswer page = AskServer(port_, "GET", "/");
  EXPECT_EQ(page.status, 200);
  EXPECT_EQ(page.Header("Content-Type"), "text/html; charset=utf-8");
  EXPECT_EQ(page.Header("Cache-Control"), "no-cache");
  EXPECT_NE(page.Header("Content-Security-Policy").find("script-src 'self'"), std::string::npos);
  EXPECT_NE(page.body.find("timbre"), std::string::npos);
  EXPECT_EQ(AskServer(port_, "GET", "/", "If-None-Match: " + page.Header("ETag") + "\r\n").status, 304);
  EXPECT_EQ(AskServer(port_, "HEAD", "/").body, "");
  EXPECT_EQ(AskServer(port_, "POST", "/").status, 405);
  // Byte for byte what lies in the folder, and names with a digest in them for ever.
  const fs::path dist = fs::path(SourceDir()) / "apps" / "web" / "dist";
  for (const auto& entry : fs::recursive_directory_iterator(dist)) {
    if (!entry.is_regular_file()) continue;
    const std::string path = "/" + fs::relative(entry.path(), dist).generic_string();
    const HttpAnswer file = AskServer(port_, "GET", path);
    EXPECT_EQ(file.status, 200) << path;
    EXPECT_EQ(file.body, ReadAll(entry.path())) << path;
    EXPECT_EQ(file.Header("Cache-Control").find("immutable") != std::string::npos, path.starts_with("/assets/"))
        << path;
  }
  for (const char* wrong : {"/assets/", "/assets/../index.html", "/assets/%2e%2e/index.html", "/index.htm", "/token"}) {
    EXPECT_EQ(AskServer(port_, "GET", wrong).status, 401) << wrong;
    EXPECT_EQ(Ask("GET", wrong).status, 404) << wrong;
  }
}

}  // namespace
}  // namespace timbre::testing
