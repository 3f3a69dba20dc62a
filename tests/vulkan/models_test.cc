// Reference cases on the Vulkan device: every node on a Vulkan kernel, no step down, nothing from the validation
// layers.
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <nlohmann/json.hpp>

#include "audio/decode.h"
#include "audio/encode.h"
#include "formats/formula_weights.h"
#include "models/loader.h"
#include "models/separate/htdemucs.h"
#include "models/separate/larsnet.h"
#include "models/separate/mdx23c.h"
#include "models/separate/roformer.h"
#include "models/separate/scnet.h"
#include "models/speech/gtcrn.h"
#include "runtime/device/vulkan_device.h"
#include "tests/e2e/program.h"
#include "tests/parity/htdemucs_case.h"
#include "tests/parity/larsnet_folder.h"
#include "tests/parity/speech_support.h"
#include "tests/support/golden.h"
#include "tests/support/sweep.h"
#include "tests/vulkan/usable_device.h"

namespace timbre {
namespace {

using testing::CheckSlices;
using testing::DataPath;
using testing::RatioDb;
using testing::SharedPath;
using testing::Transposed;
using testing::Values;

constexpr double kFloorDb = 90;  // for kernels that may sum in any order

// What the session says of itself: no node that has a Vulkan kernel runs elsewhere.
void ExpectAllOnTheDevice(const Session& session) {
  for (const NodeTiming& row : session.Profile()) {
    EXPECT_EQ(row.kernel.find("cpu"), std::string::npos) << row.node << " ran on " << row.kernel;
  }
}

// One tile against the slices of the case, all of it on the device.
void CheckTile(Graph graph, const Safetensors& file, int64_t features) {
  const int64_t messages = VulkanValidationMessages();
  const std::vector<float> mix = Values(file, "mix");
  const int64_t samples = static_cast<int64_t>(mix.size()) / 2;
  ThreadPool pool(1);
  Stats stats;
  SessionOptions options;
  options.device = UsableDeviceName();
  auto session = MakeSession(std::move(graph), options, pool, &stats);
  ASSERT_TRUE(session) << session.error().message;
  const std::vector<float> input = Transposed(mix, 2, samples);
  std::vector<float> output(samples * features);
  const float* const in[] = {input.data()};
  float* const out[] = {output.data()};
  const Status ran = (*session)->Run(in, out);
  ASSERT_TRUE(ran) << ran.error().message;
  ExpectAllOnTheDevice(**session);
  EXPECT_TRUE(stats.steps().empty());
  CheckSlices(file, "stems", Transposed(output, samples, features), features, kFloorDb);
  EXPECT_EQ(VulkanValidationMessages(), messages);
}

void CheckMdx23c(const std::string& golden, const std::string& formula) {
  const auto file = ReadSafetensors(golden);
  ASSERT_TRUE(file) << file.error().message;
  const auto weights = ReadFormulaWeights(formula);
  ASSERT_TRUE(weights) << weights.error().message;
  const auto options = ParseMdx23cConfig(file->metadata.at("config"));
  ASSERT_TRUE(options) << options.error().message;
  const auto model = MakeMdx23c(*options, *weights);
  ASSERT_TRUE(model) << model.error().message;
  auto graph = (*model)->BuildTile(static_cast<int64_t>(Values(*file, "mix").size()) / 2, 1);
  ASSERT_TRUE(graph) << graph.error().message;
  CheckTile(*std::move(graph), *file, 2 * static_cast<int64_t>((*model)->info().stems.size()));
}

TEST(VulkanModels, Mdx23cSmall) {
  TIMBRE_NEED_VULKAN();
  CheckMdx23c(DataPath("mdx23c-small.safetensors"), DataPath("mdx23c-small.weights.json"));
}

// Tiles of the released shapes take a GPU a second and a software driver up to an hour: there only where asked for.
bool LongTilesAreAsked() { return testing::FullSweep() || !ListVulkanDevices().value()[UsableDevice()].software(); }

TEST(VulkanModels, Mdx23cReleasedShape) {
  TIMBRE_NEED_VULKAN();
  const std::string at = SharedPath("goldens/mdx23c/mdx23c-drumsep-full");
  TIMBRE_NEED_SHARED(at + ".chunk.safetensors");
  if (!LongTilesAreAsked()) GTEST_SKIP() << "too long for a software driver; ./dev sweep runs it";
  CheckMdx23c(at + ".chunk.safetensors", at + ".weights.json");
}

TEST(VulkanModels, HtdemucsReleasedShape) {
  TIMBRE_NEED_VULKAN();
  const std::string at = SharedPath("goldens/htdemucs/htdemucs-full");
  TIMBRE_NEED_SHARED(at + ".segment.safetensors");
  if (!LongTilesAreAsked()) GTEST_SKIP() << "too long for a software driver; ./dev sweep runs it";
  const auto file = ReadSafetensors(at + ".segment.safetensors");
  ASSERT_TRUE(file) << file.error().message;
  const auto weights = ReadFormulaWeights(at + ".weights.json");
  ASSERT_TRUE(weights) << weights.error().message;
  const HtdemucsOptions options = testing::OptionsOf(*file);
  auto graph = BuildHtdemucs(options, *WeightsFromMap(*weights), options.training_samples(), 1);
  ASSERT_TRUE(graph) << graph.error().message;
  CheckTile(*std::move(graph), *file, 2 * static_cast<int64_t>(options.sources.size()));
}

// One tile on a device, of noise.
Result<std::vector<float>> RunNoise(Graph graph, const SessionOptions& options, Stats* stats) {
  ThreadPool pool(1);
  TIMBRE_TRY(auto session, MakeSession(std::move(graph), options, pool, stats));
  std::vector<std::vector<float>> inputs;
  std::vector<const float*> in;
  for (const GraphPort& port : session->graph().inputs) {
    auto& values = inputs.emplace_back(session->graph().shape(port.tensor).elements());
    for (size_t i = 0; i < values.size(); ++i) values[i] = FormulaValue(Fnv1a64(port.name), i, -0.5f, 1);
  }
  for (const auto& values : inputs) in.push_back(values.data());
  std::vector<float> result(session->graph().shape(session->graph().outputs[0].tensor).elements());
  float* const out[] = {result.data()};
  TIMBRE_CHECK(session->Run(in, out));
  if (options.device != "cpu" && options.faults == nullptr) ExpectAllOnTheDevice(*session);
  return result;
}

// Without the mixture less the stem, which is none of the reference's.
Graph FirstStem(Graph graph) {
  Node slice{Op::kSlice, "first stem", SliceAttrs{.axis = 2, .begin = 0, .end = 2}, {graph.outputs[0].tensor}, {}, {},
             {}};
  Shape shape = graph.shape(graph.outputs[0].tensor);
  shape[2] = 2;
  slice.outputs = {graph.AddTensor("first stem", shape, TensorKind::kActivation)};
  graph.outputs[0].tensor = slice.outputs[0];
  graph.nodes.push_back(std::move(slice));
  return graph;
}

// The separators of the trainers' programs, from their own files.
TEST(VulkanModels, SeparatorsFromTheirFiles) {
  TIMBRE_NEED_VULKAN();
  if (!LongTilesAreAsked()) GTEST_SKIP() << "too long for a software driver; ./dev sweep runs it";
  for (const std::string name :
       {"bsroformer-tiny", "melroformer-tiny", "bspolarformer-tiny", "scnet-tiny", "scnet-masked-tiny"}) {
    SCOPED_TRACE(name);
    const std::string at = SharedPath("goldens/separators/" + name);
    TIMBRE_NEED_SHARED(at + ".chunk.safetensors");
    const auto file = ReadSafetensors(at + ".chunk.safetensors");
    ASSERT_TRUE(file) << file.error().message;
    const auto model = LoadModel(at + ".ckpt");
    ASSERT_TRUE(model) << model.error().message;
    auto graph = model->members[0]->BuildTile(static_cast<int64_t>(Values(*file, "mix").size()) / 2, 1);
    ASSERT_TRUE(graph) << graph.error().message;
    // The first is the one that the network of a target gives.
    const Shape& stems = file->tensors->at("stems").shape;
    if (stems[0] < static_cast<int64_t>(model->info().stems.size())) {
      CheckTile(FirstStem(*std::move(graph)), *file, 2);
    } else {
      CheckTile(*std::move(graph), *file, 2 * stems[0]);
    }
  }
}

// Networks of a few thousand weights against the CPU, whose own cases are the references'.
void CheckAgainstCpu(const std::function<Result<Graph>(Weights&)>& build) {
  const int64_t messages = VulkanValidationMessages();
  std::vector<float> results[2];
  for (const bool vulkan : {false, true}) {
    auto graph = build(*RandomWeights(3));
    ASSERT_TRUE(graph) << graph.error().message;
    auto result = RunNoise(*std::move(graph), {.device = vulkan ? UsableDeviceName() : "cpu"}, nullptr);
    ASSERT_TRUE(result) << result.error().message;
    results[vulkan] = *std::move(result);
  }
  EXPECT_GE(RatioDb(results[0], results[1]), kFloorDb);
  EXPECT_EQ(VulkanValidationMessages(), messages);
}

TEST(VulkanModels, Roformers) {
  TIMBRE_NEED_VULKAN();
  RoformerOptions o;
  o.dim = 8;
  o.depth = 2;
  o.heads = 2;
  o.dim_head = 4;
  o.n_fft = o.win = 64;
  o.hop = 16;
  o.bands = {{0, 3}, {3, 13}, {13, 33}};
  o.tiling = {.chunk_size = 160, .sample_rate = 8000, .stems = {"a", "b"}};
  RoformerOptions mel = o, polar = o, rare = o;
  mel.mel = mel.skip_connection = true;
  mel.bands = *MelBands(8000, 64, 3);
  mel.mask_layers = 3;
  polar.pope = true;
  rare.linear_depth = 1;
  rare.value_mix = "to_value_residual_mix";
  rare.qkv_bias = rare.out_bias = true;
  rare.tokens_at_once = 12;
  for (const RoformerOptions& options : {o, mel, polar, rare}) {
    CheckAgainstCpu([&](Weights& weights) { return BuildRoformer(options, weights, 160, 1); });
  }
}

TEST(VulkanModels, Scnets) {
  TIMBRE_NEED_VULKAN();
  ScnetOptions o;
  o.dims = {4, 4, 8};
  o.nfft = o.win_size = 128;
  o.hop_size = 32;
  o.num_dplayer = 2;
  o.tiling = {.chunk_size = 1024, .sample_rate = 8000, .stems = {"a", "b"}};
  for (const bool masked : {false, true}) {
    o.masked = masked;
    CheckAgainstCpu([&](Weights& weights) { return BuildScnet(o, weights, 200, 1); });
  }
}

// At a reduced size, held against the CPU, whose own case is the released shape's.
TEST(VulkanModels, Larsnet) {
  TIMBRE_NEED_VULKAN();
  const int64_t messages = VulkanValidationMessages();
  for (const double wiener : {0.0, 1.0, 2.0}) {
    std::vector<float> results[2];
    for (const bool vulkan : {false, true}) {
      const LarsnetOptions options{
          .stems = {"kick", "snare"}, .wiener = wiener, .n_fft = 256, .frames = 64, .bins = 64};
      auto graph = BuildLarsnet(options, *RandomWeights(3), 1);
      ASSERT_TRUE(graph) << graph.error().message;
      auto result = RunNoise(*std::move(graph), {.device = vulkan ? UsableDeviceName() : "cpu"}, nullptr);
      ASSERT_TRUE(result) << result.error().message;
      results[vulkan] = *std::move(result);
    }
    EXPECT_GE(RatioDb(results[0], results[1]), kFloorDb) << wiener;
  }
  EXPECT_EQ(VulkanValidationMessages(), messages);
}

Graph ShortHtdemucs() {
  HtdemucsOptions options;
  options.channels = 4;
  options.dconv_comp = 4;
  options.bottom_channels = 16;
  options.t_layers = 1;
  options.dconv_mode = 3;
  options.segment = 0.2;
  auto graph = BuildHtdemucs(options, *RandomWeights(5), options.training_samples(), 1);
  EXPECT_TRUE(graph) << graph.error().message;
  return *std::move(graph);
}

// Near the float result: the floor is 3 dB below what Mesa's software driver gives, with cooperative matrices and
// without.
TEST(VulkanModels, HtdemucsInHalfPrecision) {
  TIMBRE_NEED_VULKAN();
  if (!VulkanDevice::Open(UsableDevice()).value()->caps().float16)
    GTEST_SKIP() << "not here: this device has no half arithmetic";
  const int64_t messages = VulkanValidationMessages();
  SessionOptions options;
  options.device = UsableDeviceName();
  options.strict = true;
  const auto exact = RunNoise(ShortHtdemucs(), options, nullptr);
  ASSERT_TRUE(exact) << exact.error().message;
  options.precision = Precision::kF16;
  const auto halves = RunNoise(ShortHtdemucs(), options, nullptr);
  ASSERT_TRUE(halves) << halves.error().message;
  std::printf("  %.1f dB of float32\n", RatioDb(*exact, *halves));
  EXPECT_GE(RatioDb(*exact, *halves), 53.5);  // 62 of weights whose layers' gains are 0.1, not 1
  EXPECT_LE(RatioDb(*exact, *halves), 90) << "not a half in it";
  EXPECT_EQ(VulkanValidationMessages(), messages);
}

TEST(VulkanModels, DeepFilterNet3Small) {
  TIMBRE_NEED_VULKAN();
  const testing::Golden golden(DataPath("deepfilternet/deepfilternet3-small.safetensors"));
  const int64_t messages = VulkanValidationMessages();
  EXPECT_GE(testing::Agreement(golden["enhanced"],
                               testing::Enhance(testing::SmallDeepFilterNet(), golden["noisy"], {.block_frames = 16},
                                                {}, {.device = UsableDeviceName()})),
            kFloorDb);
  EXPECT_EQ(VulkanValidationMessages(), messages);
}

TEST(VulkanModels, Gtcrn) {
  TIMBRE_NEED_VULKAN();
  TIMBRE_NEED_SHARED(SharedPath("goldens/gtcrn/gtcrn-dns3.safetensors"));
  const testing::Golden golden(SharedPath("goldens/gtcrn/gtcrn-dns3.safetensors"));
  auto model = LoadSpeechModel(SharedPath("goldens/gtcrn/gtcrn-dns3.tar"));
  ASSERT_TRUE(model) << model.error().message;
  const int64_t messages = VulkanValidationMessages();
  // The first second of it: what comes later changes nothing before.
  std::vector<float> noisy = golden["noisy"], expected = golden["enhanced"];
  noisy.resize(16000 + 2 * kGtcrnFft);
  std::vector<float> ours = testing::Enhance(*model, noisy, {.block_frames = 70}, {}, {.device = UsableDeviceName()});
  ours.resize(16000);
  expected.resize(16000);
  EXPECT_GE(testing::Agreement(expected, ours), kFloorDb);
  EXPECT_EQ(VulkanValidationMessages(), messages);
}

// HTDemucs through the program, files in and files out; then the plan's own word that every node was on the device.
void CheckProgram(const std::string& name, const std::string& checkpoint, const std::vector<std::string>& more) {
  const std::string path = SharedPath("goldens/htdemucs/" + checkpoint);
  const auto file = ReadSafetensors(SharedPath("goldens/htdemucs/" + name + ".safetensors"));
  ASSERT_TRUE(file) << file.error().message;
  const std::vector<float> mix = Values(*file, "mix");
  const int64_t samples = static_cast<int64_t>(mix.size()) / 2;
  const testing::TempFolder folder;
  const WriteOptions exact{.format = FileFormat::kWav, .sample_format = SampleFormat::kF32, .clip = ClipMode::kNone};
  {
    auto writer = AudioWriter::Create(folder / "mix.wav", exact, 44100, 2);
    ASSERT_TRUE(writer) << writer.error().message;
    ASSERT_TRUE((*writer)->Write(Transposed(mix, 2, samples).data(), samples));
    ASSERT_TRUE((*writer)->Finish());
  }
  std::vector<std::string> words{
      "separate",   "mix.wav",          "--model",         path,  "--output", ".",    "--name",   "{stem}.{ext}",
      "--device",   UsableDeviceName(), "--sample-format", "f32", "--clip",   "none", "--strict", "--json",
      "report.json"};
  words.insert(words.end(), more.begin(), more.end());
  const testing::Ran ran = testing::RunTimbre(words, folder.path());
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ran.err.find("validation"), std::string::npos) << ran.err;
  const auto report = nlohmann::json::parse(testing::ReadAll(folder / "report.json"));
  EXPECT_NE(report["device"]["name"].get<std::string>().find("Vulkan"), std::string::npos) << report["device"];
  EXPECT_TRUE(report["steps_down"].empty()) << report["steps_down"];

