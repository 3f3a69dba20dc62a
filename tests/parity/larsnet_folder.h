// LarsNet's folder as its authors publish it, with weights by formula.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "formats/formula_weights.h"
#include "formats/safetensors.h"
#include "models/larsnet.h"

namespace timbre::testing {

inline void MakeLarsnetFolder(const std::filesystem::path& folder, const std::string& formula) {
  const auto weights = ReadFormulaWeights(formula);
  ASSERT_TRUE(weights) << weights.error().message;
  for (const std::string& stem : LarsnetOptions().stems) {
    TensorMap own;
    for (const auto& [weight, tensor] : **weights) {
      if (weight.starts_with(stem + ".")) own.emplace(weight.substr(stem.size() + 1), tensor);
    }
    std::filesystem::create_directories(folder / stem);
    ASSERT_TRUE(WriteSafetensors((folder / stem / ("pretrained_" + stem + "_unet.pth")).string(), own));
  }
}

}  // namespace timbre::testing
