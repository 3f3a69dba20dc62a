#include "models/separate/htdemucs.h"

#include <gtest/gtest.h>

#include "formats/checkpoint.h"
#include "runtime/session/session.h"

namespace timbre {
namespace {

// A dict of options as a package holds it.
class Options {
 public:
  Options& Int(const std::string& name, int64_t value) {
    return Add(name, {.kind = PickleKind::kInt, .integer = value});
  }
  Options& Bool(const std::string& name, bool value) {
    return Add(name, {.kind = PickleKind::kBool, .integer = value});
  }
  Options& None(const std::string& name) { return Add(name, {}); }
  Options& Number(const std::string& name, double value) {
    PickleNode node{.kind = PickleKind::kDouble};
    node.real = value;
    return Add(name, node);
  }
  Options& Text(const std::string& name, const std::string& value) {
    return Add(name, {.kind = PickleKind::kString, .text = value});
  }
  Options& List(const std::string& name, const std::vector<std::string>& values) {
    PickleNode list{.kind = PickleKind::kList};
    for (const std::string& value : values) list.items.push_back(Node({.kind = PickleKind::kString, .text = value}));
    return Add(name, list);
  }
  Result<HtdemucsOptions> Read() {
    const uint32_t dict = Node({.kind = PickleKind::kDict, .items = pairs_}), args = Node({.kind = PickleKind::kTuple});
    const auto tree = std::make_shared<const PickleTree>(tree_);
    return ReadHtdemucsOptions({klass, {tree, args}, {tree, dict}, nullptr});
  }
  std::string klass = "demucs.htdemucs.HTDemucs";

