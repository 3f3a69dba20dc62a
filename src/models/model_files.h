// Where the files of the catalogue's models lie on this machine: CACHE/models/NAME/FILE, with CACHE usually CacheDir()
// of base/paths.h.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"
#include "models/catalogue.h"

namespace timbre {

std::filesystem::path ModelFolder(const std::filesystem::path& cache, const ModelEntry& model);
std::filesystem::path ModelFilePath(const std::filesystem::path& cache, const ModelEntry& model, const ModelFile& file);

// Whether the file is there, whole as far as its size tells: one of another size than the published one is not.
bool IsInstalled(const std::filesystem::path& cache, const ModelEntry& model, const ModelFile& file);

enum class ModelState { kBuiltIn, kInstalled, kIncomplete, kMissing };

struct ModelStatus {
  ModelState state = ModelState::kMissing;
  int64_t bytes_on_disk = 0;  // partial downloads included
};

// Looks for the files and their sizes; reads none.
ModelStatus StatusOfModel(const std::filesystem::path& cache, const ModelEntry& model);

// The paths of the model's files, in the catalogue's order; none for a model that is compiled in. Fails with kNotFound,
// naming what is missing, where to get it and where to put it.
Result<std::vector<std::filesystem::path>> InstalledModelFiles(const std::filesystem::path& cache,
                                                               const ModelEntry& model);

// "put URL at PATH, and …", "get the archive at …": the end of a sentence that says how a person without this program's
// network gets the files that are missing.
std::string HowToInstall(const std::filesystem::path& cache, const ModelEntry& model);

}  // namespace timbre
