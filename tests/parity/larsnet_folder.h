// LarsNet's folder as its authors publish it, with weights by formula: pretrained_larsnet_models, in it a folder for
// each stem, in that a PyTorch file with the weights under "model_state_dict".
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "formats/formula_weights.h"
#include "models/separate/larsnet.h"
#include "tests/e2e/program.h"
#include "tests/support/torch_writer.h"

namespace timbre::testing {

inline void MakeLarsnetFolder(const std::filesystem::path& folder, const std::string& formula) {
  const auto weights = ReadFormulaWeights(formula);
  ASSERT_TRUE(weights) << weights.error().message;
  for (const std::string& stem : LarsnetOptions().stems) {
    TensorMap own;
    for (const auto& [weight, tensor] : **weights) {
      if (weight.starts_with(stem + ".")) own.emplace(weight.substr(stem.size() + 1), tensor);
    }
    const std::filesystem::path place = folder / "pretrained_larsnet_models" / stem;
    std::filesystem::create_directories(place);
    WriteAll(place / ("pretrained_" + stem + "_unet.pth"), TorchFile(own, {"model_state_dict"}));
  }
}

}  // namespace timbre::testing
