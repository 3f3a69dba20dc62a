#include "pipelines/studio/join.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "audio/encode.h"
#include "audio/kept_input.h"
#include "audio/resample.h"
#include "base/output_set.h"
#include "base/text.h"
#include "pipelines/output_files.h"
#include "pipelines/studio/sample_file.h"
#include "pipelines/studio/yaml_json.h"

namespace timbre {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr int64_t kBlock = 16384;  // frames

// A clip as the timeline file says it, in seconds.
struct ClipEntry {
  std::string file;
  double from = 0, gain_db = 0;
  std::optional<double> length, crossfade;
  bool mute = false, solo = false;
  std::optional<MasterChain> chain;
};

struct JoinPlan {
  std::vector<ClipEntry> clips;
  std::optional<double> crossfade;
  std::optional<MasterChain> master;
};

Result<JoinPlan> PlanOf(const Json& json, const fs::path& folder) {
  JoinPlan plan;
  if (!json.is_object()) return Fail(ErrorCode::kInvalidArgument, "it must be a map with the entry clips");
  TIMBRE_CHECK(FieldsFromJson({{.name = "crossfade", .value = &plan.crossfade, .help = "seconds", .min = 0, .max = 60}},
                              json, {"clips", "master"}));
  const Json clips = json.value("clips", Json());
  Result<std::optional<MasterChain>> master = ChainOrPreset(json.value("master", Json()));
  if (!master) return Prefix(master.error(), "master");
  plan.master = *std::move(master);
  if (!clips.is_array() || clips.empty() || clips.size() > Timeline::kMostClips) {
    return Fail(ErrorCode::kInvalidArgument, "clips must be a list of 1 to 1000 entries");
  }
  for (size_t i = 0; i < clips.size(); ++i) {
    const std::string where = "clips[" + std::to_string(i) + "]";
    ClipEntry entry;
    const Status read =
        FieldsFromJson({{.name = "file", .value = &entry.file, .help = "beside the timeline", .required = true},
                        {.name = "from", .value = &entry.from, .help = "seconds", .min = 0, .max = 1e6},
                        {.name = "length", .value = &entry.length, .help = "seconds", .min = 1e-5, .max = 1e6},
                        {.name = "gain_db", .value = &entry.gain_db, .help = "dB", .min = -60, .max = 24},
                        {.name = "crossfade", .value = &entry.crossfade, .help = "seconds", .min = 0, .max = 60},
                        {.name = "mute", .value = &entry.mute, .help = "not heard"},
                        {.name = "solo", .value = &entry.solo, .help = "heard alone"}},
                       clips[i], {"chain"});
    if (!read) return Prefix(read.error(), where);
    Result<std::optional<MasterChain>> chain = ChainOrPreset(clips[i].value("chain", Json()));
    if (!chain) return Prefix(chain.error(), where + ".chain");
    entry.chain = *std::move(chain);
    entry.file = (folder / entry.file).string();
    if (IsStandardInput(entry.file)) {
      return Fail(ErrorCode::kInvalidArgument,
                  where + ": the standard input goes among the inputs, not into a timeline");
    }
    plan.clips.push_back(std::move(entry));
  }
  return plan;
}

Result<JoinPlan> ReadPlan(const std::string& path) {
  TIMBRE_TRY(const Json json, ReadYaml(path));
  Result<JoinPlan> plan = PlanOf(json, fs::path(path).parent_path());
  if (!plan) return Prefix(plan.error(), path);
  return plan;
}

}  // namespace

