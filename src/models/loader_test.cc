#include "models/loader.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>

#include "base/sha256.h"
#include "models/named_model.h"
#include "models/speech/speech.h"
#include "tests/parity/speech_support.h"
#include "tests/support/golden.h"
#include "tests/support/official_files.h"

namespace timbre {
namespace {

namespace fs = std::filesystem;
using testing::SharedPath;

const std::string kFour = "goldens/htdemucs/htdemucs-tiny-b9c4b409.th";
const std::string kSix = "goldens/htdemucs/htdemucs6s-tiny-155ea895.th";

class LoaderTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(::testing::TempDir()) /
              ("timbre_loader_" + std::string(::testing::UnitTest::GetInstance()->current_test_info()->name()));
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string Write(const std::string& name, const std::string& text) {
    std::ofstream(folder_ / name) << text;
    return folder_ / name;
  }
  void Link(const std::string& golden, const std::string& name) {
    fs::create_symlink(fs::absolute(SharedPath(golden)), folder_ / name);
  }
  static void ExpectError(const std::string& name, ErrorCode code, const std::string& words) {
    const auto model = LoadModel(name);
    ASSERT_FALSE(model) << name;
    EXPECT_EQ(model.error().code, code) << model.error().message;
    EXPECT_NE(model.error().message.find(words), std::string::npos) << model.error().message;
  }

  fs::path folder_;
};

TEST_F(LoaderTest, ReadsAPackage) {
  TIMBRE_NEED_SHARED(SharedPath(kSix));
  const auto model = LoadModel(SharedPath(kSix));
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ(model->name, "htdemucs6s-tiny-155ea895");
  EXPECT_EQ(model->info().stems, (std::vector<std::string>{"drums", "bass", "other", "vocals", "guitar", "piano"}));
  EXPECT_DOUBLE_EQ(model->info().segment, 39.0 / 20.0);
  const auto plan = model->members[0]->Plan(1000000, {});
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->tile, 85995);
}

TEST_F(LoaderTest, ReadsABag) {
  TIMBRE_NEED_SHARED(SharedPath(kFour));
  Link(kFour, "aaaa-b9c4b409.th");
  Link(kFour, "bbbb.th");
  const std::string bag =
      Write("bag.yaml", "models: ['aaaa', 'bbbb']\nweights: [[1., 0, 0, 1], [0, 1., 1., 1]]\nsegment: 44\n");
  const auto model = LoadModel(bag);
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ(model->name, "bag");
  EXPECT_EQ(model->members.size(), 2u);
  EXPECT_EQ(model->weights, (std::vector<std::vector<float>>{{1, 0, 0, 1}, {0, 1, 1, 1}}));
  EXPECT_EQ(model->segment, 44);
  const auto equal = LoadModel(Write("equal.yaml", "models: ['aaaa', 'bbbb']"));
  ASSERT_TRUE(equal) << equal.error().message;
  EXPECT_EQ(equal->weights, std::vector<std::vector<float>>(2, std::vector<float>(4, 1.0f)));
}

TEST_F(LoaderTest, RefusesBagsThatMakeNoSense) {
  TIMBRE_NEED_SHARED(SharedPath(kFour));
  Link(kFour, "aaaa.th");
  Link(kSix, "cccc.th");
  ExpectError(Write("a.yaml", "models: ['aaaa', 'cccc']"), ErrorCode::kCorrupt, "differ in stems");
  ExpectError(Write("b.yaml", "models: ['nope']"), ErrorCode::kNotFound, "'nope.th'");
  ExpectError(Write("c.yaml", "models: ['../aaaa']"), ErrorCode::kNotFound, "../aaaa");
  ExpectError(Write("d.yaml", "models: ['aaaa']\nweights: [[0, 1, 1, 1]]"), ErrorCode::kCorrupt, "'drums'");
  ExpectError(Write("e.yaml", "models: ['aaaa']\nweights: [[1, 1]]"), ErrorCode::kCorrupt, "weight for each stem");
  ExpectError(Write("f.yaml", "models: ['aaaa']\nweights: [[a]]"), ErrorCode::kCorrupt, "f.yaml");
  ExpectError(Write("g.yaml", "models: []"), ErrorCode::kUnsupported, "no bag");
  ExpectError(Write("h.yaml", "audio: {chunk_size: 3}"), ErrorCode::kUnsupported, "--model");
  ExpectError(Write("i.yaml", "models: ["), ErrorCode::kCorrupt, "i.yaml");
  ExpectError(Write("j.yaml", "models: ['aaaa']\nsegment: -1"), ErrorCode::kCorrupt, "segment");
}

