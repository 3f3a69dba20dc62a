// ONNX files, and what is recognised in them.
#include "formats/onnx.h"
#include "models/separate/mdxnet.h"
#include "models/speech/deepfilternet_onnx.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/checksum.h"
#include "tests/support/onnx_writer.h"

namespace {

using timbre::testing::OnnxWriter;

std::vector<std::string> Seeds() {
  OnnxWriter writer;
  writer.Input("feat_erb", {-1, 1, 4, 4}).Output("y").Tensor("w", {2, 1, 1, 2}, {1, 2, 3, 4});
  writer.Node("Constant", {}, {"c"}, {OnnxWriter::TensorOf("value", {2}, {5, 6})});
  writer.Node("Conv", {"feat_erb", "w", "c"}, {"y"},
              {OnnxWriter::IntsOf("pads", {1, 1}), OnnxWriter::IntOf("group", 1)});
  writer.Node("GRU", {"y", "w", "w", "c"}, {"z"}, {OnnxWriter::IntOf("linear_before_reset", 1)});
  writer.Node("Einsum", {"z", "w"}, {"e"}, {OnnxWriter::TextOf("equation", "btgi,gih->btgh")});
  OnnxWriter mdxnet;
  mdxnet.Input("x", {-1, 4, 8, 4}).Tensor("a", {2, 4, 1, 1}, std::vector<float>(8, 1)).Tensor("b", {2}, {1, 2});
  mdxnet.Tensor("c", {2, 2, 3, 3}, std::vector<float>(36, 1)).Tensor("d", {4, 2, 1, 1}, std::vector<float>(8, 1));
  mdxnet.Node("Conv", {"x", "a", "b"}, {"1"}).Node("Relu", {"1"}, {"2"});
  mdxnet.Node("Transpose", {"2"}, {"3"}, {OnnxWriter::IntsOf("perm", {0, 1, 3, 2})});
  mdxnet.Node("Conv", {"3", "c"}, {"4"}, {OnnxWriter::IntsOf("pads", {1, 1, 1, 1})}).Node("Relu", {"4"}, {"5"});
  mdxnet.Node("Transpose", {"5"}, {"6"}, {OnnxWriter::IntsOf("perm", {0, 1, 3, 2})});
  mdxnet.Node("Conv", {"6", "d"}, {"y"});
  return {writer.Build(), mdxnet.Build(),
          OnnxWriter().Tensor("h", {2}, {1, 2}, 'h').Tensor("s", {2}, {1, 2}, 's').Build()};
}

}  // namespace

TIMBRE_FUZZ_TARGET(Onnx, Seeds, 10000) {
  const auto graph = timbre::ReadOnnx(timbre::SharedBytes::Own(std::string(bytes)));
  if (!graph) return;
  timbre::testing::Checksum(graph->constants);
  const auto weights = timbre::DeepFilterNetFromOnnx(*graph, *graph, *graph);
  if (weights) timbre::testing::Checksum(*weights);
  timbre::TensorMap own;
  auto options = timbre::MdxnetFromOnnx(*graph, &own);
  if (!options) return;
  options->n_fft = 2048;
  const auto given = timbre::WeightsFromMap(std::make_shared<const timbre::TensorMap>(std::move(own)));
  (void)timbre::BuildMdxnet(*options, *given, 3072, 1);
}
