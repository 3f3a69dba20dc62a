// A small clip whatever fails on the way: kernels, devices, the file system, whoever waits for it.
#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <functional>
#include <limits>

#include "base/file_faults.h"
#include "base/output_set.h"
#include "pipelines/frames/frames.h"
#include "pipelines/frames/latents.h"
#include "tests/e2e/program.h"
#include "tests/parity/frames_support.h"
#include "tests/support/fault_sweep.h"
#include "tests/vulkan/usable_device.h"

namespace timbre {
namespace {

FramesModel TinyModel() {
  const auto file = ReadSafetensors(testing::VaeCase("vae-tiny-tiled-default.safetensors"));
  EXPECT_TRUE(file);
  return testing::FormulaFramesModel(*file, FramesHalf::kDecoder);
}

// A clip of a tile, whose latents alone are there where it failed.
class SmallClip {
 public:
  explicit SmallClip(std::string device) : device_(std::move(device)) {
    Volume latents(2, 3, 2, 16);
    for (size_t i = 0; i < latents.values.size(); ++i) latents.values[i] = FormulaValue(17, i, -1, 2);
    OutputSet outputs;
    EXPECT_TRUE(WriteLatents(latents_.string(), latents, outputs));
    EXPECT_TRUE(outputs.Commit());
  }

  Result<std::vector<float>> operator()(FaultInjector& faults, bool strict, Stats& stats) {
    FramesOptions options;
    options.inputs = {latents_.string()};
    options.output = (folder_ / "out.safetensors").string();
    options.session.device = device_;
    options.session.faults = &faults;
    options.session.strict = strict;
    Observer observer;
    FramesReport report;
    const Status made = DecodeFrames(&model_, options, pool_, stats, observer, report);
    EXPECT_EQ(testing::FilesIn(folder_.path()).size(), made ? 2u : 1u);
    TIMBRE_CHECK(made);
    TIMBRE_TRY(const Safetensors file, ReadSafetensors(options.output));
    std::vector<float> frames = testing::Values(file, "frames");
    std::filesystem::remove(options.output);
    return frames;
  }

