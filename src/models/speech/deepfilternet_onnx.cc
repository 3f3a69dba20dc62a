#include "models/speech/deepfilternet_onnx.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "base/text.h"
#include "formats/tarball.h"
#include "formats/weight_values.h"

namespace timbre {
namespace {

constexpr float kNormEps = 1e-5f;  // of PyTorch's batch norm

Error Unlike(const std::string& what) {
  return {ErrorCode::kUnsupported, "the ONNX file is of another network than DeepFilterNet3: " + what};
}

// One graph's nodes that have weights, in order.
class Part {
 public:
  Part(const OnnxGraph& graph, TensorMap* weights, std::string scope)
      : graph_(graph), weights_(weights), scope_(std::move(scope)) {
    // What a node computes belongs to the input of the graph that it is reached from first.
    std::map<std::string, std::string> source;
    for (const OnnxPort& port : graph.inputs) source[port.name] = port.name;
    for (const OnnxNode& node : graph.nodes) {
      std::string from;
      for (const std::string& input : node.inputs) {
        if (const auto found = source.find(input); from.empty() && found != source.end()) from = found->second;
      }
      for (const std::string& output : node.outputs) source[output] = from;
      if (node.op == "Conv" || node.op == "ConvTranspose") convs_.push_back({&node, from});
      if (node.op == "GRU") grus_.push_back(&node);
      if (node.op == "Einsum") grouped_.push_back(&node);
      if (node.op == "MatMul") matmuls_.push_back(&node);
      if (node.op == "Add") adds_.push_back(&node);
    }
  }

  // The next convolution that is reached from `input` (or from whichever) becomes NAME.LAYER. A bias is a batch norm's,
  // which is the layer behind it.
  Status Conv(const std::string& name, int layer, const std::string& input = "") {
    const auto next = std::find_if(convs_.begin(), convs_.end(),
                                   [&](const auto& conv) { return input.empty() || conv.second == input; });
    if (next == convs_.end()) return tl::unexpected(Unlike("it has no convolution for " + scope_ + name));
    const OnnxNode& node = *next->first;
    convs_.erase(next);
    const std::string place = scope_ + name + "." + std::to_string(layer);
    TIMBRE_CHECK(Take(node.input(1), place + ".weight"));
    const bool normed = !node.input(2).empty();
    if (normed) TIMBRE_CHECK(AddNorm(node.input(2), scope_ + name + "." + std::to_string(layer + 1)));
    return {};
  }
  // A grouped convolution, and the one that mixes its channels.
  Status Separable(const std::string& name, int layer, const std::string& input = "") {
    TIMBRE_CHECK(Conv(name, layer, input));
    return Conv(name, layer + 1, input);
  }

  // The next linear layer in groups.
  Status Grouped(const std::string& name) {
    if (grouped_.empty() || grouped_.front()->Text("equation") != "btgi,gih->btgh") {
      return tl::unexpected(Unlike("it has no grouped layer for " + scope_ + name));
    }
    const OnnxNode& node = *grouped_.front();
    grouped_.erase(grouped_.begin());
    return Take(node.input(1), scope_ + name + ".weight");
  }

