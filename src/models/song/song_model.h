// DiffRhythm 2 as its folder holds it: model.safetensors with config.json (or model.json), decoder.safetensors or
// decoder.bin with decoder.json.
#pragma once

#include <memory>
#include <string>

#include "graph/weights.h"
#include "models/song/bigvgan.h"
#include "models/song/dit.h"

namespace timbre {

inline constexpr const char* kDefaultSongModel = "diffrhythm2";
inline constexpr int kLatentsPerSecond = 5;

struct SongModel {
  std::string name;  // of the catalogue, or of the folder
  std::string path;
  DitConfig dit;
  BigvganConfig decoder;
  std::shared_ptr<const TensorMap> dit_weights, decoder_weights;  // mapped: they take memory where they are read
};

// A folder, or a name of the catalogue whose files have been fetched. With `decoder_only` the transformer's weights are
// not asked for. Errors: kNotFound for a file that is missing, kCorrupt and kUnsupported for what is in one; parts that
// do not belong together.
Result<SongModel> OpenSongModel(const std::string& name, bool decoder_only = false);

// A text file beside a model, at most a mebibyte of it. Errors name it.
Result<std::string> ReadSmallText(const std::string& path);

// The shapes that DiffRhythm 2 was released with.
DitConfig ReleasedDit();
BigvganConfig ReleasedSongDecoder();

// As the files beside the weights state them.
std::string ToJson(const DitConfig& config);
std::string ToJson(const BigvganConfig& config);

}  // namespace timbre
