// The safetensors format: an 8-byte little-endian length, a JSON header of that length, raw little-endian tensors.
// Specification: github.com/huggingface/safetensors, README, "Format".
#pragma once

#include <map>
#include <memory>
#include <string>

#include "base/bytes.h"
#include "graph/weights.h"

namespace timbre {

class OutputSet;

using Metadata = std::map<std::string, std::string>;

struct Safetensors {
  std::shared_ptr<const TensorMap> tensors;  // views of the file where they are aligned
  Metadata metadata;                         // the header's "__metadata__"
};

// Whether the bytes begin as such a file does.
bool LooksLikeSafetensors(const SharedBytes& bytes);

// Errors name the tensor. The header may take 25 MB; tensors must lie side by side and fill the file, as the format
// demands.
Result<Safetensors> ReadSafetensors(const SharedBytes& bytes);
Result<Safetensors> ReadSafetensors(const std::string& path);

// Writes tensors in the order of their names, at offsets that are multiples of their element's size. The file appears
// when it is complete; of `outputs`, when those are named.
Status WriteSafetensors(const std::string& path, const TensorMap& tensors, const Metadata& metadata = {},
                        OutputSet* outputs = nullptr);

}  // namespace timbre
