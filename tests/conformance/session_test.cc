// Passes on and off, memory reuse, verification and faults, on a small network with every kind of fusion.
#include "runtime/session/session.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "graph/net.h"
#include "graph/single_op_graph.h"
#include "kernels/cpu/matrix_unit.h"
#include "kernels/cpu/simd.h"
#include "runtime/check/verdicts.h"
#include "runtime/check/verify.h"
#include "tests/support/verdict.h"

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

// The mean of a signal is next to nothing beside its samples: what rounding leaves of it is no kernel's fault.
TEST(Session, VerifyJudgesAMeanByItsTerms) {
  constexpr int64_t kSamples = 48000;
  auto weights = RandomWeights(7);
  GraphBuilder builder("mean", *weights);
  const Value x = builder.Input("x", {1, kSamples});
  builder.Output("mean", Reduce(ReduceFn::kMean, x, {1}));
  auto graph = builder.Finish();
  ASSERT_TRUE(graph);
  std::vector<float> samples(kSamples);
  // Each with its opposite somewhere else.
  for (int64_t i = 0; i < kSamples; ++i) {
    const int64_t twin = (i * 7919) % kSamples;
    samples[twin] = twin % 2 == 0 ? FormulaValue(5, twin / 2, -0.5f, 1) : -FormulaValue(5, twin / 2, -0.5f, 1);
  }
  samples[kSamples - 1] += 1e-4f;
  for (int threads = 1; threads <= 2; ++threads) {
    ThreadPool pool(threads);
    Stats stats;
    SessionOptions options;
    options.verify = true;
    options.device = "cpu";
    const auto session = MakeSession(*graph, options, pool, &stats);
    ASSERT_TRUE(session);
    float mean = 0;
    const float* in = samples.data();
    float* out = &mean;
    ASSERT_TRUE((*session)->Run({&in, 1}, {&out, 1}));
    EXPECT_TRUE(stats.steps().empty()) << stats.steps()[0].reason;
  }
}

TEST(Session, EveryInjectedFaultStepsDownAndIsCounted) {
  const Outputs expected = RunOnce({}, 1, nullptr).value();
  for (const FaultPoint point : {FaultPoint::kKernel, FaultPoint::kPack, FaultPoint::kAllocation}) {
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
      ASSERT_TRUE(out) << NameOf(point) << " " << n << ": " << out.error().message;
      EXPECT_GE(SignalToErrorDb(expected.y, out->y), 110);
      ASSERT_EQ(stats.steps().size(), 1u) << NameOf(point) << " " << n;
      EXPECT_EQ(stats.steps()[0].count, 1);
      EXPECT_NE(stats.steps()[0].from, stats.steps()[0].to);
      EXPECT_NE(stats.steps()[0].reason.find("injected fault"), std::string::npos);

      FaultInjector again;
      again.FailAt(point, n);
      options.faults = &again;
      options.strict = true;
      EXPECT_FALSE(RunOnce(options, 1, nullptr).has_value());
    }
  }
}

