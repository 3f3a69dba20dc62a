#include "pipelines/separate/memory_separator.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "audio/resample.h"
#include "pipelines/job_json.h"
#include "pipelines/separate/separate_fields.h"

namespace timbre {

FieldList MemorySeparator::Fields() {
  constexpr std::array<std::string_view, 10> kAboutSound = {
      "stems", "two-stems", "rest", "segment", "overlap", "shifts", "seed", "transition-power", "normalise", "batch"};
  FieldList fields = choice_.Fields("config");
  Append(fields, choice_.EnsembleFields());
  for (Field& field : SeparateFields(options_)) {
    if (std::find(kAboutSound.begin(), kAboutSound.end(), field.name) != kAboutSound.end()) {
      fields.push_back(std::move(field));
    }
  }
  return Append(fields, runtime_.Fields());
}

Result<std::unique_ptr<MemorySeparator>> MemorySeparator::Create(const Json& options, const JobHost& host,
                                                                 Observer& observer) {
  std::unique_ptr<MemorySeparator> made(new MemorySeparator);
  TIMBRE_CHECK(SetOptions(made->Fields(), options));
  TIMBRE_CHECK(made->runtime_.Check());
  made->options_.session = made->runtime_.Session(host);
  made->options_.output_dir.clear();  // there is none
  TIMBRE_TRY(std::vector<LoadedModel> models, made->choice_.LoadAll(host, observer));
  made->pool_ = std::make_unique<ThreadPool>(made->runtime_.threads());
  TIMBRE_TRY(made->separator_, made->choice_.MakeSeparator(std::move(models), made->options_, *made->pool_,
                                                           made->stats_, host, observer));
  return made;
}

Result<std::vector<std::vector<std::vector<float>>>> MemorySeparator::Run(std::span<const float* const> channels,
                                                                          int64_t frames, int rate,
                                                                          Observer& observer) {
  const auto count = static_cast<int>(channels.size());
  if (count < 1 || count > 2) {
    return Fail(ErrorCode::kInvalidArgument,
                "sound in memory has 1 or 2 channels, not " + std::to_string(count) + "; mix it down first");
  }
  if (frames < 1) return Fail(ErrorCode::kInvalidArgument, "there are no samples to separate");
  std::vector<float> interleaved(static_cast<size_t>(frames) * channels.size()), mix;
  for (int c = 0; c < count; ++c) {
    for (int64_t i = 0; i < frames; ++i) interleaved[i * count + c] = channels[c][i];
  }
  TIMBRE_TRY(Resampler in, Resampler::Create(rate, sample_rate(), count));
  TIMBRE_CHECK(in.Push(interleaved.data(), frames, &mix));
  TIMBRE_CHECK(in.Finish(&mix));
  TIMBRE_TRY(const std::vector<std::vector<float>> parts, separator_->SeparateSamples(mix, count, observer));
  std::vector<std::vector<std::vector<float>>> stems;
  for (const std::vector<float>& part : parts) {
    interleaved.clear();
    TIMBRE_TRY(Resampler out, Resampler::Create(sample_rate(), rate, count));
    TIMBRE_CHECK(out.Push(part.data(), static_cast<int64_t>(part.size()) / count, &interleaved));
    TIMBRE_CHECK(out.Finish(&interleaved, frames));
    std::vector<std::vector<float>>& stem = stems.emplace_back(count, std::vector<float>(static_cast<size_t>(frames)));
    for (int c = 0; c < count; ++c) {
      for (int64_t i = 0; i < frames; ++i) stem[c][i] = interleaved[i * count + c];
    }
  }
  return stems;
}

}  // namespace timbre
