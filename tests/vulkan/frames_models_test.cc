// HunyuanVideo's autoencoder on a Vulkan device, held against the reference as on the CPU.
#include <gtest/gtest.h>

#include "pipelines/frames/frame_network.h"
#include "tests/parity/frames_support.h"
#include "tests/vulkan/usable_device.h"

namespace timbre {
namespace {

using testing::RatioDb;
using testing::VaeCase;
using testing::VolumeOf;

constexpr double kFloorDb = 90;

Result<Volume> OnTheDevice(const FramesModel& model, FramesHalf half, const Volume& tile) {
  ThreadPool pool;
  FrameNetwork network(model, half, {.device = UsableDeviceName(), .strict = true}, pool, nullptr);
  return network.Run(tile);
}

TEST(VulkanFrames, DecodesLatents) {
  TIMBRE_NEED_VULKAN();
  const std::string path = VaeCase("vae-tiny.framewise.safetensors");
  TIMBRE_NEED_SHARED(path);
  const auto file = ReadSafetensors(path);
  ASSERT_TRUE(file);
  const FramesModel model = testing::FormulaFramesModel(*file, FramesHalf::kDecoder);
  // The first stretch of time, of which nothing is blended with another before its fourteenth frame.
  const auto frames = OnTheDevice(model, FramesHalf::kDecoder, VolumeOf(*file, "latents").Frames(0, 5));
  ASSERT_TRUE(frames) << frames.error().message;
  EXPECT_GE(RatioDb(VolumeOf(*file, "out").Frames(0, 13).values, frames->Frames(0, 13).values), kFloorDb);
}

TEST(VulkanFrames, EncodesAPicture) {
  TIMBRE_NEED_VULKAN();
  const auto file = ReadSafetensors(VaeCase("vae-tiny-encode.safetensors"));
  ASSERT_TRUE(file);
  const FramesModel model = testing::FormulaFramesModel(*file, FramesHalf::kEncoder);
  const auto moments = OnTheDevice(model, FramesHalf::kEncoder, VolumeOf(*file, "image"));
  ASSERT_TRUE(moments) << moments.error().message;
  EXPECT_GE(RatioDb(VolumeOf(*file, "image.moments").values, moments->values), kFloorDb);
}

}  // namespace
}  // namespace timbre