// An HTDemucs as its trainers leave it: no more than weights, in whatever container, and a YAML file.
TEST_F(LoaderTest, ReadsAnHtdemucsFromEveryContainer) {
  const TensorMap weights = testing::FormulaWeights("htdemucs-small.weights.json");
  const auto expect = [&](const std::string& name) {
    const auto model = LoadModel(folder_ / name, {.config = Write("small.yaml", testing::kSmallHtdemucsYaml)});
    ASSERT_TRUE(model) << model.error().message;
    EXPECT_EQ(model->info().architecture, "htdemucs");
    EXPECT_EQ(model->info().stems, (std::vector<std::string>{"drums", "bass", "other", "vocals"}));
    EXPECT_EQ(model->info().segment, 1);
    EXPECT_FALSE(model->info().normalise);
    // As the trainer's program tiles: chunks every quarter, and zeros after the end.
    const auto plan = model->members[0]->Plan(100000, {});
    ASSERT_TRUE(plan);
    EXPECT_EQ(plan->tile, 44100);
    EXPECT_EQ(plan->tiles.size(), 10u);
    EXPECT_EQ(plan->tiles[1].begin, 11025);
    const auto graph = model->members[0]->BuildTile(44100, 1);
    EXPECT_TRUE(graph) << graph.error().message;
  };
  testing::WriteAll(folder_ / "bare.ckpt", testing::TorchFile(weights));
  expect("bare.ckpt");
  testing::WriteAll(folder_ / "nested.ckpt", testing::TorchFile(weights, {"model_state_dict"}));
  expect("nested.ckpt");
  for (const std::string prefix : {"", "model.", "module.", "_orig_mod.", "ema.", "module._orig_mod."}) {
    SCOPED_TRACE(prefix);
    ASSERT_TRUE(WriteSafetensors(folder_ / "named.safetensors", testing::Prefixed(weights, prefix)));
    expect("named.safetensors");
  }
}

TEST_F(LoaderTest, ReadsThePackageThatDemucsWouldWrite) {
  testing::WriteAll(folder_ / "small.th",
                    testing::SmallHtdemucsPackage(testing::FormulaWeights("htdemucs-small.weights.json")));
  const auto model = LoadModel(folder_ / "small.th");
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ(model->info().segment, 1);
  EXPECT_TRUE(model->info().normalise);
  const auto graph = model->members[0]->BuildTile(44100, 1);
  EXPECT_TRUE(graph) << graph.error().message;
  const auto twice = LoadModel(folder_ / "small.th", {.config = Write("small.yaml", testing::kSmallHtdemucsYaml)});
  ASSERT_FALSE(twice);
  EXPECT_NE(twice.error().message.find("leave --config out"), std::string::npos) << twice.error().message;
}

TEST_F(LoaderTest, AConfigurationThatNothingReadsIsRefused) {
  const fs::path folder = testing::DataPath("separators/spleeter-4stems-tiny");
  for (const fs::path& path : {folder, folder / "model.index"}) {
    ASSERT_TRUE(LoadModel(path)) << path;
    const auto model = LoadModel(path, {.config = folder / "base_config.json"});
    ASSERT_FALSE(model) << path;
    EXPECT_NE(model.error().message.find("leave --config out"), std::string::npos) << model.error().message;
  }
}

