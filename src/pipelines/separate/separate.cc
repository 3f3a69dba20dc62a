#include "pipelines/separate/separate.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <mutex>
#include <optional>
#include <random>
#include <thread>

#include "audio/decode.h"
#include "audio/encode.h"
#include "base/bounded_queue.h"
#include "base/files.h"
#include "base/out_of_memory.h"
#include "base/output_set.h"
#include "base/start_thread.h"
#include "base/temporary_file.h"
#include "models/separate/augmented.h"
#include "pipelines/made_by.h"
#include "pipelines/output_files.h"
#include "pipelines/separate/separate_outputs.h"
#include "pipelines/tile_pipeline.h"
#include "pipelines/tile_runner.h"
#include "pipelines/track_reader.h"

namespace timbre {
namespace {

using Samples = std::vector<float>;

// Blocks that may wait between two stages: enough that a stage that hiccups stops no other, few enough to cost little.
constexpr size_t kInputBlocks = 8, kOutputBlocks = 2;

class Stopwatch {
 public:
  double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

// Outputs that need the same members. A bag whose networks each make one stem falls into as many passes, which need the
// memory of one network.
struct Pass {
  std::vector<size_t> members, outputs;
};

// Mean and deviation of the mono mix, as demucs.api takes them.
struct Moments {
  int64_t frames = 0;
  double sum = 0, squares = 0;

  void Add(const Samples& samples, int channels) {
    const int64_t count = static_cast<int64_t>(samples.size()) / channels;
    for (int64_t i = 0; i < count; ++i) {
      double mono = 0;
      for (int c = 0; c < channels; ++c) mono += samples[i * channels + c];
      mono /= channels;
      sum += mono;
      squares += mono * mono;
    }
    frames += count;
  }
  double mean() const { return frames == 0 ? 0 : sum / static_cast<double>(frames); }
  double deviation() const {
    if (frames < 2) return 0;
    return std::sqrt(std::max(0.0, (squares - sum * mean()) / static_cast<double>(frames - 1)));
  }
};

// What the track is brought to zero mean and unit deviation by; an output of several stems gets the mean back for each.
struct Scaling {
  float mean = 0, deviation = 1;

  void Apply(float* samples, size_t count) const {
    for (size_t i = 0; i < count; ++i) samples[i] = (samples[i] - mean) / deviation;
  }
};

Scaling ScalingOf(const SeparationInfo& info, const SeparateOptions& options, const Moments& moments) {
  if (!info.normalise || !options.normalise) return {};
  return {static_cast<float>(moments.mean()), static_cast<float>(moments.deviation() + 1e-8)};
}

// The decoder's thread asks whether to stop while others report progress; an observer gets one call at a time.
class OneAtATime final : public Observer {
 public:
  explicit OneAtATime(Observer& observer) : observer_(observer) {}
  void OnProgress(const Progress& progress) override {
    std::lock_guard lock(mutex_);
    observer_.OnProgress(progress);
  }
  void OnEvent(const Event& event) override {
    std::lock_guard lock(mutex_);
    observer_.OnEvent(event);
  }
  bool Cancelled() override {
    std::lock_guard lock(mutex_);
    return observer_.Cancelled();
  }

 private:
  std::mutex mutex_;
  Observer& observer_;
};

TilingOptions TilingOf(const SeparationModel& member, double bag_segment, const SeparateOptions& options,
                       std::mt19937_64& random) {
  TilingOptions tiling{
      .segment = options.segment, .overlap = options.overlap, .transition_power = options.transition_power};
  if (options.pipeline != "own") tiling.pipeline = options.pipeline;
  const SeparationInfo& i = member.info();
  if (tiling.segment == 0 && bag_segment > 0) {
    tiling.segment = i.max_segment > 0 ? std::min(bag_segment, i.max_segment) : bag_segment;
  }
  // Offsets of 0 to half a second into half a second of silence before the track, as demucs.apply draws them.
  const auto longest = static_cast<uint64_t>(i.sample_rate / 2);
  for (int s = 0; s < options.shifts; ++s) {
    tiling.shifts.push_back(static_cast<int64_t>(longest - random() % (longest + 1)));
  }
  return tiling;
}

class SeparatorImpl : public Separator {
 public:
  SeparatorImpl(LoadedModel model, const SeparateOptions& options, ThreadPool& pool, Stats& stats)
      : model_(std::move(model)), options_(options), pool_(pool), stats_(stats), runners_(model_.members.size()) {}