  const auto model = LoadModel(path);
  ASSERT_TRUE(model) << model.error().message;
  const std::vector<float> stems = Values(*file, "stems");
  for (size_t s = 0; s < model->info().stems.size(); ++s) {
    const auto audio = ReadAudioFile(folder / (model->info().stems[s] + ".wav"), 1 << 24);
    ASSERT_TRUE(audio) << audio.error().message;
    const std::vector<float> expected(stems.begin() + s * 2 * samples, stems.begin() + (s + 1) * 2 * samples);
    EXPECT_GE(RatioDb(Transposed(expected, 2, samples), audio->samples), kFloorDb) << model->info().stems[s];
  }
  for (const auto& member : model->members) {
    const auto plan = member->Plan(samples, {});
    ASSERT_TRUE(plan) << plan.error().message;
    auto graph = member->BuildTile(plan->tile, 1);
    ASSERT_TRUE(graph) << graph.error().message;
    ThreadPool pool(1);
    auto session = MakeSession(*std::move(graph), {.device = UsableDeviceName()}, pool, nullptr);
    ASSERT_TRUE(session) << session.error().message;
    ExpectAllOnTheDevice(**session);
  }
}

// Whatever the loader finds or does not find, the program works.
TEST(VulkanModels, NoDriverLeavesAWorkingProgram) {
  const testing::TempFolder folder;
  testing::WriteTestWav(folder / "song.wav", 0.5);
  const std::string hidden = "/nonexistent/driver.json";
  setenv("VK_ICD_FILENAMES", hidden.c_str(), 1);
  setenv("VK_DRIVER_FILES", hidden.c_str(), 1);
  const testing::Ran devices = testing::RunTimbre({"devices", "--json", "-"}, folder.path());
  const testing::Ran separated =
      testing::RunTimbre({"separate", "--model", "hpss", "-o", ".", "song.wav", "--device", "auto"}, folder.path());
  const testing::Ran explained = testing::RunTimbre({"explain", "gtcrn"}, folder.path());
  const testing::Ran refused = testing::RunTimbre({"explain", "gtcrn", "--device", "vulkan"}, folder.path());
  unsetenv("VK_ICD_FILENAMES");
  unsetenv("VK_DRIVER_FILES");
  ASSERT_EQ(devices.code, 0) << devices.err;
  EXPECT_EQ(nlohmann::json::parse(devices.out)["auto"], "cpu");
  EXPECT_EQ(separated.code, 0) << separated.err;
  EXPECT_EQ(explained.code, 0) << explained.err;
  EXPECT_NE(explained.out.find("CPU"), std::string::npos) << explained.out;
  EXPECT_EQ(refused.code, 1);
  EXPECT_NE(refused.err.find("--device vulkan: "), std::string::npos) << refused.err;
}

// ---- the other models, files in and files out

void WriteExact(const std::string& path, const std::vector<float>& samples, int channels, int rate) {
  const WriteOptions exact{.format = FileFormat::kWav, .sample_format = SampleFormat::kF32, .clip = ClipMode::kNone};
  auto writer = AudioWriter::Create(path, exact, rate, channels);
  ASSERT_TRUE(writer) << writer.error().message;
  ASSERT_TRUE((*writer)->Write(samples.data(), static_cast<int64_t>(samples.size()) / channels));
  ASSERT_TRUE((*writer)->Finish());
}

// Runs the command on the device in strict mode; nothing may step down, and no node may run on the CPU.
void RunOnTheDevice(const testing::TempFolder& folder, std::vector<std::string> words) {
  const std::vector<std::string> more{"--device", UsableDeviceName(), "--strict",   "--sample-format", "f32", "--clip",
                                      "none",     "--json",           "report.json"};
  words.insert(words.end(), more.begin(), more.end());
  const testing::Ran ran = testing::RunTimbre(words, folder.path());
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ran.err.find("validation"), std::string::npos) << ran.err;
  const auto report = nlohmann::json::parse(testing::ReadAll(folder / "report.json"));
  EXPECT_TRUE(report["steps_down"].empty()) << report["steps_down"];
  EXPECT_NE(report["device"]["name"].get<std::string>().find("Vulkan"), std::string::npos) << report["device"];
  ASSERT_FALSE(report["device"]["kernels"].empty());
  for (const auto& [kernel, nodes] : report["device"]["kernels"].items())
    EXPECT_TRUE(kernel.starts_with("vulkan.")) << nodes << " nodes ran on " << kernel;
}

