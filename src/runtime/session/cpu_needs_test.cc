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

// Random weights, and the same rounded to halves and stored so.
class HalfWeights : public Weights {
 public:
  Result<HostTensor> Get(const std::string& name, const Shape& shape) override {
    TIMBRE_TRY(const HostTensor tensor, weights_->Get(name, shape));
    return HostTensor::Half(tensor);
  }
  bool Has(const std::string& name) const override { return weights_->Has(name); }

 private:
  const std::unique_ptr<Weights> weights_ = RandomWeights(1);
};

Result<Graph> Layers(Weights& weights) {
  GraphBuilder graph("layers", weights);
  const Net net(graph);
  const Value picture = graph.Input("picture", {1, 40, 40, 64}), volume = graph.Input("volume", {1, 3, 9, 9, 64});
  graph.Output("3 x 3", net.Conv("a", picture, {.out = 96, .kernel = 3, .pad = 1}));
  graph.Output("1 x 1", net.Conv("b", picture, {.out = 128}));
  graph.Output("3 x 3 x 3", net.Conv("c", volume, {.out = 64, .kernel = 3}));
  graph.Output("linear", net.Linear("d", picture, 192));
  graph.Output("4 x 4 transposed", net.ConvTranspose("e", picture, {.out = 64, .kernel = 4, .stride = 2}));
  return graph.Finish();
}

// The bytes that each kernel packs, against what it is counted as by shapes alone: of weights that are stored as
// floats, and of halves.
TEST(CpuNeeds, CountWhatKernelsPack) {
  ThreadPool pool(1);
  const DeviceCaps caps = CpuCaps(pool, Precision::kF16);
  const std::unique_ptr<Weights> floats = RandomWeights(1);
  HalfWeights halves;
  std::set<std::string_view> seen;
  for (Weights* weights : {floats.get(), static_cast<Weights*>(&halves)}) {
    const auto made = Layers(*weights);
    ASSERT_TRUE(made) << made.error().message;
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
  }
  for (const char* name : {"conv_product", "conv_winograd", "linear_product", "conv_transpose_product"}) {
    EXPECT_TRUE(seen.contains(name)) << name;
  }
}

Result<Graph> Convolutions(Weights& weights) {
  GraphBuilder graph("convolutions", weights);
  const Net net(graph);
  Value x = graph.Input("picture", {1, 40, 40, 64});
  x = net.Conv("down", x, {.out = 128, .kernel = 3, .stride = 2, .pad = 1});
  x = Glu(net.Conv("gated", x, {.out = 256}));
  x = net.Conv("grouped", x, {.out = 128, .kernel = {3, 1}, .groups = 2});
  graph.Output("up", net.ConvTranspose("up", x, {.out = 64, .kernel = 2, .stride = 2}));
  return graph.Finish();
}

// A network of convolutions whose weights are stored as halves holds half of what it holds of floats.
TEST(CpuNeeds, AreHalfOfHalves) {
  ThreadPool pool(1);
  const std::unique_ptr<Weights> floats = RandomWeights(1);
  HalfWeights halves;
  const auto held = [&](Weights& weights) -> int64_t {
    const auto session =
        MakeSession(Convolutions(weights).value(), {.device = "cpu", .heed_doctor = false}, pool, nullptr).value();
    return session->weight_bytes();
  };
  EXPECT_LT(held(halves), held(*floats) * 52 / 100);
}

}  // namespace
}  // namespace timbre
