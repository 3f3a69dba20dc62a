#include "models/frames/hunyuan_vae.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "graph/net.h"
#include "models/frames/tap_sums.h"
#include "models/song/json_config.h"

namespace timbre {
namespace {

constexpr int kBlocks = 4, kSpatialSteps = 3;
constexpr int kMaxWidth = 4096, kMaxLayers = 16, kMaxChannels = 256;
constexpr float kEps = 1e-6f;

// Pictures from this many pixels on are convolved one by one, and kept so: each takes memory from when it is made to
// when it is last read, and there are faster algorithms for pictures. Their weights are then packed four times as
// large, so that there may be so many pairs of channels. What is longer than so many frames would be too many nodes.
constexpr int64_t kPictureArea = 32 * 32, kPicturePairs = 256 * 512, kMostPictures = 128;

TapGroups Each() { return {{0, 1}, {1, 2}, {2, 3}}; }
TapGroups All() { return {{0, 3}}; }
// Of a doubled axis, for an output at an odd or at an even place.
TapGroups Two(bool odd) { return odd ? TapGroups{{0, 2}, {2, 3}} : TapGroups{{0, 1}, {1, 3}}; }

// The blocks, counted from the side of the latents in the decoder and from that of the frames in the encoder, that
// change the number of frames. All but the last change the picture's sides.
bool ChangesTime(int block) { return block == 1 || block == 2; }

// What layers hand on: all frames in one tensor, or each in one of its own.
struct Clip {
  Clip() = default;
  Clip(Value frames) : whole(frames) {}  // NOLINT: implicit by design

  Value whole;              // [1, frames, height, width, C]
  std::vector<Value> each;  // [1, height, width, C]

  bool valid() const {
    return each.empty() ? whole.valid()
                        : std::all_of(each.begin(), each.end(), [](const Value& frame) { return frame.valid(); });
  }
  int64_t frames() const { return each.empty() ? whole.dim(1) : static_cast<int64_t>(each.size()); }
  int64_t height() const { return shape()[-3]; }
  int64_t width() const { return shape()[-2]; }
  int channels() const { return static_cast<int>(shape().back()); }
  int64_t area() const { return height() * width(); }

  // Frame t; of one tensor a copy, made where it is asked for.
  Value Frame(int64_t t) const {
    if (!each.empty()) return each[t];
    return Reshape(Slice(whole, 1, t, t + 1), {1, height(), width(), channels()});
  }
  Value Whole() const {
    if (each.empty()) return whole;
    const Value all = Concat(each, 0);
    return all.valid() ? Reshape(all, {1, frames(), height(), width(), channels()}) : Value();
  }

 private:
  Shape shape() const { return each.empty() ? whole.shape() : each.front().shape(); }
};

class Network {
 public:
  Network(const HunyuanVaeConfig& config, GraphBuilder& graph, TapSums& sums, bool taps)
      : config_(config), graph_(graph), sums_(sums), taps_(taps) {}

  void Decode(const LatentShape& shape) {
    Clip x = graph_.Input("latents", {1, shape.frames, shape.height, shape.width, config_.latent_channels});
    Clip passed;
    for (const DecoderPiece& piece : DecoderPieces(config_)) {
      x = Piece(piece, x, passed);
      if (!piece.tap.empty()) x = Tap(piece.tap, x);
    }
    graph_.Output("frames", x.Whole());
  }

  // A piece by itself: see BuildDecoderPiece.
  void DecodePiece(const DecoderPiece& piece, const Shape& shape, bool window) {
    window_ = window;
    const Clip x = graph_.Input("x", {1, shape[0], shape[1], shape[2], piece.in});
    if (piece.normed()) {
      mean_ = graph_.Input("mean", {piece.in});
      variance_ = graph_.Input("variance", {piece.in});
    }
    Clip passed;
    if (piece.kind == DecoderPiece::Kind::kSecondHalf) {
      passed = graph_.Input("passed", {1, shape[0] - (window ? 2 : 0), shape[1], shape[2], piece.out});
    }
    graph_.Output("y", Piece(piece, x, passed).Whole());
    if (piece.passes()) graph_.Output("passed", passed.Whole());
  }

