// Mastering: a chain of filters and dynamics over finished tracks, a true-peak limiter, a loudness to meet.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "audio/loudness.h"
#include "base/fields.h"
#include "base/observer.h"
#include "base/result.h"
#include "pipelines/studio/mastering_chain.h"
#include "pipelines/studio/studio_files.h"

namespace timbre {

struct MasterOptions {
  std::string preset = "clean_master";
  std::string chain;  // a file, instead of a preset
  ChainEngine engine = ChainEngine::kStudio;
  std::optional<double> loudness;  // LUFS; none: what the chain gives
  double ceiling = -1;             // dBTP; of the studio engine
  StudioFiles files{.output_dir = "mastered"};
};

// `options` must outlive the fields.
FieldList MasterFields(MasterOptions& options);

// The chain that the options name.
Result<MasterChain> ChainFor(const MasterOptions& options);

struct MasterReport {
  std::string input, input_format, output;
  int sample_rate = 0, channels = 0;
  int64_t samples = 0;
  double seconds = 0;  // of audio
  bool skipped = false;
  Loudness before, after;
  double gain_db = 0;     // in front of the limiter
  double limited_db = 0;  // the most that the limiter took away
  double missed = 0;      // LU from the wanted loudness, negative where quieter
  int rounds = 0;         // in which the limiter was run and measured
  double total = 0;       // seconds that it took
  double real_time_factor = 0;
  std::string warning;
};

// Masters a file into one of its rate, channels and length to the sample. Memory does not grow with the length: between
// the passes the samples lie on disk. The true peak of what the studio engine writes without loss is at or below the
// ceiling: it is measured, and limited once more where it is not.
Result<MasterReport> MasterFile(const TrackInput& input, const MasterChain& chain, const MasterOptions& options,
                                Observer& observer);

}  // namespace timbre
