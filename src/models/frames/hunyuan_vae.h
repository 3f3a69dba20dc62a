// The causal 3-D autoencoder of HunyuanVideo (W. Kong et al., "HunyuanVideo: A Systematic Framework For Large Video
// Generative Models"), whose latents FramePack makes: latents to frames, frames to latents.
//
// Time is causal but for the norms, whose statistics are those of all that is given at once: what a tile makes of its
// latents depends on the tile.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "graph/graph.h"
#include "graph/weights.h"

namespace timbre {

// As its JSON states it, in the JSON's names.
struct HunyuanVaeConfig {
  int in_channels = 3, out_channels = 3;  // of a frame
  int latent_channels = 16;
  std::vector<int> block_out_channels = {128, 256, 512, 512};  // four: three of them halve the picture's sides
  int layers_per_block = 2;
  int norm_num_groups = 32;
  bool mid_block_add_attention = true;
  double scaling_factor = 0.476986;  // of latents, in the latents' file
};

inline constexpr int64_t kFrameScale = 8;  // sides of a picture for those of a latent
inline constexpr int64_t kFrameSteps = 4;  // frames for a latent, but for the first, which is one frame

// Errors say which number makes no sense, or what kind of network is not computed.
Result<HunyuanVaeConfig> ParseHunyuanVaeConfig(std::string_view json);
std::string ToJson(const HunyuanVaeConfig& config);

// Of a tile of latents, or of what they are made from.
struct LatentShape {
  int64_t frames = 1, height = 1, width = 1;  // in latents

  int64_t places() const { return frames * height * width; }
  int64_t pictures() const { return kFrameSteps * (frames - 1) + 1; }
  friend bool operator==(const LatentShape&, const LatentShape&) = default;
  friend bool operator<(const LatentShape& a, const LatentShape& b) {
    return std::tie(a.frames, a.height, a.width) < std::tie(b.frames, b.height, b.width);
  }
};

// The names of the weights of each half begin with one of these.
inline constexpr std::string_view kFrameDecoderScopes[] = {"decoder.", "post_quant_conv."};
inline constexpr std::string_view kFrameEncoderScopes[] = {"encoder.", "quant_conv."};

// Input "latents" [1, frames, height, width, latent_channels] as a latents' file holds them, output "frames"
// [1, 4 (frames - 1) + 1, 8 height, 8 width, out_channels], about in [-1, 1]. With `taps` what blocks and the first
// layers of each make are outputs too, by their names in the checkpoint.
Result<Graph> BuildHunyuanDecoder(const HunyuanVaeConfig& config, Weights& weights, const LatentShape& shape,
                                  bool taps = false);

// A piece of the decoder between two of its tensors, for whoever computes one after the other, each in bands of frames.
struct DecoderPiece {
  enum class Kind : uint8_t {
    kStart,       // latents up to the block in the middle, whose attention sees all frames
    kFirstHalf,   // of a residual block, up to its first convolution
    kSecondHalf,  // the rest of it
    kDoubled,     // pictures of twice the sides
    kEnd,         // frames
  };
  Kind kind = Kind::kStart;
  std::string scope;  // of its weights
  int in = 0, out = 0;
  bool time = false;  // kDoubled: T frames become 2 T - 1
  std::string tap;    // what its result is called among the taps, or nothing

  // It begins with a norm, over all frames that there are.
  bool normed() const { return kind != Kind::kStart && kind != Kind::kDoubled; }
  // What goes by the block is made of x, and is not x itself.
  bool passes() const { return kind == Kind::kFirstHalf && in != out; }
  // How many frames before its own an output sees.
  int past() const { return kind == Kind::kStart ? 0 : time ? 1 : 2; }
};

// The decoder's, in order: each one's result is what the next one takes.
std::vector<DecoderPiece> DecoderPieces(const HunyuanVaeConfig& config);

// Inputs "x" [1, frames, height, width, in] for `shape` {frames, height, width}; of a piece that is normed "mean" and
// "variance" [in] of each feature's group; of a second half "passed", of the frames that come out. Outputs "y" and, of
// a piece that passes, "passed". A window begins with past() frames before those that are asked for; what is none holds
// the first frames of all.
Result<Graph> BuildDecoderPiece(const HunyuanVaeConfig& config, Weights& weights, const DecoderPiece& piece,
                                const Shape& shape, bool window);

// Input "frames" [1, 4 (frames - 1) + 1, 8 height, 8 width, in_channels] in [-1, 1], output "moments"
// [1, frames, height, width, 2 latent_channels]: means of the latents, before they are scaled, and logarithms of their
// variances.
Result<Graph> BuildHunyuanEncoder(const HunyuanVaeConfig& config, Weights& weights, const LatentShape& shape);

}  // namespace timbre
