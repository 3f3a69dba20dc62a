// What a user names a model by: something on disk, or an entry of the catalogue.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"
#include "models/catalogue.h"

namespace timbre {

struct NamedModel {
  // As it was named; of an entry: its only file, else the folder of its files; empty for one that is compiled in.
  std::filesystem::path path;
  const ModelEntry* entry = nullptr;         // null: it was named by its path
  std::vector<std::filesystem::path> files;  // of the entry, in the catalogue's order
};

// The entry that `name` stands for; null where it is on disk, which comes first, or no entry's.
const ModelEntry* EntryOfName(const std::string& name);

// What a model at a path is called, in reports and in the names of what it makes: its folder's name, or its file's
// without the ending.
std::string NameOfModelAt(const std::filesystem::path& path);

// Whether there is a file or a folder of that name, or an entry for `task`. Reads nothing, so that it can be asked
// before a model is fetched. Errors: kNotFound with the nearest names, kInvalidArgument with the command that it is
// for.
Status CheckModelName(const std::string& name, ModelTask task);

// The same, and where it is. Errors: those, and kNotFound for an entry whose files are not all here.
Result<NamedModel> FindNamedModel(const std::string& name, ModelTask task);

}  // namespace timbre
