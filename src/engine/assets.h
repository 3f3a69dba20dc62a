// Files by their content: what clients bring and what jobs make, each once, under the SHA-256 of its bytes.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "engine/journal.h"

namespace timbre::engine {

// Of a folder with "assets", "derived", "jobs", "uploads" and "tmp" in it, on one file system. Thread-safe.
class AssetStore {
 public:
  // Makes the folders; files that had no time to become something are removed from "tmp" and "jobs".
  static Result<AssetStore> Open(const std::string& folder);

  std::string PathOf(const std::string& id) const;
  std::string TemporaryPath() const;                        // a name that nothing has
  std::string JobFolder(const std::string& job) const;      // "jobs/ID.part"
  std::string UploadPath(const std::string& upload) const;  // "uploads/ID"
  // What was computed from an asset and can be again.
  std::string DerivedFolder() const;
  std::string PeaksFolder(const std::string& id) const;
  std::string SamplesPath(const std::string& id) const;

  // `path`, a file in the store's folder, becomes an asset: its bytes are on the disk and under its own name when this
  // returns. Of what is there already `path` is only removed.
  Result<AssetRecord> Take(const std::string& path, const std::string& name,
                           const std::function<bool()>& cancelled = {});
  // And what was computed from it.
  void Remove(const std::string& id) const;
  void RemoveDerived(const std::string& id) const;
  // Removes the files that `known` has no row for.
  void RemoveOthers(const std::vector<std::string>& known) const;

  int64_t FreeBytes() const;

 private:
  explicit AssetStore(std::string folder) : folder_(std::move(folder)) {}
  std::string folder_;
};

// The media type that a file's name tells; application/octet-stream where none is known.
std::string MediaTypeOf(std::string_view name);

// What a client may know of a file of sound: {"seconds", "sample_rate", "channels", "format"}, of MIDI, or of tensors,
// which is what its media type has to say; kUnsupported or kCorrupt where it is neither. `media_type` is then what it
// was found to be.
Result<Json> FactsOf(const std::string& path, std::string& media_type);

}  // namespace timbre::engine