// Faults in pairs: whatever strikes while a fault is being answered, the run ends with the result or with an error in
// words, the session can be asked about, and once the faults have passed it computes again.
TEST(Session, EveryPairOfFaultsEndsInTheResultOrAnError) {
  const Outputs expected = RunOnce({}, 1, nullptr).value();
  const FaultPoint points[] = {FaultPoint::kKernel, FaultPoint::kPack, FaultPoint::kAllocation};
  FaultInjector counter;
  SessionOptions counting;
  counting.faults = &counter;
  ASSERT_TRUE(RunOnce(counting, 1, nullptr).has_value());
  ThreadPool pool(1);
  std::vector<float> x(40 * 8);
  for (size_t i = 0; i < x.size(); ++i) x[i] = FormulaValue(99, i, -1, 2);
  const float* const in[] = {x.data()};
  int ended = 0;
  for (const FaultPoint first : points) {
    for (const FaultPoint second : points) {
      for (int64_t n = 0; n < counter.passes(first); ++n) {
        for (int64_t m = 0;; ++m) {
          const std::string label = std::string(NameOf(first)) + " " + std::to_string(n) + ", then " +
                                    std::string(NameOf(second)) + " " + std::to_string(m);
          FaultInjector injector;
          injector.FailAt(first, n);
          injector.FailAt(second, m);
          SessionOptions options;
          options.faults = &injector;
          Stats stats;
          auto session = MakeSession(SmallNetwork(), options, pool, &stats);
          Outputs out;
          float* const outs[] = {out.y.data(), out.mean.data()};
          for (int run = 0; session && run < 3; ++run) {
            const bool passed = injector.struck() == 2;
            const Status ran = (*session)->Run(in, outs);
            EXPECT_FALSE(CountKernels(**session).empty()) << label;
            EXPECT_TRUE(ran || !passed) << label << ": " << (ran ? "" : ran.error().message);
            EXPECT_TRUE(!ran || SignalToErrorDb(expected.y, out.y) >= 110) << label;
            ended += !ran;
          }
          EXPECT_TRUE(session || session.error().message.find("injected fault") != std::string::npos) << label;
          ended += !session;
          if (injector.struck() < 2) break;  // the second is beyond what is passed
        }
      }
    }
  }
  EXPECT_GT(ended, 0) << "the last rung fails twice in some of them";
}

TEST(FaultInjector, FaultsFollowOnEachOther) {
  FaultInjector faults;
  ASSERT_TRUE(FaultInjector::Parse("kernel:1,pack:0,kernel:2+", faults));
  const auto fails = [&](FaultPoint point) { return !faults.Pass(point, "here"); };
  EXPECT_FALSE(fails(FaultPoint::kPack));  // not yet its turn
  EXPECT_FALSE(fails(FaultPoint::kKernel));
  EXPECT_TRUE(fails(FaultPoint::kKernel));
  EXPECT_FALSE(fails(FaultPoint::kKernel));  // the third is not counted before the second has struck
  EXPECT_TRUE(fails(FaultPoint::kPack));
  EXPECT_FALSE(fails(FaultPoint::kPack));
  for (int i = 0; i < 2; ++i) EXPECT_FALSE(fails(FaultPoint::kKernel));
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(fails(FaultPoint::kKernel));
  EXPECT_EQ(faults.struck(), 3u);
  EXPECT_EQ(faults.passes(FaultPoint::kKernel), 8);
  for (const char* text : {"", "kernel", "kernel:", "kernel:-1", "kernel:1,", ",kernel:1", "kernel:1++", "grain:1"}) {
    FaultInjector none;
    EXPECT_FALSE(FaultInjector::Parse(text, none)) << text;
  }
}

// What fails every time ends the run: the last rung is tried twice, not for ever.
TEST(Session, AFaultThatLastsIsAnErrorThatNamesTheNode) {
  FaultInjector injector;
  injector.FailFrom(FaultPoint::kKernel, 2);
  SessionOptions options;
  options.faults = &injector;
  Stats stats;
  const auto out = RunOnce(options, 1, &stats);
  ASSERT_FALSE(out);
  EXPECT_NE(out.error().message.find("injected fault"), std::string::npos) << out.error().message;
  ASSERT_FALSE(stats.steps().empty());
  EXPECT_NE(out.error().message.find(stats.steps().back().node), std::string::npos) << out.error().message;
}

