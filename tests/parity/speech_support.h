// Reference cases of the speech models, and how near a result comes to them.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "formats/formula_weights.h"
#include "formats/safetensors.h"
#include "models/speech/speech.h"
#include "pipelines/speech/speech_core.h"
#include "tests/support/places.h"

namespace timbre::testing {

// Agreement that rounding alone explains: a float32 network agrees with its float64 twin at about 120 dB.
inline constexpr double kFloor = 100.0;

inline std::string SharedFile(const std::string& name) { return testing::SourceDir() + "/../shared/" + name; }
inline std::string DataFile(const std::string& name) { return testing::SourceDir() + "/tests/data/" + name; }

#define TIMBRE_NEEDS_FILE(path)                                                                  \
  if (!std::filesystem::exists(path)) {                                                          \
    GTEST_SKIP() << "*** SKIPPED: " << (path) << " is missing, so this case is not proven here"; \
  }

// Signal to error in dB over all of the reference; -infinity where the sizes differ or a value is not finite.
inline double Agreement(const std::vector<float>& reference, const std::vector<float>& result) {
  if (reference.size() != result.size() || reference.empty()) return -INFINITY;
  double signal = 0, error = 0;
  for (size_t i = 0; i < reference.size(); ++i) {
    const double d = static_cast<double>(reference[i]) - result[i];
    if (!std::isfinite(result[i])) return -INFINITY;
    signal += static_cast<double>(reference[i]) * reference[i];
    error += d * d;
  }
  return error == 0 ? INFINITY : 10 * std::log10(signal / error);
}

class Golden {
 public:
  explicit Golden(const std::string& path) {
    auto read = ReadSafetensors(path);
    EXPECT_TRUE(read) << read.error().message;
    if (read) file_ = *std::move(read);
  }
  std::vector<float> operator[](const std::string& name) const {
    const auto it = file_.tensors ? file_.tensors->find(name) : TensorMap::const_iterator();
    EXPECT_TRUE(file_.tensors && it != file_.tensors->end()) << name;
    return file_.tensors && it != file_.tensors->end() ? it->second.ToF32() : std::vector<float>();
  }
  Shape shape(const std::string& name) const { return file_.tensors->at(name).shape; }

 private:
  Safetensors file_;
};

// A model folder in the official layout, with the weights of the small reference case. Returns its path.
inline std::string MakeSmallModelFolder(const std::filesystem::path& folder) {
  std::filesystem::create_directories(folder / "checkpoints");
  std::ofstream(folder / "config.ini")
      << "[df]\ndf_lookahead = 2\n[train]\nmodel = deepfilternet3\n[deepfilternet]\nconv_lookahead = 2\n"
         "conv_ch = 64\nemb_num_layers = 3\ndf_gru_skip = groupedlinear\ndf_pathway_kernel_size_t = 5\n"
         "df_num_layers = 2\nlinear_groups = 16\nenc_linear_groups = 32\n";
  auto weights = ReadFormulaWeights(DataFile("deepfilternet/deepfilternet3-small.weights.json"));
  EXPECT_TRUE(weights) << weights.error().message;
  // The best checkpoint is the one to take, though a later one lies beside it.
  EXPECT_TRUE(WriteSafetensors((folder / "checkpoints" / "model_9.ckpt").string(), {}));
  EXPECT_TRUE(WriteSafetensors((folder / "checkpoints" / "model_7.ckpt.best").string(), **weights));
  return folder.string();
}

// A whole signal through the core, mono.
inline std::vector<float> Enhance(const SpeechModel& model, const std::vector<float>& noisy,
                                  SpeechCoreOptions options = {}, const SpeechControls& controls = {},
                                  const SessionOptions& session = {}) {
  ThreadPool pool(1);
  auto core = SpeechCore::Create(model, options, session, pool, nullptr);
  EXPECT_TRUE(core) << core.error().message;
  if (!core) return {};
  std::vector<float> out;
  const auto drain = [&] {
    std::vector<float> part(static_cast<size_t>((*core)->available()));
    float* row = part.data();
    (*core)->Pop(&row, static_cast<int64_t>(part.size()));
    out.insert(out.end(), part.begin(), part.end());
  };
  const int64_t hop = (*core)->hop();
  const float* at = noisy.data();
  int64_t left = static_cast<int64_t>(noisy.size());
  for (; left >= hop; left -= hop, at += hop) {
    const Status status = (*core)->PushHop(&at, controls);
    EXPECT_TRUE(status) << status.error().message;
    drain();
  }
  const Status status = (*core)->Finish(&at, left, controls);
  EXPECT_TRUE(status) << status.error().message;
  drain();
  EXPECT_GE(out.size(), noisy.size());
  out.resize(noisy.size());
  return out;
}

// The released network's configuration, which the small case shares.
inline constexpr char kDeepFilterNetConfig[] = R"([df]
sr = 48000
fft_size = 960
hop_size = 480
nb_erb = 32
nb_df = 96
norm_tau = 1
lsnr_max = 35
lsnr_min = -15
min_nb_erb_freqs = 2
df_order = 5
df_lookahead = 2
[train]
model = deepfilternet3
[deepfilternet]
conv_lookahead = 2
conv_ch = 64
conv_kernel = 1,3
convt_kernel = 1,3
conv_kernel_inp = 3,3
emb_hidden_dim = 256
emb_num_layers = 3
df_hidden_dim = 256
df_gru_skip = groupedlinear
df_pathway_kernel_size_t = 5
df_num_layers = 2
linear_groups = 16
enc_linear_groups = 32
)";

inline SpeechModel SmallDeepFilterNet() {
  SpeechModel model;
  auto config = ParseDeepFilterNetConfig(kDeepFilterNetConfig);
  EXPECT_TRUE(config) << config.error().message;
  auto weights = ReadFormulaWeights(DataFile("deepfilternet/deepfilternet3-small.weights.json"));
  EXPECT_TRUE(weights) << weights.error().message;
  if (!config || !weights) return model;
  model.deepfilternet = *config;
  model.weights = *weights;
  return model;
}

}  // namespace timbre::testing
