// MDX-Net held against what UVR's code makes of the same ONNX file and input: a chunk, and tracks through the program.
#include "models/separate/mdxnet.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>

#include "base/mapped_file.h"
#include "dsp/fft.h"
#include "dsp/overlap_add.h"
#include "dsp/window.h"
#include "models/loader.h"
#include "tests/parity/separator_support.h"
#include "tests/support/golden.h"
#include "tests/support/onnx_writer.h"
#include "tests/support/small_mdxnet.h"

namespace timbre {
namespace {

namespace fs = std::filesystem;
using testing::kMdxnetBins;
using testing::kMdxnetFrames;
using testing::MdxnetNoise;
using testing::OnnxWriter;
using testing::RatioDb;
using testing::SharedPath;
using testing::SmallMdxnet;
using testing::SmallMdxnetParts;
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
  const TempFolder folder;
  fs::copy_file(SharedPath(kNetwork), folder / "tiny.onnx");
  testing::WriteExact(folder / "mix.wav", mix);
  const std::vector<std::string> words = {"separate", "mix.wav",      "--model",         "tiny.onnx", "-o",     ".",
                                          "--name",   "{stem}.{ext}", "--sample-format", "f32",       "--clip", "none",
                                          "--device", "cpu"};
  const testing::Ran unknown = testing::RunTimbre(words, folder.path());
  EXPECT_EQ(unknown.code, 1);
  EXPECT_NE(unknown.err.find("tiny.model_data.json"), std::string::npos) << unknown.err;
  // Said by options, it needs no file, and comes before one.
  std::vector<std::string> said = words;
  said.insert(said.end(), {"--n-fft", "2048", "--compensate", "1.035", "--primary-stem", "Drums", "--mdx-denoise"});
  const testing::Ran told = testing::RunTimbre(said, folder.path());
  ASSERT_EQ(told.code, 0) << told.err;
  EXPECT_TRUE(fs::exists(folder / "No Drums.wav"));
  EXPECT_GE(RatioDb(Values(*file, "denoise.primary"), testing::ReadExact(folder / "Drums.wav")), kFloorDb);
  fs::copy_file(SharedPath("goldens/separators/mdxnet-tiny.model_data.json"), folder / "tiny.model_data.json");
  const testing::Ran ran = testing::RunTimbre(words, folder.path());
  ASSERT_EQ(ran.code, 0) << ran.err;
  std::vector<float> sum = testing::ReadExact(folder / "Vocals.wav");
  const std::vector<float> rest = testing::ReadExact(folder / "Instrumental.wav");
  const double ratio = RatioDb(Values(*file, "overlap.primary"), sum);
  std::printf("  program %.1f dB\n", ratio);
  EXPECT_GE(ratio, kFloorDb);
  ASSERT_EQ(rest.size(), sum.size());
  for (size_t i = 0; i < sum.size(); ++i) sum[i] += rest[i];
  EXPECT_GE(RatioDb(mix, sum), 120);
}

// A mean of several models takes the options for the MDX-Nets among them, and says so where one is none.
TEST(Mdxnet, OptionsOfOthersAreRefused) {
  const TempFolder folder;
  testing::WriteExact(folder / "mix.wav", std::vector<float>(8820));
  for (const std::vector<std::string>& option : {std::vector<std::string>{"--n-fft", "6144"},
                                                 {"--compensate", "1"},
                                                 {"--primary-stem", "Bass"},
                                                 {"--mdx-denoise"}}) {
    std::vector<std::string> words = {"separate", "mix.wav", "--model", "hpss", "-o", "."};
    words.insert(words.end(), option.begin(), option.end());
    const testing::Ran ran = testing::RunTimbre(words, folder.path());
    EXPECT_NE(ran.code, 0) << option.front();
    EXPECT_NE(ran.err.find("of MDX-Nets alone"), std::string::npos) << ran.err;
    EXPECT_FALSE(fs::exists(folder / "mix-harmonic.wav"));
  }
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

// What the nodes of that graph mean, as loops; spectra [features][frames][bins].
using Planes = std::vector<std::vector<double>>;

void NormRelu(const SmallMdxnetParts& p, bool grouped, Planes& x) {
  for (size_t c = 0; c < x.size(); ++c) {
    double mean = p.mean[c], variance = p.variance[c], eps = p.eps;
    if (grouped) {  // each channel is a group
      mean = variance = 0, eps = 1e-5;
      for (const double v : x[c]) mean += v / static_cast<double>(x[c].size());
      for (const double v : x[c]) variance += (v - mean) * (v - mean) / static_cast<double>(x[c].size());
    }
    for (double& v : x[c]) v = std::max(0.0, (v - mean) / std::sqrt(variance + eps) * p.gamma[c] + p.beta[c]);
  }
}

// `weights` [out, in, 2 reach + 1, 2 reach + 1].
Planes Convolved(const std::vector<float>& weights, const std::vector<float>& bias, const Planes& x, size_t out,
                 int reach) {
  Planes y(out, std::vector<double>(kMdxnetFrames * kMdxnetBins));
  for (size_t o = 0; o < out; ++o) {
    for (int t = 0; t < kMdxnetFrames; ++t) {
      for (int f = 0; f < kMdxnetBins; ++f) {
        double sum = bias.empty() ? 0 : bias[o];
        size_t w = o * x.size() * static_cast<size_t>((2 * reach + 1) * (2 * reach + 1));
        for (const std::vector<double>& plane : x) {
          for (int i = t - reach; i <= t + reach; ++i) {
            for (int j = f - reach; j <= f + reach; ++j, ++w) {
              if (i >= 0 && i < kMdxnetFrames && j >= 0 && j < kMdxnetBins)
                sum += weights[w] * plane[i * kMdxnetBins + j];
            }
          }
        }
        y[o][t * kMdxnetBins + f] = sum;
      }
    }
  }
  return y;
}

Planes NetworkByLoops(bool grouped, const Planes& spectrum) {
  const SmallMdxnetParts p;
  Planes x = Convolved(p.first, p.first_bias, spectrum, 2, 0);
  NormRelu(p, grouped, x);
  x = Convolved(p.tfc, {}, x, 2, 1);
  NormRelu(p, grouped, x);
  Planes y = x;
  for (size_t c = 0; c < 2; ++c) {
    for (int t = 0; t < kMdxnetFrames; ++t) {
      for (int o = 0; o < kMdxnetBins; ++o) {
        double sum = p.linear_bias[o];
        for (int i = 0; i < kMdxnetBins; ++i) sum += p.linear[o * kMdxnetBins + i] * x[c][t * kMdxnetBins + i];
        y[c][t * kMdxnetBins + o] = sum;
      }
    }
  }
  NormRelu(p, grouped, y);
  for (size_t c = 0; c < 2; ++c) {
    for (size_t i = 0; i < y[c].size(); ++i) y[c][i] += x[c][i];
  }
  return Convolved(p.last, {}, y, 4, 0);
}

// The stem of a tile of four frames, [samples, 2]: transformed, through the network but for the three lowest bins, and
// back.
std::vector<float> StemByLoops(bool grouped, const std::vector<float>& mix, int n_fft) {
  const int samples = static_cast<int>(mix.size()) / 2, half = n_fft / 2;
  const auto fft = RealFft::Create(static_cast<size_t>(n_fft));
  EXPECT_TRUE(fft);
  const std::vector<float> window = MakeWindow(WindowKind::kHann, static_cast<size_t>(n_fft));
  std::vector<float> frame(n_fft), bins(n_fft + 2), scratch(fft->ScratchFloats());
  Planes spectrum(4, std::vector<double>(kMdxnetFrames * kMdxnetBins));
  for (int t = 0; t < kMdxnetFrames; ++t) {
    for (int c = 0; c < 2; ++c) {
      for (int i = 0; i < n_fft; ++i) {
        int at = std::abs(t * kMdxnetHop + i - half);
        if (at >= samples) at = 2 * (samples - 1) - at;
        frame[i] = mix[2 * at + c] * window[i];
      }
      fft->Forward(frame.data(), bins.data(), scratch.data());
      for (int k = 3; k < kMdxnetBins; ++k) {
        for (int part = 0; part < 2; ++part) spectrum[2 * c + part][t * kMdxnetBins + k] = bins[2 * k + part];
      }
    }
  }
  const Planes made = NetworkByLoops(grouped, spectrum);
  std::vector<double> sum(2 * (samples + n_fft)), windows(samples + n_fft);
  for (int t = 0; t < kMdxnetFrames; ++t) {
    for (int c = 0; c < 2; ++c) {
      std::fill(bins.begin(), bins.end(), 0.0f);
      for (int k = 0; k < kMdxnetBins; ++k) {
        for (int part = 0; part < 2; ++part) {
          bins[2 * k + part] = static_cast<float>(made[2 * c + part][t * kMdxnetBins + k]);
        }
      }
      fft->Inverse(bins.data(), frame.data(), scratch.data());
      for (int i = 0; i < n_fft; ++i) {
        sum[2 * (t * kMdxnetHop + i) + c] += frame[i] * window[i];
        if (c == 0) windows[t * kMdxnetHop + i] += window[i] * window[i];
      }
    }
  }
  std::vector<float> stem(mix.size());
  for (size_t i = 0; i < stem.size(); ++i) {
    stem[i] = static_cast<float>(sum[i + 2 * half] / windows[i / 2 + static_cast<size_t>(half)]);
  }
  return stem;
}

TEST(Mdxnet, ComputesWhatExportersWrite) {
  const std::vector<float> mix = MdxnetNoise(7, size_t{2} * 3 * kMdxnetHop);
  for (const bool grouped : {false, true}) {
    const auto graph = ReadOnnx(SharedBytes::Own(SmallMdxnet(grouped).Build()));
    ASSERT_TRUE(graph) << graph.error().message;
    auto weights = std::make_shared<TensorMap>();
    auto options = MdxnetFromOnnx(*graph, weights.get());
    ASSERT_TRUE(options) << options.error().message;
    EXPECT_EQ(options->levels, 0);
    EXPECT_EQ(options->hidden, std::vector<int>{0});
    options->n_fft = 2048;
    auto built = BuildMdxnet(*options, *WeightsFromMap(weights), 3 * kMdxnetHop, 1);
    ASSERT_TRUE(built) << built.error().message;
    const std::vector<float> stems = RunTile(*std::move(built), mix);
    std::vector<float> stem;
    for (size_t i = 0; i < stems.size(); i += 4) stem.insert(stem.end(), {stems[i], stems[i + 1]});
    EXPECT_GE(RatioDb(StemByLoops(grouped, mix, 2048), stem), kFloorDb) << grouped;
  }
}

TEST(Mdxnet, RefusesOtherNetworksByTheirNode) {
  const auto refused = [](const OnnxWriter& writer, const std::string& words) {
    const auto graph = ReadOnnx(SharedBytes::Own(writer.Build()));
    ASSERT_TRUE(graph) << graph.error().message;
    TensorMap ignored;
    const auto options = MdxnetFromOnnx(*graph, &ignored);
    ASSERT_FALSE(options) << words;
    EXPECT_EQ(options.error().code, ErrorCode::kUnsupported);
    EXPECT_NE(options.error().message.find(words), std::string::npos) << options.error().message;
  };
  refused(SmallMdxnet(false, "LayerNormalization"), "its node 2, a 'LayerNormalization'");
  refused(SmallMdxnet(true, "", 0.5f), "a norm that scales its groups");
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
