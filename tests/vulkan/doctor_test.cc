// timbre doctor on the Vulkan device, and what follows from what it finds.
#include "runtime/check/doctor.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <set>

#include "kernels/cpu/simd.h"
#include "models/released_networks.h"
#include "pipelines/job_json.h"
#include "runtime/check/verdicts.h"
#include "runtime/session/cpu_ladder.h"
#include "tests/support/job_pair.h"
#include "tests/support/json_schema.h"
#include "tests/support/verdict.h"
#include "tests/vulkan/tiny_song.h"
#include "tests/vulkan/usable_device.h"

namespace timbre {
namespace {

using Json = nlohmann::ordered_json;

class Doctor : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* before = std::getenv("TIMBRE_CACHE");
    if (before != nullptr) before_ = before;
    setenv("TIMBRE_CACHE", cache_.path().c_str(), 1);
  }
  void TearDown() override { before_.empty() ? unsetenv("TIMBRE_CACHE") : setenv("TIMBRE_CACHE", before_.c_str(), 1); }
  testing::TempFolder cache_;
  std::string before_;
};

TEST_F(Doctor, SaysThatEveryKernelIsRightHere) {
  TIMBRE_NEED_VULKAN();
  const testing::Ran ran = testing::RunTimbre(
      {"doctor", "--device", UsableDeviceName(), "--models", "gtcrn", "--html", "page.html", "--json", "report.json"},
      cache_.path());
  ASSERT_EQ(ran.code, 0) << ran.err;
  const Json report = Json::parse(testing::ReadAll(cache_ / "report.json"));
  ASSERT_EQ(report["devices"].size(), 1u);
  EXPECT_EQ(testing::SchemaErrors(testing::SchemasOf("doctor")["report"], report), std::vector<std::string>());
  const Json& device = report["devices"][0];
  std::set<std::string> seen;
  for (const Json& kernel : device["kernels"]) {
    EXPECT_EQ(kernel["right"], true) << kernel;
    EXPECT_GT(kernel["cases"].get<int>(), 0);
    seen.insert(kernel["kernel"].get<std::string>());
  }
  EXPECT_TRUE(seen.contains("vulkan.conv") && seen.contains("vulkan.reference.conv")) << device["kernels"];
  ASSERT_EQ(device["models"].size(), 1u);
  EXPECT_EQ(device["models"][0]["right"], true) << device["models"];
  EXPECT_GT(device["models"][0]["seconds_per_tile"].get<double>(), 0);
  const std::string page = testing::ReadAll(cache_ / "page.html");
  EXPECT_NE(page.find("<td>vulkan.conv<td>"), std::string::npos) << page;
  EXPECT_EQ(page.find("class=\"wrong\">"), std::string::npos) << page;
}

// Not only what a plan takes: every row of the registry. Those that only --precision f16 takes too, and those that
// multiply halves where the processor can. As a job that is not alone in its process it leaves the instruction set be.
TEST_F(Doctor, ExaminesEveryKernelOfTheProcessor) {
  ThreadPool pool(1);
  const auto parsed = JobFromJson({{"kind", "doctor"}, {"options", {{"device", "cpu"}, {"models", Json::array()}}}});
  ASSERT_TRUE(parsed) << parsed.error().message;
  const std::string target = SimdTarget();
  Observer observer;
  Json report;
  const Status done = RunJob(*parsed->kind, *parsed->job, {}, observer, report);
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(SimdTarget(), target);
  EXPECT_EQ(testing::SchemaErrors(ReportSchema(*parsed->kind), report), std::vector<std::string>());
  ASSERT_EQ(report["devices"].size(), 1u);
  EXPECT_EQ(report["devices"][0]["simd_target"], target);
  std::set<std::string> seen;
  for (const Json& finding : report["devices"][0]["kernels"]) {
    EXPECT_EQ(finding["problem"], Json()) << finding;
    EXPECT_GT(finding["cases"].get<int>(), 0) << finding;
    seen.insert(finding["kernel"].get<std::string>());
  }
  int halves = 0;
  for (const KernelRow* row : AllKernels()) {
    if (row->device != DeviceKind::kCpu) continue;
    const bool half = row->precision == Precision::kF16;
    if (half && row->op == Op::kAttention && !CpuCaps(pool, Precision::kF16).float16) continue;  // multiplies halves
    EXPECT_TRUE(seen.contains(std::string(row->name))) << row->name;
    halves += half;
  }
  EXPECT_GE(halves, 3);
}

// Without a Vulkan loader too the program examines the kernels for each instruction set, and finds the CPU's network
// right against plain kernels.
TEST_F(Doctor, ExaminesEveryInstructionSetOfTheProcessor) {
  const Environment environment(WithoutLoader(cache_));
  const testing::Ran ran = testing::RunTimbre({"doctor", "--models", "gtcrn", "--json", "report.json"}, cache_.path());
  ASSERT_EQ(ran.code, 0) << ran.err;
  const Json report = Json::parse(testing::ReadAll(cache_ / "report.json"));
  std::vector<std::string> seen;
  for (const Json& device : report["devices"]) {
    EXPECT_EQ(device["device"], "cpu");
    seen.push_back(device["simd_target"].get<std::string>());
    for (const Json& kernel : device["kernels"]) EXPECT_EQ(kernel["right"], true) << kernel;
    EXPECT_EQ(device.contains("models"), seen.size() == 1) << device["models"];
  }
  EXPECT_EQ(seen, SimdTargets());
  const Json& network = report["devices"][0]["models"][0];
  EXPECT_EQ(network["right"], true) << network;
  EXPECT_LT(network["db"].get<double>(), 200) << "held against itself";
  const Json kept = Json::parse(testing::ReadAll(cache_ / "cache/doctor.json"));
  for (const std::string& target : SimdTargets()) EXPECT_TRUE(kept.contains(CpuVerdictKey(target))) << kept;
}

