#include "pipelines/separate/model_ensemble.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <filesystem>
#include <optional>
#include <span>
#include <utility>

#include "audio/byte_source.h"
#include "base/output_set.h"
#include "base/temporary_file.h"
#include "base/text.h"
#include "pipelines/made_by.h"
#include "pipelines/output_files.h"
#include "pipelines/separate/combine.h"
#include "pipelines/separate/separate_outputs.h"
#include "pipelines/separate/share_of_progress.h"

namespace timbre {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMostModels = 16;

// What is known of all models together. None of it runs: they do, one by one.
class Described final : public SeparationModel {
 public:
  explicit Described(SeparationInfo info) : info_(std::move(info)) {}
  const SeparationInfo& info() const override { return info_; }
  Result<TilePlan> Plan(int64_t /*length*/, const TilingOptions& /*options*/) const override { return NoNetwork(); }
  Result<Graph> BuildTile(int64_t /*tile*/, int /*batch*/) const override { return NoNetwork(); }

 private:
  static tl::unexpected<Error> NoNetwork() {
    return Fail(ErrorCode::kInternal, "several models are no network of their own");
  }
  const SeparationInfo info_;
};

// One of the models, and which of its stems are wanted.
struct Member {
  LoadedModel model;
  SeparateOptions options;
  // [output]: what the model calls it, "" where it has no such stem.
  std::vector<std::string> stems;
};

// An output, and what it is made of.
struct Combined {
  std::string name;
  std::vector<double> weights;  // of the members that give it; empty: equal
};

class ModelEnsemble final : public Separator {
 public:
  ModelEnsemble(EnsembleAlgorithm algorithm, SeparateOptions options, ThreadPool& pool, Stats& stats)
      : algorithm_(algorithm), options_(std::move(options)), pool_(pool), stats_(stats) {}

  Status Prepare(std::vector<LoadedModel> models, const std::vector<double>& weights);
  Result<TrackReport> Separate(const TrackInput& track, Observer& observer) override;
  Result<std::vector<std::vector<float>>> SeparateSamples(std::span<const float> mix, int channels,
                                                          Observer& observer) override;

  Result<int64_t> Tiles(int64_t samples) const override;
  size_t stems_between() const override;

  const std::vector<std::string>& output_names() const override { return names_; }
  const LoadedModel& model() const override { return whole_; }
  std::string device_name() const override { return device_name_; }
  std::string device_reason() const override { return device_reason_; }
  int batch() const override { return batch_; }
  KernelCounts kernels() const override {
    KernelCounts counts;
    for (const KernelCounts& member : kernels_) {
      for (const auto& [kernel, nodes] : member) counts[kernel] += nodes;
    }
    return counts;
  }
  int64_t arena_bytes() const override { return arena_bytes_; }
  int64_t weight_bytes() const override { return weight_bytes_; }

 private:
  Status Choose(std::vector<LoadedModel> models, const std::vector<double>& weights);
  Status LeaveInFolder();
  Result<Separator*> Ready(size_t k);
  void Note(size_t k);
  // Members in the order in which they are run: first the one that is ready.
  std::vector<size_t> Order() const;
  Result<std::vector<StemOutput>> Combine(const std::vector<TrackReport>& members,
                                          const std::vector<std::string>& paths, OutputSet& outputs,
                                          const AudioTags& tags, Observer& observer) const;

