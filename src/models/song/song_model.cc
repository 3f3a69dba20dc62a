#include "models/song/song_model.h"

#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <iterator>
#include <nlohmann/json.hpp>

#include "base/files.h"
#include "base/text.h"
#include "formats/checkpoint.h"
#include "formats/weight_values.h"
#include "models/named_model.h"

namespace timbre {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMaxText = 1 << 20;

// The first of `names` that there is in the folder.
Result<fs::path> FileOf(const fs::path& folder, std::initializer_list<const char*> names) {
  std::error_code error;
  std::string wanted;
  for (const char* name : names) {
    if (fs::is_regular_file(folder / name, error)) return folder / name;
    wanted += (wanted.empty() ? "" : " or ") + std::string(name);
  }
  return Fail(ErrorCode::kNotFound, "there is no " + wanted + " in '" + Printable(folder.string()) +
                                        "'; a song's model is a folder with model.safetensors, config.json, "
                                        "decoder.safetensors (or decoder.bin) and decoder.json");
}

Result<std::shared_ptr<const TensorMap>> ReadWeights(const fs::path& path, const std::string& scope) {
  TIMBRE_TRY(const Checkpoint checkpoint, ReadCheckpoint(path.string()));
  TensorMap below = checkpoint.Sub(scope);
  auto weights = std::make_shared<const TensorMap>(below.empty() ? checkpoint.State() : std::move(below));
  if (const Status sane = CheckValues(*weights); !sane) return Prefix(sane.error(), path.string());
  return weights;
}

Result<SongModel> ReadFolder(const fs::path& folder, bool decoder_only) {
  SongModel model;
  model.path = folder.string();
  const auto read = [](const fs::path& path, auto parse) -> decltype(parse("")) {
    TIMBRE_TRY(const std::string text, ReadSmallText(path.string()));
    auto config = parse(std::string_view(text));
    if (!config) return Prefix(config.error(), path.string());
    return config;
  };
  TIMBRE_TRY(const fs::path decoder_config, FileOf(folder, {"decoder.json"}));
  TIMBRE_TRY(model.decoder, read(decoder_config, ParseBigvganConfig));
  TIMBRE_TRY(const fs::path decoder, FileOf(folder, {"decoder.safetensors", "decoder.bin"}));
  TIMBRE_TRY(model.decoder_weights, ReadWeights(decoder, "generator."));
  if (!model.decoder.whole_hops()) {
    return Fail(ErrorCode::kUnsupported, decoder_config.string() +
                                             ": its 'upsample_kernel_sizes' do not exceed 'upsample_rates' by even "
                                             "numbers, so that a latent is no whole number of samples");
  }
  if (decoder_only) return model;
  TIMBRE_TRY(const fs::path config, FileOf(folder, {"config.json", "model.json"}));
  TIMBRE_TRY(model.dit, read(config, ParseDitConfig));
  TIMBRE_TRY(const fs::path weights, FileOf(folder, {"model.safetensors"}));
  TIMBRE_TRY(model.dit_weights, ReadWeights(weights, "generator."));
  if (model.decoder.in_channels != model.dit.mel_dim) {
    return Fail(ErrorCode::kCorrupt, "'" + Printable(folder.string()) + "' holds a transformer for latents of " +
                                         std::to_string(model.dit.mel_dim) + " numbers and a decoder of " +
                                         std::to_string(model.decoder.in_channels));
  }
  return model;
}

}  // namespace

Result<std::string> ReadSmallText(const std::string& path) {
  const int64_t bytes = FileBytes(path);
  if (bytes < 0) return tl::unexpected<Error>(NoFile(path));
  if (bytes > kMaxText) return Fail(ErrorCode::kUnsupported, Printable(path) + ": it takes more than a mebibyte");
  std::ifstream file(path, std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (file.bad()) return Fail(ErrorCode::kIo, Printable(path) + ": it can't be read");
  return text;
}

Result<SongModel> OpenSongModel(const std::string& name, bool decoder_only) {
  TIMBRE_TRY(const NamedModel named, FindNamedModel(name, ModelTask::kSong));
  std::error_code error;
  if (!fs::is_directory(named.path, error)) {
    return Fail(ErrorCode::kNotFound, "'" + Printable(name) + "' is no folder; a song's model is one");
  }
  TIMBRE_TRY(SongModel model, ReadFolder(named.path, decoder_only));
  model.name = name;
  if (named.entry == nullptr) {
    model.name = NameOfModelAt(named.path);
  }
  return model;
}

DitConfig ReleasedDit() { return {}; }

BigvganConfig ReleasedSongDecoder() {
  BigvganConfig config;
  config.upsample_rates = {10, 10, 8, 3, 2, 2};
  config.upsample_kernel_sizes = {20, 20, 16, 7, 4, 4};
  config.resblock_kernel_sizes = {3, 7, 11};
  config.resblock_dilation_sizes = {{1, 3, 5}, {1, 3, 5}, {1, 3, 5}};
  config.use_tanh_at_final = config.use_bias_at_final = false;
  return config;
}

std::string ToJson(const DitConfig& config) {
  return nlohmann::ordered_json{{"dim", config.dim},
                                {"depth", config.depth},
                                {"heads", config.heads},
                                {"ff_mult", config.ff_mult},
                                {"mel_dim", config.mel_dim},
                                {"text_num_embeds", config.text_num_embeds},
                                {"block_size", config.block_size}}
      .dump(2);
}

std::string ToJson(const BigvganConfig& config) {
  return nlohmann::ordered_json{{"resblock", "1"},
                                {"in_channels", config.in_channels},
                                {"upsample_initial_channel", config.upsample_initial_channel},
                                {"upsample_rates", config.upsample_rates},
                                {"upsample_kernel_sizes", config.upsample_kernel_sizes},
                                {"resblock_kernel_sizes", config.resblock_kernel_sizes},
                                {"resblock_dilation_sizes", config.resblock_dilation_sizes},
                                {"activation", config.snake_beta ? "snakebeta" : "snake"},
                                {"snake_logscale", config.snake_logscale},
                                {"use_tanh_at_final", config.use_tanh_at_final},
                                {"use_bias_at_final", config.use_bias_at_final},
                                {"sampling_rate", config.sampling_rate}}
      .dump(2);
}

}  // namespace timbre
