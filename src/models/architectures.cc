#include "models/architectures.h"

#include <algorithm>
#include <initializer_list>
#include <iterator>
#include <utility>

#include "models/separate/htdemucs.h"
#include "models/separate/mdx23c.h"
#include "models/separate/roformer.h"
#include "models/separate/scnet.h"

namespace timbre {
namespace {

using Model = std::shared_ptr<const SeparationModel>;
using State = std::shared_ptr<const TensorMap>;

bool HasAny(const TensorMap& weights, std::initializer_list<const char*> names) {
  return std::any_of(names.begin(), names.end(), [&](const char* name) { return weights.contains(name); });
}
bool HasBelow(const TensorMap& weights, const std::string& scope) {
  const auto first = weights.lower_bound(scope);
  return first != weights.end() && first->first.starts_with(scope);
}

Result<Model> Htdemucs(const std::string& yaml, State weights) {
  TIMBRE_TRY(HtdemucsConfig read, ParseHtdemucsConfig(yaml, *weights));
  return MakeHtdemucs(std::move(read.network), std::move(weights), read.tiling);
}

bool IsMdx23c(const TensorMap& weights) { return weights.contains("first_conv.weight"); }
Result<Model> Mdx23c(const std::string& yaml, State weights) {
  TIMBRE_TRY(Mdx23cOptions options, ParseMdx23cConfig(yaml));
  return MakeMdx23c(std::move(options), std::move(weights));
}

Result<Model> Roformer(const std::string& yaml, State weights) {
  TIMBRE_TRY(RoformerOptions options, ReadRoformerOptions(yaml, *weights));
  return MakeRoformer(std::move(options), std::move(weights));
}

Result<Model> Scnet(const std::string& yaml, State weights) {
  TIMBRE_TRY(ScnetOptions options, ReadScnetOptions(yaml, *weights));
  return MakeScnet(std::move(options), std::move(weights));
}

bool IsLarsnet(const TensorMap& weights) { return weights.contains("enc1.conv.weight"); }
bool IsVr(const TensorMap& weights) {
  return HasBelow(weights, "stg1_low_band_net") || HasBelow(weights, "stg1_full_band_net");
}

bool IsGtcrn(const TensorMap& weights) { return weights.contains("erb.erb_fc.weight"); }
Result<SpeechModel> Gtcrn(State weights) {
  SpeechModel model;
  model.architecture = SpeechArchitecture::kGtcrn;
  model.weights = std::move(weights);
  return model;
}
bool IsDeepFilterNet(const TensorMap& weights) { return weights.contains("enc.erb_conv0.1.weight"); }

bool IsDit(const TensorMap& weights) {
  return HasAny(weights, {"time_embed.time_mlp.0.weight", "generator.time_embed.time_mlp.0.weight"});
}
bool IsLanguageModel(const TensorMap& weights) {
  return HasAny(weights, {"model.embed_tokens.weight", "embed_tokens.weight", "transformer.wte.weight", "wte.weight"});
}
bool IsHunyuanVae(const TensorMap& weights) {
  return HasBelow(weights, "post_quant_conv.") || HasBelow(weights, "vae.post_quant_conv.");
}

constexpr Architecture kArchitectures[] = {
    {"an HTDemucs", ModelTask::kSeparate, IsHtdemucs, Htdemucs},
    {"an MDX23C", ModelTask::kSeparate, IsMdx23c, Mdx23c},
    {"a RoFormer", ModelTask::kSeparate, IsRoformer, Roformer},
    {"an SCNet", ModelTask::kSeparate, IsScnet, Scnet},
    {.title = "one of LarsNet's networks",
     .task = ModelTask::kSeparate,
     .knows = IsLarsnet,
     .instead = "name the folder that holds all five, pretrained_larsnet_models"},
    {.title = "one of UVR's VR networks",
     .task = ModelTask::kSeparate,
     .knows = IsVr,
     .instead = "they are not computed here; MDX-Nets and RoFormers do the same better"},
    {.title = "GTCRN", .task = ModelTask::kDenoise, .knows = IsGtcrn, .speech = Gtcrn},
    {.title = "a DeepFilterNet",
     .task = ModelTask::kDenoise,
     .knows = IsDeepFilterNet,
     .instead = "give the .zip, the _onnx.tar.gz or the folder that holds its config.ini"},
    {.title = "DiffRhythm 2", .task = ModelTask::kSong, .knows = IsDit},
    {.title = "a language model", .task = ModelTask::kText, .knows = IsLanguageModel},
    {.title = "HunyuanVideo's autoencoder", .task = ModelTask::kFrames, .knows = IsHunyuanVae},
};

}  // namespace

const Architecture* ArchitectureOf(const TensorMap& weights) {
  const auto found = std::find_if(std::begin(kArchitectures), std::end(kArchitectures),
                                  [&](const Architecture& a) { return a.knows(weights); });
  return found == std::end(kArchitectures) ? nullptr : found;
}

Error NotReadFor(ModelTask task, const Architecture* architecture) {
  if (architecture == nullptr) {
    return {ErrorCode::kUnsupported, "this is no checkpoint of a network that is known here"};
  }
  const std::string what = "this checkpoint is of " + std::string(architecture->title) + "; ";
  if (architecture->task == task) return {ErrorCode::kUnsupported, what + std::string(architecture->instead)};
  return {ErrorCode::kInvalidArgument, what + "use timbre " + std::string(ModelTaskName(architecture->task))};
}

}  // namespace timbre
