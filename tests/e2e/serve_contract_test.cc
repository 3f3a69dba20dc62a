// The server and its OpenAPI description say the same: of every operation, asked well and asked badly.
#include <map>

#include "tests/e2e/serve_fixture.h"
#include "tests/support/json_schema.h"
#include "tests/support/open_api.h"

namespace timbre::testing {
namespace {

class ServeContractTest : public ServeTest {
 protected:
  void SetUp() override {
    Start();
    const std::string asset = Asset(Wav(0.2));
    const std::string job = Submit(asset);
    ASSERT_EQ(End(job)["state"], "succeeded");
    const HttpAnswer project = Post("/v1/projects", {{"name", "a"}});
    revision_ = project.Header("ETag");
    const HttpAnswer upload =
        Ask("POST", "/v1/uploads", "Tus-Resumable: 1.0.0\r\nUpload-Length: 4\r\nUpload-Metadata: filename YQ==\r\n");
    ids_ = {{"assets", asset},
            {"jobs", job},
            {"projects", Parse(project)["id"]},
            {"uploads", upload.Header("Location").substr(std::string("/v1/uploads/").size())},
            {"kinds", "separate"},
            {"models", "hpss"},
            {"mixes", asset},
            {"files", "hpss%2Fsong%2Fharmonic.wav"}};
    bodies_ = {{"JobRequest", {{"kind", "separate"}, {"inputs", {asset}}, {"options", {{"model", "hpss"}}}}},
               {"JobChange", {{"priority", "high"}}},
               {"ProjectRequest", {{"name", "b"}}},
               {"ProjectName", {{"name", "c"}}},
               {"ProjectOperation", {{"op", "clear"}}},
               {"ListenRequest", {{"options", {{"keep_stems", true}}}}},
               {"MixRequest", {{"asset", asset}, {"name", "d"}}},
               {"ExportRequest", Json::object()}};
  }
  // The path with ids in the places of its names.
  std::string Target(const std::string& path, bool good) const {
    std::string target, folder;
    std::istringstream in(path.substr(1));
    for (std::string part; std::getline(in, part, '/');) {
      target += "/" + (!part.starts_with('{') ? part : good ? ids_.at(folder) : std::string("x%2F..%2F%C3%A9"));
      folder = part;
    }
    return target;
  }

  std::map<std::string, std::string> ids_;  // by the segment before
  std::map<std::string, Json> bodies_;
  std::string revision_;
};

TEST_F(ServeContractTest, TheDescriptionIsSound) {
  for (const std::string& error : DescriptionErrors(Description())) ADD_FAILURE() << error;
}

// What a project's jobs may be asked for is not what a job of that kind may be.
TEST_F(ServeContractTest, OptionsOfAProjectsJobsAreDescribedAsTheyAreTaken) {
  const auto errors = [&](const std::string& schema, const Json& options) {
    return SchemaErrors(Resolved(Description(), Description()["components"]["schemas"][schema]),
                        {{"options", options}});
  };
  const Json mix = {{"asset", "a"}}, text = {{"text", "x"}};
  EXPECT_EQ(errors("ExportRequest", {{"video", "a.mp4"}, {"video_audio", nullptr}}), std::vector<std::string>());
  EXPECT_EQ(errors("ExportRequest", {{"video", "a.mp4"}, {"video_audio", mix}}), std::vector<std::string>());
  EXPECT_EQ(errors("ExportRequest", {{"sample_rate", 48000}}), std::vector<std::string>());
  EXPECT_NE(errors("ExportRequest", {{"video", "a.mp4"}, {"video_audio", text}}), std::vector<std::string>());
  EXPECT_EQ(errors("ListenRequest", {{"keep_stems", true}}), std::vector<std::string>());
  for (const auto& [name, value] : std::map<std::string, Json>{{"hits", mix}, {"config", text}, {"set", {"a=1"}}}) {
    EXPECT_NE(errors("ExportRequest", {{name, value}}), std::vector<std::string>()) << name;
    EXPECT_NE(errors("ListenRequest", {{name, value}}), std::vector<std::string>()) << name;
  }
}

TEST_F(ServeContractTest, EveryOperationAnswersAsDescribed) {
  const Json description = Description();
  // What takes things away comes last.
  std::vector<std::tuple<bool, std::string, std::string, Json>> operations;
  for (const auto& [path, of_path] : description["paths"].items()) {
    for (const auto& [method, operation] : of_path.items()) {
      operations.emplace_back(method == "delete", method, path, operation);
    }
  }
  std::stable_sort(operations.begin(), operations.end(),
                   [](const auto& a, const auto& b) { return std::get<0>(a) < std::get<0>(b); });
  EXPECT_GT(operations.size(), 35u);
  for (auto [last, method, path, operation] : operations) {
    std::transform(method.begin(), method.end(), method.begin(), [](unsigned char c) { return std::toupper(c); });
    const std::string name = operation["operationId"];
    std::string type, headers = "If-Match: *\r\nTus-Resumable: 1.0.0\r\n";
    std::vector<std::string> bodies = {""};
    if (operation.contains("requestBody")) {
      type = operation["requestBody"]["content"].begin().key();
      bodies = {"", "{}", "[]", "\"", R"({"x": 1})", std::string(100, '['), "\xff\xfe"};
      if (type == "application/json") {
        const std::string of = operation["requestBody"]["content"][type]["schema"]["$ref"];
        const std::string schema = of.substr(of.rfind('/') + 1);
        ASSERT_TRUE(bodies_.contains(schema)) << schema;
        bodies.insert(bodies.begin(), bodies_[schema].dump());
        // Each member with a value of another type.
        for (const auto& [member, value] : bodies_[schema].items()) {
          for (const Json& wrong : {Json(5), Json("x"), Json(nullptr), Json::array({1}), Json::object()}) {
            Json body = bodies_[schema];
            body[member] = wrong;
            bodies.push_back(body.dump());
          }
        }
      }
      if (type.find('*') != std::string::npos) type = "audio/wav";
      headers += "Content-Type: " + type + "\r\n";
    }
    const std::string until = name == "streamEvents" ? "snapshot" : "";
    for (const bool good : {true, false}) {
      for (const std::string& body : bodies) {
        const HttpAnswer answer = Ask(method, Target(path, good), headers, body, until);
        EXPECT_NE(answer.status, 0) << name;
        EXPECT_LT(answer.status, 500) << name << body << answer.body;
      }
    }
    // Query parameters with values that make no sense, and others that nobody knows.
    for (const Json& parameter : operation.value("parameters", Json::array())) {
      if (parameter["in"] != "query") continue;
      for (const char* value : {"", "-1", "99999999999999999999", "%C3%A9%20%27", "1e3"}) {
        const std::string query = "?" + parameter["name"].get<std::string>() + "=" + value;
        const HttpAnswer answer = Ask(method, Target(path, true) + query, headers, bodies[0], until);
        EXPECT_LT(answer.status, 500) << name << query << answer.body;
      }
    }
  }
}

}  // namespace
}  // namespace timbre::testing
