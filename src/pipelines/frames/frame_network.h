// One half of the autoencoder over tiles of any shape: a plan for each, made when it is first needed.
#pragma once

#include <map>
#include <memory>
#include <set>

#include "models/frames/frames_model.h"
#include "pipelines/frames/volume.h"
#include "runtime/session/session.h"

namespace timbre {

class FrameNetwork {
 public:
  // `pool` and `stats` (may be null) must outlive it.
  FrameNetwork(const FramesModel& model, FramesHalf half, const SessionOptions& options, ThreadPool& pool,
               Stats* stats);

  // The decoder: latents into frames. The encoder: frames into moments.
  Result<Volume> Run(const Volume& tile);

  const std::string& device() const { return device_; }
  const std::string& device_reason() const { return device_reason_; }
  // Of all sessions that there were: of each shape once.
  const KernelCounts& kernels() const { return kernels_; }

 private:
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
};

}  // namespace timbre
