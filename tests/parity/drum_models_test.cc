// MDX23C and LarsNet held against the references' own output: one chunk, and whole tracks.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "audio/decode.h"
#include "audio/encode.h"
#include "dsp/overlap_add.h"
#include "formats/checkpoint.h"
#include "formats/formula_weights.h"
#include "kernels/kernel.h"
#include "models/separate/larsnet.h"
#include "models/separate/mdx23c.h"
#include "runtime/session/session.h"
#include "tests/e2e/program.h"
#include "tests/parity/larsnet_folder.h"
#include "tests/support/golden.h"

namespace timbre {
namespace {

using testing::CheckSlices;
using testing::DataPath;
using testing::RatioDb;
using testing::SharedPath;
using testing::Transposed;
using testing::Values;

constexpr double kFloorDb = 100;

std::shared_ptr<const TensorMap> Formula(const std::string& path) {
  auto weights = ReadFormulaWeights(path);
  EXPECT_TRUE(weights) << weights.error().message;
  return weights ? *weights : std::make_shared<const TensorMap>();
}

// The plan's tiles through the model, one at a time: mix [channels, samples] -> [stems * channels, samples].
std::vector<float> RunTrack(const SeparationModel& model, const std::vector<float>& mix) {
  const int64_t channels = model.info().channels, samples = static_cast<int64_t>(mix.size()) / channels;
  const int64_t features = channels * static_cast<int64_t>(model.info().stems.size());
  const std::vector<float> signal = Transposed(mix, channels, samples);
  const auto plan = model.Plan(samples, {});
  EXPECT_TRUE(plan) << plan.error().message;
  if (!plan) return {};
  auto graph = model.BuildTile(plan->tile, 1);
  EXPECT_TRUE(graph) << graph.error().message;
  if (!graph) return {};
  ThreadPool pool;
  auto session = MakeSession(*std::move(graph), {.device = "cpu"}, pool, nullptr);
  EXPECT_TRUE(session) << session.error().message;
  if (!session) return {};
  OverlapAdd sum(*plan, features);
  std::vector<float> input(plan->tile * channels), output(plan->tile * features), finished;
  for (const Tile& tile : plan->tiles) {
    GatherTile(*plan, tile, signal.data(), 0, static_cast<int>(channels), input.data());
    std::vector<const float*> in;
    std::vector<std::vector<float>> extra;
    extra.reserve((*session)->graph().inputs.size());
    for (const GraphPort& port : (*session)->graph().inputs) {
      if (port.name == "mix") {
        in.push_back(input.data());
      } else {
        extra.emplace_back((*session)->graph().shape(port.tensor).elements());
        model.FillInput(port.name, *plan, tile, extra.back());
        in.push_back(extra.back().data());
      }
    }
    float* const out[] = {output.data()};
    const Status ran = (*session)->Run(in, out);
    EXPECT_TRUE(ran) << ran.error().message;
    const Status added = sum.Add(output.data(), &finished);
    EXPECT_TRUE(added) << added.error().message;
  }
  EXPECT_EQ(static_cast<int64_t>(finished.size()), samples * features);
  return Transposed(finished, samples, features);
}

// ---- the program, on files that hold float samples

void WriteExact(const std::string& path, const std::vector<float>& mix) {
  const int64_t samples = static_cast<int64_t>(mix.size()) / 2;
  const WriteOptions exact{.format = FileFormat::kWav, .sample_format = SampleFormat::kF32, .clip = ClipMode::kNone};
  auto writer = AudioWriter::Create(path, exact, 44100, 2);
  ASSERT_TRUE(writer) << writer.error().message;
  ASSERT_TRUE((*writer)->Write(Transposed(mix, 2, samples).data(), samples));
  ASSERT_TRUE((*writer)->Finish());
}

std::vector<float> ReadExact(const std::string& path) {
  const auto audio = ReadAudioFile(path, 1 << 24);
  EXPECT_TRUE(audio) << audio.error().message;
  return audio ? Transposed(audio->samples, audio->frames(), 2) : std::vector<float>();
}

void RunProgram(const testing::TempFolder& folder, const std::string& model, const std::vector<std::string>& more) {
  std::vector<std::string> words = {"separate", "mix.wav",      "--model",         model, "--output", ".",
                                    "--name",   "{stem}.{ext}", "--sample-format", "f32", "--clip",   "none"};
  words.insert(words.end(), more.begin(), more.end());
  const testing::Ran ran = testing::RunTimbre(words, folder.path());
  ASSERT_EQ(ran.code, 0) << ran.err;
}

// ---- MDX23C

// The metadata's JSON is YAML too, so that the cases go through the parser of real configurations.
std::shared_ptr<const SeparationModel> Mdx23cOf(const Safetensors& file, std::shared_ptr<const TensorMap> weights) {
  auto options = ParseMdx23cConfig(file.metadata.at("config"));
  EXPECT_TRUE(options) << options.error().message;
  if (!options) return nullptr;
  auto model = MakeMdx23c(*options, std::move(weights));
  EXPECT_TRUE(model) << model.error().message;
  return model ? *model : nullptr;
}

void CheckChunk(const Safetensors& file, const SeparationModel& model) {
  const std::vector<float> mix = Values(file, "mix");
  const int64_t samples = static_cast<int64_t>(mix.size()) / 2;
  auto graph = model.BuildTile(samples, 1);
  ASSERT_TRUE(graph) << graph.error().message;
  ThreadPool pool;
  auto session = MakeSession(*std::move(graph), {.device = "cpu"}, pool, nullptr);
  ASSERT_TRUE(session) << session.error().message;
  const std::vector<float> input = Transposed(mix, 2, samples);
  const int64_t features = 2 * static_cast<int64_t>(model.info().stems.size());
  std::vector<float> output(samples * features);
  const float* const in[] = {input.data()};
  float* const out[] = {output.data()};
  const Status ran = (*session)->Run(in, out);
  ASSERT_TRUE(ran) << ran.error().message;
  CheckSlices(file, "stems", Transposed(output, samples, features), features, kFloorDb);
}

TEST(Mdx23cParity, Small) {
  const auto file = ReadSafetensors(DataPath("mdx23c-small.safetensors"));
  ASSERT_TRUE(file);
  const auto model = Mdx23cOf(*file, Formula(DataPath("mdx23c-small.weights.json")));
  ASSERT_TRUE(model);
  CheckChunk(*file, *model);
}

std::shared_ptr<const SeparationModel> Tiny(const Safetensors& file) {
  const auto checkpoint = ReadCheckpoint(SharedPath("goldens/mdx23c/mdx23c-tiny.ckpt"));
  EXPECT_TRUE(checkpoint) << checkpoint.error().message;
  return checkpoint ? Mdx23cOf(file, std::make_shared<const TensorMap>(checkpoint->State())) : nullptr;
}

TEST(Mdx23cParity, TinyChunk) {
  TIMBRE_NEED_SHARED(SharedPath("goldens/mdx23c/mdx23c-tiny.chunk.safetensors"));
  const auto file = ReadSafetensors(SharedPath("goldens/mdx23c/mdx23c-tiny.chunk.safetensors"));
  ASSERT_TRUE(file);
  const auto model = Tiny(*file);
  ASSERT_TRUE(model);
  CheckChunk(*file, *model);
}

TEST(Mdx23cParity, TinyTrack) {
  TIMBRE_NEED_SHARED(SharedPath("goldens/mdx23c/mdx23c-tiny.track.safetensors"));
  const auto file = ReadSafetensors(SharedPath("goldens/mdx23c/mdx23c-tiny.track.safetensors"));
  ASSERT_TRUE(file);
  const auto model = Tiny(*file);
  ASSERT_TRUE(model);
  EXPECT_EQ(CheckSlices(*file, "stems", RunTrack(*model, Values(*file, "mix")), 10, kFloorDb), 1u);
}

TEST(Mdx23cParity, TinyTrackThroughTheProgram) {
  TIMBRE_NEED_SHARED(SharedPath("goldens/mdx23c/mdx23c-tiny.track.safetensors"));
  const auto file = ReadSafetensors(SharedPath("goldens/mdx23c/mdx23c-tiny.track.safetensors"));
  ASSERT_TRUE(file);
  const testing::TempFolder folder;
  WriteExact(folder / "mix.wav", Values(*file, "mix"));
  // Its configuration lies beside the checkpoint.
  RunProgram(folder, SharedPath("goldens/mdx23c/mdx23c-tiny.ckpt"), {});
  std::vector<float> stems;
  for (const char* stem : {"kick", "snare", "toms", "hh", "cymbals"}) {
    const std::vector<float> one = ReadExact(folder / (std::string(stem) + ".wav"));
    stems.insert(stems.end(), one.begin(), one.end());
  }
  EXPECT_EQ(CheckSlices(*file, "stems", stems, 10, kFloorDb), 1u);
}

// Whether 2 x 10^12 multiply-adds are a matter of seconds here.
bool FastKernels() { return KernelsFor(Op::kConv, DeviceKind::kCpu)[0]->tier == Tier::kFast; }

TEST(Mdx23cParity, DrumsepFullSize) {
  TIMBRE_NEED_SHARED(SharedPath("goldens/mdx23c/mdx23c-drumsep-full.chunk.safetensors"));
  if (!FastKernels()) GTEST_SKIP() << "not here: without a fast convolution this would take hours";
  const auto file = ReadSafetensors(SharedPath("goldens/mdx23c/mdx23c-drumsep-full.chunk.safetensors"));
  ASSERT_TRUE(file);
  const auto model = Mdx23cOf(*file, Formula(SharedPath("goldens/mdx23c/mdx23c-drumsep-full.weights.json")));
  ASSERT_TRUE(model);
  CheckChunk(*file, *model);
}

TEST(Mdx23c, ConfigurationsFromOutsideAreBounded) {
  const std::string good =
      "audio: {chunk_size: 32256, dim_f: 512, hop_length: 512, n_fft: 2048, num_channels: 2, sample_rate: 44100}\n"
      "model: {act: gelu, bottleneck_factor: 4, growth: 8, norm: InstanceNorm, num_blocks_per_scale: 2, num_channels: "
      "8,\n"
      "  num_scales: 3, num_subbands: 4, scale: !!python/tuple [2, 2]}\n"
      "training: {instruments: [a, b], target_instrument: null}\ninference: {num_overlap: 4, batch_size: 1}\n";
  const auto options = ParseMdx23cConfig(good);
  ASSERT_TRUE(options) << options.error().message;
  EXPECT_EQ(options->scale, (std::array<int, 2>{2, 2}));
  EXPECT_EQ(options->tiling.stems.size(), 2u);
  auto with = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    text.replace(text.find(from), from.size(), to);
    return ParseMdx23cConfig(text);
  };
  EXPECT_EQ(with("target_instrument: null", "target_instrument: b")->tiling.stems, std::vector<std::string>{"b"});
  for (const auto& [from, to] :
       std::vector<std::pair<std::string, std::string>>{{"num_channels: 8", "num_channels: 1000000000"},
                                                        {"num_channels: 8", "num_channels: -1"},
                                                        {"num_channels: 8", "num_channels: x"},
                                                        {"num_channels: 8,", ""},
                                                        {"n_fft: 2048", "n_fft: 99999999999999"},
                                                        {"act: gelu", "act: elu"},
                                                        {"act: gelu", "act: swish"},
                                                        {"[2, 2]", "[2]"},
                                                        {"dim_f: 512", "dim_f: 510"},
                                                        {"chunk_size: 32256", "chunk_size: 32257"},
                                                        {"num_scales: 3", "num_scales: 30"},
                                                        {"instruments: [a, b]", "instruments: []"},
                                                        {"audio: {", "audio: {{"}}) {
    const auto bad = with(from, to);
    EXPECT_FALSE(bad) << to;
    EXPECT_FALSE(!bad && bad.error().message.empty());
  }
  EXPECT_FALSE(ParseMdx23cConfig(""));
  EXPECT_FALSE(ParseMdx23cConfig("[1, 2]"));
  EXPECT_FALSE(ParseMdx23cConfig(std::string(10000, '[')));
  EXPECT_FALSE(ParseMdx23cConfig(std::string(2 << 20, ' ')));
}

// ---- LarsNet

void CheckStems(const Safetensors& file, std::shared_ptr<const TensorMap> weights, double wiener) {
  const auto model = MakeLarsnet({.wiener = wiener}, std::move(weights));
  ASSERT_TRUE(model) << model.error().message;
  const std::vector<float> stems = RunTrack(**model, Values(file, "mix"));
  const int64_t each = static_cast<int64_t>(stems.size()) / 5;
  for (size_t s = 0; s < 5; ++s) {
    const std::vector<float> stem(stems.begin() + s * each, stems.begin() + (s + 1) * each);
    EXPECT_EQ(CheckSlices(file, "stems." + (*model)->info().stems[s], stem, 2, kFloorDb), 3u);
  }
}

TEST(LarsnetParity, Small) {
  if (!FastKernels()) GTEST_SKIP() << "not here: without a fast convolution this takes long";
  const auto file = ReadSafetensors(DataPath("larsnet-small.safetensors"));
  ASSERT_TRUE(file);
  CheckStems(*file, Formula(DataPath("larsnet-small.weights.json")), 0);
}

// The whole signals through the program, from the folder that LarsNet is published as.
void CheckProgram(const std::string& name, const std::vector<std::string>& more) {
  const auto file = ReadSafetensors(SharedPath("goldens/larsnet/" + name + ".safetensors"));
  ASSERT_TRUE(file);
  const testing::TempFolder folder;
  testing::MakeLarsnetFolder(folder / "larsnet", SharedPath("goldens/larsnet/larsnet.weights.json"));
  const std::vector<float> mix = Values(*file, "mix");
  WriteExact(folder / "mix.wav", mix);
  RunProgram(folder, "larsnet", more);
  for (const std::string& stem : LarsnetOptions().stems) {
    EXPECT_EQ(CheckSlices(*file, "stems." + stem, ReadExact(folder / (stem + ".wav")), 2, kFloorDb), 3u);
  }
}

TEST(LarsnetParity, DirectThroughTheProgram) {
  TIMBRE_NEED_SHARED(SharedPath("goldens/larsnet/larsnet.safetensors"));
  CheckProgram("larsnet", {});
}

TEST(LarsnetParity, WienerThroughTheProgram) {
  TIMBRE_NEED_SHARED(SharedPath("goldens/larsnet/larsnet-wiener.safetensors"));
  CheckProgram("larsnet-wiener", {"--wiener", "1"});
}

// What one tile needs of another's is only its envelope: any length must be covered, and by no more than it says.
TEST(Larsnet, PlansCoverEveryLength) {
  const auto model =
      MakeLarsnet({.stems = {"kick"}, .n_fft = 256, .frames = 64, .bins = 64}, std::make_shared<const TensorMap>());
  ASSERT_TRUE(model);
  for (const TilingOptions& other : {TilingOptions{.segment = 2}, {.overlap = 0.5}}) {
    const auto refused = (*model)->Plan(10000, other);
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().message.find("leave --segment and --overlap out"), std::string::npos);
  }
  for (const int64_t length :
       {1, 63, 64, 65, 127, 255, 256, 257, 1000, 4095, 4096, 4097, 4159, 4160, 4161, 8192, 10000}) {
    const auto plan = (*model)->Plan(length, {});
    ASSERT_TRUE(plan);
    std::vector<float> signal(length, 1.0f), input(plan->tile), output(plan->tile, 1.0f), finished;
    OverlapAdd sum(*plan, 1);
    for (const Tile& tile : plan->tiles) {
      EXPECT_GE(tile.first, 0);
      EXPECT_LE(tile.last, length);
      for (const TileRun& r : tile.input) {
        EXPECT_GE(r.to, 0);
        EXPECT_LE(r.to + r.count, plan->tile);
      }
      GatherTile(*plan, tile, signal.data(), 0, 1, input.data());
      const Status added = sum.Add(output.data(), &finished);
      ASSERT_TRUE(added) << length << ": " << added.error().message;
    }
    EXPECT_EQ(static_cast<int64_t>(finished.size()), length);
  }
}

}  // namespace
}  // namespace timbre
