#include "models/speech/deepfilternet.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <numbers>
#include <numeric>

#include "dsp/arrays.h"
#include "dsp/window.h"
#include "graph/net.h"

namespace timbre {
namespace {

using Section = std::map<std::string, std::string>;

std::string Trimmed(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n\v\f";
  const size_t first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return "";
  return std::string(text.substr(first, text.find_last_not_of(kBlank) - first + 1));
}

std::string Lower(std::string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return text;
}

Result<std::map<std::string, Section>> ParseIni(std::string_view text) {
  constexpr size_t kMostBytes = 64 * 1024;
  if (text.size() > kMostBytes) return Fail(ErrorCode::kCorrupt, "config.ini is larger than any real one (64 KiB)");
  std::map<std::string, Section> sections;
  std::string section;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string line = Trimmed(text.substr(begin, end - begin));
    begin = end + 1;
    if (line.empty() || line[0] == '#' || line[0] == ';') continue;
    if (line[0] == '[') {
      section = Lower(Trimmed(line.substr(1, line.find(']') - 1)));
      continue;
    }
    const size_t mark = line.find_first_of("=:");
    if (mark == std::string::npos) continue;
    sections[section][Lower(Trimmed(line.substr(0, mark)))] = Trimmed(line.substr(mark + 1));
  }
  return sections;
}

// Reads typed values of one section, keeping the first error.
class Reader {
 public:
  Reader(const Section& section, std::string name) : section_(section), name_(std::move(name)) {}

  void Int(const char* key, int lo, int hi, int* value) {
    const std::string* text = Find(key);
    if (text == nullptr) return;
    int read = 0;
    const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), read);
    if (error != std::errc() || end != text->data() + text->size() || read < lo || read > hi) {
      return Complain(key, *text, "a whole number from " + std::to_string(lo) + " to " + std::to_string(hi));
    }
    *value = read;
  }

  void Float(const char* key, float lo, float hi, float* value) {
    const std::string* text = Find(key);
    if (text == nullptr) return;
    float read = 0;
    const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), read);
    if (error != std::errc() || end != text->data() + text->size() || !(read >= lo && read <= hi)) {
      return Complain(key, *text, "a number from " + std::to_string(lo) + " to " + std::to_string(hi));
    }
    *value = read;
  }

  void Bool(const char* key, bool* value) {
    const std::string* text = Find(key);
    if (text == nullptr) return;
    const std::string word = Lower(*text);
    const bool yes = word == "true" || word == "yes" || word == "y" || word == "on" || word == "1";
    const bool no = word == "false" || word == "no" || word == "n" || word == "off" || word == "0";
    if (!yes && !no) return Complain(key, *text, "true or false");
    *value = yes;
  }

  // Two sizes, of frames and of bins.
  void Kernel(const char* key, std::vector<int>* value) {
    const std::string* text = Find(key);
    if (text == nullptr) return;
    int frames = 0, bins = 0;
    const size_t comma = text->find(',');
    const std::string first = Trimmed(text->substr(0, comma));
    const std::string second = comma == std::string::npos ? "" : Trimmed(text->substr(comma + 1));
    std::from_chars(first.data(), first.data() + first.size(), frames);
    std::from_chars(second.data(), second.data() + second.size(), bins);
    if (frames < 1 || frames > 16 || bins < 1 || bins > 15 || bins % 2 == 0) {
      return Complain(key, *text, "a number of frames from 1 to 16 and an odd number of bins up to 15, such as 1,3");
    }
    *value = {frames, bins};
  }

  void Skip(const char* key, std::string* value) {
    const std::string* text = Find(key);
    if (text == nullptr) return;
    const std::string word = Lower(*text);
    if (word != "none" && word != "identity" && word != "groupedlinear") {
      return Complain(key, *text, "none, identity or groupedlinear");
    }
    *value = word;
  }

  Status status() const { return error_.empty() ? Status() : Status(Fail(ErrorCode::kCorrupt, error_)); }

 private:
  const std::string* Find(const char* key) const {
    const auto it = section_.find(key);
    return it == section_.end() ? nullptr : &it->second;
  }
  void Complain(const char* key, const std::string& text, const std::string& wanted) {
    if (!error_.empty()) return;
    error_ = "config.ini: '" + std::string(key) + "' in [" + name_ + "] is '" + text.substr(0, 40) + "', not " + wanted;
  }

  const Section& section_;
  std::string name_, error_;
};

}  // namespace

