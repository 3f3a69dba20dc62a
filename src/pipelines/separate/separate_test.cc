#include "pipelines/separate/separate.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>

#include "audio/decode.h"
#include "audio/encode.h"
#include "base/file_faults.h"
#include "models/separate/hpss.h"

namespace timbre {
namespace {

namespace fs = std::filesystem;

// Stem s is the mix times a factor of its own; NaN for a factor of NaN.
class Factors : public SeparationModel {
 public:
  Factors(std::vector<std::string> stems, std::vector<float> factors, bool normalise = false)
      : factors_(std::move(factors)) {
    info_ = {.architecture = "factors",
             .sample_rate = 8000,
             .channels = 2,
             .stems = std::move(stems),
             .segment = 0.5,
             .max_segment = 1,
             .normalise = normalise,
             .shifts = true};
  }
  const SeparationInfo& info() const override { return info_; }
  Result<TilePlan> Plan(int64_t length, const TilingOptions& t) const override {
    const auto tile = static_cast<int64_t>((t.segment > 0 ? t.segment : info_.segment) * info_.sample_rate);
    return PlanCentred(length, tile, t.overlap >= 0 ? t.overlap : 0.25, t.transition_power, t.shifts);
  }
  Result<Graph> BuildTile(int64_t, int) const override { return Fail(ErrorCode::kUnsupported, "no graph"); }
  std::unique_ptr<TileProcessor> MakeProcessor(int64_t tile) const override {
    return std::make_unique<Processor>(*this, tile);
  }

  mutable std::atomic<int64_t> tiles{0};

 private:
  class Processor : public TileProcessor {
   public:
    Processor(const Factors& model, int64_t tile) : model_(model), tile_(tile) {}
    Status Process(const float* mix, float* stems, ThreadPool&) override {
      const size_t width = model_.factors_.size() * 2;
      for (int64_t i = 0; i < tile_; ++i) {
        for (size_t f = 0; f < width; ++f) stems[i * width + f] = mix[i * 2 + f % 2] * model_.factors_[f / 2];
      }
      ++model_.tiles;
      return {};
    }

   private:
    const Factors& model_;
    int64_t tile_;
  };

  SeparationInfo info_;
  std::vector<float> factors_;
};

LoadedModel Bag(std::vector<std::shared_ptr<const SeparationModel>> members, std::vector<std::vector<float>> weights) {
  LoadedModel model;
  model.name = "fake";
  model.members = std::move(members);
  model.weights = std::move(weights);
  return model;
}

LoadedModel Single(std::shared_ptr<const SeparationModel> member) {
  const size_t stems = member->info().stems.size();
  return Bag({std::move(member)}, {std::vector<float>(stems, 1.0f)});
}

LoadedModel TwoStems() {
  return Single(std::make_shared<Factors>(std::vector<std::string>{"a", "b"}, std::vector{0.25f, 0.5f}));
}

std::vector<float> Tone(int64_t frames, int channels, double rate) {
  std::vector<float> x(frames * channels);
  for (int64_t i = 0; i < frames; ++i) {
    for (int c = 0; c < channels; ++c) {
      x[i * channels + c] =
          static_cast<float>(0.4 * std::sin(2 * M_PI * (220 + 110 * c) * static_cast<double>(i) / rate));
    }
  }
  return x;
}

double MaxDifference(const std::vector<float>& a, const std::vector<float>& b, float factor) {
  EXPECT_EQ(a.size(), b.size());
  double most = 0;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i)
    most = std::max<double>(most, std::abs(a[i] - factor * b[i]));
  return most;
}

class SeparateTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(::testing::TempDir()) /
              ("timbre_separate_" + std::string(::testing::UnitTest::GetInstance()->current_test_info()->name()));
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  SeparateOptions Options() const {
    return {.output_dir = folder_ / "out", .sample_format = "f32", .clip = "none", .session = {.device = "cpu"}};
  }