// Success codes don't prove numbers: what computes something else is replaced, and said to be wrong.
TEST(Session, VerifyReplacesAKernelThatIsWrong) {
  const Outputs expected = RunOnce({}, 1, nullptr).value();
  FaultInjector counter;
  SessionOptions options;
  options.verify = true;
  options.faults = &counter;
  ASSERT_TRUE(RunOnce(options, 1, nullptr));
  const int64_t passes = counter.passes(FaultPoint::kResult);
  ASSERT_GT(passes, 5);
  for (int64_t n = 0; n < passes; ++n) {
    FaultInjector injector;
    injector.FailAt(FaultPoint::kResult, n);
    options.faults = &injector;
    options.strict = false;
    Stats stats;
    const auto out = RunOnce(options, 1, &stats);
    ASSERT_TRUE(out) << n << ": " << out.error().message;
    EXPECT_GE(SignalToErrorDb(expected.y, out->y), 110) << n;
    EXPECT_GE(SignalToErrorDb(expected.mean, out->mean), 110) << n;
    ASSERT_EQ(stats.steps().size(), 1u) << n;
    EXPECT_NE(stats.steps()[0].reason.find("differs from the oracle"), std::string::npos) << stats.steps()[0].reason;

    FaultInjector again;
    again.FailAt(FaultPoint::kResult, n);
    options.faults = &again;
    options.strict = true;
    const auto refused = RunOnce(options, 1, nullptr);
    ASSERT_FALSE(refused) << n;
    EXPECT_NE(refused.error().message.find(stats.steps()[0].node), std::string::npos) << refused.error().message;
  }
  FaultInjector lasting;
  lasting.FailFrom(FaultPoint::kResult, 0);
  options.faults = &lasting;
  options.strict = false;
  EXPECT_FALSE(RunOnce(options, 1, nullptr)) << "every kernel is wrong, the reference too";
}

// What doctor found wrong on this processor is left out, visibly; of the last kernel there is, that is said too.
TEST(Session, KernelsThatDoctorFoundWrongAreLeftOut) {
  const std::string folder = ::testing::TempDir() + "/timbre_cpu_verdict" + std::to_string(getpid());
  std::filesystem::remove_all(folder);
  const char* before = std::getenv("TIMBRE_CACHE");
  const std::string kept = before == nullptr ? "" : before;
  ASSERT_EQ(setenv("TIMBRE_CACHE", folder.c_str(), 1), 0);
  const Outputs expected = RunOnce({}, 1, nullptr).value();
  for (const bool all : {false, true}) {
    DeviceVerdict verdict;
    for (const KernelRow* row : KernelsFor(Op::kConv, DeviceKind::kCpu)) {
      if (all || row->tier == Tier::kFast) verdict.wrong.insert(DeviceVerdict::IdOf(*row));
    }
    ASSERT_TRUE(testing::SetVerdict(CpuVerdictKey(), verdict));
    Stats stats;
    const auto out = RunOnce({}, 1, &stats);
    ASSERT_TRUE(out) << out.error().message;
    EXPECT_GE(SignalToErrorDb(expected.y, out->y), 110);
    ASSERT_FALSE(stats.steps().empty());
    for (const StepDown& step : stats.steps()) {
      EXPECT_EQ(step.node, "all of conv");
      EXPECT_NE(step.reason.find("doctor"), std::string::npos) << step.reason;
      EXPECT_NE(step.to.find("reference"), std::string::npos) << step.to;
    }
    SessionOptions strict;
    strict.strict = true;
    EXPECT_FALSE(RunOnce(strict, 1, nullptr));
    strict.heed_doctor = false;
    EXPECT_TRUE(RunOnce(strict, 1, nullptr));
  }
  kept.empty() ? unsetenv("TIMBRE_CACHE") : setenv("TIMBRE_CACHE", kept.c_str(), 1);
  std::filesystem::remove_all(folder);
}

