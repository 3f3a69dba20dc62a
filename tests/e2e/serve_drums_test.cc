// Drums over HTTP: hits that a job heard, corrected at the server, and what is made of them.
#include <filesystem>

#include "formats/midi.h"
#include "tests/e2e/project_fixture.h"
#include "tests/support/environment.h"
#include "tests/support/golden.h"

namespace timbre::testing {
namespace {

class ServeDrumsTest : public ProjectTest {
 protected:
  // A small network with the parts of a kit, whose weights mean nothing, stands in for the one of the catalogue.
  void SetUp() override {
    const auto model = folder_ / "cache" / "models" / "mdx23c-drumsep";
    std::filesystem::create_directories(model);
    std::filesystem::copy_file(DataPath("official/mdx23c-tiny.ckpt"), model / "drumsep_5stems_mdx23c_jarredou.ckpt");
    std::filesystem::copy_file(DataPath("official/mdx23c-tiny.yaml"), model / "config_mdx23c.yaml");
  }
  // Nothing has to be computed to have hits: they may have been found before.
  std::string JobOfHits() {
    const std::string hits = R"({"beats": [0, 0.5, 1, 1.5, 2], "tempo_bpm": 120, "stems": [
        {"name": "kick", "hits": [{"seconds": 1, "note": 36, "velocity": 100}]},
        {"name": "snare", "hits": [{"seconds": 0.5, "note": 38, "velocity": 90}]}]})";
    const Json job = End(Parse(Post(
        "/v1/jobs", {{"kind", "drums"}, {"inputs", Json::array()}, {"options", {{"hits", {{"text", hits}}}}}}))["id"]);
    EXPECT_EQ(job["state"], "succeeded") << job;
    return job["id"];
  }

  const Environment cache_{{{"TIMBRE_CACHE", (folder_ / "cache").string()}, {"TIMBRE_OFFLINE", "1"}}};
};

TEST_F(ServeDrumsTest, KeepsWhatIsCorrectedAndMakesTheMidiAnew) {
  Start();
  const std::string song = Asset(Wav(1.5), "beat.wav");
  const Json job =
      End(Parse(Post("/v1/jobs", {{"kind", "drums"},
                                  {"inputs", {song}},
                                  {"options", {{"keep_stems", true}, {"set", {"stems.kick.offset_ms=0"}}}}}))["id"]);
  ASSERT_EQ(job["state"], "succeeded") << job;
  const Json report = Parse(Ask("GET", job["links"]["result"]))["report"];
  size_t heard = 0;
  for (const Json& stem : report["tracks"][0]["drums"]["stems"]) heard += stem["kept"].get<size_t>();
  Create({{"kind", "drums"}, {"job", job["id"]}});
  const Json begun = Parse(Ask("GET", self_));
  EXPECT_EQ(begun["name"], "beat");
  EXPECT_EQ(begun["job"], job["id"]);
  EXPECT_EQ(begun["drums"]["asset"], song);
  EXPECT_EQ(begun["drums"]["hits"].size(), heard);
  EXPECT_EQ(begun["drums"]["sounds"].size(), 5u);
  EXPECT_EQ(begun["drums"]["next"], heard + 1);

  const Json added = Do({{"op", "add"}, {"seconds", 0.51234}, {"note", 38}, {"velocity", 99}});
  EXPECT_EQ(added["hit"], heard + 1);
  Do({{"op", "add"}, {"seconds", 1}, {"note", 99}, {"velocity", 1}, {"stem", "snare"}});
  Do({{"op", "change"}, {"hit", added["hit"]}, {"velocity", 64}});
  const Json removed = Do({{"op", "remove"}, {"hit", heard + 2}});
  EXPECT_EQ(removed["drums"]["hits"].size(), heard + 1);
  EXPECT_EQ(Do({{"op", "undo"}})["drums"]["hits"].size(), heard + 2);
  EXPECT_EQ(Do({{"op", "redo"}})["drums"], removed["drums"]);
  const Json found = Parse(Ask("GET", "/v1/projects?kind=drums&job=" + job["id"].get<std::string>()))["projects"];
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0]["revision"], 7);

  // It outlives the job that it began with, and the server.
  EXPECT_EQ(Ask("DELETE", job["links"]["self"]).status, 204);
  for (const std::string& asset : {song, begun["drums"]["sounds"][0]["asset"].get<std::string>()}) {
    EXPECT_EQ(Ask("DELETE", "/v1/assets/" + asset).status, 409);
  }
  const std::string before = Ask("GET", self_).body;
  Kill();
  Start();
  EXPECT_EQ(Ask("GET", self_).body, before);

  // What is exported is what the command makes of the same hits.
  Json hits = Parse(Ask("GET", begun["drums"]["heard"]));
  for (Json& stem : hits["stems"]) {
    const std::string name = stem["name"];
    stem = {{"name", name}, {"hits", Json::array()}};
    for (const Json& hit : removed["drums"]["hits"]) {
      if (hit["stem"] == name) stem["hits"].push_back(hit);
    }
  }
  WriteAll(folder_ / "beat.hits.json", hits.dump());
  WriteAll(folder_ / "beat.wav", Wav(1.5));
  const Ran ran =
      RunTimbre({"drums", "--hits", "beat.hits.json", "-o", "here", "--quantise", "1/16", "--video", "here/beat.mp4",
                 "--video-audio", "beat.wav", "--video-size", "320x180", "--video-fps", "10"},
                folder_.path());
  ASSERT_EQ(ran.code, 0) << ran.err;
  const HttpAnswer answer =
      Post(self_ + "/export",
           {{"options", {{"quantise", "1/16"}, {"video", "beat.mp4"}, {"video_size", "320x180"}, {"video_fps", 10}}}});
  ASSERT_EQ(answer.status, 202) << answer.body;
  const Json made = End(Parse(answer)["id"]);
  ASSERT_EQ(made["state"], "succeeded") << made;
  EXPECT_EQ("/v1/projects/" + made["project"].get<std::string>(), self_);
  ASSERT_EQ(made["outputs"].size(), 2u);
  for (const Json& output : made["outputs"]) {
    const std::string name = output["name"];
    EXPECT_EQ(Ask("GET", output["link"]).body, ReadAll(folder_ / "here" / name)) << name;
  }
  const auto midi = ReadMidi((folder_ / "here" / "beat.mid").string());
  ASSERT_TRUE(midi) << midi.error().message;
  EXPECT_FALSE(midi->notes.empty());
}

