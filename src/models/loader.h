// From what the user names to a model: a path or an entry of the catalogue.
#pragma once

#include <string>

#include "base/result.h"
#include "models/model.h"

namespace timbre {

// `name` is one of
//   a file: a Demucs package (.th), a plain state dict with its YAML configuration (`config`, or the file of the same
//   stem beside
//     it) or a Demucs bag (.yaml whose models lie beside it);
//   a folder: the checkpoints of LarsNet;
//   a name of the catalogue, whose files have been fetched before;
//   "hpss", which needs no file.
// Errors: kNotFound with the nearest names, kCorrupt, kUnsupported for an architecture or an option beyond what there
// is.
Result<LoadedModel> LoadModel(const std::string& name, const std::string& config = "");

}  // namespace timbre
