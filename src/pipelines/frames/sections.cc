#include "pipelines/frames/sections.h"

#include <string>

#include "models/frames/hunyuan_vae.h"

namespace timbre {

Result<std::vector<Section>> FramePackSections(int64_t latents, int64_t window) {
  const int64_t count = (latents - 1) / window;
  if (count < 1 || latents != 1 + count * window) {
    return Fail(ErrorCode::kInvalidArgument, "sections of " + std::to_string(window) +
                                                 " latents, with one before them, are not what makes " +
                                                 std::to_string(latents) + " latents");
  }
  std::vector<Section> sections;
  for (int64_t i = 0; i < count; ++i) {
    const bool first = i == 0, last = i == count - 1;
    // The last one was decoded before there was anything to overlap it with.
    const int64_t begin = first ? 0 : 1 + i * window;
    sections.push_back({begin, last ? latents : (first ? 1 : begin) + 2 * window});
  }
  return sections;
}

int64_t FramePackOverlap(int64_t window) { return kFrameSteps * window - 3; }

Status SectionJoiner::Write(const Volume& frames) {
  for (int64_t i = 0; i < frames.frames; ++i, ++at_) {
    Volume frame = frames.Frames(i, i + 1);
    if (!first_ && at_ < overlap_) {
      Volume& before = waiting_[static_cast<size_t>(at_)];
      const double share = overlap_ > 1 ? static_cast<double>(at_) / static_cast<double>(overlap_ - 1) : 0;
      const auto of_new = static_cast<float>(share), of_old = static_cast<float>(1 - share);
      for (size_t j = 0; j < before.values.size(); ++j) {
        before.values[j] = of_old * before.values[j] + of_new * frame.values[j];
      }
      continue;
    }
    waiting_.push_back(std::move(frame));
    if (static_cast<int64_t>(waiting_.size()) <= overlap_) continue;
    TIMBRE_CHECK(sink_(waiting_.front()));
    waiting_.pop_front();
  }
  return {};
}

void SectionJoiner::EndSection() {
  first_ = false;
  at_ = 0;
}

Status SectionJoiner::Finish() {
  for (const Volume& frame : waiting_) TIMBRE_CHECK(sink_(frame));
  waiting_.clear();
  return {};
}

}  // namespace timbre
