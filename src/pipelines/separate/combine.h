// Several files of one track, as different models made them, combined into one; or its parts, mixed.
#pragma once

#include <limits>
#include <span>
#include <string>
#include <vector>

#include "audio/decode.h"
#include "audio/encode.h"
#include "base/fields.h"
#include "base/observer.h"
#include "base/result.h"
#include "dsp/ensemble.h"
#include "pipelines/track_part.h"

namespace timbre {

// --NAME, which of the algorithms, and --weights. The arguments outlive the fields.
FieldList AlgorithmFields(std::string name, EnsembleAlgorithm& algorithm, std::vector<std::string>& weights);

// The numbers of --`name`, a list with one for each input. kInvalidArgument where a text is none, or outside the range.
Result<std::vector<double>> ParseNumbers(const std::string& name, const std::vector<std::string>& texts,
                                         double least = -std::numeric_limits<double>::infinity(),
                                         double most = std::numeric_limits<double>::infinity());

struct CombineOptions {
  std::string output = "combined.wav";
  EnsembleAlgorithm algorithm = EnsembleAlgorithm::kAvgWave;
  std::vector<std::string> weights;  // numbers, one an input; of the means
  // The inputs are parts of a track, and are added, each by its gain (dB) and its panorama (-1 left, 1 right): numbers,
  // one an input, or none for 0.
  bool mix = false;
  std::vector<std::string> gains, pans;
  // Of a mix as well: semitones by which each is raised, and how fast all of it is, its pitch kept or as a tape's.
  std::vector<std::string> semitones;
  double speed = 1;
  bool tape = false;
  PartOptions part;
  std::string format = "auto";  // by the output's extension, or a name of ParseFileFormat
  std::string sample_format = "s16";
  std::string clip = "rescale";
  int bitrate = 0;
  std::string temp_dir;
};

// `options` must outlive the fields.
FieldList CombineFields(CombineOptions& options);

struct CombineReport {
  std::string output;
  int sample_rate = 0, channels = 0;  // of the file: the first input's rate, where the format knows it
  int64_t samples = 0;                // as long as the longest input; shorter ones are continued by silence
  double seconds = 0;
  double gain = 1;                    // below 1 where all was lowered to stay below full scale
  std::vector<std::string> warnings;  // of inputs that are damaged, or cut short: "FILE: what"
};

// The files, made one at the writer's rate and channels, into it; it is not finished. `weights`: as Ensemble::Options'.
// The value is the number of frames: of the longest file, shorter ones are continued by silence. `warnings`, where
// given: as CombineReport's.
Result<int64_t> CombineInto(AudioWriter& writer, int sample_rate, int channels, const std::vector<std::string>& files,
                            EnsembleAlgorithm algorithm, const std::vector<double>& weights, const ReadOptions& read,
                            Observer& observer, std::vector<std::string>* warnings = nullptr);

// The same of samples in memory, [frames, channels] each, at least one.
Result<std::vector<float>> CombineSamples(const std::vector<std::span<const float>>& versions, int channels,
                                          EnsembleAlgorithm algorithm, const std::vector<double>& weights);

// At the first input's rate; mono where all are, and none of a mix is moved to a side. The inputs may have any formats
// and rates.
Result<CombineReport> Combine(const std::vector<std::string>& inputs, const CombineOptions& options,
                              Observer& observer);

}  // namespace timbre
