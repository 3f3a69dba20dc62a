// Small networks by formula in files laid out as their authors and their trainers lay theirs out.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "formats/formula_weights.h"
#include "formats/safetensors.h"
#include "tests/e2e/program.h"
#include "tests/support/golden.h"
#include "tests/support/small_htdemucs.h"
#include "tests/support/torch_writer.h"
#include "tests/support/zip_builder.h"

namespace timbre::testing {

inline TensorMap FormulaWeights(const std::string& name) {
  const auto weights = ReadFormulaWeights(DataPath(name));
  EXPECT_TRUE(weights) << weights.error().message;
  return weights ? **weights : TensorMap();
}

// `weights` with `prefix` before each name.
inline TensorMap Prefixed(const TensorMap& weights, const std::string& prefix) {
  TensorMap named;
  for (const auto& [name, tensor] : weights) named.emplace(prefix + name, tensor);
  return named;
}

// The configuration in a case's metadata, which is JSON and therefore YAML.
inline std::string ConfigOf(const std::string& name) {
  const auto file = ReadSafetensors(DataPath(name));
  EXPECT_TRUE(file) << file.error().message;
  return file ? file->metadata.at("config") : "";
}

}  // namespace timbre::testing