// In whatever container a weight lies: the file and the weight are named.
TEST_F(LoaderTest, WeightsThatNoNetworkComputesWithAreNamed) {
  const auto damaged = [](TensorMap weights, const std::string& name, float value) {
    std::vector<float> values = weights.at(name).ToF32();
    values[5] = value;
    weights.at(name) = HostTensor::FromF32(weights.at(name).shape, values);
    return weights;
  };
  const auto expect = [&](const std::string& name, const std::string& weight) {
    ExpectError(folder_ / name, ErrorCode::kCorrupt, name + ": the weight '" + weight + "'");
  };
  const std::string conv = "encoder.0.conv.weight", yaml = testing::kSmallHtdemucsYaml;
  const TensorMap demucs = testing::FormulaWeights("htdemucs-small.weights.json");
  testing::WriteAll(folder_ / "package.th", testing::SmallHtdemucsPackage(damaged(demucs, conv, NAN)));
  expect("package.th", conv);
  Write("trained.yaml", yaml);
  testing::WriteAll(folder_ / "trained.ckpt", testing::TorchFile(damaged(demucs, conv, 1e30f), {"state_dict"}));
  expect("trained.ckpt", conv);
  Write("plain.yaml", yaml);
  ASSERT_TRUE(WriteSafetensors(folder_ / "plain.safetensors", damaged(demucs, conv, -INFINITY)));
  expect("plain.safetensors", conv);

  const std::string erb = "enc.erb_conv0.1.weight", file = "DeepFilterNet3/checkpoints/model_120.ckpt.best";
  const std::string speech =
      testing::TorchFile(damaged(testing::FormulaWeights("deepfilternet/deepfilternet3-small.weights.json"), erb, NAN));
  testing::WriteAll(
      folder_ / "speech.zip",
      testing::BuildZip({{"DeepFilterNet3/config.ini", testing::kDeepFilterNetConfig, true}, {file, speech, true}}));
  fs::create_directories(folder_ / "DeepFilterNet3/checkpoints");
  Write("DeepFilterNet3/config.ini", testing::kDeepFilterNetConfig);
  testing::WriteAll(folder_ / file, speech);
  for (const std::string name : {"speech.zip", "DeepFilterNet3"}) {
    const auto model = LoadSpeechModel(folder_ / name);
    ASSERT_FALSE(model);
    EXPECT_EQ(model.error().code, ErrorCode::kCorrupt);
    const std::string where = folder_ / (name == "speech.zip" ? name : file);
    EXPECT_TRUE(model.error().message.starts_with(where + ": the weight '" + erb + "'")) << model.error().message;
  }
}

TEST_F(LoaderTest, ConfigurationsOfHtdemucsAreChecked) {
  testing::WriteAll(folder_ / "w.ckpt", testing::TorchFile(testing::FormulaWeights("htdemucs-small.weights.json")));
  const std::string weights = folder_ / "w.ckpt", good = testing::kSmallHtdemucsYaml;
  ExpectError(weights, ErrorCode::kUnsupported, "--config");  // nothing lies beside it
  const auto expect = [&](const std::string& from, const std::string& to, const std::string& words) {
    std::string text = good;
    text.replace(text.find(from), from.size(), to);
    const auto model = LoadModel(weights, {.config = Write("bad.yaml", text)});
    ASSERT_FALSE(model) << to;
    EXPECT_TRUE(model.error().message.starts_with(weights)) << model.error().message;
    EXPECT_NE(model.error().message.find(words), std::string::npos) << model.error().message;
  };
  expect("model: htdemucs", "model: hdemucs", "not of an HTDemucs");
  expect("model: htdemucs", "model: {a: b}", "not of an HTDemucs");
  expect("\ntraining:", "\nother:", "not of an HTDemucs");
  expect("  segment: 1\n", "", "training.segment");
  expect("  segment: 1\n", "  segment: long\n", "'segment'");
  expect("  nfft: 4096", "  nfft: 1e9", "'nfft'");
  expect("  t_emb: sin", "  t_emb: cape", "'t_emb'");
  expect("  growth: 2", "  surprise: 2", "'surprise'");
  expect("num_overlap: 4", "num_overlap: 0", "num_overlap");
  expect("'bass', 'other'", "'bass', 'bass'", "'bass' twice");
  expect("htdemucs:  #", "htdemucs: [", "not valid YAML");
  // The channels of sound are what the weights have, whatever stands there.
  std::string wide = good;
  wide.replace(wide.find("channels: 2"), 11, "channels: 8");
  const auto model = LoadModel(weights, {.config = Write("wide.yaml", wide)});
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ(model->info().channels, 2);
}

