// Which token comes next, by the scores of all; and when a text ends.
//
// The steps and their order are Hugging Face's (llama.cpp's differ: its penalty looks back 64 tokens, its temperature
// comes last), each only where it is asked for:
//   1. repetition penalty r: the score s of every id that occurred, in the prompt too, becomes s * r below 0, else s /
//   r
//   2. temperature T: s / T
//   3. top-k: all below the k-th largest go; what equals it stays
//   4. top-p: of the most likely ids as many stay as it takes to reach p; of equals the lower id first
//   5. min-p: ids go that are less likely than this share of the likeliest
//   6. what is left is drawn from by its probabilities
// Greedy is the largest score after step 1, of equals the lowest id.
//
// The draw is part of what is promised: with u in [0, 1), the first id, in the vocabulary's order, at which the sum of
// the probabilities (in double precision) exceeds u. The n-th u of a seed, from n = 1, is made of
//   z = seed + n * 0x9E3779B97F4A7C15; z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9; z = (z ^ z >> 27) * 0x94D049BB133111EB;
//   u = ((z ^ z >> 31) >> 11) / 2^53
// modulo 2^64 (SplitMix64).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/fields.h"
#include "base/result.h"
#include "models/language/language_model.h"

namespace timbre {

struct SamplingOptions {
  bool greedy = false;     // the largest score, always; the rest is then without effect but for the penalty
  double temperature = 1;  // below a millionth: greedy
  int top_k = 50;          // 0: off
  double top_p = 1, min_p = 0;
  double repetition_penalty = 1;
  uint64_t seed = 0;
};

// What a user may say about sampling; where nothing is said the model's own defaults stand, else those above.
struct SamplingChoice {
  bool greedy = false;
  std::optional<double> temperature, top_p, min_p, repetition_penalty;
  std::optional<int> top_k;
  uint64_t seed = 0;

  // `otherwise`: what the help says stands where neither the user nor the model says anything.
  FieldList Fields(const SamplingOptions& otherwise = {});
  // A model that is said to be used greedily is drawn from all the same, unless that is asked for.
  SamplingOptions Resolve(const SamplingDefaults& defaults) const;
};

// A probability that is left after steps 1 to 5.
struct Likelihood {
  int32_t id;
  double probability;
};

class Sampler {
 public:
  // kInvalidArgument where an option makes no sense.
  static Result<Sampler> Create(const SamplingOptions& options);

  // Ids that the penalty is to know of: the prompt's.
  void See(std::span<const int32_t> ids);
  // The next id, which it has then seen. `scores`: [vocabulary]. kKernelFailed where they are not numbers.
  Result<int32_t> Next(std::span<const float> scores);
  // The same by a number of the caller's in place of the seed's next.
  Result<int32_t> NextBy(std::span<const float> scores, double u);

  // Steps 1 to 5, in the order of ids. None where scores are not numbers.
  std::vector<Likelihood> Likelihoods(std::span<const float> scores) const;

 private:
  explicit Sampler(const SamplingOptions& options) : options_(options) {}
  bool greedy() const { return options_.greedy || options_.temperature < 1e-6; }
  float Penalised(std::span<const float> scores, size_t id) const;

  SamplingOptions options_;
  uint64_t draws_ = 0;
  std::vector<bool> seen_;  // by id, as far as there was any
};

// Ends a text where one of some strings begins. What may be the beginning of one is held back until that is decided.
class StopStrings {
 public:
  explicit StopStrings(std::vector<std::string> stops);
  // Takes more text and returns what of all of it is certain. After a stop nothing is.
  std::string Add(std::string_view text);
  // What was held back: nothing will follow.
  std::string Finish();
  bool stopped() const { return stopped_; }

 private:
  std::vector<std::string> stops_;
  std::string held_;
  bool stopped_ = false;
};

// How many tokens may follow a prompt of `prompt` tokens: at most `new_tokens`, none beyond `length` in all (0: no such
// limit), none beyond the model's `context`. kInvalidArgument, which says why, where that is none.
Result<int64_t> TokensThatMayFollow(int64_t prompt, int64_t new_tokens, int64_t length, int64_t context);

}  // namespace timbre
