// What the commands share that make one file of each input.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "pipelines/studio/studio_files.h"

namespace timbre::cli {

// Why each of the inputs must not be worked on, or nothing: its output would be another's, or has no name. What would
// be so with one input alone is an error, and so is an output folder that cannot be written to, or a stream of several.
Result<std::vector<std::string>> PlanStudioOutputs(const StudioFiles& files, const std::string& verb,
                                                   const std::vector<TrackInput>& inputs);

}  // namespace timbre::cli
