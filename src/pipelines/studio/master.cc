#include "pipelines/studio/master.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <vector>

#include "base/denormals.h"
#include "base/output_set.h"
#include "dsp/true_peak.h"
#include "pipelines/made_by.h"
#include "pipelines/output_files.h"
#include "pipelines/studio/sample_file.h"

namespace timbre {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int64_t kBlock = 16384;  // frames
constexpr int kMostRounds = 3;
constexpr double kLoudnessTolerance = 0.1;  // LU
constexpr double kMostLimiting = 6;         // dB that a loudness may ask of the limiter
constexpr double kInaudible = 0.02;         // dB
constexpr double kMeterMargin = 0.005;      // dB, for meters that interpolate otherwise

// What the limiter is run with.
struct Settings {
  double gain_db = 0;     // in front of it
  double ceiling_db = 0;  // at or below what was asked for
  double trim_db = 0;     // behind it
};

// From one sample that the file can hold to the next; full scale is 1.
double StepOf(const StudioFiles& files) {
  if (files.format != "wav" && files.format != "flac") return 1.0 / (1 << 15);
  return files.sample_format == "s16" ? 1.0 / (1 << 15) : files.sample_format == "s24" ? 1.0 / (1 << 23) : 0;
}

class Mastering {
 public:
  Mastering(const MasterChain& chain, const MasterOptions& options, Observer& observer, MasterReport& report)
      : chain_(chain), options_(options), observer_(observer), report_(report) {}

  Status Run(const TrackInput& input);

 private:
  // The chain over the input, into `samples_`, and how loud both are.
  Status RunChain(AudioReader& reader);
  // The settings that meet ceiling and loudness, and how loud the result is.
  Status FindSettings();
  // Gain, limiter and trim over `samples_`, block by block.
  template <typename Take>
  Status Limit(const Settings& settings, Stage stage, Take&& take);
  Status MeasureRound(const Settings& settings, double* true_peak_db);
  Status Progress(Stage stage, int64_t done, int64_t total);

  bool limits() const {
    return options_.engine == ChainEngine::kStudio && (chain_.limiter.has_value() || options_.loudness.has_value());
  }
  void Warn(const std::string& sentence) { report_.warning += (report_.warning.empty() ? "" : " ") + sentence; }

