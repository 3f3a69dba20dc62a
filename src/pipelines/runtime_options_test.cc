#include "pipelines/runtime_options.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/event.h"
#include "runtime/session/steps.h"

namespace timbre {
namespace {

class Sentences final : public Observer {
 public:
  void OnEvent(const Event& event) override { all.push_back(event.text); }
  std::vector<std::string> all;
};

// What goes down, and what is tried once more where nothing lies below it.
TEST(RuntimeOptions, StepsDownAreSaidInSentences) {
  Stats stats;
  const Steps steps(&stats, false);
  const Error reason{ErrorCode::kKernelFailed, "it broke"};
  ASSERT_TRUE(steps.Record("conv.1", "cpu fast", "cpu cpu.reference", reason));
  ASSERT_TRUE(steps.Record("conv.2", "cpu cpu.reference", OnceMore("cpu cpu.reference"), reason));
  Sentences said;
  Json report;
  ReportSteps(stats, said, report);
  EXPECT_EQ(said.all, (std::vector<std::string>{"conv.1 ran on cpu cpu.reference instead of cpu fast, once: it broke",
                                                "conv.2 had to run on cpu cpu.reference, once more: it broke"}));
  EXPECT_EQ(report["steps_down"][1]["to"], "cpu cpu.reference, once more");
}

}  // namespace
}  // namespace timbre
