// ONNX files, and what is recognised in them.
#include "formats/onnx.h"
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
  return {writer.Build(), OnnxWriter().Tensor("h", {2}, {1, 2}, 'h').Tensor("s", {2}, {1, 2}, 's').Build()};
}

}  // namespace

TIMBRE_FUZZ_TARGET(Onnx, Seeds) {
  const auto graph = timbre::ReadOnnx(timbre::SharedBytes::Own(std::string(bytes)));
  if (!graph) return;
  timbre::testing::Checksum(graph->constants);
  const auto weights = timbre::DeepFilterNetFromOnnx(*graph, *graph, *graph);
  if (weights) timbre::testing::Checksum(*weights);
}