TEST_F(LoaderTest, NamesTheStemThatAConfigurationHasTwice) {
  testing::WriteAll(folder_ / "m.ckpt", testing::TorchFile(testing::FormulaWeights("mdx23c-small.weights.json")));
  std::string config = testing::ConfigOf("mdx23c-small.safetensors");
  config.replace(config.find("\"snare\""), 7, "\"kick\"");
  Write("m.yaml", config);
  ExpectError(folder_ / "m.ckpt", ErrorCode::kCorrupt, "'kick' twice");
}

TEST_F(LoaderTest, ChecksTheDigestInAPackagesName) {
  const std::string bytes = testing::SmallHtdemucsPackage(testing::FormulaWeights("htdemucs-small.weights.json"));
  testing::WriteAll(folder_ / "plain.th", bytes);
  const std::string digest = Sha256OfFile(folder_ / "plain.th").value().substr(0, 8);
  testing::WriteAll(folder_ / ("aaaa-" + digest + ".th"), bytes);
  EXPECT_TRUE(LoadModel(folder_ / ("aaaa-" + digest + ".th")));
  testing::WriteAll(folder_ / "bbbb-00000000.th", bytes);
  ExpectError(folder_ / "bbbb-00000000.th", ErrorCode::kCorrupt, digest);
  ExpectError(Write("bag.yaml", "models: ['bbbb']"), ErrorCode::kCorrupt, "bbbb-00000000.th");
  // What is no checksum is a name.
  testing::WriteAll(folder_ / "my-networks.th", bytes);
  EXPECT_TRUE(LoadModel(folder_ / "my-networks.th"));
}

TEST_F(LoaderTest, ACheckpointThatIsCutShortLaterIsAnError) {
  testing::WriteAll(folder_ / "m.ckpt", testing::TorchFile(testing::FormulaWeights("mdx23c-small.weights.json")));
  Write("m.yaml", testing::ConfigOf("mdx23c-small.safetensors"));
  const auto model = LoadModel(folder_ / "m.ckpt");
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_TRUE(model->members[0]->BuildTile(32256, 1));
  fs::resize_file(folder_ / "m.ckpt", 1000);
  const auto graph = model->members[0]->BuildTile(32256, 1);
  ASSERT_FALSE(graph);
  EXPECT_NE(graph.error().message.find("m.ckpt' was cut short"), std::string::npos) << graph.error().message;
}

