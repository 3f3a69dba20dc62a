#include "pipelines/separate/two_stage.h"

#include <filesystem>

#include "audio/byte_source.h"
#include "base/output_set.h"
#include "base/temporary_file.h"
#include "pipelines/separate/separate_outputs.h"
#include "pipelines/separate/share_of_progress.h"

namespace timbre {
namespace {

namespace fs = std::filesystem;

class Chain : public Separator {
 public:
  Chain(std::unique_ptr<OutputSet> made, TemporaryFolder folder, std::unique_ptr<Separator> first,
        std::unique_ptr<Separator> second, SeparateOptions options, SeparateOptions first_options)
      : made_(std::move(made)),
        folder_(std::move(folder)),
        first_(std::move(first)),
        second_(std::move(second)),
        options_(std::move(options)),
        first_options_(std::move(first_options)) {}

  Result<TrackReport> Separate(const TrackInput& track, Observer& observer) override {
    const std::string& input = track.path;
    TIMBRE_TRY(const OutputPlaces places, PlacesOf(options_, model().name, output_names(), track));
    if (places.done) {
      TrackReport report;
      report.input = input;
      report.skipped = true;
      return report;
    }
    // The temporary file has the track's name, so that the second model's files are named after it.
    TIMBRE_TRY(const std::string between, OutputPath(first_options_, "", track, ""));
    folder_.Holds(between);
    ShareOfProgress first_half(observer, 0, 2), second_half(observer, 1, 2);
    TIMBRE_TRY(const TrackReport before, first_->Separate(track, first_half));
    TrackInput stem(between, track.folder);
    stem.tags = before.tags;  // of a pipe they could not be read again
    Result<TrackReport> after = second_->Separate(stem, second_half);
    std::error_code error;
    fs::remove(between, error);
    if (!after) {
      Error problem = after.error();
      if (const size_t at = problem.message.find(between); at != std::string::npos)
        problem.message.replace(at, between.size(), input);
      return tl::unexpected<Error>(std::move(problem));
    }
    after->input = input;
    after->input_format = before.input_format;
    after->channels = before.channels;
    after->warning = before.warning;
    after->tiles += before.tiles;
    after->times.load += before.times.load;
    after->times.analyse += before.times.analyse;
    after->times.decode += before.times.decode;
    after->times.compute += before.times.compute;
    after->times.encode += before.times.encode;
    after->times.total += before.times.total;
    after->real_time_factor += before.real_time_factor;
    return after;
  }

  Result<std::vector<std::vector<float>>> SeparateSamples(std::span<const float> mix, int channels,
                                                          Observer& observer) override {
    if (first_->model().info().sample_rate != model().info().sample_rate) {
      return Fail(ErrorCode::kUnsupported, "the two models' sample rates differ; separate a file instead of samples");
    }
    TIMBRE_TRY(const auto stems, first_->SeparateSamples(mix, channels, observer));
    return second_->SeparateSamples(stems.front(), channels, observer);
  }

  Result<int64_t> Tiles(int64_t samples) const override {
    TIMBRE_TRY(const int64_t before,
               first_->Tiles(samples * first_->model().info().sample_rate / model().info().sample_rate));
    TIMBRE_TRY(const int64_t after, second_->Tiles(samples));
    return before + after;
  }

  const std::vector<std::string>& output_names() const override { return second_->output_names(); }
  const LoadedModel& model() const override { return second_->model(); }
  std::string device_name() const override { return second_->device_name(); }
  std::string device_reason() const override { return second_->device_reason(); }
  int batch() const override { return second_->batch(); }
  KernelCounts kernels() const override {
    KernelCounts counts = first_->kernels();
    for (const auto& [kernel, nodes] : second_->kernels()) counts[kernel] += nodes;
    return counts;
  }
  int64_t arena_bytes() const override { return first_->arena_bytes() + second_->arena_bytes(); }
  int64_t weight_bytes() const override { return first_->weight_bytes() + second_->weight_bytes(); }

 private:
  std::unique_ptr<OutputSet> made_;  // the output folder, where nothing came to lie in it
  TemporaryFolder folder_;
  std::unique_ptr<Separator> first_, second_;
  const SeparateOptions options_, first_options_;
};

}  // namespace

Result<std::unique_ptr<Separator>> CreateTwoStage(LoadedModel first, const std::string& stem,
                                                  std::unique_ptr<Separator> second, const SeparateOptions& options,
                                                  ThreadPool& pool, Stats& stats) {
  auto made = std::make_unique<OutputSet>();
  const std::string beside = !options.temp_dir.empty() ? options.temp_dir
                             : options.stream.empty()  ? options.output_dir
                                                       : LargeTemporaryFolder();
  TIMBRE_CHECK(made->MakeFolderOf(beside + "/"));
  TIMBRE_TRY(TemporaryFolder folder, TemporaryFolder::Create(beside));
  SeparateOptions before;
  before.stems = {stem};
  before.part = options.part;
  before.shifts = first.info().shifts ? options.shifts : 0;
  before.seed = options.seed;
  before.batch = options.batch;
  before.session = options.session;
  before.output_dir = folder.path();
  before.name = "{track}.{ext}";
  before.sample_format = "f32";
  before.clip = "none";
  before.tags = false;
  TIMBRE_TRY(auto one, Separator::Create(std::move(first), before, pool, stats));
  return std::make_unique<Chain>(std::move(made), std::move(folder), std::move(one), std::move(second), options,
                                 before);
}

}  // namespace timbre