std::vector<float> ReadExact(const std::string& path, size_t samples) {
  const auto audio = ReadAudioFile(path, 1 << 24);
  EXPECT_TRUE(audio) << audio.error().message;
  std::vector<float> result = audio ? audio->samples : std::vector<float>();
  EXPECT_GE(result.size(), samples);
  result.resize(samples);
  return result;
}

// The first second: what follows on the tiles that it lies in changes nothing there.
TEST(VulkanModels, Mdx23cThroughTheProgram) {
  TIMBRE_NEED_VULKAN();
  const std::string golden = SharedPath("goldens/mdx23c/mdx23c-tiny.track.safetensors");
  TIMBRE_NEED_SHARED(golden);
  if (!LongTilesAreAsked()) GTEST_SKIP() << "too long for a software driver; ./dev sweep runs it";
  const auto file = ReadSafetensors(golden);
  ASSERT_TRUE(file) << file.error().message;
  const std::vector<float> mix = Values(*file, "mix"), stems = Values(*file, "stems");
  const int64_t samples = static_cast<int64_t>(mix.size()) / 2;
  std::vector<float> begin = Transposed(mix, 2, samples);
  begin.resize(2 * std::min<int64_t>(samples, 110250));
  const testing::TempFolder folder;
  WriteExact(folder / "mix.wav", begin, 2, 44100);
  RunOnTheDevice(folder, {"separate", "mix.wav", "--model", SharedPath("goldens/mdx23c/mdx23c-tiny.ckpt"), "--output",
                          ".", "--name", "{stem}.{ext}"});
  int64_t s = 0;
  for (const std::string stem : {"kick", "snare", "toms", "hh", "cymbals"}) {
    const std::vector<float> both(stems.begin() + s * 2 * samples, stems.begin() + (s + 1) * 2 * samples);
    std::vector<float> expected = Transposed(both, 2, samples);
    expected.resize(2 * 44100);
    EXPECT_GE(RatioDb(expected, ReadExact(folder / (stem + ".wav"), expected.size())), kFloorDb) << stem;
    ++s;
  }
}

