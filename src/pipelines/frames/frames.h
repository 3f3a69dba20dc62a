// Latents into a clip, section by section and tile by tile; and pictures into latents.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/fields.h"
#include "base/observer.h"
#include "base/thread_pool.h"
#include "models/frames/frames_model.h"
#include "pipelines/frames/frame_plan.h"
#include "pipelines/frames/frame_tiles.h"
#include "runtime/session/session.h"
#include "runtime/session/stats.h"

namespace timbre {

struct FramesOptions {
  std::string action = "decode";    // or "encode"
  std::vector<std::string> inputs;  // latents' files, in the clip's order; of encode, one picture or video
  std::string output;               // empty: clip.mp4, or latents.safetensors
  FrameMode mode = FrameMode::kTiled;
  FrameTileSizes tiles;
  int fps = 30, crf = 16;
  int append = 0;        // frames that neighbouring files share
  int window = 0;        // latents of FramePack's sections, which one file is cut into; 0: it is not
  bool preview = false;  // colours by a linear map, without a network
  bool sample = false;   // of encode: latents drawn at random instead of their means
  uint64_t seed = 0;

  std::string memory;              // that activations and weights may take, "8GiB"; empty: what the CPU has free
  std::string keep_free = "1GiB";  // of that
  bool dry_run = false;
  bool resume = false;  // keep finished sections beside the output until it is whole, and use those that are there

  SessionOptions session;

  bool decodes() const { return action != "encode"; }
};

// All but `session`, the first two as positional fields. `options` must outlive the fields.
FieldList FramesFields(FramesOptions& options);

struct FramesReport {
  std::string output;
  int64_t latents = 0, frames = 0, width = 0, height = 0;
  int64_t sections = 0, tiles = 0;
  int64_t resumed = 0;            // sections that an earlier run had finished
  int64_t in_bands = 0;           // tiles that there was no memory for at once
  int64_t in_files = 0;           // bytes of them that went through files
  double seconds = 0;             // of the clip
  double network = 0, total = 0;  // seconds of work
  double real_time_factor = 0;
  std::vector<std::string> warnings;
  std::string device, device_reason;  // empty where no network was computed
  KernelCounts kernels;
  std::optional<FramePlan> plan;  // where there is a network
  double estimated = 0;           // seconds, of a dry run on the CPU; 0: not known
};

// What can be told of the options before a model is read.
Status CheckFramesOptions(const FramesOptions& options);

// `model` is null for a preview. A dry run makes the plan alone. On failure or cancellation nothing is left. `report`
// is filled as far as it went.
Status DecodeFrames(const FramesModel* model, const FramesOptions& options, ThreadPool& pool, Stats& stats,
                    Observer& observer, FramesReport& report);
Status EncodeFrames(const FramesModel& model, const FramesOptions& options, ThreadPool& pool, Stats& stats,
                    Observer& observer, FramesReport& report);

}  // namespace timbre
