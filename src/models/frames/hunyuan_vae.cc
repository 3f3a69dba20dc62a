#include "models/frames/hunyuan_vae.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "graph/net.h"
#include "models/frames/tap_sums.h"
#include "models/song/json_config.h"

namespace timbre {
namespace {

constexpr int kBlocks = 4, kSpatialSteps = 3;
constexpr int kMaxWidth = 4096, kMaxLayers = 16, kMaxChannels = 256;
constexpr float kEps = 1e-6f;

// Pictures from this many pixels on are worth the copies that convolving them one by one takes, and weights up to this
// many pairs of channels the memory: they are packed four times as large.
constexpr int64_t kPlaneArea = 32 * 32, kPlanePairs = 256 * 512;

TapGroups Each() { return {{0, 1}, {1, 2}, {2, 3}}; }
TapGroups All() { return {{0, 3}}; }
// Of a doubled axis, for an output at an odd or at an even place.
TapGroups Two(bool odd) { return odd ? TapGroups{{0, 2}, {2, 3}} : TapGroups{{0, 1}, {1, 3}}; }

// The blocks, counted from the side of the latents in the decoder and from that of the frames in the encoder, that
// change the number of frames. All but the last change the picture's sides.
bool ChangesTime(int block) { return block == 1 || block == 2; }

class Network {
 public:
  Network(const HunyuanVaeConfig& config, GraphBuilder& graph, TapSums& sums, bool taps)
      : config_(config), graph_(graph), sums_(sums), taps_(taps) {}

  void Decode(const LatentShape& shape) {
    Value x = graph_.Input("latents", {1, shape.frames, shape.height, shape.width, config_.latent_channels});
    Value passed;
    for (const DecoderPiece& piece : DecoderPieces(config_)) {
      x = Piece(piece, x, passed);
      if (!piece.tap.empty() && taps_) graph_.Output(piece.tap, x);
    }
    graph_.Output("frames", x);
  }

  // A piece by itself: see BuildDecoderPiece.
  void DecodePiece(const DecoderPiece& piece, const Shape& shape, bool window) {
    window_ = window;
    const Value x = graph_.Input("x", {1, shape[0], shape[1], shape[2], piece.in});
    if (piece.normed()) {
      mean_ = graph_.Input("mean", {piece.in});
      variance_ = graph_.Input("variance", {piece.in});
    }
    Value passed;
    if (piece.kind == DecoderPiece::Kind::kSecondHalf) {
      passed = graph_.Input("passed", {1, shape[0] - (window ? 2 : 0), shape[1], shape[2], piece.out});
    }
    graph_.Output("y", Piece(piece, x, passed));
    if (piece.passes()) graph_.Output("passed", passed);
  }

