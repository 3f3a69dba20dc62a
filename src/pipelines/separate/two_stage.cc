#include "pipelines/separate/two_stage.h"

#include <filesystem>

#include "pipelines/separate/separate_outputs.h"
#include "pipelines/separate/share_of_progress.h"

namespace timbre {
namespace {

namespace fs = std::filesystem;

class Chain : public Separator {
 public:
  Chain(StemFolder folder, std::unique_ptr<Separator> first, std::unique_ptr<Separator> second, SeparateOptions options,
        SeparateOptions first_options)
      : second_(std::move(second)),
        folder_(std::move(folder)),
        first_(std::move(first)),
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
    folder_.folder->Holds(between);
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

  size_t stems_between() const override { return 1 + second_->stems_between(); }

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
  // Before the folder, which may lie in one that was made for the second's own.
  std::unique_ptr<Separator> second_;
  StemFolder folder_;
  std::unique_ptr<Separator> first_;
  const SeparateOptions options_, first_options_;
};

}  // namespace

Result<std::unique_ptr<Separator>> CreateTwoStage(LoadedModel first, const std::string& stem,
                                                  std::unique_ptr<Separator> second, const SeparateOptions& options,
                                                  ThreadPool& pool, Stats& stats) {
  TIMBRE_TRY(StemFolder folder, MakeStemFolder(options));
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
  return std::make_unique<Chain>(std::move(folder), std::move(one), std::move(second), options, before);
}

}  // namespace timbre
