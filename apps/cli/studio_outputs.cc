#include "apps/cli/studio_outputs.h"

#include "pipelines/sound_stream.h"
#include "pipelines/track_inputs.h"

namespace timbre::cli {

Result<std::vector<std::string>> PlanStudioOutputs(const StudioFiles& files, const std::string& verb,
                                                   const std::vector<TrackInput>& inputs) {
  std::vector<std::string> refused(inputs.size());
  if (files.stream_out) {
    TIMBRE_CHECK(CheckStream(files.format, inputs.size()));
    return refused;
  }
  TIMBRE_CHECK(CheckOutputFolder(files.output_dir));
  OutputPlan plan(inputs);
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Result<std::string> path = StudioPath(files, inputs[i], verb);
    if (!path && path.error().code == ErrorCode::kInvalidArgument) return tl::unexpected<Error>(path.error());
    if (path) {
      TIMBRE_TRY(refused[i], plan.Add({*path}, inputs[i].path));
    } else {
      refused[i] = path.error().message;
    }
    if (!refused[i].empty() && inputs.size() == 1) return Fail(ErrorCode::kInvalidArgument, refused[i]);
  }
  return refused;
}

}  // namespace timbre::cli
