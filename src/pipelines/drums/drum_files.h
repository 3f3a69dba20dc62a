// The drum analysis of stems that lie in audio files.
#pragma once

#include <span>
#include <string>

#include "base/observer.h"
#include "base/result.h"
#include "pipelines/drums/drums.h"

namespace timbre {

struct DrumStemFile {
  std::string name;  // of the stem: one that the configuration knows
  std::string path;
};

// Reads the files side by side, so that memory does not grow with the audio itself; channels are averaged, and a file
// that ends early is silent from there. Their sample rates must be one. Fails with the path on what cannot be read, and
// with kCancelled; warns of files that are damaged or
// cut short.
Result<DrumAnalysis> AnalyseDrumFiles(DrumsConfig config, std::span<const DrumStemFile> files, Observer& observer);

// The stems in a folder: audio files whose name, or its end after a '-', '_', '.' or space, is one that the
// configuration knows
// ("kick.wav", "song-hh.flac"). Others are passed over. Fails where there is none, or two for one stem.
Result<std::vector<DrumStemFile>> FindDrumStems(const DrumsConfig& config, const std::string& folder);

}  // namespace timbre
