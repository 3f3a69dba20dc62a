#include "models/speech/gtcrn.h"

#include <algorithm>
#include <functional>

#include "graph/net.h"

namespace timbre {
namespace {

constexpr int kLowBins = 65;   // kept as they are
constexpr int kErbBands = 64;  // the rest, in bands
constexpr int kChannels = 16;  // of the feature maps
constexpr int kHalf = kChannels / 2;
constexpr int kWidth = 33;  // bands left behind the strided convolutions
constexpr int kTimeKernel = 3;

class Builder {
 public:
  Builder(GraphBuilder& graph, Weights& weights, int batch, int frames)
      : graph_(graph), weights_(weights), batch_(batch), frames_(frames) {}

  Value BatchNorm(const Net& n, const char* name, Value x) {
    weights_.Ignore(n.Name(name) + ".num_batches_tracked");
    return n.BatchNorm(name, x);
  }

  // A weight that the graph keeps in another order than the checkpoint: element i of the graph's is `from(i)` of it.
  Value Reordered(const Net& n, const Shape& stored, const Shape& wanted, const std::function<int64_t(int64_t)>& from) {
    auto weight = weights_.Get(n.Name("weight"), stored);
    if (!weight) {
      graph_.SetError(weight.error());
      return {};
    }
    const std::vector<float> values = weight->ToF32();
    std::vector<float> ordered(values.size());
    for (size_t i = 0; i < ordered.size(); ++i) ordered[i] = values[from(static_cast<int64_t>(i))];
    return graph_.Constant(n.Name("weight"), wanted, ordered);
  }

  Value Conv2(const Net& n, Value x, Value weight, int out, ConvAttrs attrs) {
    attrs.dims = 2;
    return graph_.Add1(Op::kConv, attrs, {x, weight, n.Weight("bias", {out})}, n.Name(""));
  }

  // Each band together with its two neighbours, channel by channel: [N, T, F, C] -> [N, T, F, 3 C].
  Value Neighbours(Value x) {
    if (!x.valid()) return {};
    const int64_t bands = x.dim(2), channels = x.dim(3);
    const Value padded = Pad(x, 2, 1, 1);
    std::vector<Value> shifted;
    shifted.reserve(3);
    for (int k = 0; k < 3; ++k) {
      shifted.push_back(Reshape(Slice(padded, 2, k, k + bands), {batch_, frames_, bands, channels, 1}));
    }
    return Reshape(Concat(shifted, 4), {batch_, frames_, bands, 3 * channels});
  }

  Value ConvBlock(const Net& n, Value x, int groups) {
    x = n.Conv("conv", x, {.out = kChannels, .kernel = {1, 5}, .stride = {1, 2}, .pad = {0, 2}, .groups = groups});
    return n.PRelu("act", BatchNorm(n, "bn", x));
  }

  Value DeconvBlock(const Net& n, Value x, int out, int groups, bool last) {
    x = n.ConvTranspose("conv", x, {.out = out, .kernel = {1, 5}, .stride = {1, 2}, .pad = {0, 2}, .groups = groups});
    x = BatchNorm(n, "bn", x);
    return last ? Tanh(x) : n.PRelu("act", x);
  }

  // Gates each channel by what its energy has been: [N, T, F, C] -> the same.
  Value TemporalAttention(const Net& n, Value x) {
    if (!x.valid()) return {};
    const int64_t channels = x.dim(3);
    Value energy = Reshape(Reduce(ReduceFn::kMean, Unary(UnaryFn::kSquare, x), {2}), {batch_, frames_, channels});
    const Net g = n / "att_gru";
    const int64_t hidden = 2 * channels;
    const Value state = graph_.State(g.Name("h"), {batch_, hidden});
    const GruResult r =
        Gru(energy, g.Weight("weight_ih_l0", {3 * hidden, channels}), g.Weight("weight_hh_l0", {3 * hidden, hidden}),
            g.Weight("bias_ih_l0", {3 * hidden}), g.Weight("bias_hh_l0", {3 * hidden}), state);
    WriteState(state, r.h);
    const Value gate = Sigmoid(n.Linear("att_fc", r.y, static_cast<int>(channels)));
    return x * Reshape(gate, {batch_, frames_, 1, channels});
  }

