// Every point at which something can fail, failed in turn: a tiny HTDemucs separates a short signal all the same, and
// the report names node, from, to, reason and count; strict mode refuses with the same facts. Points are counted in the
// hundreds: by default every class is visited at its first, its last and some points between; `./dev sweep`, which
// sets TIMBRE_SWEEP=full, visits each.
#include <gtest/gtest.h>

#include <csignal>
#include <cstdlib>
#include <set>
#include <thread>

#include "models/loader.h"
#include "pipelines/separate/separate.h"
#include "tests/e2e/program.h"
#include "tests/support/sweep.h"
#include "tests/vulkan/tiny_song.h"
#include "tests/vulkan/usable_device.h"

namespace timbre {
namespace {

constexpr double kFloorDb = 90;

class Sweep {
 public:
  explicit Sweep(const std::string& device) : device_(device) {
    const testing::TempFolder folder;
    WriteTinyHtdemucs(folder / "tiny.th");
    auto model = LoadModel(folder / "tiny.th");
    EXPECT_TRUE(model) << model.error().message;
    if (model) model_ = *std::move(model);
    for (size_t i = 0; i < 2 * 5000; ++i)  // stereo; more than one tile
      mix_.push_back(FormulaValue(17, i, -0.5f, 1));
  }

  // Every stem, one after the other.
  Result<std::vector<float>> Run(FaultInjector* faults, bool strict, Stats& stats) {
    SeparateOptions options;
    options.session.device = device_;
    options.session.faults = faults;
    options.session.strict = strict;
    TIMBRE_TRY(auto separator, Separator::Create(model_, options, pool_, stats));
    Observer observer;
    TIMBRE_TRY(const auto stems, separator->SeparateSamples(mix_, 2, observer));
    std::vector<float> all;
    for (const auto& stem : stems) all.insert(all.end(), stem.begin(), stem.end());
    return all;
  }

  // A run without a fault: its result, and how many points of each class it passes.
  void Count() {
    Stats stats;
    const auto healthy = Run(&counter_, true, stats);
    ASSERT_TRUE(healthy) << healthy.error().message;
    healthy_ = *healthy;
  }

  void Fail(FaultPoint point, int64_t n) {
    const std::string label = device_ + " " + std::string(NameOf(point)) + ":" + std::to_string(n);
    FaultInjector injector;
    injector.FailAt(point, n);
    Stats stats;
    const auto out = Run(&injector, false, stats);
    ASSERT_TRUE(out) << label << ": " << out.error().message;
    EXPECT_GE(testing::RatioDb(healthy_, *out), kFloorDb) << label;
    const std::vector<StepDown> steps = stats.steps();
    ASSERT_EQ(steps.size(), 1u) << label;
    const StepDown& step = steps[0];
    EXPECT_FALSE(step.node.empty() || step.from.empty() || step.to.empty()) << label;
    EXPECT_NE(step.from, step.to) << label;
    EXPECT_EQ(step.count, 1) << label;
    EXPECT_NE(step.reason.find("injected fault at " + std::string(NameOf(point)) + " " + std::to_string(n)),
              std::string::npos)
        << label << ": " << step.reason;
    nodes_.insert(step.node);

    FaultInjector again;
    again.FailAt(point, n);
    Stats none;
    const auto refused = Run(&again, true, none);
    ASSERT_FALSE(refused) << label;
    for (const std::string& fact : {step.node, step.from, step.to, step.reason}) {
      EXPECT_NE(refused.error().message.find(fact), std::string::npos) << label << ": " << fact << "\n"
                                                                       << refused.error().message;
    }
    EXPECT_TRUE(none.steps().empty()) << label;
  }

  // `most` points of the class where not all are asked for.
  void FailEach(FaultPoint point, int64_t most) {
    if (healthy_.empty()) Count();
    const int64_t count = counter_.passes(point);
    ASSERT_GT(count, 0) << NameOf(point);
    std::set<int64_t> chosen;
    if (testing::FullSweep()) most = count;
    for (int64_t i = 0; i < most; ++i) chosen.insert(most > 1 ? i * (count - 1) / (most - 1) : 0);
    nodes_.clear();
    for (const int64_t n : chosen) {
      Fail(point, n);
      if (::testing::Test::HasFatalFailure()) return;
    }
    std::printf("  %-10s %-10s %4zu of %4ld points failed in turn, at %zu nodes\n", device_.c_str(),
                std::string(NameOf(point)).c_str(), chosen.size(), static_cast<long>(count), nodes_.size());
  }