  void Encode(const LatentShape& shape) {
    const Net n(graph_), encoder = n / "encoder";
    Clip x = graph_.Input(
        "frames", {1, shape.pictures(), kFrameScale * shape.height, kFrameScale * shape.width, config_.in_channels});
    const std::vector<int>& widths = config_.block_out_channels;
    x = CausalConv(encoder / "conv_in", x, widths[0]);
    for (int i = 0; i < kBlocks; ++i) {
      const Net block = encoder / "down_blocks" / i;
      for (int j = 0; j < config_.layers_per_block; ++j) x = Resnet(block / "resnets" / j, x, widths[i]);
      if (i < kSpatialSteps) {
        x = CausalConv(block / "downsamplers" / 0 / "conv", x, widths[i], {ChangesTime(i) ? 2 : 1, 2, 2});
      }
    }
    x = MiddleBlock(encoder / "mid_block", x);
    x = NormedConv(encoder, "conv_norm_out", x, encoder / "conv_out", 2 * config_.latent_channels);
    graph_.Output("moments", n.Conv("quant_conv", x.Whole(), {.out = 2 * config_.latent_channels}));
  }

 private:
  Clip Tap(const std::string& name, Clip x) {
    if (taps_) graph_.Output(name, x.Whole());
    return x;
  }
  Clip Tap(const Net& n, Clip x) { return Tap(n.Name(""), std::move(x)); }

  void TapNormed(const Net& n, const char* norm, const Clip& x) {
    if (!x.valid()) return;
    if (x.each.empty()) return graph_.Output(n.Name(norm), Norm(n, norm, x.whole));
    const Statistics statistics = StatisticsOf(x);
    Clip normed;
    for (const Value& frame : x.each) normed.each.push_back(Norm(n / norm, frame, statistics));
    graph_.Output(n.Name(norm), normed.Whole());
  }

  // What the piece makes of x. The two halves of a block hand on what passes by it.
  Clip Piece(const DecoderPiece& piece, const Clip& x, Clip& passed) {
    const Net n = Net(graph_) / piece.scope;
    switch (piece.kind) {
      case DecoderPiece::Kind::kStart: return Start(x);
      case DecoderPiece::Kind::kFirstHalf: return FirstHalf(n, x, piece.out, passed);
      case DecoderPiece::Kind::kSecondHalf: return SecondHalf(n, x, piece.out, passed);
      case DecoderPiece::Kind::kDoubled: return DoubledConv(n, x, piece.time);
      case DecoderPiece::Kind::kEnd:
        if (taps_) TapNormed(n, "conv_norm_out", x);
        return NormedConv(n, "conv_norm_out", x, n / "conv_out", piece.out);
    }
    return {};
  }

  Clip Start(const Clip& latents) {
    const Net n(graph_), decoder = n / "decoder";
    const Value z = Scale(latents.whole, static_cast<float>(1 / config_.scaling_factor));
    Clip x = Tap(n / "post_quant_conv", n.Conv("post_quant_conv", z, {.out = config_.latent_channels}));
    x = Tap(decoder / "conv_in", CausalConv(decoder / "conv_in", x, config_.block_out_channels.back()));
    return MiddleBlock(decoder / "mid_block", x);
  }

  // The same, computed before what follows: through another shape, no sum is fused into what makes it.
  static Value Apart(Value x) {
    if (!x.valid()) return {};
    const Shape shape = x.shape();
    return Reshape(Reshape(x, {shape.elements() / shape.back(), shape.back()}), shape);
  }

  // The same constant for all that read it.
  Value Weight(const std::string& name, const Shape& shape) {
    const auto [found, fresh] = weights_.try_emplace(name);
    if (fresh) found->second = graph_.Weight(name, shape);
    return found->second;
  }

  // ---- Norms ----

  // Mean and variance of each feature's group, over all frames.
  struct Statistics {
    Value mean, variance;  // [C]
  };

