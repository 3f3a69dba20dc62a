// Songs' latents to sound, chunk by chunk, held against the reference's and against themselves.
#include "pipelines/song/song_decoder.h"

#include "formats/formula_weights.h"
#include "tests/parity/song_support.h"

namespace timbre {
namespace {

using testing::SongCase;
using testing::Transposed;
using testing::Values;
using Floats = std::vector<float>;

constexpr double kFloorDb = 110;

struct Case {
  Safetensors file;
  BigvganConfig config;
  std::shared_ptr<const TensorMap> weights;
  Floats latents;  // [frames, channels]
};

Case ReadCase() {
  Case c;
  const auto file = ReadSafetensors(SongCase("decode-chunked-tiny.safetensors"));
  const auto weights = ReadFormulaWeights(SongCase("decode-chunked-tiny.weights.json"));
  EXPECT_TRUE(file && weights);
  c.file = *file;
  c.weights = *weights;
  c.config = ParseBigvganConfig(c.file.metadata.at("config")).value();
  const int64_t frames = c.file.tensors->at("latent").shape[1];
  c.latents = Transposed(Values(c.file, "latent"), c.config.in_channels, frames);
  return c;
}

// All of it, pushed `step` frames at a time.
Floats Decode(const Case& c, const Floats& latents, int64_t step, bool chunked = true) {
  Floats audio;
  ThreadPool pool;
  SongDecoder decoder(c.config, c.weights, chunked, {.device = "cpu"}, pool, nullptr,
                      [&](const float* samples, int64_t count) -> Status {
                        audio.insert(audio.end(), samples, samples + count);
                        return {};
                      });
  const int64_t frames = static_cast<int64_t>(latents.size()) / c.config.in_channels;
  for (int64_t at = 0; at < frames; at += step) {
    const Status pushed = decoder.Push(latents.data() + at * c.config.in_channels, std::min(step, frames - at));
    EXPECT_TRUE(pushed) << pushed.error().message;
  }
  const Status done = decoder.Finish();
  EXPECT_TRUE(done) << done.error().message;
  EXPECT_EQ(decoder.written(), frames);
  return audio;
}

Floats FirstFrames(const Case& c, int64_t frames) {
  return {c.latents.begin(), c.latents.begin() + frames * c.config.in_channels};
}

TEST(SongDecoder, ChunksAreTheReferences) {
  const Case c = ReadCase();
  const Floats audio = Decode(c, c.latents, 41);
  testing::CheckSlices(c.file, "audio", audio, 1, kFloorDb);
  for (const auto& [name, start] : {std::pair<const char*, int64_t>{"audio.seam1", 15}, {"audio.seam2", 21}}) {
    const Floats seam = Values(c.file, name);
    const auto middle = audio.begin() + (start + 2) * c.config.hop();
    const auto half = static_cast<int64_t>(seam.size()) / 2;
    EXPECT_GE(testing::RatioDb(seam, Floats(middle - half, middle + half)), kFloorDb) << name;
  }
}

TEST(SongDecoder, HowLatentsComeChangesNoBit) {
  const Case c = ReadCase();
  for (const int64_t frames : {35, 36}) {  // the last chunk is a regular one; it overlaps by much
    const Floats latents = FirstFrames(c, frames), at_once = Decode(c, latents, frames);
    EXPECT_EQ(static_cast<int64_t>(at_once.size()), frames * c.config.hop());
    for (const int64_t step : {1, 10}) EXPECT_EQ(Decode(c, latents, step), at_once) << step << " of " << frames;
  }
}

TEST(SongDecoder, FewFramesAreOneChunk) {
  const Case c = ReadCase();
  const Floats latents = FirstFrames(c, 7);
  EXPECT_EQ(Decode(c, latents, 3), Decode(c, latents, 7, false));
  EXPECT_EQ(Decode(c, FirstFrames(c, 20), 20), Decode(c, FirstFrames(c, 20), 20, false));
  EXPECT_TRUE(Decode(c, {}, 1).empty());
}

}  // namespace
}  // namespace timbre
