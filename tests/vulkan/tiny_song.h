// A short song through the real program with a tiny HTDemucs, and how near its stems come to the CPU's.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "audio/decode.h"
#include "models/released_networks.h"
#include "models/separate/htdemucs.h"
#include "tests/e2e/program.h"
#include "tests/support/environment.h"
#include "tests/support/golden.h"
#include "tests/support/places.h"
#include "tests/support/torch_writer.h"

namespace timbre {

// A driver that tells `lies`: see tests/vulkan/liar_layer.cc.
inline std::map<std::string, std::string> Liar(const std::string& lies) {
  return {{"VK_LAYER_PATH", testing::LiarFolder()},
          {"VK_INSTANCE_LAYERS", "VK_LAYER_TIMBRE_liar"},
          {"TIMBRE_VULKAN_VALIDATION", "0"},
          {"TIMBRE_LIES", lies}};
}

// A device that will not answer: waiting for it is short, and what is left to it is no leak.
inline std::map<std::string, std::string> Hung() {
  return {{"TIMBRE_VULKAN_TIMEOUT", "1"},
          {"LSAN_OPTIONS", "suppressions=" + testing::SourceDir() + "/tests/lsan_hung.supp:print_suppressions=0"}};
}

// A package of an HTDemucs with random weights, for segments of a tenth of a second: every kind of node that the
// released network has, and a tile that takes a software driver no seconds.
inline void WriteTinyHtdemucs(const std::filesystem::path& path) {
  HtdemucsOptions options;
  options.channels = 4;
  options.dconv_comp = 4;
  options.bottom_channels = 16;
  options.t_layers = 1;
  options.segment = 0.1;
  const auto weights = RandomTensors(5, false, [&](Weights& random) {
    return BuildHtdemucs(options, random, options.training_samples(), 1).map([](const Graph&) {});
  });
  ASSERT_TRUE(weights) << weights.error().message;
  testing::WriteAll(path, testing::DemucsFile({{"sources", testing::PickleTexts(options.sources)},
                                               {"channels", testing::PickleInt(4)},
                                               {"dconv_comp", testing::PickleInt(4)},
                                               {"bottom_channels", testing::PickleInt(16)},
                                               {"t_layers", testing::PickleInt(1)},
                                               {"segment", testing::PickleFraction("1/10")}},
                                              *weights));
}

// A library of the loader's name that is no library: opening it fails as it does where there is none.
inline std::map<std::string, std::string> WithoutLoader(const testing::TempFolder& folder) {
  testing::WriteAll(folder / "libvulkan.so.1", "");
  const char* paths = std::getenv("LD_LIBRARY_PATH");
  return {{"LD_LIBRARY_PATH", folder.path().string() + (paths == nullptr ? "" : ":" + std::string(paths))},
          {"TIMBRE_CACHE", (folder / "cache").string()}};
}

class TinySong {
 public:
  struct Outcome {
    testing::Ran ran;
    nlohmann::json report;
    double db = -200;  // of the stem that is worst, against the CPU's
  };

  // Two tiles, so that the one after a failure counts too.
  TinySong() {
    WriteTinyHtdemucs(folder_ / "tiny.th");
    testing::WriteTestWav(folder_ / "song.wav", 0.15);
    const Outcome cpu = Separate("cpu", {});
    EXPECT_EQ(cpu.ran.code, 0) << cpu.ran.err;
    for (const char* stem : kStems) expected_.push_back(Read(stem));
  }

  Outcome Separate(const std::string& device, const std::vector<std::string>& more) {
    std::vector<std::string> words{"separate", "song.wav",     "--model",         "tiny.th",    "--output", ".",
                                   "--name",   "{stem}.{ext}", "--sample-format", "f32",        "--clip",   "none",
                                   "--device", device,         "--json",          "report.json"};
    words.insert(words.end(), more.begin(), more.end());
    for (const char* stem : kStems) std::filesystem::remove(folder_ / (std::string(stem) + ".wav"));
    std::filesystem::remove(folder_ / "report.json");
    Outcome outcome{testing::RunTimbre(words, folder_.path()), nullptr};
    outcome.report = nlohmann::json::parse(testing::ReadAll(folder_ / "report.json"), nullptr, false);
    if (outcome.ran.code != 0 || expected_.empty()) return outcome;
    outcome.db = 999;
    for (size_t i = 0; i < expected_.size(); ++i)
      outcome.db = std::min(outcome.db, testing::RatioDb(expected_[i], Read(kStems[i])));
    return outcome;
  }

  const testing::TempFolder& folder() const { return folder_; }

 private:
  static constexpr const char* kStems[] = {"drums", "bass", "other", "vocals"};

  std::vector<float> Read(const std::string& stem) const {
    const auto audio = ReadAudioFile(folder_ / (stem + ".wav"), 1 << 24);
    EXPECT_TRUE(audio) << audio.error().message;
    return audio ? audio->samples : std::vector<float>();
  }

  testing::TempFolder folder_;
  std::vector<std::vector<float>> expected_;
};

}  // namespace timbre
