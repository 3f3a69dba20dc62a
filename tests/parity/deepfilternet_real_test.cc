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

TEST(DeepFilterNetReal, AsLibDfFromTheOnnxPackage) {
  TIMBRE_NEED_SHARED(SharedPath(kPackage));
  const auto noisy = ReadAudioFile(SharedPath("audio/noisy-speech-48k.wav"), 1 << 24);
  ASSERT_TRUE(noisy) << noisy.error().message;
  const auto model = LoadSpeechModel(SharedPath(kPackage));
  ASSERT_TRUE(model) << model.error().message;
  std::vector<float> enhanced = testing::Enhance(*model, noisy->samples);
  const testing::Golden golden(SharedPath("goldens/deepfilternet-real/libdf.safetensors"));
  const std::vector<float> reference = golden["enhanced"];
  ASSERT_GE(enhanced.size(), reference.size());
  enhanced.resize(reference.size());
  // Behind the first second, in which the two start from different states.
  const auto settled = [](const std::vector<float>& x) { return std::vector<float>(x.begin() + 48000, x.end()); };
  const double ratio = RatioDb(settled(reference), settled(enhanced));
  std::printf("  %.1f dB\n", ratio);
  EXPECT_GE(ratio, 55);
}

}  // namespace
}  // namespace timbre