Result<DeepFilterNetConfig> ParseDeepFilterNetConfig(std::string_view ini) {
  TIMBRE_TRY(auto sections, ParseIni(ini));
  const std::string model = sections["train"].contains("model") ? Lower(sections["train"]["model"]) : "";
  if (model != "deepfilternet3") {
    return Fail(ErrorCode::kUnsupported,
                "config.ini names the network '" + model.substr(0, 40) +
                    "', and only deepfilternet3 can be run; earlier ones are built differently");
  }
  DeepFilterNetConfig c;
  Section& net_section = sections["deepfilternet"];
  Section& df_section = sections["df"];
  // Older files keep two of the filter's options beside the network's.
  for (const char* key : {"df_order", "df_lookahead"}) {
    if (net_section.contains(key)) df_section[key] = net_section[key];
  }

  Reader df(df_section, "df");
  df.Int("sr", 8000, 192000, &c.sample_rate);
  df.Int("fft_size", 64, 8192, &c.fft_size);
  df.Int("hop_size", 16, 4096, &c.hop_size);
  df.Int("nb_erb", 8, 256, &c.erb_bands);
  df.Int("nb_df", 4, 4096, &c.df_bins);
  df.Int("df_order", 1, 16, &c.df_order);
  df.Int("df_lookahead", 0, 16, &c.df_lookahead);
  df.Int("min_nb_erb_freqs", 1, 64, &c.min_erb_bins);
  df.Float("norm_tau", 0.001f, 1000.0f, &c.norm_tau);
  df.Float("lsnr_min", -100.0f, 100.0f, &c.lsnr_min);
  df.Float("lsnr_max", -100.0f, 100.0f, &c.lsnr_max);
  TIMBRE_CHECK(df.status());

  Reader net(net_section, "deepfilternet");
  int iterations = 1;
  net.Int("conv_lookahead", 0, 16, &c.conv_lookahead);
  net.Int("conv_ch", 1, 512, &c.channels);
  net.Kernel("conv_kernel", &c.kernel);
  net.Kernel("convt_kernel", &c.transposed_kernel);
  net.Kernel("conv_kernel_inp", &c.input_kernel);
  net.Int("emb_hidden_dim", 1, 4096, &c.emb_hidden);
  net.Int("emb_num_layers", 2, 8, &c.emb_layers);
  net.Int("df_hidden_dim", 1, 4096, &c.df_hidden);
  net.Int("df_num_layers", 1, 8, &c.df_layers);
  net.Int("df_pathway_kernel_size_t", 1, 16, &c.df_pathway_frames);
  net.Int("linear_groups", 1, 256, &c.linear_groups);
  net.Int("enc_linear_groups", 1, 256, &c.encoder_linear_groups);
  net.Int("df_n_iter", 1, 16, &iterations);
  net.Bool("enc_concat", &c.encoder_concat);
  net.Skip("emb_gru_skip_enc", &c.encoder_skip);
  net.Skip("emb_gru_skip", &c.decoder_skip);
  net.Skip("df_gru_skip", &c.df_skip);
  net.Bool("mask_pf", &c.post_filter);
  net.Float("pf_beta", 0.0f, 10.0f, &c.post_filter_beta);
  TIMBRE_CHECK(net.status());

  if (c.fft_size % c.hop_size != 0 || c.fft_size < 2 * c.hop_size || c.fft_size % 2 != 0) {
    return Fail(ErrorCode::kCorrupt, "config.ini: fft_size must be an even multiple of hop_size, at least twice it");
  }
  if (c.erb_bands % 8 != 0 || c.erb_bands * c.min_erb_bins > c.bins() || c.df_bins % 2 != 0 || c.df_bins > c.bins()) {
    return Fail(ErrorCode::kCorrupt,
                "config.ini: nb_erb must be a multiple of 8, nb_df even, and both fit into fft_size");
  }
  if (c.conv_lookahead < c.df_lookahead || c.df_lookahead >= c.df_order) {
    return Fail(
        ErrorCode::kUnsupported,
        "config.ini: df_lookahead must be at most conv_lookahead and below df_order; no released model differs");
  }
  if (iterations != 1 || c.transposed_kernel[0] != 1) {
    return Fail(ErrorCode::kUnsupported,
                "config.ini: df_n_iter and the frames of convt_kernel must be 1; no released model differs");
  }
  return c;
}