  Statistics StatisticsOf(const Clip& x) {
    if (mean_.valid() || !x.valid()) return {mean_, variance_};
    const int64_t groups = config_.norm_num_groups, width = x.channels() / groups;
    // Of each frame's features first, whose deviations are from means of their own: no digits are lost.
    std::vector<Value> means, deviations;
    const auto measure = [&](Value part) {
      const bool frame = part.shape().rank() == 4;
      const auto each = [&](ReduceFn fn) {
        return Reshape(frame ? Reduce(fn, part, {0, 1, 2}) : Reduce(fn, part, {0, 1, 2, 3}), {1, groups, width});
      };
      means.push_back(each(ReduceFn::kMean));
      deviations.push_back(each(ReduceFn::kStd));
    };
    if (x.each.empty()) measure(x.whole);
    for (const Value& frame : x.each) measure(frame);
    const auto all = [](const std::vector<Value>& parts) { return parts.size() == 1 ? parts[0] : Concat(parts, 0); };
    const auto average = [](Value of) { return Reduce(ReduceFn::kMean, Reduce(ReduceFn::kMean, of, {2}), {0}); };
    const Value mean = average(all(means));
    const Value variance =
        average(Unary(UnaryFn::kSquare, all(deviations)) + Unary(UnaryFn::kSquare, all(means) - mean));
    const std::vector<float> ones(static_cast<size_t>(width), 1.0f);
    const Value feature = graph_.Constant("ones", {1, 1, width}, ones);
    return {Reshape(mean * feature, {groups * width}), Reshape(variance * feature, {groups * width})};
  }

  Value Norm(const Net& norm, Value x, const Statistics& statistics) {
    if (!x.valid()) return {};
    const Shape features{x.shape().back()};
    return graph_.Add1(Op::kBatchNorm, BatchNormAttrs{.eps = kEps},
                       {x, statistics.mean, statistics.variance, Weight(norm.Name("weight"), features),
                        Weight(norm.Name("bias"), features)},
                       norm.Name(""));
  }

  // Of all frames at once, by the statistics of x or by those that are given.
  Value Norm(const Net& n, const char* name, Value x) {
    return mean_.valid() ? Norm(n / name, x, {mean_, variance_}) : n.GroupNorm(name, x, config_.norm_num_groups, kEps);
  }

  // ---- Convolutions ----

  // Taps of a causal convolution `n`, summed up in groups. x [1, frames, height, width, C] is as large as the filter
  // wants it; or [1, height, width, C] for one that has no times.
  Value SumConv(const Net& n, Value x, int out, const TapGroups& times, const TapGroups& rows, const TapGroups& columns,
                bool bias = true, const Dims3& stride = {1, 1, 1}) {
    if (!x.valid()) return {};
    const bool flat = x.shape().rank() == 4;
    ConvAttrs a{.dims = flat ? 2 : 3, .stride = stride};
    a.kernel = {static_cast<int>(times.size()), static_cast<int>(rows.size()), static_cast<int>(columns.size())};
    if (flat) a.stride[0] = 1;
    Shape shape{out, x.shape().back()};
    for (int i = flat ? 1 : 0; i < 3; ++i) shape.push_back(a.kernel[i]);
    const std::string name = sums_.Add(n.Name("conv.weight"), times, rows, columns, flat);
    return graph_.Add1(Op::kConv, a, {x, Weight(name, shape), bias ? Weight(n.Name("conv.bias"), {out}) : Value()},
                       name);
  }

  // A frame, and the times of the filter that see it.
  struct Term {
    Value frame;
    std::pair<int, int> times;
  };

  // The sum of pictures, each convolved by its times' sum.
  Value PictureSum(const Net& n, const std::vector<Term>& terms, int out, const TapGroups& rows,
                   const TapGroups& columns, const Dims3& stride = {1, 1, 1}) {
    Value sum;
    for (const Term& term : terms) {
      const bool first = !sum.valid();
      const Value y = SumConv(n, term.frame, out, {term.times}, rows, columns, first, stride);
      if (!y.valid()) return {};
      sum = first ? y : y + Apart(sum);
    }
    return sum;
  }

  // Frame t and the two before it, of which the first one goes on before itself. `frame` is asked once for each.
  template <typename Frame>
  static std::vector<Term> WithPast(int64_t frames, int64_t t, const Frame& frame) {
    if (frames == 1) return {{frame(0), {0, 3}}};  // all that its convolution sees of time
    const auto term = [&](int late) { return Term{frame(std::max<int64_t>(t - late, 0)), {2 - late, 3 - late}}; };
    return {term(0), term(1), term(2)};
  }

