// Runs the tests. With TIMBRE_TEST_STRICT=1 a test that is skipped has failed, unless nothing that could be installed
// or laid beside the checkout would let it run: a build server that has everything then proves everything.
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <string_view>

#include "audio/ffmpeg_process.h"
#include "tests/support/fake_worker.h"
#include "tests/support/sweep.h"

namespace {

// What the reason of a skip must hold to be no failure. All else is something that is missing.
constexpr std::string_view kNotMissing[] = {
    "./dev sweep",       // heavy work that the suite leaves out
    "here:",             // what this processor or device cannot do: "not here: no half arithmetic"
    "sanitizer",         // what a build with one cannot do
    "no package index",  // real trained weights, where no index can be reached
};

class SkipsAreFailures : public testing::EmptyTestEventListener {
  void OnTestStart(const testing::TestInfo&) override { reason_.clear(); }
  void OnTestPartResult(const testing::TestPartResult& result) override {
    if (result.type() == testing::TestPartResult::kSkip) reason_ = result.message();
  }
  void OnTestEnd(const testing::TestInfo& info) override {
    if (!info.result()->Skipped()) return;
    for (const std::string_view allowed : kNotMissing) {
      if (reason_.find(allowed) != std::string::npos) return;
    }
    ADD_FAILURE() << "skipped, and TIMBRE_TEST_STRICT is set: " << reason_;
  }

  std::string reason_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && std::string_view(argv[1]) == timbre::testing::kFakeWorker) return timbre::testing::RunFakeWorker();
  // What the user of this machine has written down for timbre is none of the tests' concern.
  setenv("XDG_CONFIG_HOME", "/dev/null", 1);  // below which nobody can make a folder, as PulseAudio does
  unsetenv("TIMBRE_CONFIG");
  if (std::getenv("TIMBRE_SWEEP") != nullptr) testing::GTEST_FLAG(filter) = timbre::testing::kSweepTests;
  testing::InitGoogleTest(&argc, argv);
  timbre::SetUpFfmpegForProgram();
  const char* strict = std::getenv("TIMBRE_TEST_STRICT");
  if (strict != nullptr && *strict == '1') testing::UnitTest::GetInstance()->listeners().Append(new SkipsAreFailures);
  return RUN_ALL_TESTS();
}
