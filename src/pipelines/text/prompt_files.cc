#include "pipelines/text/prompt_files.h"

#include <charconv>
#include <cmath>
#include <cstring>
#include <iostream>

#include "base/text.h"
#include "formats/safetensors.h"
#include "models/song/song_model.h"

namespace timbre {
namespace {

constexpr size_t kMostPrompt = size_t{1} << 24;
constexpr int64_t kMostIds = 1 << 20;
constexpr int64_t kMostLogitBytes = int64_t{4} << 30;

tl::unexpected<Error> NoId(std::string_view what) {
  return Fail(ErrorCode::kInvalidArgument, "'" + Printable(what) + "' stands where the id of a token should");
}

}  // namespace

Result<std::string> ReadPrompt(const std::string& prompt) {
  if (prompt != "-") return prompt;
  std::string text;
  char buffer[4096];
  while (std::cin.read(buffer, sizeof(buffer)), std::cin.gcount() > 0) {
    text.append(buffer, static_cast<size_t>(std::cin.gcount()));
    if (text.size() > kMostPrompt) return Fail(ErrorCode::kUnsupported, "the prompt takes more than 16 MiB");
  }
  return text;
}

Result<std::vector<int32_t>> ParseIds(std::string_view text) {
  constexpr std::string_view kBetween = " \t\r\n,[]";
  std::vector<int32_t> ids;
  while (true) {
    const size_t begin = text.find_first_not_of(kBetween);
    if (begin == std::string_view::npos) break;
    text.remove_prefix(begin);
    const std::string_view word = text.substr(0, text.find_first_of(kBetween));
    int32_t id = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), id);
    if (error != std::errc() || end != word.data() + word.size() || id < 0) return NoId(word);
    ids.push_back(id);
    text.remove_prefix(word.size());
  }
  if (ids.empty()) return Fail(ErrorCode::kInvalidArgument, "there is no id of a token in it");
  return ids;
}

Result<std::vector<int32_t>> ReadIds(const std::string& path) {
  if (!path.ends_with(".safetensors")) {
    TIMBRE_TRY(const std::string text, ReadSmallText(path));
    auto ids = ParseIds(text);
    if (!ids) return Prefix(std::move(ids).error(), Printable(path));
    return ids;
  }
  TIMBRE_TRY(const Safetensors file, ReadSafetensors(path));
  const auto found = file.tensors->find("ids");
  if (found == file.tensors->end() || found->second.shape.elements() > kMostIds) {
    return Fail(ErrorCode::kInvalidArgument, Printable(path) + ": it has no tensor 'ids' that could be a prompt's");
  }
  std::vector<int32_t> ids;
  for (const float value : found->second.ToF32()) {
    if (!(value >= 0 && value < 0x1p24f) || value != std::floor(value)) {
      return Prefix(Error(NoId(std::to_string(value)).value()), Printable(path));
    }
    ids.push_back(static_cast<int32_t>(value));
  }
  return ids;
}

Status WriteLogits(Generator& generator, std::span<const int32_t> prompt, const std::string& path) {
  const auto positions = static_cast<int64_t>(prompt.size());
  const int64_t vocabulary = generator.config().vocabulary;
  if (positions * vocabulary > kMostLogitBytes / 4) {
    return Fail(ErrorCode::kInvalidArgument, "the scores of " + std::to_string(positions) + " tokens over " +
                                                 std::to_string(vocabulary) +
                                                 " take more than 4 GiB; give a shorter prompt");
  }
  std::vector<std::byte> bytes(static_cast<size_t>(positions * vocabulary) * sizeof(float));
  size_t at = 0;
  generator.Reset();
  TIMBRE_CHECK(generator.PrefillAll(prompt, [&](std::span<const float> rows) -> Status {
    std::memcpy(bytes.data() + at, rows.data(), rows.size_bytes());
    at += rows.size_bytes();
    return {};
  }));
  TensorMap tensors;
  tensors.emplace("logits", HostTensor::FromBytes({positions, vocabulary}, DType::kF32, std::move(bytes)));
  tensors.emplace("ids", HostTensor::FromI32({positions}, prompt));
  return WriteSafetensors(path, tensors, {{"model_type", std::string(NameOf(generator.config().family))}});
}

}  // namespace timbre