// What was found wrong on the processor is left out there, for the instruction set that it was found on.
TEST_F(Doctor, TheProcessorsKernelsAreLeftOutToo) {
  ThreadPool pool(1);
  const std::unique_ptr<Weights> weights = RandomWeights(1);
  const Graph graph = FindNetwork("gtcrn").value()->build(*weights, 1).value();
  SessionOptions options;
  options.device = "cpu";
  const auto kernels = [&](Stats& stats) { return CountKernels(**MakeSession(graph, options, pool, &stats)); };
  Stats before;
  ASSERT_TRUE(kernels(before).contains("linear_product")) << "another kernel serves this network now";
  EXPECT_TRUE(before.steps().empty());
  const auto all = AllKernels();
  const auto row = std::find_if(all.begin(), all.end(), [](const auto* r) { return r->name == "linear_product"; });
  ASSERT_NE(row, all.end());
  ASSERT_TRUE(testing::SetVerdict(CpuVerdictKey("another"), {.wrong = {DeviceVerdict::IdOf(**row)}}));
  Stats other;
  EXPECT_TRUE(kernels(other).contains("linear_product"));
  ASSERT_TRUE(testing::SetVerdict(CpuVerdictKey(), {.wrong = {DeviceVerdict::IdOf(**row)}}));
  Stats after;
  EXPECT_FALSE(kernels(after).contains("linear_product"));
  ASSERT_EQ(after.steps().size(), 1u);
  EXPECT_NE(after.steps()[0].reason.find("doctor"), std::string::npos);
}

// A kernel that was found wrong is left out, visibly; strict mode does not accept that.
TEST_F(Doctor, WhatWasFoundWrongIsLeftOutFromThenOn) {
  TIMBRE_NEED_VULKAN();
  const auto devices = ListVulkanDevices();
  ASSERT_TRUE(devices);
  const VulkanDeviceInfo& d = (*devices)[UsableDevice()];
  const std::vector<std::string> explain{"explain", "gtcrn", "--device", UsableDeviceName(), "--json", "report.json"};
  ASSERT_EQ(testing::RunTimbre(explain, cache_.path()).code, 0);
  Json report = Json::parse(testing::ReadAll(cache_ / "report.json"));
  ASSERT_NE(report["plan"].get<std::string>().find("  vulkan.linear\n"), std::string::npos) << report["plan"];
  EXPECT_TRUE(report["steps_down"].empty());

  ASSERT_TRUE(testing::SetVerdict(VerdictKey(d.name, d.driver, d.driver_version), {.wrong = {"vulkan.linear@2"}}));
  const testing::Ran ran = testing::RunTimbre(explain, cache_.path());
  ASSERT_EQ(ran.code, 0) << ran.err;
  report = Json::parse(testing::ReadAll(cache_ / "report.json"));
  EXPECT_EQ(report["plan"].get<std::string>().find("  vulkan.linear\n"), std::string::npos) << report["plan"];
  EXPECT_NE(report["plan"].get<std::string>().find("left out"), std::string::npos) << report["plan"];
  ASSERT_EQ(report["steps_down"].size(), 1u) << report["steps_down"];
  EXPECT_NE(report["steps_down"][0]["from"].get<std::string>().find("vulkan.linear"), std::string::npos);
  EXPECT_NE(report["steps_down"][0]["reason"].get<std::string>().find("doctor"), std::string::npos);
  std::vector<std::string> strict = explain;
  strict.emplace_back("--strict");
  EXPECT_EQ(testing::RunTimbre(strict, cache_.path()).code, 1);

  // A verdict on another driver, or on a kernel that has changed since, means nothing here.
  ASSERT_TRUE(testing::SetVerdict(VerdictKey(d.name, d.driver, d.driver_version), {.wrong = {"vulkan.linear@1"}}));
  ASSERT_TRUE(testing::SetVerdict(VerdictKey(d.name, d.driver, "0"), {.wrong = {"vulkan.linear@2"}}));
  EXPECT_EQ(testing::RunTimbre(strict, cache_.path()).code, 0);
}

TEST_F(Doctor, AVerdictThatCannotBeReadIsNone) {
  const DeviceVerdict verdict{.wrong = {"a@1", "b@2"}, .seconds = {{"gtcrn", 0.5}}};
  ASSERT_TRUE(testing::SetVerdict("one", verdict));
  ASSERT_TRUE(testing::SetVerdict("two", {}));
  EXPECT_EQ(ReadVerdict("one").wrong, verdict.wrong);
  EXPECT_EQ(ReadVerdict("one").seconds, verdict.seconds);
  EXPECT_TRUE(ReadVerdict("two").wrong.empty());
  for (const std::string text :
       {"", "[1]", "{\"one\": 3}", "{\"one\": {\"wrong\": [1], \"seconds\": []}}", "{\"one\""}) {
    testing::WriteAll(cache_ / "doctor.json", text);
    EXPECT_TRUE(ReadVerdict("one").wrong.empty()) << text;
  }
}

}  // namespace
}  // namespace timbre
