// MuQ-MuLan held against the reference's own output: both towers, from samples and token ids to vectors.
#include "models/song/mulan.h"

#include <limits>
#include <nlohmann/json.hpp>

#include "formats/formula_weights.h"
#include "formats/safetensors.h"
#include "pipelines/song/style_model.h"
#include "tests/e2e/program.h"
#include "tests/parity/song_support.h"

namespace timbre {
namespace {

using testing::RatioDb;
using testing::SharedPath;
using testing::SongCase;
using testing::Values;
using Floats = std::vector<float>;

constexpr double kFloorDb = 110;

struct Case {
  Safetensors file;
  StyleModel model;
  std::vector<int32_t> ids;
};

Case ReadCase(const std::string& path, const std::string& weights_path) {
  Case c;
  const auto file = ReadSafetensors(path);
  const auto weights = ReadFormulaWeights(weights_path);
  EXPECT_TRUE(file && weights);
  c.file = *file;
  c.model.weights = *weights;
  const auto config = nlohmann::json::parse(c.file.metadata.at("config"));
  const auto parsed = ParseMulanConfig(config["mulan"].dump(), config["muq"].dump(), config["xlmr"].dump());
  EXPECT_TRUE(parsed) << parsed.error().message;
  c.model.config = *parsed;
  for (const float id : Values(c.file, "text_ids")) c.ids.push_back(static_cast<int32_t>(id));
  return c;
}

// The first rows and features of `ours` [rows, features], as many as the case's tap has.
void CheckRows(const Safetensors& file, const std::string& name, const Floats& ours, int64_t features) {
  const auto found = file.tensors->find(name);
  if (found == file.tensors->end() || found->second.shape.rank() != 2) return;
  const int64_t rows = found->second.shape[0], width = found->second.shape[1];
  Floats cut;
  for (int64_t r = 0; r < rows; ++r) {
    cut.insert(cut.end(), ours.begin() + r * features, ours.begin() + r * features + width);
  }
  const double ratio = RatioDb(found->second.ToF32(), cut);
  std::printf("  %-28s %.1f dB\n", name.c_str(), ratio);
  EXPECT_GE(ratio, kFloorDb) << name;
}

void CheckTaps(const Safetensors& file, Result<Graph> graph, const std::string& input, const Floats& values) {
  ASSERT_TRUE(graph) << graph.error().message;
  std::map<std::string, int64_t> features;
  for (const GraphPort& port : graph->outputs) features[port.name] = graph->shape(port.tensor).back();
  const auto out = testing::RunOnce(*std::move(graph), {{input, values}});
  for (const auto& [name, result] : out) {
    if (name == "tap.mel") {
      const Floats reference = Values(file, "mel");
      const int64_t bands = features[name], frames = static_cast<int64_t>(reference.size()) / bands;
      const Floats ours(result.begin(), result.begin() + frames * bands);
      EXPECT_GE(RatioDb(reference, testing::Transposed(ours, frames, bands)), kFloorDb) << name;
    } else {
      CheckRows(file, name, result, features[name]);
    }
  }
}

void CheckLatents(const Case& c) {
  ThreadPool pool;
  const auto sound = StyleOfSound(c.model, Values(c.file, "wav"), {.device = "cpu"}, pool, nullptr);
  ASSERT_TRUE(sound) << sound.error().message;
  EXPECT_GE(RatioDb(Values(c.file, "audio.latent"), *sound), kFloorDb);
  const auto words = StyleOfTokens(c.model, c.ids, {.device = "cpu"}, pool, nullptr);
  ASSERT_TRUE(words) << words.error().message;
  EXPECT_GE(RatioDb(Values(c.file, "text.latent"), *words), kFloorDb);
}

TEST(MulanParity, Tiny) {
  const Case c = ReadCase(SongCase("mulan-tiny.safetensors"), SongCase("mulan-tiny.weights.json"));
  const auto weights = WeightsFromMap(c.model.weights);
  const Floats wav = Values(c.file, "wav");
  const int64_t clip = c.model.config.clip_samples();
  CheckTaps(c.file, BuildMulanAudio(c.model.config, *weights, clip, true), "wav",
            Floats(wav.begin(), wav.begin() + clip));
  const auto embedding = EmbedMulanText(c.model.config, *weights, c.ids);
  ASSERT_TRUE(embedding) << embedding.error().message;
  CheckTaps(c.file, BuildMulanText(c.model.config, *weights, static_cast<int64_t>(c.ids.size()), true), "embedding",
            *embedding);
  CheckLatents(c);
}

TEST(MulanParity, ReleasedShapeByFormula) {
  const std::string path = SharedPath("goldens/diffrhythm/mulan-full.safetensors");
  TIMBRE_NEED_SHARED(path);
  CheckLatents(ReadCase(path, SharedPath("goldens/diffrhythm/mulan-full.weights.json")));
}

TEST(Mulan, AShortSoundGoesOnWithItsBeginning) {
  const Floats sound = {1, 2, 3, 4, 5, 6, 7};
  EXPECT_EQ(ClipsOf(sound, 5), (std::vector<Floats>{{1, 2, 3, 4, 5}, {6, 7, 1, 2, 3}}));
  EXPECT_EQ(ClipsOf(std::span(sound).first(2), 5), (std::vector<Floats>{{1, 2, 1, 2}}));
  EXPECT_EQ(ClipsOf(std::span(sound).first(5), 5), (std::vector<Floats>{{1, 2, 3, 4, 5}}));
}

TEST(Mulan, AFolderWithAWeightThatIsNoNumberIsRefused) {
  const Case c = ReadCase(SongCase("mulan-tiny.safetensors"), SongCase("mulan-tiny.weights.json"));
  const auto config = nlohmann::json::parse(c.file.metadata.at("config"));
  const testing::TempFolder folder;
  for (const char* inner : {"muq", "xlm-roberta-base"}) std::filesystem::create_directories(folder / inner);
  testing::WriteAll(folder / "config.json", config["mulan"].dump());
  testing::WriteAll(folder / "muq/config.json", config["muq"].dump());
  testing::WriteAll(folder / "xlm-roberta-base/config.json", config["xlmr"].dump());
  const std::string path = (folder / "model.safetensors").string();
  ASSERT_TRUE(WriteSafetensors(path, *c.model.weights));
  const auto whole = OpenStyleModel(folder.path().string());
  ASSERT_TRUE(whole) << whole.error().message;

  TensorMap spoilt = *c.model.weights;
  const std::string name = spoilt.rbegin()->first;
  Floats values = spoilt.at(name).ToF32();
  values.back() = std::numeric_limits<float>::quiet_NaN();
  spoilt.at(name) = HostTensor::FromF32(spoilt.at(name).shape, values);
  ASSERT_TRUE(WriteSafetensors(path, spoilt));
  const auto refused = OpenStyleModel(folder.path().string());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kCorrupt);
  EXPECT_NE(refused.error().message.find(name), std::string::npos) << refused.error().message;
  EXPECT_TRUE(refused.error().message.starts_with(path)) << refused.error().message;
}

TEST(Mulan, RefusesTokensThatThereAreNot) {
  const Case c = ReadCase(SongCase("mulan-tiny.safetensors"), SongCase("mulan-tiny.weights.json"));
  const auto weights = WeightsFromMap(c.model.weights);
  for (const std::vector<int32_t>& ids :
       {std::vector<int32_t>{}, {-1}, {c.model.config.vocabulary}, std::vector<int32_t>(39)}) {
    EXPECT_FALSE(EmbedMulanText(c.model.config, *weights, ids));
  }
}

}  // namespace
}  // namespace timbre