FieldList JoinFields(JoinOptions& options) {
  const auto unless = [&options](JoinLevel level, const char* why) {
    return [&options, level, why] { return options.level == level ? why : ""; };
  };
  FieldList fields = {
      {.name = "output", .value = &options.output, .help = "the file to write", .placeholder = "FILE", .letter = 'o'},
      {.name = "timeline",
       .value = &options.timeline,
       .help = "which clips, their trims, gains and cross-fades (docs/studio.md), instead of inputs",
       .placeholder = "FILE.yaml"},
      {.name = "crossfade",
       .value = &options.crossfade,
       .help = "seconds that neighbours overlap; less where they are short",
       .placeholder = "S",
       .min = 0,
       .max = 60},
      ChoiceField("law", &options.law,
                  {{"equal-power", FadeLaw::kEqualPower},
                   {"sqrt", FadeLaw::kSqrt},
                   {"linear", FadeLaw::kLinear},
                   {"auto", FadeLaw::kAuto}},
                  "of the cross-fades; auto keeps the level of clips that are alike as well"),
      {.name = "sample-rate",
       .value = &options.sample_rate,
       .help = "of the output (default: the highest of the clips')",
       .placeholder = "HZ",
       .min = 1000,
       .max = 768000},
      ChoiceField("normalise", &options.level,
                  {{"none", JoinLevel::kNone}, {"peak", JoinLevel::kPeak}, {"loudness", JoinLevel::kLoudness}},
                  "peak turns down what would exceed the ceiling; loudness is one gain to --loudness"),
      {.name = "loudness",
       .value = &options.loudness,
       .help = "with --normalise loudness",
       .placeholder = "LUFS",
       .min = -70,
       .max = 0,
       .idle = [&options] { return options.level == JoinLevel::kLoudness ? "" : "--normalise is not loudness"; }},
      {.name = "ceiling",
       .value = &options.ceiling,
       .help = "true peak that the output stays at or below",
       .placeholder = "DBTP",
       .min = -40,
       .max = 0,
       .idle = unless(JoinLevel::kNone, "--normalise none changes no level")},
  };
  Append(fields, FileFields({.format = options.format,
                             .sample_format = options.sample_format,
                             .bitrate = options.bitrate,
                             .output = &options.output}));
  return Append(fields, {TempField(options.temp_dir)});
}

