// Projects over HTTP: timelines that nobody overwrites unseen, and that outlive the server.
#include <filesystem>

#include "tests/e2e/project_fixture.h"

namespace timbre::testing {
namespace {

class ServeProjectsTest : public ProjectTest {
 protected:
  Json Timeline() { return Parse(Ask("GET", self_))["timeline"]; }
};

TEST_F(ServeProjectsTest, PutsClipsTogether) {
  Start();
  const std::string first = Asset(Wav(0.5)), second = Asset(Wav(0.3), "b.wav");
  Create({{"name", "song"}, {"crossfade", 0.1}});
  const Json one = Do({{"op", "insert"}, {"asset", first}, {"name", "verse"}});
  EXPECT_EQ(one["clip"], "c1");
  EXPECT_EQ(one["timeline"]["clips"][0]["asset_length"], 22050);  // as decoding found it
  const Json two = Do({{"op", "insert"}, {"asset", second}, {"position", "outro"}});
  EXPECT_EQ(two["timeline"]["total"], 22050 + 13230 - 4410);
  Do({{"op", "insert"}, {"asset", second}, {"from", 100}, {"length", 1000}});
  EXPECT_EQ(Timeline()["clips"][1]["id"], "c3") << "the outro stays behind";
  Do({{"op", "move"}, {"clip", "c1"}, {"index", 2}});
  Do({{"op", "reorder"}, {"clips", {"c1", "c3", "c2"}}});
  Do({{"op", "trim"}, {"clip", "c1"}, {"from", 10}, {"length", 20000}});
  EXPECT_EQ(Do({{"op", "split"}, {"clip", "c1"}, {"at", 5000}})["clip"], "c4");
  EXPECT_EQ(Do({{"op", "duplicate"}, {"clip", "c3"}})["clip"], "c5");
  Do({{"op", "gain"}, {"clip", "c1"}, {"db", -3}});
  Do({{"op", "mute"}, {"clip", "c1"}, {"on", true}});
  Do({{"op", "solo"}, {"clip", "c2"}, {"on", true}});
  Do({{"op", "chain"}, {"clip", "c2"}, {"chain", "jazz_vintage"}});
  Do({{"op", "crossfade"}, {"clip", "c2"}, {"seconds", 0.01}});
  Do({{"op", "crossfade"}, {"clip", "c2"}, {"seconds", nullptr}});
  Do({{"op", "remove"}, {"clip", "c5"}});
  const Json last = Do({{"op", "master"}, {"chain", {{"bands", Json::array()}}}});
  EXPECT_EQ(last["timeline"]["clips"].size(), 4u);
  EXPECT_EQ(last["revision"], 17);
  // What is undone and done again is the same bytes.
  const std::string before = Timeline().dump();
  Do({{"op", "undo"}});
  EXPECT_NE(Timeline().dump(), before);
  const Json again = Do({{"op", "redo"}});
  EXPECT_EQ(Timeline().dump(), before);
  EXPECT_EQ(again["redo"], 0);
  EXPECT_EQ(Operate({{"op", "redo"}}).status, 409);
  Do({{"op", "clear"}});
  EXPECT_EQ(Timeline()["total"], 0);
  // A failed operation changes nothing.
  for (const Json& wrong : std::vector<Json>{{{"op", "insert"}},
                                             {{"op", "insert"}, {"asset", std::string(64, '0')}},
                                             {{"op", "insert"}, {"asset", first}, {"length", 22051}},
                                             {{"op", "insert"}, {"asset", first}, {"asset_length", 9}},
                                             {{"op", "remove"}, {"clip", "c1"}},
                                             {{"op", "reorder"}, {"clips", {"c1"}}},
                                             {{"op", "undone"}},
                                             {{"op", 5}},
                                             {{"op", "undo"}, {"clip", "c1"}},
                                             {{"clip", "c1"}}}) {
    const HttpAnswer refused = Operate(wrong);
    EXPECT_EQ(refused.status, 422) << wrong << refused.body;
    EXPECT_EQ(Parse(refused)["detail"].get<std::string>().back(), '.');
  }
  EXPECT_EQ(Timeline()["clips"].size(), 0u);
  // Files that can be gone back to are not to be lost.
  EXPECT_EQ(Ask("DELETE", "/v1/assets/" + first).status, 409);
  EXPECT_EQ(Ask("DELETE", self_, "If-Match: " + etag_ + "\r\n").status, 204);
  EXPECT_EQ(Ask("DELETE", "/v1/assets/" + first).status, 204);
  EXPECT_EQ(Ask("GET", self_).status, 404);
}

TEST_F(ServeProjectsTest, TakesNoChangeToWhatSomebodyElseHasChanged) {
  Start();
  Create({{"name", "song"}});
  const Json clear = {{"op", "clear"}};
  EXPECT_EQ(Post(self_ + "/operations", clear).status, 428);
  EXPECT_EQ(Ask("DELETE", self_).status, 428);
  const std::string old = etag_;
  Do(clear);
  EXPECT_EQ(Post(self_ + "/operations", clear, "If-Match: " + old + "\r\n").status, 412);
  EXPECT_EQ(Ask("DELETE", self_, "If-Match: " + old + "\r\n").status, 412);
  EXPECT_EQ(Ask("GET", self_, "If-None-Match: " + etag_ + "\r\n").status, 304);
  const std::string rename = R"({"name": "another"})";
  const HttpAnswer renamed =
      Ask("PATCH", self_, "Content-Type: application/json\r\nIf-Match: " + etag_ + "\r\n", rename);
  EXPECT_EQ(Parse(renamed)["name"], "another");
  EXPECT_EQ(Parse(renamed)["undo"], 1) << "a name is no step of the history";
  EXPECT_EQ(Post(self_ + "/operations", clear, "If-Match: *\r\n").status, 200);
  for (const char* wrong : {R"({"kind": "x"})", R"({"sample_rate": 5})", R"({"nam": ""})", R"({"name": 1})"}) {
    EXPECT_EQ(Ask("POST", "/v1/projects", "Content-Type: application/json\r\n", wrong).status, 422) << wrong;
  }
  // Whoever looks is told.
  const HttpAnswer events =
      Ask("GET", "/v1/events?after=0&project=" + self_.substr(self_.rfind('/') + 1), "", "", "\"revision\":4}");
  EXPECT_NE(events.body.find("event: project.changed"), std::string::npos) << events.body;
}

TEST_F(ServeProjectsTest, OutlivesTheServerWithItsHistory) {
  Start();
  const std::string asset = Asset(Wav(0.2));
  Create({{"name", "song"}});
  Do({{"op", "insert"}, {"asset", asset}});
  Do({{"op", "duplicate"}, {"clip", "c1"}});
  Do({{"op", "undo"}});
  const std::string before = Ask("GET", self_).body;
  Kill();
  Start();
  EXPECT_EQ(Ask("GET", self_).body, before);
  EXPECT_EQ(Do({{"op", "redo"}})["timeline"]["clips"].size(), 2u);
  const Json listed = Parse(Ask("GET", "/v1/projects"));
  ASSERT_EQ(listed["projects"].size(), 1u);
  EXPECT_EQ(listed["projects"][0]["name"], "song");
}

TEST_F(ServeProjectsTest, ExportsWhatTheTimelineSays) {
  Start();
  const std::string asset = Asset(Wav(0.5), "verse.wav");
  Create({{"crossfade", 0.1}});
  EXPECT_EQ(Post(self_ + "/export", Json::object()).status, 409);
  Do({{"op", "insert"}, {"asset", asset}, {"from", 1000}, {"length", 15000}});
  Do({{"op", "duplicate"}, {"clip", "c1"}});
  const Json timeline = Do({{"op", "gain"}, {"clip", "c2"}, {"db", -6}})["timeline"];
  const HttpAnswer answer = Post(self_ + "/export", {{"options", {{"output", "song.flac"}, {"normalise", "none"}}}});
  ASSERT_EQ(answer.status, 202) << answer.body;
  const Json job = End(Parse(answer)["id"]);
  ASSERT_EQ(job["state"], "succeeded") << job;
  ASSERT_EQ(job["outputs"].size(), 1u);
  EXPECT_EQ(job["outputs"][0]["name"], "song.flac");
  const Json report = Parse(Ask("GET", job["links"]["result"]))["report"];
  EXPECT_EQ(report["song"]["samples"], timeline["total"]);
  EXPECT_EQ(report.dump().find((folder_ / "data").string()), std::string::npos);
  // No place on the server's disk can be named.
  EXPECT_EQ(Post(self_ + "/export", {{"options", {{"timeline", "x"}}}}).status, 422);
  EXPECT_EQ(
      Post("/v1/jobs", {{"kind", "join"}, {"inputs", {asset}}, {"options", {{"timeline", {{"text", "x"}}}}}}).status,
      422);
}

TEST_F(ServeProjectsTest, NamesThePresets) {
  Start();
  const HttpAnswer answer = Ask("GET", "/v1/presets");
  const Json presets = Parse(answer)["presets"];
  EXPECT_EQ(presets.size(), 32u);
  EXPECT_EQ(presets[0]["name"], "clean_master");
  EXPECT_EQ(presets[0]["chain"]["limiter"]["ceiling_db"], -1);
  EXPECT_EQ(Ask("GET", "/v1/presets", "If-None-Match: " + answer.Header("ETag") + "\r\n").status, 304);
}

}  // namespace
}  // namespace timbre::testing