  // All recurrent layers.
  Status Grus(const std::string& name) {
    if (grus_.empty()) return tl::unexpected(Unlike("it has no recurrent layer for " + scope_ + name));
    for (size_t layer = 0; layer < grus_.size(); ++layer) {
      const OnnxNode& node = *grus_[layer];
      if (node.Int("linear_before_reset", 0) != 1 || node.Text("direction") == "reverse" ||
          node.Text("direction") == "bidirectional") {
        return tl::unexpected(Unlike("its recurrent layers are of another kind"));
      }
      const HostTensor* w = graph_.Constant(node.input(1));
      const HostTensor* r = graph_.Constant(node.input(2));
      const HostTensor* b = graph_.Constant(node.input(3));
      const int64_t hidden = r == nullptr || r->shape.rank() != 3 ? 0 : r->shape[2];
      if (w == nullptr || b == nullptr || hidden < 1 || w->shape.rank() != 3 || w->shape[0] != 1 || r->shape[0] != 1 ||
          w->shape[1] != 3 * hidden || r->shape[1] != 3 * hidden || b->shape != Shape({1, 6 * hidden})) {
        return tl::unexpected(Unlike("its recurrent layers' weights are not of the shapes they should have"));
      }
      const auto weight = [&](const char* kind) -> HostTensor& {
        return (*weights_)[fmt::format("{}{}.{}_l{}", scope_, name, kind, layer)];
      };
      const int64_t in = w->shape[2];
      weight("weight_ih") = GatesAsPyTorch(w->ToF32(), hidden, in);
      weight("weight_hh") = GatesAsPyTorch(r->ToF32(), hidden, hidden);
      const std::vector<float> biases = b->ToF32();
      const auto half = biases.begin() + 3 * hidden;
      weight("bias_ih") = GatesAsPyTorch({biases.begin(), half}, hidden, 0);
      weight("bias_hh") = GatesAsPyTorch({half, biases.end()}, hidden, 0);
    }
    return {};
  }

  // The layer that gives one number a frame.
  Status ToOne(const std::string& name) {
    for (const OnnxNode* node : matmuls_) {
      const HostTensor* w = graph_.Constant(node->input(1));
      if (w == nullptr || w->shape.rank() != 2 || w->shape[1] != 1) continue;
      (*weights_)[scope_ + name + ".weight"] = HostTensor::FromF32({1, w->shape[0]}, w->ToF32());
      for (const OnnxNode* add : adds_) {
        for (const size_t side : {size_t{0}, size_t{1}}) {
          if (!node->outputs.empty() && add->input(1 - side) == node->outputs[0]) {
            return Take(add->input(side), scope_ + name + ".bias");
          }
        }
      }
    }
    return tl::unexpected(Unlike("it has no layer for " + scope_ + name));
  }

  // Nothing is left over.
  Status Finish() const {
    if (!convs_.empty() || !grouped_.empty()) {
      return tl::unexpected(Unlike("it has more layers than " + scope_.substr(0, scope_.size() - 1)));
    }
    return {};
  }

 private:
  Status Take(const std::string& from, const std::string& to) {
    const HostTensor* tensor = graph_.Constant(from);
    if (tensor == nullptr) return tl::unexpected(Unlike("'" + Printable(from) + "' is no constant"));
    (*weights_)[to] = *tensor;
    return {};
  }

  Status AddNorm(const std::string& bias, const std::string& place) {
    const HostTensor* tensor = graph_.Constant(bias);
    if (tensor == nullptr || tensor->shape.rank() != 1) {
      return tl::unexpected(Unlike("'" + Printable(bias) + "' is no bias"));
    }
    const Shape shape = tensor->shape;
    const auto all = [&](float value) {
      return HostTensor::FromF32(shape, std::vector<float>(static_cast<size_t>(shape.elements()), value));
    };
    (*weights_)[place + ".weight"] = all(1);
    (*weights_)[place + ".bias"] = *tensor;
    (*weights_)[place + ".running_mean"] = all(0);
    (*weights_)[place + ".running_var"] = all(1 - kNormEps);
    return {};
  }

  // ONNX has the gates in the order update, reset, new; PyTorch reset first. `columns` 0: a vector.
  static HostTensor GatesAsPyTorch(std::vector<float> values, int64_t hidden, int64_t columns) {
    const int64_t gate = hidden * std::max<int64_t>(columns, 1);
    std::swap_ranges(values.begin(), values.begin() + gate, values.begin() + gate);
    const Shape shape = columns == 0 ? Shape{3 * hidden} : Shape{3 * hidden, columns};
    return HostTensor::FromF32(shape, values);
  }