// A kernel that is left out where there are more processors than it has tasks for is still examined there, by doctor
// too.
TEST(Session, ThePreferredKernelIsTakenWhateverTheThreads) {
  for (const KernelRow* row : KernelsFor(Op::kAttention, DeviceKind::kCpu)) {
    if (row->tier != Tier::kFast || row->precision != Precision::kF32) continue;
    for (const int threads : {1, 16}) {
      ThreadPool pool(threads);
      bool taken = false;
      for (const OpCase& c : RowOf(Op::kAttention).cases()) {
        if (c.benchmark || taken) continue;
        auto session = MakeSession(MakeSingleOpGraph(Op::kAttention, c).graph,
                                   {.device = "cpu", .prefer = std::string(row->name)}, pool, nullptr);
        ASSERT_TRUE(session) << session.error().message;
        for (const NodeTiming& timing : (*session)->Profile()) taken = taken || timing.kernel == row->name;
      }
      EXPECT_TRUE(taken) << row->name << " on " << threads << " threads";
    }
  }
}

// A convolution that two fast kernels can serve.
Graph TwoWays() {
  auto weights = RandomWeights(3);
  GraphBuilder builder("two ways", *weights);
  const Net net(builder);
  const Value x = builder.Input("x", {1, 32, 40, 32});
  builder.Output("y", net.Conv("conv", x, {.out = 64, .kernel = 3, .pad = 1}));
  return builder.Finish().value();
}

TEST(Session, TuningPicksAKernelRemembersItAndAgrees) {
  const std::string folder = ::testing::TempDir() + "/timbre_tuning" + std::to_string(getpid());
  std::filesystem::remove_all(folder);
  ASSERT_EQ(setenv("TIMBRE_CACHE", folder.c_str(), 1), 0);
  ThreadPool pool(1);
  std::vector<float> x(32 * 40 * 32), expected(32 * 40 * 64), y(expected.size());
  for (size_t i = 0; i < x.size(); ++i) x[i] = FormulaValue(4, i, -1, 2);
  auto run = [&](Tune tune, std::vector<float>& out) {
    auto session = MakeSession(TwoWays(), {.device = "cpu", .tune = tune}, pool, nullptr);
    ASSERT_TRUE(session) << session.error().message;
    const float* const in[] = {x.data()};
    float* const outs[] = {out.data()};
    ASSERT_TRUE((*session)->Run(in, outs));
  };
  run(Tune::kOff, expected);
  EXPECT_FALSE(std::filesystem::exists(folder + "/tuning.json"));
  for (const Tune tune : {Tune::kFast, Tune::kFull, Tune::kFast}) {
    run(tune, y);
    EXPECT_GE(SignalToErrorDb(expected, y), 90);  // one of the two is a fast convolution
    EXPECT_TRUE(std::filesystem::exists(folder + "/tuning.json"));
  }
  std::ofstream(folder + "/tuning.json") << "[\"damaged\", 1";
  run(Tune::kFast, y);
  EXPECT_GE(SignalToErrorDb(expected, y), 90);
  unsetenv("TIMBRE_CACHE");
  std::filesystem::remove_all(folder);
}

// What is remembered decides, and nothing is timed again; other kernels or versions are other questions.
TEST(Tuner, WhatIsRememberedIsNotMeasuredAgain) {
  const Graph graph = TwoWays();
  const NodeRef ref{graph, graph.nodes[0]};
  std::vector<const KernelRow*> rows(KernelsFor(Op::kConv, DeviceKind::kCpu).begin(),
                                     KernelsFor(Op::kConv, DeviceKind::kCpu).end());
  ASSERT_GE(rows.size(), 2u);
  rows.resize(2);
  const std::string path = ::testing::TempDir() + "/timbre_tuner" + std::to_string(getpid()) + ".json";
  std::filesystem::remove(path);
  int timed = 0;
  auto second_is_faster = [&](size_t i) -> Result<double> {
    ++timed;
    return i == 1 ? 1.0 : 2.0;
  };
  Tuner first(Tune::kFast, {}, path);
  EXPECT_EQ(first.Choose(ref, rows, second_is_faster), 1u);
  EXPECT_EQ(timed, 4);
  first.Save();
  Tuner second(Tune::kFast, {}, path);
  EXPECT_EQ(second.Choose(ref, rows, second_is_faster), 1u);
  EXPECT_EQ(timed, 4);
  DeviceCaps other;
  other.threads = 7;
  Tuner elsewhere(Tune::kFast, other, path);
  EXPECT_EQ(elsewhere.Choose(ref, rows, second_is_faster), 1u);
  EXPECT_EQ(timed, 8);
  Tuner off(Tune::kOff, {}, path);
  EXPECT_EQ(off.Choose(ref, rows, second_is_faster), 0u);
  EXPECT_EQ(timed, 8);
  std::filesystem::remove(path);
}

