#include "formats/onnx.h"

#include <gtest/gtest.h>

#include "tests/support/onnx_writer.h"

namespace timbre {
namespace {

using testing::OnnxWriter;

OnnxWriter Small() {
  OnnxWriter writer;
  writer.Input("x", {-1, 4}).Output("y").Tensor("w", {2, 2}, {1, 2, 3, 4}).Input("w", {2, 2});
  writer.Node("Constant", {}, {"c"}, {OnnxWriter::TensorOf("value", {2}, {5, 6})});
  writer.Node("Identity", {"c"}, {"d"});
  writer.Node("Conv", {"x", "w", "", "d"}, {"y"},
              {OnnxWriter::IntsOf("pads", {1, -1}), OnnxWriter::IntOf("group", 3), OnnxWriter::FloatOf("epsilon", 0.5f),
               OnnxWriter::TextOf("mode", "same")});
  return writer;
}

Result<OnnxGraph> Read(const std::string& bytes) { return ReadOnnx(SharedBytes::Own(bytes)); }
std::string ErrorOf(const Result<OnnxGraph>& read) { return read ? "" : read.error().message; }

TEST(Onnx, ReadsWhatWasWritten) {
  const auto graph = Read(Small().Build());
  ASSERT_TRUE(graph) << graph.error().message;
  ASSERT_EQ(graph->inputs.size(), 1u) << "of the weights, which older files list too, none is an input";
  EXPECT_EQ(graph->inputs[0].dims, (std::vector<int64_t>{-1, 4}));
  ASSERT_EQ(graph->nodes.size(), 3u);
  const OnnxNode& conv = graph->nodes[2];
  EXPECT_EQ(conv.op, "Conv");
  EXPECT_EQ(conv.Ints("pads", {}), (std::vector<int64_t>{1, -1}));
  EXPECT_EQ(conv.Ints("strides", {1, 1}), (std::vector<int64_t>{1, 1}));
  EXPECT_EQ(conv.Int("group", 1), 3);
  EXPECT_EQ(conv.Float("epsilon", 1), 0.5f);
  EXPECT_EQ(conv.Text("mode"), "same");
  EXPECT_EQ(conv.input(2), "");
  EXPECT_EQ(conv.input(9), "");
  ASSERT_NE(graph->Constant("w"), nullptr);
  EXPECT_EQ(graph->Constant("w")->shape, (Shape{2, 2}));
  ASSERT_NE(graph->Constant("d"), nullptr) << "through Constant and Identity";
  EXPECT_EQ(graph->Constant("d")->ToF32(), (std::vector<float>{5, 6}));
  EXPECT_EQ(graph->Constant("x"), nullptr);
}

// The same values as raw bytes, as a packed list, one by one, and as halves in a list of integers.
TEST(Onnx, TensorsInEveryForm) {
  for (const char form : {'r', 'p', 's', 'h'}) {
    const auto graph = Read(OnnxWriter().Tensor("w", {2}, {1, -2}, form).Build());
    ASSERT_TRUE(graph) << form << graph.error().message;
    EXPECT_EQ(graph->Constant("w")->ToF32(), (std::vector<float>{1, -2})) << form;
  }
}

TEST(Onnx, RefusesWhatIsNotSound) {
  EXPECT_NE(ErrorOf(Read("")).find("no ONNX file"), std::string::npos);
  EXPECT_NE(ErrorOf(Read("words")).find("no ONNX file"), std::string::npos);
  const std::string whole = Small().Build();
  for (size_t size = 0; size < whole.size(); size += 3) EXPECT_FALSE(Read(whole.substr(0, size))) << size;
  EXPECT_NE(ErrorOf(Read(Small().Tensor("w", {1}, {1}).Build())).find("twice"), std::string::npos);
  EXPECT_NE(ErrorOf(Read(Small().Tensor("v", {3}, {1}).Build())).find("'v'"), std::string::npos);
  EXPECT_NE(ErrorOf(Read(Small().Tensor("v", {-1}, {1}).Build())).find("'v'"), std::string::npos);
  EXPECT_NE(ErrorOf(Read(Small().Tensor("v", {1 << 30, 1 << 30}, {1}).Build())).find("size"), std::string::npos);
  EXPECT_NE(ErrorOf(Read(Small().Tensor("v", {1, 1, 1, 1, 1, 1, 1}, {1}).Build())).find("7 dim"), std::string::npos);
  EXPECT_NE(ErrorOf(Read(Small().External("v").Build())).find("another file"), std::string::npos);
  EXPECT_NE(ErrorOf(Read(Small().Texts("v").Build())).find("type 8"), std::string::npos);
}

}  // namespace
}  // namespace timbre