  void Encode(const LatentShape& shape) {
    const Net n(graph_), encoder = n / "encoder";
    Value x = graph_.Input(
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
    x = Silu(Norm(encoder, "conv_norm_out", x));
    x = CausalConv(encoder / "conv_out", x, 2 * config_.latent_channels);
    graph_.Output("moments", n.Conv("quant_conv", x, {.out = 2 * config_.latent_channels}));
  }

 private:
  Value Tap(const Net& n, Value x) {
    if (taps_) graph_.Output(n.Name(""), x);
    return x;
  }

  // What the piece makes of x. The two halves of a block hand on what passes by it.
  Value Piece(const DecoderPiece& piece, Value x, Value& passed) {
    const Net n = Net(graph_) / piece.scope;
    switch (piece.kind) {
      case DecoderPiece::Kind::kStart: return Start(x);
      case DecoderPiece::Kind::kFirstHalf: return FirstHalf(n, x, piece.out, passed);
      case DecoderPiece::Kind::kSecondHalf: return SecondHalf(n, x, piece.out, passed);
      case DecoderPiece::Kind::kDoubled: return DoubledConv(n, x, piece.time);
      case DecoderPiece::Kind::kEnd: {
        x = Tap(n / "conv_norm_out", Norm(n, "conv_norm_out", x));
        return CausalConv(n / "conv_out", Silu(x), piece.out);
      }
    }
    return {};
  }

  Value Start(Value x) {
    const Net n(graph_), decoder = n / "decoder";
    x = Scale(x, static_cast<float>(1 / config_.scaling_factor));
    x = Tap(n / "post_quant_conv", n.Conv("post_quant_conv", x, {.out = config_.latent_channels}));
    x = Tap(decoder / "conv_in", CausalConv(decoder / "conv_in", x, config_.block_out_channels.back()));
    return MiddleBlock(decoder / "mid_block", x);
  }

  // The same, computed before what follows: through another shape, no sum is fused into what makes it.
  static Value Apart(Value x) {
    if (!x.valid()) return {};
    return Reshape(Reshape(x, {x.shape().elements() / x.shape().back(), x.shape().back()}), x.shape());
  }

  // By the statistics of x, or by those that are given.
  Value Norm(const Net& n, const char* name, Value x) {
    if (!mean_.valid() || !x.valid()) return n.GroupNorm(name, x, config_.norm_num_groups, kEps);
    const Net norm = n / name;
    const Shape features{x.shape().back()};
    return graph_.Add1(Op::kBatchNorm, BatchNormAttrs{.eps = kEps},
                       {x, mean_, variance_, norm.Weight("weight", features), norm.Weight("bias", features)},
                       norm.Name(""));
  }

  // Taps of a causal convolution `n`, summed up in groups. x [1, frames, height, width, C] is as large as the filter
  // wants it; or [frames, height, width, C] for one that has no times.
  Value SumConv(const Net& n, Value x, int out, const TapGroups& times, const TapGroups& rows, const TapGroups& columns,
                bool bias = true, const Dims3& stride = {1, 1, 1}) {
    if (!x.valid()) return {};
    const bool flat = x.shape().rank() == 4;
    ConvAttrs a{.dims = flat ? 2 : 3, .stride = stride};
    a.kernel = {static_cast<int>(times.size()), static_cast<int>(rows.size()), static_cast<int>(columns.size())};
    Shape shape{out, x.shape().back()};
    for (int i = flat ? 1 : 0; i < 3; ++i) shape.push_back(a.kernel[i]);
    const std::string name = sums_.Add(n.Name("conv.weight"), times, rows, columns, flat);
    const Value w = graph_.Weight(name, shape);
    return graph_.Add1(Op::kConv, a, {x, w, bias ? n.Weight("conv.bias", {out}) : Value()}, name);
  }

  // Beyond its edges the picture goes on as it is there, and before the first frame with that, unless x is a window: of
  // that the first two frames are those before. `stride`: of the encoder's steps down.
  Value CausalConv(const Net& n, Value x, int out, const Dims3& stride = {1, 1, 1}) {
    if (!x.valid()) return {};
    x = Pad(x, 3, 1, 1, PadMode::kReplicate);
    x = Pad(x, 2, 1, 1, PadMode::kReplicate);
    // A single frame is all that its convolution sees of time.
    if (x.dim(1) == 1) return SumConv(n, x, out, All(), Each(), Each(), true, {1, stride[1], stride[2]});
    const int64_t area = x.dim(2) * x.dim(3), pairs = x.dim(4) * out;
    if (stride == Dims3{1, 1, 1} && area >= kPlaneArea && pairs <= kPlanePairs) return PlanesConv(n, x, out);
    return SumConv(n, WithPast(x), out, Each(), Each(), Each(), true, stride);
  }

  // x with the two frames before it.
  Value WithPast(Value x) const { return window_ ? x : Pad(x, 1, 2, 0, PadMode::kReplicate); }

  // The same as three convolutions of pictures, one a time, of a padded x: there are faster algorithms for those. The
  // first two frames see the first one more than once; cut off from the rest, nothing has to be copied for them.
  Value PlanesConv(const Net& n, Value x, int out) {
    const int64_t frames = x.dim(1);
    const Value pictures = Reshape(x, {frames, x.dim(2), x.dim(3), x.dim(4)});
    // Frames [begin, end), each with what is at most so many frames before it.
    const auto stretch = [&](int64_t begin, int64_t end, int64_t most) {
      Value sum;
      for (int late = 0; late < 3; ++late) {
        const int64_t before = std::min<int64_t>(late, most);
        const Value y = SumConv(n, Slice(pictures, 0, begin - before, end - before), out, {{2 - late, 3 - late}},
                                Each(), Each(), late == 0);
        sum = late == 0 ? y : y + Apart(sum);
      }
      return sum;
    };
    const auto volume = [&](Value y) {
      return y.valid() ? Reshape(y, {1, y.dim(0), y.dim(1), y.dim(2), out}) : Value();
    };
    if (window_) return volume(stretch(2, frames, 2));
    // The largest first: memory for all of them is taken with the first one's last sum.
    const Value rest = frames > 2 ? stretch(2, frames, 2) : Value();
    std::vector<Value> parts{stretch(0, 1, 0), stretch(1, 2, 1)};
    if (frames > 2) parts.push_back(rest);
    return volume(Concat(parts, 0));
  }

  // Nearest neighbours doubled in space, and in time for all frames but the first, then a causal convolution: but
  // nothing is doubled. An output at an even place sees its left neighbour once and its own place twice, one at an odd
  // place its own twice and its right neighbour once, so that two taps do.
  Value DoubledConv(const Net& n, Value x, bool time) {
    if (!x.valid()) return {};
    const int out = static_cast<int>(x.dim(4));
    const int64_t height = x.dim(2), width = x.dim(3);
    std::vector<Value> lines;
    for (const int odd_row : {0, 1}) {
      const Value line = Pad(x, 2, 1 - odd_row, odd_row, PadMode::kReplicate);
      std::vector<Value> places;
      for (const int odd_column : {0, 1}) {
        const Value place = Pad(line, 3, 1 - odd_column, odd_column, PadMode::kReplicate);
        places.push_back(InTime(n, place, out, time, Two(odd_row == 1), Two(odd_column == 1)));
      }
      const Value both = Concat(places, 4);
      if (!both.valid()) return {};
      lines.push_back(Reshape(both, {1, both.dim(1), height, 2 * width, out}));
    }
    const Value both = Concat(lines, 3);
    if (!both.valid()) return {};
    return Reshape(both, {1, both.dim(1), 2 * height, 2 * width, out});
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

  Value FirstHalf(const Net& n, Value x, int out, Value& passed) {
    if (!x.valid()) return {};
    passed = window_ ? Slice(x, 1, 2, x.dim(1)) : x;
    // First, so that a wide x is not kept until the sum.
    if (x.dim(4) != out) passed = Apart((n / "conv_shortcut").Conv("conv", passed, {.out = out}));
    return CausalConv(n / "conv1", Silu(Norm(n, "norm1", x)), out);
  }

  Value SecondHalf(const Net& n, Value x, int out, Value passed) {
    return passed + CausalConv(n / "conv2", Silu(Norm(n, "norm2", x)), out);
  }

  Value Resnet(const Net& n, Value x, int out) {
    Value passed;
    x = FirstHalf(n, x, out, passed);
    return SecondHalf(n, x, out, passed);
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

  Value MiddleBlock(const Net& n, Value x) {
    const int width = config_.block_out_channels.back();
    x = Tap(n / "resnets" / 0, Resnet(n / "resnets" / 0, x, width));
    if (config_.mid_block_add_attention) {
      x = Tap(n / "attentions" / 0, MiddleAttention(n / "attentions" / 0, x));
    }
    return Tap(n, Resnet(n / "resnets" / 1, x, width));
  }

  const HunyuanVaeConfig& config_;
  GraphBuilder& graph_;
  TapSums& sums_;
  const bool taps_;
  bool window_ = false;    // x begins with what comes before the frames that are asked for
  Value mean_, variance_;  // of each feature, where they are given
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
