#include "tasks/chain.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>

namespace timbre {
namespace {

namespace fs = std::filesystem;

// A folder of its own below the system's temporary one, removed with all that is in it.
class TemporaryFolder {
 public:
  static Result<std::unique_ptr<TemporaryFolder>> Make() {
    std::error_code error;
    const fs::path base = fs::temp_directory_path(error);
    std::string path = (base / "timbre-XXXXXX").string();
    if (error || mkdtemp(path.data()) == nullptr) {
      return Fail(ErrorCode::kIo, "no temporary folder could be made in '" + base.string() +
                                      "'; set TMPDIR to a folder that can be written");
    }
    return std::unique_ptr<TemporaryFolder>(new TemporaryFolder(path));
  }
  ~TemporaryFolder() {
    std::error_code error;
    fs::remove_all(path_, error);
  }
  const std::string& path() const { return path_; }

 private:
  explicit TemporaryFolder(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

class Chain : public Separator {
 public:
  Chain(std::unique_ptr<TemporaryFolder> folder, std::unique_ptr<Separator> first, std::unique_ptr<Separator> second,
        SeparateOptions options)
      : folder_(std::move(folder)),
        first_(std::move(first)),
        second_(std::move(second)),
        options_(std::move(options)) {}

  Result<TrackReport> Separate(const std::string& input, Observer& observer) override {
    bool all_there = true;
    for (const std::string& stem : output_names()) {
      TIMBRE_TRY(const std::string path, OutputPath(options_, model().name, input, stem));
      std::error_code error;
      if (fs::equivalent(path, input, error)) {
        return Fail(ErrorCode::kInvalidArgument,
                    "'" + path + "' would be written over the input; change --output or --name");
      }
      all_there = all_there && fs::exists(path, error);
    }
    if (options_.skip_existing && all_there) {
      TrackReport report;
      report.input = input;
      report.skipped = true;
      return report;
    }
    TIMBRE_TRY(const TrackReport before, first_->Separate(input, observer));
    // The temporary file has the track's name, so that the second model's files are named after it.
    const std::string between = before.outputs.front().path;
    Result<TrackReport> after = second_->Separate(between, observer);
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
  std::unique_ptr<TemporaryFolder> folder_;
  std::unique_ptr<Separator> first_, second_;
  const SeparateOptions options_;
};

}  // namespace

Result<std::unique_ptr<Separator>> CreateChain(LoadedModel first, const std::string& stem, LoadedModel second,
                                               const SeparateOptions& options, ThreadPool& pool, Stats& stats) {
  TIMBRE_TRY(auto folder, TemporaryFolder::Make());
  SeparateOptions before;
  before.stems = {stem};
  before.shifts = first.info().shifts ? options.shifts : 0;
  before.seed = options.seed;
  before.batch = options.batch;
  before.session = options.session;
  before.output_dir = folder->path();
  before.name = "{track}.{ext}";
  before.sample_format = "f32";
  before.clip = "none";
  TIMBRE_TRY(auto one, Separator::Create(std::move(first), before, pool, stats));
  SeparateOptions after = options;
  if (!second.info().shifts) after.shifts = 0;
  TIMBRE_TRY(auto two, Separator::Create(std::move(second), after, pool, stats));
  return std::make_unique<Chain>(std::move(folder), std::move(one), std::move(two), options);
}

}  // namespace timbre
