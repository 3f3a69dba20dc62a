// A tiny song whatever fails on the way: kernels, devices, the file system, weights that are no numbers.
#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <functional>
#include <limits>

#include "audio/decode.h"
#include "base/file_faults.h"
#include "formats/formula_weights.h"
#include "models/released_networks.h"
#include "pipelines/song/song.h"
#include "tests/e2e/program.h"
#include "tests/parity/song_support.h"
#include "tests/support/fault_sweep.h"
#include "tests/vulkan/usable_device.h"

namespace timbre {
namespace {

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

// A song of two blocks, of which nothing is there where it failed.
class SmallSong {
 public:
  explicit SmallSong(std::string device) : device_(std::move(device)) {}

  Result<std::vector<float>> operator()(FaultInjector& faults, bool strict, Stats& stats) {
    SongOptions options;
    options.tokens = options.style = testing::SongCase("song-tiny.safetensors");
    options.seconds = 1.4;
    options.steps = 3;
    options.sample_format = "f32";
    options.output = (folder_ / "song.wav").string();
    options.session.device = device_;
    options.session.faults = &faults;
    options.session.strict = strict;
    Observer observer;
    SongReport report;
    const Status made = MakeSong(model_, options, pool_, stats, observer, report);
    EXPECT_EQ(testing::FilesIn(folder_.path()).size(), made ? 1u : 0u);
    TIMBRE_CHECK(made);
    TIMBRE_TRY(AudioBuffer audio, ReadAudioFile(options.output, 1 << 20));
    std::filesystem::remove(options.output);
    return std::move(audio.samples);
  }

 private:
  const std::string device_;
  const testing::TempFolder folder_;
  const SongModel model_ = TinyModel();
  ThreadPool pool_{2};
};

TEST(SongFaults, ASongIsTheSameWhateverFails) {
  SmallSong song("cpu");
  testing::FaultSweep sweep("cpu", std::ref(song));
  sweep.FailEach(FaultPoint::kKernel, 12);
  sweep.FailEach(FaultPoint::kPack, 6);
  sweep.FailEach(FaultPoint::kAllocation, 6);
}

// The keys and values of finished blocks are on the host as well, so that a device may go at any step. The sampler and
// the decoder each say that it went.
TEST(SongFaults, ASongIsTheSameWhateverADeviceDoes) {
  TIMBRE_NEED_VULKAN();
  SmallSong song(UsableDeviceName());
  testing::FaultSweep sweep(UsableDeviceName(), std::ref(song), 2);
  // A run takes a software driver a second.
  sweep.FailEach(FaultPoint::kDevice, 12);
  sweep.FailEach(FaultPoint::kAllocation, 1);
  sweep.FailEach(FaultPoint::kKernel, 1);
  for (const FaultPoint point : {FaultPoint::kPipeline, FaultPoint::kSubmit, FaultPoint::kWait, FaultPoint::kMemory}) {
    sweep.FailEach(point, 3);
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