// Three layers of sums of 32 to 64 halves: -65 dB each, or less where only the weights are halves.
TEST(Session, HalfPrecisionIsClose) {
  const Outputs exact = RunOnce({}, 1, nullptr).value();
  for (const std::string& target : SimdTargets()) {
    ASSERT_TRUE(SetSimdTarget(target));
    SessionOptions options;
    options.precision = Precision::kF16;
    const auto out = RunOnce(options, 2, nullptr);
    ASSERT_TRUE(out) << out.error().message;
    EXPECT_GE(SignalToErrorDb(exact.y, out->y), 55) << target;
    EXPECT_LE(SignalToErrorDb(exact.y, out->y), 100) << target << ": not a half in it";
    options.verify = true;
    const auto verified = RunOnce(options, 1, nullptr);
    EXPECT_TRUE(verified) << verified.error().message;
  }
  ASSERT_TRUE(SetSimdTarget(""));
}

// One bfloat16 a factor, or two; where the processor multiplies none, the kernels of floats serve.
TEST(Session, Bf16IsAsCloseAsItSays) {
  const Outputs exact = RunOnce({}, 1, nullptr).value();
  for (const std::string& target : SimdTargets()) {
    ASSERT_TRUE(SetSimdTarget(target));
    for (const auto& [precision, floor] : {std::pair{Precision::kBf16x3, 95.0}, std::pair{Precision::kBf16, 40.0}}) {
      SessionOptions options;
      options.precision = precision;
      const auto out = RunOnce(options, 2, nullptr);
      ASSERT_TRUE(out) << out.error().message;
      const double db = SignalToErrorDb(exact.y, out->y);
      EXPECT_GE(db, floor) << target;
      EXPECT_EQ(db < 130, CurrentMatrixUnit().faster) << target << ": " << db << " dB";
      EXPECT_EQ(RunOnce(options, 1, nullptr).value().y, out->y) << "threads must change nothing";
      options.verify = true;
      const auto verified = RunOnce(options, 1, nullptr);
      EXPECT_TRUE(verified) << verified.error().message;
    }
  }
  ASSERT_TRUE(SetSimdTarget(""));
}

TEST(Session, AKernelOfHalvesStepsDownToOneOfFloats) {
  const Outputs exact = RunOnce({}, 1, nullptr).value();
  FaultInjector injector;
  ASSERT_TRUE(FaultInjector::Parse("pack:0+", injector));
  SessionOptions options;
  options.precision = Precision::kF16;
  options.faults = &injector;
  Stats stats;
  const auto out = RunOnce(options, 1, &stats);
  ASSERT_TRUE(out) << out.error().message;
  const auto steps = stats.steps();
  const auto halves =
      std::find_if(steps.begin(), steps.end(), [](const StepDown& s) { return s.from.ends_with("_f16"); });
  ASSERT_NE(halves, steps.end());
  EXPECT_FALSE(halves->to.ends_with("_f16")) << halves->to;
  EXPECT_GE(SignalToErrorDb(exact.y, out->y), 55);
}

TEST(Session, UnknownDeviceIsRefused) {
  SessionOptions options;
  options.device = "abacus";
  EXPECT_FALSE(RunOnce(options, 1, nullptr).has_value());
}

}  // namespace
}  // namespace timbre