// At the released shape: one tile.
TEST(VulkanModels, LarsnetThroughTheProgram) {
  TIMBRE_NEED_VULKAN();
  if (!LongTilesAreAsked()) GTEST_SKIP() << "too long for a software driver; ./dev sweep runs it";
  const auto file = ReadSafetensors(DataPath("larsnet-small.safetensors"));
  ASSERT_TRUE(file) << file.error().message;
  const testing::TempFolder folder;
  testing::MakeLarsnetFolder(folder / "larsnet", DataPath("larsnet-small.weights.json"));
  const std::vector<float> mix = Values(*file, "mix");
  const int64_t samples = static_cast<int64_t>(mix.size()) / 2;
  WriteExact(folder / "mix.wav", Transposed(mix, 2, samples), 2, 44100);
  const std::vector<std::string> stems = LarsnetOptions().stems;
  RunOnTheDevice(folder, {"separate", "mix.wav", "--model", "larsnet", "--output", ".", "--name", "{stem}.{ext}",
                          "--stems", fmt::format("{}", fmt::join(stems, ","))});
  for (const std::string& stem : stems) {
    const std::vector<float> ours = ReadExact(folder / (stem + ".wav"), mix.size());
    CheckSlices(*file, "stems." + stem, Transposed(ours, samples, 2), 2, kFloorDb);
  }
}

