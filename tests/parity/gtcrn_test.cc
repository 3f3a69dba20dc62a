// GTCRN against its reference: two trained checkpoints on a recording.
#include "models/speech/gtcrn.h"

#include <gtest/gtest.h>

#include "dsp/stft.h"
#include "pipelines/speech/stateful_session.h"
#include "tests/parity/speech_support.h"

namespace timbre {
namespace {

using testing::Agreement;
using testing::Golden;
using testing::kFloor;
using testing::SharedFile;

class GtcrnParity : public ::testing::TestWithParam<const char*> {
 protected:
  std::string Checkpoint() const { return SharedFile(std::string("goldens/gtcrn/gtcrn-") + GetParam() + ".tar"); }
  std::string Case() const { return SharedFile(std::string("goldens/gtcrn/gtcrn-") + GetParam() + ".safetensors"); }
};

TEST_P(GtcrnParity, Spectrum) {
  TIMBRE_NEEDS_FILE(Case());
  const Golden golden(Case());
  auto model = LoadSpeechModel(Checkpoint());
  ASSERT_TRUE(model) << model.error().message;
  const int64_t frames = golden.shape("spec_enhanced")[1];
  auto graph = BuildSpeechGraph(*model, DeepFilterPart::kAll, static_cast<int>(frames));
  ASSERT_TRUE(graph) << graph.error().message;
  ThreadPool pool(1);
  auto session = StatefulSession::Create(*std::move(graph), 1, {}, pool, nullptr);
  ASSERT_TRUE(session) << session.error().message;
  auto stft = Stft::Create({.n_fft = kGtcrnFft, .hop = kGtcrnHop, .window = WindowKind::kSqrtHann});
  ASSERT_TRUE(stft);
  const std::vector<float> noisy = golden["noisy"];
  std::vector<float> scratch(stft->ScratchFloats());
  ASSERT_TRUE(stft->Forward(noisy.data(), static_cast<int64_t>(noisy.size()), 0, frames, session->Input("spectrum"),
                            {2 * kGtcrnBins, 2}, scratch.data()));
  const Status ran = session->Run(0);
  ASSERT_TRUE(ran) << ran.error().message;
  // The reference's spectrum is [bin, frame, 2].
  std::vector<float> ordered(static_cast<size_t>(frames * kGtcrnBins * 2));
  for (int64_t t = 0; t < frames; ++t) {
    for (int64_t f = 0; f < kGtcrnBins; ++f) {
      for (int64_t i = 0; i < 2; ++i) {
        ordered[(f * frames + t) * 2 + i] = session->Output("enhanced")[(t * kGtcrnBins + f) * 2 + i];
      }
    }
  }
  EXPECT_GE(Agreement(golden["spec_enhanced"], ordered), kFloor);
}

// The reference stops at the last full hop; we go on to the signal's end.
std::vector<float> Enhanced(const std::string& checkpoint, const Golden& golden, int block_frames) {
  auto model = LoadSpeechModel(checkpoint);
  EXPECT_TRUE(model) << model.error().message;
  if (!model) return {};
  std::vector<float> out = testing::Enhance(*model, golden["noisy"], {.block_frames = block_frames});
  out.resize(golden["enhanced"].size());
  return out;
}

TEST_P(GtcrnParity, Signal) {
  TIMBRE_NEEDS_FILE(Case());
  const Golden golden(Case());
  EXPECT_GE(Agreement(golden["enhanced"], Enhanced(Checkpoint(), golden, 100)), kFloor);
}

TEST_P(GtcrnParity, OneFrameAtATimeIsTheSame) {
  TIMBRE_NEEDS_FILE(Case());
  const Golden golden(Case());
  EXPECT_GE(Agreement(golden["enhanced"], Enhanced(Checkpoint(), golden, 1)), kFloor);
}

INSTANTIATE_TEST_SUITE_P(Checkpoints, GtcrnParity, ::testing::Values("dns3", "vctk"));

}  // namespace
}  // namespace timbre
