// From what the user names to a model that separates: a path or an entry of the catalogue.
#pragma once

#include <string>

#include "base/result.h"
#include "models/separate/mdxnet.h"
#include "models/separate/separation_model.h"

namespace timbre {

// What is said of a model besides its name. Asking one model for what is another's is kInvalidArgument.
struct LoadOptions {
  std::string config;  // a checkpoint's configuration; empty: the file beside it of the same name but for its extension
  double wiener = 0;   // the exponent of LarsNet's filter across its stems; 0: none
  MdxnetGiven mdxnet;
};

// `name` is one of
//   a file: a Demucs package (.th; a checksum in its name must be its own), a Demucs bag (.yaml, whose models
//     lie beside it), an MDX-Net (.onnx), or nothing but the weights of an HTDemucs, MDX23C, RoFormer or SCNet, in
//     any container, with the YAML configuration of their trainer (LoadOptions::config);
//   a folder, or its archive (tar.gz): the checkpoint of a Spleeter; a folder: the checkpoints of LarsNet;
//   a name of the catalogue, whose files lie in the cache, or which needs none.
// Errors: kNotFound with the nearest names, kCorrupt, kUnsupported for an architecture or an option beyond what there
// is. They begin with the path.
Result<LoadedModel> LoadModel(const std::string& name, const LoadOptions& options = {});

}  // namespace timbre
