// Passes on and off, memory reuse, verification and faults, on a small network with every kind of fusion.
#include "runtime/session.h"

#include <gtest/gtest.h>

#include "graph/net.h"
#include "runtime/verify.h"

namespace timbre {
namespace {

Graph SmallNetwork() {
  auto weights = RandomWeights(7);
  GraphBuilder builder("small", *weights);
  const Net net(builder);
  const Value x = builder.Input("x", {1, 40, 8});
  Value y = Gelu((net / "a").Conv("conv", x, {.out = 16, .kernel = 3, .pad = 1}));
  const Value skip = y;
  y = Glu((net / "b").Conv("conv", y, {.out = 32}));
  y = y * (net / "b").Weight("scale", {16}) + skip;
  y = (net / "c").BatchNorm("norm", (net / "c").Conv("conv", y, {.out = 16, .bias = false}));
  y = Reshape(Relu(y), {1, 20, 32});
  y = (net / "d").LayerNorm("norm", y);
  y = (net / "d").Linear("linear", y, 32) + y;
  y = Attention(y, y, y, {.heads = 4, .scale = 0.35f});
  builder.Output("y", y);
  builder.Output("mean", Reduce(ReduceFn::kMean, y, {1}));
  auto graph = builder.Finish();
  EXPECT_TRUE(graph.has_value()) << (graph ? "" : graph.error().message);
  return *std::move(graph);
}

struct Outputs {
  std::vector<float> y = std::vector<float>(20 * 32), mean = std::vector<float>(32);
};

Result<Outputs> RunOnce(const SessionOptions& options, int threads, Stats* stats, int runs = 1) {
  ThreadPool pool(threads);
  TIMBRE_TRY(auto session, MakeSession(SmallNetwork(), options, pool, stats));
  std::vector<float> x(40 * 8);
  for (size_t i = 0; i < x.size(); ++i) x[i] = FormulaValue(99, i, -1, 2);
  Outputs out;
  const float* in = x.data();
  float* const outs[] = {out.y.data(), out.mean.data()};
  for (int i = 0; i < runs; ++i) TIMBRE_CHECK(session->Run({&in, 1}, outs));
  return out;
}

TEST(Session, EveryToggleAgreesWithAllOff) {
  SessionOptions off;
  off.toggles = {false, false, false, false, false};
  const Outputs expected = RunOnce(off, 1, nullptr).value();
  for (int mask = 0; mask < 32; ++mask) {
    SessionOptions on;
    on.toggles = {(mask & 1) != 0, (mask & 2) != 0, (mask & 4) != 0, (mask & 8) != 0, (mask & 16) != 0};
    for (const int runs : {1, 3}) {
      const auto out = RunOnce(on, 2, nullptr, runs);
      ASSERT_TRUE(out.has_value()) << out.error().message;
      EXPECT_GE(SignalToErrorDb(expected.y, out->y), 110) << mask;
      EXPECT_GE(SignalToErrorDb(expected.mean, out->mean), 110) << mask;
    }
  }
}

TEST(Session, OneThreadAndTwoAgreeBitForBit) {
  const Outputs one = RunOnce({}, 1, nullptr).value(), two = RunOnce({}, 2, nullptr).value();
  EXPECT_EQ(one.y, two.y);
  EXPECT_EQ(one.mean, two.mean);
}

TEST(Session, VerifyPasses) {
  SessionOptions options;
  options.verify = true;
  const auto out = RunOnce(options, 2, nullptr);
  EXPECT_TRUE(out.has_value()) << out.error().message;
}

TEST(Session, EveryInjectedFaultStepsDownAndIsCounted) {
  const Outputs expected = RunOnce({}, 1, nullptr).value();
  for (const FaultPoint point : {FaultPoint::kKernel, FaultPoint::kPack}) {
    FaultInjector counter;
    SessionOptions counting;
    counting.faults = &counter;
    ASSERT_TRUE(RunOnce(counting, 1, nullptr).has_value());
    for (int64_t n = 0; n < counter.passes(point); ++n) {
      FaultInjector injector;
      injector.FailAt(point, n);
      SessionOptions options;
      options.faults = &injector;
      Stats stats;
      const auto out = RunOnce(options, 1, &stats);
      if (!out) {
        // Only a node whose sole rung is the reference kernel has nowhere to go.
        EXPECT_NE(out.error().message.find("injected fault"), std::string::npos);
        EXPECT_TRUE(stats.steps().empty());
        continue;
      }
      EXPECT_GE(SignalToErrorDb(expected.y, out->y), 110);
      ASSERT_EQ(stats.steps().size(), 1u) << NameOf(point) << " " << n;
      EXPECT_EQ(stats.steps()[0].count, 1);
      EXPECT_NE(stats.steps()[0].reason.find("injected fault"), std::string::npos);

      FaultInjector again;
      again.FailAt(point, n);
      options.faults = &again;
      options.strict = true;
      EXPECT_FALSE(RunOnce(options, 1, nullptr).has_value());
    }
  }
}

TEST(Session, UnknownDeviceIsRefused) {
  SessionOptions options;
  options.device = "abacus";
  EXPECT_FALSE(RunOnce(options, 1, nullptr).has_value());
}

}  // namespace
}  // namespace timbre
