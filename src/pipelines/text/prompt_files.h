// Prompts that are given as ids, and scores that are wanted whole.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pipelines/text/generator.h"

namespace timbre {

// `prompt` itself, or what the standard input holds where it is "-": at most 16 MiB.
Result<std::string> ReadPrompt(const std::string& prompt);

// The ids that `path` holds: numbers between blanks, commas and brackets, or the tensor "ids" of a .safetensors file.
Result<std::vector<int32_t>> ReadIds(const std::string& path);
Result<std::vector<int32_t>> ParseIds(std::string_view text);

// Writes the scores after each id of the prompt, "logits" [positions, vocabulary], and the ids as "ids": a .safetensors
// file, which is there when it is whole. Refused where they take more than 4 GiB.
Status WriteLogits(Generator& generator, std::span<const int32_t> prompt, const std::string& path);

}  // namespace timbre
