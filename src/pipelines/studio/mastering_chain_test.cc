#include "pipelines/studio/mastering_chain.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numbers>
#include <set>

#include "tests/support/golden.h"

namespace timbre {
namespace {

// A quarter of a second of noise that any language repeats, with a sweep in the left channel, swelling eight times a
// second.
std::vector<float> TestSignal(int rate) {
  const int frames = rate / 4;
  std::vector<float> x(static_cast<size_t>(2 * frames));
  for (int c = 0; c < 2; ++c) {
    uint32_t seed = static_cast<uint32_t>(c) + 1;
    for (int n = 0; n < frames; ++n) {
      seed = seed * 1664525u + 1013904223u;
      const double noise = static_cast<double>(seed >> 8) / 8388608.0 - 1.0, t = static_cast<double>(n) / rate;
      const double sweep = std::sin(2 * std::numbers::pi * (20 * t + (8000 - 20) / (2 * 0.25) * t * t));
      const double swell = 0.05 + 0.95 * (0.5 - 0.5 * std::cos(2 * std::numbers::pi * 8 * t));
      x[static_cast<size_t>(2 * n + c)] =
          static_cast<float>(c == 0 ? 0.5 * swell * (0.5 * noise + 0.5 * sweep) : 0.4 * swell * noise);
    }
  }
  return x;
}

// One element of a chain each, as the figures were made with Pedalboard 0.9.26: every 251st frame of what it makes of
// the signal.
MasterChain Element(const std::string& name) {
  MasterChain chain;
  if (name == "highpass") chain.bands = {{.type = BandType::kHighPass, .hz = 30}};
  if (name == "lowpass") chain.bands = {{.type = BandType::kLowPass, .hz = 10000}};
  if (name == "peak") chain.bands = {{.type = BandType::kPeak, .hz = 3000, .db = 2.5, .q = 1.2}};
  if (name == "lowshelf") chain.bands = {{.type = BandType::kLowShelf, .hz = 100, .db = 3, .q = 0.7}};
  if (name == "highshelf") chain.bands = {{.type = BandType::kHighShelf, .hz = 10000, .db = -1.5, .q = 0.8}};
  if (name == "compressor") chain.compressor = {.threshold_db = -20, .ratio = 4, .attack_ms = 5, .release_ms = 100};
  if (name == "fast compressor") {
    chain.compressor = {.threshold_db = -8, .ratio = 6, .attack_ms = 0.5, .release_ms = 40};
  }
  if (name == "limiter") chain.limiter = {.ceiling_db = -1, .release_ms = 100};
  if (name == "fast limiter") chain.limiter = {.ceiling_db = -0.1, .release_ms = 30};
  return chain;
}

TEST(Chain, TheClassicEngineIsThatOfPedalboard) {
  std::ifstream file(testing::DataPath("studio/classic.json"));
  const auto cases = nlohmann::json::parse(file);
  size_t seen = 0;
  for (const int rate : {44100, 48000, 96000}) {
    for (const char* name : {"highpass", "lowpass", "peak", "lowshelf", "highshelf", "compressor", "fast compressor",
                             "limiter", "fast limiter"}) {
      std::vector<float> x = TestSignal(rate), ours;
      ChainProcessor processor(Element(name), ChainEngine::kClassic, rate, 2);
      processor.Process(x.data(), rate / 4);
      for (int n = 0; n < rate / 4; n += 251) {
        ours.push_back(x[static_cast<size_t>(2 * n)]);
        ours.push_back(x[static_cast<size_t>(2 * n + 1)]);
      }
      const auto want = cases.at(std::string(name) + " " + std::to_string(rate)).get<std::vector<float>>();
      ASSERT_EQ(want.size(), ours.size());
      const double ratio = testing::RatioDb(want, ours);
      std::printf("  %-16s %5d Hz %.1f dB\n", name, rate, ratio);
      EXPECT_GE(ratio, 110) << name << " at " << rate;
      ++seen;
    }
  }
  EXPECT_EQ(seen, cases.size());
}

TEST(Chain, ThereAre32PresetsAndEachRenders) {
  EXPECT_EQ(MasterPresets().size(), 32u);
  std::set<std::string> descriptions;
  for (const MasterPreset& preset : MasterPresets()) {
    EXPECT_FALSE(preset.chain.title.empty()) << preset.name;
    EXPECT_TRUE(descriptions.insert(preset.chain.description).second) << preset.name;
    EXPECT_GE(preset.chain.bands.size(), 5u - 1) << preset.name;
    EXPECT_TRUE(preset.chain.compressor && preset.chain.limiter) << preset.name;
    EXPECT_EQ(preset.chain.bands[0].type, BandType::kHighPass) << preset.name;
    for (const ChainEngine engine : {ChainEngine::kStudio, ChainEngine::kClassic}) {
      std::vector<float> x = TestSignal(44100), silence(2 * 1000);
      ChainProcessor(preset.chain, engine, 44100, 2).Process(x.data(), 44100 / 4);
      float peak = 0;
      for (const float sample : x) {
        ASSERT_TRUE(std::isfinite(sample)) << preset.name;
        peak = std::max(peak, std::abs(sample));
      }
      EXPECT_GT(peak, 0.05f) << preset.name;
      EXPECT_LT(peak, 2) << preset.name;
      ChainProcessor(preset.chain, engine, 44100, 2).Process(silence.data(), 1000);
      EXPECT_EQ(silence, std::vector<float>(2 * 1000)) << preset.name;
    }
  }
  EXPECT_EQ(FindPreset("rock_masta").error().message, "there is no preset 'rock_masta'. Did you mean 'rock_master'?");
}

TEST(Chain, BandsOf0DbChangeNoBit) {
  const auto chain = ParseChain(
      "bands: [{type: peak, hz: 100}, {type: lowshelf, hz: 90, db: 0}, {type: highshelf, "
      "hz: 9000, db: 0.0, q: 2}]",
      "flat");
  ASSERT_TRUE(chain) << chain.error().message;
  const std::vector<float> before = TestSignal(44100);
  for (const ChainEngine engine : {ChainEngine::kStudio, ChainEngine::kClassic}) {
    std::vector<float> x = before;
    ChainProcessor(*chain, engine, 44100, 2).Process(x.data(), 44100 / 4);
    EXPECT_EQ(x, before);
  }
}

TEST(Chain, BlocksOfAnySizeGiveTheSameBits) {
  const MasterChain chain = *FindPreset("radio_ready");
  for (const ChainEngine engine : {ChainEngine::kStudio, ChainEngine::kClassic}) {
    std::vector<float> whole = TestSignal(44100), parts = whole;
    ChainProcessor(chain, engine, 44100, 2).Process(whole.data(), 44100 / 4);
    ChainProcessor processor(chain, engine, 44100, 2);
    for (int at = 0; at < 44100 / 4; at += 333) processor.Process(&parts[2 * at], std::min(333, 44100 / 4 - at));
    EXPECT_EQ(whole, parts);
  }
}

TEST(Chain, IsTheSameAfterJson) {
  for (const MasterPreset& preset : MasterPresets()) {
    const auto json = ChainToJson(preset.chain);
    const auto again = ChainFromJson(json);
    ASSERT_TRUE(again) << again.error().message;
    EXPECT_EQ(ChainToJson(*again), json);
  }
}

TEST(Chain, ErrorsNameWhatIsWrong) {
  const auto error = [](const char* text) {
    const auto chain = ParseChain(text, "my.yaml");
    return chain ? "" : chain.error().message;
  };
  EXPECT_EQ(error("bands: [{type: peek, hz: 100}]").find("my.yaml: bands[0]: "), 0u);
  EXPECT_NE(error("bands: [{type: peek, hz: 100}]").find("Did you mean 'peak'?"), std::string::npos);
  EXPECT_NE(error("bands: [{type: peak}]").find("'hz' is missing"), std::string::npos);
  EXPECT_NE(error("bands: [{type: peak, hz: 1, db: 3}]").find("hz"), std::string::npos);
  EXPECT_NE(error("bands: [{type: peak, hz: .nan}]"), "");
  EXPECT_NE(error("bands: {type: peak}").find("list"), std::string::npos);
  EXPECT_NE(error("compresor: {}").find("Did you mean 'compressor'?"), std::string::npos);
  EXPECT_NE(error("compressor: {threshold_db: -10, ratio: 0, attack_ms: 1, release_ms: 1}").find("ratio"),
            std::string::npos);
  EXPECT_NE(error("bands: [").find("line 1"), std::string::npos);
  EXPECT_NE(error("- 1"), "");
  EXPECT_NE(error("a: &a [*a]"), "");
  EXPECT_NE(error(("bands: " + std::string(5000, '[')).c_str()), "");
  EXPECT_EQ(error("bands: []"), "");
}

}  // namespace
}  // namespace timbre
