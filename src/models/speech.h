// Models that clean speech: DeepFilterNet3 and GTCRN.
#pragma once

#include <memory>
#include <string>

#include "models/deepfilternet.h"

namespace timbre {

enum class SpeechArchitecture { kDeepFilterNet, kGtcrn };

// A model read from its file, ready to be built for any number of frames.
struct SpeechModel {
  std::string name;  // of the file, without folder and ending
  std::string path;
  SpeechArchitecture architecture = SpeechArchitecture::kDeepFilterNet;
  DeepFilterNetConfig deepfilternet;  // of that architecture
  std::shared_ptr<const TensorMap> weights;

  std::string architecture_name() const;
  int sample_rate() const;
};

// Reads a file (DeepFilterNet3's .zip, or a checkpoint of GTCRN) or a folder (config.ini with checkpoints/ beside it).
// Errors: kIo, kNotFound, kCorrupt, kUnsupported for another network.
Result<SpeechModel> LoadSpeechModel(const std::string& path);

// One signal, `frames` frames. `part` is of interest to DeepFilterNet only.
Result<Graph> BuildSpeechGraph(const SpeechModel& model, DeepFilterPart part, int frames);

}  // namespace timbre
