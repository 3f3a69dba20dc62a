// TensorFlow's checkpoints ("tensor bundles"): an index, which is a table of LevelDB's, and a file of raw tensors.
// Format: leveldb's doc/table_format.md; tensorflow/core/protobuf/tensor_bundle.proto.
#pragma once

#include <filesystem>

#include "base/bytes.h"
#include "base/result.h"
#include "graph/weights.h"

namespace timbre {

// Names and tensors of NAME.index and NAME.data-00000-of-00001. Tensors of types that networks
// are not made of are left out; all others are checked against their checksums, and are views of `data`. kCorrupt, or
// kUnsupported for what no released file is: several shards, compressed blocks, slices, big-endian machines.
Result<TensorMap> ReadTensorBundle(const SharedBytes& index, const SharedBytes& data);

// The bundle's index in a folder, NAME.index. Empty: there is none, or there are several.
std::filesystem::path FindBundleIndex(const std::filesystem::path& folder);

}  // namespace timbre
