// Long clips in sections, as FramePack makes and joins them.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "base/result.h"
#include "pipelines/frames/frame_tiles.h"

namespace timbre {

// Latents [begin, end) of a clip.
struct Section {
  int64_t begin = 0, end = 0;
};

// FramePack samples `window` latents at a time, and decodes each section with the window before it: what sections of
// 1 + k * window latents those are. Errors: another number of latents.
Result<std::vector<Section>> FramePackSections(int64_t latents, int64_t window);
// Frames that two neighbours of them share.
int64_t FramePackOverlap(int64_t window);

// Joins sections as they come: in the `overlap` frames that two share, the earlier one fades out and the later one in,
// from all of the one to all of the other. Memory holds as many frames.
class SectionJoiner {
 public:
  SectionJoiner(int64_t overlap, VolumeSink sink) : overlap_(overlap), sink_(std::move(sink)) {}

  Status Write(const Volume& frames);
  // The section is complete. It had at least `overlap` frames, which its caller knows.
  void EndSection();
  // The last one is.
  Status Finish();

 private:
  const int64_t overlap_;
  const VolumeSink sink_;
  std::deque<Volume> waiting_;  // frames, one each
  bool first_ = true;           // section
  int64_t at_ = 0;              // in the section
};

}  // namespace timbre
