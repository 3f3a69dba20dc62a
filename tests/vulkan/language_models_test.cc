// Language models on a Vulkan device, held against the references as on the CPU.
#include <algorithm>

#include "pipelines/text/generator.h"
#include "tests/parity/language_support.h"
#include "tests/vulkan/usable_device.h"

namespace timbre {
namespace {

using testing::Ids;
using testing::LanguageCase;

constexpr double kFloorDb = 90;

// Scores of a prompt in passes of several ids and of one, over the device's own copy of the cache.
void Check(const std::string& path, const std::string& reference) {
  const auto model = OpenLanguageModel(path);
  const auto file = ReadSafetensors(reference);
  ASSERT_TRUE(model && file);
  ThreadPool pool(2);
  const auto generator = Generator::Create(*model, 0, {.device = UsableDeviceName(), .strict = true}, pool, nullptr);
  ASSERT_TRUE(generator) << generator.error().message;
  auto scores = (*generator)->Prefill(Ids(*file, "ids"));
  std::vector<float> steps;
  const std::vector<int32_t> greedy = Ids(*file, "greedy");
  std::vector<int32_t> chosen;
  while (true) {
    ASSERT_TRUE(scores) << scores.error().message;
    steps.insert(steps.end(), scores->begin(), scores->end());
    chosen.push_back(static_cast<int32_t>(std::max_element(scores->begin(), scores->end()) - scores->begin()));
    if (chosen.size() == greedy.size()) break;
    scores = (*generator)->Step(chosen.back());
  }
  EXPECT_EQ(chosen, greedy);
  const std::vector<float> expected = testing::Values(*file, "step.logits");
  steps.erase(steps.begin(), steps.end() - static_cast<std::ptrdiff_t>(expected.size()));
  const double db = testing::RatioDb(expected, steps);
  std::printf("  %s: %.1f dB\n", model->name.c_str(), db);
  EXPECT_GE(db, kFloorDb);
}

TEST(VulkanLanguage, WritesFromAGgufFile) {
  TIMBRE_NEED_VULKAN();
  Check(LanguageCase("gguf-tiny.gguf"), LanguageCase("gguf-tiny.safetensors"));
}

TEST(VulkanLanguage, WritesFromFolders) {
  TIMBRE_NEED_VULKAN();
  for (const std::string tag : {"phi-tiny", "qwen3-tiny", "gpt2-tiny"}) {
    SCOPED_TRACE(tag);
    const testing::TempFolder folder;
    testing::WriteLanguageFolder(tag, folder / tag);
    Check(folder / tag, LanguageCase(tag + ".safetensors"));
  }
}

}  // namespace
}  // namespace timbre
