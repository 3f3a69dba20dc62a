// MDX-Net held against what UVR's code makes of the same ONNX file and input: a chunk, and tracks through the program.
#include "models/separate/mdxnet.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "audio/decode.h"
#include "audio/encode.h"
#include "base/mapped_file.h"
#include "dsp/overlap_add.h"
#include "models/loader.h"
#include "runtime/session/session.h"
#include "tests/e2e/program.h"
#include "tests/support/golden.h"
#include "tests/support/onnx_writer.h"

namespace timbre {
namespace {

namespace fs = std::filesystem;
using testing::OnnxWriter;
using testing::RatioDb;
using testing::SharedPath;
using testing::TempFolder;
using testing::Transposed;
using testing::Values;

constexpr double kFloorDb = 100;

const std::string kNetwork = "goldens/separators/mdxnet-tiny.onnx";

struct Tiny {
  MdxnetOptions options;
  std::shared_ptr<const TensorMap> weights;
};

// The network, and what its case's metadata says of it.
Tiny ReadTiny() {
  Tiny tiny;
  const auto bytes = MapFile(SharedPath(kNetwork));
  const auto graph = ReadOnnx(*bytes);
  EXPECT_TRUE(graph) << graph.error().message;
  auto weights = std::make_shared<TensorMap>();
  auto options = MdxnetFromOnnx(*graph, weights.get());
  EXPECT_TRUE(options) << options.error().message;
  if (options) tiny.options = *std::move(options);
  tiny.options.n_fft = 2048;
  tiny.options.compensate = 1.035;
  tiny.weights = std::move(weights);
  return tiny;
}

std::vector<float> RunTile(Graph graph, const std::vector<float>& mix) {
  ThreadPool pool;
  auto session = MakeSession(std::move(graph), {.device = "cpu"}, pool, nullptr);
  EXPECT_TRUE(session) << session.error().message;
  if (!session) return {};
  std::vector<float> out(2 * mix.size());
  const float* const inputs[] = {mix.data()};
  float* const outputs[] = {out.data()};
  const Status ran = (*session)->Run(inputs, outputs);
  EXPECT_TRUE(ran) << ran.error().message;
  return out;
}

// The plan's tiles through the network; the stem alone, [2, samples].
std::vector<float> RunTrack(const Tiny& tiny, const std::vector<float>& mix) {
  const auto model = MakeMdxnet(tiny.options, tiny.weights);
  EXPECT_TRUE(model) << model.error().message;
  const int64_t samples = static_cast<int64_t>(mix.size()) / 2;
  const std::vector<float> signal = Transposed(mix, 2, samples);
  const auto plan = (*model)->Plan(samples, {});
  EXPECT_TRUE(plan) << plan.error().message;
  OverlapAdd sum(*plan, 4);
  std::vector<float> input(plan->tile * 2), finished;
  for (const Tile& tile : plan->tiles) {
    GatherTile(*plan, tile, signal.data(), 0, 2, input.data());
    auto graph = (*model)->BuildTile(plan->tile, 1);
    EXPECT_TRUE(graph) << graph.error().message;
    const Status added = sum.Add(RunTile(*std::move(graph), input).data(), &finished);
    EXPECT_TRUE(added) << added.error().message;
  }
  std::vector<float> stems = Transposed(finished, samples, 4);
  stems.resize(mix.size());
  return stems;
}

TEST(MdxnetParity, Chunk) {
  TIMBRE_NEED_SHARED(SharedPath(kNetwork));
  const auto file = ReadSafetensors(SharedPath("goldens/separators/mdxnet-tiny.chunk.safetensors"));
  ASSERT_TRUE(file) << file.error().message;
  Tiny tiny = ReadTiny();
  EXPECT_EQ(tiny.options.bins, 384);
  EXPECT_EQ(tiny.options.frames, 32);
  EXPECT_EQ(tiny.options.channels, 8);
  EXPECT_EQ(tiny.options.levels, 2);
  EXPECT_EQ(tiny.options.convolutions, 2);
  EXPECT_EQ(tiny.options.hidden, (std::vector<int>{48, 24, 12, 24, 48}));
  tiny.options.compensate = 1;
  const std::vector<float> mix = Values(*file, "mix");
  const int64_t samples = static_cast<int64_t>(mix.size()) / 2;
  const auto weights = WeightsFromMap(tiny.weights);
  auto graph = BuildMdxnet(tiny.options, *weights, samples, 1);
  ASSERT_TRUE(graph) << graph.error().message;
  std::vector<float> stems = Transposed(RunTile(*std::move(graph), Transposed(mix, 2, samples)), samples, 4);
  stems.resize(mix.size());
  const double ratio = RatioDb(Values(*file, "stem"), stems);
  std::printf("  chunk %.1f dB\n", ratio);
  EXPECT_GE(ratio, kFloorDb);
}

TEST(MdxnetParity, Tracks) {
  TIMBRE_NEED_SHARED(SharedPath(kNetwork));
  const auto file = ReadSafetensors(SharedPath("goldens/separators/mdxnet-tiny.track.safetensors"));
  ASSERT_TRUE(file) << file.error().message;
  const std::vector<float> mix = Values(*file, "mix");
  for (const std::string name : {"overlap", "default", "denoise"}) {
    Tiny tiny = ReadTiny();
    tiny.options.denoise = name == "denoise";
    if (name == "default") tiny.options.overlap = -1;
    const double ratio = RatioDb(Values(*file, name + ".primary"), RunTrack(tiny, mix));
    std::printf("  %s %.1f dB\n", name.c_str(), ratio);
    EXPECT_GE(ratio, kFloorDb) << name;
  }
}

// Through the program: what the tables would say lies beside the file, and is needed.
TEST(MdxnetParity, ThroughTheProgram) {
  TIMBRE_NEED_SHARED(SharedPath(kNetwork));
  const auto file = ReadSafetensors(SharedPath("goldens/separators/mdxnet-tiny.track.safetensors"));
  ASSERT_TRUE(file) << file.error().message;
  const std::vector<float> mix = Values(*file, "mix");
  const int64_t samples = static_cast<int64_t>(mix.size()) / 2;
  const TempFolder folder;
  fs::copy_file(SharedPath(kNetwork), folder / "tiny.onnx");
  const WriteOptions exact{.format = FileFormat::kWav, .sample_format = SampleFormat::kF32, .clip = ClipMode::kNone};
  auto writer = AudioWriter::Create(folder / "mix.wav", exact, 44100, 2);
  ASSERT_TRUE(writer && (*writer)->Write(Transposed(mix, 2, samples).data(), samples) && (*writer)->Finish());
  const std::vector<std::string> words = {"separate", "mix.wav",      "--model",         "tiny.onnx", "-o",     ".",
                                          "--name",   "{stem}.{ext}", "--sample-format", "f32",       "--clip", "none",
                                          "--device", "cpu"};
  const testing::Ran unknown = testing::RunTimbre(words, folder.path());
  EXPECT_EQ(unknown.code, 1);
  EXPECT_NE(unknown.err.find("tiny.model_data.json"), std::string::npos) << unknown.err;
  fs::copy_file(SharedPath("goldens/separators/mdxnet-tiny.model_data.json"), folder / "tiny.model_data.json");
  const testing::Ran ran = testing::RunTimbre(words, folder.path());
  ASSERT_EQ(ran.code, 0) << ran.err;
  const auto stem = ReadAudioFile(folder / "Vocals.wav", 1 << 24);
  const auto rest = ReadAudioFile(folder / "Instrumental.wav", 1 << 24);
  ASSERT_TRUE(stem && rest);
  const double ratio = RatioDb(Values(*file, "overlap.primary"), Transposed(stem->samples, samples, 2));
  std::printf("  program %.1f dB\n", ratio);
  EXPECT_GE(ratio, kFloorDb);
  std::vector<float> sum = stem->samples;
  for (size_t i = 0; i < sum.size(); ++i) sum[i] += rest->samples[i];
  EXPECT_GE(RatioDb(mix, Transposed(sum, samples, 2)), 120);
}

TEST(Mdxnet, PlansCoverEveryLength) {
  MdxnetOptions options{
      .bins = 16, .frames = 8, .channels = 1, .levels = 1, .convolutions = 1, .hidden = {-1, -1, -1}, .n_fft = 2048};
  for (const double overlap : {-1.0, 0.0, 0.25, 0.9}) {
    options.overlap = overlap;
    const auto model = MakeMdxnet(options, std::make_shared<const TensorMap>());
    ASSERT_TRUE(model) << model.error().message;
    for (const int64_t length : {1, 1000, 5119, 5120, 5121, 7167, 7168, 7169, 30000}) {
      const auto plan = (*model)->Plan(length, {});
      ASSERT_TRUE(plan);
      std::vector<float> signal(length, 1.0f), input(plan->tile), finished;
      OverlapAdd sum(*plan, 1);
      for (const Tile& tile : plan->tiles) {
        GatherTile(*plan, tile, signal.data(), 0, 1, input.data());
        const Status added = sum.Add(input.data(), &finished);
        ASSERT_TRUE(added) << length << ": " << added.error().message;
      }
      ASSERT_EQ(static_cast<int64_t>(finished.size()), length);
      for (const float value : finished) ASSERT_NEAR(value, 1.0f, 1e-5f) << length;
    }
  }
}

TEST(Mdxnet, TheTableKnowsPublishedFiles) {
  const MdxnetRow* row = FindMdxnetRow("cb790d0c913647ced70fc6b38f5bea1a");
  ASSERT_NE(row, nullptr);
  EXPECT_EQ(row->n_fft, 5120);
  EXPECT_EQ(RestOf(std::string(row->stem)), "Vocals");
  EXPECT_EQ(FindMdxnetRow(""), nullptr);
  EXPECT_EQ(RestOf("Reverb"), "No Reverb");
}

// Smaller forms that exporters write: norms left unfolded, matrices transposed by a node, norms in groups, halves.
OnnxWriter Network(bool grouped, const std::string& odd = "") {
  OnnxWriter writer;
  writer.Input("x", {-1, 4, 8, 4}).Output("y");
  writer.Tensor("w1", {2, 4, 1, 1}, std::vector<float>(8, 0.5f)).Tensor("w2", {2, 2, 3, 3}, std::vector<float>(36, 1));
  writer.Tensor("m", {8, 8}, std::vector<float>(64, 0.25f)).Tensor("w3", {4, 2, 1, 1}, std::vector<float>(8, 1));
  writer.Tensor("v", {2}, {1, 2}).Tensor("g", {2, 1, 1}, {1, 2}).Tensor("ones", {2}, {1, 1});
  writer.Tensor("shape", {3}, {0, 2, -1}).Tensor("b8", {8}, std::vector<float>(8, 0));
  const std::string norm = odd.empty() ? "BatchNormalization" : odd;
  const auto normed = [&](const std::string& from, const std::string& to) {
    if (grouped) {
      writer.Node("Reshape", {from, "shape"}, {to + "a"})
          .Node("InstanceNormalization", {to + "a", "ones", "ones"}, {to + "b"});
      writer.Node("Shape", {from}, {to + "s"}).Node("Reshape", {to + "b", to + "s"}, {to + "c"});
      writer.Node("Mul", {to + "c", "g"}, {to + "d"}).Node("Add", {to + "d", "g"}, {to + "n"});
    } else {
      writer.Node(norm, {from, "v", "v", "v", "v"}, {to + "n"}, {OnnxWriter::FloatOf("epsilon", 1e-3f)});
    }
    writer.Node("Relu", {to + "n"}, {to});
  };
  writer.Node("Cast", {"x"}, {"x16"}).Node("Conv", {"x16", "w1", "v"}, {"c1"});
  normed("c1", "r1");
  writer.Node("Transpose", {"r1"}, {"t1"}, {OnnxWriter::IntsOf("perm", {0, 1, 3, 2})});
  writer.Node("Conv", {"t1", "w2"}, {"c2"}, {OnnxWriter::IntsOf("pads", {1, 1, 1, 1})});
  normed("c2", "r2");
  writer.Node("Transpose", {"m"}, {"mt"}, {OnnxWriter::IntsOf("perm", {1, 0})});
  writer.Node("MatMul", {"r2", "mt"}, {"l"}).Node("Add", {"b8", "l"}, {"lb"});
  normed("lb", "r3");
  writer.Node("Add", {"r2", "r3"}, {"s"});
  writer.Node("Transpose", {"s"}, {"t2"}, {OnnxWriter::IntsOf("perm", {0, 1, 3, 2})});
  writer.Node("Conv", {"t2", "w3"}, {"y"});
  return writer;
}

TEST(Mdxnet, RecognisesWhatExportersWrite) {
  for (const bool grouped : {false, true}) {
    const auto graph = ReadOnnx(SharedBytes::Own(Network(grouped).Build()));
    ASSERT_TRUE(graph) << graph.error().message;
    auto weights = std::make_shared<TensorMap>();
    auto options = MdxnetFromOnnx(*graph, weights.get());
    ASSERT_TRUE(options) << options.error().message;
    EXPECT_EQ(options->levels, 0);
    EXPECT_EQ(options->hidden, std::vector<int>{0});
    options->n_fft = 2048;
    const auto given = WeightsFromMap(weights);
    const auto built = BuildMdxnet(*options, *given, 3072, 1);
    EXPECT_TRUE(built) << built.error().message;
  }
  const auto odd = ReadOnnx(SharedBytes::Own(Network(false, "LayerNormalization").Build()));
  TensorMap ignored;
  const auto refused = MdxnetFromOnnx(*odd, &ignored);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kUnsupported);
  EXPECT_NE(refused.error().message.find("its node 2, a 'LayerNormalization'"), std::string::npos)
      << refused.error().message;
}

TEST(Mdxnet, DataIsReadAndBounded) {
  MdxnetOptions options;
  ASSERT_TRUE(
      ReadMdxnetData(R"({"mdx_n_fft_scale_set": 6144, "compensate": 1.02, "primary_stem": "Drums"})", "x", &options));
  EXPECT_EQ(options.n_fft, 6144);
  EXPECT_EQ(options.stem, "Drums");
  ASSERT_TRUE(ReadMdxnetData("x: {mdx_n_fft_scale_set: 4096}", "x", &options));
  EXPECT_EQ(options.n_fft, 4096);
  for (const std::string bad :
       {"", "[1]", "{}", "y: {mdx_n_fft_scale_set: 1}", "mdx_n_fft_scale_set: x", "{{", "x: 3"}) {
    EXPECT_FALSE(ReadMdxnetData(bad, "x", &options)) << bad;
  }
}

}  // namespace
}  // namespace timbre