  Status Prepare();
  Result<TrackReport> Separate(const TrackInput& input, Observer& observer) override;
  Result<std::vector<Samples>> SeparateSamples(std::span<const float> mix, int channels, Observer& observer) override;

  Result<int64_t> Tiles(int64_t samples) const override {
    TIMBRE_TRY(const std::vector<TilePlan> plans, PlansFor(samples));
    return TilesOf(plans);
  }

  const std::vector<std::string>& output_names() const override { return names_; }
  const LoadedModel& model() const override { return model_; }
  std::string device_name() const override { return device_name_; }
  std::string device_reason() const override { return device_reason_; }
  int batch() const override { return batch_; }
  KernelCounts kernels() const override {
    KernelCounts counts;
    for (const auto& runner : runners_) {
      if (runner == nullptr) continue;
      for (const auto& [kernel, nodes] : runner->kernels()) counts[kernel] += nodes;
    }
    return counts;
  }
  int64_t arena_bytes() const override { return arena_bytes_; }
  int64_t weight_bytes() const override { return weight_bytes_; }

 private:
  const SeparationInfo& info() const { return model_.info(); }
  Result<std::vector<TilePlan>> PlansFor(int64_t length) const { return PlanTiles(model_, options_, length); }
  Status MakeRunners(const Pass& pass);
  std::vector<TileMember> MembersOf(const Pass& pass, const std::vector<TilePlan>& plans) const;
  int64_t TilesOf(const std::vector<TilePlan>& plans) const;
  // What output `o` gets of the mean that the track was brought to zero by: as often as it has a stem, or the track.
  float MeanShare(size_t o) const {
    const auto stems = static_cast<float>(std::count(outputs_[o].stems.begin(), outputs_[o].stems.end(), true));
    return outputs_[o].minus ? 1 - stems : stems;
  }
  // What is taken from the track, as it was given to the members: `samples` of [frames, outputs of the pass *
  // channels], `track` [frames, channels].
  void AddTrack(const Pass& pass, const float* track, int64_t frames, float* samples) const;
  Status SeparateInto(TrackReader& reader, std::vector<std::unique_ptr<StemFile>>& files, Observer& observer,
                      const Moments& moments, TrackReport& report);
  Status RunPass(const Pass& pass, const std::vector<TilePlan>& plans, TrackReader& reader,
                 std::vector<std::unique_ptr<StemFile>>& files, const Scaling& scaling, const TileDone& tile_done,
                 TrackReport& report);