Result<JoinReport> Join(const std::vector<std::string>& inputs, const JoinOptions& options, Observer& observer) {
  JoinReport report{.output = options.output};
  TIMBRE_TRY(const WriteOptions write,
             ParseWriteOptions(FormatName(options.format, options.output), options.sample_format, "none",
                               options.bitrate, options.temp_dir));
  if (options.timeline.empty() == inputs.empty()) {
    return Fail(ErrorCode::kInvalidArgument,
                inputs.empty() ? "Files to join, or --timeline, are missing." : "--timeline takes the place of files.");
  }
  // A timeline may be of a rate that the file can't be of: a server's projects are, and the file is resampled.
  if (options.timeline.empty()) {
    TIMBRE_CHECK(CheckOutputRate(FormatName(options.format, options.output), options.sample_rate, "--sample-rate"));
  }
  JoinPlan plan;
  if (!options.timeline.empty()) {
    TIMBRE_TRY(plan, ReadPlan(options.timeline));
  }
  if (plan.crossfade && options.crossfade > 0 && *plan.crossfade != options.crossfade) {
    report.warnings.push_back(fmt::format("{} says a crossfade of {} s itself; --crossfade has no effect.",
                                          options.timeline, *plan.crossfade));
  }
  for (const std::string& input : inputs) plan.clips.push_back({.file = input});
  const ReadOptions read{
      .cancelled = [&observer] { return observer.Cancelled(); },
      .temporary_folder = TemporaryFolderFor(options.temp_dir, fs::path(options.output).parent_path().string(), false)};
  // How long a sound is, is known when it has been decoded to its end.
  std::map<std::string, KeptInput> files;
  std::map<std::string, AssetInfo> assets;
  int rate = 0, channels = 1;
  for (const ClipEntry& clip : plan.clips) {
    TIMBRE_CHECK(CheckNotInput(options.output, clip.file, "choose another --output"));
    if (!assets.contains(clip.file)) {
      TIMBRE_TRY(KeptInput kept, KeptInput::Open(clip.file, read));
      Result<AssetInfo> examined = ExamineAsset(kept.path(), read, observer);
      if (!examined) return Fail(examined.error().code, kept.Renamed(examined.error().message));
      AssetInfo info = *std::move(examined);
      if (!info.warning.empty()) report.warnings.push_back(clip.file + ": " + info.warning);
      files.emplace(clip.file, std::move(kept));
      rate = std::max(rate, info.sample_rate);
      channels = std::max(channels, std::min(2, info.channels));
      assets.emplace(clip.file, std::move(info));
    }
  }
  // What the file can't be of would be resampled once more, and the timeline be of a rate that it hasn't.
  rate = options.sample_rate > 0 ? options.sample_rate : NearestFileRate(write.format, rate);
  TIMBRE_TRY(Timeline timeline, Timeline::Create(rate, channels, plan.crossfade.value_or(options.crossfade)));
  std::map<std::string, std::string> paths;  // by asset
  TIMBRE_CHECK(timeline.SetMaster(plan.master));
  for (const ClipEntry& entry : plan.clips) {
    const AssetInfo& info = assets.at(entry.file);
    TimelineClip clip{.asset = "a" + std::to_string(std::distance(assets.begin(), assets.find(entry.file)) + 1),
                      .name = Printable(fs::path(entry.file).filename().string()),
                      .asset_length = ResampledLength(info.frames, info.sample_rate, rate)};
    if (IsStandardInput(entry.file)) clip.name = "stdin";
    paths[clip.asset] = files.at(entry.file).path();
    clip.from = std::llround(entry.from * rate);
    if (entry.length) clip.length = std::llround(*entry.length * rate);
    clip.gain_db = entry.gain_db;
    clip.mute = entry.mute;
    clip.solo = entry.solo;
    clip.chain = entry.chain;
    clip.crossfade = entry.crossfade;
    const auto added = timeline.Insert(std::move(clip), {});
    if (!added) return Prefix(added.error(), entry.file);
  }
  report.sample_rate = rate;
  report.channels = channels;
  report.samples = timeline.Total();
  report.seconds = static_cast<double>(report.samples) / rate;
  report.timeline = timeline.ToJson(true);

  OutputSet outputs;
  TIMBRE_TRY(const std::unique_ptr<AudioWriter> writer,
             AudioWriter::Create(options.output, write, rate, channels, &outputs));
  const std::vector<Speaker> speakers =
      channels == 1 ? std::vector{Speaker::kFrontCenter} : std::vector{Speaker::kFrontLeft, Speaker::kFrontRight};
  TIMBRE_TRY(LoudnessMeter meter, LoudnessMeter::Create(rate, speakers));
  TIMBRE_TRY(SampleFile samples, SampleFile::Create(read.temporary_folder));
  int64_t frames_seen = 0;
  const Status rendered = RenderTimeline(
      timeline, options.law, [&](const TimelineClip& clip) -> Result<std::string> { return paths.at(clip.asset); },
      read, observer,
      [&](const float* block, int64_t frames) -> Status {
        TIMBRE_CHECK(meter.Add(block, frames));
        frames_seen += frames;
        // Without a level to find there is nothing to wait for.
        return options.level == JoinLevel::kNone ? writer->Write(block, frames)
                                                 : samples.Append(block, frames * channels);
      });
  TIMBRE_CHECK(rendered);
  if (frames_seen != report.samples) return Fail(ErrorCode::kInternal, "the timeline and its sound differ in length");
  TIMBRE_TRY(report.loudness, meter.Measure());
  const bool holds_more = write.format == FileFormat::kWav && write.sample_format == SampleFormat::kF32;
  const double room = options.ceiling - report.loudness.true_peak;
  if (options.level == JoinLevel::kNone && report.loudness.true_peak > 0) {
    report.warnings.push_back(
        fmt::format("Its true peak is {:.1f} dBTP, above full scale{}; --normalise peak turns it down.",
                    report.loudness.true_peak, holds_more ? "" : ", where it is cut off"));
  }
  if (options.level == JoinLevel::kPeak) report.gain_db = std::min(0.0, room);
  if (options.level == JoinLevel::kLoudness && std::isfinite(report.loudness.integrated)) {
    const double wanted = options.loudness - report.loudness.integrated;
    report.gain_db = std::min(wanted, room);
    if (report.gain_db < wanted - 0.05) {
      report.warnings.push_back(
          fmt::format("It stays {:.1f} LU below the wanted loudness, because a peak would exceed {:.1f} dBTP.",
                      wanted - report.gain_db, options.ceiling));
    }
  }
  if (options.level != JoinLevel::kNone) {
    const auto gain = static_cast<float>(FromDb(report.gain_db));
    std::vector<float> block(static_cast<size_t>(kBlock * channels));
    for (int64_t at = 0; at < report.samples; at += kBlock) {
      const int64_t frames = std::min(kBlock, report.samples - at);
      TIMBRE_CHECK(samples.Read(at * channels, frames * channels, block.data()));
      if (report.gain_db != 0) {
        for (int64_t i = 0; i < frames * channels; ++i) block[static_cast<size_t>(i)] *= gain;
      }
      TIMBRE_CHECK(writer->Write(block.data(), frames));
      observer.OnProgress({.stage = Stage::kEncode, .done = at + frames, .total = report.samples});
      if (observer.Cancelled()) return Fail(ErrorCode::kCancelled, "cancelled");
    }
    report.loudness.integrated += report.gain_db;
    report.loudness.short_term_max += report.gain_db;
    report.loudness.momentary_max += report.gain_db;
    report.loudness.true_peak += report.gain_db;
  }
  TIMBRE_TRY(const WriteReport written, writer->Finish());
  report.samples = written.frames;
  report.sample_rate = written.sample_rate;
  TIMBRE_CHECK(outputs.Commit());
  return report;
}

}  // namespace timbre
