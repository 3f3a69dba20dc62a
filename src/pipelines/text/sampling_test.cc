#include "pipelines/text/sampling.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "tests/support/golden.h"

namespace timbre {
namespace {

using nlohmann::json;
using testing::Values;

Sampler Make(const SamplingOptions& options) {
  auto made = Sampler::Create(options);
  if (!made) ADD_FAILURE() << made.error().message;
  return *std::move(made);
}

std::vector<int32_t> IdsOf(const std::vector<float>& values) { return {values.begin(), values.end()}; }

SamplingOptions OptionsOf(const json& said) {
  return {.temperature = said.value("temperature", 1.0),
          .top_k = said.value("top_k", 0),
          .top_p = said.value("top_p", 1.0),
          .repetition_penalty = said.value("repetition_penalty", 1.0)};
}

// The first token of each of the reference's samples, whose scores are those of the prompt's last position: the
// probabilities that are left, and what is drawn.
void CheckFirstDraws(const std::string& path, int& checked) {
  const auto file = ReadSafetensors(path);
  ASSERT_TRUE(file) << file.error().message;
  SCOPED_TRACE(path);
  const std::vector<float> logits = Values(*file, "logits");
  const std::vector<int32_t> prompt = IdsOf(Values(*file, "ids"));
  const auto vocabulary = static_cast<size_t>(file->tensors->at("logits").shape.back());
  const std::span<const float> scores = std::span(logits).last(vocabulary);
  const json sampling = json::parse(file->metadata.at("sampling"));
  std::map<std::string, json> samples;
  if (sampling.contains("temperature")) samples["sample"] = sampling;
  for (const auto& [name, said] : sampling.items()) {
    if (said.is_object() && name != "lemm") samples[name] = said;
  }
  for (const auto& [name, said] : samples) {
    SCOPED_TRACE(name);
    Sampler sampler = Make(OptionsOf(said));
    sampler.See(prompt);
    if (file->tensors->contains(name + ".probs0")) {
      std::vector<double> ours(vocabulary);
      for (const Likelihood& one : sampler.Likelihoods(scores)) ours[static_cast<size_t>(one.id)] = one.probability;
      const std::vector<float> theirs = Values(*file, name + ".probs0");
      for (size_t i = 0; i < vocabulary; ++i) {
        ASSERT_EQ(ours[i] == 0, theirs[i] == 0) << i;
        ASSERT_NEAR(ours[i], theirs[i], 2e-6) << i;
      }
    }
    EXPECT_EQ(*sampler.NextBy(scores, Values(*file, name + ".uniform")[0]), IdsOf(Values(*file, name))[0]);
    ++checked;
  }
  Sampler greedy = Make({.greedy = true});
  EXPECT_EQ(*greedy.Next(scores), IdsOf(Values(*file, "greedy"))[0]);
  if (file->tensors->contains("greedy.penalty1.3")) {
    Sampler penalised = Make({.temperature = 0, .repetition_penalty = 1.3});
    penalised.See(prompt);
    EXPECT_EQ(*penalised.Next(scores), IdsOf(Values(*file, "greedy.penalty1.3"))[0]);
  }
}

TEST(Sampling, DrawsAsTheReference) {
  const std::string folder = testing::SharedPath("goldens/lm/");
  TIMBRE_NEED_SHARED(folder);
  int checked = 0;
  for (const char* name : {"gpt2-tiny", "phi-tiny", "smollm2-tiny", "llama3-tiny", "qwen2-tiny", "qwen3-tiny",
                           "gguf-tiny", "smollm2-135m/chat", "smollm2-135m/lemm"}) {
    CheckFirstDraws(folder + name + ".safetensors", checked);
  }
  EXPECT_EQ(checked, 6 * 3 + 3);
}

std::vector<int32_t> Left(const SamplingOptions& options, const std::vector<float>& scores) {
  std::vector<int32_t> ids;
  for (const Likelihood& one : Make(options).Likelihoods(scores)) ids.push_back(one.id);
  return ids;
}

TEST(Sampling, EachStepMeansWhatItSays) {
  using Ids = std::vector<int32_t>;
  const std::vector<float> scores = {1, 3, 2, 3, 0, 2};
  EXPECT_EQ(Left({.top_k = 0}, scores), (Ids{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(Left({.top_k = 2}, scores), (Ids{1, 3}));
  EXPECT_EQ(Left({.top_k = 3}, scores), (Ids{1, 2, 3, 5})) << "what equals the k-th stays";
  EXPECT_EQ(Left({.top_k = 0, .top_p = 0}, scores), (Ids{1})) << "the likeliest always stays";
  // 3 and 3 have 0.336 each, 2 and 2 0.124.
  EXPECT_EQ(Left({.top_k = 0, .top_p = 0.3}, scores), (Ids{1}));
  EXPECT_EQ(Left({.top_k = 0, .top_p = 0.35}, scores), (Ids{1, 3}));
  EXPECT_EQ(Left({.top_k = 0, .top_p = 0.7}, scores), (Ids{1, 2, 3})) << "the one that crosses p stays";
  EXPECT_EQ(Left({.top_k = 0, .min_p = 0.3}, scores), (Ids{1, 2, 3, 5}));
  EXPECT_EQ(Left({.top_k = 0, .min_p = 0.5}, scores), (Ids{1, 3}));
  EXPECT_EQ(Left({.greedy = true}, scores), (Ids{1}));
  EXPECT_EQ(Left({.temperature = 0.5, .top_k = 0, .min_p = 0.3}, scores), (Ids{1, 3})) << "temperature is before min-p";

  // The penalty: once for an id, however often it occurred, and by its sign.
  Sampler sampler = Make({.top_k = 0, .repetition_penalty = 2});
  sampler.See(std::vector<int32_t>{0, 0, 1, 7});
  const auto likely = sampler.Likelihoods(std::vector<float>{-1, 2, 1});
  EXPECT_NEAR(std::log(likely[2].probability / likely[0].probability), 3, 1e-6);
  EXPECT_NEAR(likely[1].probability, likely[2].probability, 1e-12);
}

TEST(Sampling, TheSeedsNumbersAreThoseThatAreDocumented) {
  // A vocabulary so even that ids are the numbers: u * 2^16, rounded down.
  const std::vector<float> scores(1 << 16, 0.0f);
  Sampler sampler = Make({.top_k = 0, .seed = 42});
  uint64_t z = 42;
  for (int i = 0; i < 100; ++i) {
    z += 0x9E3779B97F4A7C15u;
    uint64_t x = z;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    EXPECT_EQ(*sampler.Next(scores), static_cast<int32_t>((x ^ (x >> 31)) >> 48)) << i;
  }
  EXPECT_EQ(*Make({.top_k = 0}).NextBy(scores, 0.0), 0);
  EXPECT_EQ(*Make({.top_k = 0}).NextBy(scores, std::nextafter(1.0, 0.0)), (1 << 16) - 1);
}

TEST(Sampling, ScoresThatAreNoNumbersAreAnError) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  for (const std::vector<float>& scores : {std::vector<float>{1, NAN}, {1, kInf}, {-kInf, -kInf}, {}}) {
    for (const bool greedy : {true, false}) {
      const auto next = Make({.greedy = greedy}).Next(scores);
      ASSERT_FALSE(next);
      EXPECT_EQ(next.error().code, ErrorCode::kKernelFailed);
    }
  }
  EXPECT_EQ(*Make({}).Next(std::vector<float>{-kInf, 1, -kInf}), 1) << "what the model rules out is not drawn";
}

TEST(Sampling, OptionsThatMakeNoSenseAreRefused) {
  EXPECT_FALSE(Sampler::Create({.temperature = -1}));
  EXPECT_FALSE(Sampler::Create({.temperature = NAN}));
  EXPECT_FALSE(Sampler::Create({.top_k = -1}));
  EXPECT_FALSE(Sampler::Create({.top_p = 1.5}));
  EXPECT_FALSE(Sampler::Create({.min_p = NAN}));
  EXPECT_FALSE(Sampler::Create({.repetition_penalty = 0}));
}

TEST(Sampling, WhatIsNotSaidIsTheModels) {
  SamplingChoice choice;
  SamplingDefaults defaults;
  EXPECT_EQ(choice.Resolve(defaults).top_k, 50) << "as the reference's library has it, though nobody asks";
  defaults.top_k = 20;
  defaults.temperature = 0.7;
  EXPECT_EQ(choice.Resolve(defaults).top_k, 20);
  choice.top_k = 0;
  EXPECT_EQ(choice.Resolve(defaults).top_k, 0);
  EXPECT_EQ(choice.Resolve(defaults).temperature, 0.7);
}

TEST(StopStrings, EndATextWhereverTheyAreCut) {
  const std::string text = "one [Verse] two\n\nthree";
  for (const std::vector<std::string>& stops :
       {std::vector<std::string>{"\n\n"}, {"two", "[Verse] t"}, {"none"}, {"ee"}, {""}, {"thre!", "three?"}}) {
    std::string expected = text;
    for (const std::string& stop : stops) {
      if (!stop.empty()) expected = expected.substr(0, std::min(expected.size(), text.find(stop)));
    }
    for (size_t step = 1; step <= text.size(); ++step) {
      StopStrings filter(stops);
      std::string shown;
      for (size_t at = 0; at < text.size(); at += step) shown += filter.Add(text.substr(at, step));
      EXPECT_EQ(shown + filter.Finish(), expected) << stops[0] << " in steps of " << step;
      EXPECT_EQ(filter.stopped(), expected != text);
    }
  }
}

TEST(TokensThatMayFollow, AreLimitedByWhatComesFirst) {
  EXPECT_EQ(*TokensThatMayFollow(10, 100, 0, 1000), 100);
  EXPECT_EQ(*TokensThatMayFollow(10, 100, 50, 1000), 40);
  EXPECT_EQ(*TokensThatMayFollow(10, 100, 0, 64), 54);
  EXPECT_NE(TokensThatMayFollow(64, 100, 0, 64).error().message.find("reads at most 64"), std::string::npos);
  EXPECT_NE(TokensThatMayFollow(50, 100, 50, 64).error().message.find("may have 50"), std::string::npos);
}

}  // namespace
}  // namespace timbre