TEST(VulkanModels, DeepFilterNet3ThroughTheProgram) {
  TIMBRE_NEED_VULKAN();
  const testing::Golden golden(DataPath("deepfilternet/deepfilternet3-small.safetensors"));
  const testing::TempFolder folder;
  const std::string model = testing::MakeSmallModelFolder(folder / "model");
  WriteExact(folder / "noisy.wav", golden["noisy"], 1, 48000);
  RunOnTheDevice(folder, {"denoise", "noisy.wav", "--model", model, "--output", "out"});
  const std::vector<float> expected = golden["enhanced"];
  EXPECT_GE(testing::Agreement(expected, ReadExact(folder / "out/noisy.wav", expected.size())), kFloorDb);
}

// The released network: as it is, with its post-filter, and with a limit to what it takes away.
TEST(VulkanModels, DeepFilterNet3ReleasedThroughTheProgram) {
  TIMBRE_NEED_VULKAN();
  const std::string at = SharedPath("goldens/deepfilternet/deepfilternet3");
  TIMBRE_NEED_SHARED(at + ".zip");
  const std::vector<std::pair<std::string, std::vector<std::string>>> cases{
      {"", {}}, {"-pf", {"--post-filter", "0.02"}}, {"-atten", {"--atten-lim", "12"}}};
  for (const auto& [name, more] : cases) {
    if (!name.empty() && !LongTilesAreAsked()) continue;  // ./dev sweep has them; they are done on the CPU
    const testing::Golden golden(at + name + ".safetensors");
    const testing::TempFolder folder;
    WriteExact(folder / "noisy.wav", golden["noisy"], 1, 48000);
    std::vector<std::string> words{"denoise", "noisy.wav", "--model", at + ".zip", "--output", "out"};
    words.insert(words.end(), more.begin(), more.end());
    RunOnTheDevice(folder, words);
    const std::vector<float> expected = golden["enhanced"];
    EXPECT_GE(testing::Agreement(expected, ReadExact(folder / "out/noisy.wav", expected.size())), kFloorDb) << name;
  }
}

