// A text as a language model goes on with it, token by token, until it ends.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/observer.h"
#include "formats/tokenizer.h"
#include "pipelines/text/generator.h"
#include "pipelines/text/sampling.h"

namespace timbre {

struct TextOptions {
  int64_t max_tokens = 200;        // that may follow the prompt
  int64_t max_length = 0;          // of both together; 0: the model's context
  std::vector<std::string> stops;  // strings before which the text ends
  SamplingOptions sampling;
  std::vector<double> draws;  // what is drawn by, one for each token, before the seed's numbers
};

enum class TextEnd : uint8_t {
  kEndToken,    // the model ended it
  kStopString,  // one of TextOptions::stops came up
  kLimit,       // max_tokens or max_length
  kContext,     // the model reads no more
};
std::string_view NameOf(TextEnd end);  // "end token", "stop string", "limit", "context"

struct TextReport {
  int64_t prompt_tokens = 0;
  std::vector<int32_t> ids;  // that followed, the one that ended the text included
  std::string text;          // of those, without control tokens and stop strings
  TextEnd end = TextEnd::kLimit;
  double prompt_seconds = 0;  // until the prompt was read
  double first_seconds = 0;   // until the first token was there
  double step_seconds = 0;    // for those after it
  double prompt_tokens_per_second() const {
    return prompt_seconds > 0 ? static_cast<double>(prompt_tokens) / prompt_seconds : 0;
  }
  // Of those after the first, which comes with the prompt; 0 where there were none.
  double tokens_per_second() const;
};

// Text that is certain: whole characters, which what follows does not change.
using OnText = std::function<void(std::string_view text)>;

// Goes on from `prompt`, which the generator reads from its first position on. Without a tokenizer (null) there are ids
// and no text, and no stop strings (kInvalidArgument). `report` is filled as far as it went, also where this fails.
// Errors: a prompt that leaves no room, ids that the model has not, options that make no sense (kInvalidArgument);
// kCancelled, asked of `observer` between tokens.
Status WriteText(Generator& generator, const Tokenizer* tokenizer, std::span<const int32_t> prompt,
                 const TextOptions& options, const OnText& on_text, Observer& observer, TextReport& report);

}  // namespace timbre
