#include "pipelines/check_finite.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <limits>
#include <vector>

#include "formats/checkpoint.h"
#include "formats/safetensors.h"
#include "graph/net.h"
#include "runtime/session/session.h"
#include "tests/e2e/program.h"

namespace timbre {
namespace {

constexpr int64_t kWide = 96;

// Weights that lie in a file, and two layers of them: one as it is stored, one that is computed from what is stored.
class WeightsFile : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::vector<float> values(kWide * kWide, 0.25f);
    ASSERT_TRUE(WriteSafetensors(path_, {{"stored.weight", HostTensor::FromF32({kWide, kWide}, values)},
                                         {"made.weight", HostTensor::FromF32({kWide, kWide}, values)}}));
    checkpoint_ = ReadCheckpoint(path_).value();
  }
  Graph Layer(const std::string& name) const {
    const auto weights = WeightsFromMap(checkpoint_.tensors);
    weights->Ignore(name == "made" ? "stored.weight" : "made.weight");
    GraphBuilder builder(name, *weights);
    builder.Output("y", Net(builder).Linear(name, builder.Input("x", {4, kWide}), kWide, false));
    Graph graph = builder.Finish().value();
    if (name == "made") {
      for (TensorInfo& tensor : graph.tensors) {
        const HostTensor stored = tensor.constant;
        if (stored.mapped) tensor.constant = HostTensor::Made(stored.shape, [=](float* out) { stored.ReadF32(out); });
      }
    }
    return graph;
  }

  const testing::TempFolder folder_;
  const std::string path_ = folder_ / "w.safetensors";
  Checkpoint checkpoint_;
  ThreadPool pool_{1};
};

TEST_F(WeightsFile, ThatIsCutShortBeforeASessionIsMadeIsNamed) {
  const Graph graph = Layer("stored");
  std::filesystem::resize_file(path_, 4096);
  const auto session = MakeSession(graph, {.device = "cpu"}, pool_, nullptr);
  ASSERT_FALSE(session);
  EXPECT_EQ(session.error().code, ErrorCode::kCorrupt) << session.error().message;
  EXPECT_NE(session.error().message.find(path_), std::string::npos) << session.error().message;
}

// Nobody knows the file behind what is computed from it: the result is no number, and then every file is looked at.
TEST_F(WeightsFile, ThatIsCutShortIsNamedWhereAResultIsNoNumber) {
  const Graph graph = Layer("made");
  std::filesystem::resize_file(path_, 4096);
  const auto session = MakeSession(graph, {.device = "cpu"}, pool_, nullptr);
  ASSERT_TRUE(session) << session.error().message;
  const std::vector<float> x(4 * kWide, 1.0f);
  std::vector<float> y(x.size());
  const float* in[] = {x.data()};
  float* out[] = {y.data()};
  ASSERT_TRUE((*session)->Run(in, out));
  const Status finite = CheckFinite(y, "a kernel is wrong");
  ASSERT_FALSE(finite);
  EXPECT_EQ(finite.error().code, ErrorCode::kCorrupt);
  EXPECT_NE(finite.error().message.find(path_), std::string::npos) << finite.error().message;
}

TEST_F(WeightsFile, ThatIsAsItWasIsNotBlamed) {
  EXPECT_TRUE(CheckFinite(std::vector<float>{1, 2}, "x"));
  for (const float bad : {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
    const Status finite = CheckFinite(std::vector<float>{1, bad, 2}, "a kernel is wrong");
    ASSERT_FALSE(finite);
    EXPECT_EQ(finite.error().code, ErrorCode::kKernelFailed);
    EXPECT_EQ(finite.error().message, "a kernel is wrong");
  }
}

}  // namespace
}  // namespace timbre
