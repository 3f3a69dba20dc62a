#include "models/speech/deepfilternet.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "graph/net.h"

namespace timbre {
namespace {

// The network's layers, with names as the checkpoint has them.
class Builder {
 public:
  Builder(const DeepFilterNetConfig& config, GraphBuilder& graph, Weights& weights, int batch, int frames)
      : c_(config), graph_(graph), weights_(weights), batch_(batch), frames_(frames) {}

  struct Encoded {
    Value e0, e1, e2, e3, c0, emb;
  };

  // A causal convolution over frames (x's first axis behind the batch) and bins, [N, T, F, C] -> [N, T, F', out], by
  // depth where channels allow, then mixed by a 1x1 convolution; batch norm.
  Value ConvNorm(const Net& n, Value x, int out, const std::vector<int>& kernel, int stride = 1) {
    if (!x.valid()) return {};
    int layer = 0;
    if (kernel[0] > 1) {
      const int64_t past = kernel[0] - 1;
      const Value history = graph_.State(n.Name("history"), {batch_, past, x.dim(2), x.dim(3)});
      const Value longer = Concat({history, x}, 1);
      WriteState(history, Slice(longer, 1, frames_, frames_ + past));
      x = longer;
      ++layer;  // the reference counts its padding as a layer
    }
    const int groups = std::gcd(static_cast<int>(x.shape().back()), out);
    const bool mixed = groups > 1 && std::max(kernel[0], kernel[1]) > 1;
    if (mixed && MergingPays(x.shape().back(), out, groups, kernel)) {
      x = MergedConv(n, layer, x, out, groups, kernel, stride);
      layer += 2;
      return BatchNorm(n, layer, x);
    }
    x = n.Conv(std::to_string(layer++), x,
               {.out = out,
                .kernel = {kernel[0], kernel[1]},
                .stride = {1, stride},
                .pad = {0, kernel[1] / 2},
                .groups = groups,
                .bias = false});
    if (mixed) x = n.Conv(std::to_string(layer++), x, {.out = out, .bias = false});
    return BatchNorm(n, layer, x);
  }

  // Nothing lies between a grouped convolution and the 1x1 convolution that mixes its results: together they are one
  // convolution, which costs less where the input is thin. Counted in vectors of sixteen: of a group's outputs, or of
  // its inputs where those fill vectors and the outputs are few.
  static bool MergingPays(int64_t in, int64_t out, int64_t groups, const std::vector<int>& kernel) {
    const auto vectors = [](int64_t inputs, int64_t outputs) {
      const int64_t blocks = (outputs + 15) / 16;
      const double by_outputs = static_cast<double>(inputs * blocks);
      return inputs % 16 != 0 ? by_outputs : std::min(by_outputs, static_cast<double>(inputs * outputs) / 16);
    };
    const double taps = kernel[0] * kernel[1], n = static_cast<double>(groups);
    return taps * vectors(in, out) <= n * taps * vectors(in / groups, out / groups) + vectors(out, out);
  }

  Value MergedConv(const Net& n, int layer, Value x, int64_t out, int64_t groups, const std::vector<int>& kernel,
                   int stride) {
    const int64_t in = x.shape().back(), taps = int64_t{kernel[0]} * kernel[1];
    const int64_t group_in = in / groups, group_out = out / groups;
    auto first = weights_.Get(n.Name(std::to_string(layer) + ".weight"), {out, group_in, kernel[0], kernel[1]});
    auto second = weights_.Get(n.Name(std::to_string(layer + 1) + ".weight"), {out, out, 1, 1});
    if (!first || !second) {
      graph_.SetError(first ? second.error() : first.error());
      return {};
    }
    const std::vector<float> a = first->ToF32(), b = second->ToF32();
    std::vector<float> merged(static_cast<size_t>(out * in * taps));
    for (int64_t o = 0; o < out; ++o) {
      for (int64_t i = 0; i < in; ++i) {
        for (int64_t k = 0; k < taps; ++k) {
          double sum = 0;
          for (int64_t m = i / group_in * group_out; m < (i / group_in + 1) * group_out; ++m) {
            sum += static_cast<double>(b[o * out + m]) * a[(m * group_in + i % group_in) * taps + k];
          }
          merged[(o * in + i) * taps + k] = static_cast<float>(sum);
        }
      }
    }
    ConvAttrs attrs;
    attrs.dims = 2;
    attrs.kernel = {1, kernel[0], kernel[1]};
    attrs.stride = {1, 1, stride};
    attrs.pad_lo = attrs.pad_hi = {0, 0, kernel[1] / 2};
    const Value w = graph_.Constant(n.Name("merged.weight"), {out, in, kernel[0], kernel[1]}, merged);
    return graph_.Add1(Op::kConv, attrs, {x, w, Value()}, n.Name("merged"));
  }