  const MasterChain& chain_;
  const MasterOptions& options_;
  Observer& observer_;
  MasterReport& report_;
  std::vector<Speaker> speakers_;
  std::optional<SampleFile> samples_;
  Loudness chained_;         // of what is in samples_
  double chained_peak_ = 0;  // dBTP
  Settings settings_;
};

Status Mastering::Progress(Stage stage, int64_t done, int64_t total) {
  observer_.OnProgress({.stage = stage,
                        .done = done,
                        .total = total,
                        .audio_seconds = static_cast<double>(total) / report_.sample_rate});
  if (observer_.Cancelled()) return Fail(ErrorCode::kCancelled, "cancelled");
  return {};
}

Status Mastering::RunChain(AudioReader& reader) {
  const int channels = report_.channels;
  TIMBRE_TRY(samples_, SampleFile::Create(TemporaryFolderFor(options_.files.temp_dir, options_.files.output_dir,
                                                             options_.files.stream_out)));
  TIMBRE_TRY(LoudnessMeter before, LoudnessMeter::Create(report_.sample_rate, speakers_));
  TIMBRE_TRY(LoudnessMeter after, LoudnessMeter::Create(report_.sample_rate, speakers_));
  ChainProcessor processor(chain_, options_.engine, report_.sample_rate, channels);
  std::vector<float> block(static_cast<size_t>(kBlock * channels));
  while (true) {
    TIMBRE_TRY(const int64_t frames, reader.Read(block.data(), kBlock));
    if (frames == 0) break;
    TIMBRE_CHECK(before.Add(block.data(), frames));
    processor.Process(block.data(), frames);
    TIMBRE_CHECK(after.Add(block.data(), frames));
    TIMBRE_CHECK(samples_->Append(block.data(), frames * channels));
    TIMBRE_CHECK(Progress(Stage::kCompute, reader.position(), reader.info().expected_frames));
  }
  report_.samples = reader.position();
  if (report_.samples == 0) return Fail(ErrorCode::kCorrupt, report_.input + ": it holds no samples");
  TIMBRE_TRY(report_.before, before.Measure());
  TIMBRE_TRY(chained_, after.Measure());
  return {};
}

template <typename Take>
Status Mastering::Limit(const Settings& settings, Stage stage, Take&& take) {
  const int channels = report_.channels;
  const double release = chain_.limiter ? chain_.limiter->release_ms : ChainLimiter().release_ms;
  TruePeakLimiter limiter(FromDb(settings.ceiling_db), release, report_.sample_rate, channels);
  const auto gain = static_cast<float>(FromDb(settings.gain_db)), trim = static_cast<float>(FromDb(settings.trim_db));
  std::vector<float> block(static_cast<size_t>(kBlock * channels)), ready;
  for (int64_t at = 0; at <= report_.samples; at += kBlock) {
    const int64_t frames = std::min(kBlock, report_.samples - at);
    ready.clear();
    if (frames > 0) {
      TIMBRE_CHECK(samples_->Read(at * channels, frames * channels, block.data()));
      if (settings.gain_db != 0) {
        for (int64_t i = 0; i < frames * channels; ++i) block[static_cast<size_t>(i)] *= gain;
      }
    }
    if (limits()) {
      limiter.Process(block.data(), frames, &ready);
      if (at + kBlock > report_.samples) limiter.Finish(&ready);
    } else {
      ready.assign(block.begin(), block.begin() + frames * channels);
    }
    if (settings.trim_db != 0) {
      for (float& sample : ready) sample *= trim;
    }
    TIMBRE_CHECK(take(ready.data(), static_cast<int64_t>(ready.size()) / channels));
    TIMBRE_CHECK(Progress(stage, std::min(at + kBlock, report_.samples), report_.samples));
  }
  report_.limited_db = -ToDb(limiter.lowest_gain());
  return {};
}

Status Mastering::MeasureRound(const Settings& settings, double* true_peak_db) {
  TIMBRE_TRY(LoudnessMeter meter, LoudnessMeter::Create(report_.sample_rate, speakers_));
  TruePeakMeter peaks(FromDb(settings.ceiling_db), report_.channels);
  TIMBRE_CHECK(Limit(settings, Stage::kAnalyse, [&](const float* samples, int64_t frames) {
    peaks.Add(samples, frames);
    return meter.Add(samples, frames);
  }));
  TIMBRE_TRY(report_.after, meter.Measure());
  *true_peak_db = std::max(report_.after.true_peak, ToDb(peaks.Finish()));
  report_.after.true_peak = *true_peak_db;
  ++report_.rounds;
  return {};
}

Status Mastering::FindSettings() {
  const double wanted = std::min(options_.ceiling, chain_.limiter ? chain_.limiter->ceiling_db : 0);
  // Below it by what meters differ in, and by what rounding to the samples of the file may add.
  const double ceiling = wanted - kMeterMargin - ToDb(1 + 2 * StepOf(options_.files) / FromDb(wanted));
  settings_.ceiling_db = ceiling;
  const bool audible = std::isfinite(chained_.integrated);
  double most_gain = HUGE_VAL;
  if (options_.loudness && audible) {
    most_gain = ceiling + kMostLimiting - chained_.true_peak;
    settings_.gain_db = std::min(*options_.loudness - chained_.integrated, most_gain);
  }
  // A round more than the loudness takes, where the last one is over the ceiling.
  for (int round = 1; round <= kMostRounds + 1; ++round) {
    double peak = 0;
    TIMBRE_CHECK(MeasureRound(settings_, &peak));
    const double over = peak - ceiling;
    const double off = options_.loudness && audible ? *options_.loudness - report_.after.integrated : 0;
    const double gain = std::min(settings_.gain_db + off, most_gain);
    const bool loud = std::abs(off) <= kLoudnessTolerance || gain == settings_.gain_db || round >= kMostRounds;
    if (loud && over <= 0) break;
    if (round > kMostRounds || (loud && over <= kInaudible)) {
      // A gain lowers every peak by exactly itself.
      settings_.trim_db = -over;
      report_.after.integrated += settings_.trim_db;
      report_.after.true_peak += settings_.trim_db;
      break;
    }
    if (over > 0) settings_.ceiling_db -= over;
    if (!loud) settings_.gain_db = gain;
  }
  report_.gain_db = settings_.gain_db;
  return {};
}

Status Mastering::Run(const TrackInput& input) {
  const Clock::time_point start = Clock::now();
  const ScopedFlushDenormals flush;
  report_.input = input.path;
  TIMBRE_TRY(WriteOptions write, StudioWriteOptions(options_.files));
  TIMBRE_TRY(report_.output, StudioPath(options_.files, input, "master"));
  const std::string mark = OutputMark(options_.files.made_by, "");
  TIMBRE_TRY(const AudioPart part, ParsePart(options_.files.part));
  report_.skipped =
      !options_.files.stream_out && options_.files.skip_existing && IsDone(input.path, part, {report_.output}, {mark});
  if (report_.skipped) return {};
  TIMBRE_TRY(const std::unique_ptr<AudioReader> reader,
             OpenStudioInput(options_.files, input.path, report_.output, observer_));
  report_.input_format = reader->info().format;
  report_.sample_rate = reader->info().sample_rate;
  report_.channels = reader->info().channels;
  speakers_ = reader->info().speakers;
  if (report_.sample_rate < 1000) {
    return Fail(ErrorCode::kUnsupported,
                fmt::format("{}: its {} samples a second are too few for music", input.path, report_.sample_rate));
  }
  if (options_.files.tags) write.tags = input.tags.value_or(reader->info().tags);
  OutputSet outputs;
  TIMBRE_TRY(const std::unique_ptr<AudioWriter> writer,
             OpenStudioOutput(options_.files, report_.output, write, report_.sample_rate, report_.channels, outputs,
                              observer_));
  TIMBRE_CHECK(RunChain(*reader));
  report_.warning = reader->warning();
  report_.after = chained_;
  if (limits()) {
    TIMBRE_CHECK(FindSettings());
  } else if (options_.loudness && std::isfinite(chained_.integrated)) {
    // The classic engine's limiter is a part of its chain: a gain behind it is all that is left to do.
    report_.gain_db = settings_.gain_db = std::min(*options_.loudness - chained_.integrated, -chained_.true_peak);
    report_.after.integrated += settings_.gain_db;
    report_.after.short_term_max += settings_.gain_db;
    report_.after.momentary_max += settings_.gain_db;
    report_.after.true_peak += settings_.gain_db;
  }
  if (options_.loudness) {
    if (!std::isfinite(report_.after.integrated)) {
      Warn("It is too short or too quiet to have a loudness.");
    } else {
      report_.missed = report_.after.integrated - *options_.loudness;
      if (report_.missed < -kLoudnessTolerance) {
        Warn(fmt::format("It stays {:.1f} LU below the wanted loudness: {}.", -report_.missed,
                         limits() ? "the limiter would have to take more than 6 dB"
                                  : "a gain alone would take a peak above full scale"));
      } else if (report_.missed > kLoudnessTolerance) {
        Warn(fmt::format("It stays {:.1f} LU above the wanted loudness.", report_.missed));
      }
    }
  }
  if (!limits() && report_.after.true_peak > 0) {
    Warn(fmt::format("Its true peak is {:.1f} dBTP, above full scale.", report_.after.true_peak));
  } else if (!limits() && options_.engine == ChainEngine::kStudio && report_.after.true_peak > options_.ceiling) {
    Warn(fmt::format("Its true peak is {:.1f} dBTP, above --ceiling: the chain has no limiter.",
                     report_.after.true_peak));
  }
  TIMBRE_CHECK(Limit(settings_, Stage::kEncode,
                     [&](const float* samples, int64_t frames) { return writer->Write(samples, frames); }));
  TIMBRE_CHECK(writer->Finish());
  TIMBRE_CHECK(outputs.Commit());
  if (!options_.files.stream_out) KeepMarks({report_.output}, {OutputMark(options_.files.made_by, "")});
  report_.seconds = static_cast<double>(report_.samples) / report_.sample_rate;
  report_.total = std::chrono::duration<double>(Clock::now() - start).count();
  report_.real_time_factor = report_.total / report_.seconds;
  return {};
}

}  // namespace

