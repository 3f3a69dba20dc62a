#include "models/frames/frames_model.h"

#include <algorithm>
#include <filesystem>
#include <span>

#include "base/text.h"
#include "formats/checkpoint.h"
#include "formats/weight_values.h"
#include "models/named_model.h"
#include "models/song/song_model.h"

namespace timbre {
namespace {

namespace fs = std::filesystem;

constexpr const char* kWeightFiles[] = {"diffusion_pytorch_model.safetensors", "pytorch_model.pt", "model.safetensors"};
constexpr const char* kConfigFile = "config.json";

bool BeginsWithOneOf(std::string_view name, std::span<const std::string_view> scopes) {
  return std::any_of(scopes.begin(), scopes.end(), [&](std::string_view scope) { return name.starts_with(scope); });
}

// The half's weights under the network's own names, which Tencent's file has behind "vae.".
Result<std::shared_ptr<const TensorMap>> ReadHalf(const std::string& path, FramesHalf half) {
  TIMBRE_TRY(const Checkpoint checkpoint, ReadCheckpoint(path));
  const bool decoder = half == FramesHalf::kDecoder;
  TensorMap wanted;
  for (const auto& [stored, tensor] : checkpoint.State()) {
    const std::string name = stored.starts_with("vae.") ? stored.substr(4) : stored;
    const bool of_decoder = BeginsWithOneOf(name, kFrameDecoderScopes);
    if (!of_decoder && !BeginsWithOneOf(name, kFrameEncoderScopes)) {
      return Fail(ErrorCode::kUnsupported,
                  Printable(path) + ": it holds '" + Printable(name) + "', which HunyuanVideo's autoencoder has not");
    }
    if (of_decoder == decoder) wanted.emplace(name, tensor);
  }
  if (wanted.empty()) {
    return Fail(ErrorCode::kNotFound, Printable(path) + ": it holds no " + (decoder ? "decoder" : "encoder"));
  }
  if (const Status sane = CheckValues(wanted); !sane) return Prefix(sane.error(), Printable(path));
  return std::make_shared<const TensorMap>(std::move(wanted));
}

Result<HunyuanVaeConfig> ReadConfig(const fs::path& path) {
  TIMBRE_TRY(const std::string text, ReadSmallText(path.string()));
  auto config = ParseHunyuanVaeConfig(text);
  if (!config) return Prefix(config.error(), Printable(path.string()));
  return config;
}

Result<FramesModel> ReadFile(const fs::path& path, FramesHalf half) {
  FramesModel model{.name = NameOfModelAt(path), .path = path.string()};
  std::error_code error;
  const fs::path config = path.parent_path() / kConfigFile;
  if (fs::is_regular_file(config, error)) {
    TIMBRE_TRY(model.config, ReadConfig(config));
  }
  TIMBRE_TRY(model.weights, ReadHalf(path.string(), half));
  return model;
}

Result<FramesModel> ReadFolder(fs::path folder, FramesHalf half) {
  std::error_code error;
  FramesModel model{.name = NameOfModelAt(folder), .path = folder.string()};
  if (!fs::exists(folder / kConfigFile, error) && fs::is_directory(folder / "vae", error)) folder /= "vae";
  for (const char* name : kWeightFiles) {
    if (!fs::is_regular_file(folder / name, error)) continue;
    TIMBRE_TRY(model.config, ReadConfig(folder / kConfigFile));
    TIMBRE_TRY(model.weights, ReadHalf((folder / name).string(), half));
    return model;
  }
  return Fail(ErrorCode::kNotFound, "there is no diffusion_pytorch_model.safetensors and no pytorch_model.pt in '" +
                                        Printable(folder.string()) +
                                        "'; a model for frames is a folder with one of them and config.json");
}

}  // namespace

Result<FramesModel> OpenFramesModel(const std::string& name, FramesHalf half) {
  TIMBRE_TRY(const NamedModel named, FindNamedModel(name, ModelTask::kFrames));
  std::error_code error;
  if (!fs::is_directory(named.path, error)) return ReadFile(named.path, half);
  TIMBRE_TRY(FramesModel model, ReadFolder(named.path, half));
  if (named.entry != nullptr) model.name = name;
  return model;
}

}  // namespace timbre
