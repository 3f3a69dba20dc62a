// MDX-Net (M. Kim, W. Choi, J. Chung, D. Lee, S. Jung, "KUIELab-MDX-Net: A Two-Stream Neural Network for Music
// Demixing", 2021), its convolutional part, as UVR's models are published: an ONNX file a stem. A U-Net over the
// complex spectrogram of which each level mixes neighbours in time and frequency by convolutions and all frequencies by
// linear layers; skips are multiplied.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "formats/onnx.h"
#include "graph/graph.h"
#include "graph/weights.h"
#include "models/separate/separation_model.h"

namespace timbre {

struct MdxnetOptions {
  // Of the network, which its file says.
  int bins = 0;          // that it sees
  int frames = 0;        // of a tile, as it was trained
  int channels = 0;      // of the first level; each further one has so many more
  int levels = 0;        // between the first and the bottleneck
  int convolutions = 0;  // in a row at each level
  int kernel = 3;
  std::vector<int>
      hidden;  // features between the linear layers of each of the 2 levels + 1 blocks; 0: one layer; -1: none

  // Of the program that runs it, which a table knows by the file's digest.
  int n_fft = 0;
  double compensate = 1;        // what the stem is multiplied by
  std::string stem = "Vocals";  // that the network gives; the other is the mixture without it
  double overlap = 0.25;        // of tiles; negative: as UVR's "Default" has it, the window's length
  bool denoise = false;  // the mean of two runs, of which one sees the signal negated: cancels the network's own noise
};

// Of all networks of UVR.
inline constexpr int kMdxnetHop = 1024;
inline constexpr int kMdxnetRate = 44100;

// What UVR's table (mdx_model_data/model_data_new.json of TRvlvr/application_data), and audio-separator's, say of a
// file.
struct MdxnetRow {
  std::string_view digest;  // MD5 of its last 10,240,000 bytes
  int n_fft;
  double compensate;
  std::string_view stem;
};
const MdxnetRow* FindMdxnetRow(std::string_view digest);  // null where the tables don't have it

// What the user says of a file, which comes before what the tables do; what is unset is theirs.
struct MdxnetGiven {
  std::optional<int> n_fft;
  std::optional<double> compensate;
  std::string stem;
  bool denoise = false;

  bool Any() const { return n_fft || compensate || !stem.empty() || denoise; }
};

// The stem that is the mixture without this one: "Vocals" and "Instrumental" are each other's.
std::string RestOf(const std::string& stem);

// Recognises the network in its graph and gives its weights as BuildMdxnet wants them. kUnsupported, naming the node,
// where it is another network.
Result<MdxnetOptions> MdxnetFromOnnx(const OnnxGraph& graph, TensorMap* weights);

// Reads n_fft, compensate and the stem from JSON or YAML with the tables' keys: one model's, or several by digest.
Status ReadMdxnetData(const std::string& text, const std::string& digest, MdxnetOptions* options);

// "mix" [batch, tile, 2] -> "stems" [batch, tile, 4]: the stem, and the rest.
Result<Graph> BuildMdxnet(const MdxnetOptions& options, Weights& weights, int64_t tile, int batch);

Result<std::shared_ptr<const SeparationModel>> MakeMdxnet(MdxnetOptions options,
                                                          std::shared_ptr<const TensorMap> weights);

// An .onnx file. What it doesn't say itself comes from `given`; else from `config`, or NAME.model_data.json beside it;
// else from the tables. A transform's length has to come from one of them: without one it is kUnsupported; without the
// others, the stem is "Vocals" and nothing is compensated. Errors don't name `path`.
Result<std::shared_ptr<const SeparationModel>> LoadMdxnet(const std::string& path, const std::string& config,
                                                          const MdxnetGiven& given = {});

}  // namespace timbre
