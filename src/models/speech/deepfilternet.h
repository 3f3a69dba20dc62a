// DeepFilterNet3: H. Schröter, T. Rosenkranz, A. N. Escalante-B., A. Maier, "DeepFilterNet: Perceptually Motivated
// Real-Time Speech Enhancement", Interspeech 2023. Two stages on a short-time spectrum: gains in ERB bands for the
// envelope, then a complex filter over a few frames ("deep filter") for the lower bins.
//
// The network is a graph for a block of frames whose state (histories of causal convolutions, recurrent states) stays
// in the session from one block to the next, so that a long block and many short ones compute the same. What surrounds
// it, the transform, the features and the filter, is arithmetic on one frame at a time, below.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dsp/fft.h"
#include "graph/graph.h"
#include "graph/weights.h"

namespace timbre {

struct DeepFilterNetConfig {
  int sample_rate = 48000;
  int fft_size = 960;
  int hop_size = 480;
  int erb_bands = 32;
  int df_bins = 96;  // the lowest ones, which are filtered
  int df_order = 5;
  int df_lookahead = 0;                 // frames
  int min_erb_bins = 2;                 // the least width of a band
  float norm_tau = 1;                   // seconds
  float lsnr_min = -15, lsnr_max = 35;  // dB

  int conv_lookahead = 0;  // frames
  int channels = 16;
  std::vector<int> kernel{1, 3}, transposed_kernel{1, 3}, input_kernel{3, 3};  // frames, bins
  int emb_hidden = 256, emb_layers = 2;
  int df_hidden = 256, df_layers = 3;
  int df_pathway_frames = 1;
  int linear_groups = 1, encoder_linear_groups = 16;
  bool encoder_concat = false;
  std::string encoder_skip = "none", decoder_skip = "none", df_skip = "none";  // none, identity, groupedlinear
  bool post_filter = false;
  float post_filter_beta = 0.02f;
  // Whether the network is run from the first frame on, as libDF does hop by hop: what it gives before it has looked
  // ahead is thrown away, but not what it has heard. Else its first frame is the one that it has looked ahead for, as
  // in the authors' Python.
  bool sees_first_frames = false;

  int bins() const { return fft_size / 2 + 1; }
  // Frames that an output frame waits for.
  int lookahead() const { return conv_lookahead; }
};

// Reads config.ini. Keys it lacks have the reference's defaults; unknown ones are of no interest. kUnsupported for
// another network (DeepFilterNet and DeepFilterNet2 are built of other layers), kCorrupt for values out of bounds.
Result<DeepFilterNetConfig> ParseDeepFilterNetConfig(std::string_view ini);

// Bins in each ERB band; they sum to bins(). Bands grow on the scale of equivalent rectangular bandwidths
// (Glasberg and Moore 1990), but none is narrower than min_erb_bins.
std::vector<int> ErbWidths(const DeepFilterNetConfig& config);

// What is kept of the running mean at each frame: exp(-hop / (rate tau)), rounded to the fewest digits, at least three,
// that are below 1.
float NormDecay(const DeepFilterNetConfig& config);

// Which part of the network a graph holds. The parts hand e0 to e3 and c0 (feature maps), and emb, over to each other:
// so a caller can leave the decoders out for frames that need none.
enum class DeepFilterPart { kAll, kEncoder, kErbDecoder, kDfDecoder, kEncoderAndErbDecoder };

// N = `batch` signals side by side, T = `frames`. With the encoder: inputs "feat_erb" [N, T, bands, 1] and "feat_spec"
// [N, T, df_bins, 2], output "lsnr" [N, T, 1] in dB. With the decoders: outputs "mask" [N, T, bands], "coefs"
// [N, T, df_bins, 2 * df_order] (real and imaginary part of the oldest frame's factor first). What is
// remembered from block to block is the session's state, zeros at the start.
Result<Graph> BuildDeepFilterNet(const DeepFilterNetConfig& config, Weights& weights, DeepFilterPart part, int batch,
                                 int frames);

// Transform and features of one signal, frame by frame. Nothing allocates after Create.
class DeepFilterFrames {
 public:
  static Result<DeepFilterFrames> Create(const DeepFilterNetConfig& config);
  DeepFilterFrames(DeepFilterFrames&&) = default;  // not copied: pointers into its state
  DeepFilterFrames& operator=(DeepFilterFrames&&) = default;

  // Back to silence.
  void Reset();
  // hop_size samples in; the spectrum [bins][2] out.
  void Analyse(const float* hop, float* spectrum);
  // [bins][2] in, hop_size samples out, fft_size - hop_size samples later than what was analysed.
  void Synthesise(const float* spectrum, float* hop);
  // The network's inputs from a spectrum: erb [bands], spec [df_bins][2]. Both are normalised by running means.
  void Features(const float* spectrum, float* erb, float* spec);

  const std::vector<int>& widths() const { return widths_; }
  // Everything that lives between calls, for saving and restoring.
  std::span<float> state() { return state_; }

 private:
  DeepFilterFrames(const DeepFilterNetConfig& config, RealFft fft);

  RealFft fft_;
  int fft_size_, hop_, bins_, bands_, df_bins_;
  float decay_;
  std::vector<int> widths_;
  std::vector<float> analysis_window_, synthesis_window_, frame_, scratch_;
  std::vector<float> state_;  // analysis memory, synthesis memory, band means, bin means
  float *analysis_, *synthesis_, *band_means_, *bin_means_;
};

// Multiplies each band's bins by its gain: spectrum [bins][2], gains [bands].
void ApplyErbGains(std::span<const int> widths, const float* gains, float* spectrum);

// out[f] = sum over n of frames[n][f] coefs[f][n], complex, for the lowest `df_bins` bins; frames[0] is the oldest.
void ApplyDeepFilter(std::span<const float* const> frames, const float* coefs, int df_bins, float* out);

// Attenuates noisy parts a little more: J.-M. Valin et al., "A Perceptually-Motivated Approach for Low-Complexity,
// Real-Time Enhancement of Fullband Speech", Interspeech 2020, equation 11, on the gain that the network gave each bin.
void PostFilter(const float* noisy, int bins, float beta, float* enhanced);

}  // namespace timbre