  // Half of the channels pass a causal convolution, and both halves are shuffled. In the decoder the checkpoint holds
  // transposed convolutions; at stride 1 they are convolutions by the reversed kernel.
  Value TemporalBlock(const Net& n, Value x, int dilation, bool transposed) {
    if (!x.valid()) return {};
    const Value first = Slice(x, 3, 0, kHalf), second = Slice(x, 3, kHalf, kChannels);

    // Neighbouring bands side by side, then a 1x1 convolution, are a convolution over three bands.
    const Net p1 = n / "point_conv1";
    Value w = transposed
                  ? Reordered(p1, {3 * kHalf, kChannels, 1, 1}, {kChannels, kHalf, 1, 3},
                              [](int64_t i) { return i % (3 * kHalf) * kChannels + i / (3 * kHalf); })
                  : Reordered(p1, {kChannels, 3 * kHalf, 1, 1}, {kChannels, kHalf, 1, 3}, [](int64_t i) { return i; });
    ConvAttrs over_bands;
    over_bands.kernel = {1, 1, 3};
    over_bands.pad_lo = over_bands.pad_hi = {0, 0, 1};
    Value h = n.PRelu("point_act", BatchNorm(n, "point_bn1", Conv2(p1, first, w, kChannels, over_bands)));
    if (!h.valid()) return {};

    const Net depth = n / "depth_conv";
    const int64_t past = (kTimeKernel - 1) * dilation;
    const Value history = graph_.State(n.Name("history"), {batch_, past, kWidth, kChannels});
    const Value longer = Concat({history, h}, 1);
    WriteState(history, Slice(longer, 1, frames_, frames_ + past));
    constexpr int64_t kTaps = kTimeKernel * 3;
    w = Reordered(depth, {kChannels, 1, kTimeKernel, 3}, {kChannels, 1, kTimeKernel, 3},
                  [transposed](int64_t i) { return transposed ? i / kTaps * kTaps + (kTaps - 1 - i % kTaps) : i; });
    ConvAttrs by_depth;
    by_depth.kernel = {1, kTimeKernel, 3};
    by_depth.dilation = {1, dilation, 1};
    by_depth.pad_lo = by_depth.pad_hi = {0, 0, 1};
    by_depth.groups = kChannels;
    h = n.PRelu("depth_act", BatchNorm(n, "depth_bn", Conv2(depth, longer, w, kChannels, by_depth)));

    const Net p2 = n / "point_conv2";
    w = transposed ? Reordered(p2, {kChannels, kHalf, 1, 1}, {kHalf, kChannels, 1, 1},
                               [](int64_t i) { return i % kChannels * kHalf + i / kChannels; })
                   : p2.Weight("weight", {kHalf, kChannels, 1, 1});
    h = BatchNorm(n, "point_bn2", Conv2(p2, h, w, kHalf, ConvAttrs{}));
    h = TemporalAttention(n / "tra", h);

    const Shape one{batch_, frames_, kWidth, kHalf, 1};
    return Reshape(Concat({Reshape(h, one), Reshape(second, one)}, 4), {batch_, frames_, kWidth, kChannels});
  }

  // A recurrent layer in two halves of the features. x [rows, steps, 16].
  Value GroupedGru(const Net& n, Value x, int hidden, bool both_ways, bool keep_state) {
    if (!x.valid()) return {};
    const int64_t rows = x.dim(0);
    std::vector<Value> parts;
    for (int half = 0; half < 2; ++half) {
      const Net g = n / ("rnn" + std::to_string(half + 1));
      const Value in = Slice(x, 2, half * kHalf, (half + 1) * kHalf);
      for (int way = 0; way < (both_ways ? 2 : 1); ++way) {
        const std::string suffix = way == 0 ? "_l0" : "_l0_reverse";
        const Value h0 =
            keep_state ? graph_.State(g.Name("h"), {rows, hidden}) : Zeros(g.Name("zeros"), {rows, hidden});
        const GruResult r =
            Gru(in, g.Weight("weight_ih" + suffix, {3 * hidden, kHalf}),
                g.Weight("weight_hh" + suffix, {3 * hidden, hidden}), g.Weight("bias_ih" + suffix, {3 * hidden}),
                g.Weight("bias_hh" + suffix, {3 * hidden}), h0, way == 1);
        if (keep_state) WriteState(h0, r.h);
        parts.push_back(r.y);
      }
    }
    return Concat(parts, 2);
  }

