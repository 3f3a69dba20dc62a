// A small network with a state of each kind, whose results can be told in the head.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "graph/net.h"
#include "runtime/session/session.h"

namespace timbre {

// A cache of `capacity` places and a recurrent state: y = the sum over the cache after x was written at `at` + `gain`
// times the state, which then is what it was plus x.
inline Graph Counter(int capacity, int width = 4, int places = 1) {
  auto weights = RandomWeights(1);
  GraphBuilder builder("counter", *weights);
  const ScalarId at = builder.IntScalar("at");
  const Value x = builder.Input("x", {1, places, width});
  const Value cache = WriteState(builder.State("cache", {1, capacity, width}), x, 1, at);
  const Value sum = builder.State("sum", {1, 1, width});
  const Value more = sum + Reduce(ReduceFn::kSum, x, {1});
  builder.Output("y", Reduce(ReduceFn::kSum, cache, {1}) + Scale(sum, 100));
  WriteState(sum, more);
  auto graph = builder.Finish();
  EXPECT_TRUE(graph) << graph.error().message;
  return *std::move(graph);
}

inline std::unique_ptr<Session> MakeCounter(Graph graph, ThreadPool& pool, SessionOptions options = {},
                                            Stats* stats = nullptr) {
  if (options.device == "auto") options.device = "cpu";
  auto session = MakeSession(std::move(graph), options, pool, stats);
  EXPECT_TRUE(session) << session.error().message;
  return *std::move(session);
}

inline Result<std::vector<float>> Step(Session& session, int at, std::vector<float> x) {
  TIMBRE_CHECK(session.SetScalar("at", at));
  std::vector<float> y(4);
  const float* const in[] = {x.data()};
  float* const out[] = {y.data()};
  TIMBRE_CHECK(session.Run(in, out));
  return y;
}

inline std::vector<float> Of(float value) { return std::vector<float>(4, value); }

}  // namespace timbre