  bool PictureByPicture(const Clip& x) const { return x.area() >= kPictureArea && x.frames() <= kMostPictures; }

  // Beyond its edges a picture goes on as it is there.
  static Value Padded(Value x, int64_t above, int64_t below, int64_t left, int64_t right) {
    if (!x.valid()) return {};
    const int columns = x.shape().rank() - 2;
    return Pad(Pad(x, columns, left, right, PadMode::kReplicate), columns - 1, above, below, PadMode::kReplicate);
  }
  static Value Padded(Value x) { return Padded(x, 1, 1, 1, 1); }

  // A causal convolution of what `prepare` makes of each frame of x; of the sum with `passed`, where there is one.
  // `stride`: of the encoder's steps down.
  template <typename Prepare>
  Clip PictureConv(const Net& n, const Clip& x, int out, const Dims3& stride, const Clip& passed,
                   const Prepare& prepare) {
    Clip y;
    std::map<int64_t, Value> padded;
    int64_t next = 0;
    for (int64_t t = window_ ? 2 : 0; t < x.frames(); t += stride[0]) {
      // In order, for what becomes of a frame on the way.
      for (; next <= t; ++next) padded[next] = Padded(prepare(next, x.Frame(next)));
      Value sum = PictureSum(n, WithPast(x.frames(), t, [&](int64_t frame) { return padded[frame]; }), out, Each(),
                             Each(), stride);
      if (passed.valid()) sum = passed.Frame(static_cast<int64_t>(y.each.size())) + sum;
      if (!sum.valid()) return {};
      y.each.push_back(sum);
    }
    return y;
  }

  // Before the first frame time goes on as it is there, unless x is a window: of that the first two frames are those
  // before.
  Clip CausalConv(const Net& n, const Clip& x, int out, const Dims3& stride = {1, 1, 1}) {
    if (!x.valid()) return {};
    const bool strided = stride != Dims3{1, 1, 1};
    if (PictureByPicture(x) && (strided || x.channels() * int64_t{out} <= kPicturePairs)) {
      return PictureConv(n, x, out, stride, {}, [](int64_t, Value frame) { return frame; });
    }
    const Value padded = Padded(x.Whole());
    if (x.frames() == 1) return SumConv(n, padded, out, All(), Each(), Each(), true, {1, stride[1], stride[2]});
    return SumConv(n, WithPast(padded), out, Each(), Each(), Each(), true, stride);
  }

  // x with the two frames before it.
  Value WithPast(Value x) const { return window_ ? x : Pad(x, 1, 2, 0, PadMode::kReplicate); }

  // Normed, activated, convolved. Of frames that are convolved one by one no more are normed at once than that takes.
  // `on_the_way(t, frame)` sees each frame of x before its norm.
  template <typename OnTheWay>
  Clip NormedConv(const Net& n, const char* norm, const Clip& x, const Net& conv, int out, const Clip& passed,
                  const OnTheWay& on_the_way) {
    if (!x.valid()) return {};
    if (!PictureByPicture(x) || x.channels() * int64_t{out} > kPicturePairs) {
      const Value whole = x.Whole();
      on_the_way(-1, whole);
      const Clip y = CausalConv(conv, Silu(Norm(n, norm, whole)), out);
      return passed.valid() && y.valid() ? Clip(passed.Whole() + y.Whole()) : y;
    }
    const Statistics statistics = StatisticsOf(x);
    return PictureConv(conv, x, out, {1, 1, 1}, passed, [&](int64_t t, Value frame) {
      on_the_way(t, frame);
      return Silu(Norm(n / norm, frame, statistics));
    });
  }
  Clip NormedConv(const Net& n, const char* norm, const Clip& x, const Net& conv, int out, const Clip& passed = {}) {
    return NormedConv(n, norm, x, conv, out, passed, [](int64_t, Value) {});
  }

