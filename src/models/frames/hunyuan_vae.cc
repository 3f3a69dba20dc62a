#include "models/frames/hunyuan_vae.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "graph/net.h"
#include "models/song/json_config.h"

namespace timbre {
namespace {

constexpr int kBlocks = 4, kSpatialSteps = 3;
constexpr int kMaxWidth = 4096, kMaxLayers = 16, kMaxChannels = 256;
constexpr float kEps = 1e-6f;

// The blocks, counted from the side of the latents in the decoder and from that of the frames in the encoder, that
// change the number of frames. All but the last change the picture's sides.
bool ChangesTime(int block) { return block == 1 || block == 2; }

class Network {
 public:
  Network(const HunyuanVaeConfig& config, GraphBuilder& graph, bool taps)
      : config_(config), graph_(graph), taps_(taps) {}

  void Decode(const LatentShape& shape) {
    const Net n(graph_);
    Value x = graph_.Input("latents", {1, shape.frames, shape.height, shape.width, config_.latent_channels});
    x = Scale(x, static_cast<float>(1 / config_.scaling_factor));
    x = Tap(n / "post_quant_conv", n.Conv("post_quant_conv", x, {.out = config_.latent_channels}));
    const Net decoder = n / "decoder";
    const std::vector<int>& widths = config_.block_out_channels;
    x = Tap(decoder / "conv_in", CausalConv(decoder / "conv_in", x, widths.back()));
    x = MiddleBlock(decoder / "mid_block", x);
    for (int i = 0; i < kBlocks; ++i) {
      const Net block = decoder / "up_blocks" / i;
      x = Resnets(block, x, config_.layers_per_block + 1, widths[kBlocks - 1 - i]);
      if (i < kSpatialSteps) {
        x = CausalConv(block / "upsamplers" / 0 / "conv", Upsampled(x, ChangesTime(i)), widths[kBlocks - 1 - i]);
      }
      x = Tap(block, x);
    }
    x = Tap(decoder / "conv_norm_out", Norm(decoder, "conv_norm_out", x));
    graph_.Output("frames", CausalConv(decoder / "conv_out", Silu(x), config_.out_channels));
  }

  void Encode(const LatentShape& shape) {
    const Net n(graph_), encoder = n / "encoder";
    Value x = graph_.Input(
        "frames", {1, shape.pictures(), kFrameScale * shape.height, kFrameScale * shape.width, config_.in_channels});
    const std::vector<int>& widths = config_.block_out_channels;
    x = CausalConv(encoder / "conv_in", x, widths[0]);
    for (int i = 0; i < kBlocks; ++i) {
      const Net block = encoder / "down_blocks" / i;
      x = Resnets(block, x, config_.layers_per_block, widths[i]);
      if (i < kSpatialSteps) {
        x = CausalConv(block / "downsamplers" / 0 / "conv", x, widths[i], 3, {ChangesTime(i) ? 2 : 1, 2, 2});
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

  Value Norm(const Net& n, const char* name, Value x) { return n.GroupNorm(name, x, config_.norm_num_groups, kEps); }

  // Beyond its edges the picture goes on as it is there, and before the first frame with that.
  Value CausalConv(const Net& n, Value x, int out, int kernel = 3, const Sizes& stride = 1) {
    if (!x.valid()) return {};
    const int edge = kernel / 2;
    x = Pad(x, 3, edge, edge, PadMode::kReplicate);
    x = Pad(x, 2, edge, edge, PadMode::kReplicate);
    x = Pad(x, 1, kernel - 1, 0, PadMode::kReplicate);
    return n.Conv("conv", x, {.out = out, .kernel = kernel, .stride = stride});
  }

  Value Resnet(const Net& n, Value x, int out) {
    if (!x.valid()) return {};
    Value y = CausalConv(n / "conv1", Silu(Norm(n, "norm1", x)), out);
    y = CausalConv(n / "conv2", Silu(Norm(n, "norm2", y)), out);
    return (x.dim(4) == out ? x : CausalConv(n / "conv_shortcut", x, out, 1)) + y;
  }

  Value Resnets(const Net& block, Value x, int count, int out) {
    for (int i = 0; i < count; ++i) {
      const Net n = block / "resnets" / i;
      x = Resnet(n, x, out);
      if (i == 0) x = Tap(n, x);
    }
    return x;
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

  // Nearest neighbours in space, and in time for all frames but the first.
  Value Upsampled(Value x, bool time) {
    if (!x.valid()) return {};
    if (time && x.dim(1) > 1) {
      x = Concat({Slice(x, 1, 0, 1), Upsample(Slice(x, 1, 1, x.dim(1)), 1, 2)}, 1);
    }
    return Upsample(Upsample(x, 2, 2), 3, 2);
  }

  const HunyuanVaeConfig& config_;
  GraphBuilder& graph_;
  const bool taps_;
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
  GraphBuilder graph("hunyuan-vae", weights);
  Network(config, graph, taps).Decode(shape);
  return graph.Finish();
}

Result<Graph> BuildHunyuanEncoder(const HunyuanVaeConfig& config, Weights& weights, const LatentShape& shape) {
  GraphBuilder graph("hunyuan-vae-encoder", weights);
  Network(config, graph, false).Encode(shape);
  return graph.Finish();
}

}  // namespace timbre
