#include "pipelines/studio/studio_job.h"

#include <fmt/format.h>

#include <cmath>
#include <filesystem>

#include "pipelines/sound_stream.h"
#include "pipelines/track_done.h"
#include "pipelines/track_inputs.h"

namespace timbre {

FieldList StudioInputs::Fields() {
  return {{.name = "input",
           .value = &inputs,
           .help = "audio files, or folders of them; - is the standard input",
           .positional = true,
           .required = true},
          {.name = "recursive", .value = &recursive, .help = "look into the folders of folders", .letter = 'r'}};
}

FieldList& AppendStdout(StudioFiles& files, FieldList& fields) {
  IdleWhere([&files] { return files.stream_out; }, {"output", "name", "skip-existing"}, fields);
  return Append(fields, {{.name = "stdout",
                          .value = &files.stream_out,
                          .help = "write to the standard output, and no file: wav, flac, ogg or opus"}});
}

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

Status ForEachFile(const std::vector<TrackInput>& files, const std::vector<std::string>& refused,
                   std::string_view doing, std::string_view done, Observer& observer, Json& tracks,
                   const std::function<Result<Json>(const TrackInput&)>& work) {
  size_t failed = 0;
  for (size_t i = 0; i < files.size(); ++i) {
    const std::string& path = files[i].path;
    BeginProgress(observer, doing, std::filesystem::path(path).filename().string());
    Result<Json> track =
        refused[i].empty() ? work(files[i]) : Result<Json>(Fail(ErrorCode::kInvalidArgument, refused[i]));
    EndProgress(observer);
    if (track) {
      tracks.push_back(*std::move(track));
      TrackDone(observer, tracks.back());
      continue;
    }
    const Error& error = track.error();
    tracks.push_back({{"input", path}, {"error", error.message}});
    if (files.size() == 1 || error.code == ErrorCode::kCancelled) return tl::unexpected<Error>(error);
    Warn(observer, error.message);
    ++failed;
  }
  if (failed == 0) return {};
  return Fail(ErrorCode::kIo,
              fmt::format("{} of {} files could not be {}; the warnings say why.", failed, files.size(), done));
}

Json FiniteOrNull(double value) { return std::isfinite(value) ? Json(value) : Json(); }

std::string LevelText(double value) { return std::isfinite(value) ? fmt::format("{:.1f}", value) : "-"; }

}  // namespace timbre