 private:
  const std::string device_;
  ThreadPool pool_{2};
  LoadedModel model_;
  std::vector<float> mix_, healthy_;
  FaultInjector counter_;
  std::set<std::string> nodes_;
};

TEST(FaultSweep, OnTheCpu) {
  Sweep sweep("cpu");
  sweep.FailEach(FaultPoint::kKernel, 40);
  sweep.FailEach(FaultPoint::kPack, 15);
  sweep.FailEach(FaultPoint::kAllocation, 15);
  sweep.FailEach(FaultPoint::kReserve, 1);
}

TEST(FaultSweep, OnVulkan) {
  TIMBRE_NEED_VULKAN();
  Sweep sweep(UsableDeviceName());
  sweep.FailEach(FaultPoint::kPipeline,
                 2);  // ahead of the others: pipelines are made once, as long as the device is held
  const auto held = VulkanDevice::Open(UsableDevice());
  ASSERT_TRUE(held) << held.error().message;
  sweep.FailEach(FaultPoint::kKernel, 4);
  for (const FaultPoint point : {FaultPoint::kPack, FaultPoint::kAllocation, FaultPoint::kReserve})
    sweep.FailEach(point, 2);
  // At the very first only: ThroughTheProgram has the second of each.
  for (const FaultPoint point : {FaultPoint::kSubmit, FaultPoint::kWait, FaultPoint::kDevice, FaultPoint::kMemory})
    sweep.FailEach(point, 1);
}

// The same through the program, a point of every class, and the two that only a process of its own can show: a device
// that never answers is not asked again as long as the process lives.
TEST(FaultSweep, ThroughTheProgram) {
  TinySong song;
  std::vector<std::pair<std::string, std::string>> table{
      {"cpu", "kernel:30"}, {"cpu", "pack:5"}, {"cpu", "allocation:0"}, {"cpu", "reserve:0"}};
  if (UsableDevice() >= 0) {
    for (const char* fault : {"kernel:30", "pack:5", "allocation:8", "reserve:1", "pipeline:9", "submit:1", "wait:1",
                              "device:1", "memory:1", "hang:0", "hang:1"})
      table.emplace_back(UsableDeviceName(), fault);
  } else {
    std::cerr << "SKIPPED for want of a Vulkan driver: faults of the Vulkan device\n";
  }
  for (const auto& [device, fault] : table) {
    std::map<std::string, std::string> variables{{"TIMBRE_VULKAN_VALIDATION", "0"}};
    if (fault.starts_with("hang")) variables.merge(Hung());
    const Environment environment(variables);
    const TinySong::Outcome outcome = song.Separate(device, {"--inject", fault});
    ASSERT_EQ(outcome.ran.code, 0) << fault << ": " << outcome.ran.err;
    EXPECT_GE(outcome.db, kFloorDb) << device << " " << fault;
    const nlohmann::json steps = outcome.report["steps_down"];
    ASSERT_EQ(steps.size(), 1u) << device << " " << fault << ": " << steps;
    EXPECT_EQ(steps[0]["count"], 1) << steps;
    // What finds no room on the device still has the host's memory, which the device reaches.
    const std::map<std::string, std::string> replaced{{"wait:1", "cpu"}, {"allocation:8", "vulkan host memory"}};
    if (const auto known = replaced.find(fault); known != replaced.end()) {
      EXPECT_EQ(steps[0]["to"], known->second) << steps;
    }
    const TinySong::Outcome strict = song.Separate(device, {"--inject", fault, "--strict"});
    EXPECT_EQ(strict.ran.code, 1) << device << " " << fault;
    for (const char* key : {"node", "from", "to", "reason"}) {
      const std::string fact = steps[0][key].get<std::string>();
      EXPECT_NE(outcome.ran.err.find(fact), std::string::npos) << fact << ": " << outcome.ran.err;
      EXPECT_NE(strict.ran.err.find(fact), std::string::npos) << fact << ": " << strict.ran.err;
    }
  }
}

// Whoever asks a run to stop does not wait for a device that will not answer, however patient the run itself would be;
// the device keeps what it was given, and no file stays.
TEST(FaultSweep, ACancelledRunLeavesADeviceThatDoesNotAnswer) {
  TIMBRE_NEED_VULKAN();
  TinySong song;
  std::map<std::string, std::string> variables = Hung();
  variables["TIMBRE_VULKAN_TIMEOUT"] = "3600";
  const Environment environment(variables);
  const auto before = testing::FilesIn(song.folder().path());
  // A tile at a time, and a node at a time.
  for (const std::vector<std::string>& more : {std::vector<std::string>{}, {"--verify"}}) {
    std::vector<std::string> words{"separate", "song.wav", "--model",          "tiny.th",  "--output",
                                   "out",      "--device", UsableDeviceName(), "--inject", "hang:0"};
    words.insert(words.end(), more.begin(), more.end());
    testing::Child child(words, song.folder().path());
    for (int i = 0; i < 600 && child.ErrorsSoFar().find("separating song.wav: ") == std::string::npos; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    child.Signal(SIGTERM);
    const testing::Ran ran = child.Wait();
    EXPECT_EQ(ran.code, 130) << ran.err;
    EXPECT_EQ(testing::FilesIn(song.folder().path()), before) << ran.err;
  }
}

// Mesa's software driver twice, as two devices; empty where it is not here.
std::map<std::string, std::string> TwoDevices(const testing::TempFolder& folder) {
  for (const char* place : {"/usr/share/vulkan/icd.d", "/etc/vulkan/icd.d"}) {
    std::error_code none;
    for (const auto& entry : std::filesystem::directory_iterator(place, none)) {
      if (entry.path().filename().string().find("lvp") == std::string::npos) continue;
      const std::string first = folder / "first.json", second = folder / "second.json";
      std::filesystem::copy_file(entry.path(), first);
      std::filesystem::copy_file(entry.path(), second);
      const std::string both = first + ":" + second;
      return {{"VK_DRIVER_FILES", both}, {"VK_ICD_FILENAMES", both}, {"TIMBRE_VULKAN_VALIDATION", "0"}};
    }
  }
  return {};
}

// A device that is retired hands over to the next, and that one to the CPU.
TEST(FaultSweep, ARetiredDeviceHandsOverToTheNext) {
  const testing::TempFolder folder;
  const std::map<std::string, std::string> variables = TwoDevices(folder);
  if (variables.empty()) {
    std::cerr << "SKIPPED for want of Mesa's software driver: what a second Vulkan device takes over\n";
    GTEST_SKIP();
  }
  const Environment environment(variables);
  TinySong song;
  const auto names = [](const nlohmann::json& report) {
    std::string text;
    for (const nlohmann::json& step : report["steps_down"]) text += step["to"].get<std::string>() + " ";
    return text;
  };
  const auto hands_over = [&](const std::string& fault) {
    const TinySong::Outcome outcome = song.Separate("vulkan:0,vulkan:1", {"--inject", fault});
    EXPECT_EQ(outcome.ran.code, 0) << fault << ": " << outcome.ran.err;
    EXPECT_GE(outcome.db, kFloorDb) << fault;
    if (outcome.report["steps_down"].empty()) return false;
    EXPECT_EQ(names(outcome.report), "vulkan:1 ") << fault << ": " << outcome.report["steps_down"];
    EXPECT_EQ(outcome.report["device"]["name"].get<std::string>().find("CPU"), std::string::npos) << fault;
    return true;
  };
  for (const char* fault : {"device:0", "wait:2"}) EXPECT_TRUE(hands_over(fault)) << fault;
  for (const char* point : {"device", "submit", "wait", "memory"}) {
    if (!testing::FullSweep()) break;
    int n = 0;
    while (hands_over(std::string(point) + ":" + std::to_string(n))) ++n;
    std::printf("  two devices %-10s %d points failed in turn\n", point, n);
    EXPECT_GT(n, 0);
  }
  for (const char* faults : {"device:0,device:0", "wait:1,submit:2"}) {
    const TinySong::Outcome outcome = song.Separate("vulkan:0,vulkan:1", {"--inject", faults});
    ASSERT_EQ(outcome.ran.code, 0) << faults << ": " << outcome.ran.err;
    EXPECT_GE(outcome.db, kFloorDb) << faults;
    EXPECT_EQ(outcome.report["steps_down"].size(), 2u) << faults << ": " << outcome.report["steps_down"];
    EXPECT_NE(names(outcome.report).find("cpu"), std::string::npos) << faults;
  }
  // Whatever strikes the second device after the first was lost.
  for (const char* first : {"device:0", "submit:1", "wait:2", "memory:1"}) {
    if (!testing::FullSweep()) break;
    int pairs = 0;
    for (const char* point : {"kernel", "pack", "allocation", "reserve", "submit", "wait", "device", "memory"}) {
      for (const int n : {0, 1, 2, 5, 20}) {
        const std::string faults = std::string(first) + "," + point + ":" + std::to_string(n);
        const TinySong::Outcome outcome = song.Separate("vulkan:0,vulkan:1", {"--inject", faults});
        EXPECT_EQ(outcome.ran.code, 0) << faults << ": " << outcome.ran.err;
        EXPECT_GE(outcome.db, kFloorDb) << faults;
        EXPECT_LE(outcome.report["steps_down"].size(), 2u) << faults << ": " << outcome.report["steps_down"];
        ++pairs;
      }
    }
    std::printf("  two devices %s, then each of %d faults\n", first, pairs);
  }
  const TinySong::Outcome nowhere = song.Separate("vulkan:0,vulkan:7", {});
  EXPECT_EQ(nowhere.ran.code, 1);
  EXPECT_NE(nowhere.ran.err.find("there is no device 'vulkan:7'"), std::string::npos) << nowhere.ran.err;
}

}  // namespace
}  // namespace timbre
