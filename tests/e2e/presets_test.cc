// The presets that are compiled in, run from start to end through the program: on small networks of random weights in
// files that are called and laid out as the published ones.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "audio/decode.h"
#include "models/catalogue.h"
#include "models/model_files.h"
#include "models/released_networks.h"
#include "models/separate/roformer.h"
#include "pipelines/job_presets.h"
#include "pipelines/separate/model_choice.h"
#include "tests/e2e/program.h"
#include "tests/support/environment.h"
#include "tests/support/official_files.h"
#include "tests/support/small_mdxnet.h"

namespace timbre::testing {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using Words = std::vector<std::string>;

// A RoFormer's file, and what its trainer writes beside it.
struct SmallRoformer {
  std::string checkpoint, yaml;
};

SmallRoformer MakeSmallRoformer(const ModelEntry& entry) {
  const bool mel = entry.name.starts_with("mel-");
  // Those whose file is twice as large as the others of their shape, and have a mask for each stem.
  const bool all = entry.name == "mel-roformer-becruily-karaoke" || entry.name == "mel-roformer-duality-v2";
  RoformerOptions o;
  o.mel = mel;
  o.dim = 8;
  o.depth = 1;
  o.heads = 2;
  o.dim_head = 4;
  o.n_fft = o.win = 512;
  o.hop = 128;
  o.bands = {{0, 17}, {17, 97}, {97, 257}};
  if (mel) o.bands = *MelBands(44100, 512, 6);
  o.tiling.chunk_size = 16384;
  o.tiling.stems = all ? std::vector<std::string>{"a", "b"} : std::vector<std::string>{"a"};
  const auto weights = RandomTensors(Fnv1a64(entry.name), false, [&](Weights& random) {
    return BuildRoformer(o, random, o.tiling.chunk_size, 1).map([](const Graph&) {});
  });
  EXPECT_TRUE(weights) << weights.error().message;
  std::string stems;
  for (const std::string_view stem : entry.stems) stems += (stems.empty() ? "" : ", ") + std::string(stem);
  std::string yaml =
      "audio: {chunk_size: 16384, sample_rate: 44100, num_channels: 2}\nmodel:\n  dim: 8\n  depth: 1\n  stereo: true\n"
      "  heads: 2\n  dim_head: 4\n  stft_n_fft: 512\n  stft_hop_length: 128\n  stft_win_length: 512\n";
  yaml += mel ? "  num_bands: 6\n  sample_rate: 44100\n" : "  freqs_per_bands: !!python/tuple [17, 80, 160]\n";
  yaml += "training: {instruments: [" + stems +
          "], target_instrument: " + (all ? "null" : std::string(entry.stems.front())) +
          "}\ninference: {num_overlap: 2}\n";
  return {weights ? TorchFile(*weights) : "", yaml};
}

// Whether a small file can't pass for the published one, because its length is known.
bool CantStandIn(const ModelEntry& model) { return model.files[0].bytes > 0; }

// The model's files at their places in `cache`; or below `folder` where they can't stand in for the published ones. The
// value is what --model takes then.
std::string WriteSmallModel(const fs::path& cache, const fs::path& folder, const std::string& name) {
  const auto entry = FindModel(name);
  EXPECT_TRUE(entry) << entry.error().message;
  if (!entry) return name;
  const ModelEntry& model = **entry;
  std::string weights, config;
  if (model.architecture == "roformer") {
    SmallRoformer made = MakeSmallRoformer(model);
    weights = std::move(made.checkpoint), config = std::move(made.yaml);
  } else if (model.architecture == "htdemucs") {
    weights = SmallHtdemucsPackage(FormulaWeights("htdemucs-small.weights.json"));
  } else if (model.architecture == "mdx23c") {
    weights = ReadAll(DataPath("official/mdx23c-tiny.ckpt")), config = ReadAll(DataPath("official/mdx23c-tiny.yaml"));
  } else {
    EXPECT_EQ(model.architecture, "mdxnet");
    weights = SmallMdxnet(false).Build();
  }
  if (CantStandIn(model)) {
    WriteAll(folder / (name + ".th"), weights);
    if (!config.empty()) WriteAll(folder / (name + ".yaml"), config);
    return name + ".th";
  }
  fs::create_directories(ModelFolder(cache, model));
  for (const ModelFile& file : model.files) {
    fs::path path = ModelFilePath(cache, model, file);
    if (file.role == ModelFileRole::kConfig) {
      WriteAll(path, config);
    } else {
      WriteAll(path, weights);
    }
    if (model.architecture != "mdxnet") continue;
    // Its digest is in no table: what one would say lies beside it.
    WriteAll(
        path.replace_extension(".model_data.json"),
        R"({"mdx_n_fft_scale_set": 2048, "compensate": 1.0, "primary_stem": ")" + std::string(model.stems[0]) + "\"}");
  }
  return name;
}

