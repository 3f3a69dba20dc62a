// What config.ini says of a DeepFilterNet3, and what follows from it.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <numeric>

#include "base/text.h"
#include "models/speech/deepfilternet.h"

namespace timbre {
namespace {

using Section = std::map<std::string, std::string>;

std::string Trimmed(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n\v\f";
  const size_t first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return "";
  return std::string(text.substr(first, text.find_last_not_of(kBlank) - first + 1));
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
      section = LowerCase(Trimmed(line.substr(1, line.find(']') - 1)));
      continue;
    }
    const size_t mark = line.find_first_of("=:");
    if (mark == std::string::npos) continue;
    sections[section][LowerCase(Trimmed(line.substr(0, mark)))] = Trimmed(line.substr(mark + 1));
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
    const std::string word = LowerCase(*text);
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
    const std::string word = LowerCase(*text);
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
  const std::string model = sections["train"].contains("model") ? LowerCase(sections["train"]["model"]) : "";
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

}  // namespace timbre