namespace {

// Glasberg and Moore's scale, in float as the models were trained with: a band's edge rounds to a bin.
float ErbOfFrequency(float hz) { return 9.265f * std::log1p(hz / (24.7f * 9.265f)); }
float FrequencyOfErb(float erb) { return 24.7f * 9.265f * (std::exp(erb / 9.265f) - 1.0f); }

}  // namespace

std::vector<int> ErbWidths(const DeepFilterNetConfig& c) {
  const float bin_width = static_cast<float>(c.sample_rate) / static_cast<float>(c.fft_size);
  const float low = ErbOfFrequency(0.0f);
  const float high = ErbOfFrequency(static_cast<float>(c.sample_rate) / 2);
  const float step = (high - low) / static_cast<float>(c.erb_bands);
  std::vector<int> widths;
  int edge = 0, owed = 0;  // owed: bins that widened bands took from their successors
  for (int band = 1; band <= c.erb_bands; ++band) {
    const int next = static_cast<int>(std::round(FrequencyOfErb(low + static_cast<float>(band) * step) / bin_width));
    int width = next - edge - owed;
    owed = std::max(0, c.min_erb_bins - width);
    width = std::max(width, c.min_erb_bins);
    widths.push_back(width);
    edge = next;
  }
  // The last band also takes the bin at half the sample rate, and pays what is still owed.
  widths.back() += c.bins() - std::accumulate(widths.begin(), widths.end(), 0);
  return widths;
}

float NormDecay(const DeepFilterNetConfig& c) {
  const double exact = std::exp(-static_cast<double>(c.hop_size) / c.sample_rate / c.norm_tau);
  double rounded = 1.0;
  for (double digits = 1000.0; rounded >= 1.0 && digits < 1e9; digits *= 10)
    rounded = std::round(exact * digits) / digits;
  return static_cast<float>(std::min(rounded, exact < 1.0 ? 1.0 : 0.0));
}

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

Result<DeepFilterFrames> DeepFilterFrames::Create(const DeepFilterNetConfig& config) {
  TIMBRE_TRY(auto fft, RealFft::Create(static_cast<size_t>(config.fft_size)));
  return DeepFilterFrames(config, std::move(fft));
}

DeepFilterFrames::DeepFilterFrames(const DeepFilterNetConfig& c, RealFft fft)
    : fft_(std::move(fft)),
      fft_size_(c.fft_size),
      hop_(c.hop_size),
      bins_(c.bins()),
      bands_(c.erb_bands),
      df_bins_(c.df_bins),
      decay_(NormDecay(c)),
      widths_(ErbWidths(c)),
      analysis_window_(MakeWindow(WindowKind::kVorbis, fft_size_)),
      synthesis_window_(analysis_window_),
      frame_(fft_size_),
      scratch_(fft_.ScratchFloats() + 2 * static_cast<size_t>(bins_)),
      state_(2 * (fft_size_ - hop_) + bands_ + df_bins_) {
  analysis_ = state_.data();
  synthesis_ = analysis_ + (fft_size_ - hop_);
  band_means_ = synthesis_ + (fft_size_ - hop_);
  bin_means_ = band_means_ + bands_;
  // Spectra are scaled by 2 hop / size^2. RealFft's inverse divides by the size, which that has done already.
  const float size = static_cast<float>(fft_size_), scale = 2.0f * static_cast<float>(hop_) / (size * size);
  for (float& v : analysis_window_) v *= scale;
  for (float& v : synthesis_window_) v *= size;
  Reset();
}

