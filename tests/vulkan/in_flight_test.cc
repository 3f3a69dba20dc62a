// Tiles under way together on the Vulkan device, and batches chosen by its memory.
#include <gtest/gtest.h>

#include <algorithm>

#include "graph/net.h"
#include "pipelines/separate/separate.h"
#include "runtime/check/verify.h"
#include "tests/vulkan/usable_device.h"

namespace timbre {
namespace {

// Two stems, each a short filter of the mix.
class Filters : public SeparationModel {
 public:
  Filters()
      : info_{.architecture = "filters",
              .sample_rate = 8000,
              .channels = 2,
              .stems = {"a", "b"},
              .segment = 0.1,
              .max_segment = 1,
              .normalise = false,
              .shifts = false} {}
  const SeparationInfo& info() const override { return info_; }
  Result<TilePlan> Plan(int64_t length, const TilingOptions&) const override {
    return PlanCentred(length, 800, 0.25, 1, {});
  }
  Result<Graph> BuildTile(int64_t samples, int batch) const override {
    auto weights = RandomWeights(3);
    GraphBuilder builder("filters", *weights);
    const Net net(builder);
    const Value x = builder.Input("mix", {batch, samples, 2});
    const Value y = Gelu(net.Conv("in", x, {.out = 8, .kernel = 5, .pad = 2}));
    builder.Output("stems", net.Conv("out", y, {.out = 4, .kernel = 3, .pad = 1}));
    return builder.Finish();
  }

 private:
  SeparationInfo info_;
};

struct Outcome {
  std::vector<std::vector<float>> stems;
  std::vector<StepDown> steps;
  int batch = 0;
};
Result<Outcome> Separate(const SessionOptions& session, int batch) {
  std::vector<float> mix(2 * 6123);
  for (size_t i = 0; i < mix.size(); ++i) mix[i] = FormulaValue(11, i, -0.5f, 1);
  LoadedModel model;
  model.name = "filters";
  model.members = {std::make_shared<Filters>()};
  model.weights = {{1, 1}};
  SeparateOptions options;
  options.session = session;
  options.batch = batch;
  ThreadPool pool(1);
  Stats stats;
  Observer observer;
  Outcome outcome;
  TIMBRE_TRY(const auto separator, Separator::Create(std::move(model), options, pool, stats));
  TIMBRE_TRY(outcome.stems, separator->SeparateSamples(mix, 2, observer));
  // Again with the same sessions: nothing of the first track is left.
  TIMBRE_TRY(const auto again, separator->SeparateSamples(mix, 2, observer));
  if (session.faults == nullptr) {
    EXPECT_EQ(outcome.stems, again);
  }
  outcome.steps = stats.steps();
  outcome.batch = separator->batch();
  return outcome;
}

TEST(VulkanInFlight, TilesUnderWayTogetherGiveWhatOneAfterTheOtherGives) {
  TIMBRE_NEED_VULKAN();
  const int64_t messages = VulkanValidationMessages();
  SessionOptions options;
  options.device = UsableDeviceName();
  options.in_flight = 1;
  const auto one = Separate(options, 1);
  ASSERT_TRUE(one) << one.error().message;
  for (const auto& [in_flight, batch] : {std::pair{2, 1}, {5, 1}, {16, 1}, {3, 3}}) {
    options.in_flight = in_flight;
    const auto several = Separate(options, batch);
    ASSERT_TRUE(several) << several.error().message;
    EXPECT_EQ(one->stems, several->stems) << in_flight << " " << batch;
  }
  EXPECT_EQ(VulkanValidationMessages(), messages);
}

// Whatever fails while several are under way, all of them are computed elsewhere, in their order.
TEST(VulkanInFlight, AFaultAmongThemLosesNone) {
  TIMBRE_NEED_VULKAN();
  SessionOptions options;
  options.device = "cpu";
  const auto cpu = Separate(options, 1);
  ASSERT_TRUE(cpu) << cpu.error().message;
  options.device = UsableDeviceName();
  options.in_flight = 3;
  for (const FaultPoint point : {FaultPoint::kSubmit, FaultPoint::kWait, FaultPoint::kDevice}) {
    for (const int64_t n : {0, 2, 7, 10, 20}) {
      FaultInjector injector;
      injector.FailAt(point, n);
      options.faults = &injector;
      const auto out = Separate(options, 1);
      ASSERT_TRUE(out) << NameOf(point) << " " << n << ": " << out.error().message;
      for (size_t s = 0; s < 2; ++s)
        EXPECT_GE(SignalToErrorDb(cpu->stems[s], out->stems[s]), 100) << NameOf(point) << " " << n;
      EXPECT_EQ(out->steps.size(), 1u) << NameOf(point) << " " << n;
    }
  }
}

TEST(VulkanInFlight, ABatchStaysWithinWhatABindingSpans) {
  TIMBRE_NEED_VULKAN();
  auto weights = RandomWeights(3);
  GraphBuilder builder("one", *weights);
  builder.Output("y", Gelu(builder.Input("x", {1, 100, 64})));
  const auto graph = builder.Finish();
  ASSERT_TRUE(graph) << graph.error().message;
  auto device = VulkanDevice::Open(UsableDevice());
  ASSERT_TRUE(device) << device.error().message;
  const uint64_t whole = (*device)->caps().max_range;
  SessionOptions options;
  options.device = UsableDeviceName();
  options.memory_limit = 1 << 20;
  EXPECT_EQ(*BatchThatFits(*graph, options, 8), 8);
  (*device)->set_max_range(5 * 100 * 64 * 4);
  EXPECT_EQ(*BatchThatFits(*graph, options, 8), 4);
  (*device)->set_max_range(100 * 64 * 4 - 256);
  EXPECT_EQ(*BatchThatFits(*graph, options, 8), 1);
  (*device)->set_max_range(whole);
}

TEST(VulkanInFlight, TheBatchIsWhatTheMemoryHolds) {
  EXPECT_EQ(LargestBatch(1000, 100, 100, 8), 4);  // a fifth stays free
  EXPECT_EQ(LargestBatch(1000, 0, 100, 8), 8);
  EXPECT_EQ(LargestBatch(1000, 700, 100, 8), 1);
  EXPECT_EQ(LargestBatch(0, 700, 100, 8), 1);
  EXPECT_EQ(LargestBatch(1 << 30, 1, 1, 5), 4);
  TIMBRE_NEED_VULKAN();
  SessionOptions options;
  options.device = UsableDeviceName();
  std::vector<int> batches;
  std::vector<std::vector<float>> first;
  for (const uint64_t kilobytes : {10, 200, 400, 4000}) {
    options.memory_limit = kilobytes << 10;
    const auto out = Separate(options, 0);
    ASSERT_TRUE(out) << out.error().message;
    if (first.empty()) first = out->stems;
    EXPECT_EQ(out->stems, first);
    batches.push_back(out->batch);
  }
  EXPECT_EQ(batches.front(), 1);
  EXPECT_TRUE(std::is_sorted(batches.begin(), batches.end()));
  EXPECT_EQ(batches.back(), 8);
  options.device = "cpu";
  const auto cpu = Separate(options, 0);
  ASSERT_TRUE(cpu) << cpu.error().message;
  EXPECT_EQ(cpu->batch, 1);
}

}  // namespace
}  // namespace timbre