  Value ConvTransposeNorm(const Net& n, Value x, int out, int stride) {
    if (!x.valid()) return {};
    const int bins = c_.transposed_kernel[1];
    const int groups = std::gcd(static_cast<int>(x.shape().back()), out);
    int layer = 0;
    x = n.ConvTranspose(std::to_string(layer++), x,
                        {.out = out,
                         .kernel = {1, bins},
                         .stride = {1, stride},
                         .pad = {0, bins / 2},
                         .output_padding = {0, bins / 2},
                         .groups = groups,
                         .bias = false});
    if (groups > 1 && bins > 1) x = n.Conv(std::to_string(layer++), x, {.out = out, .bias = false});
    return BatchNorm(n, layer, x);
  }

  Value BatchNorm(const Net& n, int layer, Value x) {
    weights_.Ignore(n.Name(std::to_string(layer) + ".num_batches_tracked"));
    return n.BatchNorm(std::to_string(layer), x);
  }

  // A linear layer whose groups each see and make a part of the features. The checkpoint keeps [group][in][out].
  Value GroupedLinear(const Net& n, Value x, int64_t out, int groups) {
    if (!x.valid()) return {};
    const int64_t in = x.shape().back();
    if (in % groups != 0 || out % groups != 0) {
      graph_.SetError({ErrorCode::kCorrupt, "config.ini: " + std::to_string(groups) +
                                                " groups do not divide the layer " + n.Name("") + " of " +
                                                std::to_string(in) + " by " + std::to_string(out)});
      return {};
    }
    const int64_t group_in = in / groups, group_out = out / groups;
    auto weight = weights_.Get(n.Name("weight"), {groups, group_in, group_out});
    if (!weight) {
      graph_.SetError(weight.error());
      return {};
    }
    const std::vector<float> from = weight->ToF32();
    std::vector<float> to(from.size());
    for (int64_t g = 0; g < groups; ++g) {
      for (int64_t o = 0; o < group_out; ++o) {
        for (int64_t i = 0; i < group_in; ++i) {
          to[(g * group_out + o) * group_in + i] = from[(g * group_in + i) * group_out + o];
        }
      }
    }
    const Value w = groups == 1 ? graph_.Constant(n.Name("weight"), {out, in}, to)
                                : graph_.Constant(n.Name("weight"), {groups, group_out, group_in}, to);
    return graph_.Add1(Op::kLinear, LinearAttrs{.groups = groups}, {x, w, Value()}, n.Name(""));
  }

  Value GruLayers(const Net& n, Value x, int layers, int hidden) {
    if (!x.valid()) return {};
    for (int layer = 0; layer < layers; ++layer) {
      const std::string suffix = "_l" + std::to_string(layer);
      const Value state = graph_.State(n.Name("h" + suffix), {batch_, hidden});
      const GruResult r =
          Gru(x, n.Weight("weight_ih" + suffix, {3 * hidden, x.shape().back()}),
              n.Weight("weight_hh" + suffix, {3 * hidden, hidden}), n.Weight("bias_ih" + suffix, {3 * hidden}),
              n.Weight("bias_hh" + suffix, {3 * hidden}), state);
      WriteState(state, r.h);
      x = r.y;
    }
    return x;
  }

  Value SkipOf(const std::string& kind, const Net& n, Value x, Value y) {
    if (kind == "none") return y;
    return y + (kind == "identity" ? x : GroupedLinear(n, x, y.shape().back(), c_.linear_groups));
  }

  // A recurrent part between two grouped linear layers.
  Value SqueezedGru(const Net& n, Value x, int hidden, int layers, int64_t out, int groups, const std::string& skip) {
    Value y = Relu(GroupedLinear(n / "linear_in" / 0, x, hidden, groups));
    y = GruLayers(n / "gru", y, layers, hidden);
    if (out > 0) y = Relu(GroupedLinear(n / "linear_out" / 0, y, out, groups));
    return SkipOf(skip, n / "gru_skip", x, y);
  }

  Encoded Encoder(const Net& n, Value erb, Value spec) {
    const int ch = c_.channels;
    Encoded e;
    e.e0 = Relu(ConvNorm(n / "erb_conv0", erb, ch, c_.input_kernel));
    e.e1 = Relu(ConvNorm(n / "erb_conv1", e.e0, ch, c_.kernel, 2));
    e.e2 = Relu(ConvNorm(n / "erb_conv2", e.e1, ch, c_.kernel, 2));
    e.e3 = Relu(ConvNorm(n / "erb_conv3", e.e2, ch, c_.kernel));
    e.c0 = Relu(ConvNorm(n / "df_conv0", spec, ch, c_.input_kernel));
    Value c1 = Relu(ConvNorm(n / "df_conv1", e.c0, ch, c_.kernel, 2));

    c1 = Reshape(c1, {batch_, frames_, ch * c_.df_bins / 2});
    c1 = Relu(GroupedLinear(n / "df_fc_emb" / 0, c1, emb_size(), c_.encoder_linear_groups));
    const Value emb = Reshape(e.e3, {batch_, frames_, emb_size()});
    e.emb = SqueezedGru(n / "emb_gru", c_.encoder_concat ? Concat({emb, c1}, 2) : emb + c1, c_.emb_hidden, 1,
                        emb_size(), c_.linear_groups, c_.encoder_skip);
    graph_.Output("lsnr",
                  Scale(Sigmoid((n / "lsnr_fc").Linear("0", e.emb, 1)), c_.lsnr_max - c_.lsnr_min, c_.lsnr_min));
    return e;
  }