 private:
  uint32_t Node(PickleNode node) {
    tree_.nodes.push_back(std::move(node));
    return static_cast<uint32_t>(tree_.nodes.size() - 1);
  }
  Options& Add(const std::string& name, PickleNode value) {
    pairs_.push_back(Node({.kind = PickleKind::kString, .text = name}));
    pairs_.push_back(Node(std::move(value)));
    return *this;
  }
  PickleTree tree_;
  std::vector<uint32_t> pairs_;
};

Options FourStems() { return Options().List("sources", {"drums", "bass", "other", "vocals"}); }

TEST(HtdemucsOptions, AreReadByName) {
  const auto o = FourStems()
                     .Int("channels", 24)
                     .Bool("use_train_segment", false)
                     .Number("segment", 7.8)
                     .Bool("t_norm_in_group", true)
                     .None("channels_time")
                     .List("multi_freqs", {})
                     .Text("t_emb", "sin")
                     .Number("t_dropout", 0.02)
                     .None("t_lr")
                     .Read();
  ASSERT_TRUE(o) << o.error().message;
  EXPECT_EQ(o->channels, 24);
  EXPECT_FALSE(o->use_train_segment);
  EXPECT_EQ(o->training_samples(), 343980);
  EXPECT_EQ(o->t_norm_in_group, 1);
  EXPECT_EQ(o->bottom_channels, 0);  // the constructor's default
}

TEST(HtdemucsOptions, ThatAreNotSupportedAreNamed) {
  const auto expect = [](Result<HtdemucsOptions> o, const std::string& words) {
    ASSERT_FALSE(o) << words;
    EXPECT_NE(o.error().message.find(words), std::string::npos) << o.error().message;
  };
  expect(FourStems().Text("t_emb", "cape").Read(), "'t_emb'");
  expect(FourStems().Bool("t_sparse_self_attn", true).Read(), "'t_sparse_self_attn'");
  expect(FourStems().Bool("cac", false).Read(), "'cac'");
  expect(FourStems().Int("wiener_iters", 2).Read(), "'wiener_iters'");
  expect(FourStems().List("multi_freqs", {"a"}).Read(), "'multi_freqs'");
  expect(FourStems().Int("surprise", 1).Read(), "'surprise'");
  expect(FourStems().Text("channels", "48").Read(), "'channels'");
  expect(FourStems().Int("channels", 1 << 20).Read(), "'channels'");
  expect(FourStems().Int("depth", 6).Read(), "depth");
  expect(FourStems().Int("t_heads", 7).Read(), "heads");
  expect(FourStems().Int("kernel_size", 6).Read(), "kernel_size");
  expect(Options().Int("channels", 48).Read(), "which stems");
  // Little in the file, terabytes in memory.
  expect(FourStems().Int("nfft", 64).Int("depth", 1).Int("bottom_channels", 8192).Number("segment", 120).Read(),
         "gigabyte");
  Options other = FourStems();
  other.klass = "demucs.hdemucs.HDemucs";
  expect(other.Read(), "demucs.hdemucs.HDemucs");
}

TEST(HtdemucsGraph, OfTheReleasedShapeCostsWhatItShould) {
  const HtdemucsOptions o = HtdemucsOptions::Released();
  const auto weights = RandomWeights(1);
  const auto graph = BuildHtdemucs(o, *weights, o.training_samples(), 1);
  ASSERT_TRUE(graph) << graph.error().message;
  EXPECT_EQ(graph->shape(graph->outputs[0].tensor), (Shape{1, 343980, 8}));
  int64_t parameters = 0;
  for (const TensorInfo& t : graph->tensors) {
    const bool table = t.name == "window" || t.name == "positions" || t.name == "plane_positions";
    if (t.kind == TensorKind::kConstant && !table) parameters += t.shape.elements();
  }
  EXPECT_EQ(parameters, 41984456);  // of the released checkpoint
  EXPECT_NEAR(FlopsOf(*graph) / 1e9, 337, 3);
}

TEST(HtdemucsGraph, NamesTheWeightThatIsMissing) {
  const HtdemucsOptions o = HtdemucsOptions::Released();
  const auto weights = WeightsFromMap(std::make_shared<const TensorMap>());
  const auto graph = BuildHtdemucs(o, *weights, o.training_samples(), 1);
  ASSERT_FALSE(graph);
  EXPECT_NE(graph.error().message.find("encoder.0.conv.weight"), std::string::npos) << graph.error().message;
}

HtdemucsOptions Tiny() {
  HtdemucsOptions o;
  o.sources = {"a", "b"};
  o.channels = 8;
  o.dconv_mode = 3;
  o.t_layers = 2;
  o.nfft = 1024;
  o.depth = 3;
  o.samplerate = 8000;
  o.segment = 1;
  return o;
}

std::vector<float> RunOn(const HtdemucsOptions& o, int64_t tile, int batch, const std::vector<float>& mix) {
  const auto weights = RandomWeights(7);
  auto graph = BuildHtdemucs(o, *weights, tile, batch);
  EXPECT_TRUE(graph) << graph.error().message;
  ThreadPool pool(2);
  std::vector<float> out(graph->shape(graph->outputs[0].tensor).elements());
  auto session = MakeSession(*std::move(graph), {.device = "cpu"}, pool, nullptr);
  EXPECT_TRUE(session) << session.error().message;
  const float* in = mix.data();
  float* to = out.data();
  EXPECT_TRUE((*session)->Run({&in, 1}, {&to, 1}));
  return out;
}

std::vector<float> Noise(int64_t count) {
  std::vector<float> x(count);
  for (int64_t i = 0; i < count; ++i) x[i] = FormulaValue(42, i, -0.5f, 1.0f);
  return x;
}

// A shorter tile is the whole one with zeros behind it, where the network is always to see its training length.
TEST(HtdemucsGraph, PadsShortTilesToTheTrainingLength) {
  const HtdemucsOptions o = Tiny();
  std::vector<float> mix = Noise(2 * 5000);
  const std::vector<float> cut = RunOn(o, 5000, 1, mix);
  mix.resize(2 * 8000, 0.0f);
  std::vector<float> whole = RunOn(o, 8000, 1, mix);
  whole.resize(cut.size());
  EXPECT_EQ(cut, whole);
}

TEST(HtdemucsGraph, TilesOfABatchAreIndependent) {
  const HtdemucsOptions o = Tiny();
  const std::vector<float> mix = Noise(2 * 2 * 8000);
  const std::vector<float> both = RunOn(o, 8000, 2, mix);
  for (int b = 0; b < 2; ++b) {
    const std::vector<float> one = RunOn(o, 8000, 1, {mix.begin() + b * 16000, mix.begin() + (b + 1) * 16000});
    for (size_t i = 0; i < one.size(); ++i) ASSERT_NEAR(one[i], both[b * one.size() + i], 1e-4f) << b << " " << i;
  }
}

// Options that the released networks leave at their defaults still build networks that run.
TEST(HtdemucsGraph, RunsWithTheOtherOptions) {
  for (int variant = 0; variant < 6; ++variant) {
    HtdemucsOptions o = Tiny();
    if (variant == 0) o.norm_starts = 1;
    if (variant == 1) o.t_norm_first = false;
    if (variant == 2) o.t_cross_first = true, o.t_group_norm = 1, o.t_norm_in = false, o.t_norm_in_group = 1;
    if (variant == 3) o.rewrite = false, o.dconv_mode = 0, o.freq_emb = 0;
    if (variant == 4) o.t_layers = 0, o.context = 0, o.context_enc = 1;
    if (variant == 5) o.use_train_segment = false, o.bottom_channels = 48, o.t_gelu = false, o.t_layer_scale = false;
    const std::vector<float> out = RunOn(o, 6001, 1, Noise(2 * 6001));
    ASSERT_EQ(out.size(), 4u * 6001);
    double energy = 0;
    for (const float x : out) energy += x * x;
    EXPECT_TRUE(energy > 0 && energy < 1e12) << variant;
  }
}

}  // namespace
}  // namespace timbre
