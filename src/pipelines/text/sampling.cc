#include "pipelines/text/sampling.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace timbre {
namespace {

double Uniform(uint64_t seed, uint64_t n) {
  uint64_t z = seed + n * 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return static_cast<double>((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

struct Score {
  float score;
  int32_t id;
  // By likelihood, of equals the higher id first: the order of a heap that gives the likeliest, lowest id.
  bool operator<(const Score& other) const { return score != other.score ? score < other.score : id > other.id; }
};

void KeepTopK(std::vector<Score>& scores, int k) {
  if (k <= 0 || scores.size() <= static_cast<size_t>(k)) return;
  std::vector<float> values;
  values.reserve(scores.size());
  for (const Score& s : scores) values.push_back(s.score);
  const auto kth = values.begin() + (k - 1);
  std::nth_element(values.begin(), kth, values.end(), std::greater<>());
  const float least = *kth;
  std::erase_if(scores, [&](const Score& s) { return s.score < least; });
}

void KeepTopP(std::vector<Score>& scores, double p, float top) {
  if (p >= 1) return;
  double sum = 0;
  for (const Score& s : scores) sum += std::exp(double{s.score} - top);
  // The likeliest to the end of the list, one by one: most of the list is never put in order.
  std::make_heap(scores.begin(), scores.end());
  auto end = scores.end();
  for (double reached = 0; end != scores.begin() && (reached < p || end == scores.end()); --end) {
    std::pop_heap(scores.begin(), end);
    reached += std::exp(double{(end - 1)->score} - top) / sum;
  }
  scores.erase(scores.begin(), end);
}

}  // namespace

FieldList SamplingChoice::Fields(const SamplingOptions& otherwise) {
  const auto unless_greedy = [this] { return greedy ? "--greedy draws nothing" : ""; };
  const auto with = [](const char* help, double value) {
    return fmt::format("{} (default: the model's, else {})", help, value);
  };
  return {{.name = "greedy", .value = &greedy, .help = "always the likeliest token, nothing by chance"},
          {.name = "temperature",
           .value = &temperature,
           .help = with("below 1 the likely becomes likelier; 0: as --greedy", otherwise.temperature),
           .min = 0,
           .max = 100,
           .idle = unless_greedy},
          {.name = "top-k",
           .value = &top_k,
           .help = with("draw from this many tokens at most; 0: all", otherwise.top_k),
           .min = 0,
           .max = 1 << 20,
           .idle = unless_greedy},
          {.name = "top-p",
           .value = &top_p,
           .help = with("draw from the likeliest that make up this share together", otherwise.top_p),
           .min = 0,
           .max = 1,
           .idle = unless_greedy},
          {.name = "min-p",
           .value = &min_p,
           .help = with("leave out what is less likely than this share of the likeliest", otherwise.min_p),
           .min = 0,
           .max = 1,
           .idle = unless_greedy},
          {.name = "repetition-penalty",
           .value = &repetition_penalty,
           .help = with("above 1: tokens that occurred become less likely", otherwise.repetition_penalty),
           .min = 0.01,
           .max = 100},
          {.name = "seed", .value = &seed, .help = "the same seed gives the same text", .idle = unless_greedy}};
}

SamplingOptions SamplingChoice::Resolve(const SamplingDefaults& defaults) const {
  SamplingOptions options{.greedy = greedy, .seed = seed};
  options.temperature = temperature.value_or(defaults.temperature.value_or(options.temperature));
  options.top_k = top_k.value_or(defaults.top_k.value_or(options.top_k));
  options.top_p = top_p.value_or(defaults.top_p.value_or(options.top_p));
  options.min_p = min_p.value_or(defaults.min_p.value_or(options.min_p));
  options.repetition_penalty =
      repetition_penalty.value_or(defaults.repetition_penalty.value_or(options.repetition_penalty));
  return options;
}

Result<Sampler> Sampler::Create(const SamplingOptions& options) {
  const auto within = [](double x, double least, double most) { return x >= least && x <= most; };
  const char* wrong = !within(options.temperature, 0, 1e6)             ? "temperature"
                      : options.top_k < 0                              ? "top-k"
                      : !within(options.top_p, 0, 1)                   ? "top-p"
                      : !within(options.min_p, 0, 1)                   ? "min-p"
                      : !within(options.repetition_penalty, 1e-6, 1e6) ? "repetition penalty"
                                                                       : nullptr;
  if (wrong != nullptr) {
    return Fail(ErrorCode::kInvalidArgument, std::string("the ") + wrong + " makes no sense: it is out of range.");
  }
  return Sampler(options);
}

void Sampler::See(std::span<const int32_t> ids) {
  for (const int32_t id : ids) {
    if (id < 0) continue;
    if (static_cast<size_t>(id) >= seen_.size()) seen_.resize(static_cast<size_t>(id) + 1);
    seen_[static_cast<size_t>(id)] = true;
  }
}

float Sampler::Penalised(std::span<const float> scores, size_t id) const {
  const float s = scores[id], r = static_cast<float>(options_.repetition_penalty);
  if (r == 1 || id >= seen_.size() || !seen_[id]) return s;
  return s < 0 ? s * r : s / r;
}

std::vector<Likelihood> Sampler::Likelihoods(std::span<const float> scores) const {
  constexpr float kNone = -std::numeric_limits<float>::infinity();  // what a model itself rules out
  const auto temperature = static_cast<float>(options_.temperature);
  std::vector<Score> left;
  left.reserve(scores.size());
  for (size_t id = 0; id < scores.size(); ++id) {
    const float s = Penalised(scores, id) / (greedy() ? 1.0f : temperature);
    if (std::isnan(s) || s == -kNone) return {};
    if (s != kNone) left.push_back({s, static_cast<int32_t>(id)});
  }
  if (left.empty()) return {};
  const float top = std::max_element(left.begin(), left.end())->score;
  if (greedy()) return {{std::max_element(left.begin(), left.end())->id, 1.0}};
  KeepTopK(left, options_.top_k);
  KeepTopP(left, options_.top_p, top);
  std::erase_if(left, [&](const Score& s) { return std::exp(double{s.score} - top) < options_.min_p; });
  std::sort(left.begin(), left.end(), [](const Score& a, const Score& b) { return a.id < b.id; });
  double sum = 0;
  for (const Score& s : left) sum += std::exp(double{s.score} - top);
  std::vector<Likelihood> likelihoods;
  likelihoods.reserve(left.size());
  for (const Score& s : left) likelihoods.push_back({s.id, std::exp(double{s.score} - top) / sum});
  return likelihoods;
}

Result<int32_t> Sampler::Next(std::span<const float> scores) {
  return NextBy(scores, Uniform(options_.seed, ++draws_));
}

Result<int32_t> Sampler::NextBy(std::span<const float> scores, double u) {
  const std::vector<Likelihood> likelihoods = Likelihoods(scores);
  if (likelihoods.empty()) {
    return Fail(ErrorCode::kKernelFailed, "the model's scores are not numbers: the model is damaged, or a kernel is.");
  }
  int32_t id = likelihoods.back().id;  // where rounding leaves the sum below u
  double sum = 0;
  for (const Likelihood& one : likelihoods) {
    sum += one.probability;
    if (sum > u) {
      id = one.id;
      break;
    }
  }
  See({&id, 1});
  return id;
}

StopStrings::StopStrings(std::vector<std::string> stops) : stops_(std::move(stops)) { std::erase(stops_, ""); }

std::string StopStrings::Add(std::string_view text) {
  if (stopped_) return "";
  held_ += text;
  size_t certain = held_.size();
  for (const std::string& stop : stops_) {
    if (const size_t at = held_.find(stop); at != std::string::npos) {
      stopped_ = true;
      certain = std::min(certain, at);
    }
  }
  if (!stopped_) {
    for (const std::string& stop : stops_) {
      for (size_t length = std::min(stop.size() - 1, held_.size()); length > 0; --length) {
        if (!held_.ends_with(std::string_view(stop).substr(0, length))) continue;
        certain = std::min(certain, held_.size() - length);
        break;
      }
    }
  }
  std::string out = held_.substr(0, certain);
  held_.erase(0, stopped_ ? held_.size() : certain);
  return out;
}

std::string StopStrings::Finish() { return std::exchange(held_, ""); }

Result<int64_t> TokensThatMayFollow(int64_t prompt, int64_t new_tokens, int64_t length, int64_t context) {
  const auto none = [&](const std::string& limit, int64_t most) {
    return Fail(ErrorCode::kInvalidArgument, "the prompt has " + std::to_string(prompt) + " tokens, and " + limit +
                                                 std::to_string(most) + ": nothing can follow; shorten it.");
  };
  if (prompt >= context) return none("the model reads at most ", context);
  if (length > 0 && prompt >= length) return none("the whole text may have ", length);
  int64_t left = std::min(new_tokens, context - prompt);
  if (length > 0) left = std::min(left, length - prompt);
  return left;
}

}  // namespace timbre
