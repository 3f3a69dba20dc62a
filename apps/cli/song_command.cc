// timbre song: a song from words and a style.
#include <fmt/format.h>

#include "apps/cli/command.h"
#include "base/quantities.h"
#include "pipelines/model_fetching.h"
#include "pipelines/runtime_options.h"
#include "pipelines/song/song.h"

namespace timbre::cli {
namespace {

Report ToJson(const SongReport& song) {
  return {{"output", song.output},
          {"latents", song.latents.empty() ? Report() : Report(song.latents)},
          {"tokens", song.tokens},
          {"blocks", song.blocks},
          {"frames", song.frames},
          {"sample_rate", song.sample_rate},
          {"channels", song.channels},
          {"samples", song.samples},
          {"seconds", song.seconds},
          {"ended", song.ended},
          {"partial", song.partial},
          {"timings", {{"text", song.text}, {"sample", song.sample}, {"decode", song.decode}, {"total", song.total}}},
          {"real_time_factor", song.real_time_factor},
          {"warnings", song.warnings}};
}

class SongCommand final : public Command {
 public:
  FieldList Fields() override {
    FieldList fields = {{.name = "model",
                         .value = &model_,
                         .help = "a model's name, or the path of its folder",
                         .placeholder = "NAME|FOLDER",
                         .letter = 'm'}};
    Append(fields, SongFields(options_));
    return Append(fields, runtime_.Fields());
  }

  std::string Examples() const override {
    return "Styles of sound and words are made with MuQ-MuLan, whose weights are for non-commercial use (CC BY-NC "
           "4.0);\n"
           "a ready vector (--style) needs none of them.\n"
           "Examples:\n"
           "  timbre song --lyrics words.txt --style-text \"slow piano ballad, female voice\" --seconds 60\n"
           "  timbre song --lyrics words.txt --style-audio like-this.mp3 --seed 7 -o song.flac\n"
           "  timbre song --tokens case.safetensors --style case.safetensors --noise case.safetensors\n";
  }

  Status Run(Terminal& terminal, Report& report) override {
    TIMBRE_CHECK(runtime_.Check());
    options_.session = runtime_.Session();
    FieldList reported = SongFields(options_);
    Append(reported, runtime_.Fields());
    report["options"] = FieldsToJson(reported);
    TIMBRE_CHECK(CheckSongOptions(options_));
    const bool decode_only = !options_.from_latents.empty();
    TIMBRE_CHECK(FetchIfNamed(model_, terminal));
    if (!decode_only && options_.style.empty()) TIMBRE_CHECK(FetchIfNamed(options_.style_model, terminal));
    TIMBRE_TRY(const SongModel model, OpenSongModel(model_, decode_only));
    report["model"] = {{"name", model.name}, {"path", model.path}, {"architecture", "diffrhythm2"}};

    ThreadPool pool(runtime_.threads());
    Stats stats;
    SongReport song;
    terminal.BeginProgress(decode_only ? "decoding" : "composing", options_.output);
    const Status made = MakeSong(model, options_, pool, stats, terminal, song);
    terminal.EndProgress();
    for (const std::string& warning : song.warnings) terminal.Warn(warning);
    report["song"] = ToJson(song);
    if (!song.device.empty()) {
      report["device"] = {{"name", song.device}, {"reason", song.device_reason}, {"kernels", song.kernels}};
      terminal.Say(fmt::format("{} on {}: {}", model.name, song.device, song.device_reason));
    }
    report["peak_memory_mb"] = PeakMemory() / 1e6;
    ReportSteps(stats, terminal, report);
    if (!song.output.empty()) {
      terminal.Say(fmt::format("{}: {}{} in {}, real-time factor {:.2f}", song.output, DurationText(song.seconds),
                               song.partial ? ", all that was finished," : "", DurationText(song.total),
                               song.real_time_factor));
    }
    return made;
  }

 private:
  std::string model_ = kDefaultSongModel;
  SongOptions options_;
  RuntimeOptions runtime_;
};

}  // namespace

std::unique_ptr<Command> MakeSongCommand() { return std::make_unique<SongCommand>(); }

}  // namespace timbre::cli
