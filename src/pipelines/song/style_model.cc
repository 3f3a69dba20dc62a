#include "pipelines/song/style_model.h"

#include <sentencepiece_processor.h>

#include <algorithm>
#include <filesystem>

#include "base/files.h"
#include "base/text.h"
#include "formats/checkpoint.h"
#include "formats/weight_values.h"
#include "models/named_model.h"
#include "models/song/song_model.h"

namespace timbre {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMaxTokenizer = int64_t{256} << 20;
constexpr size_t kMaxWords = 1 << 16;  // bytes
constexpr const char* kTokenizer = "xlm-roberta-base/sentencepiece.bpe.model";

Result<StyleModel> ReadFolder(const fs::path& folder) {
  StyleModel model;
  std::string texts[3];
  const char* const names[] = {"config.json", "muq/config.json", "xlm-roberta-base/config.json"};
  for (int i = 0; i < 3; ++i) {
    TIMBRE_TRY(texts[i], ReadSmallText((folder / names[i]).string()));
  }
  auto config = ParseMulanConfig(texts[0], texts[1], texts[2]);
  if (!config) return Prefix(config.error(), folder.string());
  model.config = *config;
  std::error_code error;
  fs::path weights = folder / "model.safetensors";
  if (!fs::exists(weights, error)) weights = folder / "pytorch_model.bin";
  TIMBRE_TRY(const Checkpoint checkpoint, ReadCheckpoint(weights.string()));
  model.weights = std::make_shared<const TensorMap>(checkpoint.State());
  if (const Status sane = CheckValues(*model.weights); !sane) return Prefix(sane.error(), weights.string());
  model.tokenizer = (folder / kTokenizer).string();
  return model;
}

// One run of a graph with one input and one output that count.
Result<std::vector<float>> RunTower(Result<Graph> graph, const float* input, const SessionOptions& options,
                                    ThreadPool& pool, Stats* stats) {
  if (!graph) return tl::unexpected<Error>(graph.error());
  std::vector<float> latent(static_cast<size_t>(graph->shape(graph->outputs[0].tensor).elements()));
  TIMBRE_TRY(const std::unique_ptr<Session> session, MakeSession(*std::move(graph), options, pool, stats));
  const float* in[] = {input};
  float* out[] = {latent.data()};
  TIMBRE_CHECK(session->Run(in, out));
  return latent;
}

}  // namespace

Result<StyleModel> OpenStyleModel(const std::string& name) {
  TIMBRE_TRY(const NamedModel named, FindNamedModel(name, ModelTask::kStyle));
  std::error_code error;
  if (fs::is_directory(named.path, error)) return ReadFolder(named.path);
  return Fail(ErrorCode::kNotFound, "'" + Printable(name) + "' is no folder; what makes styles is one");
}

std::vector<std::vector<float>> ClipsOf(std::span<const float> sound, int64_t clip) {
  std::vector<std::vector<float>> clips;
  const auto size = static_cast<int64_t>(sound.size());
  for (int64_t at = 0; at < size; at += clip) {
    const int64_t own = std::min(clip, size - at), more = std::min(clip - own, size);
    std::vector<float> one(sound.begin() + at, sound.begin() + at + own);
    one.insert(one.end(), sound.begin(), sound.begin() + more);
    clips.push_back(std::move(one));
  }
  return clips;
}

Result<std::vector<float>> StyleOfSound(const StyleModel& model, std::span<const float> sound,
                                        const SessionOptions& options, ThreadPool& pool, Stats* stats) {
  const std::vector<std::vector<float>> clips = ClipsOf(sound, model.config.clip_samples());
  if (clips.empty()) return Fail(ErrorCode::kInvalidArgument, "the style's sound is empty");
  const std::unique_ptr<Weights> weights = WeightsFromMap(model.weights);
  std::vector<float> mean(static_cast<size_t>(model.config.latent));
  for (const std::vector<float>& clip : clips) {
    TIMBRE_TRY(const std::vector<float> latent,
               RunTower(BuildMulanAudio(model.config, *weights, static_cast<int64_t>(clip.size())), clip.data(),
                        options, pool, stats));
    for (size_t i = 0; i < mean.size(); ++i) mean[i] += latent[i] / static_cast<float>(clips.size());
  }
  return mean;
}

Result<std::vector<float>> StyleOfTokens(const StyleModel& model, std::span<const int32_t> tokens,
                                         const SessionOptions& options, ThreadPool& pool, Stats* stats) {
  const std::unique_ptr<Weights> weights = WeightsFromMap(model.weights);
  TIMBRE_TRY(const std::vector<float> embedding, EmbedMulanText(model.config, *weights, tokens));
  return RunTower(BuildMulanText(model.config, *weights, static_cast<int64_t>(tokens.size())), embedding.data(),
                  options, pool, stats);
}

Result<std::vector<int32_t>> TokensOfWords(const std::string& tokenizer, const std::string& words) {
  // The library's own numbers: its pieces begin with <unk>, <s> and </s>, the network's with <s>, <pad>, </s> and
  // <unk>.
  constexpr int32_t kBegin = 0, kEnd = 2, kUnknown = 3;
  if (words.size() > kMaxWords || !IsUtf8(words)) {
    return Fail(ErrorCode::kInvalidArgument, "a style's words are too long, or are not UTF-8");
  }
  const int64_t bytes = FileBytes(tokenizer);
  if (bytes < 0) return tl::unexpected<Error>(NoFile(tokenizer));
  if (bytes > kMaxTokenizer) return Fail(ErrorCode::kUnsupported, Printable(tokenizer) + ": it is too large");
  std::vector<int32_t> tokens{kBegin};
  try {
    sentencepiece::SentencePieceProcessor processor;
    std::vector<int> pieces;
    if (!processor.Load(tokenizer).ok() || !processor.Encode(words, &pieces).ok()) {
      return Fail(ErrorCode::kCorrupt, Printable(tokenizer) + ": it is no model of SentencePiece");
    }
    for (const int piece : pieces) tokens.push_back(piece == processor.unk_id() ? kUnknown : piece + 1);
  } catch (const std::exception& e) {
    return Fail(ErrorCode::kCorrupt, Printable(tokenizer) + ": it can't be read: " + Printable(e.what()));
  }
  tokens.push_back(kEnd);
  return tokens;
}

}  // namespace timbre
