// Several files of one track, as different models made them, combined into one.
#pragma once

#include <string>
#include <vector>

#include "base/fields.h"
#include "base/observer.h"
#include "base/result.h"
#include "dsp/ensemble.h"

namespace timbre {

struct CombineOptions {
  std::string output = "combined.wav";
  EnsembleAlgorithm algorithm = EnsembleAlgorithm::kAvgWave;
  std::vector<std::string> weights;  // numbers, one an input; of the means
  std::string format = "auto";       // by the output's extension, or a name of ParseFileFormat
  std::string sample_format = "s16";
  std::string clip = "rescale";
  int bitrate = 0;
  std::string temp_dir;
};

// `options` must outlive the fields.
FieldList CombineFields(CombineOptions& options);

struct CombineReport {
  std::string output;
  int sample_rate = 0, channels = 0;
  int64_t samples = 0;  // of the longest input; shorter ones are continued by silence
  double seconds = 0;
  std::vector<std::string> warnings;
};

// At the first input's rate; mono where all are. The inputs may have any formats and rates.
Result<CombineReport> Combine(const std::vector<std::string>& inputs, const CombineOptions& options,
                              Observer& observer);

}  // namespace timbre
