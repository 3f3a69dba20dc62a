#include "models/released_networks.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <vector>

#include "base/atomic_file.h"
#include "base/suggest.h"
#include "formats/safetensors.h"
#include "graph/formula_tensor.h"
#include "models/frames/hunyuan_vae.h"
#include "models/language/language_network.h"
#include "models/separate/htdemucs.h"
#include "models/separate/larsnet.h"
#include "models/separate/mdx23c.h"
#include "models/separate/mdxnet.h"
#include "models/separate/roformer.h"
#include "models/separate/scnet.h"
#include "models/separate/spleeter.h"
#include "models/song/song_model.h"
#include "models/speech/deepfilternet.h"
#include "models/speech/gtcrn.h"

namespace timbre {
namespace {

using Model = std::shared_ptr<const SeparationModel>;
using State = std::shared_ptr<const TensorMap>;

Result<Graph> Htdemucs(Weights& weights, int batch) {
  const HtdemucsOptions options = HtdemucsOptions::Released();
  return BuildHtdemucs(options, weights, options.training_samples(), batch);
}
Result<Model> MakeReleasedHtdemucs(State state) { return MakeHtdemucs(HtdemucsOptions::Released(), std::move(state)); }

HtdemucsOptions Small() {
  HtdemucsOptions options;
  options.channels = 8;
  options.bottom_channels = 64;
  options.t_layers = 3;
  options.dconv_mode = 3;
  options.segment = 1;
  return options;
}
Result<Graph> SmallHtdemucs(Weights& weights, int batch) {
  return BuildHtdemucs(Small(), weights, Small().training_samples(), batch);
}
Result<Model> MakeSmallHtdemucs(State state) { return MakeHtdemucs(Small(), std::move(state)); }

// jarredou's drum separation network.
Mdx23cOptions Drumsep() {
  Mdx23cOptions options;
  options.dim_f = 1024;
  options.hop_length = 512;
  options.n_fft = 2048;
  options.growth = options.num_channels = 128;
  options.num_scales = 5;
  options.tiling = {.chunk_size = 523776, .stems = {"kick", "snare", "toms", "hh", "cymbals"}};
  return options;
}
Result<Graph> Mdx23cDrumsep(Weights& weights, int batch) {
  return BuildMdx23c(Drumsep(), weights, Drumsep().tiling.chunk_size, batch);
}
Result<Model> MakeDrumsep(State state) { return MakeMdx23c(Drumsep(), std::move(state)); }

// viperx' BS-RoFormer of the epoch 317, whose bands are the paper's.
RoformerOptions BsRoformer() {
  RoformerOptions options;
  options.dim = 512;
  options.depth = 12;
  options.hop = 441;
  options.bands = PublishedBands();
  options.tiling = {.chunk_size = 352800, .num_overlap = 2, .stems = {"vocals"}};
  return options;
}
// Kim's Mel-Band RoFormer.
RoformerOptions MelRoformer() {
  RoformerOptions options;
  options.mel = true;
  options.dim = 384;
  options.depth = 6;
  options.hop = 441;
  options.mask_layers = 3;
  options.bands = MelBands(44100, 2048, 60).value_or(std::vector<BandRange>());
  options.tiling = {.chunk_size = 352800, .num_overlap = 2, .stems = {"vocals"}};
  return options;
}
template <RoformerOptions (*kOptions)()>
Result<Graph> Roformer(Weights& weights, int batch) {
  return BuildRoformer(kOptions(), weights, kOptions().tiling.chunk_size, batch);
}
template <RoformerOptions (*kOptions)()>
Result<Model> MakeReleasedRoformer(State state) {
  return MakeRoformer(kOptions(), std::move(state));
}

// SCNet as its authors trained it on MUSDB18, and the largest that others did.
ScnetOptions SmallScnet() {
  ScnetOptions options;
  options.tiling = {.chunk_size = 485100, .stems = {"drums", "bass", "other", "vocals"}};
  return options;
}
ScnetOptions LargestScnet() {
  ScnetOptions options = SmallScnet();
  options.dims = {4, 64, 128, 256};
  options.band_sr = {0.23, 0.37, 0.40};
  options.band_stride = {1, 4, 4};
  options.band_kernel = {3, 4, 4};
  options.conv_depths = {3, 3, 3};
  options.num_dplayer = 8;
  return options;
}
template <ScnetOptions (*kOptions)()>
Result<Graph> ScnetOf(Weights& weights, int batch) {
  return BuildScnet(kOptions(), weights, kOptions().tiling.chunk_size, batch);
}
template <ScnetOptions (*kOptions)()>
Result<Model> MakeReleasedScnet(State state) {
  return MakeScnet(kOptions(), std::move(state));
}

Result<Graph> Larsnet(Weights& weights, int batch) { return BuildLarsnet(LarsnetOptions(), weights, batch); }
Result<Model> MakeReleasedLarsnet(State state) { return MakeLarsnet(LarsnetOptions(), std::move(state)); }

Result<Graph> Spleeter(Weights& weights, int batch) {
  TIMBRE_TRY(const SpleeterOptions options, ReleasedSpleeter(2));
  return BuildSpleeter(options, weights, batch);
}
Result<Model> MakeReleasedSpleeter(State state) {
  TIMBRE_TRY(SpleeterOptions options, ReleasedSpleeter(2));
  return MakeSpleeter(std::move(options), std::move(state));
}

// UVR's Inst HQ models.
MdxnetOptions InstHq() {
  MdxnetOptions options{.bins = 3072, .frames = 256, .channels = 48, .levels = 5, .convolutions = 3, .n_fft = 6144};
  for (int i = 0; i < 2 * options.levels + 1; ++i) {
    const int level = std::min(i, 2 * options.levels - i);
    options.hidden.push_back((options.bins >> level) / 8);
  }
  options.stem = "Instrumental";
  return options;
}
Result<Graph> Mdxnet(Weights& weights, int batch) {
  return BuildMdxnet(InstHq(), weights, int64_t{InstHq().frames - 1} * kMdxnetHop, batch);
}
Result<Model> MakeReleasedMdxnet(State state) { return MakeMdxnet(InstHq(), std::move(state)); }

constexpr int kSpeechFrames = 100;

Result<Graph> DeepFilterNet3(Weights& weights, int batch) {
  return BuildDeepFilterNet(ReleasedDeepFilterNet3(), weights, DeepFilterPart::kAll, batch, kSpeechFrames);
}

Result<Graph> Gtcrn(Weights& weights, int batch) { return BuildGtcrn(weights, batch, kSpeechFrames); }

// Passes weights on and keeps them, under the names and shapes that a checkpoint has.
class Recorder : public Weights {
 public:
  Recorder(Weights& inner, bool half) : inner_(inner), half_(half) {}
  bool Has(const std::string& name) const override { return !name.ends_with("filter") && inner_.Has(name); }
  Result<HostTensor> Get(const std::string& name, const Shape& shape) override {
    TIMBRE_TRY(HostTensor tensor, inner_.Get(name, shape));
    if (half_) tensor = HostTensor::Half(tensor);
    tensors_.emplace(name, tensor);
    return tensor;
  }
  const TensorMap& tensors() const { return tensors_; }