  LoadedModel model_;
  const SeparateOptions options_;
  ThreadPool& pool_;
  Stats& stats_;
  WriteOptions write_;
  AudioPart part_;
  std::vector<OutputChoice> outputs_;
  std::vector<std::string> names_;
  std::vector<Pass> passes_;
  std::vector<std::unique_ptr<TileRunner>> runners_;  // of members; null where not needed now
  std::string device_name_, device_reason_;
  int batch_ = 1;
  int64_t arena_bytes_ = 0, weight_bytes_ = 0;  // the most that one pass needs
  double load_seconds_ = 0;
};

Status SeparatorImpl::Prepare() {
  const Stopwatch watch;
  if (model_.members.empty() || model_.weights.size() != model_.members.size()) {
    return Fail(ErrorCode::kInternal, "a model without members or weights");
  }
  for (auto& member : model_.members) {
    const std::vector<std::string>& known = member->info().pipelines;
    if (options_.pipeline != "own" && std::find(known.begin(), known.end(), options_.pipeline) == known.end()) {
      return Fail(ErrorCode::kInvalidArgument,
                  "the model is not run by the rules of --pipeline " + options_.pipeline +
                      (known.empty() ? ", it has its own alone" : "; it knows " + known.front()) +
                      "; leave the option out");
    }
    if (!options_.tta) continue;
    TIMBRE_TRY(member, Augmented(member));
  }
  if (info().channels < 1 || info().channels > 2) {
    return Fail(ErrorCode::kUnsupported,
                "a model of " + std::to_string(info().channels) + " channels; only mono and stereo are");
  }
  if (info().max_segment > 0 && options_.segment > info().max_segment * (1 + 1e-9)) {
    return Fail(ErrorCode::kInvalidArgument, "a segment of " + std::to_string(options_.segment) +
                                                 " s; this model takes at most " + std::to_string(info().max_segment) +
                                                 " s");
  }
  if (options_.shifts > 0 && !info().shifts) {
    return Fail(ErrorCode::kInvalidArgument, "the model " + model_.name + " has no use for --shifts");
  }
  if (options_.transition_power != 1 && !info().shifts) {
    return Fail(ErrorCode::kInvalidArgument, "the model " + model_.name + " has no use for --transition-power");
  }
  if (options_.shifts < 0 || options_.shifts > 1000) {
    return Fail(ErrorCode::kInvalidArgument, "shifts can be 0 to 1000");
  }
  if (options_.stream.empty() && !options_.output_dir.empty()) RemoveLeftovers(options_.output_dir);
  TIMBRE_TRY(write_, ParseWriteOptions(options_.format, options_.sample_format,
                                       options_.peak ? "rescale" : options_.clip, options_.bitrate, options_.temp_dir));
  TIMBRE_CHECK(CheckOutputRate(options_.format, options_.rate));
  TIMBRE_TRY(part_, ParsePart(options_.part));
  TIMBRE_TRY(outputs_, ChooseOutputs(info().stems, options_));
  for (const OutputChoice& output : outputs_) names_.push_back(output.name);

  // Outputs that share a member are made in one pass.
  const auto needs = [&](size_t m, size_t o) {
    for (size_t s = 0; s < info().stems.size(); ++s) {
      if (outputs_[o].stems[s] && model_.weights[m][s] != 0) return true;
    }
    return false;
  };
  for (size_t o = 0; o < outputs_.size(); ++o) {
    Pass pass{.members = {}, .outputs = {o}};
    for (size_t m = 0; m < model_.members.size(); ++m) {
      if (needs(m, o)) pass.members.push_back(m);
    }
    std::erase_if(passes_, [&](const Pass& other) {
      const bool shared = std::any_of(other.members.begin(), other.members.end(), [&](size_t m) {
        return std::find(pass.members.begin(), pass.members.end(), m) != pass.members.end();
      });
      if (!shared) return false;
      pass.outputs.insert(pass.outputs.begin(), other.outputs.begin(), other.outputs.end());
      for (const size_t m : other.members) {
        if (std::find(pass.members.begin(), pass.members.end(), m) == pass.members.end()) pass.members.push_back(m);
      }
      return true;
    });
    std::sort(pass.outputs.begin(), pass.outputs.end());
    std::sort(pass.members.begin(), pass.members.end());
    passes_.push_back(std::move(pass));
  }
  TIMBRE_CHECK(MakeRunners(passes_.front()));
  const TileRunner& first = *runners_[passes_.front().members.front()];
  device_name_ = first.device_name();
  device_reason_ = first.device_reason();
  batch_ = first.batch();
  load_seconds_ = watch.seconds();
  return {};
}

Status SeparatorImpl::MakeRunners(const Pass& pass) {
  TIMBRE_TRY(const std::vector<TilePlan> plans, PlansFor(0));
  const auto wanted = [&](size_t m) {
    return std::find(pass.members.begin(), pass.members.end(), m) != pass.members.end();
  };
  for (size_t m = 0; m < runners_.size(); ++m) {
    if (!wanted(m)) runners_[m].reset();
  }
  int64_t arena = 0, weights = 0;
  for (const size_t m : pass.members) {
    if (runners_[m] == nullptr) {
      TIMBRE_TRY(runners_[m],
                 TileRunner::Create(model_.members[m], plans[m].tile, options_.batch, options_.session, pool_, stats_));
    }
    arena += runners_[m]->arena_bytes();
    weights += runners_[m]->weight_bytes();
  }
  arena_bytes_ = std::max(arena_bytes_, arena);
  weight_bytes_ = std::max(weight_bytes_, weights);
  return {};
}

std::vector<TileMember> SeparatorImpl::MembersOf(const Pass& pass, const std::vector<TilePlan>& plans) const {
  const size_t stems = info().stems.size();
  std::vector<TileMember> members;
  for (const size_t m : pass.members) {
    TileMember member{.runner = runners_[m].get(), .plan = &plans[m], .gains = {}};
    for (const size_t o : pass.outputs) {
      for (size_t s = 0; s < stems; ++s) {
        float total = 0;
        for (const auto& weights : model_.weights) total += weights[s];
        const float gain = outputs_[o].stems[s] ? model_.weights[m][s] / total : 0.0f;
        member.gains.push_back(outputs_[o].minus ? -gain : gain);
      }
    }
    members.push_back(std::move(member));
  }
  return members;
}

int64_t SeparatorImpl::TilesOf(const std::vector<TilePlan>& plans) const {
  size_t tiles = 0;
  for (const Pass& pass : passes_) {
    for (const size_t m : pass.members) tiles += plans[m].tiles.size();
  }
  return static_cast<int64_t>(tiles);
}

void SeparatorImpl::AddTrack(const Pass& pass, const float* track, int64_t frames, float* samples) const {
  const auto channels = static_cast<size_t>(info().channels);
  const size_t width = pass.outputs.size() * channels;
  for (size_t i = 0; i < pass.outputs.size(); ++i) {
    if (!outputs_[pass.outputs[i]].minus) continue;
    for (int64_t t = 0; t < frames; ++t) {
      for (size_t c = 0; c < channels; ++c) samples[t * width + i * channels + c] += track[t * channels + c];
    }
  }
}

Status SeparatorImpl::RunPass(const Pass& pass, const std::vector<TilePlan>& plans, TrackReader& reader,
                              std::vector<std::unique_ptr<StemFile>>& files, const Scaling& scaling,
                              const TileDone& tile_done, TrackReport& report) {
  BoundedQueue<Samples> read(kInputBlocks), computed(kOutputBlocks);
  Status reading, writing;
  const size_t width = pass.outputs.size() * info().channels;

  TIMBRE_TRY(std::thread decoder, StartThread([&] {
               reading = WithinMemory([&]() -> Status {
                 while (true) {
                   const Stopwatch watch;
                   Samples block;
                   TIMBRE_CHECK(reader.Read(&block));
                   scaling.Apply(block.data(), block.size());
                   report.times.decode += watch.seconds();
                   if (block.empty() || !read.Push(std::move(block))) return {};
                 }
               });
               read.Close();
             }));
  Result<std::thread> encoder = StartThread([&] {
    writing = WithinMemory([&]() -> Status {
      while (std::optional<Samples> block = computed.Pop()) {
        const Stopwatch watch;
        const auto frames = static_cast<int64_t>(block->size() / width);
        for (size_t i = 0; i < pass.outputs.size(); ++i) {
          const size_t o = pass.outputs[i];
          TIMBRE_CHECK(files[o]->Write(block->data(), frames, width, i * info().channels, scaling.deviation,
                                       scaling.mean * MeanShare(o)));
        }
        report.times.encode += watch.seconds();
      }
      return {};
    });
    computed.Cancel();
  });
  if (!encoder) {
    read.Cancel();
    decoder.join();
    return tl::unexpected<Error>(encoder.error());
  }

  // What was read and has no result yet, where results are taken from it.
  Samples track;
  const bool minus = std::any_of(pass.outputs.begin(), pass.outputs.end(), [&](size_t o) { return outputs_[o].minus; });
  double waited = 0;
  const Stopwatch watch;
  const auto source = [&](Samples* samples) -> Status {
    const Stopwatch wait;
    const std::optional<Samples> block = read.Pop();
    waited += wait.seconds();
    if (!block) return {};
    samples->insert(samples->end(), block->begin(), block->end());
    if (minus) track.insert(track.end(), block->begin(), block->end());
    return {};
  };
  const auto sink = [&](const float* samples, int64_t frames) -> Status {
    Samples result(samples, samples + frames * width);
    if (minus) {
      AddTrack(pass, track.data(), frames, result.data());
      track.erase(track.begin(), track.begin() + frames * info().channels);
    }
    const Stopwatch wait;
    const bool taken = computed.Push(std::move(result));
    waited += wait.seconds();
    return taken ? Status() : Fail(ErrorCode::kInternal, "the output was closed");
  };
  Status computing = WithinMemory([&] { return RunTiles(MembersOf(pass, plans), source, sink, tile_done); });
  report.times.compute += watch.seconds() - waited;
  read.Cancel();
  if (computing) {
    computed.Close();
  } else {
    computed.Cancel();
  }
  decoder.join();
  encoder->join();
  // The stage that failed first is why the others did.
  TIMBRE_CHECK(reading);
  TIMBRE_CHECK(writing);
  return computing;
}

Status SeparatorImpl::SeparateInto(TrackReader& reader, std::vector<std::unique_ptr<StemFile>>& files,
                                   Observer& observer, const Moments& moments, TrackReport& report) {
  TIMBRE_TRY(const std::vector<TilePlan> plans, PlansFor(moments.frames));
  report.tiles = TilesOf(plans);
  int64_t done = 0;
  const TileDone tile_done = [&]() -> Status {
    observer.OnProgress(
        {.stage = Stage::kCompute, .done = ++done, .total = report.tiles, .audio_seconds = report.seconds});
    if (observer.Cancelled()) return Fail(ErrorCode::kCancelled, "cancelled");
    return {};
  };
  for (const Pass& pass : passes_) {
    TIMBRE_CHECK(MakeRunners(pass));
    TIMBRE_CHECK(reader.Rewind());
    TIMBRE_CHECK(RunPass(pass, plans, reader, files, ScalingOf(info(), options_, moments), tile_done, report));
  }
  const Stopwatch watch;
  observer.OnProgress({.stage = Stage::kEncode, .done = 0, .total = report.samples, .audio_seconds = report.seconds});
  float peak = 0;
  for (size_t o = 0; o < files.size(); ++o) {
    TIMBRE_CHECK(files[o]->End(ResampledLength(report.samples, report.sample_rate, report.outputs[o].sample_rate)));
    peak = std::max(peak, files[o]->peak());
  }
  std::optional<float> gain;
  if (options_.peak) gain = GainToPeak(peak, *options_.peak);
  for (size_t o = 0; o < files.size(); ++o) {
    TIMBRE_TRY(const WriteReport written, files[o]->Finish(gain));
    StemOutput& output = report.outputs[o];
    output.samples = written.frames;
    output.sample_rate = written.sample_rate;
    output.peak = written.peak;
    output.gain = written.gain;
    if (observer.Cancelled()) return Fail(ErrorCode::kCancelled, "cancelled");
  }
  report.times.encode += watch.seconds();
  return {};
}

Result<TrackReport> SeparatorImpl::Separate(const TrackInput& track, Observer& given) {
  OneAtATime observer(given);
  const Stopwatch watch;
  const std::string& input = track.path;
  TrackReport report;
  report.input = input;
  report.times.load = load_seconds_;
  TIMBRE_TRY(const OutputPlaces places, PlacesOf(options_, model_.name, names_, track));
  for (size_t o = 0; o < outputs_.size(); ++o) report.outputs.push_back({.stem = names_[o], .path = places.paths[o]});
  report.skipped = places.done;
  if (report.skipped) return report;

  // First pass: how long the track is, and its mean and deviation.
  Result<std::unique_ptr<TrackReader>> opened = TrackReader::Open(
      input, info().sample_rate, info().channels,
      {.cancelled = [&] { return observer.Cancelled(); },
       .temporary_folder = TemporaryFolderFor(options_.temp_dir, options_.output_dir, !options_.stream.empty()),
       .part = part_});
  if (!opened) return tl::unexpected<Error>(opened.error());
  TrackReader& reader = **opened;
  Moments moments;
  for (Samples block;; block.clear()) {
    TIMBRE_CHECK(reader.Read(&block));
    if (block.empty()) break;
    moments.Add(block, info().channels);
    observer.OnProgress(
        {.stage = Stage::kAnalyse, .done = reader.input_frames(), .total = reader.info().expected_frames});
    if (observer.Cancelled()) return Fail(ErrorCode::kCancelled, "cancelled");
  }
  if (moments.frames == 0) return Fail(ErrorCode::kCorrupt, input + ": it holds no samples");
  report.input_format = reader.info().format;
  report.sample_rate = reader.info().sample_rate;
  report.channels = reader.info().channels;
  report.samples = reader.input_frames();
  report.seconds = static_cast<double>(report.samples) / report.sample_rate;
  report.warning = reader.warning();
  report.times.analyse = watch.seconds();

  // Second pass, into files that get their names when all of them are complete.
  const int channels = std::min(report.channels, info().channels);
  const int rate = options_.rate > 0 ? options_.rate : report.sample_rate;
  AudioTags tags;
  report.tags = track.tags ? *track.tags : reader.info().tags;
  if (options_.tags) tags = report.tags;
  OutputSet outputs;
  std::vector<std::unique_ptr<StemFile>> files;
  for (StemOutput& output : report.outputs) {
    output.channels = channels;
    output.sample_rate = rate;
    WriteOptions write = write_;
    write.tags = tags.ForPart(output.stem);
    const auto cancelled = [&] { return observer.Cancelled(); };
    Result<std::unique_ptr<AudioWriter>> writer =
        options_.stream.empty()
            ? AudioWriter::Create(output.path, write, rate, channels, &outputs)
            : AudioWriter::Stream(options_.stream_to, kStreamName, write, rate, channels, cancelled);
    if (!writer) return tl::unexpected<Error>(writer.error());
    TIMBRE_TRY(files.emplace_back(),
               StemFile::Create(*std::move(writer), info().sample_rate, info().channels, rate, channels));
  }
  TIMBRE_CHECK(SeparateInto(reader, files, observer, moments, report));
  files.clear();
  TIMBRE_CHECK(outputs.Commit());
  if (options_.stream.empty()) KeepMarks(places.paths, places.marks);
  report.times.total = watch.seconds();
  report.real_time_factor = report.times.total / report.seconds;
  return report;
}

Result<std::vector<Samples>> SeparatorImpl::SeparateSamples(std::span<const float> mix, int channels,
                                                            Observer& observer) {
  const int model_channels = info().channels;
  if (channels < 1 || (channels != model_channels && channels != 1) || mix.size() % channels != 0 || mix.empty()) {
    return Fail(ErrorCode::kInvalidArgument,
                "the model takes samples of " + std::to_string(model_channels) + " channels");
  }
  Samples track;
  for (size_t i = 0; i < mix.size(); ++i) {
    if (!(std::abs(mix[i]) <= kMostSample)) {
      return Fail(ErrorCode::kInvalidArgument, "the samples hold a NaN, an infinity or a number beyond all sound");
    }
    track.insert(track.end(), channels == model_channels ? 1 : model_channels, mix[i]);
  }
  Moments moments;
  moments.Add(track, model_channels);
  const Scaling scaling = ScalingOf(info(), options_, moments);
  scaling.Apply(track.data(), track.size());

  TIMBRE_TRY(const std::vector<TilePlan> plans, PlansFor(moments.frames));
  const int64_t tiles = TilesOf(plans);
  int64_t done = 0;
  std::vector<Samples> results(outputs_.size());
  for (const Pass& pass : passes_) {
    TIMBRE_CHECK(MakeRunners(pass));
    bool given = false;
    int64_t position = 0;
    const auto source = [&](Samples* samples) -> Status {
      if (!given) samples->insert(samples->end(), track.begin(), track.end());
      given = true;
      return {};
    };
    const auto sink = [&](const float* computed, int64_t frames) -> Status {
      Samples samples(computed, computed + frames * static_cast<int64_t>(pass.outputs.size()) * model_channels);
      AddTrack(pass, track.data() + position * model_channels, frames, samples.data());
      position += frames;
      for (size_t i = 0; i < pass.outputs.size(); ++i) {
        const size_t o = pass.outputs[i];
        for (int64_t t = 0; t < frames; ++t) {
          const float* from = samples.data() + (t * pass.outputs.size() + i) * model_channels;
          float sum = 0;
          for (int c = 0; c < model_channels; ++c) {
            const float x = from[c] * scaling.deviation + scaling.mean * MeanShare(o);
            if (channels == model_channels) results[o].push_back(x);
            sum += x;
          }
          if (channels != model_channels) results[o].push_back(sum / static_cast<float>(model_channels));
        }
      }
      return {};
    };
    const auto tile_done = [&]() -> Status {
      observer.OnProgress({.stage = Stage::kCompute, .done = ++done, .total = tiles});
      if (observer.Cancelled()) return Fail(ErrorCode::kCancelled, "cancelled");
      return {};
    };
    TIMBRE_CHECK(RunTiles(MembersOf(pass, plans), source, sink, tile_done));
  }
  return results;
}

}  // namespace

Result<std::vector<TilePlan>> PlanTiles(const LoadedModel& model, const SeparateOptions& options, int64_t length) {
  std::mt19937_64 random(options.seed);
  std::vector<TilePlan> plans;
  for (const auto& member : model.members) {
    TIMBRE_TRY(TilePlan plan, member->Plan(length, TilingOf(*member, model.segment, options, random)));
    plans.push_back(std::move(plan));
  }
  return plans;
}

Result<std::unique_ptr<Separator>> Separator::Create(LoadedModel model, const SeparateOptions& options,
                                                     ThreadPool& pool, Stats& stats) {
  auto separator = std::make_unique<SeparatorImpl>(std::move(model), options, pool, stats);
  TIMBRE_CHECK(separator->Prepare());
  return separator;
}

}  // namespace timbre
