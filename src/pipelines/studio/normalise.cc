#include "pipelines/studio/normalise.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/output_set.h"
#include "pipelines/made_by.h"

namespace timbre {
namespace {

constexpr int64_t kBlock = 16384;  // frames

// Gives each block of the input to `take(samples, frames)`.
template <typename Take>
Status ForEachBlock(AudioReader& reader, Stage stage, Observer& observer, Take&& take) {
  std::vector<float> block(static_cast<size_t>(kBlock) * reader.info().channels);
  const int64_t expected = reader.info().expected_frames;
  while (true) {
    TIMBRE_TRY(const int64_t frames, reader.Read(block.data(), kBlock));
    if (frames == 0) return {};
    TIMBRE_CHECK(take(block.data(), frames));
    observer.OnProgress({.stage = stage,
                         .done = reader.position(),
                         .total = expected,
                         .audio_seconds = static_cast<double>(expected) / reader.info().sample_rate});
    if (observer.Cancelled()) return Fail(ErrorCode::kCancelled, "cancelled");
  }
}

}  // namespace

FieldList NormaliseFields(NormaliseOptions& options) {
  const auto without_target = [&options] { return options.target ? "" : "nothing is written without --normalise"; };
  FieldList fields = StudioFileFields(options.files);
  for (Field& field : fields) {
    if (field.name == "start" || field.name == "duration") continue;  // what is measured, too
    field.idle = [without_target, idle = std::move(field.idle)]() -> std::string {
      const std::string why = without_target();
      return why.empty() && idle ? idle() : why;
    };
  }
  FieldList all = {{.name = "normalise",
                    .value = &options.target,
                    .help = "write each file with the gain that makes it so loud (-14 for streaming, -23 by EBU R 128)",
                    .placeholder = "LUFS",
                    .min = -70,
                    .max = 0},
                   {.name = "ceiling",
                    .value = &options.ceiling,
                    .help = "true peak that no gain goes above",
                    .placeholder = "DBTP",
                    .min = -40,
                    .max = 0,
                    .idle = without_target}};
  return Append(all, std::move(fields));
}

Result<LoudnessReport> MeasureOrNormalise(const TrackInput& input, const NormaliseOptions& options,
                                          Observer& observer) {
  LoudnessReport report{.input = input.path};
  const std::string mark = OutputMark(options.files.made_by, "");
  WriteOptions write;
  if (options.target) {
    TIMBRE_TRY(write, StudioWriteOptions(options.files));
    TIMBRE_TRY(report.output, StudioPath(options.files, input, "loudness"));
    TIMBRE_TRY(const AudioPart part, ParsePart(options.files.part));
    report.skipped =
        !options.files.stream_out && options.files.skip_existing && IsDone(input.path, part, {report.output}, {mark});
    if (report.skipped) return report;
  }
  TIMBRE_TRY(const std::unique_ptr<AudioReader> reader,
             OpenStudioInput(options.files, input.path, report.output, observer));
  const AudioInfo& info = reader->info();
  report.input_format = info.format;
  report.sample_rate = info.sample_rate;
  report.channels = info.channels;
  Result<LoudnessMeter> meter = LoudnessMeter::Create(info.sample_rate, info.speakers);
  if (!meter) return Prefix(meter.error(), input.path);
  TIMBRE_CHECK(ForEachBlock(*reader, Stage::kAnalyse, observer,
                            [&](const float* samples, int64_t frames) { return meter->Add(samples, frames); }));
  report.samples = reader->position();
  if (report.samples == 0) return Fail(ErrorCode::kCorrupt, input.path + ": it holds no samples");
  report.seconds = static_cast<double>(report.samples) / report.sample_rate;
  TIMBRE_TRY(report.loudness, meter->Measure());
  report.warning = reader->warning();
  if (!options.target) return report;

  const auto warn = [&](const std::string& sentence) {
    report.warning += (report.warning.empty() ? "" : " ") + sentence;
  };
  if (std::isfinite(report.loudness.integrated)) {
    const double wanted = *options.target - report.loudness.integrated;
    report.gain_db = std::min(wanted, options.ceiling - report.loudness.true_peak);
    report.missed = report.gain_db - wanted;
    if (report.missed < -0.05) {
      warn(
          fmt::format("It stays {:.1f} LU below the target, because a peak would exceed {:.1f} dBTP; 'timbre master "
                      "--loudness' has a limiter.",
                      -report.missed, options.ceiling));
    }
  } else {
    warn("It is too short or too quiet to have a loudness, and is written as it is.");
  }
  OutputSet outputs;
  if (options.files.tags) write.tags = input.tags.value_or(info.tags);
  TIMBRE_CHECK(reader->Rewind());
  TIMBRE_TRY(const std::unique_ptr<AudioWriter> writer,
             OpenStudioOutput(options.files, report.output, write, info.sample_rate, info.channels, outputs, observer));
  const auto gain = static_cast<float>(FromDb(report.gain_db));
  TIMBRE_CHECK(ForEachBlock(*reader, Stage::kEncode, observer, [&](float* samples, int64_t frames) {
    if (report.gain_db != 0) {
      for (int64_t i = 0; i < frames * info.channels; ++i) samples[i] *= gain;
    }
    return writer->Write(samples, frames);
  }));
  TIMBRE_CHECK(writer->Finish());
  TIMBRE_CHECK(outputs.Commit());
  if (!options.files.stream_out) KeepMarks({report.output}, {mark});
  return report;
}

}  // namespace timbre