 private:
  Weights& inner_;
  bool half_;
  TensorMap tensors_;
};

// A tile of frames: of its 17, the reference keeps 12 of 192 x 192 pixels, at 30 a second.
constexpr LatentShape kFramesTile{5, 32, 32};
constexpr double kFramesTileSeconds = 12 / 30.0;
Result<Graph> HunyuanVaeTile(Weights& weights, int) { return BuildHunyuanDecoder({}, weights, kFramesTile); }

// Matrices in a type that models are published in, by formula; the rest as it is.
class Published : public Weights {
 public:
  Published(Weights& inner, DType dtype) : inner_(inner), dtype_(dtype) {}
  bool Has(const std::string& name) const override { return inner_.Has(name); }
  Result<HostTensor> Get(const std::string& name, const Shape& shape) override {
    if (shape.rank() != 2) return inner_.Get(name, shape);
    const float most = std::sqrt(3.0f / static_cast<float>(shape[1]));
    return FormulaTensor(dtype_, name, shape, -most, most);
  }

 private:
  Weights& inner_;
  DType dtype_;
};

// One evaluation of both branches of DiffRhythm 2 in the middle of a song; a block takes sixteen.
constexpr int kSongPlaces = 410;
constexpr double kSongStep = 10.0 / kLatentsPerSecond / 16;
Result<Graph> SongStepOf(Weights& weights) {
  const DitConfig config = ReleasedDit();
  return BuildDitStep(config, weights, {.branches = 2, .rows = config.block_size, .places = kSongPlaces});
}

// In halves: two gigabytes.
Result<Graph> SongStep(Weights& weights, int) {
  Published published(weights, DType::kF16);
  return SongStepOf(published);
}

// A chunk of its decoder: twenty latents, of which fifteen are new.
constexpr int64_t kSongChunk = 20;
constexpr double kSongChunkSeconds = 15.0 / kLatentsPerSecond;
Result<Graph> SongDecoderChunk(Weights& weights, int) {
  return BuildBigvgan(ReleasedSongDecoder(), weights, kSongChunk);
}

// One token in the middle of a text, and the first ones of a prompt.
constexpr int64_t kTextPast = 256, kPromptTokens = 256;
Result<Graph> LanguagePassOf(const char* name, DType dtype, Weights& weights, int64_t rows) {
  TIMBRE_TRY(const LanguageModelConfig config, ReleasedLanguageModel(name));
  Published published(weights, dtype);
  const int64_t past = rows == 1 ? kTextPast : 0;
  TIMBRE_TRY(Graph graph, BuildLanguageModel(config, published, {.rows = rows, .capacity = past + kPromptTokens}));
  for (ScalarInfo& scalar : graph.scalars) {
    scalar.value = static_cast<uint32_t>(scalar.name == kPositionScalar ? past : past + rows);
  }
  return graph;
}
Result<Graph> Smollm2Step(Weights& weights, int) { return LanguagePassOf("smollm2-135m", DType::kQ4_1, weights, 1); }
Result<Graph> Smollm2Prompt(Weights& weights, int) {
  return LanguagePassOf("smollm2-135m", DType::kQ4_1, weights, kPromptTokens);
}
Result<Graph> Qwen3Step(Weights& weights, int) { return LanguagePassOf("qwen3-0.6b", DType::kQ8_0, weights, 1); }
Result<Graph> Qwen3Prompt(Weights& weights, int) {
  return LanguagePassOf("qwen3-0.6b", DType::kQ8_0, weights, kPromptTokens);
}

Status WriteText(const std::filesystem::path& path, const std::string& text) {
  TIMBRE_TRY(AtomicFile file, AtomicFile::Create(path.string()));
  TIMBRE_CHECK(file.Write(text));
  return file.Commit();
}

Status WriteSongFolder(uint64_t seed, const std::string& folder) {
  const std::filesystem::path path(folder);
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) return Fail(ErrorCode::kIo, "the folder '" + folder + "' can't be made: " + error.message());
  TIMBRE_CHECK(WriteText(path / "config.json", ToJson(ReleasedDit())));
  TIMBRE_CHECK(WriteText(path / "decoder.json", ToJson(ReleasedSongDecoder())));
  TIMBRE_TRY(const TensorMap decoder, RandomTensors(seed, false, [](Weights& weights) {
               return SongDecoderChunk(weights, 1).map([](const Graph&) {});
             }));
  TIMBRE_CHECK(WriteSafetensors((path / "decoder.safetensors").string(), decoder));
  TIMBRE_TRY(const TensorMap dit, RandomTensors(seed, true, [](Weights& weights) -> Status {
               TIMBRE_CHECK(SongStepOf(weights).map([](const Graph&) {}));
               return EmbedText(ReleasedDit(), weights, {}).map([](const std::vector<float>&) {});
             }));
  return WriteSafetensors((path / "model.safetensors").string(), dit);
}

constexpr NetworkRow kNetworks[] = {
    {"htdemucs", 7.8 * 0.75, Htdemucs, MakeReleasedHtdemucs, true},
    {"htdemucs-small", 1 * 0.75, SmallHtdemucs, MakeSmallHtdemucs, true},
    {"mdx23c-drumsep", 523776 / 44100.0 / 4, Mdx23cDrumsep, MakeDrumsep},
    {"bs-roformer", 352800 / 44100.0 / 2, Roformer<BsRoformer>, MakeReleasedRoformer<BsRoformer>},
    {"mel-roformer", 352800 / 44100.0 / 2, Roformer<MelRoformer>, MakeReleasedRoformer<MelRoformer>},
    {"scnet", 485100 / 44100.0 / 4, ScnetOf<SmallScnet>, MakeReleasedScnet<SmallScnet>},
    {"scnet-xl", 485100 / 44100.0 / 4, ScnetOf<LargestScnet>, MakeReleasedScnet<LargestScnet>},
    {"larsnet", 512 * 1024 / 44100.0, Larsnet, MakeReleasedLarsnet},
    {"spleeter", 512 * 1024 / 44100.0, Spleeter, MakeReleasedSpleeter},
    {"mdx-net", 255 * 1024 / 44100.0 * 0.75, Mdxnet, MakeReleasedMdxnet},
    {"deepfilternet3", kSpeechFrames * 480 / 48000.0, DeepFilterNet3},
    {"diffrhythm2", kSongStep, SongStep, nullptr, true, WriteSongFolder},
    {"diffrhythm2-decoder", kSongChunkSeconds, SongDecoderChunk},
    {"hunyuan-vae", kFramesTileSeconds, HunyuanVaeTile, nullptr, true},
    {"gtcrn", kSpeechFrames* kGtcrnHop / double{kGtcrnRate}, Gtcrn},
    {"smollm2-135m", 0, Smollm2Step, nullptr, false, nullptr, 1},
    {"smollm2-135m-prompt", 0, Smollm2Prompt, nullptr, false, nullptr, kPromptTokens},
    {"qwen3-0.6b", 0, Qwen3Step, nullptr, false, nullptr, 1},
    {"qwen3-0.6b-prompt", 0, Qwen3Prompt, nullptr, false, nullptr, kPromptTokens},
};

}  // namespace

