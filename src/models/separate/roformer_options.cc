#include <algorithm>
#include <cmath>
#include <iterator>
#include <optional>

#include "models/separate/roformer.h"

namespace timbre {
namespace {

using O = RoformerOptions;

std::string Part(const std::string& prefix, int64_t index) { return prefix + std::to_string(index) + "."; }

bool AnyBelow(const TensorMap& weights, const std::string& prefix) {
  const auto found = weights.lower_bound(prefix);
  return found != weights.end() && found->first.starts_with(prefix);
}

// How many parts "<prefix>0.", "<prefix>1.", … there are.
int CountParts(const TensorMap& weights, const std::string& prefix) {
  int count = 0;
  while (AnyBelow(weights, Part(prefix, count))) ++count;
  return count;
}

// Sizes of named weights; the first that is missing is remembered.
class WeightSizes {
 public:
  explicit WeightSizes(const TensorMap& weights) : weights_(weights) {}
  int64_t Of(const std::string& name, int axis) {
    const auto found = weights_.find(name);
    if (found != weights_.end() && axis < found->second.shape.rank()) return found->second.shape[axis];
    if (missing_.empty()) missing_ = name;
    return 0;
  }
  const std::string& missing() const { return missing_; }

 private:
  const TensorMap& weights_;
  std::string missing_;
};

// The bands of the paper's network at 2048 bins: narrow where a voice's and a bass's partials lie.
std::vector<int64_t> PublishedWidths() {
  std::vector<int64_t> widths;
  for (const auto& [count, width] : {std::pair(24, 2), {12, 4}, {8, 12}, {8, 24}, {8, 48}, {1, 128}, {1, 129}}) {
    widths.insert(widths.end(), count, width);
  }
  return widths;
}

// In float64, as librosa computes them: whether a bin lies inside a triangle hangs on the last digits.
double MelOf(double hz) { return hz < 1000 ? 3 * hz / 200 : 15 + 27 * std::log(hz / 1000) / std::log(6.4); }
double HzOf(double mel) { return mel < 15 ? mel * 200 / 3 : 1000 * std::exp((mel - 15) * std::log(6.4) / 27); }

Result<std::vector<BandRange>> SplitBands(const std::vector<int64_t>& widths, int64_t bins) {
  std::vector<BandRange> bands;
  int64_t at = 0;
  for (const int64_t width : widths) {
    if (width < 1 || width > bins - at) break;
    bands.push_back({at, at + width});
    at += width;
  }
  if (at == bins && bands.size() == widths.size()) return bands;
  return Fail(ErrorCode::kUnsupported, "the configuration's model.freqs_per_bands do not add up to the " +
                                           std::to_string(bins) + " bins of its model.stft_n_fft");
}

// What the configuration says twice must be what the weights are.
class Agreement {
 public:
  explicit Agreement(TrainerConfig& config) : config_(config) {}

  void Number(const char* name, int64_t ours) {
    int64_t said = 0;
    if (config_.Read("model", name, said) && said != ours) {
      Differ(name, std::to_string(said), std::to_string(ours));
    }
  }
  void Truth(const char* name, bool ours) {
    bool said = false;
    if (config_.Read("model", name, said) && said != ours)
      Differ(name, said ? "true" : "false", ours ? "true" : "false");
  }
  const Status& status() const { return status_; }

 private:
  void Differ(const char* name, const std::string& said, const std::string& ours) {
    if (!status_) return;
    status_ = Fail(ErrorCode::kCorrupt, std::string("the configuration's model.") + name + " is " + said +
                                            " where the weights' is " + ours + "; it belongs to another checkpoint");
  }

