// The Vulkan device on whatever driver is there; Mesa's software driver is enough.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "graph/net.h"
#include "graph/single_op_graph.h"
#include "runtime/check/verify.h"
#include "runtime/device/vulkan_device.h"
#include "runtime/session/session.h"
#include "runtime/session/vulkan_session.h"
#include "tests/e2e/program.h"
#include "tests/support/sweep.h"
#include "tests/vulkan/usable_device.h"

namespace timbre {
namespace {

// The same graph with its inputs backwards, and those that are real three quarters of what they were: another result of
// another size, within what the operator takes.
SingleOpGraph Turned(SingleOpGraph one) {
  for (const GraphPort& port : one.graph.inputs) {
    std::vector<float>& values = one.inputs[port.tensor];
    std::reverse(values.begin(), values.end());
    if (one.graph.tensors[port.tensor].dtype == DType::kI32) continue;
    for (float& value : values) value *= 0.75f;
  }
  return one;
}

// Runs a small graph and holds what comes out against the oracle. Every other call turns the inputs: the session may
// have got the memory of the last one, and a kernel that writes nothing must not find the result there.
void ExpectRight(Session& session, const SingleOpGraph& given, Precision precision, const std::string& label) {
  static bool turned = false;
  turned = !turned;
  const SingleOpGraph one = turned ? Turned(given) : given;
  std::vector<const float*> in, all;
  for (const GraphPort& port : one.graph.inputs) in.push_back(one.inputs[port.tensor].data());
  std::vector<std::vector<float>> results;
  std::vector<float*> out;
  for (const GraphPort& port : one.graph.outputs) results.emplace_back(one.graph.shape(port.tensor).elements());
  for (auto& r : results) out.push_back(r.data());
  for (const TensorInfo& tensor : one.graph.tensors) {
    if (tensor.kind != TensorKind::kState) continue;
    ASSERT_TRUE(session.state()->Set(tensor.name, one.inputs[one.graph.FindState(tensor.name)])) << label;
  }
  const Status ran = session.Run(in, out);
  ASSERT_TRUE(ran) << label << ": " << ran.error().message;

  // The whole small graph as one fused node, so that one comparison serves.
  Node whole = one.graph.nodes[0];
  if (one.graph.nodes.size() > 1) {
    whole.composition = one.graph.nodes;
    whole.outputs = one.graph.nodes.back().outputs;
    for (size_t i = 1; i < one.graph.nodes.size(); ++i) {
      for (const TensorId id : one.graph.nodes[i].inputs) {
        if (!one.inputs[id].empty()) whole.inputs.push_back(id);
      }
    }
  }
  for (const TensorId id : whole.inputs) all.push_back(id == kNoTensor ? nullptr : one.inputs[id].data());
  const std::vector<const float*> computed(out.begin(), out.end());
  const Deviation deviation = Compare(one.graph, whole, computed, OracleOf(one.graph, whole, all), precision, all);
  EXPECT_LE(deviation.worst, 1.0) << label << " (" << deviation.db << " dB): " << deviation.where;
}

class VulkanConformance : public ::testing::TestWithParam<int> {};

TEST_P(VulkanConformance, EveryCaseAgreesWithTheOracle) {
  TIMBRE_NEED_VULKAN();
  const Op op = static_cast<Op>(GetParam());
  const int64_t messages = VulkanValidationMessages();
  ThreadPool pool(1);
  auto device = VulkanDevice::Open(UsableDevice());
  ASSERT_TRUE(device) << device.error().message;
  static const EpilogueNames kEpilogues[] = {{},        {"gelu"}, {"relu"},  {"sigmoid"},     {"glu"},
                                             {"scale"}, {"add"},  {"prelu"}, {"gelu", "add"}, {"glu", "scale", "add"}};
  // On reference kernels, on those that a plan takes, and on each that it could take.
  struct Way {
    bool fast;
    std::string_view prefer;
    Precision precision = Precision::kF32;
  };
  std::vector<Way> ways{{false, ""}, {true, ""}};
  for (const KernelRow* row : KernelsFor(op, DeviceKind::kVulkan)) {
    if (row->tier == Tier::kFast) ways.push_back({true, row->name, row->precision});
  }
  std::set<std::string> served;
  for (const OpCase& c : RowOf(op).cases()) {
    if (c.benchmark) continue;
    for (const EpilogueNames& epilogue : kEpilogues) {
      const SingleOpGraph one = MakeSingleOpGraph(op, c, epilogue);
      if (one.graph.nodes.empty()) continue;
      std::set<std::string> done;
      for (const Way& way : ways) {
        if (!way.fast && !epilogue.empty()) continue;  // reference kernels take none
        SessionOptions options;
        options.toggles.fast_kernels = way.fast;
        options.prefer = way.prefer;
        options.precision = way.precision;
        Stats stats;
        auto session = MakeVulkanSession(one.graph, options, *device, pool, &stats, "test");
        ASSERT_TRUE(session) << c.name << ": " << session.error().message;
        std::string label = std::string(NameOf(op)) + "/" + c.name + (way.fast ? "/fast" : "/reference");
        for (const std::string& step : epilogue) label += "+" + step;
        // Once for each set of kernels.
        std::string kernels;
        for (const NodeTiming& row : (*session)->Profile()) kernels += row.kernel + " ";
        if (!done.insert(kernels).second) continue;
        label += " on " + kernels;
        ExpectRight(**session, one, way.precision, label);
        for (const NodeTiming& row : (*session)->Profile()) {
          EXPECT_EQ(row.kernel.find("cpu"), std::string::npos) << label << " ran on " << row.kernel;
          served.insert(row.kernel);
        }
        for (const StepDown& step : stats.steps()) ADD_FAILURE() << label << ": " << step.reason;
      }
    }
  }
  for (const KernelRow* row : KernelsFor(op, DeviceKind::kVulkan)) {
    EXPECT_TRUE(op == Op::kReshape || (row->precision == Precision::kF16 && !(*device)->caps().float16) ||
                (row->cooperative && !(*device)->caps().cooperative_matrix) || served.contains(std::string(row->name)))
        << "no case shows " << row->name;
  }
  EXPECT_EQ(VulkanValidationMessages(), messages) << "the validation layers had something to say";
}

INSTANTIATE_TEST_SUITE_P(Ops, VulkanConformance, ::testing::Range(0, static_cast<int>(Op::kCount)),
                         [](const auto& op) { return std::string(NameOf(static_cast<Op>(op.param))); });

// Tensors larger than what a binding spans are cut into parts, and come out the same: every kernel that can do so, on
// every case that it takes, as if bindings spanned a half, a fifth and a ninth of its largest tensor.
TEST(Vulkan, TensorsLargerThanABindingAreCutIntoParts) {
  TIMBRE_NEED_VULKAN();
  ThreadPool pool(1);
  auto device = VulkanDevice::Open(UsableDevice());
  ASSERT_TRUE(device) << device.error().message;
  const DeviceCaps caps = (*device)->caps();
  for (const KernelRow* row : AllKernels()) {
    if (row->device != DeviceKind::kVulkan || !row->in_parts) continue;
    int cut = 0;
    for (const OpCase& c : RowOf(row->op).cases()) {
      if (c.benchmark || c.extent) continue;
      for (const EpilogueNames& epilogue : {EpilogueNames{}, EpilogueNames{"glu", "scale", "add"}}) {
        const SingleOpGraph one = MakeSingleOpGraph(row->op, c, epilogue);
        if (one.graph.nodes.empty()) continue;
        uint64_t largest = 0;
        for (const auto& ports : {one.graph.inputs, one.graph.outputs}) {
          for (const GraphPort& port : ports)
            largest = std::max(largest, static_cast<uint64_t>(one.graph.shape(port.tensor).elements()) * 4);
        }
        for (const uint64_t share : {2, 5, 9}) {
          const uint64_t range = largest / share / 256 * 256;
          if (range == 0) continue;
          (*device)->set_max_range(range);
          SessionOptions options;
          options.prefer = row->name;
          options.precision = row->precision;
          options.toggles.fast_kernels = row->tier == Tier::kFast;
          auto session = MakeVulkanSession(one.graph, options, *device, pool, nullptr, "test");
          ASSERT_TRUE(session) << c.name << ": " << session.error().message;
          const std::vector<NodeTiming> profile = (*session)->Profile();
          if (profile[0].kernel != row->name) continue;  // weights or a single row are more than that
          ++cut;
          ExpectRight(**session, one, row->precision,
                      std::string(row->name) + "/" + c.name + " in parts of " + std::to_string(range));
        }
      }
    }
    (*device)->set_max_range(caps.max_range);
    const bool here = (row->precision == Precision::kF32 || caps.float16) &&
                      (!row->cooperative || caps.cooperative_matrix) && row->op != Op::kReshape;
    EXPECT_EQ(cut > 0, here) << row->name;
  }
}

// Weights that stay as they are stored are bound in parts where they are larger than a binding, and take the bytes
// that the checkpoint has.
TEST(Vulkan, StoredWeightsAreBoundInPartsAndKeepTheirSize) {
  TIMBRE_NEED_VULKAN();
  ThreadPool pool(1);
  auto device = VulkanDevice::Open(UsableDevice());
  ASSERT_TRUE(device) << device.error().message;
  const uint64_t whole = (*device)->caps().max_range;
  const auto stored = [](DType dtype, Shape shape) {
    return OpCase::Input{std::move(shape), true, -0.5f, 0.5f, false, dtype};
  };
  for (const DType dtype : {DType::kBF16, DType::kQ4_0, DType::kQ8_0, DType::kQ6_K}) {
    const auto bytes = static_cast<uint64_t>(BytesOf(dtype, 512));
    for (const bool table : {false, true}) {
      const OpCase::Input ids{{5}, false, -1, 301, false, DType::kI32};
      const OpCase c = table
                           ? OpCase{"table", NoAttrs{}, {ids, stored(dtype, {300, 512})}}
                           : OpCase{"linear", LinearAttrs{}, {{{1, 3, 512}}, stored(dtype, {300, 512}), {{300}, true}}};
      const SingleOpGraph one = MakeSingleOpGraph(table ? Op::kEmbedding : Op::kLinear, c);
      for (const uint64_t range : {whole, std::max<uint64_t>(128 * bytes, 16384)}) {
        (*device)->set_max_range(range);
        auto session = MakeVulkanSession(one.graph, {}, *device, pool, nullptr, "test");
        const std::string label =
            c.name + " of " + std::string(NameOf(dtype)) + " in parts of " + std::to_string(range);
        ASSERT_TRUE(session) << label << session.error().message;
        EXPECT_TRUE((*session)->Profile()[0].kernel.ends_with("_stored")) << label << (*session)->Profile()[0].kernel;
        EXPECT_LT((*session)->weight_bytes(), static_cast<int64_t>(300 * bytes + 300 * 4 + 256)) << label;
        ExpectRight(**session, one, Precision::kF32, label);
      }
    }
  }
  (*device)->set_max_range(whole);
}

Graph SmallNetwork() {
  auto weights = RandomWeights(7);
  GraphBuilder builder("small", *weights);
  const Net net(builder);
  const Value x = builder.Input("x", {1, 40, 8});
  Value y = Gelu((net / "a").Conv("conv", x, {.out = 16, .kernel = 3, .pad = 1}));
  y = Glu((net / "b").Conv("conv", y, {.out = 32})) + y;
  y = (net / "d").LayerNorm("norm", Reshape(y, {1, 20, 32}));
  y = Attention(y, y, y, {.heads = 4, .scale = 0.35f});
  builder.Output("y", (net / "d").Linear("linear", y, 32));
  auto graph = builder.Finish();
  EXPECT_TRUE(graph) << graph.error().message;
  return *std::move(graph);
}

Result<std::vector<float>> RunSmall(const SessionOptions& options, Stats* stats, int runs = 1) {
  ThreadPool pool(1);
  TIMBRE_TRY(auto session, MakeSession(SmallNetwork(), options, pool, stats));
  std::vector<float> x(320), y(640);
  for (size_t i = 0; i < x.size(); ++i) x[i] = FormulaValue(5, i, -1, 2);
  const float* const in[] = {x.data()};
  float* const out[] = {y.data()};
  for (int i = 0; i < runs; ++i) TIMBRE_CHECK(session->Run(in, out));
  return y;
}

TEST(Vulkan, EveryInjectedFaultStillGivesTheResult) {
  TIMBRE_NEED_VULKAN();
  SessionOptions cpu;
  cpu.device = "cpu";
  const std::vector<float> expected = RunSmall(cpu, nullptr).value();
  const std::string wish = UsableDeviceName();
  for (const FaultPoint point : {FaultPoint::kKernel, FaultPoint::kPipeline, FaultPoint::kAllocation,
                                 FaultPoint::kReserve, FaultPoint::kSubmit, FaultPoint::kWait, FaultPoint::kDevice}) {
    FaultInjector counter;
    SessionOptions options;
    options.device = wish;
    options.faults = &counter;
    const auto healthy = RunSmall(options, nullptr, 2);
    ASSERT_TRUE(healthy) << healthy.error().message;
    EXPECT_GE(SignalToErrorDb(expected, *healthy), 100);
    ASSERT_GT(counter.passes(point), 0) << NameOf(point);
    for (int64_t n = 0; n < counter.passes(point); ++n) {
      FaultInjector injector;
      injector.FailAt(point, n);
      options.faults = &injector;
      options.strict = false;
      Stats stats;
      const auto out = RunSmall(options, &stats, 2);
      ASSERT_TRUE(out) << NameOf(point) << " " << n << ": " << out.error().message;
      EXPECT_GE(SignalToErrorDb(expected, *out), 100) << NameOf(point) << " " << n;
      ASSERT_EQ(stats.steps().size(), 1u) << NameOf(point) << " " << n;
      EXPECT_NE(stats.steps()[0].reason.find("injected fault"), std::string::npos) << stats.steps()[0].reason;
      EXPECT_FALSE(stats.steps()[0].node.empty());

      FaultInjector again;
      again.FailAt(point, n);
      options.faults = &again;
      options.strict = true;
      EXPECT_FALSE(RunSmall(options, nullptr, 2)) << NameOf(point) << " " << n;
    }
  }
}

// A device that is lost while memory is short too, and every other pair of classes: the result, or an error in words;
// the session can be asked about, and computes again once the faults have passed. Some pairs of each two classes;
// `./dev sweep` all.
void PairsOfFaultsEndWell(const std::string& device, std::span<const FaultPoint> firsts) {
  SessionOptions options;
  options.device = "cpu";
  const std::vector<float> expected = RunSmall(options, nullptr).value();
  options.device = device;
  const bool all = testing::FullSweep();
  FaultInjector counter;
  options.faults = &counter;
  ASSERT_TRUE(RunSmall(options, nullptr));
  ThreadPool pool(1);
  std::vector<float> x(320), y(640);
  for (size_t i = 0; i < x.size(); ++i) x[i] = FormulaValue(5, i, -1, 2);
  const float* const in[] = {x.data()};
  float* const out[] = {y.data()};
  int ended = 0;
  for (const FaultPoint first : firsts) {
    for (const FaultPoint second : firsts) {
      const int64_t passes = counter.passes(first);
      for (int64_t n = all ? 0 : passes - 1; n < passes; ++n) {
        for (int64_t m = 0; all || m < 1; ++m) {
          const std::string label = std::string(NameOf(first)) + " " + std::to_string(n) + ", then " +
                                    std::string(NameOf(second)) + " " + std::to_string(m);
          FaultInjector injector;
          injector.FailAt(first, n);
          injector.FailAt(second, m);
          injector.FailAt(second, 0);  // what is tried once more fails once more
          options.faults = &injector;
          Stats stats;
          auto session = MakeSession(SmallNetwork(), options, pool, &stats);
          for (int run = 0; session && run < 3; ++run) {
            const bool passed = injector.struck() == 3;
            const Status ran = (*session)->Run(in, out);
            EXPECT_FALSE((*session)->Explain().empty()) << label;
            EXPECT_TRUE(!ran || !CountKernels(**session).empty()) << label;
            EXPECT_TRUE(ran || !passed) << label << ": " << (ran ? "" : ran.error().message);
            EXPECT_TRUE(!ran || SignalToErrorDb(expected, y) >= 100) << label;
            ended += !ran;
          }
          EXPECT_TRUE(session || session.error().message.find("injected fault") != std::string::npos) << label;
          ended += !session;
          if (injector.struck() < 3) break;  // the last is beyond what is passed
        }
      }
    }
  }
  EXPECT_GT(ended, 0) << "with no memory for the CPU's session either, some end in an error";
}

TEST(Vulkan, PairsOfFaultsEndInTheResultOrAnError) {
  TIMBRE_NEED_VULKAN();
  const auto held = VulkanDevice::Open(UsableDevice());
  ASSERT_TRUE(held) << held.error().message;
  constexpr FaultPoint kFirsts[] = {FaultPoint::kKernel,  FaultPoint::kPack,   FaultPoint::kAllocation,
                                    FaultPoint::kReserve, FaultPoint::kSubmit, FaultPoint::kWait,
                                    FaultPoint::kDevice,  FaultPoint::kMemory};
  PairsOfFaultsEndWell(UsableDeviceName(), kFirsts);
}

TEST(Vulkan, PairsOfFaultsOnTheCpuEndInTheResultOrAnError) {
  constexpr FaultPoint kFirsts[] = {FaultPoint::kKernel, FaultPoint::kPack, FaultPoint::kAllocation,
                                    FaultPoint::kReserve};
  PairsOfFaultsEndWell("cpu", kFirsts);
}

// What has no room on the device lies in the host's memory, which is said; with several tiles, fewer of them come
// first. Two plans do not count on the same bytes.
TEST(Vulkan, WhatHasNoRoomOnTheDeviceIsAStepDown) {
  TIMBRE_NEED_VULKAN();
  auto device = VulkanDevice::Open(UsableDevice());
  ASSERT_TRUE(device) << device.error().message;
  MemoryLedger& ledger = (*device)->ledger();
  SessionOptions options;
  options.device = UsableDeviceName();
  const std::vector<float> expected = RunSmall(options, nullptr).value();
  ThreadPool pool(1);
  auto first = MakeSession(SmallNetwork(), options, pool, nullptr);
  ASSERT_TRUE(first) << first.error().message;
  const uint64_t taken = ledger.account().reserved;
  EXPECT_GE(taken, static_cast<uint64_t>((*first)->arena_bytes() + (*first)->weight_bytes()));
  EXPECT_NE((*first)->Explain().find("are promised"), std::string::npos) << (*first)->Explain();
  ledger.SetLimit(taken + 1);
  Stats stats;
  const auto out = RunSmall(options, &stats);
  options.tiles = 2;
  const auto several = RunSmall(options, nullptr);
  options.tiles = 1;
  options.strict = true;
  const auto strict = RunSmall(options, nullptr);
  ledger.SetLimit(0);
  ASSERT_TRUE(out) << out.error().message;
  EXPECT_EQ(*out, expected);
  ASSERT_FALSE(stats.steps().empty());
  EXPECT_EQ(stats.steps()[0].node, "the arena");
  for (const StepDown& step : stats.steps()) {
    EXPECT_EQ(step.from, "vulkan device memory");
    EXPECT_EQ(step.to, "vulkan host memory");
    EXPECT_NE(step.reason.find("MiB free"), std::string::npos) << step.reason;
  }
  ASSERT_FALSE(several);
  EXPECT_EQ(several.error().code, ErrorCode::kOutOfMemory);
  ASSERT_FALSE(strict);
  EXPECT_NE(strict.error().message.find("vulkan host memory"), std::string::npos) << strict.error().message;
  EXPECT_EQ(ledger.account().reserved, taken) << "what was refused holds nothing";
}

TEST(Vulkan, EveryNodeCanBeVerifiedInPlace) {
  TIMBRE_NEED_VULKAN();
  SessionOptions options;
  options.device = UsableDeviceName();
  const auto plain = RunSmall(options, nullptr);
  ASSERT_TRUE(plain) << plain.error().message;
  options.verify = true;
  const auto verified = RunSmall(options, nullptr, 2);
  ASSERT_TRUE(verified) << verified.error().message;
  EXPECT_EQ(*plain, *verified);
}

TEST(Vulkan, WhatWasTimedIsRememberedForTheDevice) {
  TIMBRE_NEED_VULKAN();
  const testing::TempFolder cache;
  const char* before = std::getenv("TIMBRE_CACHE");
  const std::string kept = before == nullptr ? "" : before;
  setenv("TIMBRE_CACHE", cache.path().c_str(), 1);
  SessionOptions options;
  options.device = UsableDeviceName();
  const std::vector<float> untuned = RunSmall(options, nullptr).value();
  options.tune = Tune::kFast;
  const auto tuned = RunSmall(options, nullptr);
  const std::string file = testing::ReadAll(cache / "tuning.json");
  const auto again = RunSmall(options, nullptr);
  const std::string after = testing::ReadAll(cache / "tuning.json");
  kept.empty() ? unsetenv("TIMBRE_CACHE") : setenv("TIMBRE_CACHE", kept.c_str(), 1);
  ASSERT_TRUE(tuned) << tuned.error().message;
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_GE(SignalToErrorDb(untuned, *tuned), 100);
  EXPECT_EQ(*tuned, *again);
  EXPECT_EQ(file, after);
  const std::string name = ListVulkanDevices().value()[UsableDevice()].name;
  EXPECT_NE(file.find(name), std::string::npos) << file;
  EXPECT_NE(file.find("vulkan.conv_wide.2"), std::string::npos) << file;
}

TEST(Vulkan, HalfPrecisionIsClose) {
  TIMBRE_NEED_VULKAN();
  SessionOptions options;
  options.device = UsableDeviceName();
  const std::vector<float> exact = RunSmall(options, nullptr).value();
  options.precision = Precision::kF16;
  options.verify = true;
  const auto out = RunSmall(options, nullptr);
  ASSERT_TRUE(out) << out.error().message;
  if (!VulkanDevice::Open(UsableDevice()).value()->caps().float16)
    GTEST_SKIP() << "not here: this device has no half arithmetic";
  EXPECT_GE(SignalToErrorDb(exact, *out), 55);
  EXPECT_LE(SignalToErrorDb(exact, *out), 100) << "not a half in it";
}

// Enough rows for the tallest tiles, and columns for each breadth of them, with edges; the cases of conformance are
// smaller. On cooperative matrices where the device has them, without being asked for them.
TEST(Vulkan, LargeProductsOfHalvesAreRight) {
  TIMBRE_NEED_VULKAN();
  const DeviceCaps caps = VulkanDevice::Open(UsableDevice()).value()->caps();
  if (!caps.float16) GTEST_SKIP() << "not here: this device has no half arithmetic";
  const int64_t messages = VulkanValidationMessages();
  constexpr int64_t kRows = 12301;
  auto weights = RandomWeights(11);
  GraphBuilder builder("large", *weights);
  const Net net(builder);
  Value y = Glu((net / "a").Conv("conv", builder.Input("x", {1, kRows, 24}), {.out = 200, .kernel = 3, .pad = 1}));
  y = Gelu((net / "b").Linear("linear", y, 40));
  y = (net / "c").Linear("linear", y, 28);
  builder.Output("y", (net / "d").Linear("linear", y, 16));
  auto graph = builder.Finish();
  ASSERT_TRUE(graph) << graph.error().message;
  std::vector<float> x(kRows * 24), results[2];
  for (size_t i = 0; i < x.size(); ++i) x[i] = FormulaValue(13, i, -1, 2);
  for (const bool vulkan : {false, true}) {
    ThreadPool pool(1);
    SessionOptions options;
    options.device = vulkan ? UsableDeviceName() : "cpu";
    options.precision = vulkan ? Precision::kF16 : Precision::kF32;
    options.verify = options.strict = vulkan;
    auto session = MakeSession(*graph, options, pool, nullptr);
    ASSERT_TRUE(session) << session.error().message;
    results[vulkan].resize(kRows * 16);
    const float* const in[] = {x.data()};
    float* const out[] = {results[vulkan].data()};
    const Status ran = (*session)->Run(in, out);
    ASSERT_TRUE(ran) << ran.error().message;
    if (!vulkan) continue;
    int products = 0;
    for (const NodeTiming& row : (*session)->Profile()) {
      if (row.op != "conv" && row.op != "linear") continue;
      EXPECT_TRUE(row.kernel.ends_with(caps.cooperative_matrix ? "_cooperative" : "_f16")) << row.kernel;
      ++products;
    }
    EXPECT_EQ(products, 4);
  }
  EXPECT_GE(SignalToErrorDb(results[0], results[1]), 55);
  EXPECT_LE(SignalToErrorDb(results[0], results[1]), 100) << "not a half in it";
  EXPECT_EQ(VulkanValidationMessages(), messages) << "the validation layers had something to say";
}

// Weights that come as halves take half the memory, and the result is that of the same numbers as floats.
TEST(Vulkan, WeightsOfHalvesStayHalves) {
  TIMBRE_NEED_VULKAN();
  Graph floats = SmallNetwork(), halves = SmallNetwork();
  for (size_t t = 0; t < floats.tensors.size(); ++t) {
    if (!floats.IsConstant(static_cast<TensorId>(t))) continue;
    HostTensor& constant = floats.tensors[t].constant;
    std::vector<float> values = constant.ToF32();
    const std::shared_ptr<std::byte> bytes(new std::byte[values.size() * 2], std::default_delete<std::byte[]>());
    for (size_t i = 0; i < values.size(); ++i) {
      const uint16_t half = FloatToHalf(values[i]);
      std::memcpy(bytes.get() + 2 * i, &half, 2);
      values[i] = HalfToFloat(half);
    }
    halves.tensors[t].constant = {constant.shape, DType::kF16, bytes};
    constant = HostTensor::FromF32(constant.shape, values);
  }
  ThreadPool pool(1);
  std::vector<float> x(320), y[2];
  for (size_t i = 0; i < x.size(); ++i) x[i] = FormulaValue(5, i, -1, 2);
  int64_t bytes[2];
  for (int h = 0; h < 2; ++h) {
    auto session = MakeSession(h == 0 ? floats : halves, {.device = UsableDeviceName()}, pool, nullptr);
    ASSERT_TRUE(session) << session.error().message;
    const float* const in[] = {x.data()};
    y[h].resize(640);
    float* const out[] = {y[h].data()};
    const Status ran = (*session)->Run(in, out);
    ASSERT_TRUE(ran) << ran.error().message;
    bytes[h] = (*session)->weight_bytes();
  }
  EXPECT_EQ(y[0], y[1]);
  EXPECT_LT(bytes[1], bytes[0] * 6 / 10);
}

// A volume is cut into slabs of planes by the memory that there is; the sum is the same whatever the cut.
TEST(Vulkan, VolumesAreSumsOverPlanes) {
  TIMBRE_NEED_VULKAN();
  auto weights = RandomWeights(9);
  GraphBuilder builder("volume", *weights);
  const Net net(builder);
  const Value x = builder.Input("x", {2, 9, 6, 10, 5});
  builder.Output("y", net.Conv("conv", x, {.out = 7, .kernel = 3, .stride = {2, 1, 1}, .pad = {2, 1, 1}}));
  auto graph = builder.Finish();
  ASSERT_TRUE(graph) << graph.error().message;
  ThreadPool pool(1);
  std::vector<float> input(2 * 9 * 6 * 10 * 5);
  for (size_t i = 0; i < input.size(); ++i) input[i] = FormulaValue(21, i, -1, 2);
  const float* const in[] = {input.data()};
  std::vector<float> results[4];
  int found = 0;
  // Room for all planes, three, two and one of them.
  for (const uint64_t room : {1 << 20, 6400, 5000, 2200}) {
    SessionOptions options;
    options.device = UsableDeviceName();
    options.prefer = "vulkan.conv_planes";
    options.memory_limit = room;
    auto session = MakeSession(*graph, options, pool, nullptr);
    ASSERT_TRUE(session) << session.error().message;
    EXPECT_EQ((*session)->Profile()[0].kernel, "vulkan.conv_planes") << room;
    std::vector<float>& y = results[found++];
    y.resize((*session)->graph().shape((*session)->graph().outputs[0].tensor).elements());
    float* const out[] = {y.data()};
    const Status ran = (*session)->Run(in, out);
    ASSERT_TRUE(ran) << ran.error().message;
    EXPECT_EQ(y, results[0]) << room;
  }
  auto cpu = MakeSession(*graph, {.device = "cpu"}, pool, nullptr);
  ASSERT_TRUE(cpu) << cpu.error().message;
  std::vector<float> expected(results[0].size());
  float* const out[] = {expected.data()};
  ASSERT_TRUE((*cpu)->Run(in, out));
  EXPECT_GE(SignalToErrorDb(expected, results[0]), 120);
}

TEST(Vulkan, AutoNeverTakesASoftwareDriver) {
  const auto choice = ChooseDevice("auto");
  ASSERT_TRUE(choice) << choice.error().message;
  const auto devices = ListVulkanDevices();
  EXPECT_FALSE(choice->vulkan_index >= 0 && (*devices)[choice->vulkan_index].software());
  EXPECT_FALSE(choice->reason.empty());
}

TEST(Vulkan, DevicesThatAreNotThereAreRefusedInASentence) {
  for (const std::string wish : {"vulkan:99", "vulcan", "GeForce 9999"}) {
    const auto choice = ChooseDevice(wish);
    ASSERT_FALSE(choice) << wish;
    EXPECT_NE(choice.error().message.find(wish), std::string::npos) << choice.error().message;
  }
}

}  // namespace
}  // namespace timbre