  const OnnxGraph& graph_;
  TensorMap* weights_;
  const std::string scope_;
  std::vector<std::pair<const OnnxNode*, std::string>> convs_;
  std::vector<const OnnxNode*> grus_, grouped_, matmuls_, adds_;
};

}  // namespace

Result<TensorMap> DeepFilterNetFromOnnx(const OnnxGraph& encoder, const OnnxGraph& erb_decoder,
                                        const OnnxGraph& df_decoder) {
  TensorMap weights;
  Part enc(encoder, &weights, "enc.");
  const std::string erb = "feat_erb", spec = "feat_spec";
  TIMBRE_CHECK(enc.Conv("erb_conv0", 1, erb));
  for (const char* name : {"erb_conv1", "erb_conv2", "erb_conv3"}) TIMBRE_CHECK(enc.Separable(name, 0, erb));
  TIMBRE_CHECK(enc.Separable("df_conv0", 1, spec));
  TIMBRE_CHECK(enc.Separable("df_conv1", 0, spec));
  TIMBRE_CHECK(enc.Grouped("df_fc_emb.0"));
  TIMBRE_CHECK(enc.Grouped("emb_gru.linear_in.0"));
  TIMBRE_CHECK(enc.Grouped("emb_gru.linear_out.0"));
  TIMBRE_CHECK(enc.Grus("emb_gru.gru"));
  TIMBRE_CHECK(enc.ToOne("lsnr_fc.0"));
  TIMBRE_CHECK(enc.Finish());

  Part dec(erb_decoder, &weights, "erb_dec.");
  for (const char level : {'3', '2', '1'}) {
    TIMBRE_CHECK(dec.Conv(std::string("conv") + level + "p", 0));
    TIMBRE_CHECK(dec.Separable(std::string("convt") + level, 0));
  }
  TIMBRE_CHECK(dec.Conv("conv0p", 0));
  TIMBRE_CHECK(dec.Conv("conv0_out", 0));
  TIMBRE_CHECK(dec.Grouped("emb_gru.linear_in.0"));
  TIMBRE_CHECK(dec.Grouped("emb_gru.linear_out.0"));
  TIMBRE_CHECK(dec.Grus("emb_gru.gru"));
  TIMBRE_CHECK(dec.Finish());

  Part df(df_decoder, &weights, "df_dec.");
  TIMBRE_CHECK(df.Separable("df_convp", 1));
  TIMBRE_CHECK(df.Grouped("df_gru.linear_in.0"));
  TIMBRE_CHECK(df.Grouped("df_skip"));
  TIMBRE_CHECK(df.Grouped("df_out.0"));
  TIMBRE_CHECK(df.Grus("df_gru.gru"));
  TIMBRE_CHECK(df.Finish());
  TIMBRE_CHECK(CheckValues(weights));
  return weights;
}

Result<DeepFilterNetPackage> ReadDeepFilterNetPackage(const std::string& path) {
  TIMBRE_TRY(const auto members, ReadTarball(path));
  std::map<std::string, SharedBytes> files;  // by their names without folders
  for (const auto& [name, bytes] : members) files[name.substr(name.rfind('/') + 1)] = bytes;
  for (const char* name : {"config.ini", "enc.onnx", "erb_dec.onnx", "df_dec.onnx"}) {
    if (!files.contains(name)) {
      return Fail(ErrorCode::kUnsupported,
                  std::string("the archive holds no ") + name + ", as DeepFilterNet3_onnx.tar.gz does");
    }
  }
  const auto graph = [&](const char* name) -> Result<OnnxGraph> {
    auto read = ReadOnnx(files[name]);
    if (!read) return Prefix(read.error(), name);
    return read;
  };
  DeepFilterNetPackage package;
  TIMBRE_TRY(package.config, ParseDeepFilterNetConfig(files["config.ini"].text()));
  package.config.sees_first_frames = true;  // the package is what libDF runs
  TIMBRE_TRY(const OnnxGraph enc, graph("enc.onnx"));
  TIMBRE_TRY(const OnnxGraph erb_dec, graph("erb_dec.onnx"));
  TIMBRE_TRY(const OnnxGraph df_dec, graph("df_dec.onnx"));
  TIMBRE_TRY(package.weights, DeepFilterNetFromOnnx(enc, erb_dec, df_dec));
  return package;
}

}  // namespace timbre
