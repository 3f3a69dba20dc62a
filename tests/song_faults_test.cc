// A tiny song with something failing at each point in turn: it is the same song all the same, and the step is recorded.
// Points are counted in the thousands: by default the first, the last and some between; TIMBRE_SWEEP=full visits each.
#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <limits>
#include <set>

#include "audio/decode.h"
#include "base/file_faults.h"
#include "formats/formula_weights.h"
#include "models/released_networks.h"
#include "pipelines/song/song.h"
#include "runtime/session/faults.h"
#include "tests/e2e/program.h"
#include "tests/parity/song_support.h"
#include "tests/vulkan/usable_device.h"

namespace timbre {
namespace {

constexpr double kFloorDb = 90;

// The reference cases' transformer, and a decoder of a few channels.
SongModel TinyModel() {
  SongModel model;
  const auto file = ReadSafetensors(testing::SongCase("song-tiny.safetensors"));
  const auto weights = ReadFormulaWeights(testing::SongCase("tiny.weights.json"));
  EXPECT_TRUE(file && weights);
  model.dit = ParseDitConfig(file->metadata.at("config")).value();
  model.dit_weights = *weights;
  model.decoder.in_channels = model.dit.mel_dim;
  model.decoder.upsample_initial_channel = 8;
  model.decoder.upsample_rates = {4, 2};
  model.decoder.upsample_kernel_sizes = {8, 4};
  model.decoder.resblock_kernel_sizes = {3};
  model.decoder.resblock_dilation_sizes = {{1, 3}};
  const auto decoder = RandomTensors(
      1, false, [&](Weights& random) { return BuildBigvgan(model.decoder, random, 20).map([](const Graph&) {}); });
  EXPECT_TRUE(decoder);
  model.decoder_weights = std::make_shared<const TensorMap>(*decoder);
  return model;
}

class Sweep {
 public:
  explicit Sweep(std::string device) : device_(std::move(device)) {}

  Status Run(FaultInjector* faults, bool strict, Stats& stats, std::vector<float>* samples) {
    SongOptions options;
    options.tokens = options.style = testing::SongCase("song-tiny.safetensors");
    options.seconds = 1.4;  // two blocks
    options.steps = 3;
    options.sample_format = "f32";
    options.output = (folder_ / "song.wav").string();
    options.session.device = device_;
    options.session.faults = faults;
    options.session.strict = strict;
    Observer observer;
    SongReport report;
    TIMBRE_CHECK(MakeSong(model_, options, pool_, stats, observer, report));
    TIMBRE_TRY(const AudioBuffer audio, ReadAudioFile(options.output, 1 << 20));
    *samples = audio.samples;
    std::filesystem::remove(options.output);
    return {};
  }

  void FailEach(FaultPoint point, int64_t most) {
    if (healthy_.empty()) {
      Stats stats;
      const Status ran = Run(&counter_, true, stats, &healthy_);
      ASSERT_TRUE(ran) << ran.error().message;
    }
    const int64_t count = counter_.passes(point);
    ASSERT_GT(count, 0) << NameOf(point);
    if (full_) most = count;
    std::set<int64_t> chosen;
    for (int64_t i = 0; i < most; ++i) chosen.insert(most > 1 ? i * (count - 1) / (most - 1) : count / 2);
    for (const int64_t n : chosen) Fail(point, n);
    std::printf("  %-10s %4zu of %5ld points failed in turn\n", std::string(NameOf(point)).c_str(), chosen.size(),
                static_cast<long>(count));
  }

 private:
  void Fail(FaultPoint point, int64_t n) {
    const std::string label = std::string(NameOf(point)) + ":" + std::to_string(n);
    FaultInjector injector;
    injector.FailAt(point, n);
    Stats stats;
    std::vector<float> samples;
    const Status ran = Run(&injector, false, stats, &samples);
    ASSERT_TRUE(ran) << label << ": " << ran.error().message;
    EXPECT_GE(testing::RatioDb(healthy_, samples), kFloorDb) << label;
    // A device that goes takes the sampler and the decoder with it, each of which says so.
    EXPECT_GE(stats.steps().size(), 1u) << label;
    EXPECT_TRUE(device_ != "cpu" || stats.steps().size() == 1) << label;

    if (device_ != "cpu" && !full_) return;
    FaultInjector again;
    again.FailAt(point, n);
    Stats none;
    const Status refused = Run(&again, true, none, &samples);
    ASSERT_FALSE(refused) << label;
    EXPECT_FALSE(refused.error().message.empty());
    EXPECT_TRUE(testing::FilesIn(folder_.path()).empty()) << label << " left a file";
  }

