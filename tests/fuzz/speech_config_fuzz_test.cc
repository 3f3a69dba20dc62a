// DeepFilterNet's config.ini: whatever it says, it is refused or describes a network that can be built within bounds.
#include <cstdlib>
#include <numeric>

#include "models/speech/deepfilternet.h"
#include "tests/fuzz/fuzz.h"

namespace {

using namespace timbre;

std::vector<std::string> Seeds() {
  return {
      "[df]\nsr = 48000\nfft_size = 960\nhop_size = 480\nnb_erb = 32\nnb_df = 96\nnorm_tau = 1\nlsnr_max = 35\n"
      "lsnr_min = -15\nmin_nb_erb_freqs = 2\ndf_order = 5\ndf_lookahead = 2\n[train]\nmodel = deepfilternet3\n"
      "[deepfilternet]\nconv_lookahead = 2\nconv_ch = 64\nconv_kernel = 1,3\nconvt_kernel = 1,3\n"
      "conv_kernel_inp = 3,3\nemb_hidden_dim = 256\nemb_num_layers = 3\ndf_gru_skip = groupedlinear\n"
      "df_num_layers = 2\nlinear_groups = 16\nenc_linear_groups = 32\nmask_pf = False\npf_beta = 0.02\n",
      "[train]\nmodel=deepfilternet3\n[DF]\n;\nsr: 16000\nfft_size=320\nhop_size=160\nnb_df=64"};
}

}  // namespace

TIMBRE_FUZZ_TARGET(SpeechConfig, Seeds) {
  const auto config = ParseDeepFilterNetConfig(std::string_view(bytes.data(), bytes.size()));
  if (!config) {
    if (config.error().message.empty()) std::abort();
    return;
  }
  const std::vector<int> widths = ErbWidths(*config);
  if (static_cast<int>(widths.size()) != config->erb_bands) std::abort();
  if (std::accumulate(widths.begin(), widths.end(), 0) != config->bins()) std::abort();
  for (const int width : widths) {
    if (width < 1) std::abort();
  }
  const float decay = NormDecay(*config);
  if (!(decay >= 0 && decay <= 1)) std::abort();
  (void)DeepFilterFrames::Create(*config);
}
