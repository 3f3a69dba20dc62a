// What says that an input of many is done: a small file beside the outputs, written last and all at once. Neither a
// queue nor an exit code is proof; this is.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/result.h"

namespace timbre::cli {

// A share of a list: an input belongs to part `index` of `count` by a digest of its path, on every machine to the same.
struct Shard {
  int index = 0, count = 1;
  bool Has(const std::string& path) const;
};
// "17/1000", counted from 0; empty: all.
Result<Shard> ParseShard(const std::string& text);

// Paths of a file, one a line, "-" for the standard input; only those of the shard are kept. Empty lines are none.
Result<std::vector<std::string>> ReadPathList(const std::string& file, const Shard& shard);

// FOLDER/.timbre/ab/DIGEST.json, of the command and the path as it is listed.
std::string ManifestPath(const std::string& folder, const std::string& command, const std::string& input);

// Writes the manifest of a track of a report; its files are there, and brought to the disk before it is. `options` are
// what the outputs depend on.
Status WriteManifest(const std::string& folder, const std::string& command, const nlohmann::ordered_json& options,
                     const nlohmann::ordered_json& track);

enum class Finished : uint8_t {
  kMissing,  // there is no manifest, or none that can be read
  kStale,    // the input is another than it was, or was worked on with other options
  kDamaged,  // a file is gone, or has another size, or with `whole` other bytes
  kYes,
};
// `options` null: whatever they were. Reads the outputs only with `whole`.
Finished CheckManifest(const std::string& folder, const std::string& command, const std::string& input,
                       const nlohmann::ordered_json& options, bool whole);

}  // namespace timbre::cli
