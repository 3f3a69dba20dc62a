// Models that clean speech: DeepFilterNet3 and GTCRN.
#pragma once

#include <memory>
#include <string>

#include "models/speech/deepfilternet.h"

namespace timbre {

enum class SpeechArchitecture { kDeepFilterNet, kGtcrn };

// A model read from its file, ready to be built for any number of frames.
struct SpeechModel {
  std::string name;  // of the catalogue, or of the file, without folder and ending
  std::string path;
  SpeechArchitecture architecture = SpeechArchitecture::kDeepFilterNet;
  DeepFilterNetConfig deepfilternet;  // of that architecture
  std::shared_ptr<const TensorMap> weights;

  std::string architecture_name() const;
  int sample_rate() const;
};

// What commands take where the user names none.
inline constexpr const char* kDefaultSpeechModel = "deepfilternet3";

// LoadSpeechModel of a path, or of a name of the catalogue whose file has been fetched.
Result<SpeechModel> OpenSpeechModel(const std::string& name);

// Reads a file (DeepFilterNet3's .zip, or a checkpoint of GTCRN) or a folder (config.ini with checkpoints/ beside it).
// Errors: kIo, kNotFound, kCorrupt, kUnsupported for another network.
Result<SpeechModel> LoadSpeechModel(const std::string& path);

// `batch` signals side by side, `frames` frames of each. `part` is of interest to DeepFilterNet only.
Result<Graph> BuildSpeechGraph(const SpeechModel& model, DeepFilterPart part, int frames, int batch = 1);

}  // namespace timbre
