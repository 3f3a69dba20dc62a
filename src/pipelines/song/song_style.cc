#include "pipelines/song/song_style.h"

#include <algorithm>
#include <cmath>

#include "audio/decode.h"
#include "audio/resample.h"
#include "base/text.h"
#include "formats/safetensors.h"
#include "pipelines/song/style_model.h"

namespace timbre {
namespace {

constexpr double kMostSeconds = 10;  // of a sound, which is what the reference takes of it

Result<std::vector<float>> VectorOf(const std::string& path) {
  const auto file = ReadSafetensors(path);
  if (!file && file.error().code == ErrorCode::kCorrupt) {
    return Fail(ErrorCode::kCorrupt, Printable(path) +
                                         ": it is no .safetensors, which --style takes; a sound goes with "
                                         "--style-audio, and words with --style-text");
  }
  if (!file) return tl::unexpected<Error>(file.error());
  const auto found = file->tensors->find("style");
  if (found == file->tensors->end() || found->second.shape.elements() != kStyleFeatures) {
    return Fail(ErrorCode::kCorrupt,
                Printable(path) + ": it holds no tensor 'style' of " + std::to_string(kStyleFeatures) + " numbers");
  }
  std::vector<float> style = found->second.ToF32();
  if (!std::all_of(style.begin(), style.end(), [](float x) { return std::isfinite(x); })) {
    return Fail(ErrorCode::kCorrupt, Printable(path) + ": 'style' holds something that is not a number");
  }
  return style;
}

// Ten seconds from `offset` on, as one channel at `rate`.
Result<std::vector<float>> SoundOf(const std::string& path, double offset, int rate) {
  TIMBRE_TRY(const std::unique_ptr<AudioReader> reader, AudioReader::Open(path));
  const int channels = reader->info().channels, from = reader->info().sample_rate;
  TIMBRE_TRY(Resampler resampler, Resampler::Create(from, rate, 1));
  const auto skip = static_cast<int64_t>(offset * from), most = static_cast<int64_t>(kMostSeconds * from);
  constexpr int64_t kPiece = 1 << 14;
  std::vector<float> piece(static_cast<size_t>(kPiece * channels)), mono, sound;
  int64_t taken = 0;
  for (;;) {
    const int64_t at = reader->position();
    TIMBRE_TRY(const int64_t count, reader->Read(piece.data(), kPiece));
    if (count == 0) break;
    mono.clear();
    for (int64_t i = std::max<int64_t>(0, skip - at); i < count && taken < most; ++i, ++taken) {
      float sum = 0;
      for (int c = 0; c < channels; ++c) sum += piece[i * channels + c];
      mono.push_back(sum / static_cast<float>(channels));
    }
    TIMBRE_CHECK(resampler.Push(mono.data(), static_cast<int64_t>(mono.size()), &sound));
    if (taken == most) break;
  }
  TIMBRE_CHECK(resampler.Finish(&sound));
  if (taken == 0) {
    return Fail(ErrorCode::kInvalidArgument, Printable(path) + ": it ends before --style-offset");
  }
  return sound;
}

}  // namespace

Result<std::vector<float>> StyleOf(const SongOptions& options, ThreadPool& pool, Stats& stats) {
  if (!options.style.empty()) return VectorOf(options.style);
  TIMBRE_TRY(const StyleModel model, OpenStyleModel(options.style_model));
  if (model.config.latent != kStyleFeatures) {
    return Fail(ErrorCode::kUnsupported, "'" + Printable(options.style_model) + "' makes styles of " +
                                             std::to_string(model.config.latent) + " numbers, not of " +
                                             std::to_string(kStyleFeatures));
  }
  std::vector<float> sound, words;
  if (!options.style_audio.empty()) {
    TIMBRE_TRY(const std::vector<float> samples,
               SoundOf(options.style_audio, options.style_offset, model.config.sample_rate));
    auto style = StyleOfSound(model, samples, options.session, pool, &stats);
    if (!style) return Prefix(style.error(), Printable(options.style_audio));
    sound = *std::move(style);
  }
  if (!options.style_text.empty()) {
    TIMBRE_TRY(const std::vector<int32_t> tokens, TokensOfWords(model.tokenizer, options.style_text));
    TIMBRE_TRY(words, StyleOfTokens(model, tokens, options.session, pool, &stats));
  }
  if (sound.empty()) return words;
  if (words.empty()) return sound;
  // Between the two, and of length 1 as each of them.
  const auto share = static_cast<float>(options.style_blend);
  double square = 0;
  for (size_t i = 0; i < sound.size(); ++i) {
    sound[i] = share * sound[i] + (1 - share) * words[i];
    square += double{sound[i]} * sound[i];
  }
  const auto length = static_cast<float>(std::max(std::sqrt(square), 1e-12));
  for (float& x : sound) x /= length;
  return sound;
}

}  // namespace timbre
