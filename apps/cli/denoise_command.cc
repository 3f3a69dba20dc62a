// timbre denoise: speech without the noise around it, in files or live.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "apps/cli/command.h"
#include "apps/cli/fetching.h"
#include "apps/cli/inputs.h"
#include "apps/cli/live_audio.h"
#include "apps/cli/runtime_options.h"
#include "apps/cli/streaming.h"
#include "pipelines/speech/denoise.h"
#include "pipelines/speech/live_denoiser.h"

namespace timbre::cli {
namespace {

Report ToJson(const DenoiseReport& file) {
  return {
      {"input", file.input},
      {"input_format", file.input_format},
      {"output", file.output},
      {"sample_rate", file.sample_rate},
      {"channels", file.channels},
      {"samples", file.samples},
      {"seconds", file.seconds},
      {"skipped", file.skipped},
      {"peak", file.peak},
      {"gain", file.gain},
      {"timings", {{"decode", file.decode}, {"compute", file.compute}, {"encode", file.encode}, {"total", file.total}}},
      {"real_time_factor", file.real_time_factor},
      {"warning", file.warning.empty() ? Report() : Report(file.warning)}};
}

class DenoiseCommand final : public Command {
 public:
  FieldList Fields() override {
    FieldList fields = {
        {.name = "input",
         .value = &inputs_,
         .help = "audio files, or folders of them; - is the standard input",
         .positional = true},
        {.name = "model",
         .value = &model_,
         .help = "a model's name, or the path of its file or folder",
         .placeholder = "NAME|PATH",
         .letter = 'm'},
        {.name = "live", .value = &live_, .help = "from the default microphone to the default output, until Ctrl-C"},
        {.name = "recursive", .value = &recursive_, .help = "look into the folders of folders", .letter = 'r'}};
    Append(fields, DenoiseFields(options_));
    IdleWhere([this] { return TakesStdout(); }, {"output", "name", "skip-existing"}, fields);
    Append(fields, {{.name = "stdout",
                     .value = &options_.stream_out,
                     .help = "write to the standard output, and no file: wav, flac, ogg or opus; as it is made with "
                             "--clip clamp or none, at the end with rescale"}});
    Append(fields, runtime_.Fields());
    // What live sound hears of; all else is about files, or about devices.
    const std::vector<std::string_view> live = {
        "model", "live",       "atten-lim",     "post-filter",       "mix",
        "df",    "thresholds", "threshold-min", "threshold-max-erb", "threshold-max-df"};
    for (Field& field : fields) {
      if (field.positional || std::find(live.begin(), live.end(), field.name) != live.end()) continue;
      field.idle = [this, idle = std::move(field.idle)]() -> std::string {
        if (live_) return "--live writes no files and runs on one thread of the CPU";
        return idle ? idle() : "";
      };
    }
    return fields;
  }

  std::string Examples() const override {
    return "Examples:\n"
           "  timbre denoise call.wav\n"
           "  timbre denoise --atten-lim 12 --format flac -o clean interviews/\n"
           "  timbre denoise --model gtcrn-dns3 phone.mp3\n"
           "  timbre denoise --live\n"
           "  timbre denoise --stdout --format flac call.wav > clean.flac\n";
  }

  bool TakesStdout() const override { return options_.stream_out; }

  Status Run(Terminal& terminal, Report& report) override {
    TIMBRE_CHECK(runtime_.Check());
    options_.session = runtime_.Session();
    FieldList reported = DenoiseFields(options_);
    Append(reported, runtime_.Fields());
    report["options"] = FieldsToJson(reported);
    if (live_ != inputs_.empty()) {
      return Fail(ErrorCode::kInvalidArgument,
                  live_ ? "--live takes no files." : "A file, a folder or --live is missing.");
    }
    return live_ ? RunLive(terminal, report) : RunFiles(terminal, report);
  }

 private:
  static Report ModelJson(const SpeechModel& model) {
    return {{"name", model.name},
            {"path", model.path},
            {"architecture", model.architecture_name()},
            {"sample_rate", model.sample_rate()}};
  }

  Status RunFiles(Terminal& terminal, Report& report) {
    report["tracks"] = Report::array();
    options_.name = NameFor(options_.name, DenoiseOptions().name, recursive_);
    TIMBRE_TRY(const std::vector<TrackInput> files, ExpandInputs(inputs_, recursive_, options_.output_dir));
    if (options_.stream_out) {
      TIMBRE_CHECK(CheckStream(options_.format, files.size()));
      options_.stream_to = STDOUT_FILENO;
    } else {
      TIMBRE_CHECK(CheckOutputFolder(options_.output_dir));
    }
    TIMBRE_CHECK(CheckSpeechModelName(model_));
    TIMBRE_CHECK(FetchIfNamed(model_, terminal));
    TIMBRE_TRY(SpeechModel model, OpenSpeechModel(model_));
    report["model"] = ModelJson(model);
    const std::string name = model.name;
    ThreadPool pool(runtime_.threads());
    Stats stats;
    TIMBRE_TRY(const std::unique_ptr<Denoiser> denoiser, Denoiser::Create(std::move(model), options_, pool, stats));
    OutputPlan plan(files);
    std::vector<std::string> refused;  // why a file must not be cleaned, or nothing
    for (const TrackInput& file : files) {
      if (options_.stream_out) {
        refused.emplace_back();
        continue;
      }
      const Result<std::string> path = denoiser->PathFor(file);
      if (!path && path.error().code == ErrorCode::kInvalidArgument) return tl::unexpected<Error>(path.error());
      std::string why;
      if (path) {
        TIMBRE_TRY(why, plan.Add({*path}, file.path));
      } else {
        why = path.error().message;
      }
      if (!why.empty() && (files.size() == 1 || options_.session.strict)) {
        return Fail(ErrorCode::kInvalidArgument, why);
      }
      refused.push_back(std::move(why));
    }
    report["device"] = {{"name", denoiser->device_name()}, {"reason", denoiser->device_reason()}};
    terminal.Say(fmt::format("{} on {}: {}", name, denoiser->device_name(), denoiser->device_reason()));
    Status done = DenoiseAll(*denoiser, files, refused, terminal, report["tracks"]);
    report["device"]["kernels"] = denoiser->kernels();
    report["peak_memory_mb"] = PeakMemory() / 1e6;
    ReportSteps(stats, terminal, report);
    return done;
  }

