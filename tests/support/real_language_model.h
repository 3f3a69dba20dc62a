// The one trained language model that tests use.
#pragma once

#include <string>

#include "tests/support/real_model.h"

namespace timbre::testing {

// The path of SmolLM2 135M Instruct in 4-bit weights; empty where no index gives it.
inline std::string RealLanguageModel() {
  const std::string folder = RealModel("smollm2-135m");
  return folder.empty() ? "" : folder + "/SmolLM2-135M-Instruct.Q4_1.gguf";
}

// Skips the test, loudly, where no index gives the model; else `path` is its file.
#define TIMBRE_NEED_REAL_LANGUAGE_MODEL(path)                                \
  const std::string path = ::timbre::testing::RealLanguageModel();           \
  if (path.empty()) GTEST_SKIP() << "no package index gives the real model"; \
  static_assert(true)

}  // namespace timbre::testing