  TrainerConfig& config_;
  Status status_;
};

}  // namespace

std::vector<BandRange> PublishedBands() {
  return SplitBands(PublishedWidths(), 1025).value_or(std::vector<BandRange>());
}

Result<std::vector<BandRange>> MelBands(int sample_rate, int n_fft, int bands) {
  const int64_t bins = n_fft / 2 + 1;
  const double top = MelOf(sample_rate / 2.0);
  std::vector<double> edges(bands + 2);
  for (int i = 0; i < bands + 2; ++i) edges[i] = HzOf(top * i / (bands + 1));
  std::vector<BandRange> ranges(bands);
  for (int b = 0; b < bands; ++b) {
    int64_t begin = bins, end = 0;
    for (int64_t k = 0; k < bins; ++k) {
      const double hz = static_cast<double>(k) * sample_rate / n_fft;
      const double rise = (hz - edges[b]) / (edges[b + 1] - edges[b]);
      const double fall = (edges[b + 2] - hz) / (edges[b + 2] - edges[b + 1]);
      if (std::min(rise, fall) > 0) begin = std::min(begin, k), end = k + 1;
    }
    ranges[b] = {begin, end};
  }
  ranges.front().begin = 0;
  ranges.back().end = bins;
  for (int b = 0; b < bands; ++b) {
    const bool gap = b > 0 && ranges[b].begin > ranges[b - 1].end;
    const bool thick = b > 1 && ranges[b].begin < ranges[b - 2].end;  // more than two lie over a bin
    if (ranges[b].width() < 1 || gap || thick) {
      return Fail(ErrorCode::kUnsupported, std::to_string(bands) + " mel bands do not suit the " +
                                               std::to_string(bins) + " bins of a transform of " +
                                               std::to_string(n_fft) + " samples: some would be without a bin");
    }
  }
  return ranges;
}

bool IsRoformer(const TensorMap& weights) { return weights.contains("band_split.to_features.0.0.gamma"); }

Result<RoformerOptions> ReadRoformerOptions(const std::string& yaml, const TensorMap& weights) {
  TIMBRE_TRY(TrainerConfig config, TrainerConfig::Parse(yaml));
  TIMBRE_TRY(const TrainerTiling tiling, ReadTrainerTiling(config));
  O o;
  o.tiling = tiling;
  WeightSizes sizes(weights);

  // From the weights.
  o.mel = !weights.contains("final_norm.gamma");
  o.dim = static_cast<int>(sizes.Of("band_split.to_features.0.1.weight", 0));
  o.depth = CountParts(weights, "layers.");
  const int parts = CountParts(weights, "layers.0.");
  if (parts != 2 && parts != 3) {
    return Fail(ErrorCode::kUnsupported, "the network's blocks have " + std::to_string(parts) +
                                             " transformers; only two, along time and bands, and a linear one before "
                                             "them are known");
  }
  const int first = parts - 2;
  const std::string block = "layers.0.";
  o.linear_depth = first == 1 ? CountParts(weights, block + "0.layers.") : 0;
  o.time_depth = CountParts(weights, Part(block, first) + "layers.");
  o.band_depth = CountParts(weights, Part(block, first + 1) + "layers.");
  const std::string attention = Part(block, first) + "layers.0.0.";
  o.heads = static_cast<int>(sizes.Of(attention + "to_gates.weight", 0));
  const int64_t inner = sizes.Of(attention + "to_qkv.weight", 0) / 3;
  o.dim_head = o.heads > 0 ? static_cast<int>(inner / o.heads) : 0;
  o.pope = weights.contains(attention + "pope_embed.bias");
  const std::string second = "layers.1." + std::to_string(first) + ".layers.0.0.";
  for (const char* name : {"to_value_residual_mix", "learned_value_residual_mix"}) {
    if (weights.contains(second + name + ".weight")) o.value_mix = name;
  }
  o.stored_positions = weights.contains(attention + (o.pope ? "pope_embed.inv_freqs" : "rotary_embed.freqs"));
  o.qkv_bias = weights.contains(attention + "to_qkv.bias") || weights.contains(kSharedQkvBias);
  o.out_bias = weights.contains(attention + "to_out.0.bias") || weights.contains(kSharedOutBias);
  const std::string mask = "mask_estimators.0.to_freqs.0.0.";
  o.mask_layers = 0;
  while (weights.contains(Part(mask, 2 * o.mask_layers) + "weight")) ++o.mask_layers;
  if (o.mask_layers > 1 && o.dim > 0) o.mask_expansion = static_cast<int>(sizes.Of(mask + "0.weight", 0) / o.dim);
  const int stems = CountParts(weights, "mask_estimators.");
  const int bands = CountParts(weights, "band_split.to_features.");
  if (!sizes.missing().empty()) {
    return Fail(ErrorCode::kCorrupt, "these are weights of a RoFormer, but there is none named '" + sizes.missing() +
                                         "' of a shape to go by");
  }

  // From the configuration, which alone knows.
  int sample_rate = tiling.sample_rate;
  bool stereo = false, match_length = false;
  int streams = 1;
  config.Read("model", "stereo", stereo);
  config.Read("model", "stft_n_fft", o.n_fft);
  config.Read("model", "stft_hop_length", o.hop);
  o.win = o.n_fft;
  config.Read("model", "stft_win_length", o.win);
  config.Read("model", "stft_normalized", o.normalised);
  config.Read("model", "skip_connection", o.skip_connection);
  config.Read("model", "zero_dc", o.zero_dc);
  config.Read("model", "match_input_audio_length", match_length);
  config.Read("model", "num_residual_streams", streams);
  if (o.mel) config.Read("model", "sample_rate", sample_rate);
  std::vector<int64_t> widths = PublishedWidths();
  if (!o.mel) config.Read("model", "freqs_per_bands", widths);
  o.channels = stereo ? 2 : 1;

  Agreement agreement(config);
  agreement.Number("dim", o.dim);
  agreement.Number("depth", o.depth);
  agreement.Number("heads", o.heads);
  agreement.Number("dim_head", o.dim_head);
  agreement.Number("num_stems", stems);
  agreement.Number("linear_transformer_depth", o.linear_depth);
  agreement.Number("time_transformer_depth", o.time_depth);
  agreement.Number("freq_transformer_depth", o.band_depth);
  agreement.Number("mask_estimator_depth", o.mel ? o.mask_layers - 1 : o.mask_layers);
  if (o.mask_layers > 1) agreement.Number("mlp_expansion_factor", o.mask_expansion);
  if (o.mel) agreement.Number("num_bands", bands);  // BS-RoFormers are published with one that means nothing
  agreement.Truth("use_pope", o.pope);
  if (!config.status()) return tl::unexpected<Error>(config.status().error());
  TIMBRE_CHECK(agreement.status());
  if (streams > 1) {
    return Fail(ErrorCode::kUnsupported, "the configuration's model.num_residual_streams is " +
                                             std::to_string(streams) + "; networks of one stream alone are known");
  }
  if (stems != static_cast<int>(tiling.stems.size())) {
    return Fail(ErrorCode::kCorrupt, "the configuration's training.instruments (or target_instrument) name " +
                                         std::to_string(tiling.stems.size()) + " stems where the weights make " +
                                         std::to_string(stems) + "; it belongs to another checkpoint");
  }
  TIMBRE_CHECK(CheckBounds({{"model.stft_n_fft", o.n_fft, 16, 1 << 16},
                            {"model.sample_rate", sample_rate, 1000, 384000},
                            {"bands (of the weights)", bands, 1, o.n_fft / 4}}));
  TIMBRE_TRY(o.bands, o.mel ? MelBands(sample_rate, o.n_fft, bands) : SplitBands(widths, o.n_fft / 2 + 1));
  for (int b = 0; b < std::max(bands, static_cast<int>(o.bands.size())); ++b) {
    const std::string name = Part("band_split.to_features.", b) + "0.gamma";
    const int64_t has = weights.contains(name) ? sizes.Of(name, 0) : 0;
    const int64_t wants = b < static_cast<int>(o.bands.size()) ? 2 * o.channels * o.bands[b].width() : 0;
    if (has != wants) {
      return Fail(ErrorCode::kCorrupt,
                  "the weight '" + name + "' has " + std::to_string(has) + " features where the configuration's " +
                      (o.mel ? "model.stft_n_fft, num_bands, sample_rate" : "model.stft_n_fft, freqs_per_bands") +
                      " and stereo make " + std::to_string(wants) + "; it belongs to another checkpoint");
    }
  }
  if (o.mel && !match_length && o.hop > 0 && tiling.chunk_size % o.hop != 0) {
    return Fail(ErrorCode::kUnsupported,
                "the configuration's chunk_size of " + std::to_string(tiling.chunk_size) +
                    " samples is no multiple of its model.stft_hop_length, of which a Mel-Band RoFormer gives whole "
                    "ones back; correct it, or set model.match_input_audio_length where it was trained so");
  }
  TIMBRE_CHECK(CheckRoformer(o));
  return o;
}

Status CheckRoformer(const O& o) {
  const int64_t stems = static_cast<int64_t>(o.tiling.stems.size()), bins = o.n_fft / 2 + 1;
  TIMBRE_CHECK(CheckBounds({
      {"model.dim", o.dim, 1, 8192},
      {"model.depth", o.depth, 1, 64},
      {"model.heads", o.heads, 1, 256},
      {"model.dim_head", o.dim_head, 2, 512},
      {"model.linear_transformer_depth", o.linear_depth, 0, 16},
      {"model.time_transformer_depth", o.time_depth, 1, 16},
      {"model.freq_transformer_depth", o.band_depth, 1, 16},
      {"model.stft_n_fft", o.n_fft, 16, 1 << 16},
      {"model.stft_win_length", o.win, 4, o.n_fft},
      {"model.stft_hop_length", o.hop, 1, o.win - 1},
      {"mask_estimator_depth (in layers)", o.mask_layers, 1, 16},
      {"model.mlp_expansion_factor", o.mask_expansion, 1, 64},
      {"model.num_stems", stems, 1, 64},
      {"chunk_size", o.tiling.chunk_size, o.n_fft / 2 + 1, 1 << 24},
  }));
  if (o.n_fft % 2 != 0 || o.dim_head % 2 != 0) {
    return Fail(ErrorCode::kUnsupported, "the configuration's model.stft_n_fft and model.dim_head must be even");
  }
  if (o.bands.empty() || o.bands.front().begin != 0 || o.bands.back().end != bins) {
    return Fail(ErrorCode::kUnsupported, "the configuration's bands do not cover its spectrum");
  }
  return {};
}

}  // namespace timbre
