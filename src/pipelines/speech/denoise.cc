#include "pipelines/speech/denoise.h"

#include <algorithm>
#include <vector>

#include "audio/decode.h"
#include "audio/encode.h"
#include "audio/resample.h"
#include "base/output_set.h"
#include "base/temporary_file.h"
#include "base/timer.h"
#include "pipelines/made_by.h"
#include "pipelines/output_files.h"
#include "pipelines/speech/denoise_stream.h"

namespace timbre {
namespace {

// Frames that the network takes at once from a file: enough to share what a weight costs to load, few enough for the
// feature maps to stay in the cache. Of 32, 64 and 128, 64 was the fastest.
constexpr int kBlockFrames = 64;

void Deinterleave(const float* in, int64_t frames, int channels, float* const* out) {
  for (int c = 0; c < channels; ++c) {
    for (int64_t i = 0; i < frames; ++i) out[c][i] = in[i * channels + c];
  }
}

void Interleave(const float* const* in, int64_t frames, int channels, float* out) {
  for (int c = 0; c < channels; ++c) {
    for (int64_t i = 0; i < frames; ++i) out[i * channels + c] = in[c][i];
  }
}

class DenoiserImpl final : public Denoiser {
 public:
  DenoiserImpl(SpeechModel model, const DenoiseOptions& options, ThreadPool& pool, Stats& stats)
      : model_(std::move(model)), options_(options), pool_(pool), stats_(stats) {}

  Status Prepare() {
    if (!options_.stream_out) RemoveLeftovers(options_.output_dir);
    TIMBRE_TRY(write_,
               ParseWriteOptions(options_.format, options_.sample_format, options_.peak ? "rescale" : options_.clip,
                                 options_.bitrate, options_.temp_dir));
    TIMBRE_CHECK(CheckOutputRate(options_.format, options_.rate));
    TIMBRE_TRY(part_, ParsePart(options_.part));
    controls_.mix = static_cast<float>(options_.mix);
    controls_.speech.attenuation_limit = static_cast<float>(options_.attenuation_limit);
    if (options_.post_filter) {
      controls_.speech.post_filter_beta = static_cast<float>(*options_.post_filter);
    } else if (model_.architecture == SpeechArchitecture::kDeepFilterNet && model_.deepfilternet.post_filter) {
      controls_.speech.post_filter_beta = model_.deepfilternet.post_filter_beta;
    }
    if (model_.architecture != SpeechArchitecture::kDeepFilterNet && (options_.thresholds || !options_.deep_filter)) {
      return Fail(ErrorCode::kInvalidArgument, "the model " + model_.name +
                                                   " has no stages to leave out: --no-df and " +
                                                   "--thresholds are for DeepFilterNet");
    }
    // Planned for the commonest case ahead of the first file, so that a model that can't run is an error here.
    return Plan(model_.sample_rate(), 1);
  }

  Result<DenoiseReport> Denoise(const TrackInput& input, Observer& observer) override;
  Result<Place> PlaceFor(const TrackInput& input) const override {
    if (options_.stream_out) return Place{.path = kStreamName};
    SeparateOptions naming;
    naming.output_dir = options_.output_dir;
    naming.name = options_.name;
    naming.format = options_.format;
    Place place;
    TIMBRE_TRY(place.path, OutputPath(naming, model_.name, input, "speech"));
    place.done = options_.skip_existing && IsDone(input.path, part_, {place.path}, {OutputMark(options_.made_by, "")});
    return place;
  }

  Result<double> MeasurePace(int sample_rate, int channels) override {
    TIMBRE_CHECK(Plan(sample_rate, channels));
    double seconds = 0;
    {
      const ScopedTimer timer(&seconds);
      std::vector<float> silence(static_cast<size_t>(DenoiseStream::kMostPush));
      const std::vector<float*> rows(static_cast<size_t>(channels), silence.data());
      for (int64_t done = 0; done < sample_rate; done += DenoiseStream::kMostPush) {
        TIMBRE_CHECK(stream_->Push(rows.data(), DenoiseStream::kMostPush, controls_));
        while (stream_->available() > 0) {
          stream_->Pull(rows.data(), std::min(stream_->available(), DenoiseStream::kMostPush), controls_);
        }
      }
    }
    stream_->Reset();
    return seconds;
  }

  const SpeechModel& model() const override { return model_; }
  std::string device_name() const override { return stream_->session().device_name(); }
  std::string device_reason() const override { return stream_->session().device_reason(); }
  KernelCounts kernels() const override { return CountKernels(stream_->session()); }