  void ErbDecoder(const Net& n, const Encoded& e) {
    const int ch = c_.channels;
    Value x = SqueezedGru(n / "emb_gru", e.emb, c_.emb_hidden, c_.emb_layers - 1, emb_size(), c_.linear_groups,
                          c_.decoder_skip);
    x = Reshape(x, {batch_, frames_, c_.erb_bands / 4, ch});
    x = Relu(ConvNorm(n / "convt3", Relu(ConvNorm(n / "conv3p", e.e3, ch, {1, 1})) + x, ch, c_.kernel));
    x = Relu(ConvTransposeNorm(n / "convt2", Relu(ConvNorm(n / "conv2p", e.e2, ch, {1, 1})) + x, ch, 2));
    x = Relu(ConvTransposeNorm(n / "convt1", Relu(ConvNorm(n / "conv1p", e.e1, ch, {1, 1})) + x, ch, 2));
    x = Sigmoid(ConvNorm(n / "conv0_out", Relu(ConvNorm(n / "conv0p", e.e0, ch, {1, 1})) + x, 1, c_.kernel));
    graph_.Output("mask", Reshape(x, {batch_, frames_, c_.erb_bands}));
  }

  void DfDecoder(const Net& n, const Encoded& e) {
    // The pass-through that trained checkpoints still carry and no forward pass uses.
    weights_.Ignore(n.Name("df_fc_a.0.weight"));
    weights_.Ignore(n.Name("df_fc_a.0.bias"));
    constexpr int kGroups = 8;  // fixed in the reference, whatever linear_groups says
    Value x = SqueezedGru(n / "df_gru", e.emb, c_.df_hidden, c_.df_layers, 0, kGroups, "none");
    x = SkipOf(c_.df_skip, n / "df_skip", e.emb, x);
    const int64_t taps = 2 * c_.df_order;
    const Value pathway = Relu(ConvNorm(n / "df_convp", e.c0, static_cast<int>(taps), {c_.df_pathway_frames, 1}));
    x = Tanh(GroupedLinear(n / "df_out" / 0, x, c_.df_bins * taps, c_.linear_groups));
    graph_.Output("coefs", Reshape(x, {batch_, frames_, c_.df_bins, taps}) + pathway);
  }

  // What the encoder hands over, where it is another graph's.
  void HandOver(const Encoded& e) {
    graph_.Output("e0", e.e0);
    graph_.Output("e1", e.e1);
    graph_.Output("e2", e.e2);
    graph_.Output("e3", e.e3);
    graph_.Output("c0", e.c0);
    graph_.Output("emb", e.emb);
  }
  Value Map(const char* name, int64_t bins) { return graph_.Input(name, {batch_, frames_, bins, c_.channels}); }
  Value Embedding() { return graph_.Input("emb", {batch_, frames_, emb_size()}); }

  int64_t emb_size() const { return static_cast<int64_t>(c_.channels) * c_.erb_bands / 4; }

 private:
  const DeepFilterNetConfig& c_;
  GraphBuilder& graph_;
  Weights& weights_;
  int64_t batch_, frames_;
};

}  // namespace

Result<Graph> BuildDeepFilterNet(const DeepFilterNetConfig& config, Weights& weights, DeepFilterPart part, int batch,
                                 int frames) {
  // Matrices that the network computes for itself: each ERB band is the mean of its bins, and its gain is theirs.
  weights.Ignore("erb_fb");
  weights.Ignore("mask.erb_inv_fb");
  GraphBuilder graph("deepfilternet3", weights);
  const Net n(graph);
  Builder b(config, graph, weights, batch, frames);
  Builder::Encoded e;
  const bool has_encoder = part != DeepFilterPart::kErbDecoder && part != DeepFilterPart::kDfDecoder;
  const bool has_erb = part != DeepFilterPart::kEncoder && part != DeepFilterPart::kDfDecoder;
  const bool has_df = part == DeepFilterPart::kAll || part == DeepFilterPart::kDfDecoder;
  if (has_encoder) {
    const Value erb = graph.Input("feat_erb", {batch, frames, config.erb_bands, 1});
    const Value spec = graph.Input("feat_spec", {batch, frames, config.df_bins, 2});
    e = b.Encoder(n / "enc", erb, spec);
    if (part == DeepFilterPart::kEncoder) b.HandOver(e);
  } else {
    e.emb = b.Embedding();
    if (has_erb) {
      e.e0 = b.Map("e0", config.erb_bands);
      e.e1 = b.Map("e1", config.erb_bands / 2);
      e.e2 = b.Map("e2", config.erb_bands / 4);
      e.e3 = b.Map("e3", config.erb_bands / 4);
    } else {
      e.c0 = b.Map("c0", config.df_bins);
    }
  }
  if (has_erb) b.ErbDecoder(n / "erb_dec", e);
  if (has_df) b.DfDecoder(n / "df_dec", e);
  return graph.Finish();
}

}  // namespace timbre
