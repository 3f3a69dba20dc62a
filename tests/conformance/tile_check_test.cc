// What doctor says of networks: a kernel that lies shows in each, and nothing that shows nothing is called right.
#include "runtime/check/tile_check.h"

#include <gtest/gtest.h>

#include <limits>

#include "models/released_networks.h"

namespace timbre {
namespace {

ComputedTile Of(std::vector<std::vector<float>> outputs) {
  ComputedTile tile;
  for (size_t i = 0; i < outputs.size(); ++i) tile.names.push_back("output 'y" + std::to_string(i) + "'");
  tile.values = std::move(outputs);
  return tile;
}

TEST(TileCheck, EveryOutputCounts) {
  const ComputedTile reference = Of({{1, 2, 3}, {0.5f, -0.5f, 0.25f}});
  EXPECT_EQ(Compare(reference, reference).problem, "");
  EXPECT_EQ(Compare(reference, reference).db, kMostDb);
  const TileAgreement rounded = Compare(reference, Of({{1, 2, 3}, {0.5f, -0.5f, 0.2500001f}}));
  EXPECT_EQ(rounded.problem, "");
  EXPECT_LT(rounded.db, 160);
  // The first output is often a copy of the input, which any device gets right.
  const TileAgreement wrong = Compare(reference, Of({{1, 2, 3}, {0.5f, -0.5f, 0.251f}}));
  EXPECT_NE(wrong.problem.find("'y1'"), std::string::npos) << wrong.problem;
  EXPECT_LT(wrong.db, 60);
}

TEST(TileCheck, WhatShowsNothingIsNotRight) {
  constexpr float kNone = std::numeric_limits<float>::quiet_NaN();
  for (const std::vector<float>& empty : std::vector<std::vector<float>>{{}, {0, 0, 0}, {0.5f, 0.5f}, {1, kNone}}) {
    EXPECT_NE(Compare(Of({{1, 2}, empty}), Of({{1, 2}, empty})).problem, "") << testing::PrintToString(empty);
  }
  EXPECT_NE(Compare(Of({{1, 2}}), Of({{0, 0}})).problem, "");
  EXPECT_NE(Compare(Of({{1, 2}}), Of({{1, kNone}})).problem, "");
  EXPECT_NE(Compare(Of({{1, 2}}), Of({{1, 2, 3}})).problem, "");
  EXPECT_NE(Compare(Of({{1, 2}}), Of({})).problem, "");
  EXPECT_NE(Compare(Of({}), Of({})).problem, "");
  // What the CPU computed in a device's place is the CPU's own.
  ComputedTile own = Of({{1, 2}});
  own.retired = "lost";
  EXPECT_NE(Compare(Of({{1, 2}}), own).problem.find("lost"), std::string::npos);
}

// One layer is wrong, somewhere in the network: any of those with states, whose outputs of one run do not tell of all.
TEST(TileCheck, AKernelThatLiesShowsInEveryNetwork) {
  ThreadPool pool(2);
  for (const auto& [name, step] : {std::pair("htdemucs-small", 11), {"deepfilternet3", 1}, {"gtcrn", 1}}) {
    const std::unique_ptr<Weights> weights = RandomWeights(1);
    const auto graph = FindNetwork(name).value()->build(*weights, 1);
    ASSERT_TRUE(graph) << graph.error().message;
    SessionOptions options;
    options.device = "cpu";
    options.heed_doctor = false;
    const auto honest = ComputeTile(*graph, options, pool, 2);
    ASSERT_TRUE(honest) << honest.error().message;
    FaultInjector counter;
    options.faults = &counter;
    const auto counted = ComputeTile(*graph, options, pool, 1);
    ASSERT_TRUE(counted);
    EXPECT_EQ(Compare(*honest, *counted).problem, "") << name;
    const int64_t layers = counter.passes(FaultPoint::kResult);
    ASSERT_GT(layers, 20) << name;
    for (int64_t layer = 0; layer < layers; layer += step) {
      FaultInjector injector;
      injector.FailAt(FaultPoint::kResult, layer);
      options.faults = &injector;
      const auto tile = ComputeTile(*graph, options, pool, 1);
      ASSERT_TRUE(tile);
      EXPECT_NE(Compare(*honest, *tile).problem, "") << name << ", layer " << layer << " of " << layers;
    }
  }
}

}  // namespace
}  // namespace timbre
