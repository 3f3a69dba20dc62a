// HunyuanVideo's autoencoder held against the reference's own output: what the blocks make, and the frames and latents
// that each way of cutting into tiles gives.
#include "pipelines/frames/frame_network.h"
#include "pipelines/frames/frame_tiles.h"
#include "tests/parity/frames_support.h"
#include "tests/parity/song_support.h"

namespace timbre {
namespace {

using testing::RatioDb;
using testing::SharedPath;
using testing::VaeCase;
using testing::Values;
using testing::VolumeOf;

// Sums of the released shape are of 13,824 products, those of the small one of 864.
constexpr double kFloorDb = 110, kReleasedFloorDb = 100;

// `ours` [frames, height, width, channels] against a tap of the first channels, whose last axis is cut, or of all
// tokens [tokens, channels].
void CheckFrameTap(const Safetensors& file, const std::string& name, const Shape& shape, const std::vector<float>& ours,
                   double floor_db) {
  const auto found = file.tensors->find("tap." + name);
  if (found == file.tensors->end()) return;
  const Shape& tap = found->second.shape;
  std::vector<float> cut;
  const auto value = [&](int64_t place, int64_t c) { return ours[static_cast<size_t>(place * shape.back() + c)]; };
  if (tap.rank() == 2) {
    for (int64_t place = 0; place < tap[0]; ++place) {
      for (int64_t c = 0; c < tap[1]; ++c) cut.push_back(value(place, c));
    }
  } else {
    for (int64_t c = 0; c < tap[0]; ++c) {
      for (int64_t row = 0; row < tap[1] * tap[2]; ++row) {
        for (int64_t x = 0; x < tap[3]; ++x) cut.push_back(value(row * shape[3] + x, c));
      }
    }
  }
  const double ratio = RatioDb(found->second.ToF32(), cut);
  std::printf("  %-36s %.1f dB\n", name.c_str(), ratio);
  EXPECT_GE(ratio, floor_db) << name;
}

void CheckDecoder(const std::string& path, const std::string& weights, double floor_db) {
  const auto file = ReadSafetensors(path);
  ASSERT_TRUE(file) << file.error().message;
  const FramesModel model = testing::FormulaFramesModel(*file, FramesHalf::kDecoder, weights);
  const Volume latents = VolumeOf(*file, "latents");
  const auto source = WeightsFromMap(model.weights);
  auto graph =
      BuildHunyuanDecoder(model.config, *source, {latents.frames, latents.height, latents.width}, /*taps=*/true);
  ASSERT_TRUE(graph) << graph.error().message;
  std::map<std::string, Shape> shapes;
  for (const GraphPort& port : graph->outputs) shapes[port.name] = graph->shape(port.tensor);
  EXPECT_GE(shapes.size(), 12u);
  const auto out = testing::RunOnce(*std::move(graph), {{"latents", latents.values}});
  ASSERT_FALSE(out.empty());
  for (const auto& [name, values] : out) CheckFrameTap(*file, name, shapes[name], values, floor_db);
  const double ratio = RatioDb(VolumeOf(*file, "out").values, out.at("frames"));
  std::printf("  %-36s %.1f dB\n", "out", ratio);
  EXPECT_GE(ratio, floor_db);
}

TEST(FramesParity, EveryBlockOfTheDecoder) {
  const std::string path = SharedPath("goldens/vae/vae-tiny.decode.safetensors");
  TIMBRE_NEED_SHARED(path);
  CheckDecoder(path, "vae-tiny.weights.json", kFloorDb);
}

TEST(FramesParity, ReleasedShapeByFormula) {
  const std::string path = SharedPath("goldens/vae/vae-full.decode.safetensors");
  TIMBRE_NEED_SHARED(path);
  CheckDecoder(path, "vae-full.weights.json", kReleasedFloorDb);
}

// The whole clip, tile by tile.
Result<Volume> Tiled(const FramesModel& model, FramesHalf half, FrameMode mode, const FrameTileSizes& sizes,
                     const Volume& input, int64_t* tiles = nullptr) {
  const bool decoder = half == FramesHalf::kDecoder;
  TiledWork work{.input = {input.frames, input.height, input.width}};
  TIMBRE_TRY(work.tiling, decoder ? DecoderTiling(mode, sizes) : EncoderTiling(mode, sizes));
  const LatentShape latents = decoder ? LatentShape{input.frames, input.height, input.width}
                                      : LatentShape{(input.frames + 3) / 4, input.height / 8, input.width / 8};
  work.output = decoder ? VolumeSize{latents.pictures(), 8 * latents.height, 8 * latents.width}
                        : VolumeSize{latents.frames, latents.height, latents.width};
  ThreadPool pool;
  FrameNetwork network(model, half, {.device = "cpu"}, pool, nullptr);
  int64_t run = 0;
  Volume all;
  TIMBRE_CHECK(RunTiled(
      work, [&](int64_t begin, int64_t end) -> Result<Volume> { return input.Frames(begin, end); },
      [&](const Volume& tile) {
        ++run;
        return network.Run(tile);
      },
      [&](const Volume& frames) -> Status {
        if (all.values.empty()) all = Volume(0, frames.height, frames.width, frames.channels);
        all.frames += frames.frames;
        all.values.insert(all.values.end(), frames.values.begin(), frames.values.end());
        return {};
      }));
  EXPECT_EQ(run, work.tiles());
  EXPECT_EQ(all.frames, work.output.frames);
  if (tiles != nullptr) *tiles = run;
  return all;
}

struct DecodeCase {
  const char* file;
  const char* out;
  FrameMode mode;
  FrameTileSizes sizes = {};
  int64_t tiles = 1;
};

class FramesDecodeParity : public ::testing::TestWithParam<DecodeCase> {};

TEST_P(FramesDecodeParity, AgreesWithTheReference) {
  const DecodeCase& one = GetParam();
  const std::string path = VaeCase(one.file);
  TIMBRE_NEED_SHARED(path);
  const auto file = ReadSafetensors(path);
  ASSERT_TRUE(file) << file.error().message;
  const FramesModel model = testing::FormulaFramesModel(*file, FramesHalf::kDecoder);
  int64_t tiles = 0;
  const auto frames = Tiled(model, FramesHalf::kDecoder, one.mode, one.sizes, VolumeOf(*file, "latents"), &tiles);
  ASSERT_TRUE(frames) << frames.error().message;
  EXPECT_EQ(tiles, one.tiles);
  const double ratio = RatioDb(VolumeOf(*file, one.out).values, frames->values);
  std::printf("  %-36s %.1f dB\n", one.file, ratio);
  EXPECT_GE(ratio, kFloorDb);
}

INSTANTIATE_TEST_SUITE_P(
    Modes, FramesDecodeParity,
    ::testing::Values(DecodeCase{"vae-tiny-tiled-default.safetensors", "out", FrameMode::kTiled, {}, 2},
                      DecodeCase{"vae-tiny-tiled.safetensors", "out", FrameMode::kTiled, {32, 24, 16, 12}, 18},
                      DecodeCase{"vae-tiny.framewise.safetensors", "out", FrameMode::kFramewise, {}, 3},
                      DecodeCase{"vae-tiny.framewise.safetensors", "out", FrameMode::kTiled, {}, 3},
                      DecodeCase{"vae-tiny.framewise.safetensors", "whole", FrameMode::kWhole, {}, 1}));

TEST(FramesParity, EncodesAnImageAndAVideoInStretches) {
  const auto file = ReadSafetensors(VaeCase("vae-tiny-encode.safetensors"));
  ASSERT_TRUE(file) << file.error().message;
  const FramesModel model = testing::FormulaFramesModel(*file, FramesHalf::kEncoder);
  for (const std::string name : {"image", "video"}) {
    int64_t tiles = 0;
    const auto moments = Tiled(model, FramesHalf::kEncoder, FrameMode::kTiled, {}, VolumeOf(*file, name), &tiles);
    ASSERT_TRUE(moments) << moments.error().message;
    EXPECT_EQ(tiles, name == "image" ? 1 : 2);
    const double ratio = RatioDb(VolumeOf(*file, name + ".moments").values, moments->values);
    std::printf("  %-36s %.1f dB\n", name.c_str(), ratio);
    EXPECT_GE(ratio, kFloorDb);
  }
}

}  // namespace
}  // namespace timbre
