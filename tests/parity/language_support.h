// The reference cases of language models: their folders, with weights that are made by formula and rounded to what is
// stored, so that a bare clone has them.
#pragma once

#include <gtest/gtest.h>

#include <bit>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "formats/formula_weights.h"
#include "formats/safetensors.h"
#include "tests/e2e/program.h"
#include "tests/support/golden.h"

namespace timbre::testing {

inline std::string LanguageCase(const std::string& name) { return DataPath("lm/" + name); }

inline std::vector<int32_t> Ids(const Safetensors& file, const std::string& name) {
  std::vector<int32_t> ids;
  for (const float id : Values(file, name)) ids.push_back(static_cast<int32_t>(id));
  return ids;
}

// To nearest even, as bfloat16.
inline HostTensor RoundedToBf16(const HostTensor& tensor) {
  std::vector<std::byte> bytes;
  for (const float value : tensor.ToF32()) {
    const auto bits = std::bit_cast<uint32_t>(value);
    const auto rounded = static_cast<uint16_t>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
    bytes.push_back(static_cast<std::byte>(rounded & 0xFF));
    bytes.push_back(static_cast<std::byte>(rounded >> 8));
  }
  return HostTensor::FromBytes(tensor.shape, DType::kBF16, std::move(bytes));
}

// The weights of TAG.weights.json as they are stored.
inline TensorMap StoredFormulaWeights(const std::string& path) {
  const auto made = ReadFormulaWeights(path);
  TensorMap weights;
  if (!made) {
    ADD_FAILURE() << made.error().message;
    return weights;
  }
  for (const auto& entry : nlohmann::json::parse(ReadAll(path))) {
    const std::string name = entry["name"], stored = entry.value("stored", "f32");
    const HostTensor& tensor = (*made)->at(name);
    weights[name] = stored == "f16"    ? HostTensor::Half(tensor)
                    : stored == "bf16" ? RoundedToBf16(tensor)
                                       : HostTensor::FromF32(tensor.shape, tensor.ToF32());
  }
  return weights;
}

// Writes a model's folder, but for its tokenizer.
inline void WriteLanguageFolder(const std::string& tag, const std::filesystem::path& folder) {
  std::filesystem::create_directories(folder);
  for (const char* name : {"config.json", "generation_config.json"}) {
    WriteAll(folder / name, ReadAll(LanguageCase(tag + "/" + name)));
  }
  const TensorMap weights = StoredFormulaWeights(LanguageCase(tag + ".weights.json"));
  const Status written = WriteSafetensors((folder / "model.safetensors").string(), weights);
  EXPECT_TRUE(written) << written.error().message;
}

}  // namespace timbre::testing