// The first second of it.
TEST(VulkanModels, GtcrnThroughTheProgram) {
  TIMBRE_NEED_VULKAN();
  TIMBRE_NEED_SHARED(SharedPath("goldens/gtcrn"));
  for (const std::string weights : {"dns3", "vctk"}) {
    const testing::Golden golden(SharedPath("goldens/gtcrn/gtcrn-" + weights + ".safetensors"));
    std::vector<float> noisy = golden["noisy"], expected = golden["enhanced"];
    noisy.resize(16000 + 2 * kGtcrnFft);
    expected.resize(16000);
    const testing::TempFolder folder;
    WriteExact(folder / "noisy.wav", noisy, 1, 16000);
    RunOnTheDevice(folder, {"denoise", "noisy.wav", "--model", SharedPath("goldens/gtcrn/gtcrn-" + weights + ".tar"),
                            "--output", "out"});
    EXPECT_GE(testing::Agreement(expected, ReadExact(folder / "out/noisy.wav", expected.size())), kFloorDb) << weights;
  }
}

TEST(VulkanModels, HtdemucsFourStemsThroughTheProgram) {
  TIMBRE_NEED_VULKAN();
  TIMBRE_NEED_SHARED(SharedPath("goldens/htdemucs"));
  CheckProgram("htdemucs-tiny.short", "htdemucs-tiny-b9c4b409.th", {"--no-normalise"});
  if (LongTilesAreAsked()) CheckProgram("htdemucs-tiny.track", "htdemucs-tiny-b9c4b409.th", {});
}

TEST(VulkanModels, HtdemucsSixStemsThroughTheProgram) {
  TIMBRE_NEED_VULKAN();
  TIMBRE_NEED_SHARED(SharedPath("goldens/htdemucs"));
  if (!LongTilesAreAsked()) GTEST_SKIP() << "too long for a software driver; ./dev sweep runs it";
  CheckProgram("htdemucs6s-tiny.short", "htdemucs6s-tiny-155ea895.th", {"--no-normalise"});
  CheckProgram("htdemucs6s-tiny.track", "htdemucs6s-tiny-155ea895.th", {});
}

}  // namespace
}  // namespace timbre