  // Nearest neighbours doubled in space, and in time for all frames but the first, then a causal convolution: but
  // nothing is doubled. An output at an even place sees its left neighbour once and its own place twice, one at an odd
  // place its own twice and its right neighbour once, so that two taps do.
  Clip DoubledConv(const Net& n, const Clip& x, bool time) {
    if (!x.valid()) return {};
    const int out = x.channels();
    if (!PictureByPicture(x)) {
      const Value whole = x.Whole();
      return Doubled([&](bool odd_row, bool odd_column) {
        const Value place = Padded(whole, !odd_row, odd_row, !odd_column, odd_column);
        return InTime(n, place, out, time, Two(odd_row), Two(odd_column));
      });
    }
    Clip y;
    // By the terms of each place, which sees the picture as it is padded for it.
    const auto add = [&](const std::vector<Term>& terms) {
      y.each.push_back(Doubled([&](bool odd_row, bool odd_column) {
        std::vector<Term> padded = terms;
        for (Term& term : padded) term.frame = Padded(term.frame, !odd_row, odd_row, !odd_column, odd_column);
        return PictureSum(n, padded, out, Two(odd_row), Two(odd_column));
      }));
    };
    std::vector<Value> frames;
    const auto frame = [&](int64_t t) { return frames[t]; };
    for (int64_t t = 0; t < x.frames(); ++t) {
      frames.push_back(x.Frame(t));
      if (!time) {
        if (!window_ || t >= 2) add(WithPast(x.frames(), t, frame));
      } else if (t > 0) {
        for (const bool odd : {true, false}) {
          const TapGroups taps = Two(odd);
          add({{frames[t - 1], taps[0]}, {frames[t], taps[1]}});
        }
      } else if (!window_) {
        add({{frames[0], {0, 3}}});
      }
    }
    return y.valid() ? y : Clip();
  }

  // Pictures of twice the sides, of those that place(odd_row, odd_column) gives for the places within them.
  template <typename Place>
  static Value Doubled(const Place& place) {
    std::vector<Value> lines;
    for (const bool odd_row : {false, true}) {
      const Value even = place(odd_row, false), odd = place(odd_row, true);
      if (!even.valid() || !odd.valid()) return {};
      Shape line = even.shape();
      line[-2] *= 2;
      lines.push_back(Reshape(Concat({even, odd}, line.rank() - 1), line));
    }
    if (!lines[0].valid() || !lines[1].valid()) return {};
    Shape picture = lines[0].shape();
    picture[-3] *= 2;
    return Reshape(Concat(lines, picture.rank() - 2), picture);
  }

  // The part of DoubledConv along time. Of a window that is doubled the first frame is the one before.
  Value InTime(const Net& n, Value x, int out, bool time, const TapGroups& rows, const TapGroups& columns) {
    if (!x.valid()) return {};
    const int64_t frames = x.dim(1);
    if (frames == 1) return SumConv(n, x, out, All(), rows, columns);
    if (!time) return SumConv(n, WithPast(x), out, Each(), rows, columns);
    const Value first = window_ ? Value() : SumConv(n, Slice(x, 1, 0, 1), out, All(), rows, columns);
    const Value odd = SumConv(n, x, out, Two(true), rows, columns);
    const Value even = SumConv(n, x, out, Two(false), rows, columns);
    const Value both = Concat({odd, even}, 2);
    if (!both.valid()) return {};
    const Value rest = Reshape(both, {1, 2 * (frames - 1), odd.dim(2), odd.dim(3), out});
    return window_ ? rest : Concat({first, rest}, 1);
  }

  // ---- Blocks ----

  Value Shortcut(const Net& n, Value x, int out) {
    if (!x.valid()) return {};
    const bool frame = x.shape().rank() == 4;
    const Shape shape = x.shape();
    if (frame) x = Reshape(x, {1, 1, shape[1], shape[2], shape[3]});
    const Net conv = n / "conv_shortcut" / "conv";
    const Value y =
        graph_.Add1(Op::kConv, ConvAttrs{.dims = 3},
                    {x, Weight(conv.Name("weight"), {out, shape.back(), 1, 1, 1}), Weight(conv.Name("bias"), {out})},
                    conv.Name(""));
    if (!y.valid()) return {};
    // First, so that a wide x is not kept until the sum.
    return Apart(frame ? Reshape(y, {1, shape[1], shape[2], out}) : y);
  }

