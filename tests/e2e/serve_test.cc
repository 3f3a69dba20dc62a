// timbre serve, as its clients see it.
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <sstream>

#include "engine/ids.h"
#include "engine/journal.h"
#include "formats/safetensors.h"
#include "formats/zip.h"
#include "pipelines/job.h"
#include "tests/e2e/serve_fixture.h"
#include "tests/support/environment.h"
#include "tests/support/http_client.h"
#include "tests/support/places.h"

namespace timbre::testing {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

TEST_F(ServeTest, GivesTheBytesThatTheCommandLineGives) {
  Start();
  for (const double seconds : {0.3, 0.7}) {
    const std::string bytes = Wav(seconds);
    WriteAll(folder_ / "song.wav", bytes);
    ASSERT_EQ(RunTimbre({"separate", "--model", "hpss", "song.wav"}, folder_.path()).code, 0);
    const Json job = End(Submit(Asset(bytes)));
    ASSERT_EQ(job["state"], "succeeded") << job;
    ASSERT_EQ(job["outputs"].size(), 2u);
    for (const Json& output : job["outputs"]) {
      const std::string name = output["name"];
      const HttpAnswer data = Ask("GET", output["link"]);
      EXPECT_EQ(data.status, 200);
      EXPECT_EQ(data.body, ReadAll(folder_ / "separated" / name)) << name;
      EXPECT_EQ(engine::Sha256Of(data.body), output["asset"]);
    }
    // All of them at once.
    const HttpAnswer zip = Ask("GET", job["links"]["files"]);
    EXPECT_EQ(zip.Header("Content-Length"), std::to_string(zip.body.size()));
    auto archive = ZipArchive::Open(SharedBytes::Own(zip.body));
    ASSERT_TRUE(archive) << archive.error().message;
    ASSERT_EQ(archive->entries().size(), 2u);
    for (const ZipEntry& entry : archive->entries()) {
      const auto member = archive->Read(entry);  // checks its sum
      ASSERT_TRUE(member) << member.error().message;
      EXPECT_EQ(member->text(), ReadAll(folder_ / "separated" / entry.name));
    }
    // And one by its name, in part.
    const HttpAnswer part = Ask("GET", job["links"]["self"].get<std::string>() + "/files/hpss%2Fsong%2Fharmonic.wav",
                                "Range: bytes=0-3\r\n");
    EXPECT_EQ(part.status, 206);
    EXPECT_EQ(part.body, "RIFF");
    EXPECT_EQ(Ask("GET", job["links"]["result"]).status, 200);
  }
}

TEST_F(ServeTest, ForgetsNothingWhenItIsKilled) {
  Start();
  const std::string asset = Asset(Wav(0.3));
  std::vector<std::string> jobs;
  for (int i = 0; i < 3; ++i) jobs.push_back(Submit(asset));
  Kill();
  Start();
  for (const std::string& job : jobs) EXPECT_EQ(End(job)["state"], "succeeded");
}

TEST_F(ServeTest, TellsEventsFromWhereAClientWas) {
  Start();
  const std::string job = Submit(Asset(Wav(0.2)));
  EXPECT_EQ(End(job)["state"], "succeeded");
  // The end comes after the state.
  HttpAnswer events;
  for (int i = 0; i < 50 && events.body.find("job.ended") == std::string::npos; ++i) {
    events = Ask("GET", "/v1/events?after=0", "", "", "job.ended");
  }
  EXPECT_EQ(events.Header("Content-Type"), "text/event-stream");
  EXPECT_NE(events.body.find("retry: 2000\n\n"), std::string::npos);
  for (const char* line : {"id: 1\nevent: job.queued\n", "id: 2\nevent: job.started\n", "id: 3\nevent: job.ended\n"}) {
    EXPECT_NE(events.body.find(line), std::string::npos) << line << events.body;
  }
  const HttpAnswer later = Ask("GET", "/v1/events", "Last-Event-ID: 2\r\n", "", "job.ended");
  EXPECT_EQ(later.body.find("id: 2\n"), std::string::npos);
  EXPECT_NE(later.body.find("id: 3\n"), std::string::npos);
  const HttpAnswer beyond = Ask("GET", "/v1/events?after=999", "", "", "snapshot");
  EXPECT_NE(beyond.body.find("event: reset\n"), std::string::npos);
  EXPECT_EQ(Ask("GET", "/v1/events?after=x").status, 422);
}

TEST_F(ServeTest, GoesOnWithAnUploadAfterAKill) {
  Start();
  const std::string bytes = Wav(0.5), half = bytes.substr(0, bytes.size() / 2), rest = bytes.substr(half.size());
  const std::string tus = "Tus-Resumable: 1.0.0\r\n", piece = "Content-Type: application/offset+octet-stream\r\n";
  EXPECT_EQ(Ask("OPTIONS", "/v1/uploads").Header("Tus-Version"), "1.0.0");
  EXPECT_EQ(Ask("POST", "/v1/uploads", "Upload-Length: 1\r\n").status, 412);
  EXPECT_EQ(Ask("POST", "/v1/uploads", tus).status, 400);
  const HttpAnswer made =
      Ask("POST", "/v1/uploads",
          tus + "Upload-Length: " + std::to_string(bytes.size()) + "\r\nUpload-Metadata: filename c29uZy53YXY=\r\n");
  ASSERT_EQ(made.status, 201) << made.body;
  const std::string upload = made.Header("Location");
  EXPECT_EQ(Ask("PATCH", upload, tus + piece + "Upload-Offset: 5\r\n", half).status, 409);
  EXPECT_EQ(Ask("PATCH", upload, tus + "Upload-Offset: 0\r\n", half).status, 415);
  const std::string wrong = "Upload-Checksum: sha256 47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\r\n";
  EXPECT_EQ(Ask("PATCH", upload, tus + piece + wrong + "Upload-Offset: 0\r\n", half).status, 460);
  EXPECT_EQ(Ask("HEAD", upload, tus).Header("Upload-Offset"), "0");
  EXPECT_EQ(Ask("PATCH", upload, tus + piece + "Upload-Offset: 0\r\n", half).status, 204);
  Kill();
  Start();
  const HttpAnswer head = Ask("HEAD", upload, tus);
  EXPECT_EQ(head.Header("Upload-Offset"), std::to_string(half.size()));
  EXPECT_EQ(head.Header("Upload-Length"), std::to_string(bytes.size()));
  const std::string at = "Upload-Offset: " + std::to_string(half.size()) + "\r\n";
  EXPECT_EQ(Ask("PATCH", upload, tus + piece + at, rest + "x").status, 413);
  const HttpAnswer done = Ask("PATCH", upload, tus + piece + at, rest);
  EXPECT_EQ(done.status, 204) << done.body;
  EXPECT_EQ(done.Header("Timbre-Asset"), engine::Sha256Of(bytes));
  EXPECT_EQ(Ask("HEAD", upload, tus).status, 404);
  EXPECT_EQ(Parse(Ask("GET", "/v1/assets/" + done.Header("Timbre-Asset")))["name"], "song.wav");
}

TEST_F(ServeTest, RefusesInTheWordsOfTheCommandLine) {
  Start();
  const std::string asset = Asset(Wav(0.1));
  struct Row {
    Json body;
    int status;
    const char* says;
  };
  for (const Row& row : std::vector<Row>{
           {{{"kind", "seperate"}, {"inputs", {asset}}}, 422, "Did you mean 'separate'"},
           {{{"kind", "doctor"}, {"inputs", {asset}}}, 422, "no kind of job"},
           {{{"kind", "bench"}, {"inputs", {asset}}}, 422, "no kind of job"},
           {{{"kind", "separate"}, {"inputs", {"nothing"}}}, 422, "no asset"},
           {{{"kind", "separate"}, {"inputs", Json::array()}}, 422, "empty"},
           {{{"kind", "separate"}, {"inputs", {asset}}, {"optoins", Json::object()}}, 422, "Did you mean 'options'"},
           {{{"kind", "separate"}, {"inputs", {asset}}, {"options", {{"modl", "hpss"}}}}, 422, "Did you mean 'model'"},
           {{{"kind", "separate"}, {"inputs", {asset}}, {"options", {{"shifts", 1000}}}}, 422, "from 0 to 100"},
           // Nothing that a client says is a path.
           {{{"kind", "separate"}, {"inputs", {asset}}, {"options", {{"output", "/tmp"}}}}, 422, "no 'output'"},
           {{{"kind", "separate"}, {"inputs", {asset}}, {"options", {{"name", "../../x"}}}}, 422, "no 'name'"},
           {{{"kind", "separate"}, {"inputs", {asset}}, {"options", {{"temp", "/tmp"}}}}, 422, "no 'temp'"},
           {{{"kind", "separate"}, {"inputs", {asset}}, {"options", {{"model", "/etc/passwd"}}}}, 422, "no model"},
           {{{"kind", "separate"}, {"inputs", {asset}}, {"options", {{"model", "hpss,/etc/passwd"}}}}, 422, "no model"},
           {{{"kind", "separate"}, {"inputs", {asset}}, {"options", {{"preset", "none"}}}}, 422, "no preset 'none'"},
           {{{"kind", "separate"}, {"inputs", {"/etc/passwd"}}}, 422, "no asset"},
           {{{"kind", "separate"}, {"inputs", {"../../../../etc/passwd"}}}, 422, "no asset"},
           {{{"kind", "separate"}, {"inputs", {asset}}, {"device", "vulkan:7"}}, 422, "no such device"},
       }) {
    const HttpAnswer answer = Post("/v1/jobs", row.body);
    EXPECT_EQ(answer.status, row.status) << row.body;
    EXPECT_EQ(answer.Header("Content-Type"), "application/problem+json");
    EXPECT_NE(Parse(answer)["detail"].get<std::string>().find(row.says), std::string::npos) << answer.body;
  }
  EXPECT_EQ(Ask("POST", "/v1/jobs", "Content-Type: application/json\r\n", "{").status, 400);
  const std::string deep = "{\"kind\":" + std::string(100, '[') + std::string(100, ']') + "}";
  EXPECT_EQ(Ask("POST", "/v1/jobs", "Content-Type: application/json\r\n", deep).status, 400);
  EXPECT_EQ(Ask("POST", "/v1/assets?name=x.html", "", "<script>").status, 415);
  for (const char* path :
       {"/../../etc/passwd", "/v1/assets/..%2F..%2Fdb.sqlite/data", "/v1/assets/%2e%2e%2fdb.sqlite/data",
        "/v1/jobs/..%2F..%2Ftoken", "/v1/assets/....//data", "/v1/uploads/..%2Fdb.sqlite", "/v1/kinds/..%2Fx/schema",
        "/v1/assets/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/data"}) {
    const HttpAnswer answer = Ask("GET", path);
    EXPECT_TRUE(answer.status == 404 || answer.status == 405) << path << " " << answer.status;
    EXPECT_EQ(answer.body.find("SQLite"), std::string::npos);
    EXPECT_EQ(answer.body.find(folder_.path().string()), std::string::npos) << answer.body;
  }
}

TEST_F(ServeTest, AKeyMakesOneJob) {
  Start();
  const std::string asset = Asset(Wav(0.1));
  const Json body = {{"kind", "separate"}, {"inputs", {asset}}, {"options", {{"model", "hpss"}}}};
  const HttpAnswer first = Post("/v1/jobs", body, "Idempotency-Key: k1\r\n");
  const HttpAnswer again = Post("/v1/jobs", body, "Idempotency-Key: k1\r\n");
  EXPECT_EQ(again.status, 202);
  EXPECT_EQ(again.Header("Idempotency-Replayed"), "true");
  EXPECT_EQ(Parse(again)["id"], Parse(first)["id"]);
  Json other = body;
  other["priority"] = "high";
  EXPECT_EQ(Post("/v1/jobs", other, "Idempotency-Key: k1\r\n").status, 422);
}

TEST_F(ServeTest, LetsInWhoHasAToken) {
  Start();
  EXPECT_EQ(fs::status(folder_ / "data" / "token").permissions(), fs::perms::owner_read | fs::perms::owner_write);
  EXPECT_EQ(AskServer(port_, "GET", "/v1/jobs").status, 401);
  EXPECT_EQ(AskServer(port_, "GET", "/healthz").status, 200);
  const HttpAnswer session = Ask("POST", "/v1/session");
  ASSERT_EQ(session.status, 204);
  const std::string cookie = session.Header("Set-Cookie");
  for (const char* part : {"HttpOnly", "SameSite=Strict", "Path=/"}) {
    EXPECT_NE(cookie.find(part), std::string::npos) << part;
  }
  const std::string sent = "Cookie: " + cookie.substr(0, cookie.find(';')) + "\r\n";
  EXPECT_EQ(AskServer(port_, "GET", "/v1/jobs", sent).status, 200);
  Kill();
  Start();
  EXPECT_EQ(AskServer(port_, "GET", "/v1/jobs", sent).status, 200);  // it is remembered
}

// Whether the server is started anew meanwhile or not.
TEST_F(ServeTest, ASessionEndsWithItsTimeAndWithItsClient) {
  Start();
  Kill();
  const std::string mine = engine::NewToken(), of_nobody = engine::NewToken();
  {
    const auto journal = engine::Journal::Open((folder_ / "data" / "db.sqlite").string());
    ASSERT_TRUE(journal) << journal.error().message;
    ASSERT_TRUE((*journal)->AddSession(engine::Sha256Of(mine), "local", engine::Now() + 8 * 1000000));
    ASSERT_TRUE((*journal)->AddSession(engine::Sha256Of(of_nobody), "gone", engine::Now() + int64_t{3600} * 1000000));
  }
  Start();
  const auto status = [&](const std::string& token) {
    return AskServer(port_, "GET", "/v1/jobs", "Cookie: timbre=" + token + "\r\n").status;
  };
  EXPECT_EQ(status(mine), 200);
  EXPECT_EQ(status(of_nobody), 401);
  for (int i = 0; i < 200 && status(mine) == 200; ++i) usleep(100000);
  EXPECT_EQ(status(mine), 401);
}

TEST_F(ServeTest, DeletesAndLists) {
  Start();
  const std::string asset = Asset(Wav(0.1)), job = Submit(asset);
  EXPECT_EQ(Ask("DELETE", "/v1/assets/" + asset).status, 409);
  const Json done = End(job);
  const HttpAnswer page = Ask("GET", "/v1/jobs?limit=1");
  EXPECT_EQ(Parse(page)["jobs"].size(), 1u);
  EXPECT_NE(page.Header("Link").find("rel=\"next\""), std::string::npos);
  EXPECT_EQ(Ask("GET", "/v1/jobs?limit=0").status, 422);
  EXPECT_EQ(Ask("GET", "/v1/jobs?state=lost").status, 422);
  EXPECT_EQ(Ask("POST", "/v1/jobs/" + job + "/cancel").status, 200);
  EXPECT_EQ(Ask("POST", "/v1/jobs/" + job + "/retry").status, 409);
  EXPECT_EQ(Ask("DELETE", "/v1/jobs/" + job).status, 204);
  EXPECT_EQ(Ask("GET", "/v1/jobs/" + job).status, 404);
  EXPECT_EQ(Ask("GET", done["outputs"][0]["link"]).status, 404);
  EXPECT_EQ(Ask("DELETE", "/v1/assets/" + asset).status, 204);
  EXPECT_EQ(Parse(Ask("GET", "/v1/assets"))["assets"].size(), 0u);
}

TEST_F(ServeTest, DescribesAndMeasuresItself) {
  Start();
  // docs/openapi.json is `timbre serve --openapi` without what the kinds of jobs add.
  const auto common = [](Json description) {
    description["info"].erase("version");
    Json& schemas = description["components"]["schemas"];
    for (auto entry = schemas.begin(); entry != schemas.end();) {
      entry = entry.key().starts_with("OptionsOf_") ? schemas.erase(entry) : std::next(entry);
    }
    schemas["JobRequest"]["properties"].erase("kind");
    schemas["JobRequest"]["properties"].erase("options");
    return description;
  };
  const Json served = Parse(Ask("GET", "/v1/openapi.json"));
  const Json kept = Json::parse(ReadAll(fs::path(SourceDir()) / "docs" / "openapi.json"));
  EXPECT_EQ(common(served), common(kept)) << "write it anew: timbre serve --openapi > docs/openapi.json";
  const HttpAnswer again =
      Ask("GET", "/v1/openapi.json", "If-None-Match: " + Ask("GET", "/v1/openapi.json").Header("ETag") + "\r\n");
  EXPECT_EQ(again.status, 304);
  for (const char* path :
       {"/v1/info", "/v1/kinds", "/v1/devices", "/v1/models", "/readyz", "/v1/kinds/separate/schema"}) {
    EXPECT_EQ(Ask("GET", path).status, 200) << path;
  }
  EXPECT_EQ(End(Submit(Asset(Wav(0.1))))["state"], "succeeded");
  const std::string text = Ask("GET", "/metrics").body;
  for (const char* wanted :
       {"timbre_job_seconds_bucket{kind=\"separate\",device=\"cpu\",model=\"hpss\",le=\"+Inf\"} 1\n",
        "timbre_job_realtime_factor_count{kind=\"separate\",device=\"cpu\",model=\"hpss\"} 1\n",
        "timbre_queue_wait_seconds_count{kind=\"separate\"} 1\n",
        "timbre_jobs{state=\"succeeded\",kind=\"separate\"} 1\n",
        "timbre_http_seconds_bucket{route=\"getInfo\",le=\"60\"} 1\n"}) {
    EXPECT_NE(text.find(wanted), std::string::npos) << wanted << text;
  }
  EXPECT_NE(text.find("timbre_db_seconds_sum "), std::string::npos) << text;
  // The next job finds the model loaded, and makes the same of it.
  const Json first = Parse(Ask("GET", "/v1/jobs?limit=1"))["jobs"][0]["outputs"];
  EXPECT_EQ(End(Submit(Asset(Wav(0.1))))["outputs"], first);
  const std::string later = Ask("GET", "/metrics").body;
  for (const char* what : {"loaded", "reused"}) {
    const std::string line = std::string("timbre_models_") + what + "_total{device=\"cpu\",quick=\"false\"} ";
    EXPECT_NE(text.find(line + (*what == 'l' ? "1\n" : "0\n")), std::string::npos) << text;
    EXPECT_NE(later.find(line + "1\n"), std::string::npos) << later;
  }
  std::istringstream metrics(text);
  int samples = 0;
  std::set<std::string> series;
  for (std::string line; std::getline(metrics, line);) {
    if (line.starts_with("# HELP ") || line.starts_with("# TYPE ")) continue;
    const size_t blank = line.rfind(' ');
    ASSERT_NE(blank, std::string::npos) << line;
    char* end = nullptr;
    (void)std::strtod(line.c_str() + blank + 1, &end);
    EXPECT_EQ(*end, '\0') << line;
    EXPECT_TRUE(series.insert(line.substr(0, blank)).second) << line << " comes twice";
    EXPECT_TRUE(line.starts_with("timbre_") || line.starts_with("process_")) << line;
    ++samples;
  }
  EXPECT_GT(samples, 10);
}

// Every kind of job that the program knows is a server's too, and every option of it is either a client's to set or
// known not to be.
TEST_F(ServeTest, ServesEveryKindOfJob) {
  Start();
  const Json kinds = Parse(Ask("GET", "/v1/kinds"))["kinds"];
  std::set<std::string> names;
  for (const Json& kind : kinds) names.insert(kind["name"]);
  const std::set<std::string> others = {"pull", "doctor", "bench"};
  for (const JobKind& kind : JobKinds()) {
    const bool served = !others.contains(std::string(kind.name));
    EXPECT_EQ(names.contains(std::string(kind.name)), served) << kind.name;
    if (!served) continue;
    const Json schema = Parse(Ask("GET", "/v1/kinds/" + std::string(kind.name) + "/schema"));
    const std::unique_ptr<timbre::Job> job = kind.make();
    // What names a place, or has no meaning where each job has a folder of its own.
    const std::set<std::string> withheld = {"name",       "temp",      "model_config",  "device",        "inject",
                                            "stdout",     "recursive", "skip_existing", "separated",     "timeline",
                                            "input",      "midi",      "reference",     "estimate",      "output",
                                            "checkpoint", "config",    "resume",        "accept_licence"};
    for (const Field& field : job->Fields()) {
      const std::string key = KeyOf(field);
      EXPECT_TRUE(schema["properties"].contains(key) || withheld.contains(key))
          << kind.name << ": no rule says what becomes of '" << key << "'";
    }
  }
}

TEST_F(ServeTest, TakesWordsAndFilesAsOptions) {
  Start();
  const std::string wav = Wav(0.3), asset = Asset(wav);
  WriteAll(folder_ / "song.wav", wav);
  // Settings as text: what the command makes of the same file.
  const std::string chain = "bands:\n  - {type: peak, hz: 1000, db: 3}\n";
  WriteAll(folder_ / "chain.yaml", chain);
  ASSERT_EQ(RunTimbre({"master", "--chain", "chain.yaml", "song.wav"}, folder_.path()).code, 0);
  const HttpAnswer mastered =
      Post("/v1/jobs", {{"kind", "master"}, {"inputs", {asset}}, {"options", {{"chain", {{"text", chain}}}}}});
  ASSERT_EQ(mastered.status, 202) << mastered.body;
  const Json job = End(Parse(mastered)["id"]);
  ASSERT_EQ(job["state"], "succeeded") << job;
  EXPECT_EQ(Ask("GET", job["outputs"][0]["link"]).body,
            ReadAll(folder_ / "mastered" / job["outputs"][0]["name"].get<std::string>()));
  // Two files, and a report without a file.
  const Json score = End(Parse(Post("/v1/jobs", {{"kind", "score"}, {"inputs", {asset, asset}}}))["id"]);
  ASSERT_EQ(score["state"], "succeeded") << score;
  EXPECT_EQ(Parse(Ask("GET", score["links"]["result"]))["report"]["channels"], 2);
  // MIDI is a file that jobs read.
  const std::string midi("MThd\0\0\0\6\0\0\0\1\0\x60MTrk\0\0\0\x0c\0\x99\x24\x64\x60\x89\x24\0\0\xff\x2f\0", 34);
  const std::string hits = Asset(midi, "hits.mid");
  const Json notes = End(
      Parse(Post("/v1/jobs", {{"kind", "notes"},
                              {"inputs", {hits}},
                              {"options", {{"audio", {{"asset", asset}}}, {"size", "320x180"}, {"fps", 10}}}}))["id"]);
  ASSERT_EQ(notes["state"], "succeeded") << notes;
  EXPECT_EQ(notes["outputs"][0]["name"], "notes.mp4");
  // Corrected hits take the place of sound: nothing is computed, and no device named.
  const std::string corrected =
      R"({"stems": [{"name": "snare", "hits": [{"seconds": 1, "note": 38, "velocity": 90}]}]})";
  const Json drums = End(Parse(
      Post("/v1/jobs",
           {{"kind", "drums"}, {"inputs", Json::array()}, {"options", {{"hits", {{"text", corrected}}}}}}))["id"]);
  ASSERT_EQ(drums["state"], "succeeded") << drums;
  EXPECT_TRUE(drums["outputs"][0]["name"].get<std::string>().ends_with(".mid")) << drums["outputs"];
  for (const Json& ill : {Json{{"text", corrected}, {"name", 3}}, Json{{"text", corrected}, {"names", "a.json"}},
                          Json{{"asset", asset}, {"name", "a.json"}}}) {
    EXPECT_EQ(Post("/v1/jobs", {{"kind", "drums"}, {"inputs", Json::array()}, {"options", {{"hits", ill}}}}).status,
              422)
        << ill;
  }
  // Tensors are files too, and what is to be done with them is said before them: what the command makes of the same.
  TensorMap tensors;
  tensors.emplace("latents", HostTensor::FromF32({16, 3, 2, 4}, std::vector<float>(16 * 3 * 2 * 4, 0.25f)));
  ASSERT_TRUE(WriteSafetensors((folder_ / "latents.safetensors").string(), tensors));
  const std::string latents = ReadAll(folder_ / "latents.safetensors");
  ASSERT_EQ(RunTimbre({"frames", "decode", "latents.safetensors", "--preview", "-o", "p_%d.png"}, folder_.path()).code,
            0);
  const Json frames = End(
      Parse(Post("/v1/jobs", {{"kind", "frames"},
                              {"inputs", {Asset(latents, "latents.safetensors")}},
                              {"options", {{"action", "decode"}, {"preview", true}, {"output", "p_%d.png"}}}}))["id"]);
  ASSERT_EQ(frames["state"], "succeeded") << frames;
  EXPECT_GT(frames["outputs"].size(), 1u);
  for (const Json& picture : frames["outputs"]) {
    EXPECT_EQ(Ask("GET", picture["link"]).body, ReadAll(folder_ / picture["name"].get<std::string>()));
  }
  EXPECT_EQ(Ask("POST", "/v1/assets?name=x.safetensors", "", latents.substr(0, latents.size() - 1)).status, 415);
  EXPECT_EQ(Post("/v1/jobs", {{"kind", "frames"}, {"inputs", {asset}}}).status, 422);
  for (const Json& wrong : std::vector<Json>{{{"chain", "/etc/passwd"}},
                                             {{"chain", {{"asset", "../../token"}}}},
                                             {{"chain", {{"asset", asset}, {"text", ""}}}},
                                             {{"chain", {{"text", 5}}}},
                                             {{"temp", "/tmp"}}}) {
    EXPECT_EQ(Post("/v1/jobs", {{"kind", "master"}, {"inputs", {asset}}, {"options", wrong}}).status, 422) << wrong;
  }
  EXPECT_EQ(Post("/v1/jobs", {{"kind", "lyrics"}, {"inputs", {asset}}}).status, 422);
  EXPECT_EQ(Post("/v1/jobs", {{"kind", "pull"}}).status, 422);
}

// A small model stands in for the catalogue's.
TEST_F(ServeTest, GoesOnFromAPrompt) {
  const fs::path cache = folder_ / "cache",
                 model = cache / "models" / "smollm2-135m" / "SmolLM2-135M-Instruct.Q4_1.gguf";
  fs::create_directories(model.parent_path());
  fs::copy_file(fs::path(SourceDir()) / "tests/data/lm/gguf-tiny.gguf", model);
  fs::resize_file(model, 98362432);  // as long as the catalogue's, or that would be fetched in its place
  const Environment here({{"TIMBRE_CACHE", cache.string()}, {"TIMBRE_OFFLINE", "1"}});
  Start();
  const Json options = {
      {"ids", {{"text", "1 2 3"}}}, {"max_tokens", 4}, {"greedy", true}, {"logits", "scores.safetensors"}};
  const Json job = End(Parse(Post("/v1/jobs", {{"kind", "text"}, {"options", options}}))["id"]);
  ASSERT_EQ(job["state"], "succeeded") << job;
  const Json report = Parse(Ask("GET", job["links"]["result"]))["report"];
  WriteAll(folder_ / "ids.txt", "1 2 3");
  const Ran ran = RunTimbre({"text", "--ids", "ids.txt", "-n", "4", "--greedy", "--device", "cpu", "--json", "r.json"},
                            folder_.path());
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(report["ids"], Json::parse(ReadAll(folder_ / "r.json"))["ids"]);
  EXPECT_EQ(report["ids"].size(), 4u);
  ASSERT_EQ(job["outputs"].size(), 1u);
  EXPECT_EQ(job["outputs"][0]["name"], "scores.safetensors");
  // What stands for the standard input of a command is nobody's here.
  const Json none = End(Parse(Post("/v1/jobs", {{"kind", "text"}, {"options", {{"prompt", "-"}}}}))["id"]);
  EXPECT_EQ(none["state"], "failed") << none;
  EXPECT_NE(none["error"]["detail"].get<std::string>().find("standard input"), std::string::npos) << none;
  EXPECT_EQ(none["error"]["type"], "/problems/invalid-argument");
  const HttpAnswer nowhere = Post("/v1/jobs", {{"kind", "text"}, {"options", options}, {"project", "none"}});
  EXPECT_EQ(nowhere.status, 422) << nowhere.body;
}

TEST_F(ServeTest, TakesFilesOfAForm) {
  Start();
  const std::string wav = Wav(0.1), other = Wav(0.2);
  const auto part = [](const std::string& name, const std::string& file, const std::string& bytes) {
    return "--b\r\nContent-Disposition: form-data; name=\"" + name + "\"; filename=\"" + file + "\"\r\n\r\n" + bytes +
           "\r\n";
  };
  const std::string form = "Content-Type: multipart/form-data; boundary=b\r\n";
  const HttpAnswer one =
      Ask("POST", "/v1/assets", form, part("other", "x", "y") + part("file", "../a.wav", wav) + "--b--");
  ASSERT_EQ(one.status, 201) << one.body;
  EXPECT_EQ(Parse(one)["id"], engine::Sha256Of(wav));
  EXPECT_EQ(Parse(one)["name"], "_a.wav");
  const HttpAnswer two =
      Ask("POST", "/v1/assets", form, part("file", "a.wav", wav) + part("file", "b.wav", other) + "--b--");
  ASSERT_EQ(two.status, 201) << two.body;
  EXPECT_EQ(Parse(two)["assets"][1]["id"], engine::Sha256Of(other));
  EXPECT_EQ(Ask("POST", "/v1/assets", form, part("file", "a.wav", wav)).status, 400);
  EXPECT_EQ(Ask("POST", "/v1/assets", form, "--b--").status, 422);
  EXPECT_EQ(Ask("POST", "/v1/assets", form, part("file", "a.wav", "no sound") + "--b--").status, 415);
  EXPECT_EQ(Ask("POST", "/v1/assets", "Content-Type: multipart/form-data\r\n", "x").status, 400);
  EXPECT_TRUE(fs::is_empty(folder_ / "data" / "tmp"));
}

TEST_F(ServeTest, FetchesModelsAsJobs) {
  Start();
  const HttpAnswer fetched = Ask("POST", "/v1/models/hpss/fetch");
  ASSERT_EQ(fetched.status, 202) << fetched.body;
  const Json job = End(Parse(fetched)["id"]);
  EXPECT_EQ(job["state"], "succeeded") << job;
  EXPECT_EQ(Parse(Ask("GET", job["links"]["result"]))["report"]["models"][0]["name"], "hpss");
  EXPECT_EQ(Ask("POST", "/v1/models/nothing/fetch").status, 404);
  EXPECT_EQ(Ask("POST", "/v1/models/..%2F..%2Ftoken/fetch").status, 404);
  const Json devices = Parse(Ask("GET", "/v1/devices"));
  EXPECT_EQ(devices["devices"][0]["device"], "cpu");
  EXPECT_TRUE(devices["devices"][0].contains("doctor"));
  EXPECT_FALSE(devices["slots"].empty());
}

TEST_F(ServeTest, CommandsHaveTheirWorkDoneThere) {
  Start();
  const std::vector<std::string> there = {"--server", "http://127.0.0.1:" + std::to_string(port_), "--token-file",
                                          (folder_ / "data" / "token").string()};
  const auto run = [&](std::vector<std::string> words) {
    words.insert(words.end(), there.begin(), there.end());
    return RunTimbre(words, folder_.path());
  };
  for (const char* name : {"a.wav", "b.wav", "c.wav"}) WriteAll(folder_ / name, Wav(0.1 + 0.1 * (name[0] - 'a')));
  const std::vector<std::string> separate = {"separate", "--model", "hpss", "a.wav", "b.wav", "c.wav", "-o"};
  std::vector<std::string> here = separate, remote = separate;
  here.emplace_back("here");
  remote.emplace_back("there");
  ASSERT_EQ(RunTimbre(here, folder_.path()).code, 0);
  const Ran ran = run(remote);
  ASSERT_EQ(ran.code, 0) << ran.err;
  const std::vector<std::string> files = FilesIn(folder_ / "here");
  EXPECT_EQ(files.size(), 6u);
  EXPECT_EQ(FilesIn(folder_ / "there"), files);
  for (const std::string& file : files) {
    EXPECT_EQ(ReadAll(folder_ / "there" / file), ReadAll(folder_ / "here" / file)) << file;
  }
  const Ran joined = run({"join", "a.wav", "b.wav", "-o", "joined.flac"});
  EXPECT_EQ(joined.code, 0) << joined.err;
  EXPECT_TRUE(ReadAll(folder_ / "joined.flac").starts_with("fLaC"));
  EXPECT_EQ(run({"loudness", "a.wav"}).code, 0);
  // What is compared, or made into one, is one job.
  EXPECT_EQ(run({"style", "a.wav", "b.wav", "--json", "style.json"}).code, 0);
  const Json style = Json::parse(ReadAll(folder_ / "style.json"));
  ASSERT_EQ(style["jobs"].size(), 1u) << style;
  EXPECT_EQ(style["jobs"][0]["report"]["clips"].size(), 2u) << style;
  // Files among the options are sent along, and one that an option asks for lies where it was asked for.
  WriteAll(folder_ / "take.hits.json",
           R"({"stems": [{"name": "snare", "hits": [{"seconds": 1, "note": 38, "velocity": 90}]}]})");
  const Ran hit = run({"drums", "--hits", "take.hits.json", "-o", "hit", "--video", "falling.mp4"});
  EXPECT_EQ(hit.code, 0) << hit.err;
  EXPECT_TRUE(ReadAll(folder_ / "hit" / "take.mid").starts_with("MThd"));
  EXPECT_GT(ReadAll(folder_ / "falling.mp4").size(), 1000u);
  // One job after the other, by hand.
  WriteAll(folder_ / "job.json", R"({"kind": "separate", "inputs": ["a.wav"], "options": {"model": "hpss"}})");
  const Ran submitted = run({"submit", "job.json"});
  ASSERT_EQ(submitted.code, 0) << submitted.err;
  const std::string id = submitted.out.substr(0, submitted.out.find('\n'));
  EXPECT_EQ(run({"watch", id}).out, id + " succeeded\n");
  EXPECT_NE(run({"jobs"}).out.find(id + "  succeeded"), std::string::npos);
  EXPECT_EQ(run({"fetch", id, "-o", "fetched"}).code, 0);
  EXPECT_EQ(ReadAll(folder_ / "fetched" / "hpss" / "a" / "harmonic.wav"),
            ReadAll(folder_ / "here" / "hpss" / "a" / "harmonic.wav"));
  EXPECT_EQ(run({"cancel", id}).out, id + " succeeded\n");
  // In the server's words, with the command line's codes.
  const Ran wrong = run({"separate", "--model", "nothing", "a.wav"});
  EXPECT_EQ(wrong.code, 2);
  EXPECT_NE(wrong.err.find("no model 'nothing'"), std::string::npos) << wrong.err;
  EXPECT_EQ(run({"watch", "x"}).code, 2);
  EXPECT_EQ(run({"fetch", engine::NewId()}).code, 1);
  EXPECT_EQ(run({"separate", "--stdout", "vocals", "a.wav"}).code, 2);
  // What names a place, or a file that is not there, and what sends nothing, is refused before anything is sent.
  for (const auto& [words, said] : std::vector<std::pair<std::vector<std::string>, std::string>>{
           {{"drums", "--config", "none.yaml", "a.wav"}, "'none.yaml' can't be read"},
           {{"join", "--timeline", "song.yaml", "a.wav", "-o", "song.wav"}, "--timeline does not go with --server"},
           {{"separate", "--temp", ".", "a.wav"}, "--temp does not go with --server"},
           {{"separate", "--skip-existing", "a.wav"}, "--skip-existing does not go with --server"},
           {{"separate"}, "name at least one file"}}) {
    const Ran refused = run(words);
    EXPECT_EQ(refused.code, 2) << refused.out;
    EXPECT_NE(refused.err.find(said), std::string::npos) << refused.err;
  }
  EXPECT_EQ(RunTimbre({"separate", "a.wav", "--token-file", "x"}, folder_.path()).code, 2);
  Kill();
  EXPECT_NE(run({"jobs"}).err.find("can't be reached"), std::string::npos);
}

TEST_F(ServeTest, EndsWhenItIsAsked) {
  Start();
  server_->Signal(SIGTERM);
  const Ran ran = server_->Wait();
  EXPECT_EQ(ran.code, 0) << ran.err;
  Start();
  const Ran second = RunTimbre({"serve", "--listen", "127.0.0.1:0", "--data", (folder_ / "data").string()});
  EXPECT_EQ(second.code, 1);
  EXPECT_NE(second.err.find("another server"), std::string::npos) << second.err;
  EXPECT_EQ(RunTimbre({"serve", "--listen", "nowhere"}).code, 2);
  EXPECT_EQ(RunTimbre({"serve", "--workers", "cpu=0"}).code, 2);
  EXPECT_EQ(RunTimbre({"worker"}).code, 2);
}

}  // namespace
}  // namespace timbre::testing
