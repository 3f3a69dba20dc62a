// Frames decoded piece by piece in bands: the same as at once, within a memory that is given.
#include <gtest/gtest.h>

#include <cerrno>
#include <limits>
#include <utility>

#include "base/file_faults.h"
#include "pipelines/frames/frame_network.h"
#include "pipelines/frames/frame_plan.h"
#include "tests/e2e/program.h"
#include "tests/parity/frames_support.h"

namespace timbre {
namespace {

constexpr double kFloorDb = 110;

// A clip of nine latents, and what the reference makes of it whole.
struct WholeClip {
  WholeClip() {
    const auto file = ReadSafetensors(testing::VaeCase("vae-tiny.framewise.safetensors"));
    EXPECT_TRUE(file);
    model = testing::FormulaFramesModel(*file, FramesHalf::kDecoder);
    latents = testing::VolumeOf(*file, "latents");
    wanted = testing::VolumeOf(*file, "whole").values;
  }
  LatentShape shape() const { return {latents.frames, latents.height, latents.width}; }

  FramesModel model;
  Volume latents;
  std::vector<float> wanted;
  ThreadPool pool{2};
};

TEST(FramesBands, GiveTheSameBitsHoweverTheyAreCut) {
  WholeClip clip;
  const testing::TempFolder folder;
  BandLimits limits{.folder = folder.path().string()};
  limits.band_bytes = std::numeric_limits<int64_t>::max();  // all frames of a piece at once
  FrameBands unbanded(clip.model, {.device = "cpu"}, clip.pool, nullptr, limits);
  const auto once = unbanded.Run(clip.latents);
  ASSERT_TRUE(once) << once.error().message;
  EXPECT_GE(testing::RatioDb(clip.wanted, once->values), kFloorDb);

  // Of so many bytes; of one frame each; and of as many, with half of all that is kept in files.
  for (const auto& [band_bytes, in_files] : {std::pair(200'000, false), std::pair(1, false), std::pair(1, true)}) {
    limits.band_bytes = band_bytes;
    const auto plan = PlanBands(clip.model, clip.shape(), limits);
    ASSERT_TRUE(plan) << plan.error().message;
    EXPECT_EQ(plan->in_files(limits), 0);
    if (in_files) limits.memory = plan->working + plan->frames / 2;
    FrameBands bands(clip.model, {.device = "cpu"}, clip.pool, nullptr, limits);
    const auto frames = bands.Run(clip.latents);
    ASSERT_TRUE(frames) << frames.error().message;
    EXPECT_TRUE(frames->values == once->values) << band_bytes << " bytes a band";
    EXPECT_EQ(bands.in_files() > 0, in_files);
  }
  EXPECT_TRUE(testing::FilesIn(folder.path()).empty());
}

// A clip of one latent has no past, and one of two none that reaches far.
TEST(FramesBands, AreRightForShortClips) {
  WholeClip clip;
  for (const int64_t frames : {1, 2}) {
    const Volume latents = clip.latents.Frames(0, frames);
    FrameNetwork network(clip.model, FramesHalf::kDecoder, {.device = "cpu"}, clip.pool, nullptr);
    FrameBands bands(clip.model, {.device = "cpu"}, clip.pool, nullptr, {.band_bytes = 1});
    const auto wanted = network.Run(latents), made = bands.Run(latents);
    ASSERT_TRUE(wanted && made);
    EXPECT_GE(testing::RatioDb(wanted->values, made->values), kFloorDb) << frames;
  }
}

// Where a tile at once has no room, the clip is made all the same, and the step is counted.
TEST(FramesBands, FollowOnATileThatHasNoRoom) {
  WholeClip clip;
  FaultInjector faults;
  ASSERT_TRUE(FaultInjector::Parse("reserve:0,reserve:0", faults));  // the session asks twice
  Stats stats;
  FrameNetwork network(clip.model, FramesHalf::kDecoder, {.device = "cpu", .faults = &faults}, clip.pool, &stats);
  const auto frames = network.Run(clip.latents);
  ASSERT_TRUE(frames) << frames.error().message;
  EXPECT_GE(testing::RatioDb(clip.wanted, frames->values), kFloorDb);
  EXPECT_EQ(network.tiles_in_bands(), 1);
  EXPECT_FALSE(network.device().empty());
  int64_t counted = 0;
  for (const StepDown& step : stats.steps()) counted += step.to == "bands of frames" ? step.count : 0;
  EXPECT_EQ(counted, 1);
}

TEST(FramesBands, SayWhenAFileCantBeWritten) {
  WholeClip clip;
  const testing::TempFolder folder;
  BandLimits limits{.folder = folder.path().string(), .band_bytes = 1};
  const auto plan = PlanBands(clip.model, clip.shape(), limits);
  ASSERT_TRUE(plan);
  limits.memory = plan->working;
  FrameBands bands(clip.model, {.device = "cpu"}, clip.pool, nullptr, limits);
  SetFileFault([](FileStep step, const std::string&) { return step == FileStep::kWrite ? ENOSPC : 0; });
  const auto frames = bands.Run(clip.latents);
  SetFileFault({});
  ASSERT_FALSE(frames);
  EXPECT_EQ(frames.error().code, ErrorCode::kIo);
  EXPECT_NE(frames.error().message.find(folder.path().string()), std::string::npos) << frames.error().message;

  limits.memory = plan->working - 1;
  const auto refused = FrameBands(clip.model, {.device = "cpu"}, clip.pool, nullptr, limits).Run(clip.latents);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kOutOfMemory);
}

// Whatever a network asks for: its names and shapes are all that a plan looks at.
class AnyWeights final : public Weights {
 public:
  Result<HostTensor> Get(const std::string& name, const Shape& shape) override {
    const HostTensor tensor = HostTensor::Made(shape, [](float*) {});
    all.emplace(name, tensor);
    return tensor;
  }
  bool Has(const std::string&) const override { return true; }
  Status CheckAllUsed() const override { return {}; }
  void Ignore(const std::string&) override {}

  TensorMap all;
};

// FramePack's section at the released shape, whose widest layer alone is 13 GB.
TEST(FramesBands, OfAWholeSectionArePlannedWithinEightGibibytes) {
  AnyWeights weights;
  FramesModel model{.name = "released"};
  ASSERT_TRUE(BuildHunyuanDecoder(model.config, weights, {1, 4, 4}));
  model.weights = std::make_shared<const TensorMap>(weights.all);
  const BandLimits limits{.memory = int64_t{8} << 30};
  const auto plan = PlanFrames(model, FramesHalf::kDecoder, {{{9, 80, 76}, 1}}, limits);
  ASSERT_TRUE(plan) << plan.error().message;
  ASSERT_EQ(plan->tiles.size(), 1u);
  EXPECT_TRUE(plan->tiles[0].in_bands);
  EXPECT_LE(plan->bytes(), limits.memory);
  EXPECT_TRUE(CheckMemory(*plan, limits.memory));
  EXPECT_GT(plan->tiles[0].in_files, 0);
}

}  // namespace
}  // namespace timbre
