// The parts that make a clip of tiles and sections, each by itself.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "graph/passes.h"
#include "models/frames/hunyuan_vae.h"
#include "pipelines/frames/frame_tiles.h"
#include "pipelines/frames/frame_writer.h"
#include "pipelines/frames/latents.h"
#include "pipelines/frames/preview.h"
#include "pipelines/frames/sections.h"
#include "runtime/plan/memory_plan.h"

namespace timbre {
namespace {

Volume Filled(int64_t frames, int64_t height, int64_t width, float value) {
  Volume volume(frames, height, width, 1);
  std::fill(volume.values.begin(), volume.values.end(), value);
  return volume;
}

TEST(FrameVolumes, AShareGrowsFromNothingAndNeverReachesOne) {
  for (const VolumeAxis axis : {VolumeAxis::kTime, VolumeAxis::kHeight, VolumeAxis::kWidth}) {
    Volume b = Filled(6, 6, 6, 1);
    BlendInto(Filled(axis == VolumeAxis::kTime ? 5 : 6, 6, 6, 0), b, axis, 4);
    for (int64_t i = 0; i < 6; ++i) {
      const float value = axis == VolumeAxis::kTime     ? *b.at(i, 2, 3)
                          : axis == VolumeAxis::kHeight ? *b.at(2, i, 3)
                                                        : *b.at(2, 3, i);
      EXPECT_FLOAT_EQ(value, i < 4 ? static_cast<float>(i) / 4 : 1) << i;
    }
  }
  // No further than the smaller of the two reaches.
  Volume b = Filled(2, 1, 1, 1);
  BlendInto(Filled(5, 1, 1, 0), b, VolumeAxis::kTime, 4);
  EXPECT_EQ(b.values, (std::vector<float>{0, 0.5f}));
}

// Every frame of the input reaches the result once, whatever its length.
TEST(FrameTiles, CoverEveryLength) {
  const auto tiling = DecoderTiling(FrameMode::kTiled, {16, 8, 8, 4});
  ASSERT_TRUE(tiling) << tiling.error().message;
  for (int64_t latents = 1; latents < 12; ++latents) {
    for (const int64_t side : {1, 2, 3, 4, 5}) {
      const LatentShape all{latents, side, 6 - side};
      const TiledWork work{*tiling, {latents, side, 6 - side}, {all.pictures(), 8 * side, 8 * (6 - side)}};
      int64_t tiles = 0, frames = 0, asked = 0;
      const Status ran = RunTiled(
          work,
          [&](int64_t begin, int64_t end) -> Result<Volume> {
            EXPECT_GE(begin, asked);
            asked = begin;
            Volume part = Filled(end - begin, side, 6 - side, 0);
            for (int64_t t = begin; t < end; ++t) std::fill_n(part.at(t - begin, 0, 0), part.picture(), float(t));
            return part;
          },
          [&](const Volume& tile) -> Result<Volume> {
            ++tiles;
            // Each frame is its latent's number, and each place filled.
            Volume out(4 * (tile.frames - 1) + 1, 8 * tile.height, 8 * tile.width, 1);
            for (int64_t t = 0; t < out.frames; ++t) {
              std::fill_n(out.at(t, 0, 0), out.picture(), *tile.at((t + 3) / 4, 0, 0));
            }
            return out;
          },
          [&](const Volume& part) -> Status {
            EXPECT_EQ(part.height, 8 * side);
            EXPECT_EQ(part.width, 8 * (6 - side));
            for (int64_t t = 0; t < part.frames; ++t, ++frames) {
              for (int64_t i = 0; i < part.picture(); ++i) {
                EXPECT_FLOAT_EQ(part.at(t, 0, 0)[i], static_cast<float>((frames + 3) / 4));
              }
            }
            return {};
          });
      ASSERT_TRUE(ran) << ran.error().message;
      EXPECT_EQ(tiles, work.tiles()) << latents << " " << side;
      EXPECT_EQ(frames, all.pictures()) << latents << " " << side;
    }
  }
}

TEST(FrameSections, AreThoseOfFramePack) {
  const auto three = FramePackSections(28, 9);
  ASSERT_TRUE(three);
  ASSERT_EQ(three->size(), 3u);
  const int64_t bounds[][2] = {{0, 19}, {10, 28}, {19, 28}};
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ((*three)[i].begin, bounds[i][0]);
    EXPECT_EQ((*three)[i].end, bounds[i][1]);
  }
  const auto one = FramePackSections(10, 9);
  ASSERT_TRUE(one);
  ASSERT_EQ(one->size(), 1u);
  EXPECT_EQ(one->front().end, 10);
  EXPECT_EQ(FramePackOverlap(9), 33);
  EXPECT_FALSE(FramePackSections(9, 9));
  EXPECT_FALSE(FramePackSections(27, 9));
}

// The reference's weights include both ends; frames come through one at a time or all at once.
TEST(FrameSections, FadeOverWhatTheyShare) {
  for (const bool single : {false, true}) {
    std::vector<float> out;
    SectionJoiner joiner(3, [&](const Volume& frames) -> Status {
      out.insert(out.end(), frames.values.begin(), frames.values.end());
      return {};
    });
    for (const float value : {1.0f, 3.0f}) {
      const Volume section = Filled(5, 1, 1, value);
      for (int64_t t = 0; t < (single ? 5 : 1); ++t) {
        ASSERT_TRUE(joiner.Write(single ? section.Frames(t, t + 1) : section));
      }
      joiner.EndSection();
    }
    ASSERT_TRUE(joiner.Finish());
    EXPECT_EQ(out, (std::vector<float>{1, 1, 1, 2, 3, 3, 3}));
  }
}

TEST(FrameFiles, LevelsAreCutOffAndDropTheirFractions) {
  EXPECT_EQ(FrameLevel(-2), 0);
  EXPECT_EQ(FrameLevel(-1), 0);
  EXPECT_EQ(FrameLevel(0), 127);
  EXPECT_EQ(FrameLevel(0.999f), 254);
  EXPECT_EQ(FrameLevel(1), 255);
  EXPECT_EQ(FrameLevel(7), 255);
}

TEST(FramePreview, IsAsLongAndAsLargeAsTheClip) {
  Volume latents(3, 2, 1, kPreviewChannels);
  latents.at(1, 1, 0)[10] = 2;  // the channel that is brightness for the most part
  const Volume all = PreviewOf(latents, 0, 3), rest = PreviewOf(latents, 1, 3);
  EXPECT_EQ(all.frames, 9);
  EXPECT_EQ(all.height, 16);
  EXPECT_EQ(all.width, 8);
  EXPECT_EQ(all.Frames(1, 9).values, rest.values);
  for (const int64_t t : {1, 4}) {
    EXPECT_NEAR(*all.at(t, 15, 7), 2 * (2 * 0.1166 + 0.0259) - 1, 1e-6);
    EXPECT_NEAR(*all.at(t, 7, 7), 2 * 0.0259 - 1, 1e-6);
  }
  EXPECT_NEAR(*all.at(0, 15, 7), 2 * 0.0259 - 1, 1e-6);
  EXPECT_EQ(all.at(0, 0, 0)[1], -1) << "what is below black is black";
}

// The widest layer's input is 1141 MB by itself, and its result half of that: frame by frame each goes as the other
// comes.
TEST(FrameDecoder, HoldsItsWidestLayerOnce) {
  const std::unique_ptr<Weights> weights = RandomWeights(1);
  auto graph = BuildHunyuanDecoder({}, *weights, {5, 32, 32});
  ASSERT_TRUE(graph) << graph.error().message;
  RemoveDeadNodes(*graph);
  FuseEpilogues(*graph, [](const Graph&, const Node&) { return true; });
  const int64_t widest = int64_t{17} * 256 * 256 * 256 * 4;
  const int64_t bytes = PlanMemory(*graph, true, static_cast<int64_t>(kAlignment), true).bytes;
  EXPECT_GE(bytes, widest);
  EXPECT_LE(bytes, widest * 3 / 2);
}

// Variances far from any are cut off, so that nothing overflows.
TEST(FrameLatents, AreDrawnAroundTheirMeans) {
  Volume moments(1, 1, 2, 4);
  moments.values = {1, 2, 0, 1000, 3, 4, -1000, 2 * std::log(3.0f)};
  const std::vector<float> noise = {1, -1, 0.5f, 2};  // channel by channel
  EXPECT_EQ(LatentsOf(moments, {}, 0.5).values, (std::vector<float>{0.5f, 1, 1.5f, 2}));
  const Volume drawn = LatentsOf(moments, noise, 0.5);
  EXPECT_FLOAT_EQ(drawn.values[0], 1);
  EXPECT_FLOAT_EQ(drawn.values[1], static_cast<float>(0.5 * (2 + std::exp(10.0) * 0.5)));
  EXPECT_NEAR(drawn.values[2], 1.5, 1e-6);
  EXPECT_FLOAT_EQ(drawn.values[3], 0.5f * (4 + 3 * 2));
}

}  // namespace
}  // namespace timbre
