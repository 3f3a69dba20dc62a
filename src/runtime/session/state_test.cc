// States that stay between runs, and the scalars that say where they are written.
#include "runtime/session/state.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <fstream>

#include "graph/net.h"
#include "graph/passes.h"
#include "graph/state.h"
#include "tests/support/counter.h"
#include "tests/support/resident.h"

namespace timbre {
namespace {

TEST(SessionState, StaysBetweenRunsAndIsWrittenAtItsPlace) {
  ThreadPool pool(1);
  for (int mask = 0; mask < 8; ++mask) {
    SessionOptions options;
    options.toggles.static_plan = (mask & 1) != 0;
    options.toggles.fast_kernels = (mask & 2) != 0;
    options.verify = (mask & 4) != 0;
    auto session = MakeCounter(Counter(3), pool, options);
    EXPECT_EQ(Step(*session, 0, Of(1)).value(), Of(1)) << mask;
    EXPECT_EQ(Step(*session, 1, Of(2)).value(), Of(103)) << mask;
    EXPECT_EQ(Step(*session, 2, Of(4)).value(), Of(307)) << mask;
    EXPECT_EQ(Step(*session, 1, Of(8)).value(), Of(713)) << mask;
    EXPECT_EQ(session->state()->used("cache"), 3);
    session->state()->Clear();
    EXPECT_EQ(Step(*session, 0, Of(1)).value(), Of(1)) << mask;
  }
}

TEST(SessionState, PlacesThatAreNotThereAreRefusedAndChangeNothing) {
  ThreadPool pool(1);
  auto session = MakeCounter(Counter(3, 4, 2), pool);
  const std::vector<float> x(8, 1.0f);
  ASSERT_TRUE(Step(*session, 0, x));
  const std::vector<std::byte> before = session->state()->Save();
  for (const int at : {-1, 2, 3, 1 << 30}) {
    const auto refused = Step(*session, at, x);
    ASSERT_FALSE(refused) << at;
    EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
    EXPECT_NE(refused.error().message.find("'cache' has 3 places"), std::string::npos) << refused.error().message;
    EXPECT_EQ(session->state()->Save(), before);
  }
}

TEST(SessionState, ScalarsAreHeldToTheirNamesAndTypes) {
  ThreadPool pool(1);
  auto session = MakeCounter(Counter(3), pool);
  EXPECT_FALSE(session->SetScalar("at", 1.0f));
  EXPECT_FALSE(session->SetScalar("beyond", 1));
  EXPECT_FALSE(session->SetScalar(ScalarId{1}, 1));
  EXPECT_FALSE(session->SetScalar(kNoScalar, 1));
  EXPECT_FALSE(session->SetScalars({}));
  EXPECT_TRUE(session->SetScalar(ScalarId{0}, 2));
  EXPECT_EQ(session->scalars(), std::vector<uint32_t>{2});
}

// What was rolled back is as if it had never run, bit for bit, whatever was written over.
TEST(SessionState, RollsBackToAMarkAsOftenAsOneLikes) {
  ThreadPool pool(1);
  auto session = MakeCounter(Counter(5), pool);
  EXPECT_FALSE(session->state()->Rollback());
  ASSERT_TRUE(Step(*session, 0, Of(1)));
  ASSERT_TRUE(Step(*session, 1, Of(2)));
  ASSERT_TRUE(session->state()->Mark());
  const auto marked = session->state()->Save();
  const auto cache = session->state()->Get("cache").value();
  for (int again = 0; again < 3; ++again) {
    const auto after = Step(*session, 2, Of(4));
    EXPECT_EQ(after.value(), Of(307)) << again;
    ASSERT_TRUE(Step(*session, 0, Of(64))) << "over what the mark protects";
    ASSERT_TRUE(Step(*session, 0, Of(65))) << "twice";
    ASSERT_TRUE(Step(*session, 4, Of(5)));
    ASSERT_TRUE(session->state()->Rollback());
    EXPECT_EQ(session->state()->Save(), marked) << again;
    EXPECT_EQ(session->state()->Get("cache").value(), cache) << "places given up are zero again";
  }
  session->state()->Unmark();
  EXPECT_FALSE(session->state()->Rollback());
  EXPECT_EQ(Step(*session, 2, Of(4)).value(), Of(307));
}

TEST(SessionState, IsSavedAndRestored) {
  ThreadPool pool(1);
  auto session = MakeCounter(Counter(5), pool), other = MakeCounter(Counter(5), pool);
  ASSERT_TRUE(Step(*session, 0, Of(1)));
  ASSERT_TRUE(Step(*session, 1, Of(2)));
  const auto saved = session->state()->Save();
  for (int at = 0; at < 5; ++at) ASSERT_TRUE(Step(*other, at, Of(9)));
  ASSERT_TRUE(other->state()->Restore(saved));
  EXPECT_EQ(other->state()->Save(), saved);
  EXPECT_EQ(Step(*other, 2, Of(4)).value(), Of(307));

  // Of a state that only has two places in use, no more is kept.
  EXPECT_LT(saved.size(), 8 + 8 + 2 * 16 + 16 + 8);
  for (size_t length = 0; length < saved.size(); ++length) {
    ASSERT_TRUE(Step(*session, 3, Of(1)));
    EXPECT_FALSE(session->state()->Restore(std::span(saved).first(length))) << length;
    EXPECT_EQ(session->state()->Get("cache").value(), std::vector<float>(20)) << length;
  }
  auto longer = saved;
  longer.push_back(std::byte{0});
  EXPECT_FALSE(session->state()->Restore(longer));
  for (size_t i = 0; i < 16; ++i) {
    auto damaged = saved;
    damaged[i] = ~damaged[i];
    EXPECT_FALSE(session->state()->Restore(damaged)) << i;
  }
  auto larger = MakeCounter(Counter(6), pool);
  EXPECT_FALSE(larger->state()->Restore(saved)) << "another model's";
}

// One session for a prompt, one for a step, over the same states; and one session over several.
TEST(SessionState, IsSharedBySessionsAndExchanged) {
  ThreadPool pool(1);
  auto prompt = MakeCounter(Counter(8, 4, 3), pool), step = MakeCounter(Counter(8), pool);
  ASSERT_TRUE(step->UseState(prompt->state()));
  std::vector<float> x(12, 1.0f);
  ASSERT_TRUE(Step(*prompt, 0, x));
  EXPECT_EQ(Step(*step, 3, Of(2)).value(), Of(305));

  const std::shared_ptr<SessionState> first = step->state(), second = std::make_shared<SessionState>();
  ASSERT_TRUE(step->UseState(second));
  EXPECT_EQ(Step(*step, 0, Of(7)).value(), Of(7));
  ASSERT_TRUE(step->UseState(first));
  EXPECT_EQ(Step(*step, 4, Of(0)).value(), Of(505));
  ASSERT_TRUE(step->UseState(second));
  EXPECT_EQ(Step(*step, 1, Of(1)).value(), Of(708));

  auto other = MakeCounter(Counter(9), pool);
  const Status refused = other->UseState(first);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("[1, 9, 4]"), std::string::npos) << refused.error().message;
}

// A run that fails half-way leaves the state as it was, and so can be run again.
TEST(SessionState, ARunThatFailsChangesNothing) {
  ThreadPool pool(1);
  FaultInjector counter;
  SessionOptions options;
  options.faults = &counter;
  auto counted = MakeCounter(Counter(4), pool, options);
  ASSERT_TRUE(Step(*counted, 0, Of(1)));
  const int64_t passes = counter.passes(FaultPoint::kKernel);
  ASSERT_GT(passes, 4);
  for (int64_t n = 0; n < 2 * passes; ++n) {
    const bool over = n >= passes;  // what is in use already
    FaultInjector injector;
    injector.FailAt(FaultPoint::kKernel, 2 * passes + n % passes);
    options.faults = &injector;
    options.strict = true;
    auto session = MakeCounter(Counter(4), pool, options);
    ASSERT_TRUE(Step(*session, 0, Of(1)));
    ASSERT_TRUE(Step(*session, 1, Of(2)));
    const auto before = session->state()->Save();
    const auto cache = session->state()->Get("cache").value();
    ASSERT_FALSE(Step(*session, over ? 0 : 2, Of(3)));
    EXPECT_EQ(session->state()->Save(), before) << n;
    EXPECT_EQ(session->state()->Get("cache").value(), cache) << n;
    EXPECT_EQ(Step(*session, 2, Of(4)).value(), Of(307)) << n;
  }
}

// Without memory for the places that a run writes over it does not begin, and they stay what they are.
TEST(SessionState, PlacesThatCannotBeKeptAsideAreNotWrittenOver) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer's address space cannot be limited";
#endif
  const Graph graph = Counter(3, 1 << 25);  // 128 MiB a place: more than the heap keeps for itself
  SessionState state;
  const auto indices = state.Attach(graph);
  ASSERT_TRUE(indices) << indices.error().message;
  const auto writes = SessionState::WritesOf(graph, *indices);
  const std::vector<uint32_t> at = {0};
  ASSERT_TRUE(state.Begin(writes, {at}));
  const auto cache = std::find_if(writes.begin(), writes.end(), [](const auto& write) { return !write.whole; });
  ASSERT_NE(cache, writes.end());
  state.Now(cache->state)[1000] = std::byte{7};
  state.Commit();
  const pid_t child = fork();
  if (child == 0) {
    std::ifstream sizes("/proc/self/statm");
    rlim_t pages = 0;
    sizes >> pages;
    const rlim_t bytes = pages * static_cast<rlim_t>(sysconf(_SC_PAGESIZE)) + (rlim_t{1} << 20);
    const rlimit limit{bytes, bytes};
    if (setrlimit(RLIMIT_AS, &limit) != 0) _exit(2);
    const Status begun = state.Begin(writes, {at});
    const bool refused = !begun && begun.error().code == ErrorCode::kOutOfMemory;
    _exit(!refused ? 3 : state.Now(cache->state)[1000] == std::byte{7} ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

// A session that comes after the mark may bring a state that was not there: it was zero then.
TEST(SessionState, WhatComesAfterAMarkIsZeroAtIt) {
  auto weights = RandomWeights(1);
  GraphBuilder builder("first", *weights);
  const Value x = builder.Input("x", {1, 1, 4});
  builder.Output("y", WriteState(builder.State("cache", {1, 3, 4}), x, 1, builder.IntScalar("at")));
  const auto first = builder.Finish();
  ASSERT_TRUE(first) << first.error().message;
  SessionState state;
  ASSERT_TRUE(state.Attach(*first));
  ASSERT_TRUE(state.Mark());
  const Graph graph = Counter(3);
  const auto indices = state.Attach(graph);
  ASSERT_TRUE(indices) << indices.error().message;
  const auto writes = SessionState::WritesOf(graph, *indices);
  const std::vector<uint32_t> at = {0};
  for (int again = 0; again < 2; ++again) {
    ASSERT_TRUE(state.Begin(writes, {at}));
    for (const auto& write : writes) {
      if (write.whole) std::memset(state.Next(write.state), 1, 16);
    }
    state.Commit();
    ASSERT_NE(state.Get("sum").value(), Of(0));
    ASSERT_TRUE(state.Rollback());
    EXPECT_EQ(state.Get("sum").value(), Of(0));
  }
}

// Asked between nodes: of a run that is cancelled while a node is computed, no other node is computed.
TEST(Session, ACancelledRunComputesNoOtherNode) {
  ThreadPool pool(1);
  std::atomic<bool> cancelled = false;
  FaultInjector counter;
  SessionOptions options;
  options.cancelled = &cancelled;
  options.faults = &counter;
  auto session = MakeCounter(Counter(4), pool, options);
  ASSERT_TRUE(Step(*session, 0, Of(1)));
  const int64_t passes = counter.passes(FaultPoint::kKernel);
  const auto before = session->state()->Save();
  cancelled = true;
  const auto refused = Step(*session, 1, Of(2));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kCancelled);
  EXPECT_EQ(counter.passes(FaultPoint::kKernel), passes);
  EXPECT_EQ(session->state()->Save(), before);
  cancelled = false;
  EXPECT_EQ(Step(*session, 1, Of(2)).value(), Of(103));
}

// A gigabyte of cache, stepped a hundred times: what moves is what is written, and no page else is ever touched.
TEST(SessionState, AGigabyteIsSteppedWithoutACopy) {
  constexpr int kLayers = 16, kCapacity = 16384, kWidth = 1024;  // 64 MiB each
  auto weights = RandomWeights(1);
  GraphBuilder builder("large", *weights);
  const ScalarId at = builder.IntScalar("at");
  Value x = builder.Input("x", {1, 1, kWidth});
  for (int layer = 0; layer < kLayers; ++layer) {
    const Value cache = WriteState(builder.State("cache." + std::to_string(layer), {1, kCapacity, kWidth}), x, 1, at);
    x = Scale(x, 0.5f);
    builder.Output("first." + std::to_string(layer), Slice(cache, 1, 0, 2));
  }
  auto graph = builder.Finish();
  ASSERT_TRUE(graph) << graph.error().message;
  ThreadPool pool(1);
  auto session = MakeCounter(*std::move(graph), pool);
  EXPECT_GE(session->state()->bytes(), int64_t{1} << 30);
  std::vector<float> input(kWidth, 1.0f);
  std::vector<std::vector<float>> first(kLayers, std::vector<float>(2 * kWidth));
  std::vector<float*> out;
  for (auto& f : first) out.push_back(f.data());
  const float* const in[] = {input.data()};
  constexpr int kSteps = 100;
  const int64_t resident = testing::ResidentBytes();
  for (int step = 0; step < kSteps; ++step) {
    input[0] = static_cast<float>(step);
    ASSERT_TRUE(session->SetScalar("at", step));
    ASSERT_TRUE(session->Run(in, out));
  }
  EXPECT_EQ(first[0][0], 0);
  EXPECT_EQ(first[0][kWidth], 1);
  EXPECT_EQ(session->state()->bytes_moved(), int64_t{kSteps} * kLayers * kWidth * 4);
  EXPECT_LT(testing::ResidentBytes() - resident, int64_t{128} << 20);
}

// What reads a state as it was must stay before the write that ends it, whatever it is fused with.
TEST(States, FusionMovesNoReaderBehindAWrite) {
  auto weights = RandomWeights(1);
  GraphBuilder builder("order", *weights);
  const Net net(builder);
  const Value x = builder.Input("x", {1, 4, 8});
  const Value state = builder.State("state", {1, 4, 8});
  const Value y = net.Linear("linear", state, 8);
  WriteState(state, x);
  builder.Output("y", Gelu(y));
  Graph graph = builder.Finish().value();
  FuseEpilogues(graph, [](const Graph&, const Node&) { return true; });
  EXPECT_TRUE(Validate(graph));
  ASSERT_EQ(graph.nodes.size(), 3u);

  GraphBuilder early("early", *weights);
  const Value input = early.Input("x", {1, 4, 8});
  const Value kept = early.State("state", {1, 4, 8});
  const Value sum = input + kept;
  early.Output("y", Gelu(sum));
  WriteState(kept, sum);
  Graph fused = early.Finish().value();
  FuseEpilogues(fused, [](const Graph&, const Node&) { return true; });
  EXPECT_TRUE(Validate(fused));
}

TEST(States, WritesThatMakeNoSenseAreRefused) {
  const auto refused = [](const std::function<void(GraphBuilder&, Value, Value)>& build, std::string_view what) {
    auto weights = RandomWeights(1);
    GraphBuilder builder("refused", *weights);
    const Value x = builder.Input("x", {1, 4, 8});
    build(builder, builder.State("state", {1, 4, 8}), x);
    const auto graph = builder.Finish();
    ASSERT_FALSE(graph) << what;
    EXPECT_NE(graph.error().message.find(what), std::string::npos) << graph.error().message;
  };
  refused(
      [](GraphBuilder&, Value state, Value x) {
        WriteState(state, x);
        WriteState(state, x);
      },
      "was written to since");
  refused([](GraphBuilder&, Value state, Value x) { WriteState(WriteState(state, x), x); }, "replaced whole");
  refused([](GraphBuilder& b, Value state, Value x) { WriteState(WriteState(state, x), x, 1, b.IntScalar("at")); },
          "replaced whole");
  refused([](GraphBuilder& b, Value state, Value x) { WriteState(state, x, 1, b.FloatScalar("at")); },
          "no int32 scalar");
  refused([](GraphBuilder&, Value state, Value x) { WriteState(state, x, 1, 7); }, "no int32 scalar");
  refused([](GraphBuilder&, Value, Value x) { WriteState(x, Relu(x)); }, "no state");
  refused([](GraphBuilder&, Value state, Value) { WriteState(state, Reshape(state, {1, 4, 8})); }, "into itself");
  refused(
      [](GraphBuilder&, Value state, Value x) {
        WriteState(state, Reshape(x, {1, 8, 4}));
      },
      "a write into a state");
  refused(
      [](GraphBuilder& b, Value state, Value x) {
        WriteState(state, x);
        b.Output("late", Relu(state));
      },
      "as it was before a write");
  refused(
      [](GraphBuilder& b, Value state, Value x) {
        WriteState(state, x);
        b.Output("old", state);
      },
      "written later");
  refused(
      [](GraphBuilder& b, Value state, Value) {
        b.State("state", {1});
        b.Output("y", state);
      },
      "two states");
  refused(
      [](GraphBuilder& b, Value state, Value x) {
        WriteState(b.State("halves", {1, 4, 8}, DType::kF16), x);
        b.Output("y", state);
      },
      "another element type");
}

}  // namespace
}  // namespace timbre
