// How loud files are, and files made as loud as wanted by one gain.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "audio/loudness.h"
#include "base/fields.h"
#include "base/observer.h"
#include "base/result.h"
#include "pipelines/studio/studio_files.h"

namespace timbre {

struct NormaliseOptions {
  std::optional<double> target;  // LUFS; none: files are measured, and nothing is written
  double ceiling = -1;           // dBTP that a gain may take the loudest peak to
  StudioFiles files{.output_dir = "normalised"};
};

// `options` must outlive the fields.
FieldList NormaliseFields(NormaliseOptions& options);

struct LoudnessReport {
  std::string input, input_format;
  int sample_rate = 0, channels = 0;
  int64_t samples = 0;
  double seconds = 0;  // of audio
  Loudness loudness;   // of the input
  std::string output;  // empty: none was written
  bool skipped = false;
  double gain_db = 0;   // that the output has got
  double missed = 0;    // LU that the output lies from the target, negative where it is quieter
  std::string warning;  // what was wrong with the input although it could be read, or kept from the target
};

// Measures a file, and where the options have a target writes it again, at its own rate and channels, with the one gain
// that takes it there; less where a peak would come above the ceiling. Memory does not grow with the length.
Result<LoudnessReport> MeasureOrNormalise(const TrackInput& input, const NormaliseOptions& options, Observer& observer);

}  // namespace timbre
