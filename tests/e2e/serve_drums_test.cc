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
  const std::string zip = Ask("GET", self_ + "/files.zip").body;
  for (const char* name : {"beat.wav", "stems/kick.wav", "made/beat.mid"}) {
    EXPECT_NE(zip.find(std::string("PK\x01\x02")), std::string::npos);
    EXPECT_NE(zip.find(name), std::string::npos) << name;
  }
  const Json found = Parse(Ask("GET", "/v1/projects?kind=drums&job=" + job["id"].get<std::string>()))["projects"];
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0]["revision"], 7);

  // It outlives the job that it began with, and the server.
  EXPECT_EQ(Ask("DELETE", job["links"]["self"]).status, 204);
  EXPECT_EQ(Parse(Ask("GET", "/v1/projects?kind=drums&asset=" + song))["projects"], found);
  EXPECT_EQ(Parse(Ask("GET", "/v1/projects?asset=none"))["projects"], Json::array());
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

// Tempo, first beat and metre are set right, each as a step, and what is exported follows.
TEST_F(ServeDrumsTest, SetsTheBeatsRight) {
  Start();
  Create({{"kind", "drums"}, {"job", JobOfHits()}});
  EXPECT_EQ(Parse(Ask("GET", self_))["drums"]["grid"], nullptr);
  const Json heard = Parse(Ask("GET", Parse(Ask("GET", self_))["drums"]["heard"]));
  EXPECT_EQ(heard["beats"], Json({0, 0.5, 1, 1.5, 2}));
  for (const Json& wrong :
       {Json{{"op", "beats"}}, Json{{"op", "beats"}, {"tempo_bpm", 5}}, Json{{"op", "beats"}, {"tempo_bpm", "fast"}},
        Json{{"op", "beats"}, {"metre", "4/5"}}, Json{{"op", "beats"}, {"first", 3}},
        Json{{"op", "beats"}, {"bpm", 90}}, Json{{"op", "beats"}, {"times", "thrice"}},
        Json{{"op", "beats"}, {"as_heard", true}, {"metre", "3/4"}}}) {
    const HttpAnswer answer = Operate(wrong);
    EXPECT_EQ(answer.status, 422) << wrong << answer.body;
  }
  EXPECT_EQ(Parse(Ask("GET", self_))["undo"], 0) << "what is refused is no step";
  Json grid = Do({{"op", "beats"}, {"tempo_bpm", 150}, {"first", 0.4}, {"metre", "3/4"}})["drums"]["grid"];
  EXPECT_EQ(grid["tempo_bpm"], 150);
  EXPECT_EQ(grid["metre"], "3/4");
  EXPECT_EQ(grid["beats"], Json({0, 0.4, 0.8, 1.2, 1.6, 2}));
  EXPECT_EQ(grid["downbeat"], 1);
  // On top of what is, and back again.
  EXPECT_EQ(Do({{"op", "beats"}, {"times", "half"}})["drums"]["grid"]["beats"], Json({0.4, 1.2, 2}));
  EXPECT_EQ(Do({{"op", "undo"}})["drums"]["grid"], grid);
  Do({{"op", "add"}, {"seconds", 1.2}, {"note", 38}, {"velocity", 9}});
  EXPECT_EQ(Parse(Ask("GET", self_))["drums"]["grid"], grid) << "hits leave it alone";
  Kill();
  Start();
  EXPECT_EQ(Parse(Ask("GET", self_))["drums"]["grid"], grid);
  const Json made = End(Parse(Post(self_ + "/export", Json::object()))["id"]);
  ASSERT_EQ(made["state"], "succeeded") << made;
  WriteAll(folder_ / "made.mid", Ask("GET", made["outputs"][0]["link"]).body);
  const auto midi = ReadMidi((folder_ / "made.mid").string());
  ASSERT_TRUE(midi) << midi.error().message;
  ASSERT_FALSE(midi->tempi.empty());
  EXPECT_EQ(midi->tempi.back().microseconds_per_beat, 400000);
  EXPECT_EQ(midi->metres.back().beats, 3);
  EXPECT_EQ(midi->metres.back().tick, midi->ticks_per_beat) << "where the bar begins";
  EXPECT_EQ(Do({{"op", "beats"}, {"as_heard", true}})["drums"]["grid"], nullptr);
}

