// timbre separate: tracks into stems.
#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>

#include "apps/cli/command.h"
#include "apps/cli/inputs.h"
#include "apps/cli/model_choice.h"
#include "apps/cli/runtime_options.h"
#include "apps/cli/streaming.h"
#include "pipelines/separate/separate.h"
#include "pipelines/separate/separate_fields.h"

namespace timbre::cli {
namespace {

Report ToJson(const TrackReport& track) {
  Report outputs = Report::array();
  for (const StemOutput& output : track.outputs) {
    outputs.push_back({{"stem", output.stem},
                       {"path", output.path},
                       {"samples", output.samples},
                       {"channels", output.channels},
                       {"sample_rate", output.sample_rate},
                       {"peak", output.peak},
                       {"gain", output.gain}});
  }
  return {{"input", track.input},
          {"input_format", track.input_format},
          {"sample_rate", track.sample_rate},
          {"channels", track.channels},
          {"samples", track.samples},
          {"seconds", track.seconds},
          {"skipped", track.skipped},
          {"outputs", outputs},
          {"tiles", track.tiles},
          {"timings",
           {{"load", track.times.load},
            {"analyse", track.times.analyse},
            {"decode", track.times.decode},
            {"compute", track.times.compute},
            {"encode", track.times.encode},
            {"total", track.times.total}}},
          {"real_time_factor", track.real_time_factor},
          {"warning", track.warning.empty() ? Report() : Report(track.warning)}};
}

class SeparateCommand final : public Command {
 public:
  FieldList Fields() override {
    FieldList fields = {{.name = "input",
                         .value = &inputs_,
                         .help = "audio files, or folders of them; - is the standard input",
                         .positional = true,
                         .required = true}};
    Append(fields, choice_.Fields("config"));
    Append(fields,
           {{.name = "recursive", .value = &recursive_, .help = "look into the folders of folders", .letter = 'r'}});
    Append(fields, SeparateFields(options_));
    IdleWhere([this] { return TakesStdout(); }, {"output", "stems", "name", "skip-existing"}, fields);
    Append(fields, {{.name = "stdout",
                     .value = &options_.stream,
                     .help = "write this stem alone, and no file, to the standard output: wav, flac, ogg or opus; as "
                             "it is made with --clip clamp or none, at the end with rescale",
                     .placeholder = "STEM"}});
    return Append(fields, runtime_.Fields());
  }

  std::string Examples() const override {
    return "Examples:\n"
           "  timbre separate song.mp3\n"
           "  timbre separate --two-stems vocals --format flac -o karaoke album/\n"
           "  timbre separate --model hpss song.mp3        (needs no download)\n"
           "  ffmpeg -i film.mkv -f wav - | timbre separate --stdout vocals - | ffplay -i -\n";
  }

  bool TakesStdout() const override { return !options_.stream.empty(); }

  Status Run(Terminal& terminal, Report& report) override {
    TIMBRE_CHECK(runtime_.Check());
    options_.session = runtime_.Session();
    options_.name = NameFor(options_.name, SeparateOptions().name, recursive_);
    FieldList reported = SeparateFields(options_);
    Append(reported, runtime_.Fields());
    report["options"] = FieldsToJson(reported);
    report["tracks"] = Report::array();
    TIMBRE_TRY(const std::vector<TrackInput> files, ExpandInputs(inputs_, recursive_, options_.output_dir));
    if (TakesStdout()) {
      TIMBRE_CHECK(CheckStream(options_.format, files.size()));
      options_.stream_to = STDOUT_FILENO;
    } else {
      TIMBRE_CHECK(CheckOutputFolder(options_.output_dir));
    }
    TIMBRE_TRY(LoadedModel model, choice_.Load(terminal));
    const std::string name = model.name;
    ThreadPool pool(runtime_.threads());
    Stats stats;
    TIMBRE_TRY(const std::unique_ptr<Separator> separator,
               choice_.MakeSeparator(std::move(model), options_, pool, stats, terminal));
    std::vector<std::string> refused(files.size());
    if (!TakesStdout()) {
      TIMBRE_TRY(refused, Plan(*separator, name, files));
    }
    const SeparationInfo& info = separator->model().info();
    report["model"] = {{"name", name},
                       {"path", separator->model().path},
                       {"architecture", info.architecture},
                       {"networks", separator->model().members.size()},
                       {"stems", info.stems},
                       {"sample_rate", info.sample_rate}};
    report["device"] = {{"name", separator->device_name()}, {"reason", separator->device_reason()}};
    report["batch"] = separator->batch();
    terminal.Say(fmt::format("{} on {}: {}", name, separator->device_name(), separator->device_reason()));
    Status done = SeparateAll(*separator, files, refused, terminal, report["tracks"]);
    report["device"]["kernels"] = separator->kernels();
    report["peak_memory_mb"] = PeakMemory() / 1e6;
    ReportSteps(stats, terminal, report);
    return done;
  }