 private:
  const std::string device_;
  const testing::TempFolder folder_;
  const std::filesystem::path latents_ = folder_ / "latents.safetensors";
  const FramesModel model_ = TinyModel();
  ThreadPool pool_{2};
};

TEST(FramesFaults, AClipIsTheSameWhateverFails) {
  SmallClip clip("cpu");
  testing::FaultSweep sweep("cpu", std::ref(clip));
  sweep.FailEach(FaultPoint::kKernel, 8);
  sweep.FailEach(FaultPoint::kPack, 4);
  sweep.FailEach(FaultPoint::kAllocation, 4);
  sweep.FailEach(FaultPoint::kReserve, 1);
}

TEST(FramesFaults, AClipIsTheSameWhateverADeviceDoes) {
  TIMBRE_NEED_VULKAN();
  SmallClip clip(UsableDeviceName());
  testing::FaultSweep sweep(UsableDeviceName(), std::ref(clip));
  sweep.FailEach(FaultPoint::kDevice, 1);
  // A driver that has no program for any convolution, or whatever else.
  sweep.FailAll(FaultPoint::kPipeline);
  sweep.FailEach(FaultPoint::kKernel, 1);
  sweep.FailEach(FaultPoint::kAllocation, 1);
  for (const FaultPoint point : {FaultPoint::kPipeline, FaultPoint::kSubmit, FaultPoint::kWait, FaultPoint::kMemory}) {
    sweep.FailEach(point, 0);
  }
}

// Whatever of the file system fails, the clip is there whole or not at all.
TEST(FramesFaults, PicturesAppearTogether) {
  const testing::TempFolder folder;
  const FramesModel model = TinyModel();
  OutputSet outputs;
  FramesOptions options;
  options.inputs = {(folder / "latents.safetensors").string()};
  options.output = (folder / "frame_%d.png").string();
  options.session.device = "cpu";
  ASSERT_TRUE(WriteLatents(options.inputs[0], Volume(2, 1, 1, 16), outputs));
  ASSERT_TRUE(outputs.Commit());
  ThreadPool pool(1);
  bool whole = false;
  int failed = 0;
  for (int nth = 0; !whole && nth < 100; ++nth) {
    std::atomic<int> count = 0;
    SetFileFault([&](FileStep, const std::string&) { return count++ == nth ? ENOSPC : 0; });
    Stats stats;
    Observer observer;
    FramesReport report;
    const Status made = DecodeFrames(&model, options, pool, stats, observer, report);
    SetFileFault({});
    whole = count <= nth;
    ASSERT_TRUE(made || !whole) << made.error().message;
    if (!made) ++failed;
    EXPECT_EQ(testing::FilesIn(folder.path()).size(), made ? 6u : 1u) << "step " << nth;
    for (int i = 0; i < 5; ++i) std::filesystem::remove(folder / ("frame_" + std::to_string(i) + ".png"));
  }
  EXPECT_TRUE(whole);
  EXPECT_GT(failed, 5);
}

// A clip that was ended goes on where its last finished section ends, and is the same to the bit; sections of other
// latents, another precision or another decoder are none of that, nor is a file that is not of a section's shape.
TEST(FramesFaults, AnEndedClipIsResumed) {
  const testing::TempFolder folder;
  FramesModel model = TinyModel();
  FramesOptions options;
  OutputSet outputs;
  for (const char* name : {"a", "b", "c"}) {
    Volume latents(2, 2, 1, 16);
    for (size_t i = 0; i < latents.values.size(); ++i) latents.values[i] = FormulaValue(Fnv1a64(name), i, -1, 2);
    options.inputs.push_back((folder / (std::string(name) + ".safetensors")).string());
    ASSERT_TRUE(WriteLatents(options.inputs.back(), latents, outputs));
  }
  ASSERT_TRUE(outputs.Commit());
  options.append = 2;
  options.session.device = "cpu";
  ThreadPool pool(1);
  Stats stats;
  struct Impatient : Observer {
    void OnProgress(const Progress& progress) override { done = progress.done; }
    bool Cancelled() override { return done >= enough; }
    int64_t done = 0, enough = 1000;
  };
  const auto decode = [&](const std::string& output, int64_t enough, FramesReport& report) {
    options.output = (folder / output).string();
    Impatient observer;
    observer.enough = enough;
    return DecodeFrames(&model, options, pool, stats, observer, report);
  };
  FramesReport whole;
  ASSERT_TRUE(decode("whole.safetensors", 1000, whole));
  const std::string wanted = testing::ReadAll(folder / "whole.safetensors");

  options.resume = true;
  FramesReport ended, resumed;
  EXPECT_FALSE(decode("clip.safetensors", 2, ended));
  EXPECT_FALSE(std::filesystem::exists(folder / "clip.safetensors"));
  EXPECT_TRUE(std::filesystem::exists(folder / "clip.safetensors.section-1"));
  // What is there is no work to come: a dry run says so, and leaves it.
  FramesReport planned;
  options.dry_run = true;
  ASSERT_TRUE(decode("clip.safetensors", 1000, planned));
  options.dry_run = false;
  EXPECT_EQ(planned.resumed, 2);
  ASSERT_EQ(planned.plan->tiles.size(), 1u);
  EXPECT_EQ(planned.plan->tiles[0].count, 1);
  ASSERT_TRUE(decode("clip.safetensors", 1000, resumed));
  EXPECT_EQ(resumed.resumed, 2);
  EXPECT_EQ(resumed.tiles, 1);
  EXPECT_EQ(testing::ReadAll(folder / "clip.safetensors"), wanted);
  EXPECT_EQ(testing::FilesIn(folder.path()).size(), 5u) << "what was kept is gone";

  const std::vector<std::function<void()>> changes = {
      [&] { std::swap(options.inputs[0], options.inputs[1]); }, [&] { options.session.precision = Precision::kF16; },
      [&] {
        TensorMap retrained = *model.weights;
        HostTensor& bias = retrained.at("decoder.mid_block.resnets.0.conv1.conv.bias");
        bias = HostTensor::FromF32(bias.shape, std::vector<float>(bias.shape.elements(), 0.5f));
        model.weights = std::make_shared<const TensorMap>(std::move(retrained));
      },
      [&] {
        const std::string kept = (folder / "other.safetensors.section-0").string();
        const auto file = ReadSafetensors(kept);
        ASSERT_TRUE(file) << file.error().message;
        TensorMap one;
        one.emplace("frames", HostTensor::FromF32({1, 1, 1, 3}, std::vector<float>(3)));
        ASSERT_TRUE(WriteSafetensors(kept, one, file->metadata));
      }};
  for (size_t i = 0; i < changes.size(); ++i) {
    EXPECT_FALSE(decode("other.safetensors", 1, ended));
    EXPECT_TRUE(std::filesystem::exists(folder / "other.safetensors.section-0"));
    changes[i]();
    FramesReport other;
    const Status made = decode("other.safetensors", 1000, other);
    ASSERT_TRUE(made) << i << ": " << made.error().message;
    EXPECT_EQ(other.resumed, 0) << i;
    EXPECT_EQ(other.tiles, 3) << i;
    std::filesystem::remove(folder / "other.safetensors");
  }
}

// An observer that has had enough, and weights that hold what is no number.
TEST(FramesFaults, AnEndedClipLeavesNothing) {
  const testing::TempFolder folder;
  FramesModel model = TinyModel();
  FramesOptions options;
  options.inputs = {(folder / "latents.safetensors").string()};
  options.output = (folder / "clip.mp4").string();
  options.session.device = "cpu";
  OutputSet outputs;
  ASSERT_TRUE(WriteLatents(options.inputs[0], Volume(8, 1, 1, 16), outputs));
  ASSERT_TRUE(outputs.Commit());
  struct Impatient : Observer {
    void OnProgress(const Progress& progress) override { done = progress.done; }
    bool Cancelled() override { return done >= 1; }
    int64_t done = 0;
  } impatient;
  ThreadPool pool(1);
  Stats stats;
  FramesReport report;
  const Status cancelled = DecodeFrames(&model, options, pool, stats, impatient, report);
  ASSERT_FALSE(cancelled);
  EXPECT_EQ(cancelled.error().code, ErrorCode::kCancelled);
  EXPECT_EQ(report.tiles, 1);
  EXPECT_EQ(testing::FilesIn(folder.path()).size(), 1u);

  TensorMap broken = *model.weights;
  HostTensor& bias = broken.at("decoder.conv_out.conv.bias");
  bias = HostTensor::FromF32(bias.shape, std::vector<float>(3, std::numeric_limits<float>::quiet_NaN()));
  model.weights = std::make_shared<const TensorMap>(std::move(broken));
  Observer observer;
  const Status made = DecodeFrames(&model, options, pool, stats, observer, report);
  ASSERT_FALSE(made);
  EXPECT_NE(made.error().message.find("not a number"), std::string::npos) << made.error().message;
  EXPECT_EQ(testing::FilesIn(folder.path()).size(), 1u);
}

}  // namespace
}  // namespace timbre