  Value Zeros(const std::string& name, const Shape& shape) {
    return graph_.Constant(name, shape, std::vector<float>(static_cast<size_t>(shape.elements())));
  }

  // Over bands and channels together, each frame by itself, with a gain for each of both.
  Value FrameNorm(const Net& n, Value x) {
    NormAttrs attrs;
    attrs.keep = 1u << 1;
    attrs.eps = 1e-8f;
    const Value y = graph_.Add1(Op::kNorm, attrs, {x, Value(), Value()}, n.Name(""));
    return y * n.Weight("weight", {kWidth, kChannels}) + n.Weight("bias", {kWidth, kChannels});
  }

  // Recurrent over the bands of a frame, both ways, then over the frames of a band.
  Value DualPath(const Net& n, Value x) {
    if (!x.valid()) return {};
    Value y = Reshape(x, {batch_ * frames_, kWidth, kChannels});
    y = n.Linear("intra_fc", GroupedGru(n / "intra_rnn", y, kHalf / 2, true, false), kChannels);
    x = x + FrameNorm(n / "intra_ln", Reshape(y, {batch_, frames_, kWidth, kChannels}));

    y = Reshape(Transpose(x, {0, 2, 1, 3}), {batch_ * kWidth, frames_, kChannels});
    y = n.Linear("inter_fc", GroupedGru(n / "inter_rnn", y, kHalf, false, true), kChannels);
    y = Transpose(Reshape(y, {batch_, kWidth, frames_, kChannels}), {0, 2, 1, 3});
    return x + FrameNorm(n / "inter_ln", y);
  }

  // A layer over the bins of each channel. Two or three channels side by side would fill no vector of a product.
  Value OverBins(const Net& n, const char* name, Value x, int out) {
    if (!x.valid()) return {};
    return Transpose((n / "erb").Linear(name, Transpose(x, {0, 1, 3, 2}), out, false), {0, 1, 3, 2});
  }

  void Build() {
    const Net n(graph_);
    const Value spectrum = graph_.Input("spectrum", {batch_, frames_, kGtcrnBins, 2});
    const Value power = Reduce(ReduceFn::kSum, Unary(UnaryFn::kSquare, spectrum), {3});
    Value x = Concat({Sqrt(Scale(power, 1.0f, 1e-12f)), spectrum}, 3);
    const Value bands = OverBins(n, "erb_fc", Slice(x, 2, kLowBins, kGtcrnBins), kErbBands);
    x = Neighbours(Concat({Slice(x, 2, 0, kLowBins), bands}, 2));

    const Net encoder = n / "encoder" / "en_convs";
    std::vector<Value> skips;
    skips.push_back(x = ConvBlock(encoder / 0, x, 1));
    skips.push_back(x = ConvBlock(encoder / 1, x, 2));
    skips.push_back(x = TemporalBlock(encoder / 2, x, 1, false));
    skips.push_back(x = TemporalBlock(encoder / 3, x, 2, false));
    skips.push_back(x = TemporalBlock(encoder / 4, x, 5, false));
    x = DualPath(n / "dpgrnn1", x);
    x = DualPath(n / "dpgrnn2", x);
    const Net decoder = n / "decoder" / "de_convs";
    x = TemporalBlock(decoder / 0, x + skips[4], 5, true);
    x = TemporalBlock(decoder / 1, x + skips[3], 2, true);
    x = TemporalBlock(decoder / 2, x + skips[2], 1, true);
    x = DeconvBlock(decoder / 3, x + skips[1], kChannels, 2, false);
    x = DeconvBlock(decoder / 4, x + skips[0], 2, 1, true);

    const Value high = OverBins(n, "ierb_fc", Slice(x, 2, kLowBins, kLowBins + kErbBands), kGtcrnBins - kLowBins);
    const Value gains = Concat({Slice(x, 2, 0, kLowBins), high}, 2);
    graph_.Output("enhanced", Binary(BinaryFn::kComplexMul, spectrum, gains));
  }

 private:
  GraphBuilder& graph_;
  Weights& weights_;
  int64_t batch_, frames_;
};

}  // namespace

Result<Graph> BuildGtcrn(Weights& weights, int batch, int frames) {
  GraphBuilder graph("gtcrn", weights);
  Builder(graph, weights, batch, frames).Build();
  return graph.Finish();
}

}  // namespace timbre
