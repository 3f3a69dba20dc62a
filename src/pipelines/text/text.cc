#include "pipelines/text/text.h"

#include <algorithm>
#include <chrono>

namespace timbre {
namespace {

using Clock = std::chrono::steady_clock;

double Since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// A prompt's passes are short enough to be asked between.
constexpr size_t kAskedEvery = 256;

}  // namespace

std::string_view NameOf(TextEnd end) {
  switch (end) {
    case TextEnd::kEndToken: return "end token";
    case TextEnd::kStopString: return "stop string";
    case TextEnd::kLimit: return "limit";
    case TextEnd::kContext: return "context";
  }
  return "";
}

double TextReport::tokens_per_second() const {
  return ids.size() > 1 && step_seconds > 0 ? static_cast<double>(ids.size() - 1) / step_seconds : 0;
}

Status WriteText(Generator& generator, const Tokenizer* tokenizer, std::span<const int32_t> prompt,
                 const TextOptions& options, const OnText& on_text, Observer& observer, TextReport& report) {
  report = {};
  report.prompt_tokens = static_cast<int64_t>(prompt.size());
  const auto is_given = [](const std::string& stop) { return !stop.empty(); };
  if (tokenizer == nullptr && std::any_of(options.stops.begin(), options.stops.end(), is_given)) {
    return Fail(ErrorCode::kInvalidArgument, "a stop string needs the model's tokenizer, and there is none");
  }
  const LanguageModelConfig& config = generator.config();
  TIMBRE_TRY(const int64_t most,
             TokensThatMayFollow(report.prompt_tokens, options.max_tokens, options.max_length, config.context));
  TIMBRE_TRY(Sampler sampler, Sampler::Create(options.sampling));
  sampler.See(prompt);

  const auto start = Clock::now();
  generator.Reset();
  std::span<const float> scores;
  for (size_t at = 0; at < prompt.size(); at += kAskedEvery) {
    if (observer.Cancelled()) return Fail(ErrorCode::kCancelled, "cancelled");
    TIMBRE_TRY(scores, generator.Prefill(prompt.subspan(at, std::min(kAskedEvery, prompt.size() - at))));
  }
  if (scores.empty()) return Fail(ErrorCode::kInvalidArgument, "there is no token to read; give a prompt");
  report.prompt_seconds = Since(start);

  std::optional<StreamingDecoder> decoder;
  if (tokenizer != nullptr) decoder.emplace(*tokenizer, true);
  StopStrings stops(options.stops);
  const auto add = [&](const std::string& text) {
    report.text += text;
    if (!text.empty() && on_text) on_text(text);
  };
  Clock::time_point first = start;
  while (true) {
    const size_t n = report.ids.size();
    TIMBRE_TRY(const int32_t id,
               n < options.draws.size() ? sampler.NextBy(scores, options.draws[n]) : sampler.Next(scores));
    report.ids.push_back(id);
    if (n == 0) {
      report.first_seconds = Since(start);
      first = Clock::now();
    }
    report.step_seconds = Since(first);
    if (std::find(config.end_ids.begin(), config.end_ids.end(), id) != config.end_ids.end()) {
      report.end = TextEnd::kEndToken;
      break;
    }
    if (decoder) add(stops.Add(decoder->Add(id)));
    if (stops.stopped()) {
      report.end = TextEnd::kStopString;
      return {};
    }
    if (static_cast<int64_t>(report.ids.size()) == most) {
      const bool asked = most == options.max_tokens || report.prompt_tokens + most == options.max_length;
      report.end = asked ? TextEnd::kLimit : TextEnd::kContext;
      break;
    }
    if (observer.Cancelled()) return Fail(ErrorCode::kCancelled, "cancelled");
    TIMBRE_TRY(scores, generator.Step(id));
  }
  if (decoder) {
    add(stops.Add(decoder->Finish()));
    add(stops.Finish());
    if (stops.stopped()) report.end = TextEnd::kStopString;
  }
  return {};
}

}  // namespace timbre
