#include "pipelines/job.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "pipelines/job_json.h"
#include "tests/e2e/program.h"
#include "tests/support/json_schema.h"

namespace timbre {
namespace {

std::string ErrorOf(std::string_view text) {
  const auto parsed = ParseJob(text);
  return parsed ? "" : parsed.error().message;
}

TEST(Jobs, ATextIsTakenByTheFieldsOfItsKind) {
  const auto parsed = ParseJob(
      R"({"kind": "separate", "inputs": ["a.wav", "b,c.wav"], "options": {"two_stems": "drums", "threads": 2}})");
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(parsed->kind->name, "separate");
  const Json set = FieldsToJson(parsed->job->Fields());
  EXPECT_EQ(set["input"], Json({"a.wav", "b,c.wav"}));
  EXPECT_EQ(set["two_stems"], "drums");
  EXPECT_EQ(set["threads"], 2);
}

TEST(Jobs, WhatMakesNoSenseIsRefusedWithThePlace) {
  EXPECT_NE(ErrorOf("{").find("no JSON"), std::string::npos);
  EXPECT_NE(ErrorOf("[]").find("an object"), std::string::npos);
  EXPECT_NE(ErrorOf("{}").find("'kind'"), std::string::npos);
  EXPECT_NE(ErrorOf(R"({"kind": "seperate"})").find("'separate'"), std::string::npos);
  EXPECT_NE(ErrorOf(R"({"kind": "separate", "input": []})").find("'input'"), std::string::npos);
  EXPECT_NE(ErrorOf(R"({"kind": "separate"})").find("lacks the input"), std::string::npos);
  EXPECT_NE(ErrorOf(R"({"kind": "separate", "inputs": "x"})").find("list of texts"), std::string::npos);
  EXPECT_NE(ErrorOf(R"({"kind": "separate", "inputs": [1]})").find("list of texts"), std::string::npos);
  EXPECT_NE(ErrorOf(R"({"kind": "separate", "inputs": ["x"], "options": {"stem": []}})").find("'stem'"),
            std::string::npos);
  EXPECT_NE(ErrorOf(R"({"kind": "separate", "inputs": ["x"], "options": {"overlap": 2}})").find("'overlap'"),
            std::string::npos);
  EXPECT_NE(ErrorOf(R"({"kind": "separate", "inputs": ["x"], "options": []})").find("options"), std::string::npos);
  EXPECT_NE(ErrorOf(std::string(kLongestJob + 1, ' ')).find("at most"), std::string::npos);
  EXPECT_NE(ErrorOf(std::string(100000, '[')).find("no JSON"), std::string::npos);
}

// A report lists all options, so one that is fed back has to be taken, idle ones included.
TEST(Jobs, AnOptionWithoutEffectIsAnErrorOnlyWhereItIsNotTheDefault) {
  EXPECT_NE(ErrorOf(R"({"kind": "separate", "inputs": ["x"], "options": {"seed": 7}})").find("'seed' has no effect"),
            std::string::npos);
  for (const JobKind& kind : JobKinds()) {
    const std::unique_ptr<Job> job = kind.make();
    Json options = Json::object(), inputs = Json::array();
    for (const Field& field : job->Fields()) {
      if (field.positional && field.required) inputs.push_back(field.choices.empty() ? "x" : field.choices.front());
      if (!field.positional && !field.required) options.update(FieldsToJson({field}));
    }
    EXPECT_EQ(ErrorOf(Json({{"kind", kind.name}, {"inputs", inputs}, {"options", options}}).dump()), "");
  }
}

TEST(Jobs, EachKindHasASchemaThatTakesItsDefaults) {
  for (const JobKind& kind : JobKinds()) {
    const std::unique_ptr<Job> job = kind.make();
    Json options = Json::object(), inputs = Json::array();
    for (const Field& field : job->Fields()) {
      if (field.positional && field.required) inputs.push_back(field.choices.empty() ? "x" : field.choices.front());
      if (!field.positional && !field.required) options.update(FieldsToJson({field}));
    }
    const Json job_json = {{"kind", kind.name}, {"inputs", inputs}, {"options", options}};
    EXPECT_EQ(testing::SchemaErrors(JobSchema(kind), job_json), std::vector<std::string>());
    EXPECT_FALSE(testing::SchemaErrors(JobSchema(kind), Json{{"kind", kind.name}, {"else", 1}}).empty());
    // A report without an error is whole.
    const Json begun = {{"version", "1"}, {"command", kind.command}};
    EXPECT_FALSE(testing::SchemaErrors(ReportSchema(kind), begun).empty()) << kind.name;
    Json failed = begun;
    failed["error"] = {{"kind", "io"}, {"message", "x"}};
    EXPECT_EQ(testing::SchemaErrors(ReportSchema(kind), failed), std::vector<std::string>());
  }
}

TEST(Jobs, WhatTheHostDoesNotLendIsNotTaken) {
  Observer observer;
  Json report;
  auto parsed = ParseJob(R"({"kind": "separate", "inputs": ["-"], "options": {"model": "hpss"}})");
  ASSERT_TRUE(parsed);
  const Status input = RunJob(*parsed->kind, *parsed->job, {}, observer, report);
  ASSERT_FALSE(input);
  EXPECT_NE(input.error().message.find("standard input"), std::string::npos);
  EXPECT_EQ(report["error"]["kind"], "invalid argument");
  parsed = ParseJob(R"({"kind": "separate", "inputs": ["x"], "options": {"model": "hpss", "stdout": "percussive"}})");
  ASSERT_TRUE(parsed);
  const Status stream = RunJob(*parsed->kind, *parsed->job, {}, observer, report);
  ASSERT_FALSE(stream);
  EXPECT_NE(stream.error().message.find("stream"), std::string::npos);
}

// Set before it begins or while it runs: nothing is left.
TEST(Jobs, TheFlagOfTheHostEndsAJob) {
  const testing::TempFolder folder;
  testing::WriteTestWav(folder / "a.wav", 3);
  std::atomic<bool> cancelled{false};
  struct SetAtCompute : Observer {
    explicit SetAtCompute(std::atomic<bool>& cancel) : flag(cancel) {}
    void OnProgress(const Progress& progress) override {
      if (progress.stage == Stage::kCompute) flag = true;
    }
    std::atomic<bool>& flag;
  } observer(cancelled);
  const Json text = {{"kind", "separate"},
                     {"inputs", {(folder / "a.wav").string()}},
                     {"options", {{"model", "hpss"}, {"segment", 0.5}, {"output", (folder / "out").string()}}}};
  for (int run = 0; run < 2; ++run) {
    auto parsed = JobFromJson(text);
    ASSERT_TRUE(parsed) << parsed.error().message;
    Json report;
    const Status done = RunJob(*parsed->kind, *parsed->job, {.cancelled = &cancelled}, observer, report);
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code, ErrorCode::kCancelled) << done.error().message;
    EXPECT_EQ(testing::SchemaErrors(ReportSchema(*parsed->kind), report), std::vector<std::string>());
    EXPECT_EQ(testing::FilesIn(folder.path()), std::vector<std::string>{"a.wav"});
  }
}

}  // namespace
}  // namespace timbre
