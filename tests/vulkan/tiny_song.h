// A short song through the real program with the tiny HTDemucs, and how near its stems come to the CPU's.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "audio/decode.h"
#include "base/mapped_file.h"
#include "formats/zip.h"
#include "tests/e2e/program.h"
#include "tests/support/environment.h"
#include "tests/support/golden.h"
#include "tests/support/places.h"
#include "tests/support/zip_builder.h"

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

inline std::string TinyHtdemucs() { return testing::SharedPath("goldens/htdemucs/htdemucs-tiny-b9c4b409.th"); }

// The same network for segments of a fifth of a second instead of two, so that a tile takes a software driver no
// seconds.
inline void WriteShortTinyHtdemucs(const std::filesystem::path& path) {
  const auto bytes = MapFile(TinyHtdemucs());
  ASSERT_TRUE(bytes) << bytes.error().message;
  auto archive = ZipArchive::Open(*bytes);
  ASSERT_TRUE(archive) << archive.error().message;
  std::vector<testing::ZipMember> members;
  for (const ZipEntry& entry : archive->entries()) {
    const auto content = archive->Read(entry);
    ASSERT_TRUE(content) << content.error().message;
    members.push_back({.name = entry.name, .content = std::string(content->text())});
    if (!entry.name.ends_with("data.pkl")) continue;
    // Fraction(2, 1) becomes Fraction(1, 5).
    const std::string from("K\x02K\x01\x86", 5);
    const size_t segment = members.back().content.find("segment"), at = members.back().content.find(from, segment);
    ASSERT_TRUE(segment != std::string::npos && at != std::string::npos && at < segment + 40);
    members.back().content.replace(at, from.size(), "K\x01K\x05\x86");
  }
  testing::WriteAll(path, testing::BuildZip(members));
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
    WriteShortTinyHtdemucs(folder_ / "tiny.th");
    testing::WriteTestWav(folder_ / "song.wav", 0.3);
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
