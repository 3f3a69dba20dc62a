#include "models/networks.h"

#include <vector>

#include "base/suggest.h"
#include "models/deepfilternet.h"
#include "models/gtcrn.h"
#include "models/htdemucs.h"
#include "models/larsnet.h"
#include "models/mdx23c.h"

namespace timbre {
namespace {

Result<Graph> Htdemucs(Weights& weights, int batch) {
  const HtdemucsOptions options = HtdemucsOptions::Released();
  return BuildHtdemucs(options, weights, options.training_samples(), batch);
}

Result<Graph> SmallHtdemucs(Weights& weights, int batch) {
  HtdemucsOptions options;
  options.channels = 8;
  options.bottom_channels = 64;
  options.t_layers = 3;
  options.dconv_mode = 3;
  options.segment = 1;
  return BuildHtdemucs(options, weights, options.training_samples(), batch);
}

// jarredou's drum separation network.
Result<Graph> Mdx23cDrumsep(Weights& weights, int batch) {
  Mdx23cOptions options;
  options.chunk_size = 523776;
  options.dim_f = 1024;
  options.hop_length = 512;
  options.n_fft = 2048;
  options.growth = options.num_channels = 128;
  options.num_scales = 5;
  options.stems = {"kick", "snare", "toms", "hh", "cymbals"};
  return BuildMdx23c(options, weights, options.chunk_size, batch);
}

Result<Graph> Larsnet(Weights& weights, int batch) { return BuildLarsnet(LarsnetOptions(), weights, batch); }

constexpr int kSpeechFrames = 100;

Result<Graph> DeepFilterNet3(Weights& weights, int batch) {
  DeepFilterNetConfig config;
  config.df_lookahead = config.conv_lookahead = 2;
  config.channels = 64;
  config.emb_layers = 3;
  config.df_layers = 2;
  config.df_pathway_frames = 5;
  config.linear_groups = 16;
  config.encoder_linear_groups = 32;
  config.df_skip = "groupedlinear";
  return BuildDeepFilterNet(config, weights, DeepFilterPart::kAll, batch, kSpeechFrames);
}

Result<Graph> Gtcrn(Weights& weights, int batch) { return BuildGtcrn(weights, batch, kSpeechFrames); }

constexpr NetworkRow kNetworks[] = {
    {"htdemucs", 7.8 * 0.75, Htdemucs},
    {"htdemucs-small", 1 * 0.75, SmallHtdemucs},
    {"mdx23c-drumsep", 523776 / 44100.0 / 4, Mdx23cDrumsep},
    {"larsnet", 512 * 1024 / 44100.0, Larsnet},
    {"deepfilternet3", kSpeechFrames * 480 / 48000.0, DeepFilterNet3},
    {"gtcrn", kSpeechFrames* kGtcrnHop / double{kGtcrnRate}, Gtcrn},
};

}  // namespace

std::span<const NetworkRow> Networks() { return kNetworks; }

Result<const NetworkRow*> FindNetwork(std::string_view name) {
  std::vector<std::string> names;
  for (const NetworkRow& row : kNetworks) {
    if (row.name == name) return &row;
    names.emplace_back(row.name);
  }
  return Fail(ErrorCode::kNotFound, "there is no network '" + std::string(name) + "'." + SuggestionFor(name, names));
}

}  // namespace timbre