class CompiledInPresets : public ::testing::Test {
 protected:
  CompiledInPresets() { WriteTestWav(folder_ / "a.wav", 1); }
  // The models that an option of the preset names, each made where it is missing; as the option would have to name
  // them.
  std::string Made(const std::string& list) {
    std::string made;
    for (const std::string& name : ModelNames(list)) {
      const auto [at, is_new] = models_.try_emplace(name);
      if (is_new) at->second = WriteSmallModel(folder_ / "cache", folder_.path(), name);
      made += (made.empty() ? "" : ",") + at->second;
    }
    return made;
  }
  // Runs the preset with what is added.
  Ran Run(const JobPreset& preset, Words words) {
    words.insert(words.end(), {"--preset", preset.name, "-o", preset.name, "a.wav"});
    for (const auto& [key, option] : {std::pair{"model", "--model"}, {"from_model", "--from-model"}}) {
      const std::string list = preset.options.value(key, std::string());
      const std::string made = list.empty() ? "" : Made(list);
      if (made != list) words.insert(words.end(), {option, made});
    }
    return RunTimbre(words, folder_.path());
  }

  const TempFolder folder_;
  std::map<std::string, std::string> models_;
  const Environment environment_{{{"TIMBRE_CACHE", (folder_ / "cache").string()}, {"TIMBRE_OFFLINE", "1"}}};
};

// What each is to write, and which models it is to run.
TEST_F(CompiledInPresets, OfSeparateGiveTheStemsTheySpeakOf) {
  const std::map<std::string, Words> stems = {
      {"karaoke", {"instrumental", "vocals"}},
      {"vocals-best", {"instrumental", "vocals"}},
      {"vocals-clean", {"vocals"}},
      {"vocals-full", {"vocals"}},
      {"vocals-for-training", {"vocals"}},
      {"instrumental-clean", {"instrumental"}},
      {"instrumental-full", {"instrumental"}},
      {"instrumental-balanced", {"instrumental"}},
      {"instrumental-light", {"instrumental"}},
      {"lead-and-backing", {"Instrumental", "Vocals"}},
      {"drum-parts", {"cymbals", "hh", "kick", "snare", "toms"}},
  };
  const auto presets = JobPresets("separate");
  ASSERT_TRUE(presets) << presets.error().message;
  ASSERT_EQ(presets->size(), stems.size());
  for (const JobPreset& preset : *presets) {
    SCOPED_TRACE(preset.name);
    ASSERT_TRUE(stems.contains(preset.name));
    const Ran ran =
        Run(preset, {"separate", "--name", "{stem}.{ext}", "--sample-format", "f32", "--json", "report.json"});
    ASSERT_EQ(ran.code, 0) << ran.err;
    Words files;
    for (const std::string& stem : stems.at(preset.name)) files.push_back(stem + ".wav");
    EXPECT_EQ(FilesIn(folder_ / preset.name), files);
    for (const std::string& file : files) {
      const auto sound = ReadAudioFile((folder_ / preset.name / file).string(), 1 << 20);
      ASSERT_TRUE(sound) << sound.error().message;
      EXPECT_EQ(sound->frames(), 44100);
      const float most = *std::max_element(sound->samples.begin(), sound->samples.end());
      EXPECT_TRUE(std::isfinite(most) && most > 0) << file << " is silent";
    }
    const Json report = Json::parse(ReadAll(folder_ / "report.json"));
    const Words models = ModelNames(Made(preset.options.value("model", std::string())));
    if (models.size() > 1) {
      EXPECT_EQ(report["ensemble"]["models"], Json(models));
      EXPECT_EQ(report["ensemble"]["algorithm"], preset.options["ensemble"]);
    }
  }
}

TEST_F(CompiledInPresets, OfDrumsWriteMidi) {
  ASSERT_EQ(Made("mdx23c-drumsep"), "mdx23c-drumsep");  // the default of --model
  const auto presets = JobPresets("drums");
  ASSERT_TRUE(presets) << presets.error().message;
  ASSERT_FALSE(presets->empty());
  for (const JobPreset& preset : *presets) {
    const Ran ran = Run(preset, {"drums"});
    ASSERT_EQ(ran.code, 0) << preset.name << ": " << ran.err;
    const Words files = FilesIn(folder_ / preset.name);
    EXPECT_TRUE(std::any_of(files.begin(), files.end(), [](const auto& f) { return f.ends_with(".mid"); }));
  }
}

}  // namespace
}  // namespace timbre::testing
