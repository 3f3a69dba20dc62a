#include "runtime/session/cpu_needs.h"

#include <gtest/gtest.h>

#include <set>

#include "graph/net.h"
#include "models/released_networks.h"
#include "runtime/session/cpu_ladder.h"
#include "runtime/session/session.h"

namespace timbre {
namespace {

class CpuNeedsOfNetworks : public ::testing::TestWithParam<const char*> {};

// By what sessions really allocate: their arena, and what they hold packed or widened.
TEST_P(CpuNeedsOfNetworks, AreWhatSessionsTake) {
  ThreadPool pool(2);
  const auto network = FindNetwork(GetParam());
  ASSERT_TRUE(network);
  const std::unique_ptr<Weights> weights = RandomWeights(1);
  auto graph = (*network)->build(*weights, 1);
  ASSERT_TRUE(graph) << graph.error().message;
  const CpuNeeds needs = CpuNeedsOf(*graph, CpuCaps(pool, Precision::kF32));
  const auto session = MakeSession(*std::move(graph), {.device = "cpu", .heed_doctor = false}, pool, nullptr);
  ASSERT_TRUE(session) << session.error().message;
  EXPECT_EQ(needs.arena, (*session)->arena_bytes());
  const auto held = static_cast<double>((*session)->weight_bytes());
  EXPECT_NEAR(static_cast<double>(needs.weights), held, held / 10);
}

INSTANTIATE_TEST_SUITE_P(Small, CpuNeedsOfNetworks, ::testing::Values("htdemucs-small", "deepfilternet3"));

// The bytes that each kernel packs, against what it is counted as by shapes alone.
TEST(CpuNeeds, CountWhatKernelsPack) {
  const std::unique_ptr<Weights> weights = RandomWeights(1);
  GraphBuilder graph("layers", *weights);
  const Net net(graph);
  const Value picture = graph.Input("picture", {1, 40, 40, 64}), volume = graph.Input("volume", {1, 3, 9, 9, 64});
  graph.Output("3 x 3", net.Conv("a", picture, {.out = 96, .kernel = 3, .pad = 1}));
  graph.Output("1 x 1", net.Conv("b", picture, {.out = 128}));
  graph.Output("3 x 3 x 3", net.Conv("c", volume, {.out = 64, .kernel = 3}));
  graph.Output("linear", net.Linear("d", picture, 192));
  const auto made = graph.Finish();
  ASSERT_TRUE(made) << made.error().message;
  ThreadPool pool(1);
  const DeviceCaps caps = CpuCaps(pool, Precision::kF16);
  std::set<std::string_view> seen;
  for (const KernelRow* row : AllKernels()) {
    if (row->device != DeviceKind::kCpu || row->pack == nullptr) continue;
    for (const Node& node : made->nodes) {
      const NodeRef ref{*made, node};
      if (node.op != row->op || !row->Supports(ref, caps)) continue;
      const auto packed = row->pack(ref, caps);
      ASSERT_TRUE(packed) << row->name << " " << node.name;
      const auto held = static_cast<double>(packed->size());
      EXPECT_NEAR(static_cast<double>(PackedBytesOf(*row, ref)), held, held / 10) << row->name << " " << node.name;
      seen.insert(row->name);
    }
  }
  for (const char* name : {"conv_product", "conv_winograd", "linear_product"}) EXPECT_TRUE(seen.contains(name)) << name;
}

}  // namespace
}  // namespace timbre
