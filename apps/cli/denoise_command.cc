// timbre denoise: a job on files, or live sound with the same options.
#include <fmt/format.h>

#include <algorithm>

#include "apps/cli/job_command.h"
#include "apps/cli/live_audio.h"
#include "apps/cli/many_files.h"
#include "apps/cli/remote_job.h"
#include "base/quantities.h"
#include "pipelines/model_fetching.h"
#include "pipelines/speech/denoise_job.h"
#include "pipelines/speech/live_denoiser.h"

namespace timbre::cli {
namespace {

class DenoiseCommand final : public Command {
 public:
  FieldList Fields() override {
    FieldList fields = job_.Fields();
    many_.AddTo("denoise", fields);
    const auto input = std::find_if(fields.begin(), fields.end(), [](const Field& field) { return field.positional; });
    input->required = false;
    const auto recursive =
        std::find_if(fields.begin(), fields.end(), [](const Field& field) { return field.name == "recursive"; });
    fields.insert(recursive, {.name = "live", .value = &live_, .help = "from a microphone to an output, until Ctrl-C"});
    const auto unless_live = [this] { return live_ ? "" : "--live is not given"; };
    Append(fields,
           {{.name = "in",
             .value = &in_,
             .help = "with --live: the device that records ('timbre devices' lists them; default: the system's)",
             .placeholder = "NAME|N",
             .idle = unless_live,
             .heading = "Live"},
            {.name = "out",
             .value = &out_,
             .help = "with --live: the device that plays",
             .placeholder = "NAME|N",
             .idle = unless_live,
             .heading = "Live"}});
    Append(fields, Under("Server", remote_.FieldsOfJob()));
    // What live sound hears of; all else is about files, or about devices.
    const std::vector<std::string_view> live = {
        "model",      "live",          "atten-lim",         "post-filter",      "mix", "df",
        "thresholds", "threshold-min", "threshold-max-erb", "threshold-max-df", "in",  "out"};
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
           "  timbre denoise --live --in USB --out Headphones\n"
           "  timbre denoise --stdout --format flac call.wav > clean.flac\n";
  }

  bool TakesStdout() const override { return job_.Streams(); }

  Status Run(Terminal& terminal, Report& report) override {
    TIMBRE_CHECK(CheckRemote(remote_, many_));
    if (!live_ && !remote_.server.empty()) return RunJobThere("denoise", job_, remote_, terminal, report);
    if (!live_ && many_.given()) return many_.Run("denoise", job_, *this, terminal, report);
    if (!live_ && !job_.inputs().empty()) return RunJobHere("denoise", job_, *this, terminal, report);
    TIMBRE_CHECK(job_.Begin({}, report));
    if (!live_ || !job_.inputs().empty()) {
      return Fail(ErrorCode::kInvalidArgument,
                  live_ ? "--live takes no files." : "A file, a folder or --live is missing.");
    }
    return RunLive(terminal, report);
  }

 private:
  Status RunLive(Terminal& terminal, Report& report) {
    TIMBRE_TRY(const std::unique_ptr<LiveAudio> audio, LiveAudio::Open(in_, out_));
    const std::string& name = job_.model();
    TIMBRE_CHECK(FetchIfNamed(name, ModelTask::kDenoise, terminal));
    TIMBRE_TRY(const SpeechModel model, OpenSpeechModel(name));
    report["model"] = DenoiseJob::ModelJson(model);
    const DenoiseOptions& options = job_.options();
    LiveOptions live;
    live.sample_rate = audio->sample_rate();
    live.channels = audio->channels();
    live.deep_filter = options.deep_filter;
    live.use_thresholds = options.thresholds;
    live.threshold_min = static_cast<float>(options.threshold_min);
    live.threshold_max_erb = static_cast<float>(options.threshold_max_erb);
    live.threshold_max_df = static_cast<float>(options.threshold_max_df);
    TIMBRE_TRY(const std::unique_ptr<LiveDenoiser> denoiser, LiveDenoiser::Create(model, live));
    denoiser->set_attenuation_limit(static_cast<float>(options.attenuation_limit));
    denoiser->set_mix(static_cast<float>(options.mix));
    if (options.post_filter) denoiser->set_post_filter_beta(static_cast<float>(*options.post_filter));
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

  bool live_ = false;
  std::string in_, out_;
  ManyFiles many_;
  RemoteOptions remote_;
  DenoiseJob job_;
};

}  // namespace

std::unique_ptr<Command> MakeDenoiseCommand() { return std::make_unique<DenoiseCommand>(); }

}  // namespace timbre::cli
