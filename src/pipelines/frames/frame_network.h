// One half of the autoencoder over tiles of any shape: a plan for each, made when it is first needed. What the decoder
// has no memory for at once it makes in bands.
#pragma once

#include <map>
#include <memory>
#include <set>

#include "models/frames/frames_model.h"
#include "pipelines/frames/frame_bands.h"
#include "pipelines/frames/volume.h"
#include "runtime/session/session.h"

namespace timbre {

class FrameNetwork {
 public:
  // `pool` and `stats` (may be null) must outlive it. `in_bands`: shapes that are known to be too large at once.
  FrameNetwork(const FramesModel& model, FramesHalf half, const SessionOptions& options, ThreadPool& pool, Stats* stats,
               BandLimits limits = {}, std::set<LatentShape> in_bands = {});

  // The decoder: latents into frames. The encoder: frames into moments.
  Result<Volume> Run(const Volume& tile);

  const std::string& device() const { return device_; }
  const std::string& device_reason() const { return device_reason_; }
  // Of all sessions that there were: of each shape once.
  const KernelCounts& kernels() const { return kernels_; }
  int64_t tiles_in_bands() const { return tiles_in_bands_; }
  int64_t in_files() const { return bands_.in_files(); }  // bytes that bands wrote to files

 private:
  Result<Volume> RunAtOnce(const Volume& tile, const LatentShape& shape);
  Result<Volume> RunInBands(const Volume& tile, const LatentShape& shape);
  void CountOnce(const LatentShape& shape, const KernelCounts& kernels);
  Result<Session*> SessionFor(const LatentShape& shape);

  const FramesModel& model_;
  const FramesHalf half_;
  const SessionOptions options_;
  ThreadPool& pool_;
  Stats* stats_;
  std::map<LatentShape, std::unique_ptr<Session>> sessions_;
  std::string device_, device_reason_;
  std::set<LatentShape> counted_;
  KernelCounts kernels_;
  FrameBands bands_;
  std::set<LatentShape> in_bands_;
  int64_t tiles_in_bands_ = 0;
};

}  // namespace timbre