  std::string WriteInput(const std::vector<float>& samples, int rate, int channels,
                         const std::string& name = "mix.wav") {
    const std::string path = folder_ / name;
    auto writer =
        AudioWriter::Create(path, {.sample_format = SampleFormat::kF32, .clip = ClipMode::kNone}, rate, channels);
    EXPECT_TRUE(writer);
    EXPECT_TRUE((*writer)->Write(samples.data(), static_cast<int64_t>(samples.size()) / channels));
    EXPECT_TRUE((*writer)->Finish());
    return path;
  }

  Result<TrackReport> Separate(LoadedModel model, const SeparateOptions& options, const std::string& input) {
    TIMBRE_TRY(auto separator, Separator::Create(std::move(model), options, pool_, stats_));
    return separator->Separate(input, observer_);
  }

  Error CreateError(LoadedModel model, const SeparateOptions& options) {
    auto separator = Separator::Create(std::move(model), options, pool_, stats_);
    EXPECT_FALSE(separator);
    return separator ? Error{} : separator.error();
  }

  fs::path folder_;
  ThreadPool pool_{2};
  Stats stats_;
  Observer observer_;
};

TEST_F(SeparateTest, OutputsHaveTheInputsLengthRateAndChannels) {
  struct Input {
    int64_t frames;
    int rate, channels;
  };
  for (const Input in : {Input{8000 * 3 + 17, 8000, 2}, Input{1, 8000, 2}, Input{3999, 8000, 1},
                         Input{44100 + 5, 44100, 2}, Input{12345, 11025, 1}, Input{7001, 48000, 6}}) {
    const std::vector<float> mix = Tone(in.frames, in.channels, in.rate);
    const std::string input = WriteInput(mix, in.rate, in.channels);
    const auto report = Separate(TwoStems(), Options(), input);
    ASSERT_TRUE(report) << report.error().message;
    EXPECT_EQ(report->samples, in.frames);
    ASSERT_EQ(report->outputs.size(), 2u);
    for (size_t s = 0; s < 2; ++s) {
      const auto audio = ReadAudioFile(report->outputs[s].path, 1 << 20);
      ASSERT_TRUE(audio) << audio.error().message;
      EXPECT_EQ(audio->frames(), in.frames);
      EXPECT_EQ(audio->sample_rate, in.rate);
      EXPECT_EQ(audio->channels, std::min(in.channels, 2));
      EXPECT_EQ(report->outputs[s].samples, in.frames);
      if (in.rate != 8000) continue;
      EXPECT_LT(MaxDifference(audio->samples, mix, s == 0 ? 0.25f : 0.5f), 1e-6);
    }
  }
}

// Neither tiles, overlap, batch, shifts nor normalisation change what a model that treats all samples alike gives.
TEST_F(SeparateTest, TilingLeavesNoTrace) {
  const std::vector<float> mix = Tone(8000 * 4 + 123, 2, 8000);
  for (const bool normalise : {false, true}) {
    for (int variant = 0; variant < 6; ++variant) {
      SeparateOptions options = Options();
      if (variant == 1) options.segment = 0.2;
      if (variant == 2) options.overlap = 0.7;
      if (variant == 3) options.batch = 3;
      if (variant == 4) options.shifts = 3;
      if (variant == 5) options.transition_power = 4;
      auto model = Single(std::make_shared<Factors>(std::vector<std::string>{"a"}, std::vector{0.5f}, normalise));
      auto separator = Separator::Create(std::move(model), options, pool_, stats_);
      ASSERT_TRUE(separator) << separator.error().message;
      const auto results = (*separator)->SeparateSamples(mix, 2, observer_);
      ASSERT_TRUE(results) << results.error().message;
      // The mean is given back whole, so that what the model halves is the rest; a tone's is next to nothing.
      EXPECT_LT(MaxDifference((*results)[0], mix, 0.5f), normalise ? 1e-4 : 1e-6) << variant;
    }
  }
}

