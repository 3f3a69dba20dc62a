#include "tests/support/sweep.h"

#include <fnmatch.h>

#include <cstdlib>
#include <sstream>
#include <string>
#include <string_view>

namespace timbre::testing {

const char* const kSweepTests =
    "FaultSweep.*:SongFaults.*:FramesFaults.*:Text.TheSameWhateverFails:EngineKill.*:RunJobFile.ExaminesKernels*:"
    "Vulkan.PairsOf*:VulkanModels.*ReleasedShape:VulkanModels.*FromTheirFiles:VulkanModels.*ThroughTheProgram:"
    "VulkanStates.ALargeCache*:"
    "RoformerParity.*FullSize:LanguageParity.ReleasedWidths:DitParity.ReleasedShapeByFormula";

bool FullSweep() {
  if (const ::testing::TestInfo* test = ::testing::UnitTest::GetInstance()->current_test_info()) {
    const std::string name = std::string(test->test_suite_name()) + "." + test->name();
    std::istringstream patterns(kSweepTests);
    bool listed = false;
    for (std::string pattern; std::getline(patterns, pattern, ':');)
      listed = listed || fnmatch(pattern.c_str(), name.c_str(), 0) == 0;
    EXPECT_TRUE(listed) << name << " has work for the sweep but is none of its tests";
  }
  const char* wish = std::getenv("TIMBRE_SWEEP");
  return wish != nullptr && std::string_view(wish) == "full";
}

}  // namespace timbre::testing
