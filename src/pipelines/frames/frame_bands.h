// The decoder piece by piece over a tile that is too large at once: each piece in bands of frames, which lie in memory
// as far as there is room and in a file beyond that. Norms are those of the tile, whose statistics are summed up while
// their input is made, so that there are no seams.
#pragma once

#include <limits>
#include <string>

#include "models/frames/frames_model.h"
#include "pipelines/frames/volume.h"
#include "runtime/session/cpu_needs.h"
#include "runtime/session/session.h"

namespace timbre {

// What the program takes besides: its libraries, a driver's among them, are 95 MB, and writers hold some frames.
inline constexpr int64_t kProgramBytes = int64_t{128} << 20;

struct BandLimits {
  int64_t memory = std::numeric_limits<int64_t>::max();  // bytes that all of it may take
  std::string folder;                                    // of the files; empty: the current one
  // What a band's frames take of a piece's input, those before it included, or of its result, unless one frame takes
  // more: at first, and less where that does not fit into memory. No frame depends on it.
  int64_t band_bytes = int64_t{256} << 20;
  DeviceCaps caps = {};  // of the CPU whose kernels take the memory
};

struct BandPlan {
  int64_t working = 0;  // bytes of the band that takes most, its weights, scratch and input, and the program included
  int64_t frames = 0;   // bytes of all frames that are kept at once, at most
  int64_t band_bytes = 0;
  double flops = 0;

  // What lies in memory, and what does not.
  int64_t memory(const BandLimits& limits) const { return working + frames - in_files(limits); }
  int64_t in_files(const BandLimits& limits) const;
};

Result<BandPlan> PlanBands(const FramesModel& model, const LatentShape& shape, const BandLimits& limits);

class FrameBands {
 public:
  // `pool` and `stats` (may be null) must outlive it.
  FrameBands(const FramesModel& model, const SessionOptions& options, ThreadPool& pool, Stats* stats,
             BandLimits limits);

  // Latents into frames. Errors: kOutOfMemory where one band does not fit, kIo where a file can't be written.
  Result<Volume> Run(const Volume& latents);

  const std::string& device() const { return device_; }
  const std::string& device_reason() const { return device_reason_; }
  const KernelCounts& kernels() const { return kernels_; }  // of the last run
  int64_t in_files() const { return in_files_; }            // bytes that were written to files

 private:
  class Piecewise;

  const FramesModel& model_;
  const SessionOptions options_;
  ThreadPool& pool_;
  Stats* stats_;
  const BandLimits limits_;
  std::string device_, device_reason_;
  KernelCounts kernels_;
  int64_t in_files_ = 0;
};

}  // namespace timbre