TEST_F(SeparateTest, ShiftsAreThoseOfTheSeed) {
  // Tiles are counted: with a shift of almost nothing or of half a second they differ.
  const std::vector<float> mix = Tone(8000 * 2, 2, 8000);
  const auto tiles = [&](uint64_t seed) {
    auto model = std::make_shared<Factors>(std::vector<std::string>{"a"}, std::vector{1.0f});
    SeparateOptions options = Options();
    options.shifts = 5;
    options.seed = seed;
    options.segment = 0.05;
    auto separator = Separator::Create(Single(model), options, pool_, stats_);
    EXPECT_TRUE(separator);
    EXPECT_TRUE((*separator)->SeparateSamples(mix, 2, observer_));
    return model->tiles.load();
  };
  EXPECT_EQ(tiles(1), tiles(1));
  bool differ = false;
  for (uint64_t seed = 2; seed < 6; ++seed) differ |= tiles(seed) != tiles(1);
  EXPECT_TRUE(differ);
}

TEST_F(SeparateTest, ABagIsTheWeightedMeanOfItsMembers) {
  const std::vector<std::string> stems{"a", "b"};
  const std::vector<float> mix = Tone(9000, 2, 8000);
  const auto first = std::make_shared<Factors>(stems, std::vector{1.0f, 2.0f});
  const auto second = std::make_shared<Factors>(stems, std::vector{5.0f, 7.0f});
  const auto factor_of = [&](const std::vector<std::vector<float>>& weights, const SeparateOptions& options,
                             size_t output) {
    auto separator = Separator::Create(Bag({first, second}, weights), options, pool_, stats_);
    EXPECT_TRUE(separator);
    const auto results = (*separator)->SeparateSamples(mix, 2, observer_);
    EXPECT_TRUE(results);
    return (*results)[output][4001] / mix[4001];
  };
  EXPECT_NEAR(factor_of({{1, 1}, {1, 1}}, Options(), 0), 3, 1e-5);
  EXPECT_NEAR(factor_of({{3, 1}, {1, 0}}, Options(), 0), 2, 1e-5);
  EXPECT_NEAR(factor_of({{3, 1}, {1, 0}}, Options(), 1), 2, 1e-5);
  // Each member for one stem: only those that are needed run.
  first->tiles = second->tiles = 0;
  SeparateOptions only_b = Options();
  only_b.stems = {"b"};
  EXPECT_NEAR(factor_of({{1, 0}, {0, 1}}, only_b, 0), 7, 1e-5);
  EXPECT_EQ(first->tiles, 0);
  EXPECT_GT(second->tiles, 0);
}

TEST_F(SeparateTest, TwoStemsAreOneAndTheSumOfTheOthers) {
  const std::vector<float> mix = Tone(9000, 2, 8000);
  SeparateOptions options = Options();
  options.two_stems = "b";
  auto model =
      Single(std::make_shared<Factors>(std::vector<std::string>{"a", "b", "c"}, std::vector{1.0f, 2.0f, 4.0f}));
  auto separator = Separator::Create(std::move(model), options, pool_, stats_);
  ASSERT_TRUE(separator) << separator.error().message;
  EXPECT_EQ((*separator)->output_names(), (std::vector<std::string>{"b", "no_b"}));
  const auto results = (*separator)->SeparateSamples(mix, 2, observer_);
  ASSERT_TRUE(results) << results.error().message;
  EXPECT_LT(MaxDifference((*results)[0], mix, 2), 1e-5);
  EXPECT_LT(MaxDifference((*results)[1], mix, 5), 1e-5);
}

TEST_F(SeparateTest, RefusesWhatMakesNoSense) {
  SeparateOptions options = Options();
  options.stems = {"vocal"};
  const Error stem = CreateError(
      Single(std::make_shared<Factors>(std::vector<std::string>{"vocals", "b"}, std::vector{1.0f, 1.0f})), options);
  EXPECT_EQ(stem.code, ErrorCode::kNotFound);
  EXPECT_NE(stem.message.find("'vocals'"), std::string::npos) << stem.message;

  options = Options();
  options.segment = 5;
  EXPECT_EQ(CreateError(TwoStems(), options).code, ErrorCode::kInvalidArgument);
  options = Options();
  options.overlap = 1;
  EXPECT_EQ(CreateError(TwoStems(), options).code, ErrorCode::kInvalidArgument);
  options = Options();
  options.stems = {"a"};
  options.two_stems = "a";
  EXPECT_EQ(CreateError(TwoStems(), options).code, ErrorCode::kInvalidArgument);
  // A checkpoint's stems become names of files.
  for (const std::string bad : {"", "../a", "a/b", "x\n", ".."}) {
    EXPECT_EQ(CreateError(Single(std::make_shared<Factors>(std::vector{bad}, std::vector{1.0f})), Options()).code,
              ErrorCode::kCorrupt);
  }

  const std::string input = WriteInput(Tone(100, 2, 8000), 8000, 2);
  options = Options();
  options.name = "{track}.{ext}";
  EXPECT_FALSE(Separate(TwoStems(), options, input));
  options.name = "{trak}/{stem}";
  const auto unknown = Separate(TwoStems(), options, input);
  ASSERT_FALSE(unknown);
  EXPECT_NE(unknown.error().message.find("{track}"), std::string::npos) << unknown.error().message;
  // Over the input itself.
  fs::rename(input, folder_ / "a.wav");
  options.name = "{stem}.{ext}";
  options.output_dir = folder_;
  EXPECT_FALSE(Separate(TwoStems(), options, folder_ / "a.wav"));
}