  // One file that fails does not keep the others from being cleaned.
  static Status DenoiseAll(Denoiser& denoiser, const std::vector<TrackInput>& files,
                           const std::vector<std::string>& refused, Terminal& terminal, Report& tracks) {
    size_t failed = 0;
    for (size_t i = 0; i < files.size(); ++i) {
      const std::string& file = files[i].path;
      terminal.BeginProgress("cleaning", std::filesystem::path(file).filename().string());
      const Result<DenoiseReport> done = refused[i].empty()
                                             ? denoiser.Denoise(files[i], terminal)
                                             : Result<DenoiseReport>(Fail(ErrorCode::kInvalidArgument, refused[i]));
      terminal.EndProgress();
      if (!done) {
        const Error& error = done.error();
        tracks.push_back({{"input", file}, {"error", error.message}});
        if (files.size() == 1 || error.code == ErrorCode::kCancelled) return tl::unexpected<Error>(error);
        terminal.Warn(error.message);
        ++failed;
        continue;
      }
      tracks.push_back(ToJson(*done));
      if (!done->warning.empty()) terminal.Warn(file + ": " + done->warning);
      if (done->skipped) {
        terminal.Say(fmt::format("{}: skipped, {} is there", file, done->output));
        continue;
      }
      terminal.Say(fmt::format("{}: {} in {}, real-time factor {:.4f}, in {}", file, DurationText(done->seconds),
                               DurationText(done->total), done->real_time_factor, done->output));
      if (done->gain < 1) terminal.Say("  " + LoweredText(done->gain));
    }
    if (failed == 0) return {};
    return Fail(ErrorCode::kIo,
                fmt::format("{} of {} files could not be cleaned; the warnings say why.", failed, files.size()));
  }

  Status RunLive(Terminal& terminal, Report& report) {
    TIMBRE_TRY(const std::unique_ptr<LiveAudio> audio, LiveAudio::Open());
    TIMBRE_CHECK(CheckSpeechModelName(model_));
    TIMBRE_CHECK(FetchIfNamed(model_, terminal));
    TIMBRE_TRY(const SpeechModel model, OpenSpeechModel(model_));
    report["model"] = ModelJson(model);
    LiveOptions live;
    live.sample_rate = audio->sample_rate();
    live.channels = audio->channels();
    live.deep_filter = options_.deep_filter;
    live.use_thresholds = options_.thresholds;
    live.threshold_min = static_cast<float>(options_.threshold_min);
    live.threshold_max_erb = static_cast<float>(options_.threshold_max_erb);
    live.threshold_max_df = static_cast<float>(options_.threshold_max_df);
    TIMBRE_TRY(const std::unique_ptr<LiveDenoiser> denoiser, LiveDenoiser::Create(model, live));
    denoiser->set_attenuation_limit(static_cast<float>(options_.attenuation_limit));
    denoiser->set_mix(static_cast<float>(options_.mix));
    if (options_.post_filter) denoiser->set_post_filter_beta(static_cast<float>(*options_.post_filter));
    terminal.Say(fmt::format("{} to {} at {} Hz, {:.0f} ms later; Ctrl-C ends it", audio->input_name(),
                             audio->output_name(), audio->sample_rate(),
                             1000.0 * static_cast<double>(denoiser->latency()) / audio->sample_rate()));
    TIMBRE_TRY(const LiveAudio::Played played, audio->Run(*denoiser, terminal));
    report["live"] = {{"sample_rate", audio->sample_rate()},
                      {"channels", audio->channels()},
                      {"latency_samples", denoiser->latency()},
                      {"seconds", played.seconds},
                      {"dropouts", played.dropouts}};
    terminal.Say(fmt::format("{} of sound, {} dropouts", DurationText(played.seconds), played.dropouts));
    return {};
  }

  std::vector<std::string> inputs_;
  std::string model_ = kDefaultSpeechModel;
  bool live_ = false, recursive_ = false;
  DenoiseOptions options_;
  RuntimeOptions runtime_;
};

}  // namespace

std::unique_ptr<Command> MakeDenoiseCommand() { return std::make_unique<DenoiseCommand>(); }

}  // namespace timbre::cli
