// Folders of Hugging Face's layout.
#include "models/language/language_model.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "base/files.h"
#include "base/text.h"
#include "formats/safetensors.h"
#include "models/named_model.h"
#include "models/song/song_model.h"

namespace timbre {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMostShards = 1024;
constexpr std::string_view kIndexFile = "model.safetensors.index.json", kWeightsFile = "model.safetensors";

// Which file each weight is in, by the index of a model in several.
Result<std::map<std::string, std::string>> ReadIndex(const fs::path& path) {
  TIMBRE_TRY(const std::string text, ReadSmallText(path.string()));
  const auto broken = [&](const std::string& what) {
    return Fail(ErrorCode::kCorrupt, path.string() + ": " + what + "; get the file again");
  };
  // The text is short, and brackets in it can't be deeper than it is long: a megabyte of them is refused first.
  if (std::count(text.begin(), text.end(), '{') > 8 || std::count(text.begin(), text.end(), '[') > 8) {
    return broken("it is no index of weights");
  }
  const auto json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object() || !json.contains("weight_map") || !json["weight_map"].is_object()) {
    return broken("it has no 'weight_map'");
  }
  std::map<std::string, std::string> files;
  std::set<std::string> shards;
  for (const auto& [name, file] : json["weight_map"].items()) {
    const std::string shard = file.is_string() ? file.get<std::string>() : "";
    // A shard lies beside the index, nowhere else.
    if (shard.empty() || shard.find('/') != std::string::npos || shard.find('\0') != std::string::npos ||
        !shard.ends_with(".safetensors")) {
      return broken("the weight '" + Printable(name) + "' is in '" + Printable(shard) +
                    "', which is no .safetensors file beside it");
    }
    shards.insert(shard);
    files.emplace(name, shard);
  }
  if (files.empty() || shards.size() > kMostShards) return broken("it names no weights, or too many files");
  return files;
}

Result<TensorMap> ReadShards(const fs::path& folder) {
  TIMBRE_TRY(const auto files, ReadIndex(folder / kIndexFile));
  std::map<std::string, std::shared_ptr<const TensorMap>> shards;
  TensorMap weights;
  for (const auto& [name, file] : files) {
    std::shared_ptr<const TensorMap>& shard = shards[file];
    if (shard == nullptr) {
      const fs::path path = folder / file;
      if (FileBytes(path) < 0) {
        return Fail(ErrorCode::kNotFound, "'" + Printable(folder.string()) + "' lacks '" + Printable(file) +
                                              "', which its index names; get that file too");
      }
      TIMBRE_TRY(const Safetensors read, ReadSafetensors(path.string()));
      shard = read.tensors;
    }
    const auto found = shard->find(name);
    if (found == shard->end()) {
      return Fail(ErrorCode::kCorrupt, "'" + Printable((folder / file).string()) + "' has no weight '" +
                                           Printable(name) + "', which the index says is there");
    }
    weights.emplace(name, found->second);
  }
  return weights;
}

// Buffers that a network works out for itself, and a head beside the embedding that serves as one.
bool IsLeftOut(const std::string& name, const LanguageModelConfig& config) {
  if (config.tied && (name == "lm_head.weight" || name == "lm_head.bias")) return true;
  if (name.ends_with("rotary_emb.inv_freq")) return true;
  return config.family == LanguageFamily::kGpt2 && (name.ends_with(".attn.bias") || name.ends_with("attn.masked_bias"));
}

// GPT-2 keeps its matrices [in, out].
bool IsTransposed(const std::string& name, const LanguageModelConfig& config) {
  return config.family == LanguageFamily::kGpt2 &&
         (name.ends_with(".c_attn.weight") || name.ends_with(".c_proj.weight") || name.ends_with(".c_fc.weight"));
}