TEST_F(SeparateTest, PathsFollowTheTemplate) {
  SeparateOptions options;
  options.output_dir = "o";
  const auto path = OutputPath(options, "m", "/x/a song.v2.mp3", "bass");
  ASSERT_TRUE(path);
  EXPECT_EQ(*path, "o/m/a song.v2/bass.wav");
  options.format = "flac";
  options.name = "{stem}-{track}";
  EXPECT_EQ(OutputPath(options, "m", "a.mp3", "bass").value_or(""), "o/bass-a");
  options.name = "{model}/{folder}/{track}/{stem}.{ext}";
  EXPECT_EQ(OutputPath(options, "m", {"/x/1/2/a.mp3", "1/2"}, "bass").value_or(""), "o/m/1/2/a/bass.flac");
  EXPECT_EQ(OutputPath(options, "m", "/x/1/2/a.mp3", "bass").value_or(""), "o/m/a/bass.flac");
}

TEST_F(SeparateTest, PathsStayInTheFolderAndAreNamesOfFiles) {
  SeparateOptions options;
  for (const char* name : {"../x", "a/../../x", "/tmp/x", "{track}/..", "..", "{folder}/../{stem}"}) {
    options.name = name;
    const auto path = OutputPath(options, "m", {"a.wav", "b"}, "bass");
    ASSERT_FALSE(path) << name;
    EXPECT_EQ(path.error().code, ErrorCode::kInvalidArgument);
    EXPECT_NE(path.error().message.find("leaves the output folder"), std::string::npos) << path.error().message;
  }
  options.name = "{track}.{ext}";
  EXPECT_TRUE(OutputPath(options, "m", std::string(251, 'x') + ".wav", "bass"));
  const auto longer = OutputPath(options, "m", std::string(252, 'x') + ".wav", "bass");
  ASSERT_FALSE(longer);
  EXPECT_NE(longer.error().message.find("too long"), std::string::npos) << longer.error().message;
}

TEST_F(SeparateTest, AStemThatIsNamedTwiceSaysSo) {
  const auto twice = Single(std::make_shared<Factors>(std::vector<std::string>{"a", "a"}, std::vector{1.0f, 2.0f}));
  const auto made = Separator::Create(twice, Options(), pool_, stats_);
  ASSERT_FALSE(made);
  EXPECT_NE(made.error().message.find("'a' twice"), std::string::npos) << made.error().message;
}