  const EnsembleAlgorithm algorithm_;
  const SeparateOptions options_;
  ThreadPool& pool_;
  Stats& stats_;
  std::vector<Member> members_;
  std::vector<Combined> outputs_;
  std::vector<std::string> names_;
  LoadedModel whole_;  // what all of them are together
  StemFolder folder_;
  WriteOptions write_;
  size_t ready_index_ = 0;
  std::unique_ptr<Separator> ready_;
  std::string device_name_, device_reason_;
  int batch_ = 1;
  std::vector<KernelCounts> kernels_;           // of each member
  int64_t arena_bytes_ = 0, weight_bytes_ = 0;  // the most that one needs
};

// What each model is asked for, and what becomes of it.
Status ModelEnsemble::Choose(std::vector<LoadedModel> models, const std::vector<double>& weights) {
  std::vector<std::string> all;  // common names, in the order of the models
  for (const LoadedModel& model : models) {
    for (const std::string& stem : model.info().stems) {
      const std::string common = CommonStemName(stem, model.info().stems);
      if (std::find(all.begin(), all.end(), common) == all.end()) all.push_back(common);
    }
    whole_.name += (whole_.name.empty() ? "" : "+") + model.name;
  }
  const SeparationInfo& first = models.front().info();
  const SeparationInfo info{
      .architecture = "ensemble", .sample_rate = first.sample_rate, .channels = first.channels, .stems = all};
  whole_.members.assign(models.size(), std::make_shared<Described>(info));

  SeparateOptions asked = options_;
  for (std::string& stem : asked.stems) stem = LowerCase(stem);
  asked.two_stems = LowerCase(asked.two_stems);
  asked.stream = LowerCase(asked.stream);
  TIMBRE_TRY(const std::vector<OutputChoice> chosen, ChooseOutputs(all, asked));
  for (const OutputChoice& output : chosen) names_.push_back(output.name);

  for (LoadedModel& model : models) {
    const std::vector<std::string>& stems = model.info().stems;
    Member member{.options = options_, .stems = std::vector<std::string>(names_.size())};
    SeparateOptions& own = member.options;
    own.stems.clear();
    own.two_stems.clear();
    for (const std::string& stem : stems) {
      const std::string common = CommonStemName(stem, stems);
      if (!asked.two_stems.empty()) {
        if (common != asked.two_stems) continue;
        own.two_stems = stem;
        for (size_t o = 0; o < names_.size(); ++o) member.stems[o] = names_[o] == common ? stem : "no_" + stem;
      } else if (const auto at = std::find(names_.begin(), names_.end(), common); at != names_.end()) {
        own.stems.push_back(stem);
        member.stems[static_cast<size_t>(at - names_.begin())] = stem;
      }
    }
    if (own.stems.empty() && own.two_stems.empty()) {
      return Fail(ErrorCode::kInvalidArgument,
                  "the model " + model.name + " gives none of the stems that are asked for; leave it out");
    }
    if (!model.info().shifts) own.shifts = 0;
    member.model = std::move(model);
    members_.push_back(std::move(member));
  }
  for (size_t o = 0; o < names_.size(); ++o) {
    Combined& output = outputs_.emplace_back(Combined{.name = names_[o], .weights = {}});
    size_t givers = 0;
    for (size_t k = 0; k < members_.size(); ++k) {
      if (members_[k].stems[o].empty()) continue;
      ++givers;
      if (!weights.empty()) output.weights.push_back(weights[k]);
    }
    // Now rather than when hours of computing are done.
    TIMBRE_CHECK(Ensemble::Create({.algorithm = algorithm_,
                                   .inputs = givers,
                                   .channels = 1,
                                   .weights = output.weights,
                                   .quietest = std::vector<size_t>(1)})
                     .map([](const Ensemble&) {}));
  }
  return {};
}

Status ModelEnsemble::LeaveInFolder() {
  TIMBRE_TRY(folder_, MakeStemFolder(options_));
  if (!folder_.folder) return {};
  for (size_t k = 0; k < members_.size(); ++k) {
    SeparateOptions& own = members_[k].options;
    own.output_dir = folder_.path();
    own.name = std::to_string(k) + "-{stem}.{ext}";
    own.format = "wav";
    own.sample_format = "f32";
    own.clip = "none";
    own.peak.reset();
    own.bitrate = 0;
    own.stream.clear();
    own.tags = false;
    own.skip_existing = false;
    own.made_by.clear();
    for (const std::string& stem : members_[k].stems) {
      if (stem.empty()) continue;
      TIMBRE_TRY(const std::string path, OutputPath(own, "", TrackInput(""), stem));
      folder_.folder->Holds(path);
    }
  }
  return {};
}

Status ModelEnsemble::Prepare(std::vector<LoadedModel> models, const std::vector<double>& weights) {
  if (models.size() < 2 || models.size() > kMostModels) {
    return Fail(ErrorCode::kInvalidArgument,
                "an ensemble takes 2 to 16 models; there are " + std::to_string(models.size()));
  }
  if (!weights.empty() && weights.size() != models.size()) {
    return Fail(ErrorCode::kInvalidArgument, "there are " + std::to_string(models.size()) + " models and " +
                                                 std::to_string(weights.size()) + " --weights; give one for each");
  }
  TIMBRE_TRY(write_, ParseWriteOptions(options_.format, options_.sample_format,
                                       options_.peak ? "rescale" : options_.clip, options_.bitrate, options_.temp_dir));
  TIMBRE_CHECK(CheckOutputRate(options_.format, options_.rate));
  TIMBRE_CHECK(Choose(std::move(models), weights));
  TIMBRE_CHECK(LeaveInFolder());
  // What is wrong with one of the models is said before the first has run; the last to be made ready runs first.
  kernels_.resize(members_.size());
  for (size_t k = members_.size(); k-- > 0;) TIMBRE_CHECK(Ready(k).map([](Separator*) {}));
  device_name_ = ready_->device_name();
  device_reason_ = ready_->device_reason();
  batch_ = ready_->batch();
  return {};
}

Result<int64_t> ModelEnsemble::Tiles(int64_t samples) const {
  int64_t tiles = 0;
  for (const Member& member : members_) {
    const int64_t own = samples * member.model.info().sample_rate / whole_.info().sample_rate;
    TIMBRE_TRY(const std::vector<TilePlan> plans, PlanTiles(member.model, member.options, own));
    for (const TilePlan& plan : plans) tiles += static_cast<int64_t>(plan.tiles.size());
  }
  return tiles;
}

size_t ModelEnsemble::stems_between() const {
  size_t stems = 0;
  for (const Member& member : members_) {
    // Of two stems both are written, where one of them is streamed as well.
    stems += member.options.two_stems.empty() ? member.options.stems.size() : 2;
  }
  return stems;
}

Result<Separator*> ModelEnsemble::Ready(size_t k) {
  if (ready_ == nullptr || ready_index_ != k) {
    ready_.reset();  // its memory first
    const Member& member = members_[k];
    Result<std::unique_ptr<Separator>> made = Separator::Create(member.model, member.options, pool_, stats_);
    if (!made) return Prefix(made.error(), member.model.name);
    ready_ = *std::move(made);
    ready_index_ = k;
    Note(k);
  }
  return ready_.get();
}

void ModelEnsemble::Note(size_t k) {
  kernels_[k] = ready_->kernels();
  arena_bytes_ = std::max(arena_bytes_, ready_->arena_bytes());
  weight_bytes_ = std::max(weight_bytes_, ready_->weight_bytes());
}

std::vector<size_t> ModelEnsemble::Order() const {
  std::vector<size_t> order = {ready_index_};
  for (size_t k = 0; k < members_.size(); ++k) {
    if (k != ready_index_) order.push_back(k);
  }
  return order;
}

// A pipe's bytes, which can be read but once, as a file for all models.
Result<TrackInput> Kept(const TrackInput& track, TemporaryFolder& folder, Observer& observer) {
  std::error_code error;
  if (!IsStandardInput(track.path) && fs::is_regular_file(track.path, error)) return track;
  const std::string path = folder.path() + "/input";
  TIMBRE_TRY(const std::unique_ptr<ByteSource> source,
             ByteSource::Open(track.path, folder.path(), [&observer] { return observer.Cancelled(); }));
  TIMBRE_TRY(AtomicFile file, AtomicFile::Create(path));
  folder.Holds(path);
  std::vector<std::byte> block(1 << 16);
  while (true) {
    const int64_t got = source->Read(block.data(), static_cast<int64_t>(block.size()));
    if (got < 0) TIMBRE_CHECK(source->Check());
    if (got <= 0) break;
    TIMBRE_CHECK(file.Write(std::span(block).first(static_cast<size_t>(got))));
  }
  TIMBRE_CHECK(file.Commit());
  return TrackInput(path, track.folder);
}

// Sums up what the members took; all else of it is the same for all.
TrackReport Sum(const std::vector<TrackReport>& members) {
  TrackReport sum = members.front();
  sum.outputs.clear();
  for (size_t k = 1; k < members.size(); ++k) {
    const StageTimes& times = members[k].times;
    sum.tiles += members[k].tiles;
    sum.times.load += times.load;
    sum.times.analyse += times.analyse;
    sum.times.decode += times.decode;
    sum.times.compute += times.compute;
    sum.times.encode += times.encode;
  }
  return sum;
}

Result<std::vector<StemOutput>> ModelEnsemble::Combine(const std::vector<TrackReport>& members,
                                                       const std::vector<std::string>& paths, OutputSet& outputs,
                                                       const AudioTags& tags, Observer& observer) const {
  const ReadOptions read{.cancelled = [&observer] { return observer.Cancelled(); }, .temporary_folder = ""};
  std::vector<StemOutput> combined;
  std::vector<std::unique_ptr<AudioWriter>> writers;
  float peak = 0;
  for (size_t o = 0; o < outputs_.size(); ++o) {
    observer.OnProgress({.stage = Stage::kEncode,
                         .done = static_cast<int64_t>(o),
                         .total = static_cast<int64_t>(outputs_.size()),
                         .audio_seconds = members.front().seconds});
    StemOutput output{.stem = names_[o], .path = paths[o]};
    std::vector<std::string> versions;
    for (size_t k = 0; k < members.size(); ++k) {
      for (const StemOutput& version : members[k].outputs) {
        if (version.stem != members_[k].stems[o]) continue;
        versions.push_back(version.path);
        output.sample_rate = version.sample_rate;
        output.channels = std::max(output.channels, version.channels);
      }
    }
    WriteOptions write = write_;
    write.tags = tags.ForPart(output.stem);
    Result<std::unique_ptr<AudioWriter>> writer =
        options_.stream.empty() ? AudioWriter::Create(output.path, write, output.sample_rate, output.channels, &outputs)
                                : AudioWriter::Stream(options_.stream_to, kStreamName, write, output.sample_rate,
                                                      output.channels, read.cancelled);
    if (!writer) return tl::unexpected<Error>(writer.error());
    TIMBRE_CHECK(CombineInto(**writer, output.sample_rate, output.channels, versions, algorithm_, outputs_[o].weights,
                             read, observer)
                     .map([](int64_t) {}));
    peak = std::max(peak, (*writer)->peak());
    writers.push_back(*std::move(writer));
    combined.push_back(std::move(output));
    std::error_code error;
    for (const std::string& version : versions) fs::remove(version, error);
  }
  std::optional<float> gain;
  if (options_.peak) gain = GainToPeak(peak, *options_.peak);
  for (size_t o = 0; o < writers.size(); ++o) {
    TIMBRE_TRY(const WriteReport written, writers[o]->Finish(gain));
    combined[o].samples = written.frames;
    combined[o].sample_rate = written.sample_rate;
    combined[o].peak = written.peak;
    combined[o].gain = written.gain;
  }
  return combined;
}

Result<TrackReport> ModelEnsemble::Separate(const TrackInput& track, Observer& observer) {
  const auto start = std::chrono::steady_clock::now();
  const auto seconds = [&] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(); };
  TIMBRE_TRY(const OutputPlaces places, PlacesOf(options_, whole_.name, names_, track));
  if (places.done) {
    TrackReport report;
    report.input = track.path;
    report.skipped = true;
    return report;
  }
  TIMBRE_TRY(const TrackInput input, Kept(track, *folder_.folder, observer));
  std::vector<TrackReport> members(members_.size());
  const std::vector<size_t> order = Order();
  for (size_t i = 0; i < order.size(); ++i) {
    const size_t k = order[i];
    ShareOfProgress share(observer, i, order.size());
    TIMBRE_TRY(Separator* const separator, Ready(k));
    Result<TrackReport> report = separator->Separate(input, share);
    if (!report) {
      Error error = report.error();
      if (const size_t at = error.message.find(input.path); at != std::string::npos && input.path != track.path) {
        error.message.replace(at, input.path.size(), IsStandardInput(track.path) ? "stdin" : track.path);
      }
      return tl::unexpected<Error>(std::move(error));
    }
    Note(k);
    members[k] = *std::move(report);
  }
  TrackReport report = Sum(members);
  const double computed = seconds();
  OutputSet outputs;
  AudioTags tags;
  if (track.tags) report.tags = *track.tags;
  if (options_.tags) tags = report.tags;
  TIMBRE_TRY(report.outputs, Combine(members, places.paths, outputs, tags, observer));
  TIMBRE_CHECK(outputs.Commit());
  if (options_.stream.empty()) KeepMarks(places.paths, places.marks);
  report.input = track.path;
  report.times.total = seconds();
  report.times.encode += report.times.total - computed;
  report.real_time_factor = report.times.total / report.seconds;
  return report;
}

