// DeepFilterNet3 with its published weights, out of the package that its plugins' users have, held against libDF.
#include <gtest/gtest.h>

#include <cstdio>

#include "audio/decode.h"
#include "tests/parity/speech_support.h"
#include "tests/support/golden.h"

namespace timbre {
namespace {

using testing::RatioDb;
using testing::SharedPath;

const std::string kPackage = "goldens/deepfilternet-real/DeepFilterNet3_onnx.tar.gz";

// Whether frames are computed one by one or together: in the second before anybody speaks, in all.
TEST(DeepFilterNetReal, AsLibDfFromTheOnnxPackage) {
  TIMBRE_NEED_SHARED(SharedPath(kPackage));
  const auto noisy = ReadAudioFile(SharedPath("audio/noisy-speech-48k.wav"), 1 << 24);
  ASSERT_TRUE(noisy) << noisy.error().message;
  const auto model = LoadSpeechModel(SharedPath(kPackage));
  ASSERT_TRUE(model) << model.error().message;
  const testing::Golden golden(SharedPath("goldens/deepfilternet-real/libdf.safetensors"));
  const std::vector<float> reference = golden["enhanced"];
  const auto first_second = [](const std::vector<float>& x) {
    return std::vector<float>(x.begin(), x.begin() + 48000);
  };
  for (const int block : {1, 64}) {
    std::vector<float> enhanced = testing::Enhance(*model, noisy->samples, {.block_frames = block});
    ASSERT_GE(enhanced.size(), reference.size());
    enhanced.resize(reference.size());
    const double ratio = RatioDb(reference, enhanced);
    const double before = RatioDb(first_second(reference), first_second(enhanced));
    std::printf("  %d frames at once: %.1f dB, the first second %.1f dB\n", block, ratio, before);
    EXPECT_GE(ratio, testing::kFloor);
    EXPECT_GE(before, testing::kFloor);
  }
}

}  // namespace
}  // namespace timbre
