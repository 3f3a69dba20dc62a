// MuQ-MuLan as its folder holds it, and styles made with it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "models/song/mulan.h"
#include "runtime/session/session.h"

namespace timbre {

struct StyleModel {
  MulanConfig config;
  std::shared_ptr<const TensorMap> weights;
  std::string tokenizer;  // the path of a SentencePiece model
};

// A folder with pytorch_model.bin or model.safetensors, config.json, muq/config.json, xlm-roberta-base/config.json and
// xlm-roberta-base/sentencepiece.bpe.model; or a name of the catalogue whose files have been fetched.
Result<StyleModel> OpenStyleModel(const std::string& name);

// Mono sound at config.sample_rate, cut into clips, the last of which goes on with the sound's beginning: the mean of
// what the audio tower makes of each. `pool` and `stats` (may be null) must last for the call.
Result<std::vector<float>> StyleOfSound(const StyleModel& model, std::span<const float> sound,
                                        const SessionOptions& options, ThreadPool& pool, Stats* stats);

// What the text tower makes of tokens, and the tokens of words.
Result<std::vector<float>> StyleOfTokens(const StyleModel& model, std::span<const int32_t> tokens,
                                         const SessionOptions& options, ThreadPool& pool, Stats* stats);
Result<std::vector<int32_t>> TokensOfWords(const std::string& tokenizer, const std::string& words);

// Clips of a sound, as ranges of it: each one or two.
std::vector<std::vector<float>> ClipsOf(std::span<const float> sound, int64_t clip);

}  // namespace timbre