FieldList MasterFields(MasterOptions& options) {
  FieldList fields = {
      {.name = "preset",
       .value = &options.preset,
       .help = "chain of filters and dynamics (--list-presets)",
       .placeholder = "NAME",
       .idle = [&options] { return options.chain.empty() ? "" : "--chain takes its place"; }},
      {.name = "chain",
       .value = &options.chain,
       .help = "a chain of one's own, of docs/presets.yaml's form",
       .placeholder = "FILE.yaml"},
      ChoiceField("engine", &options.engine, {{"studio", ChainEngine::kStudio}, {"classic", ChainEngine::kClassic}},
                  "studio limits true peaks; classic sounds as the plug-ins that presets like these are known from, "
                  "whose limiter raises the level and cuts at full scale"),
      {.name = "loudness",
       .value = &options.loudness,
       .help = "be so loud (-14 for streaming, -23 by EBU R 128); the limiter takes 6 dB at most for it",
       .placeholder = "LUFS",
       .min = -70,
       .max = 0},
      {.name = "ceiling",
       .value = &options.ceiling,
       .help = "true peak that nothing exceeds; a chain's own may be lower",
       .placeholder = "DBTP",
       .min = -40,
       .max = 0,
       .idle =
           [&options] {
             return options.engine == ChainEngine::kStudio ? "" : "--engine classic has no limiter of true peaks";
           }},
  };
  return Append(fields, StudioFileFields(options.files));
}

Result<MasterChain> ChainFor(const MasterOptions& options) {
  return options.chain.empty() ? FindPreset(options.preset) : ReadChain(options.chain);
}

Result<MasterReport> MasterFile(const TrackInput& input, const MasterChain& chain, const MasterOptions& options,
                                Observer& observer) {
  MasterReport report;
  TIMBRE_CHECK(Mastering(chain, options, observer, report).Run(input));
  return report;
}

}  // namespace timbre
