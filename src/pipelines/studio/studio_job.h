// What the studio's jobs share that work on one file after another.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "pipelines/job.h"
#include "pipelines/studio/studio_files.h"

namespace timbre {

// The inputs of such a job.
struct StudioInputs {
  std::vector<std::string> inputs;
  bool recursive = false;
  FieldList Fields();
};

// "--stdout", and what it leaves without effect, behind `fields`.
FieldList& AppendStdout(StudioFiles& files, FieldList& fields);

// Why each of the inputs must not be worked on, or nothing: its output would be another's, or has no name. What would
// be so with one input alone is an error, and so is an output folder that cannot be written to, or a stream of several.
Result<std::vector<std::string>> PlanStudioOutputs(const StudioFiles& files, const std::string& verb,
                                                   const std::vector<TrackInput>& inputs);

// `work` on each of the files; what it gives goes into `tracks`. One that fails does not keep the others from being
// worked on: it is a warning, and an error at the end. `doing` and `done` are for sentences: "mastering", "mastered".
Status ForEachFile(const std::vector<TrackInput>& files, const std::vector<std::string>& refused,
                   std::string_view doing, std::string_view done, Observer& observer, Json& tracks,
                   const std::function<Result<Json>(const TrackInput&)>& work);

// JSON has no infinity: what silence lacks is null, and "-" where people read it.
Json FiniteOrNull(double value);
std::string LevelText(double value);

}  // namespace timbre