Result<std::vector<std::vector<float>>> ModelEnsemble::SeparateSamples(std::span<const float> mix, int channels,
                                                                       Observer& observer) {
  for (const Member& member : members_) {
    if (member.model.info().sample_rate == whole_.info().sample_rate) continue;
    return Fail(ErrorCode::kUnsupported, "the models' sample rates differ; separate a file instead of samples");
  }
  std::vector<std::vector<std::vector<float>>> given(members_.size());  // [member][its output]
  std::vector<std::vector<std::string>> called(members_.size());
  const std::vector<size_t> order = Order();
  for (size_t i = 0; i < order.size(); ++i) {
    ShareOfProgress share(observer, i, order.size());
    TIMBRE_TRY(Separator* const separator, Ready(order[i]));
    TIMBRE_TRY(given[order[i]], separator->SeparateSamples(mix, channels, share));
    called[order[i]] = separator->output_names();
    Note(order[i]);
  }
  std::vector<std::vector<float>> combined;
  for (size_t o = 0; o < outputs_.size(); ++o) {
    std::vector<std::span<const float>> versions;
    for (size_t k = 0; k < members_.size(); ++k) {
      const auto at = std::find(called[k].begin(), called[k].end(), members_[k].stems[o]);
      if (at != called[k].end()) versions.emplace_back(given[k][static_cast<size_t>(at - called[k].begin())]);
    }
    TIMBRE_TRY(combined.emplace_back(), CombineSamples(versions, channels, algorithm_, outputs_[o].weights));
  }
  return combined;
}

}  // namespace

std::string CommonStemName(const std::string& stem, const std::vector<std::string>& stems) {
  const std::string name = LowerCase(stem);
  const bool beside_vocals =
      stems.size() == 2 && name != "vocals" &&
      std::any_of(stems.begin(), stems.end(), [](const std::string& other) { return LowerCase(other) == "vocals"; });
  return beside_vocals ? "instrumental" : name;
}

Result<std::unique_ptr<Separator>> CreateModelEnsemble(std::vector<LoadedModel> models, const EnsembleChoice& how,
                                                       const SeparateOptions& options, ThreadPool& pool, Stats& stats) {
  TIMBRE_TRY(const std::vector<double> weights, ParseNumbers("weights", how.weights));
  auto ensemble = std::make_unique<ModelEnsemble>(how.algorithm, options, pool, stats);
  TIMBRE_CHECK(ensemble->Prepare(std::move(models), weights));
  return ensemble;
}

}  // namespace timbre