 private:
  // Has stream_ fit the file; the last one's is kept where it does.
  Status Plan(int rate, int channels) {
    if (stream_ != nullptr && stream_->sample_rate() == rate && stream_->channels() == channels) {
      stream_->Reset();
      return {};
    }
    SpeechCoreOptions core;
    core.channels = channels;
    core.block_frames = options_.stream ? 1 : kBlockFrames;
    core.deep_filter = options_.deep_filter;
    core.use_thresholds = options_.thresholds;
    core.threshold_min = static_cast<float>(options_.threshold_min);
    core.threshold_max_erb = static_cast<float>(options_.threshold_max_erb);
    core.threshold_max_df = static_cast<float>(options_.threshold_max_df);
    TIMBRE_TRY(stream_, DenoiseStream::Create(model_, rate, core, options_.session, pool_, &stats_));
    return {};
  }

  Status Run(AudioReader& reader, Resampler& resampler, AudioWriter& writer, Observer& observer, DenoiseReport* report);

  const SpeechModel model_;
  const DenoiseOptions options_;
  ThreadPool& pool_;
  Stats& stats_;
  WriteOptions write_;
  AudioPart part_;
  DenoiseStream::Controls controls_;
  std::unique_ptr<DenoiseStream> stream_;
};

Status DenoiserImpl::Run(AudioReader& reader, Resampler& resampler, AudioWriter& writer, Observer& observer,
                         DenoiseReport* report) {
  constexpr int64_t kPiece = DenoiseStream::kMostPush;
  const int channels = reader.info().channels;
  const int64_t expected = reader.info().expected_frames;
  const double seconds = static_cast<double>(expected) / std::max(1, reader.info().sample_rate);
  std::vector<float> interleaved(static_cast<size_t>(kPiece * channels)), planes(interleaved.size()), resampled;
  std::vector<float*> rows, out_rows(channels);
  for (int c = 0; c < channels; ++c) rows.push_back(planes.data() + c * kPiece);
  const auto write_resampled = [&]() -> Status {
    TIMBRE_CHECK(writer.Write(resampled.data(), static_cast<int64_t>(resampled.size()) / channels));
    resampled.clear();
    return {};
  };
  const auto write_ready = [&]() -> Status {
    while (stream_->available() > 0) {
      const int64_t count = std::min(stream_->available(), kPiece);
      {
        const ScopedTimer timer(&report->compute);
        stream_->Pull(rows.data(), count, controls_);
      }
      const ScopedTimer timer(&report->encode);
      Interleave(rows.data(), count, channels, interleaved.data());
      TIMBRE_CHECK(resampler.Push(interleaved.data(), count, &resampled));
      TIMBRE_CHECK(write_resampled());
    }
    return {};
  };
  for (;;) {
    int64_t count = 0;
    {
      const ScopedTimer timer(&report->decode);
      TIMBRE_TRY(count, reader.Read(interleaved.data(), kPiece));
    }
    if (count == 0) break;
    {
      const ScopedTimer timer(&report->compute);
      Deinterleave(interleaved.data(), count, channels, rows.data());
      TIMBRE_CHECK(stream_->Push(rows.data(), count, controls_));
    }
    TIMBRE_CHECK(write_ready());
    report->samples += count;
    observer.OnProgress(
        {.stage = Stage::kCompute, .done = report->samples, .total = expected, .audio_seconds = seconds});
    if (observer.Cancelled()) return Fail(ErrorCode::kCancelled, "cancelled");
  }
  if (report->samples == 0) return Fail(ErrorCode::kCorrupt, report->input + ": it holds no samples");
  {
    const ScopedTimer timer(&report->compute);
    TIMBRE_CHECK(stream_->Finish(controls_));
  }
  TIMBRE_CHECK(write_ready());
  TIMBRE_CHECK(resampler.Finish(&resampled));
  return write_resampled();
}

Result<DenoiseReport> DenoiserImpl::Denoise(const TrackInput& track, Observer& observer) {
  const std::string& input = track.path;
  DenoiseReport report;
  report.input = input;
  TIMBRE_TRY(const Place place, PlaceFor(track));
  report.output = place.path;
  if (!options_.stream_out) TIMBRE_CHECK(CheckNotInput(report.output, input));
  report.skipped = place.done;
  if (report.skipped) return report;
  {
    const ScopedTimer timer(&report.total);
    TIMBRE_TRY(const std::unique_ptr<AudioReader> reader,
               AudioReader::Open(input, {.cancelled = [&] { return observer.Cancelled(); },
                                         .temporary_folder = TemporaryFolderFor(options_.temp_dir, options_.output_dir,
                                                                                options_.stream_out),
                                         .part = part_}));
    report.input_format = reader->info().format;
    report.sample_rate = reader->info().sample_rate;
    report.channels = reader->info().channels;
    if (auto planned = Plan(report.sample_rate, report.channels); !planned) return Prefix(planned.error(), input);
    OutputSet outputs;
    WriteOptions write = write_;
    if (options_.tags) write.tags = reader->info().tags;
    const int rate = options_.rate > 0 ? options_.rate : report.sample_rate;
    TIMBRE_TRY(Resampler resampler, Resampler::Create(report.sample_rate, rate, report.channels));
    Result<std::unique_ptr<AudioWriter>> writer =
        options_.stream_out ? AudioWriter::Stream(options_.stream_to, report.output, write, rate, report.channels,
                                                  [&] { return observer.Cancelled(); })
                            : AudioWriter::Create(report.output, write, rate, report.channels, &outputs);
    if (!writer) return tl::unexpected<Error>(writer.error());
    TIMBRE_CHECK(Run(*reader, resampler, **writer, observer, &report));
    const ScopedTimer encode(&report.encode);
    std::optional<float> gain;
    if (options_.peak) gain = GainToPeak((*writer)->peak(), *options_.peak);
    TIMBRE_TRY(const WriteReport written, (*writer)->Finish(gain));
    TIMBRE_CHECK(outputs.Commit());
    if (!options_.stream_out) KeepMarks({report.output}, {OutputMark(options_.made_by, "")});
    report.peak = written.peak;
    report.gain = written.gain;
    report.warning = reader->warning();
  }
  report.seconds = static_cast<double>(report.samples) / report.sample_rate;
  report.real_time_factor = report.total / report.seconds;
  return report;
}

}  // namespace

FieldList DenoiseFields(DenoiseOptions& options) {
  const auto without_thresholds = [&options] { return options.thresholds ? "" : "--thresholds is not given"; };
  FieldList fields = {
      {.name = "output",
       .value = &options.output_dir,
       .help = "where the cleaned files go",
       .placeholder = "DIR",
       .letter = 'o'},
      {.name = "atten-lim",
       .value = &options.attenuation_limit,
       .help = "lower noise by at most so many dB, and so all that lies above the model's band; 0 changes nothing, "
               "100 is no limit: then nothing is left above the band (8 kHz for GTCRN, 24 kHz for DeepFilterNet)",
       .placeholder = "DB",
       .min = 0,
       .max = 100},
      {.name = "post-filter",
       .value = &options.post_filter,
       .help = "lower very noisy parts a little more (0: off; default: the model's)",
       .placeholder = "BETA",
       .min = 0,
       .max = 1,
       .implied = "0.02"},
      {.name = "mix",
       .value = &options.mix,
       .help = "share of the cleaned sound; the rest is the input",
       .placeholder = "F",
       .min = 0,
       .max = 1},
      {.name = "df", .value = &options.deep_filter, .help = "leave DeepFilterNet's second stage out"},
      {.name = "thresholds",
       .value = &options.thresholds,
       .help = "let the local signal-to-noise ratio decide which stages run"},
      {.name = "threshold-min",
       .value = &options.threshold_min,
       .help = "below it: silence",
       .placeholder = "DB",
       .min = -100,
       .max = 100,
       .idle = without_thresholds},
      {.name = "threshold-max-erb",
       .value = &options.threshold_max_erb,
       .help = "above it: untouched",
       .placeholder = "DB",
       .min = -100,
       .max = 100,
       .idle = without_thresholds},
      {.name = "threshold-max-df",
       .value = &options.threshold_max_df,
       .help = "above it: the first stage alone",
       .placeholder = "DB",
       .min = -100,
       .max = 100,
       .idle =
           [&options] {
             return !options.thresholds   ? "--thresholds is not given"
                    : options.deep_filter ? ""
                                          : "--no-df leaves that stage out";
           }},
      {.name = "stream", .value = &options.stream, .help = "hop by hop, as live; the same result, slower"},
  };
  Append(fields, PartFields(options.part));
  Append(fields, FileFields({.format = options.format,
                             .sample_format = options.sample_format,
                             .clip = &options.clip,
                             .bitrate = options.bitrate,
                             .rate = &options.rate,
                             .peak = &options.peak}));
  return Append(fields, {
                            {.name = "name",
                             .value = &options.name,
                             .help = "path of a file below DIR, of {folder}, {track}, {model} and {ext}",
                             .placeholder = "TEMPLATE"},
                            TagsField(options.tags),
                            TempField(options.temp_dir),
                            {.name = "skip-existing",
                             .value = &options.skip_existing,
                             .help = "leave alone what is there: whole, no older, by the same model and options"},
                        });
}

Result<std::unique_ptr<Denoiser>> Denoiser::Create(SpeechModel model, const DenoiseOptions& options, ThreadPool& pool,
                                                   Stats& stats) {
  auto denoiser = std::make_unique<DenoiserImpl>(std::move(model), options, pool, stats);
  TIMBRE_CHECK(denoiser->Prepare());
  return denoiser;
}

}  // namespace timbre