// Whatever step of the file system fails: the stems of the last run are all there, and nothing else is.
TEST_F(SeparateTest, AFaultOfTheFileSystemLeavesTheOldStems) {
  const std::string input = WriteInput(Tone(8000, 2, 8000), 8000, 2);
  SeparateOptions options = Options();
  options.name = "{stem}/{stem}.{ext}";
  const auto all = [&] {
    std::map<std::string, std::string> found;
    for (const auto& entry : fs::recursive_directory_iterator(folder_ / "out")) {
      found[entry.path()] = "a folder";
      if (entry.is_directory()) continue;
      std::ifstream file(entry.path());
      found[entry.path()] = {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    }
    return found;
  };
  for (const char* before : {"a", "ab", ""}) {
    fs::remove_all(folder_ / "out");
    for (const char* stem = before; *stem != 0; ++stem) {
      fs::create_directories(folder_ / "out" / std::string(1, *stem));
      std::ofstream(folder_ / "out" / std::string(1, *stem) / (std::string(1, *stem) + ".wav")) << "old";
    }
    if (*before == 0) fs::create_directories(folder_ / "out");
    const auto old = all();
    auto separator = Separator::Create(TwoStems(), options, pool_, stats_);
    ASSERT_TRUE(separator) << separator.error().message;
    int nth = 0;
    for (;; ++nth) {
      int count = 0;
      SetFileFault([&](FileStep, const std::string&) { return count++ == nth ? ENOSPC : 0; });
      const auto report = (*separator)->Separate(input, observer_);
      SetFileFault({});
      if (count <= nth) break;
      ASSERT_FALSE(report) << nth;
      EXPECT_EQ(report.error().code, ErrorCode::kIo);
      EXPECT_NE(report.error().message.find("No space left"), std::string::npos) << report.error().message;
      EXPECT_EQ(all(), old) << "step " << nth;
    }
    EXPECT_GT(nth, 12);
  }
}

TEST_F(SeparateTest, TagsAreCopiedWithTheStemsName) {
  const std::string input = (folder_ / "tagged.flac").string();
  WriteOptions tagged{.format = FileFormat::kFlac};
  tagged.tags.text = {{"title", "Song"}, {"artist", "Somebody"}};
  const std::vector<float> x = Tone(3000, 2, 8000);
  auto writer = AudioWriter::Create(input, tagged, 8000, 2);
  ASSERT_TRUE(writer && (*writer)->Write(x.data(), 3000) && (*writer)->Finish());
  SeparateOptions options = Options();
  for (const bool tags : {true, false}) {
    options.tags = tags;
    const auto report = Separate(TwoStems(), options, input);
    ASSERT_TRUE(report) << report.error().message;
    const auto reader = AudioReader::Open(report->outputs[1].path);
    ASSERT_TRUE(reader);
    const std::vector<std::pair<std::string, std::string>> want = {{"title", "Song (b)"}, {"artist", "Somebody"}};
    EXPECT_EQ((*reader)->info().tags.text, tags ? want : decltype(want)());
  }
}

TEST_F(SeparateTest, SkipsOnlyWhatIsWhole) {
  const std::string input = WriteInput(Tone(3000, 2, 8000), 8000, 2);
  SeparateOptions options = Options();
  options.skip_existing = true;
  const auto first = Separate(TwoStems(), options, input);
  ASSERT_TRUE(first);
  const std::string stem = first->outputs[1].path;
  for (const uintmax_t size : {uintmax_t{0}, uintmax_t{44}, fs::file_size(stem) - 8}) {
    fs::resize_file(stem, size);
    EXPECT_FALSE(Separate(TwoStems(), options, input)->skipped) << size;
    EXPECT_TRUE(Separate(TwoStems(), options, input)->skipped) << size;
  }
  // A track that has changed since.
  fs::last_write_time(input, fs::last_write_time(stem) + std::chrono::seconds(5));
  EXPECT_FALSE(Separate(TwoStems(), options, input)->skipped);
}

TEST_F(SeparateTest, SkipsWhatExists) {
  const std::string input = WriteInput(Tone(100, 2, 8000), 8000, 2);
  SeparateOptions options = Options();
  options.skip_existing = true;
  const auto first = Separate(TwoStems(), options, input);
  ASSERT_TRUE(first) << first.error().message;
  EXPECT_FALSE(first->skipped);
  const auto second = Separate(TwoStems(), options, input);
  ASSERT_TRUE(second) << second.error().message;
  EXPECT_TRUE(second->skipped);
  fs::remove(first->outputs[1].path);
  const auto third = Separate(TwoStems(), options, input);
  ASSERT_TRUE(third) << third.error().message;
  EXPECT_FALSE(third->skipped);
  EXPECT_TRUE(fs::exists(first->outputs[1].path));
}

class CancelAfter : public Observer {
 public:
  explicit CancelAfter(int calls) : left_(calls) {}
  bool Cancelled() override { return left_-- <= 0; }

 private:
  int left_;
};

// Wherever it is stopped, neither files nor folders stay.
TEST_F(SeparateTest, CancellationLeavesNothing) {
  const std::string input = WriteInput(Tone(8000 * 5, 2, 8000), 8000, 2);
  auto separator = Separator::Create(TwoStems(), Options(), pool_, stats_);
  ASSERT_TRUE(separator) << separator.error().message;
  int calls = 0;
  for (;; ++calls) {
    CancelAfter observer(calls);
    const auto report = (*separator)->Separate(input, observer);
    if (report) break;
    EXPECT_EQ(report.error().code, ErrorCode::kCancelled);
    EXPECT_FALSE(fs::exists(folder_ / "out")) << calls;
    ASSERT_LT(calls, 10'000);
  }
  EXPECT_GT(calls, 10);
  EXPECT_TRUE(fs::exists(folder_ / "out/fake/mix/a.wav"));
}

TEST_F(SeparateTest, FailuresLeaveNothing) {
  const float nan = std::nanf("");
  const auto broken = [&] {
    return Single(std::make_shared<Factors>(std::vector<std::string>{"a"}, std::vector{nan}));
  };
  const std::string input = WriteInput(Tone(8000, 2, 8000), 8000, 2);
  const auto not_finite = Separate(broken(), Options(), input);
  ASSERT_FALSE(not_finite);
  EXPECT_EQ(not_finite.error().code, ErrorCode::kKernelFailed);
  EXPECT_FALSE(fs::exists(folder_ / "out"));

  const std::string text = folder_ / "text.wav";
  std::ofstream(text) << "no audio at all";
  EXPECT_FALSE(Separate(TwoStems(), Options(), text));
  EXPECT_FALSE(Separate(TwoStems(), Options(), folder_ / "missing.wav"));
  EXPECT_FALSE(fs::exists(folder_ / "out"));
  // Where the output's folder is a file.
  SeparateOptions options = Options();
  options.output_dir = text;
  EXPECT_FALSE(Separate(TwoStems(), options, input));
}

TEST_F(SeparateTest, SilenceStaysSilence) {
  const std::string input = WriteInput(std::vector<float>(20000, 0.0f), 8000, 2);
  const auto report = Separate(
      Single(std::make_shared<Factors>(std::vector<std::string>{"a"}, std::vector{1.0f}, true)), Options(), input);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->outputs[0].peak, 0);
}

TEST_F(SeparateTest, HpssStemsSumToTheMixWhateverTheTile) {
  std::vector<float> mix = Tone(44100 * 3, 2, 44100);
  for (size_t i = 0; i < mix.size(); i += 11025) mix[i] += 0.9f;  // clicks
  std::vector<std::vector<float>> first;
  for (const double segment : {0.0, 0.5, 1.3}) {
    SeparateOptions options = Options();
    options.segment = segment;
    LoadedModel model = Single(MakeHpss());
    auto separator = Separator::Create(std::move(model), options, pool_, stats_);
    ASSERT_TRUE(separator) << separator.error().message;
    auto results = (*separator)->SeparateSamples(mix, 2, observer_);
    ASSERT_TRUE(results) << results.error().message;
    ASSERT_EQ(results->size(), 2u);
    std::vector<float> sum = (*results)[0];
    for (size_t i = 0; i < sum.size(); ++i) sum[i] += (*results)[1][i];
    EXPECT_LT(MaxDifference(sum, mix, 1), 2e-6);
    if (first.empty()) first = *results;
    EXPECT_LT(MaxDifference((*results)[0], first[0], 1), 1e-6) << segment;
  }
  // The tone is harmonic, the clicks are not.
  double tone = 0, rest = 0, click = 0;
  for (size_t i = 44100; i < mix.size() - 44100; ++i) {
    tone += first[0][i] * first[0][i];
    rest += first[1][i] * first[1][i];
  }
  for (size_t i = 44100; i < mix.size() - 44100; ++i) {
    if (i % 11025 == 0) click += std::abs(first[1][i]) - std::abs(first[0][i]);
  }
  EXPECT_GT(tone, 20 * rest);
  EXPECT_GT(click, 0);
}

}  // namespace
}  // namespace timbre