  Clip FirstHalf(const Net& n, const Clip& x, int out, Clip& passed) {
    if (!x.valid()) return {};
    const bool wider = x.channels() != out;
    passed = wider ? Clip() : x;
    return NormedConv(n, "norm1", x, n / "conv1", out, {}, [&](int64_t t, Value frame) {
      if (t >= 0) {
        if (wider && (!window_ || t >= 2)) passed.each.push_back(Shortcut(n, frame, out));
        return;
      }
      if (window_) frame = Slice(frame, 1, 2, frame.dim(1));
      passed = wider ? Shortcut(n, frame, out) : frame;
    });
  }

  Clip SecondHalf(const Net& n, const Clip& x, int out, const Clip& passed) {
    return NormedConv(n, "norm2", x, n / "conv2", out, passed);
  }

  Clip Resnet(const Net& n, const Clip& x, int out) {
    Clip passed;
    const Clip half = FirstHalf(n, x, out, passed);
    return SecondHalf(n, half, out, passed);
  }

  // One head; a frame sees itself and those before it, whole.
  Value MiddleAttention(const Net& n, Value x) {
    if (!x.valid()) return {};
    const Shape shape = x.shape();
    const int64_t area = shape[2] * shape[3];
    const int width = static_cast<int>(shape[4]);
    const Value y = Reshape(Norm(n, "group_norm", x), {1, shape[1] * area, width});
    const Value attended =
        Attention(n.Linear("to_q", y, width), n.Linear("to_k", y, width), n.Linear("to_v", y, width),
                  {.scale = 1 / std::sqrt(static_cast<float>(width)), .causal = true, .block = static_cast<int>(area)});
    return x + Reshape((n / "to_out").Linear("0", attended, width), shape);
  }

  Clip MiddleBlock(const Net& n, Clip x) {
    const int width = config_.block_out_channels.back();
    x = Tap(n / "resnets" / 0, Resnet(n / "resnets" / 0, x, width));
    if (config_.mid_block_add_attention) {
      x = Tap(n / "attentions" / 0, MiddleAttention(n / "attentions" / 0, x.Whole()));
    }
    return Tap(n, Resnet(n / "resnets" / 1, x, width));
  }

