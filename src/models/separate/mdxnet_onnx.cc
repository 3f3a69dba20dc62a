// The structure of an MDX-Net out of the nodes of its ONNX file, whatever program exported it and however it named
// them.
#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "base/text.h"
#include "models/separate/mdxnet.h"

namespace timbre {
namespace {

constexpr float kNormEps = 1e-5f;  // that BuildMdxnet's norms have
constexpr int kMostLevels = 8;
constexpr int64_t kMostChannels = 1 << 16;

HostTensor Transposed(const HostTensor& matrix) {
  const int64_t rows = matrix.shape[0], columns = matrix.shape[1];
  const std::vector<float> from = matrix.ToF32();
  std::vector<float> to(from.size());
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < columns; ++c) to[c * rows + r] = from[r * columns + c];
  }
  return HostTensor::FromF32({columns, rows}, to);
}

bool AllAre(const HostTensor& tensor, float value) {
  const std::vector<float> values = tensor.ToF32();
  return std::all_of(values.begin(), values.end(), [&](float v) { return v == value; });
}

// Takes the nodes that the input goes through, one after another. The first that does not belong there is kept as the
// error, and all that follows does nothing.
class Parser {
 public:
  Parser(const OnnxGraph& graph, TensorMap* weights) : graph_(graph), weights_(weights) {
    std::set<std::string> data;
    for (const OnnxPort& port : graph.inputs) data.insert(port.name);
    for (const OnnxNode& node : graph.nodes) {
      if (node.outputs.empty()) continue;
      bool reads = false;
      for (const std::string& input : node.inputs) reads = reads || data.contains(input);
      if (!reads) {
        if (node.op == "Transpose") made_[node.outputs[0]] = &node;  // of a constant, perhaps
        continue;
      }
      if (node.op == "Shape") continue;  // what follows is about sizes
      data.insert(node.outputs[0]);
      if (node.op == "Cast" || node.op == "Identity" || node.op == "Dropout") {
        alias_[node.outputs[0]] = Resolved(node.input(0));
      } else {
        nodes_.push_back(&node);
      }
    }
  }

  Result<MdxnetOptions> Run() {
    MdxnetOptions o;
    if (graph_.inputs.size() != 1 || graph_.inputs[0].dims.size() != 4 || graph_.inputs[0].dims[1] != 4) {
      return Fail(ErrorCode::kUnsupported,
                  "the ONNX file is no MDX-Net as UVR's are: its input is no spectrum of two channels");
    }
    const std::vector<int64_t>& dims = graph_.inputs[0].dims;
    if (dims[2] < 1 || dims[2] > 1 << 15 || dims[3] < 1 || dims[3] > 1 << 14) {
      return Fail(ErrorCode::kUnsupported, "the ONNX file does not say how many bins and frames its network sees");
    }
    o.bins = static_cast<int>(dims[2]);
    o.frames = static_cast<int>(dims[3]);
    for (const OnnxNode* node : nodes_) o.levels += node->op == "Conv" && Stride(*node) == 2;
    if (o.levels > kMostLevels) {
      return Fail(ErrorCode::kUnsupported, "the ONNX file is no MDX-Net as UVR's are: it halves its planes " +
                                               std::to_string(o.levels) + " times");
    }
    current_ = graph_.inputs[0].name;

    o.channels = Conv("first", 1, 1);
    Swap();
    std::vector<std::string> skips;
    int channels = o.channels;
    for (int i = 0; i < o.levels; ++i) {
      const std::string level = std::to_string(i);
      Block("encoder." + level, channels, &o);
      skips.push_back(current_);
      channels += o.channels;
      Expect(Conv("down." + level, 2, 2) == channels, "has not as many channels as its level");
    }
    Block("bottleneck", channels, &o);
    for (int i = 0; i < o.levels; ++i) {
      const std::string level = std::to_string(i);
      channels -= o.channels;
      Up("up." + level, channels);
      if (!error_) Join("Mul", skips[skips.size() - 1 - static_cast<size_t>(i)]);
      Block("decoder." + level, channels, &o);
    }
    Swap();
    Last();
    if (!error_ && at_ != nodes_.size()) Complain("comes behind the end");
    if (error_) return tl::unexpected<Error>(*error_);
    return o;
  }

 private:
  std::string Resolved(const std::string& name) const {
    const auto found = alias_.find(name);
    return found == alias_.end() ? name : found->second;
  }
  static int64_t Stride(const OnnxNode& node) { return node.Ints("strides", {1, 1})[0]; }

  void Complain(const std::string& what) {
    if (error_) return;
    const std::string node = at_ < nodes_.size()
                                 ? "its node " + std::to_string(at_ + 1) + ", a '" + Printable(nodes_[at_]->op) + "', "
                                 : "its end ";
    error_ = Error{ErrorCode::kUnsupported, "the ONNX file is no MDX-Net as UVR's are: " + node + what};
  }
  void Expect(bool holds, const char* what) {
    if (!holds) Complain(what);
  }