Result<HostTensor> TransposedMatrix(const HostTensor& matrix) {
  if (matrix.shape.rank() != 2) return matrix;  // refused later, by its shape
  const int64_t rows = matrix.shape[0], columns = matrix.shape[1];
  const size_t width = SizeOf(matrix.dtype);
  std::vector<std::byte> from(matrix.bytes()), to(matrix.bytes());
  TIMBRE_CHECK(matrix.ReadStored(0, from.size(), from.data()));
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < columns; ++c) {
      std::copy_n(from.data() + (r * columns + c) * width, width, to.data() + (c * rows + r) * width);
    }
  }
  return HostTensor::FromBytes({columns, rows}, matrix.dtype, std::move(to));
}

Result<LanguageModel> ReadFolder(const fs::path& folder) {
  LanguageModel model;
  const auto text_of = [&](const char* name) { return ReadSmallText((folder / name).string()); };
  if (FileBytes(folder / "config.json") < 0) {
    return Fail(ErrorCode::kNotFound, "there is no config.json in '" + Printable(folder.string()) +
                                          "'; a language model is a folder with config.json, model.safetensors and "
                                          "tokenizer.json, or a .gguf file");
  }
  TIMBRE_TRY(const std::string text, text_of("config.json"));
  std::string generation;
  if (FileBytes(folder / "generation_config.json") >= 0) {
    TIMBRE_TRY(generation, text_of("generation_config.json"));
  }
  auto config = ParseLanguageConfig(text, generation);
  if (!config) {
    const char* const blamed = ParseLanguageConfig(text, "") ? "generation_config.json" : "config.json";
    return Prefix(config.error(), Printable((folder / blamed).string()));
  }
  model.config = *std::move(config);

  TensorMap stored;
  if (FileBytes(folder / kWeightsFile) >= 0) {
    TIMBRE_TRY(const Safetensors read, ReadSafetensors((folder / kWeightsFile).string()));
    stored = *read.tensors;
  } else if (FileBytes(folder / kIndexFile) >= 0) {
    TIMBRE_TRY(stored, ReadShards(folder));
  } else {
    return Fail(ErrorCode::kNotFound, "there are no weights in '" + Printable(folder.string()) +
                                          "': neither model.safetensors nor the index of its parts");
  }
  TensorMap weights;
  constexpr std::string_view kPrefix = "transformer.";
  for (auto& [stored_name, tensor] : stored) {
    const bool prefixed = model.config.family == LanguageFamily::kGpt2 && stored_name.starts_with(kPrefix);
    const std::string name = prefixed ? stored_name.substr(kPrefix.size()) : stored_name;
    if (IsLeftOut(name, model.config)) continue;
    if (IsTransposed(name, model.config)) {
      TIMBRE_TRY(HostTensor transposed, TransposedMatrix(tensor));
      weights.emplace(name, std::move(transposed));
    } else {
      weights.emplace(name, tensor);
    }
  }
  model.weights = std::make_shared<const TensorMap>(std::move(weights));
  return model;
}

Result<LanguageModel> OpenPlace(const std::string& path) {
  std::error_code error;
  LanguageModel model;
  if (fs::is_directory(path, error)) {
    TIMBRE_TRY(model, ReadFolder(path));
  } else {
    TIMBRE_TRY(GgufFile file, ReadGguf(path));
    auto read = LanguageModelOf(std::make_shared<const GgufFile>(std::move(file)));
    if (!read) return Prefix(std::move(read).error(), Printable(path));
    model = *std::move(read);
  }
  model.path = path;
  return model;
}

}  // namespace

Result<LanguageModel> OpenLanguageModel(const std::string& name) {
  TIMBRE_TRY(const NamedModel named, FindNamedModel(name, ModelTask::kText));
  TIMBRE_TRY(LanguageModel model, OpenPlace(named.path.string()));
  model.name = name;
  if (named.entry == nullptr) {
    const fs::path path = named.path.lexically_normal();
    model.name = (path.has_filename() ? path : path.parent_path()).filename().string();
  }
  return model;
}

}  // namespace timbre
