// Sections of a long clip that were finished, kept beside its output until that is whole.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "models/frames/frames_model.h"
#include "pipelines/frames/volume.h"

namespace timbre {

class KeptSections {
 public:
  // `output`: the clip's path. `work`: all that the frames of a section depend on besides its latents.
  KeptSections(std::string output, std::string work) : output_(std::move(output)), work_(std::move(work)) {}

  // The frames of section `index`, where they were kept by the same work on the same latents and are of the shape
  // `wanted` [frames, height, width, channels]; else nothing.
  std::optional<Volume> Find(int64_t index, const Volume& latents, const Shape& wanted);
  // Keeps them: there when it returns, whatever ends the program then.
  Status Keep(int64_t index, const Volume& latents, const Volume& frames);
  // Takes away what was kept or found.
  void Remove();

 private:
  std::string PathOf(int64_t index) const;
  std::string NameOf(const Volume& latents) const;

  const std::string output_, work_;
  std::vector<std::string> paths_;
};

// What tells one decoder from another: a digest of its configuration and its weights, all of which are read.
std::string DecoderName(const FramesModel& model);

}  // namespace timbre