  bool Next(const char* op) const { return !error_ && at_ < nodes_.size() && nodes_[at_]->op == op; }
  // The next node, which has to be of this kind and to read what the one before gave; null otherwise.
  const OnnxNode* Take(const char* op) {
    if (!Next(op)) {
      Complain(std::string("stands where a ") + op + " should");
      return nullptr;
    }
    const OnnxNode* node = nodes_[at_];
    if (Resolved(node->input(0)) != current_ && Resolved(node->input(1)) != current_) {
      Complain("does not read what the node before it gives");
      return nullptr;
    }
    ++at_;
    current_ = node->outputs[0];
    return node;
  }
  const HostTensor* Constant(const std::string& name, int rank) {
    const HostTensor* tensor = graph_.Constant(name);
    if (tensor != nullptr && (rank < 0 || tensor->shape.rank() == rank)) return tensor;
    if (at_ > 0) --at_;
    Complain("has no weights of the shape that they should have");
    return nullptr;
  }

  // A convolution, its norm and activation. How many channels it gives.
  int Conv(const std::string& name, int kernel, int64_t stride) {
    const OnnxNode* node = Take("Conv");
    const int out = node == nullptr ? 0 : Kernel(*node, name, kernel, stride, /*transposed=*/false);
    NormAct(name);
    return out;
  }
  void Up(const std::string& name, int channels) {
    const OnnxNode* node = Take("ConvTranspose");
    const int out = node == nullptr ? 0 : Kernel(*node, name, 2, 2, /*transposed=*/true);
    Expect(out == channels, "comes behind one that has not as many channels as its level");
    NormAct(name);
  }
  // The weights of a convolution; its channels out.
  int Kernel(const OnnxNode& node, const std::string& name, int64_t kernel, int64_t stride, bool transposed) {
    const HostTensor* weight = Constant(node.input(1), 4);
    if (weight == nullptr) return 0;
    const int64_t pad = stride == 1 ? kernel / 2 : 0;
    const std::vector<int64_t> ones = {1, 1};
    const bool plain = weight->shape[2] == kernel && weight->shape[3] == kernel && node.Int("group", 1) == 1 &&
                       node.Ints("strides", ones) == std::vector<int64_t>{stride, stride} &&
                       node.Ints("dilations", ones) == ones &&
                       node.Ints("pads", {0, 0, 0, 0}) == std::vector<int64_t>(4, pad) &&
                       node.Ints("output_padding", {0, 0}) == std::vector<int64_t>{0, 0} &&
                       weight->shape[0] <= kMostChannels && weight->shape[1] <= kMostChannels;
    if (!plain) {
      --at_;
      Complain("is a convolution of another kind than stands there");
      return 0;
    }
    (*weights_)[name + ".conv.weight"] = *weight;
    if (!node.input(2).empty()) {
      const HostTensor* bias = Constant(node.input(2), 1);
      if (bias != nullptr) (*weights_)[name + ".conv.bias"] = *bias;
    }
    return static_cast<int>(weight->shape[transposed ? 1 : 0]);
  }

  void NormAct(const std::string& name) {
    if (Next("BatchNormalization")) {
      const OnnxNode* node = Take("BatchNormalization");
      if (node == nullptr) return;
      const char* parts[] = {"weight", "bias", "running_mean", "running_var"};
      for (size_t i = 0; i < 4; ++i) {
        const HostTensor* part = Constant(node->input(i + 1), 1);
        if (part != nullptr) (*weights_)[name + ".norm." + parts[i]] = *part;
      }
      const float more = node->Float("epsilon", kNormEps) - kNormEps;
      if (!error_ && std::abs(more) > 1e-9f) {
        HostTensor& variance = (*weights_)[name + ".norm.running_var"];
        std::vector<float> values = variance.ToF32();
        for (float& value : values) value += more;
        variance = HostTensor::FromF32(variance.shape, values);
      }
    } else if (Next("Reshape")) {
      GroupNorm(name);
    }
    Take("Relu");
  }

  // Two groups: reshaped so that each is a channel, normed as such, reshaped back, and scaled by channels.
  void GroupNorm(const std::string& name) {
    const OnnxNode* reshape = Take("Reshape");
    const HostTensor* shape = reshape == nullptr ? nullptr : Constant(reshape->input(1), 1);
    const std::vector<float> sizes = shape == nullptr ? std::vector<float>() : shape->ToF32();
    Expect(sizes.size() == 3 && sizes[1] == 2, "comes behind a norm of other than two groups");
    const OnnxNode* norm = Take("InstanceNormalization");
    if (norm == nullptr) return;
    const HostTensor *ones = Constant(norm->input(1), 1), *zeros = Constant(norm->input(2), 1);
    const bool plain = ones != nullptr && zeros != nullptr && AllAre(*ones, 1) && AllAre(*zeros, 0) &&
                       std::abs(norm->Float("epsilon", kNormEps) - kNormEps) <= 1e-9f;
    Expect(plain, "comes behind a norm that scales its groups, or of another epsilon");
    Take("Reshape");
    for (const auto& [op, part] : {std::pair("Mul", "weight"), std::pair("Add", "bias")}) {
      const OnnxNode* node = Take(op);
      if (node == nullptr) return;
      const HostTensor* scale = graph_.Constant(node->input(1));
      if (scale == nullptr) scale = Constant(node->input(0), -1);
      if (scale == nullptr) return;
      (*weights_)[name + ".norm." + part] = HostTensor::FromF32({scale->shape.elements()}, scale->ToF32());
    }
  }