  static bool IsFull() {
    const char* wish = std::getenv("TIMBRE_SWEEP");
    return wish != nullptr && std::string_view(wish) == "full";
  }

  const std::string device_;
  const bool full_ = IsFull();
  const testing::TempFolder folder_;
  const SongModel model_ = TinyModel();
  ThreadPool pool_{2};
  FaultInjector counter_;
  std::vector<float> healthy_;
};

TEST(SongFaults, ASongIsTheSameWhateverFails) {
  Sweep sweep("cpu");
  sweep.FailEach(FaultPoint::kKernel, 12);
  sweep.FailEach(FaultPoint::kPack, 6);
  sweep.FailEach(FaultPoint::kAllocation, 6);
}

// The keys and values of finished blocks are on the host as well, so that a device may go at any step.
TEST(SongFaults, ASongIsTheSameWhateverADeviceDoes) {
  TIMBRE_NEED_VULKAN();
  Sweep sweep(UsableDeviceName());
  // A run takes a software driver a second.
  sweep.FailEach(FaultPoint::kDevice, 2);
  sweep.FailEach(FaultPoint::kAllocation, 1);
  sweep.FailEach(FaultPoint::kKernel, 1);
  for (const FaultPoint point : {FaultPoint::kPipeline, FaultPoint::kSubmit, FaultPoint::kWait, FaultPoint::kMemory}) {
    sweep.FailEach(point, 0);
  }
}

// Whatever fails on the way to the song and its latents, neither is there, or both are.
TEST(SongFaults, SongAndLatentsAppearTogether) {
  const testing::TempFolder folder;
  const SongModel model = TinyModel();
  SongOptions options;
  options.tokens = options.style = testing::SongCase("song-tiny.safetensors");
  options.seconds = 1;
  options.steps = 2;
  options.output = (folder / "song.flac").string();
  options.latents = (folder / "latents.safetensors").string();
  options.session.device = "cpu";
  ThreadPool pool(1);
  bool whole = false;
  int failed = 0;
  for (int nth = 0; !whole && nth < 100; ++nth) {
    std::atomic<int> count = 0;
    SetFileFault([&](FileStep, const std::string&) { return count++ == nth ? ENOSPC : 0; });
    Stats stats;
    Observer observer;
    SongReport report;
    const Status made = MakeSong(model, options, pool, stats, observer, report);
    SetFileFault({});
    whole = count <= nth;
    ASSERT_TRUE(made || !whole) << made.error().message;
    if (!made) ++failed;
    EXPECT_EQ(testing::FilesIn(folder.path()).size(), made ? 2u : 0u) << "step " << nth;
    std::filesystem::remove(options.output);
    std::filesystem::remove(options.latents);
  }
  EXPECT_TRUE(whole);
  EXPECT_GT(failed, 3);
}

// Weights that hold what is no number give an error, and no file.
TEST(SongFaults, NoNumberIsNoSong) {
  const testing::TempFolder folder;
  for (const bool in_decoder : {false, true}) {
    SongModel model = TinyModel();
    auto& weights = in_decoder ? model.decoder_weights : model.dit_weights;
    TensorMap broken = *weights;
    HostTensor& tensor = broken.at(in_decoder ? "conv_post.weight_g" : "transformer.proj_out.bias");
    tensor = HostTensor::FromF32(tensor.shape, std::vector<float>(static_cast<size_t>(tensor.shape.elements()),
                                                                  std::numeric_limits<float>::quiet_NaN()));
    weights = std::make_shared<const TensorMap>(std::move(broken));
    SongOptions options;
    options.tokens = options.style = testing::SongCase("song-tiny.safetensors");
    options.seconds = 1;
    options.steps = 2;
    options.output = (folder / "song.wav").string();
    options.session.device = "cpu";
    ThreadPool pool(1);
    Stats stats;
    Observer observer;
    SongReport report;
    const Status made = MakeSong(model, options, pool, stats, observer, report);
    ASSERT_FALSE(made);
    EXPECT_NE(made.error().message.find("not a number"), std::string::npos) << made.error().message;
    EXPECT_TRUE(testing::FilesIn(folder.path()).empty());
  }
}

}  // namespace
}  // namespace timbre