void DeepFilterFrames::Reset() {
  std::fill(analysis_, band_means_, 0.0f);
  // Where the running means start: a straight line over the bands, in dB, and over the bins.
  for (int i = 0; i < bands_; ++i)
    band_means_[i] = -60.0f - 30.0f / static_cast<float>(bands_ - 1) * static_cast<float>(i);
  for (int i = 0; i < df_bins_; ++i) {
    bin_means_[i] = 0.001f + (0.0001f - 0.001f) / static_cast<float>(df_bins_ - 1) * static_cast<float>(i);
  }
}

void DeepFilterFrames::Analyse(const float* hop, float* spectrum) {
  const int past = fft_size_ - hop_;
  Multiply(analysis_, analysis_window_.data(), frame_.data(), past);
  Multiply(hop, analysis_window_.data() + past, frame_.data() + past, hop_);
  std::copy(analysis_ + hop_, analysis_ + past, analysis_);
  std::copy(hop, hop + hop_, analysis_ + past - hop_);
  fft_.Forward(frame_.data(), spectrum, scratch_.data());
}

void DeepFilterFrames::Synthesise(const float* spectrum, float* hop) {
  const int past = fft_size_ - hop_;
  fft_.Inverse(spectrum, frame_.data(), scratch_.data());
  const float* window = synthesis_window_.data();
  MultiplyAdd(frame_.data(), window, synthesis_, hop, hop_);
  std::copy(synthesis_ + hop_, synthesis_ + past, synthesis_);
  std::fill(synthesis_ + past - hop_, synthesis_ + past, 0.0f);
  MultiplyAdd(frame_.data() + hop_, window + hop_, synthesis_, synthesis_, past);
}

void DeepFilterFrames::Features(const float* spectrum, float* erb, float* spec) {
  BandDecibels(spectrum, widths_, 1e-10f, erb);
  for (int band = 0; band < bands_; ++band) {
    band_means_[band] = erb[band] * (1.0f - decay_) + band_means_[band] * decay_;
    erb[band] = (erb[band] - band_means_[band]) / 40.0f;
  }
  // After minutes of digital silence the mean decays to nothing, and nothing over nothing is not a number.
  constexpr float kLeast = 1e-30f;
  NormaliseByRunningMean(spectrum, df_bins_, decay_, kLeast, bin_means_, spec);
}

void ApplyErbGains(std::span<const int> widths, const float* gains, float* spectrum) {
  ScaleBands(widths, gains, spectrum);
}

void ApplyDeepFilter(std::span<const float* const> frames, const float* coefs, int df_bins, float* out) {
  const int order = static_cast<int>(frames.size());
  for (int f = 0; f < df_bins; ++f) {
    float re = 0, im = 0;
    for (int n = 0; n < order; ++n) {
      const float a = frames[n][2 * f], b = frames[n][2 * f + 1];
      const float c = coefs[2 * (f * order + n)], d = coefs[2 * (f * order + n) + 1];
      re += a * c - b * d;
      im += a * d + b * c;
    }
    out[2 * f] = re;
    out[2 * f + 1] = im;
  }
}

void PostFilter(const float* noisy, int bins, float beta, float* enhanced) {
  constexpr float kEpsilon = 1e-12f;
  constexpr float kHalfPi = std::numbers::pi_v<float> / 2;
  for (int f = 0; f < bins; ++f) {
    const float before = std::sqrt(noisy[2 * f] * noisy[2 * f] + noisy[2 * f + 1] * noisy[2 * f + 1]);
    const float after = std::sqrt(enhanced[2 * f] * enhanced[2 * f] + enhanced[2 * f + 1] * enhanced[2 * f + 1]);
    const float gain = std::clamp(after / (before + kEpsilon), kEpsilon, 1.0f);
    const float bent = gain * std::max(std::sin(gain * kHalfPi), kEpsilon);
    const float ratio = gain / bent;
    const float factor = (1.0f + beta) / (1.0f + beta * ratio * ratio);
    enhanced[2 * f] *= factor;
    enhanced[2 * f + 1] *= factor;
  }
}

}  // namespace timbre