TEST_F(ServeDrumsTest, TakesNothingThatIsNoCorrection) {
  Start();
  const std::string job = JobOfHits(), song = Asset(Wav(0.3));
  for (const Json& wrong : std::vector<Json>{{{"kind", "drums"}},
                                             {{"kind", "drums"}, {"job", 5}},
                                             {{"kind", "drums"}, {"job", "x"}},
                                             {{"kind", "drums"}, {"job", End(Submit(song))["id"]}},
                                             {{"kind", "drums"}, {"job", job}, {"name", 5}},
                                             {{"kind", "drums"}, {"job", job}, {"crossfade", 1}},
                                             {{"kind", "timeline"}, {"job", job}}}) {
    EXPECT_EQ(Post("/v1/projects", wrong).status, 422) << wrong;
  }
  Create({{"kind", "drums"}, {"job", job}});
  const Json before = Parse(Ask("GET", self_));
  EXPECT_EQ(before["drums"]["asset"], nullptr);
  ASSERT_EQ(before["drums"]["hits"].size(), 2u);
  EXPECT_EQ(before["drums"]["hits"][0]["stem"], "snare") << "in order of time";
  for (const Json& wrong :
       std::vector<Json>{{{"op", "add"}},
                         {{"op", "add"}, {"seconds", -1}, {"note", 38}, {"velocity", 9}},
                         {{"op", "add"}, {"seconds", 1e300}, {"note", 38}, {"velocity", 9}},
                         {{"op", "add"}, {"seconds", 1}, {"note", 128}, {"velocity", 9}},
                         {{"op", "add"}, {"seconds", 1}, {"note", 3.5}, {"velocity", 9}},
                         {{"op", "add"}, {"seconds", 1}, {"note", 38}, {"velocity", 0}},
                         {{"op", "add"}, {"seconds", 1}, {"note", 38}, {"velocity", 9}, {"stem", "snares"}},
                         {{"op", "add"}, {"seconds", "1"}, {"note", 38}, {"velocity", 9}},
                         {{"op", "change"}, {"hit", 1}},
                         {{"op", "change"}, {"hit", 9}, {"note", 38}},
                         {{"op", "remove"}},
                         {{"op", "remove"}, {"hit", 0}},
                         {{"op", "remove"}, {"hit", 1}, {"note", 38}},
                         {{"op", "insert"}, {"asset", song}},
                         {{"op", "chain"}}}) {
    const HttpAnswer refused = Operate(wrong);
    EXPECT_EQ(refused.status, 422) << wrong << refused.body;
  }
  EXPECT_EQ(Parse(Ask("GET", self_)), before);
  EXPECT_EQ(Operate({{"op", "undo"}}).status, 409);
  const Json remove = {{"op", "remove"}, {"hit", 1}};
  EXPECT_EQ(Post(self_ + "/operations", remove).status, 428);
  EXPECT_EQ(Post(self_ + "/operations", remove, "If-Match: \"7\"\r\n").status, 412);
  for (const Json& own : std::vector<Json>{{{"hits", {{"text", "{}"}}}},
                                           {{"set", {"x=1"}}},
                                           {{"video_audio", {{"asset", song}}}},
                                           {{"swing", 0.6}},
                                           {{"crossfade", 1}}}) {
    EXPECT_EQ(Post(self_ + "/export", {{"options", own}}).status, 422) << own;
  }
  // Without a song there are pictures all the same.
  const Json made = End(Parse(Post(self_ + "/export", Json::object()))["id"]);
  ASSERT_EQ(made["state"], "succeeded") << made;
  EXPECT_EQ(made["outputs"][0]["name"], "hits.mid");
}

}  // namespace
}  // namespace timbre::testing