  const HunyuanVaeConfig& config_;
  GraphBuilder& graph_;
  TapSums& sums_;
  const bool taps_;
  bool window_ = false;    // x begins with what comes before the frames that are asked for
  Value mean_, variance_;  // of each feature, where they are given
  std::map<std::string, Value> weights_;
};

}  // namespace

Result<HunyuanVaeConfig> ParseHunyuanVaeConfig(std::string_view json) {
  TIMBRE_TRY(JsonConfig file, JsonConfig::Parse(json));
  HunyuanVaeConfig c;
  const auto number = [&file](const char* key, int most, int otherwise) {
    return static_cast<int>(file.Int(key, 1, most, otherwise));
  };
  const std::string kind = file.Text("_class_name", "AutoencoderKLHunyuanVideo");
  c.in_channels = number("in_channels", kMaxChannels, c.in_channels);
  c.out_channels = number("out_channels", kMaxChannels, c.out_channels);
  c.latent_channels = number("latent_channels", kMaxChannels, c.latent_channels);
  if (file.Has("block_out_channels")) c.block_out_channels = file.Ints("block_out_channels", 1, kMaxWidth, kMaxLayers);
  c.layers_per_block = number("layers_per_block", kMaxLayers, c.layers_per_block);
  c.norm_num_groups = number("norm_num_groups", kMaxWidth, c.norm_num_groups);
  c.mid_block_add_attention = file.Bool("mid_block_add_attention", c.mid_block_add_attention);
  c.scaling_factor = file.Number("scaling_factor", 1e-6, 1e6, c.scaling_factor);
  const std::string activation = file.Text("act_fn", "silu");
  const int spatial = number("spatial_compression_ratio", 64, kFrameScale);
  const int temporal = number(
      file.Has("time_compression_ratio") ? "time_compression_ratio" : "temporal_compression_ratio", 64, kFrameSteps);
  TIMBRE_CHECK(file.Finish());

  // The second name is that of Tencent's own files; of other networks of this family the layers differ.
  if (kind != "AutoencoderKLHunyuanVideo" && kind != "AutoencoderKLCausal3D") {
    return Fail(ErrorCode::kUnsupported,
                "the configuration's '_class_name' is neither AutoencoderKLHunyuanVideo nor AutoencoderKLCausal3D, and "
                "other networks are not computed");
  }
  if (activation != "silu") return Fail(ErrorCode::kUnsupported, "the configuration's 'act_fn' is not silu");
  if (spatial != kFrameScale || temporal != kFrameSteps) {
    return Fail(ErrorCode::kUnsupported,
                "the configuration's compression ratios are others than 8 in space and 4 in time");
  }
  if (c.in_channels != 3 || c.out_channels != 3) {
    return Fail(ErrorCode::kUnsupported, "the configuration's frames have other than 3 channels");
  }
  if (c.block_out_channels.size() != kBlocks) {
    return Fail(ErrorCode::kUnsupported, "the configuration's 'block_out_channels' are not four");
  }
  for (const int width : c.block_out_channels) {
    if (width % c.norm_num_groups == 0) continue;
    return Fail(ErrorCode::kCorrupt,
                "a number of the configuration's 'block_out_channels' is no multiple of 'norm_num_groups'");
  }
  return c;
}

std::string ToJson(const HunyuanVaeConfig& config) {
  return nlohmann::ordered_json{{"_class_name", "AutoencoderKLHunyuanVideo"},
                                {"act_fn", "silu"},
                                {"in_channels", config.in_channels},
                                {"out_channels", config.out_channels},
                                {"latent_channels", config.latent_channels},
                                {"block_out_channels", config.block_out_channels},
                                {"layers_per_block", config.layers_per_block},
                                {"norm_num_groups", config.norm_num_groups},
                                {"mid_block_add_attention", config.mid_block_add_attention},
                                {"scaling_factor", config.scaling_factor},
                                {"spatial_compression_ratio", kFrameScale},
                                {"temporal_compression_ratio", kFrameSteps}}
      .dump(2);
}

Result<Graph> BuildHunyuanDecoder(const HunyuanVaeConfig& config, Weights& weights, const LatentShape& shape,
                                  bool taps) {
  TapSums sums(weights);
  GraphBuilder graph("hunyuan-vae", sums);
  Network(config, graph, sums, taps).Decode(shape);
  return graph.Finish();
}

std::vector<DecoderPiece> DecoderPieces(const HunyuanVaeConfig& config) {
  using Kind = DecoderPiece::Kind;
  const std::vector<int>& widths = config.block_out_channels;
  std::vector<DecoderPiece> pieces{
      {.kind = Kind::kStart, .scope = "", .in = config.latent_channels, .out = widths.back()}};
  for (int i = 0; i < kBlocks; ++i) {
    const std::string block = "decoder.up_blocks." + std::to_string(i);
    const int out = widths[kBlocks - 1 - i];
    for (int j = 0; j <= config.layers_per_block; ++j) {
      const std::string scope = block + ".resnets." + std::to_string(j);
      pieces.push_back({.kind = Kind::kFirstHalf, .scope = scope, .in = pieces.back().out, .out = out});
      pieces.push_back({.kind = Kind::kSecondHalf, .scope = scope, .in = out, .out = out});
      if (j == 0) pieces.back().tap = scope;
    }
    if (i < kSpatialSteps) {
      const std::string scope = block + ".upsamplers.0.conv";
      pieces.push_back({.kind = Kind::kDoubled, .scope = scope, .in = out, .out = out, .time = ChangesTime(i)});
    }
    pieces.back().tap = block;
  }
  pieces.push_back({.kind = Kind::kEnd, .scope = "decoder", .in = pieces.back().out, .out = config.out_channels});
  return pieces;
}

Result<Graph> BuildDecoderPiece(const HunyuanVaeConfig& config, Weights& weights, const DecoderPiece& piece,
                                const Shape& shape, bool window) {
  TapSums sums(weights, /*part=*/true);
  GraphBuilder graph("hunyuan-vae " + (piece.scope.empty() ? "decoder.mid_block" : piece.scope), sums);
  Network(config, graph, sums, false).DecodePiece(piece, shape, window);
  return graph.Finish();
}

Result<Graph> BuildHunyuanEncoder(const HunyuanVaeConfig& config, Weights& weights, const LatentShape& shape) {
  TapSums sums(weights);
  GraphBuilder graph("hunyuan-vae-encoder", sums);
  Network(config, graph, sums, false).Encode(shape);
  return graph.Finish();
}

}  // namespace timbre