// A project that begins with a song: it is configured, listened to, and what was heard is taken.
TEST_F(ServeDrumsTest, ListensToASongByItsConfiguration) {
  Start();
  const std::string song = Asset(Wav(1.5), "beat.wav");
  Create({{"kind", "drums"}, {"asset", song}});
  const Json begun = Parse(Ask("GET", self_));
  EXPECT_EQ(begun["name"], "beat");
  EXPECT_EQ(begun["drums"]["heard"], nullptr);
  EXPECT_EQ(begun["drums"]["hits"], Json::array());
  EXPECT_EQ(Operate({{"op", "add"}, {"seconds", 1}, {"note", 38}, {"velocity", 9}}).status, 422);
  EXPECT_EQ(Post(self_ + "/export", Json::object()).status, 409);
  const Json none = Parse(Ask("GET", self_ + "/stages"));
  EXPECT_EQ(none["midi"], nullptr);

  // The default, until there is another; what is none changes nothing and says where it is wrong.
  EXPECT_NE(Ask("GET", self_ + "/config/drums").body.find("  kick:"), std::string::npos);
  const std::string yaml = "stems:\n  kick:\n    offset_ms: 40\n  snare: {voices: {snare: {note: 40}}}\n";
  const std::string match = "If-Match: " + etag_ + "\r\nContent-Type: application/yaml\r\n";
  for (const auto& [wrong, said] :
       std::vector<std::pair<std::string, std::string>>{{"stems:\n  kick: [", "line 2"},
                                                        {"stems: {kik: {offset_ms: 1}}", "kick"},
                                                        {"stems: {kick: {gap_ms: 1}}", "stems.kick.gap_ms is 1"},
                                                        {"5", "must be a map"},
                                                        {"stems: \"\xff\"", "stems"}}) {
    const HttpAnswer refused = Ask("PUT", self_ + "/config/drums", match, wrong);
    EXPECT_EQ(refused.status, 422) << wrong;
    EXPECT_NE(Parse(refused)["detail"].get<std::string>().find(said), std::string::npos) << refused.body;
    EXPECT_EQ(Ask("PUT", self_ + "/config/drums?validate=1", "", wrong).status, 422) << wrong;
  }
  EXPECT_EQ(Ask("PUT", self_ + "/config/drums?validate=1", "", yaml).status, 204);
  EXPECT_EQ(Ask("PUT", self_ + "/config/drums?validate=2", "", yaml).status, 422);
  EXPECT_EQ(Ask("PUT", self_ + "/config/drums", "", yaml).status, 428);
  EXPECT_EQ(Parse(Ask("GET", self_)), begun);
  const HttpAnswer put = Ask("PUT", self_ + "/config/drums", match, yaml);
  ASSERT_EQ(put.status, 200) << put.body;
  EXPECT_EQ(Parse(put)["drums"]["configured"], true);
  EXPECT_EQ(Ask("PUT", self_ + "/config/drums", match, yaml).status, 412);
  EXPECT_EQ(Ask("GET", self_ + "/config/drums").body, yaml);
  etag_ = put.Header("ETag");

  // What the command hears by the same configuration.
  EXPECT_EQ(Post(self_ + "/listen", {{"options", {{"set", {"x=1"}}}}}).status, 422);
  const Json job = End(Parse(Post(self_ + "/listen", {{"options", {{"keep_stems", true}}}}))["id"]);
  ASSERT_EQ(job["state"], "succeeded") << job;
  const Json taken = Do({{"op", "take"}, {"job", job["id"]}});
  WriteAll(folder_ / "beat.wav", Wav(1.5));
  WriteAll(folder_ / "drums.yaml", yaml);
  const Ran ran =
      RunTimbre({"drums", "--config", "drums.yaml", "beat.wav", "-o", "here", "--json", "here.json"}, folder_.path());
  ASSERT_EQ(ran.code, 0) << ran.err;
  size_t kept = 0;
  const Json here = Json::parse(ReadAll(folder_ / "here.json"));
  for (const Json& stem : here["tracks"][0]["drums"]["stems"]) {
    kept += stem["kept"].get<size_t>();
  }
  EXPECT_GT(kept, 0u);
  EXPECT_EQ(taken["drums"]["hits"].size(), kept);
  EXPECT_EQ(taken["drums"]["sounds"].size(), 5u);
  const Json stages = Parse(Ask("GET", self_ + "/stages"));
  EXPECT_EQ(stages["separated"]["files"].size(), 5u) << stages;
  EXPECT_EQ(stages["midi"]["state"], "succeeded");
  EXPECT_EQ(stages["video"], nullptr);
  EXPECT_EQ(Ask("GET", stages["midi"]["files"][0]["link"]).body, ReadAll(folder_ / "here" / "beat.mid"));

  // Each of it is a step that can be undone; the default brings its notes back.
  const HttpAnswer reset = Ask("DELETE", self_ + "/config/drums", "If-Match: " + etag_ + "\r\n");
  ASSERT_EQ(reset.status, 200) << reset.body;
  etag_ = reset.Header("ETag");
  EXPECT_EQ(Parse(reset)["drums"]["configured"], false);
  EXPECT_EQ(Do({{"op", "add"}, {"seconds", 1}, {"note", 38}, {"velocity", 9}})["drums"]["hits"].size(), kept + 1);
  for (int i = 0; i < 3; ++i) Do({{"op", "undo"}});
  EXPECT_EQ(Parse(Ask("GET", self_))["drums"]["hits"], Json::array());
  EXPECT_EQ(Ask("GET", self_ + "/config/drums").body, yaml);
  // A job that has listened to another sound is not this song's, nor is the configuration one without a stem of hits.
  const std::string other = Asset(Wav(1), "other.wav");
  const Json elsewhere = End(Parse(Post("/v1/jobs", {{"kind", "drums"}, {"inputs", {other}}}))["id"]);
  EXPECT_EQ(Operate({{"op", "take"}, {"job", elsewhere["id"]}}).status, 422);
  EXPECT_EQ(Operate({{"op", "take"}, {"job", "x"}}).status, 422);
  EXPECT_EQ(Operate({{"op", "take"}, {"job", job["id"]}, {"hit", 1}}).status, 422);
  Do({{"op", "redo"}});
  const HttpAnswer lacking =
      Ask("PUT", self_ + "/config/drums", "If-Match: " + etag_ + "\r\n", "stems: {kick: null}\nducking: []\n");
  EXPECT_EQ(lacking.status, 422);
  EXPECT_NE(lacking.body.find("there are hits of the stem 'kick'"), std::string::npos) << lacking.body;
}