DeepFilterNetConfig ReleasedDeepFilterNet3() {
  DeepFilterNetConfig config;
  config.df_lookahead = config.conv_lookahead = 2;
  config.channels = 64;
  config.emb_layers = 3;
  config.df_layers = 2;
  config.df_pathway_frames = 5;
  config.linear_groups = 16;
  config.encoder_linear_groups = 32;
  config.df_skip = "groupedlinear";
  return config;
}

Status WriteRandomModel(const NetworkRow& network, uint64_t seed, const std::string& path) {
  if (network.tokens > 0) {
    return Fail(ErrorCode::kUnsupported, "'" + std::string(network.name) +
                                             "' writes texts, and no file of random weights makes such a model; bench "
                                             "and explain take it by its name");
  }
  const std::unique_ptr<Weights> random = RandomWeights(seed);
  Recorder weights(*random, network.half);
  TIMBRE_CHECK(network.build(weights, 1).map([](const Graph&) {}));
  return WriteSafetensors(path, weights.tensors(), {{std::string(kNetworkKey), std::string(network.name)}});
}

Result<TensorMap> RandomTensors(uint64_t seed, bool half, const std::function<Status(Weights&)>& build) {
  const std::unique_ptr<Weights> random = RandomWeights(seed);
  Recorder weights(*random, half);
  TIMBRE_CHECK(build(weights));
  return weights.tensors();
}

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