TEST_F(LoaderTest, KnowsTheNetworksThatOtherPathsLeadTo) {
  const HostTensor one = HostTensor::FromF32({1}, std::vector<float>{1});
  const struct {
    const char* weight;
    ErrorCode separates, cleans;  // of reading it for the one and for the other
    const char *to_separate, *to_clean;
  } cases[] = {
      {"encoder.0.SDlayer.convs.0.weight", ErrorCode::kUnsupported, ErrorCode::kInvalidArgument, "an SCNet",
       "an SCNet; use timbre separate"},
      {"enc1.conv.weight", ErrorCode::kUnsupported, ErrorCode::kInvalidArgument, "name the folder",
       "use timbre separate"},
      {"stg1_low_band_net.enc1.conv1.conv.0.weight", ErrorCode::kUnsupported, ErrorCode::kInvalidArgument,
       "UVR's VR networks", "use timbre separate"},
      {"enc.erb_conv0.1.weight", ErrorCode::kInvalidArgument, ErrorCode::kUnsupported, "use timbre denoise",
       "config.ini"},
      {"generator.time_embed.time_mlp.0.weight", ErrorCode::kInvalidArgument, ErrorCode::kInvalidArgument,
       "use timbre song", "use timbre song"},
      {"model.embed_tokens.weight", ErrorCode::kInvalidArgument, ErrorCode::kInvalidArgument, "use timbre text",
       "use timbre text"},
      {"vae.post_quant_conv.weight", ErrorCode::kInvalidArgument, ErrorCode::kInvalidArgument, "use timbre frames",
       "use timbre frames"},
      {"fc.weight", ErrorCode::kUnsupported, ErrorCode::kUnsupported, "no checkpoint of a network that is known",
       "no checkpoint of a network that is known"},
  };
  const std::string file = folder_ / "weights.pth";
  for (const auto& c : cases) {
    testing::WriteAll(file, testing::TorchFile({{c.weight, one}}));
    ExpectError(file, c.separates, c.to_separate);
    const auto speech = LoadSpeechModel(file);
    ASSERT_FALSE(speech) << c.weight;
    EXPECT_EQ(speech.error().code, c.cleans) << c.weight;
    EXPECT_NE(speech.error().message.find(c.to_clean), std::string::npos) << speech.error().message;
  }
  testing::WriteAll(file, testing::TorchFile({{"erb.erb_fc.weight", one}}, {"model"}));
  ExpectError(file, ErrorCode::kInvalidArgument, "GTCRN; use timbre denoise");
  const auto gtcrn = LoadSpeechModel(file);
  ASSERT_TRUE(gtcrn) << gtcrn.error().message;
  EXPECT_EQ(gtcrn->architecture_name(), "gtcrn");
}

TEST(NamedModel, IsForOneTask) {
  for (const ModelTask task : {ModelTask::kSeparate, ModelTask::kDenoise, ModelTask::kSong, ModelTask::kStyle,
                               ModelTask::kText, ModelTask::kFrames}) {
    for (const ModelEntry& entry : ModelCatalogue()) {
      const Status checked = CheckModelName(std::string(entry.name), task);
      EXPECT_EQ(checked.has_value(), entry.task == task) << entry.name;
      if (checked) continue;
      EXPECT_EQ(checked.error().code, ErrorCode::kInvalidArgument) << entry.name;
      EXPECT_NE(checked.error().message.find("timbre " + std::string(ModelTaskName(entry.task))), std::string::npos)
          << checked.error().message;
    }
    for (const char* name : {"no/such", "nothing.safetensors"}) {
      const Status missing = CheckModelName(name, task);
      ASSERT_FALSE(missing);
      EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
      EXPECT_NE(missing.error().message.find("there is no file or folder"), std::string::npos);
    }
  }
}

TEST_F(LoaderTest, RefusesWhatIsNoModel) {
  ExpectError(folder_ / "missing.th", ErrorCode::kNotFound, "missing.th");
  ExpectError("htdemuc", ErrorCode::kNotFound, "htdemucs");
  ExpectError("gtcrn-dns3", ErrorCode::kInvalidArgument, "does not separate");
  ExpectError(Write("text.th", "this is text"), ErrorCode::kUnsupported, "text.th");
  ExpectError(Write("empty.th", ""), ErrorCode::kCorrupt, "empty.th");
}

TEST_F(LoaderTest, HpssNeedsNoFile) {
  const auto model = LoadModel("hpss");
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ(model->info().stems, (std::vector<std::string>{"harmonic", "percussive"}));
}

}  // namespace
}  // namespace timbre
