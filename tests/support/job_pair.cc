#include "tests/support/job_pair.h"

#include <gtest/gtest.h>

#include "tests/support/json_schema.h"

namespace timbre::testing {
namespace {

using Json = nlohmann::ordered_json;

// What differs from run to run.
void DropTimes(Json& json, const std::vector<std::string>& measured) {
  if (json.is_object()) {
    for (const char* key : {"timings", "real_time_factor", "peak_memory_mb"}) json.erase(key);
    for (const std::string& key : measured) json.erase(key);
  }
  for (auto& [key, value] : json.items()) {
    if (value.is_structured()) DropTimes(value, measured);
  }
}

}  // namespace

Json SchemasOf(const std::string& kind) {
  const Ran ran = RunTimbre({"run", "--schema", kind});
  EXPECT_EQ(ran.code, 0) << ran.err;
  return Json::parse(ran.out);
}

void ExpectSame(const JobPair& pair, const std::function<void(const TempFolder&)>& prepare) {
  const TempFolder by_command, by_job;
  prepare(by_command);
  prepare(by_job);
  std::vector<std::string> words = pair.command;
  words.insert(words.end(), {"--json", "report.json"});
  const Ran one = RunTimbre(words, by_command.path());
  WriteAll(by_job / "job.json", pair.job.dump());
  const Ran two = RunTimbre({"run", "job.json", "--json", "report.json"}, by_job.path());
  ASSERT_EQ(one.code, 0) << one.err;
  ASSERT_EQ(two.code, 0) << two.err;
  std::filesystem::remove(by_job / "job.json");
  const std::vector<std::string> files = FilesIn(by_command.path());
  EXPECT_EQ(files, FilesIn(by_job.path()));
  Json reports[2] = {Json::parse(ReadAll(by_command / "report.json")), Json::parse(ReadAll(by_job / "report.json"))};
  for (const std::string& file : files) {
    if (file == "report.json") continue;
    EXPECT_TRUE(ReadAll(by_command / file) == ReadAll(by_job / file)) << file;
  }
  const Json schemas = SchemasOf(pair.job["kind"]);
  EXPECT_EQ(SchemaErrors(schemas["job"], pair.job), std::vector<std::string>());
  for (Json& report : reports) {
    EXPECT_EQ(SchemaErrors(schemas["report"], report), std::vector<std::string>());
    DropTimes(report, pair.measured);
  }
  EXPECT_EQ(reports[0], reports[1]);
}

}  // namespace timbre::testing
