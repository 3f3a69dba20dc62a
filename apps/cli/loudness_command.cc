// timbre loudness: how loud files are, and the same files as loud as wanted.
#include <fmt/format.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>

#include "apps/cli/command.h"
#include "apps/cli/studio_outputs.h"
#include "pipelines/sound_stream.h"
#include "pipelines/studio/normalise.h"
#include "pipelines/track_inputs.h"

namespace timbre::cli {
namespace {

// JSON has no infinity; what silence lacks is null.
Report Finite(double value) { return std::isfinite(value) ? Report(value) : Report(); }
std::string Text(double value) { return std::isfinite(value) ? fmt::format("{:.1f}", value) : "-"; }

Report ToJson(const LoudnessReport& file, bool written) {
  Report json = {{"input", file.input},
                 {"input_format", file.input_format},
                 {"sample_rate", file.sample_rate},
                 {"channels", file.channels},
                 {"samples", file.samples},
                 {"seconds", file.seconds},
                 {"integrated_lufs", Finite(file.loudness.integrated)},
                 {"short_term_max_lufs", Finite(file.loudness.short_term_max)},
                 {"momentary_max_lufs", Finite(file.loudness.momentary_max)},
                 {"range_lu", file.loudness.range},
                 {"true_peak_dbtp", Finite(file.loudness.true_peak)},
                 {"warning", file.warning.empty() ? Report() : Report(file.warning)}};
  if (written) {
    json["output"] = file.output;
    json["skipped"] = file.skipped;
    json["gain_db"] = file.gain_db;
    json["missed_lu"] = file.missed;
  }
  return json;
}

class LoudnessCommand final : public Command {
 public:
  FieldList Fields() override {
    FieldList fields = {
        {.name = "input",
         .value = &inputs_,
         .help = "audio files, or folders of them; - is the standard input",
         .positional = true,
         .required = true},
        {.name = "recursive", .value = &recursive_, .help = "look into the folders of folders", .letter = 'r'}};
    Append(fields, NormaliseFields(options_));
    IdleWhere([this] { return TakesStdout(); }, {"output", "name", "skip-existing"}, fields);
    return Append(fields,
                  {{.name = "stdout",
                    .value = &options_.files.stream_out,
                    .help = "write to the standard output, and no file: wav, flac, ogg or opus",
                    .idle = [this] { return options_.target ? "" : "nothing is written without --normalise"; }}});
  }

  std::string Examples() const override {
    return "Examples:\n"
           "  timbre loudness album/\n"
           "  timbre loudness --json - song.flac\n"
           "  timbre loudness --normalise -23 -o broadcast programme.wav\n";
  }

  bool TakesStdout() const override { return options_.files.stream_out; }

  Status Run(Terminal& terminal, Report& report) override {
    if (TakesStdout()) options_.files.stream_to = STDOUT_FILENO;
    options_.files.name = NameFor(options_.files.name, StudioFiles().name, recursive_);
    report["options"] = FieldsToJson(NormaliseFields(options_));
    report["tracks"] = Report::array();
    const bool writes = options_.target.has_value();
    TIMBRE_TRY(const std::vector<TrackInput> files,
               ExpandInputs(inputs_, recursive_, writes ? options_.files.output_dir : ""));
    std::vector<std::string> refused(files.size());
    if (writes) {
      TIMBRE_TRY(refused, PlanStudioOutputs(options_.files, "loudness", files));
    }
    const auto print = [&](const std::string& line) {
      if (writes) {
        terminal.Say(line);
      } else {
        terminal.Print(line);
      }
    };
    print("integrated  short-term  range  true peak");
    print("      LUFS    max LUFS     LU       dBTP");
    size_t failed = 0;
    for (size_t i = 0; i < files.size(); ++i) {
      const std::string& path = files[i].path;
      terminal.BeginProgress("measuring", std::filesystem::path(path).filename().string());
      const Result<LoudnessReport> file = refused[i].empty()
                                              ? MeasureOrNormalise(files[i], options_, terminal)
                                              : Result<LoudnessReport>(Fail(ErrorCode::kInvalidArgument, refused[i]));
      terminal.EndProgress();
      if (!file) {
        const Error& error = file.error();
        report["tracks"].push_back({{"input", path}, {"error", error.message}});
        if (files.size() == 1 || error.code == ErrorCode::kCancelled) return tl::unexpected<Error>(error);
        terminal.Warn(error.message);
        ++failed;
        continue;
      }
      report["tracks"].push_back(ToJson(*file, writes));
      if (!file->warning.empty()) terminal.Warn(path + ": " + file->warning);
      if (file->skipped) {
        terminal.Say(fmt::format("{}: skipped, {} is there", path, file->output));
        continue;
      }
      const Loudness& l = file->loudness;
      print(fmt::format("{:>10}  {:>10}  {:>5.1f}  {:>9}  {}", Text(l.integrated), Text(l.short_term_max), l.range,
                        Text(l.true_peak), path));
      if (writes) terminal.Say(fmt::format("  {:+.1f} dB, in {}", file->gain_db, file->output));
    }
    if (failed == 0) return {};
    return Fail(ErrorCode::kIo,
                fmt::format("{} of {} files could not be measured; the warnings say why.", failed, files.size()));
  }

 private:
  std::vector<std::string> inputs_;
  bool recursive_ = false;
  NormaliseOptions options_;
};

}  // namespace

std::unique_ptr<Command> MakeLoudnessCommand() { return std::make_unique<LoudnessCommand>(); }

}  // namespace timbre::cli