 private:
  // Why each of the files must not be separated, or nothing: its outputs would be another's. A name that would be so in
  // one run alone, or with --strict, is an error.
  Result<std::vector<std::string>> Plan(const Separator& separator, const std::string& model,
                                        const std::vector<TrackInput>& files) const {
    OutputPlan plan(files);
    std::vector<std::string> refused;
    for (const TrackInput& file : files) {
      std::vector<std::string> paths;
      std::string why;
      for (const std::string& stem : separator.output_names()) {
        Result<std::string> path = OutputPath(options_, model, file, stem);
        if (!path && path.error().code == ErrorCode::kInvalidArgument) return tl::unexpected<Error>(path.error());
        if (path) {
          paths.push_back(*std::move(path));
        } else {
          why = path.error().message;
        }
      }
      if (why.empty()) {
        TIMBRE_TRY(why, plan.Add(paths, file.path));
      }
      if (!why.empty() && (files.size() == 1 || options_.session.strict)) {
        return Fail(ErrorCode::kInvalidArgument, why);
      }
      refused.push_back(std::move(why));
    }
    return refused;
  }

  // One track that fails does not keep the others from being separated.
  static Status SeparateAll(Separator& separator, const std::vector<TrackInput>& files,
                            const std::vector<std::string>& refused, Terminal& terminal, Report& tracks) {
    size_t failed = 0;
    for (size_t i = 0; i < files.size(); ++i) {
      const std::string& file = files[i].path;
      terminal.BeginProgress("separating", std::filesystem::path(file).filename().string());
      const Result<TrackReport> track = refused[i].empty()
                                            ? separator.Separate(files[i], terminal)
                                            : Result<TrackReport>(Fail(ErrorCode::kInvalidArgument, refused[i]));
      terminal.EndProgress();
      if (!track) {
        const Error& error = track.error();
        tracks.push_back({{"input", file}, {"error", error.message}});
        if (files.size() == 1 || error.code == ErrorCode::kCancelled) return tl::unexpected<Error>(error);
        terminal.Warn(error.message);
        ++failed;
        continue;
      }
      tracks.push_back(ToJson(*track));
      if (!track->warning.empty()) terminal.Warn(file + ": " + track->warning);
      for (const StemOutput& output : track->outputs) terminal.Detail("  " + output.path);
      if (track->skipped) {
        terminal.Say(fmt::format("{}: skipped, its files are there", file));
        continue;
      }
      const std::filesystem::path first = track->outputs.empty() ? "" : track->outputs.front().path;
      const std::string where = first.has_parent_path()
                                    ? fmt::format("{} files in {}", track->outputs.size(), first.parent_path().string())
                                    : "to " + first.string();
      terminal.Say(fmt::format("{}: {} in {}, real-time factor {:.3f}, {}", file, DurationText(track->seconds),
                               DurationText(track->times.total), track->real_time_factor, where));
      for (const StemOutput& output : track->outputs) {
        if (output.gain < 1) terminal.Say("  " + output.stem + ": " + LoweredText(output.gain));
      }
    }
    if (failed == 0) return {};
    return Fail(ErrorCode::kIo,
                fmt::format("{} of {} tracks could not be separated; the warnings say why.", failed, files.size()));
  }

  std::vector<std::string> inputs_;
  ModelChoice choice_{.model = std::string(kDefaultSeparationModel)};
  bool recursive_ = false;
  SeparateOptions options_;
  RuntimeOptions runtime_;
};

}  // namespace

std::unique_ptr<Command> MakeSeparateCommand() { return std::make_unique<SeparateCommand>(); }

}  // namespace timbre::cli