  // A linear layer along frequency, its norm and activation. How many features it gives.
  int Linear(const std::string& name) {
    const OnnxNode* node = Take("MatMul");
    if (node == nullptr) return 0;
    // Stored [in, out], or [out, in] and transposed by a node.
    const HostTensor* weight = graph_.Constant(node->input(1));
    const auto transpose = made_.find(node->input(1));
    bool as_stored = false;
    if (weight == nullptr && transpose != made_.end()) {
      weight = graph_.Constant(transpose->second->input(0));
      as_stored = true;
    }
    if (weight == nullptr || weight->shape.rank() != 2) {
      --at_;
      Complain("has no matrix of weights");
      return 0;
    }
    const HostTensor matrix = as_stored ? *weight : Transposed(*weight);
    (*weights_)[name + ".linear.weight"] = matrix;
    if (Next("Add")) {
      const OnnxNode& add = *nodes_[at_];
      const HostTensor* bias = graph_.Constant(add.input(0));
      if (bias == nullptr) bias = graph_.Constant(add.input(1));
      if (bias != nullptr && bias->shape.rank() == 1 && Take("Add") != nullptr) {
        (*weights_)[name + ".linear.bias"] = *bias;
      }
    }
    NormAct(name);
    return static_cast<int>(matrix.shape[0]);
  }

  // What the node before gave and `other`, whichever stands first.
  void Join(const char* op, const std::string& other) {
    const std::string before = current_;
    const OnnxNode* node = Take(op);
    if (node == nullptr) return;
    const std::string a = Resolved(node->input(0)), b = Resolved(node->input(1));
    if (!(a == before && b == other) && !(a == other && b == before)) {
      --at_;
      Complain("does not join the branches that meet there");
    }
  }

  void Block(const std::string& name, int channels, MdxnetOptions* o) {
    int count = 0;
    for (; Next("Conv") && Stride(*nodes_[at_]) == 1; ++count) {
      const HostTensor* weight = graph_.Constant(nodes_[at_]->input(1));
      const int kernel = weight != nullptr && weight->shape.rank() == 4 && weight->shape[2] < 100
                             ? static_cast<int>(weight->shape[2])
                             : 0;
      if (o->hidden.empty() && count == 0) o->kernel = kernel;
      Expect(kernel == o->kernel, "has another kernel than those before it");
      Expect(Conv(name + ".tfc." + std::to_string(count), o->kernel, 1) == channels,
             "comes behind one that has not as many channels as its level");
    }
    if (o->hidden.empty()) o->convolutions = count;
    Expect(count == o->convolutions, "comes behind more or fewer convolutions than at other levels");
    int hidden = -1;
    if (Next("MatMul")) {
      const std::string before = current_;
      const int features = Linear(name + ".tdf.0");
      hidden = 0;
      if (Next("MatMul")) {
        hidden = features;
        Linear(name + ".tdf.1");
      }
      Join("Add", before);
    }
    o->hidden.push_back(hidden);
  }

  void Swap() {
    const OnnxNode* node = Take("Transpose");
    if (node == nullptr || node->Ints("perm", {}) == std::vector<int64_t>{0, 1, 3, 2}) return;
    --at_;
    Complain("does not swap time and frequency");
  }

  void Last() {
    const OnnxNode* node = Take("Conv");
    const int out = node == nullptr ? 0 : Kernel(*node, "last", 1, 1, /*transposed=*/false);
    Expect(out == 4, "should be behind a convolution that gives a spectrum of two channels");
    for (const char* part : {"weight", "bias"}) {
      const auto found = weights_->find(std::string("last.conv.") + part);
      if (found == weights_->end()) continue;
      (*weights_)[std::string("last.") + part] = found->second;
      weights_->erase(found);
    }
  }

  const OnnxGraph& graph_;
  TensorMap* weights_;
  std::vector<const OnnxNode*> nodes_;           // through which the input goes, in order
  std::map<std::string, const OnnxNode*> made_;  // transposes that no input decides
  std::map<std::string, std::string> alias_;     // tensors that are others under another name
  size_t at_ = 0;
  std::string current_;  // what the last node gave
  std::optional<Error> error_;
};

}  // namespace

Result<MdxnetOptions> MdxnetFromOnnx(const OnnxGraph& graph, TensorMap* weights) {
  return Parser(graph, weights).Run();
}

}  // namespace timbre
