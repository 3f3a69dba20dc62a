#include "models/speech/deepfilternet.h"

#include <gtest/gtest.h>

#include <numeric>

namespace timbre {
namespace {

constexpr char kLeast[] = "[train]\nmodel = deepfilternet3\n[df]\n";

TEST(DeepFilterNetConfig, ReadsWhatItKnowsAndIgnoresTheRest) {
  auto c = ParseDeepFilterNetConfig(
      "; a comment\n[DF]\r\nSR = 16000\r\nfft_size: 320\nhop_size=160\nnb_erb = 32\nnb_df=64\n"
      "[train]\nmodel = deepfilternet3\nseed = 42\n[deepfilternet]\ndf_order = 3\nconv_kernel = 2, 3\nmask_pf = yes\n"
      "[distortion]\np_reverb = 0.2\n");
  ASSERT_TRUE(c) << c.error().message;
  EXPECT_EQ(c->sample_rate, 16000);
  EXPECT_EQ(c->bins(), 161);
  EXPECT_EQ(c->df_order, 3);
  EXPECT_EQ(c->kernel, (std::vector<int>{2, 3}));
  EXPECT_TRUE(c->post_filter);
  EXPECT_EQ(c->emb_hidden, 256);
}

TEST(DeepFilterNetConfig, SaysWhatIsWrong) {
  const auto error = [](const std::string& text) {
    const auto c = ParseDeepFilterNetConfig(text);
    return c ? "" : c.error().message;
  };
  EXPECT_NE(error("[train]\nmodel = deepfilternet2\n").find("deepfilternet2"), std::string::npos);
  EXPECT_NE(error("").find("deepfilternet3"), std::string::npos);
  EXPECT_NE(error(std::string(kLeast) + "sr = 48k\n").find("'sr' in [df] is '48k'"), std::string::npos);
  EXPECT_NE(error(std::string(kLeast) + "nb_df = 99999999999\n").find("nb_df"), std::string::npos);
  EXPECT_NE(error(std::string(kLeast) + "hop_size = 400\n").find("hop_size"), std::string::npos);
  EXPECT_NE(error(std::string(kLeast) + "nb_df = 482\n").find("nb_df"), std::string::npos);
  EXPECT_NE(error(std::string(kLeast) + "df_lookahead = 2\n").find("df_lookahead"), std::string::npos);
  EXPECT_NE(error(std::string(kLeast) + "norm_tau = nan\n").find("norm_tau"), std::string::npos);
  EXPECT_NE(error(std::string(100000, 'x')).find("64 KiB"), std::string::npos);
}

TEST(DeepFilterNetConfig, BandsAreThoseOfTheReleasedModels) {
  const std::vector<int> expected{2, 2, 2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  5,  5,  7,
                                  7, 8, 10, 12, 13, 15, 18, 20, 24, 28, 31, 37, 42, 50, 56, 67};
  EXPECT_EQ(ErbWidths(DeepFilterNetConfig()), expected);
  DeepFilterNetConfig narrow;
  narrow.min_erb_bins = 1;
  const std::vector<int> widths = ErbWidths(narrow);
  EXPECT_EQ(std::accumulate(widths.begin(), widths.end(), 0), narrow.bins());
  EXPECT_FLOAT_EQ(NormDecay(DeepFilterNetConfig()), 0.99f);
  DeepFilterNetConfig slow;
  slow.norm_tau = 100;  // 0.9999 in three digits would be 1
  EXPECT_FLOAT_EQ(NormDecay(slow), 0.9999f);
}

TEST(DeepFilterFrames, GivesBackWhatItAnalysed) {
  const DeepFilterNetConfig c;
  auto frames = DeepFilterFrames::Create(c);
  ASSERT_TRUE(frames);
  std::vector<float> signal(480 * 20), out(signal.size()), spectrum(2 * c.bins());
  for (size_t i = 0; i < signal.size(); ++i) signal[i] = static_cast<float>((i * 7919 + 13) % 2001) / 1000.0f - 1.0f;
  for (size_t at = 0; at < signal.size(); at += 480) {
    frames->Analyse(&signal[at], spectrum.data());
    frames->Synthesise(spectrum.data(), &out[at]);
  }
  for (size_t i = 0; i + 480 < signal.size(); ++i) ASSERT_NEAR(out[i + 480], signal[i], 2e-6f) << i;
}

TEST(DeepFilterFrames, FeaturesStayFiniteThroughMinutesOfSilence) {
  const DeepFilterNetConfig c;
  auto frames = DeepFilterFrames::Create(c);
  ASSERT_TRUE(frames);
  const std::vector<float> silence(2 * c.bins());
  std::vector<float> loud(2 * c.bins(), 1.0f), erb(c.erb_bands), spec(2 * c.df_bins);
  for (int i = 0; i < 20000; ++i) frames->Features(silence.data(), erb.data(), spec.data());
  for (const float v : spec) ASSERT_EQ(v, 0.0f);
  frames->Features(loud.data(), erb.data(), spec.data());
  for (const float v : spec) ASSERT_LT(v, 20.0f);
  for (const float v : erb) ASSERT_LT(v, 10.0f);
}

}  // namespace
}  // namespace timbre
