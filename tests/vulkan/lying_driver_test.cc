// Drivers that fail, hang, boast or compute something else, and machines without a loader: whatever it is, the song
// ends right and the report says what happened; strict mode refuses with the same facts.
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "kernels/vulkan/recorder.h"
#include "models/loader.h"
#include "runtime/check/verdicts.h"
#include "runtime/session/session.h"
#include "tests/parity/speech_support.h"
#include "tests/support/verdict.h"
#include "tests/vulkan/tiny_song.h"
#include "tests/vulkan/usable_device.h"

namespace timbre {
namespace {

using Json = nlohmann::json;

constexpr double kFloorDb = 90;

struct Lie {
  std::string lies;
  bool step = true;                              // whether something has to step down
  std::map<std::string, std::string> more = {};  // of the environment
};

void ExpectOutlived(const std::vector<Lie>& table) {
  TinySong song;
  for (const Lie& lie : table) {
    std::map<std::string, std::string> variables = Liar(lie.lies);
    variables.insert(lie.more.begin(), lie.more.end());
    const Environment environment(variables);
    const TinySong::Outcome outcome = song.Separate(UsableDeviceName(), {});
    ASSERT_EQ(outcome.ran.code, 0) << lie.lies << ": " << outcome.ran.err;
    EXPECT_GE(outcome.db, kFloorDb) << lie.lies;
    const Json& steps = outcome.report["steps_down"];
    if (!lie.step) {
      EXPECT_TRUE(steps.empty()) << lie.lies << ": " << steps;
      continue;
    }
    ASSERT_FALSE(steps.empty()) << lie.lies << ": " << outcome.report;
    std::string facts;
    for (const Json& step : steps) {
      for (const char* key : {"node", "from", "to", "reason"})
        EXPECT_FALSE(step[key].get<std::string>().empty()) << lie.lies << ": " << step;
      EXPECT_NE(step["from"], step["to"]) << lie.lies;
      EXPECT_GE(step["count"].get<int>(), 1) << lie.lies;
      EXPECT_NE(outcome.ran.err.find(step["reason"].get<std::string>()), std::string::npos) << outcome.ran.err;
    }
    const TinySong::Outcome strict = song.Separate(UsableDeviceName(), {"--strict"});
    EXPECT_EQ(strict.ran.code, 1) << lie.lies << ": " << strict.ran.err;
    const auto named = [&](const Json& step) {
      return std::all_of(step.begin(), step.end(), [&](const Json& fact) {
        return !fact.is_string() || strict.ran.err.find(fact.get<std::string>()) != std::string::npos;
      });
    };
    EXPECT_TRUE(std::any_of(steps.begin(), steps.end(), named)) << lie.lies << ": " << strict.ran.err << steps;
  }
}

TEST(LyingDriver, DevicesThatCannotBeOpenedLeaveTheSongToTheCpu) {
  TIMBRE_NEED_VULKAN();
  ExpectOutlived({{"vkCreateDevice:0:-3"},
                  {"lack:vkQueueSubmit"},
                  {"vkCreateCommandPool:0:-1"},
                  {"vkCreateDescriptorSetLayout:0:-1"},
                  {"vkCreatePipelineLayout:0:-2"},
                  {"vkCreateSemaphore:0:-1"},
                  {"vkCreatePipelineCache:0+:-1 vkGetPipelineCacheData:0+:-1", false}});
}

TEST(LyingDriver, PlansThatCannotBeMadeLeaveTheSongToOtherKernels) {
  TIMBRE_NEED_VULKAN();
  ExpectOutlived({{"vkAllocateMemory:3+:-2"},
                  {"vkCreateBuffer:5:-1"},
                  {"vkBindBufferMemory:4:-2"},
                  {"vkMapMemory:2:-5"},
                  {"vkCreateShaderModule:4:-1"},
                  {"vkCreateComputePipelines:5:-1000012000"},
                  {"vkCreateComputePipelines:5+:-1000012000"},
                  {"vkCreateComputePipelines:2:-4"},
                  {"vkCreateDescriptorPool:0:-2"},
                  {"vkAllocateDescriptorSets:9:-12"},
                  {"vkAllocateCommandBuffers:0:-1"},
                  {"vkBeginCommandBuffer:0:-2"},
                  {"vkEndCommandBuffer:0:-2"}});
}

TEST(LyingDriver, DevicesLostOrHungInTheMiddleLeaveTheSongToTheCpu) {
  TIMBRE_NEED_VULKAN();
  ExpectOutlived({{"vkQueueSubmit:0:-4"},
                  {"vkQueueSubmit:2:-4"},
                  {"vkQueueSubmit:1:-2"},
                  {"vkWaitSemaphores:0:-4"},
                  {"vkWaitSemaphores:2:-4"},
                  {"vkWaitSemaphores:0+:2", true, Hung()},
                  {"vkWaitSemaphores:2+:2", true, Hung()}});
}

// What a device says of itself: what it can't do is left to the CPU, and what is not usable is refused where it was
// asked for by name, and passed over where it was not.
TEST(LyingDriver, LimitsAreKept) {
  TIMBRE_NEED_VULKAN();
  ExpectOutlived({{"limit:range:200000", false}});
  TinySong song;
  for (const std::string lie : {"limit:threads:64", "limit:buffers:2", "limit:api:1"}) {
    const Environment environment(Liar(lie + " type:2"));
    const TinySong::Outcome named = song.Separate(UsableDeviceName(), {});
    EXPECT_EQ(named.ran.code, 1) << lie;
    EXPECT_NE(named.ran.err.find("can't be used"), std::string::npos) << named.ran.err;
    const TinySong::Outcome chosen = song.Separate("auto", {});
    EXPECT_EQ(chosen.ran.code, 0) << chosen.ran.err;
    EXPECT_GE(chosen.db, kFloorDb) << lie;
  }
}

// A small GPU: as many tiles at once as fit, half as many with every failure; then the CPU.
TEST(LyingDriver, MemoryThatDoesNotSufficeHalvesTheBatch) {
  TIMBRE_NEED_VULKAN();
  TinySong song;
  const auto model = LoadModel(song.folder() / "tiny.th");
  ASSERT_TRUE(model) << model.error().message;
  const auto plan = model->members[0]->Plan(1, {});
  ASSERT_TRUE(plan) << plan.error().message;
  int64_t arena = 0;
  {
    ThreadPool pool(1);
    auto graph = model->members[0]->BuildTile(plan->tile, 1);
    ASSERT_TRUE(graph) << graph.error().message;
    auto session = MakeSession(*std::move(graph), {.device = UsableDeviceName()}, pool, nullptr);
    ASSERT_TRUE(session) << session.error().message;
    arena = (*session)->arena_bytes();
  }
  const auto facts = [](const Json& steps) {
    std::vector<std::string> list;
    for (const Json& step : steps)
      list.push_back(step["from"].get<std::string>() + " > " + step["to"].get<std::string>());
    return list;
  };
  using Facts = std::vector<std::string>;
  {
    const Environment environment(Liar("most:" + std::to_string(arena * 3 / 2)));
    const TinySong::Outcome outcome = song.Separate(UsableDeviceName(), {"--batch", "4"});
    ASSERT_EQ(outcome.ran.code, 0) << outcome.ran.err;
    EXPECT_GE(outcome.db, kFloorDb);
    EXPECT_EQ(facts(outcome.report["steps_down"]), (Facts{"2 tiles > 1 tile", "4 tiles > 2 tiles"}));
    EXPECT_NE(outcome.report["device"]["name"].get<std::string>().find("Vulkan"), std::string::npos);
    const TinySong::Outcome strict = song.Separate(UsableDeviceName(), {"--batch", "4", "--strict"});
    EXPECT_EQ(strict.ran.code, 1);
    EXPECT_NE(strict.ran.err.find("4 tiles to 2 tiles"), std::string::npos) << strict.ran.err;
  }
  // Memory that runs out in the middle of a track: the tiles that were being computed are computed again, fewer at
  // once.
  {
    const Environment environment(Liar("vkQueueSubmit:3:-2"));
    const TinySong::Outcome outcome = song.Separate(UsableDeviceName(), {"--batch", "2"});
    ASSERT_EQ(outcome.ran.code, 0) << outcome.ran.err;
    EXPECT_GE(outcome.db, kFloorDb);
    EXPECT_EQ(facts(outcome.report["steps_down"]), Facts{"2 tiles > 1 tile"});
  }
  // And where not even one fits any more, the device has nothing to offer.
  {
    const Environment environment(Liar("vkQueueSubmit:0+:-2"));
    const TinySong::Outcome outcome = song.Separate(UsableDeviceName(), {"--batch", "2"});
    ASSERT_EQ(outcome.ran.code, 0) << outcome.ran.err;
    EXPECT_GE(outcome.db, kFloorDb);
    EXPECT_EQ(facts(outcome.report["steps_down"]).size(), 2u) << outcome.report["steps_down"];
    EXPECT_EQ(outcome.report["steps_down"][0]["to"], "cpu") << outcome.report["steps_down"];
    EXPECT_EQ(outcome.report["steps_down"][1]["to"], "1 tile") << outcome.report["steps_down"];
  }
}

size_t BytesOf(const std::string& shader) {
  const size_t bytes = FindShader(shader).spirv.size_bytes();
  EXPECT_GT(bytes, 0u) << "there is no shader " << shader;
  return bytes;
}

// A driver whose calls all succeed while a shader is never run: only numbers tell. doctor finds it and remembers; from
// then on the song is right, without those kernels, and the report says so.
TEST(LyingDriver, DoctorFindsWrongNumbersAndTheSongIsRightFromThenOn) {
  TIMBRE_NEED_VULKAN();
  TinySong song;
  std::map<std::string, std::string> variables =
      Liar("drop:" + std::to_string(BytesOf("fast/product")) + " drop:" + std::to_string(BytesOf("fast/product_f16")));
  variables["TIMBRE_CACHE"] = (song.folder() / "cache").string();
  const Environment environment(variables);
  const TinySong::Outcome wrong = song.Separate(UsableDeviceName(), {});
  ASSERT_EQ(wrong.ran.code, 0) << wrong.ran.err;
  ASSERT_LT(wrong.db, kFloorDb) << "the lie changes nothing";
  EXPECT_TRUE(wrong.report["steps_down"].empty());

  const testing::Ran doctor = testing::RunTimbre(
      {"doctor", "--device", UsableDeviceName(), "--models", "gtcrn", "--json", "doctor.json"}, song.folder().path());
  ASSERT_EQ(doctor.code, 0) << doctor.err;
  const Json found = Json::parse(testing::ReadAll(song.folder() / "doctor.json"))["devices"][0];
  std::set<std::string> bad;
  for (const Json& kernel : found["kernels"]) {
    if (!kernel["right"].get<bool>()) bad.insert(kernel["kernel"].get<std::string>());
  }
  EXPECT_TRUE(bad.contains("vulkan.conv")) << found["kernels"];
  // This one comes after others, whose right results may still lie where it writes nothing.
  if (ListVulkanDevices().value()[UsableDevice()].float16) {
    EXPECT_TRUE(bad.contains("vulkan.conv_f16")) << found["kernels"];
  }
  EXPECT_LT(bad.size(), found["kernels"].size() / 2) << "not every kernel uses that shader";
  EXPECT_NE(doctor.out.find("WRONG"), std::string::npos) << doctor.out;
  EXPECT_EQ(found["models"][0]["right"], true) << "what is wrong is left out of the tiles already: " << found["models"];

  const TinySong::Outcome right = song.Separate(UsableDeviceName(), {});
  ASSERT_EQ(right.ran.code, 0) << right.ran.err;
  EXPECT_GE(right.db, kFloorDb);
  ASSERT_FALSE(right.report["steps_down"].empty());
  for (const Json& step : right.report["steps_down"])
    EXPECT_NE(step["reason"].get<std::string>().find("doctor"), std::string::npos) << step;
  for (const std::string& kernel : bad) EXPECT_FALSE(right.report["device"]["kernels"].contains(kernel)) << kernel;
  EXPECT_EQ(song.Separate(UsableDeviceName(), {"--strict"}).ran.code, 1);
}

// A device that fails under doctor's hands ends no examination; what the CPU did in its place is not taken for its own.
TEST(LyingDriver, DoctorOutlivesADeviceThatIsLost) {
  TIMBRE_NEED_VULKAN();
  const testing::TempFolder folder;
  std::map<std::string, std::string> variables = Liar("vkQueueSubmit:20+:-4");
  variables["TIMBRE_CACHE"] = (folder / "cache").string();
  const Environment environment(variables);
  const testing::Ran doctor = testing::RunTimbre(
      {"doctor", "--device", UsableDeviceName(), "--models", "gtcrn", "--json", "doctor.json"}, folder.path());
  ASSERT_EQ(doctor.code, 0) << doctor.err;
  const Json found = Json::parse(testing::ReadAll(folder / "doctor.json"))["devices"][0];
  const auto failed = std::find_if(found["kernels"].begin(), found["kernels"].end(),
                                   [](const Json& kernel) { return kernel["kernel"] == "device"; });
  ASSERT_NE(failed, found["kernels"].end()) << found["kernels"];
  EXPECT_NE((*failed)["problem"].get<std::string>().find("could not take work"), std::string::npos) << *failed;
  const VulkanDeviceInfo device = ListVulkanDevices().value()[UsableDevice()];
  const DeviceVerdict verdict = ReadVerdict(VerdictKey(device.name, device.driver, device.driver_version));
  EXPECT_TRUE(verdict.wrong.empty());
  EXPECT_TRUE(verdict.seconds.empty());
}

// A driver that gives wrong numbers, without doctor's word: --verify catches every node that is wrong in the run
// itself.
TEST(LyingDriver, VerifyCatchesWrongNumbersInTheRunItself) {
  TIMBRE_NEED_VULKAN();
  const testing::TempFolder folder;
  const std::string model = testing::MakeSmallModelFolder(folder / "model");
  testing::WriteTestWav(folder / "noisy.wav", 0.2, 48000);
  const auto denoise = [&](const std::string& device, const std::vector<std::string>& more) {
    std::vector<std::string> words{"denoise", "noisy.wav", "-m",   model,    "--sample-format", "f32", "--clip",
                                   "none",    "--device",  device, "--json", "report.json",     "-o",  device};
    words.insert(words.end(), more.begin(), more.end());
    return testing::RunTimbre(words, folder.path());
  };
  const auto read = [&](const std::string& device) {
    const auto audio = ReadAudioFile(folder / (device + "/noisy.wav"), 1 << 24);
    EXPECT_TRUE(audio) << audio.error().message;
    return audio ? audio->samples : std::vector<float>();
  };
  const std::string device = UsableDeviceName();
  const testing::Ran cpu = denoise("cpu", {});
  ASSERT_EQ(cpu.code, 0) << cpu.err;
  const Environment environment(Liar("drop:" + std::to_string(BytesOf("fast/product"))));
  const testing::Ran wrong = denoise(device, {});
  ASSERT_EQ(wrong.code, 0) << wrong.err;
  ASSERT_LT(testing::Agreement(read("cpu"), read(device)), kFloorDb) << "the lie changes nothing";
  const testing::Ran verified = denoise(device, {"--verify"});
  ASSERT_EQ(verified.code, 0) << verified.err;
  EXPECT_GE(testing::Agreement(read("cpu"), read(device)), kFloorDb);
  const Json report = Json::parse(testing::ReadAll(folder / "report.json"));
  ASSERT_FALSE(report["steps_down"].empty());
  for (const Json& step : report["steps_down"]) {
    EXPECT_NE(step["reason"].get<std::string>().find("differs from the oracle"), std::string::npos) << step;
    EXPECT_NE(step["from"].get<std::string>().find("vulkan."), std::string::npos) << step;
  }
  const testing::Ran strict = denoise(device, {"--verify", "--strict"});
  EXPECT_EQ(strict.code, 1);
  EXPECT_NE(strict.err.find("differs from the oracle"), std::string::npos) << strict.err;
}

// `auto` takes a GPU, unless doctor's timings say that the CPU is the faster; the software driver poses as one here.
TEST(LyingDriver, AutoHeedsDoctorsTimings) {
  TIMBRE_NEED_VULKAN();
  const testing::TempFolder cache;
  std::map<std::string, std::string> variables = Liar("type:2");
  variables["TIMBRE_CACHE"] = cache.path().string();
  const Environment environment(variables);
  const VulkanDeviceInfo device = ListVulkanDevices().value()[UsableDevice()];
  const auto choice = [] {
    const testing::Ran ran = testing::RunTimbre({"devices", "--json", "-"});
    EXPECT_EQ(ran.code, 0) << ran.err;
    return Json::parse(ran.out);
  };
  const std::string name = UsableDeviceName();
  EXPECT_EQ(choice()["auto"], name);
  for (const double seconds : {2.0, 0.5}) {
    ASSERT_TRUE(testing::SetVerdict(CpuVerdictKey(), {.seconds = {{"gtcrn", 1.0}}}));
    ASSERT_TRUE(testing::SetVerdict(VerdictKey(device.name, device.driver, device.driver_version),
                                    {.seconds = {{"gtcrn", seconds}}}));
    const Json report = choice();
    EXPECT_EQ(report["auto"], seconds > 1 ? "cpu" : name);
    EXPECT_NE(report["reason"].get<std::string>().find(seconds > 1 ? "0.5 times" : "2 times"), std::string::npos)
        << report["reason"];
  }
}

TEST(NoLoader, TheProgramWorksWithoutVulkan) {
  const testing::TempFolder folder;
  const Environment environment(WithoutLoader(folder));
  const testing::Ran devices = testing::RunTimbre({"devices", "--json", "-"});
  ASSERT_EQ(devices.code, 0) << devices.err;
  const Json report = Json::parse(devices.out);
  EXPECT_EQ(report["auto"], "cpu");
  EXPECT_EQ(report["devices"].size(), 1u);
  EXPECT_NE(report["vulkan"].get<std::string>().find("libvulkan.so.1"), std::string::npos) << report;

  const testing::Ran named = testing::RunTimbre({"explain", "gtcrn", "--device", "vulkan:0"});
  EXPECT_EQ(named.code, 1);
  EXPECT_NE(named.err.find("libvulkan.so.1"), std::string::npos) << named.err;
  TinySong song;
  // Else nobody asks where there is no GPU.
  const Environment told({{"VK_DRIVER_FILES", std::string("/nonexistent/driver.json")}});
  const TinySong::Outcome outcome = song.Separate("auto", {});
  EXPECT_EQ(outcome.ran.code, 0) << outcome.ran.err;
  EXPECT_GE(outcome.db, kFloorDb);
  EXPECT_NE(outcome.report["device"]["reason"].get<std::string>().find("libvulkan.so.1"), std::string::npos);
}

}  // namespace
}  // namespace timbre
