// DeepFilterNet3 against its reference: every stage of the first frames, and whole signals.
#include <gtest/gtest.h>

#include <algorithm>

#include "base/mapped_file.h"
#include "pipelines/speech/stateful_session.h"
#include "tests/parity/speech_support.h"

namespace timbre {
namespace {

using testing::Agreement;
using testing::DataFile;
using testing::Golden;
using testing::kFloor;
using testing::SharedFile;
using testing::SmallDeepFilterNet;

SpeechModel ReleasedModel() {
  auto model = LoadSpeechModel(SharedFile("goldens/deepfilternet/deepfilternet3.zip"));
  EXPECT_TRUE(model) << model.error().message;
  return model ? *model : SpeechModel();
}

// Everything that the reference shows of the first frames.
void ExpectStagesAgree(const SpeechModel& model, const Golden& golden) {
  const DeepFilterNetConfig& c = model.deepfilternet;
  const int64_t frames = golden.shape("spec")[0];
  const int64_t all = frames + c.lookahead();
  const int bins = c.bins();
  const std::vector<float> noisy = golden["noisy"];
  auto transform = DeepFilterFrames::Create(c);
  ASSERT_TRUE(transform);
  std::vector<float> spec(all * bins * 2), erb(all * c.erb_bands), low(all * c.df_bins * 2);
  for (int64_t t = 0; t < all; ++t) {
    transform->Analyse(noisy.data() + t * c.hop_size, &spec[t * bins * 2]);
    transform->Features(&spec[t * bins * 2], &erb[t * c.erb_bands], &low[t * c.df_bins * 2]);
  }
  const auto first = [&](const std::vector<float>& v, int64_t size) {
    return std::vector<float>(v.begin(), v.begin() + frames * size);
  };
  EXPECT_GE(Agreement(golden["spec"], first(spec, 2 * bins)), kFloor) << "spec";
  EXPECT_GE(Agreement(golden["feat_erb"], first(erb, c.erb_bands)), kFloor) << "feat_erb";
  EXPECT_GE(Agreement(golden["feat_spec"], first(low, 2 * c.df_bins)), kFloor) << "feat_spec";

  auto graph = BuildSpeechGraph(model, DeepFilterPart::kAll, static_cast<int>(frames));
  ASSERT_TRUE(graph) << graph.error().message;
  ThreadPool pool(1);
  auto session = StatefulSession::Create(*std::move(graph), 1, {}, pool, nullptr);
  ASSERT_TRUE(session) << session.error().message;
  const int64_t ahead = c.lookahead();
  std::copy_n(&erb[ahead * c.erb_bands], frames * c.erb_bands, session->Input("feat_erb"));
  std::copy_n(&low[ahead * c.df_bins * 2], frames * c.df_bins * 2, session->Input("feat_spec"));
  const Status ran = session->Run(0);
  ASSERT_TRUE(ran) << ran.error().message;
  const auto output = [&](const char* name, int64_t size) {
    const float* p = session->Output(name);
    return std::vector<float>(p, p + frames * size);
  };
  const std::vector<float> mask = output("mask", c.erb_bands), coefs = output("coefs", 2 * c.df_order * c.df_bins);
  EXPECT_GE(Agreement(golden["lsnr"], output("lsnr", 1)), kFloor) << "lsnr";
  EXPECT_GE(Agreement(golden["erb_mask"], mask), kFloor) << "erb_mask";

  // The reference's coefficients are [order, frame, bin, 2], ours [frame, bin, order, 2].
  std::vector<float> ordered(coefs.size());
  for (int64_t n = 0; n < c.df_order; ++n) {
    for (int64_t tf = 0; tf < frames * c.df_bins; ++tf) {
      for (int64_t i = 0; i < 2; ++i)
        ordered[(n * frames * c.df_bins + tf) * 2 + i] = coefs[(tf * c.df_order + n) * 2 + i];
    }
  }
  EXPECT_GE(Agreement(golden["df_coefs"], ordered), kFloor) << "df_coefs";

  const std::vector<float> silence(2 * bins);
  std::vector<float> enhanced = first(spec, 2 * bins);
  for (int64_t t = 0; t < frames; ++t) {
    ApplyErbGains(transform->widths(), &mask[t * c.erb_bands], &enhanced[t * 2 * bins]);
    std::vector<const float*> taps;
    for (int64_t n = t - (c.df_order - 1 - c.df_lookahead); n <= t + c.df_lookahead; ++n) {
      taps.push_back(n < 0 ? silence.data() : &spec[n * 2 * bins]);
    }
    ApplyDeepFilter(taps, &coefs[t * c.df_bins * 2 * c.df_order], c.df_bins, &enhanced[t * 2 * bins]);
  }
  EXPECT_GE(Agreement(golden["spec_enhanced"], enhanced), kFloor) << "spec_enhanced";
}

TEST(DeepFilterNetParity, SmallStages) {
  const Golden golden(DataFile("deepfilternet/deepfilternet3-small.safetensors"));
  ExpectStagesAgree(SmallDeepFilterNet(), golden);
}

TEST(DeepFilterNetParity, SmallSignal) {
  const Golden golden(DataFile("deepfilternet/deepfilternet3-small.safetensors"));
  EXPECT_GE(
      Agreement(golden["enhanced"], testing::Enhance(SmallDeepFilterNet(), golden["noisy"], {.block_frames = 16})),
      kFloor);
}

TEST(DeepFilterNetParity, OneFrameAtATimeIsTheSame) {
  const Golden golden(DataFile("deepfilternet/deepfilternet3-small.safetensors"));
  EXPECT_GE(Agreement(golden["enhanced"], testing::Enhance(SmallDeepFilterNet(), golden["noisy"], {.block_frames = 1})),
            kFloor);
}

TEST(DeepFilterNetParity, PartsAreTheWhole) {
  // Thresholds that leave nothing out run encoder and decoders one after the other.
  const Golden golden(DataFile("deepfilternet/deepfilternet3-small.safetensors"));
  const SpeechCoreOptions parts{
      .use_thresholds = true, .threshold_min = -1000, .threshold_max_erb = 1000, .threshold_max_df = 1000};
  EXPECT_GE(Agreement(golden["enhanced"], testing::Enhance(SmallDeepFilterNet(), golden["noisy"], parts)), kFloor);
}

TEST(DeepFilterNetParity, ThresholdsLeaveStagesOut) {
  const Golden golden(DataFile("deepfilternet/deepfilternet3-small.safetensors"));
  const std::vector<float> noisy = golden["noisy"];
  const SpeechModel model = SmallDeepFilterNet();
  // Every frame counts as noise: silence.
  SpeechCoreOptions options{.use_thresholds = true, .threshold_min = 1000};
  for (const float v : testing::Enhance(model, noisy, options)) ASSERT_EQ(v, 0.0f);
  // Every frame counts as clean: what came in.
  options = {.use_thresholds = true, .threshold_min = -1000, .threshold_max_erb = -999};
  EXPECT_GE(Agreement(noisy, testing::Enhance(model, noisy, options)), kFloor);
  // Gains alone, which is also what the graph without its second decoder gives.
  options = {.use_thresholds = true, .threshold_min = -1000, .threshold_max_erb = 1000, .threshold_max_df = -999};
  const std::vector<float> gains = testing::Enhance(model, noisy, options);
  EXPECT_GE(Agreement(testing::Enhance(model, noisy, {.block_frames = 16, .deep_filter = false}), gains), kFloor);
  EXPECT_LT(Agreement(golden["enhanced"], gains), 40.0);
}

TEST(DeepFilterNetParity, Stages) {
  TIMBRE_NEEDS_FILE(SharedFile("goldens/deepfilternet/deepfilternet3.safetensors"));
  const Golden golden(SharedFile("goldens/deepfilternet/deepfilternet3.safetensors"));
  ExpectStagesAgree(ReleasedModel(), golden);
}

void ExpectSignalAgrees(const std::string& file, const SpeechControls& controls) {
  const Golden golden(file);
  EXPECT_GE(
      Agreement(golden["enhanced"], testing::Enhance(ReleasedModel(), golden["noisy"], {.block_frames = 64}, controls)),
      kFloor);
}

TEST(DeepFilterNetParity, Signal) {
  const std::string file = SharedFile("goldens/deepfilternet/deepfilternet3.safetensors");
  TIMBRE_NEEDS_FILE(file);
  ExpectSignalAgrees(file, {});
}

TEST(DeepFilterNetParity, PostFilter) {
  const std::string file = SharedFile("goldens/deepfilternet/deepfilternet3-pf.safetensors");
  TIMBRE_NEEDS_FILE(file);
  ExpectSignalAgrees(file, {.post_filter_beta = 0.02f});
}

TEST(DeepFilterNetParity, AttenuationLimit) {
  const std::string file = SharedFile("goldens/deepfilternet/deepfilternet3-atten.safetensors");
  TIMBRE_NEEDS_FILE(file);
  ExpectSignalAgrees(file, {.attenuation_limit = 12});
}

}  // namespace
}  // namespace timbre