TEST_F(ServeDrumsTest, KeepsOtherMixesOfTheSong) {
  Start();
  const std::string song = Asset(Wav(1.5), "beat.wav"), mix = Asset(Wav(1.2), "no_drums.wav");
  const std::string midi("MThd\0\0\0\6\0\0\0\1\0\x60MTrk\0\0\0\x0c\0\x99\x24\x64\x60\x89\x24\0\0\xff\x2f\0", 34);
  const std::string notes = Asset(midi, "hits.mid");
  const Json heard = End(Parse(Post("/v1/jobs", {{"kind", "drums"}, {"inputs", {song}}}))["id"]);
  ASSERT_EQ(heard["state"], "succeeded") << heard;
  Create({{"kind", "drums"}, {"job", heard["id"]}});
  const auto add = [&](const Json& body) {
    HttpAnswer answer = Post(self_ + "/mixes", body, "If-Match: " + etag_ + "\r\n");
    if (answer.status == 200) etag_ = answer.Header("ETag");
    return answer;
  };
  EXPECT_EQ(Post(self_ + "/mixes", {{"asset", mix}}).status, 428);
  for (const Json& wrong : std::vector<Json>{Json::object(),
                                             {{"asset", song}},
                                             {{"asset", notes}},
                                             {{"asset", "x"}},
                                             {{"asset", mix}, {"name", 5}},
                                             {{"asset", mix}, {"file", "a"}}}) {
    EXPECT_EQ(add(wrong).status, 422) << wrong;
  }
  ASSERT_EQ(add({{"asset", mix}}).status, 200);
  ASSERT_EQ(add({{"asset", mix}, {"name", "to play along"}}).status, 200);
  const Json mixes = {{"mixes", {{{"asset", mix}, {"name", "to play along"}}}}};
  EXPECT_EQ(Parse(Ask("GET", self_ + "/mixes")), mixes);
  EXPECT_EQ(Ask("DELETE", "/v1/assets/" + mix).status, 409) << "the project has it";

  // A video with its sound, with the song's, with none; with no other.
  const Json video = {{"video", "beat.mp4"}, {"video_size", "320x180"}, {"video_fps", 10}};
  const auto exported = [&](const Json& audio) {
    Json options = video;
    options["video_audio"] = audio;
    return Post(self_ + "/export", {{"options", options}});
  };
  EXPECT_EQ(exported({{"asset", notes}}).status, 422);
  EXPECT_EQ(exported({{"text", "x"}}).status, 422);
  EXPECT_EQ(exported("no_drums.wav").status, 422);
  const HttpAnswer with_mix = exported({{"asset", mix}}), silent = exported(nullptr);
  ASSERT_EQ(with_mix.status, 202) << with_mix.body;
  ASSERT_EQ(silent.status, 202) << silent.body;
  WriteAll(folder_ / "mix.wav", Wav(1.2));
  const auto made = [&](const HttpAnswer& answer) {
    const Json job = End(Parse(answer)["id"]);
    EXPECT_EQ(job["state"], "succeeded") << job;
    for (const Json& output : job["outputs"]) {
      if (output["media_type"] == "video/mp4") return Ask("GET", output["link"]).body;
    }
    return std::string();
  };
  const std::string sounding = made(with_mix), mute = made(silent);
  EXPECT_NE(sounding.find("soun"), std::string::npos) << "a track of sound";
  EXPECT_EQ(mute.find("soun"), std::string::npos);
  EXPECT_EQ(Parse(Ask("GET", self_ + "/stages"))["video"]["files"].size(), 1u);

  const HttpAnswer removed = Ask("DELETE", self_ + "/mixes/" + mix, "If-Match: " + etag_ + "\r\n");
  ASSERT_EQ(removed.status, 200) << removed.body;
  etag_ = removed.Header("ETag");
  EXPECT_EQ(Ask("DELETE", self_ + "/mixes/" + mix, "If-Match: " + etag_ + "\r\n").status, 404);
  EXPECT_EQ(Do({{"op", "undo"}})["drums"]["mixes"], mixes["mixes"]);
  Create({{"name", "song"}});
  for (const char* part : {"/mixes", "/stages", "/config/drums"}) EXPECT_EQ(Ask("GET", self_ + part).status, 404);
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
                                             {{"kind", "drums"}, {"job", job}, {"asset", song}},
                                             {{"kind", "drums"}, {"asset", "x"}},
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
