// The live path gives what the whole-file path gives, a fixed time later, whatever the pieces; and does nothing that a
// real-time thread must not.
#include "pipelines/speech/live_denoiser.h"

#include <gtest/gtest.h>

#include <cstring>
#include <limits>
#include <numbers>
#include <random>

#include "formats/formula_weights.h"
#include "tests/parity/speech_support.h"
#include "tests/support/quiet_thread.h"

namespace timbre {
namespace {

using testing::Agreement;
using testing::kFloor;
using Signal = std::vector<std::vector<float>>;  // [channel][sample]

constexpr char kConfig[] =
    "[df]\ndf_lookahead = 2\n[train]\nmodel = deepfilternet3\n[deepfilternet]\nconv_lookahead = 2\nconv_ch = 64\n"
    "emb_num_layers = 3\ndf_gru_skip = groupedlinear\ndf_pathway_kernel_size_t = 5\ndf_num_layers = 2\n"
    "linear_groups = 16\nenc_linear_groups = 32\n";

const SpeechModel& DeepFilterModel() {
  static const SpeechModel model = [] {
    SpeechModel m;
    m.deepfilternet = ParseDeepFilterNetConfig(kConfig).value();
    m.weights = ReadFormulaWeights(testing::DataFile("deepfilternet/deepfilternet3-small.weights.json")).value();
    return m;
  }();
  return model;
}

// Tones that come and go, and noise: something to clean.
Signal Speechlike(int channels, int rate, double seconds) {
  std::mt19937 random(7);
  std::uniform_real_distribution<float> noise(-0.05f, 0.05f);
  Signal signal(channels, std::vector<float>(static_cast<size_t>(rate * seconds)));
  for (int c = 0; c < channels; ++c) {
    for (size_t i = 0; i < signal[c].size(); ++i) {
      const double t = static_cast<double>(i) / rate;
      const double voice = std::sin(2 * std::numbers::pi * (180 + 40 * c) * t) * std::max(0.0, std::sin(7 * t + c));
      signal[c][i] = static_cast<float>(0.3 * voice) + noise(random);
    }
  }
  return signal;
}

std::vector<const float*> RowsAt(const Signal& s, int64_t at) {
  std::vector<const float*> rows;
  for (const auto& channel : s) rows.push_back(channel.data() + at);
  return rows;
}
std::vector<float*> RowsAt(Signal& s, int64_t at) {
  std::vector<float*> rows;
  for (auto& channel : s) rows.push_back(channel.data() + at);
  return rows;
}

Signal Live(LiveDenoiser& live, const Signal& in, int64_t piece) {
  Signal out(in.size(), std::vector<float>(in[0].size()));
  const int64_t length = static_cast<int64_t>(in[0].size());
  for (int64_t at = 0; at < length; at += piece) {
    const Status status = live.Process(RowsAt(in, at).data(), RowsAt(out, at).data(), std::min(piece, length - at));
    EXPECT_TRUE(status) << status.error().message;
  }
  return out;
}

std::unique_ptr<LiveDenoiser> MakeLive(const SpeechModel& model, const LiveOptions& options) {
  auto live = LiveDenoiser::Create(model, options);
  EXPECT_TRUE(live) << live.error().message;
  return live ? *std::move(live) : nullptr;
}

Signal Whole(const SpeechModel& model, int rate, const Signal& in, int block_frames,
             const DenoiseStream::Controls& controls = {}) {
  ThreadPool pool(1);
  SpeechCoreOptions options;
  options.channels = static_cast<int>(in.size());
  options.block_frames = block_frames;
  auto stream = DenoiseStream::Create(model, rate, options, {}, pool, nullptr);
  EXPECT_TRUE(stream) << stream.error().message;
  Signal out(in.size(), std::vector<float>(in[0].size()));
  const int64_t length = static_cast<int64_t>(in[0].size());
  int64_t given = 0;
  const auto pull = [&] {
    const int64_t count = (*stream)->available();
    (*stream)->Pull(RowsAt(out, given).data(), count, controls);
    given += count;
  };
  for (int64_t at = 0; at < length; at += DenoiseStream::kMostPush) {
    EXPECT_TRUE((*stream)->Push(RowsAt(in, at).data(), std::min(DenoiseStream::kMostPush, length - at), controls));
    pull();
  }
  EXPECT_TRUE((*stream)->Finish(controls));
  pull();
  EXPECT_EQ(given, length);
  return out;
}

// The live output, `latency` samples later, against the whole. The last second is left out of the comparison: there the
// whole knows that the signal ends.
void ExpectDelayed(const Signal& whole, const Signal& live, int64_t latency, int64_t tail) {
  for (size_t c = 0; c < whole.size(); ++c) {
    for (int64_t i = 0; i < latency; ++i) ASSERT_EQ(live[c][i], 0.0f);
    const int64_t length = static_cast<int64_t>(whole[c].size()) - latency - tail;
    ASSERT_GT(length, 0);
    const std::vector<float> a(whole[c].begin(), whole[c].begin() + length);
    const std::vector<float> b(live[c].begin() + latency, live[c].begin() + latency + length);
    EXPECT_GE(Agreement(a, b), kFloor) << "channel " << c;
  }
}

class PieceSizes : public ::testing::TestWithParam<int> {};

TEST_P(PieceSizes, LiveIsTheWholeFileLater) {
  const Signal in = Speechlike(1, 48000, 1.2);
  static const Signal whole = Whole(DeepFilterModel(), 48000, in, 32);
  auto live = MakeLive(DeepFilterModel(), {});
  ASSERT_TRUE(live);
  EXPECT_EQ(live->latency(), 1919);  // two frames ahead, one of the transform's overlap, and a hop less one sample
  ExpectDelayed(whole, Live(*live, in, GetParam()), live->latency(), 480 * 4);
}

INSTANTIATE_TEST_SUITE_P(Sweep, PieceSizes, ::testing::Values(1, 7, 64, 240, 479, 480, 481, 1000, 1024, 4096, 48000));

class Rates : public ::testing::TestWithParam<int> {};

TEST_P(Rates, AnyRateAndPiecesInStereo) {
  const int rate = GetParam();
  const Signal in = Speechlike(2, rate, 0.6);
  auto live = MakeLive(DeepFilterModel(), {.sample_rate = rate, .channels = 2});
  ASSERT_TRUE(live);
  const Signal whole = Whole(DeepFilterModel(), rate, in, 8);
  for (const int64_t piece : {rate / 97 + 1, 1000}) {
    live->Reset();
    ExpectDelayed(whole, Live(*live, in, piece), live->latency(), rate / 20);
  }
}

INSTANTIATE_TEST_SUITE_P(Sweep, Rates, ::testing::Values(8000, 16000, 22050, 44100, 44056, 96000, 192000));

TEST(LiveDenoiser, GtcrnLiveIsTheWholeFileLater) {
  const std::string file = testing::SharedFile("goldens/gtcrn/gtcrn-dns3.tar");
  TIMBRE_NEEDS_FILE(file);
  auto model = LoadSpeechModel(file);
  ASSERT_TRUE(model);
  for (const int rate : {16000, 48000}) {
    const Signal in = Speechlike(1, rate, 1.5);
    const Signal whole = Whole(*model, rate, in, 32);
    auto live = MakeLive(*model, {.sample_rate = rate});
    ASSERT_TRUE(live);
    for (const int64_t piece : {1, 100, 256, 5000}) {
      live->Reset();
      ExpectDelayed(whole, Live(*live, in, piece), live->latency(), rate / 20);
    }
  }
}

void ExpectQuiet(const SpeechModel& model, const LiveOptions& options) {
  const Signal in = Speechlike(options.channels, options.sample_rate, 0.5);
  Signal out = in;
  auto live = MakeLive(model, options);
  ASSERT_TRUE(live);
  std::vector<std::byte> state(live->state_size());
  const auto from = RowsAt(in, 0);
  const auto to = RowsAt(out, 0);
  const int64_t allocations = testing::Allocations(), locks = testing::Locks();
  ASSERT_TRUE(live->Process(from.data(), to.data(), static_cast<int64_t>(in[0].size())));
  live->set_mix(0.5f);
  live->set_attenuation_limit(12);
  live->set_post_filter_beta(0.02f);
  ASSERT_TRUE(live->Process(from.data(), to.data(), 3000));
  ASSERT_TRUE(live->Save(state));
  ASSERT_TRUE(live->Restore(state));
  live->Reset();
  EXPECT_EQ(testing::Allocations(), allocations);
  EXPECT_EQ(testing::Locks(), locks);
}

TEST(LiveDenoiser, ProcessingNeitherAllocatesNorLocks) {
  if (!testing::QuietThreadCounts()) GTEST_SKIP() << "*** SKIPPED: nothing counts allocations under this sanitizer";
  ExpectQuiet(DeepFilterModel(), {.sample_rate = 48000});
  ExpectQuiet(DeepFilterModel(), {.sample_rate = 44100, .channels = 2});
  ExpectQuiet(DeepFilterModel(), {.channels = 2, .use_thresholds = true});
}

TEST(LiveDenoiser, ProcessingGtcrnNeitherAllocatesNorLocks) {
  if (!testing::QuietThreadCounts()) GTEST_SKIP() << "*** SKIPPED: nothing counts allocations under this sanitizer";
  const std::string file = testing::SharedFile("goldens/gtcrn/gtcrn-dns3.tar");
  TIMBRE_NEEDS_FILE(file);
  auto model = LoadSpeechModel(file);
  ASSERT_TRUE(model);
  ExpectQuiet(*model, {.sample_rate = 16000});
  ExpectQuiet(*model, {.sample_rate = 48000, .channels = 2});
}

TEST(LiveDenoiser, OutputMayBeInput) {
  const Signal in = Speechlike(2, 48000, 0.3);
  auto live = MakeLive(DeepFilterModel(), {.channels = 2});
  ASSERT_TRUE(live);
  const Signal apart = Live(*live, in, 3000);
  live->Reset();
  Signal in_place = in;
  ASSERT_TRUE(live->Process(RowsAt(in, 0).data(), RowsAt(in_place, 0).data(), 0));
  for (int64_t at = 0; at < static_cast<int64_t>(in[0].size()); at += 3000) {
    const int64_t piece = std::min<int64_t>(3000, static_cast<int64_t>(in[0].size()) - at);
    ASSERT_TRUE(
        live->Process(RowsAt(static_cast<const Signal&>(in_place), at).data(), RowsAt(in_place, at).data(), piece));
  }
  EXPECT_EQ(in_place, apart);
}

TEST(LiveDenoiser, StateGoesOnWhereItWasSaved) {
  const Signal in = Speechlike(1, 44100, 0.8);
  auto live = MakeLive(DeepFilterModel(), {.sample_rate = 44100});
  auto other = MakeLive(DeepFilterModel(), {.sample_rate = 44100});
  ASSERT_TRUE(live && other);
  const Signal expected = Live(*live, in, 500);
  live->Reset();
  const int64_t half = static_cast<int64_t>(in[0].size()) / 2 + 123;
  Signal out = in;
  ASSERT_TRUE(live->Process(RowsAt(in, 0).data(), RowsAt(out, 0).data(), half));
  std::vector<std::byte> state(live->state_size());
  ASSERT_TRUE(live->Save(state));
  ASSERT_TRUE(other->Restore(state));
  ASSERT_TRUE(
      other->Process(RowsAt(in, half).data(), RowsAt(out, half).data(), static_cast<int64_t>(in[0].size()) - half));
  EXPECT_EQ(out, expected);
}

TEST(LiveDenoiser, RefusesWhatIsNoState) {
  auto live = MakeLive(DeepFilterModel(), {});
  auto stereo = MakeLive(DeepFilterModel(), {.channels = 2});
  ASSERT_TRUE(live && stereo);
  std::vector<std::byte> state(live->state_size());
  EXPECT_FALSE(live->Save({state.data(), state.size() - 1}));
  ASSERT_TRUE(live->Save(state));
  EXPECT_TRUE(live->Restore(state));
  EXPECT_FALSE(live->Restore({state.data(), state.size() - 1}));
  EXPECT_FALSE(live->Restore({}));
  EXPECT_FALSE(stereo->Restore(state));
  // Any bytes at all are refused or harmless.
  std::mt19937 random(1);
  const Signal in = Speechlike(1, 48000, 0.05);
  Signal out = in;
  for (int trial = 0; trial < 200; ++trial) {
    std::vector<std::byte> bent = state;
    for (int k = 0; k < 8; ++k) {
      // The integers lie at the ends; hit those often.
      const size_t end = bent.size() - 1 - random() % 64;
      bent[trial % 2 == 0 ? random() % bent.size() : end] = static_cast<std::byte>(random());
    }
    (void)live->Restore(bent);
    EXPECT_TRUE(live->Process(RowsAt(in, 0).data(), RowsAt(out, 0).data(), static_cast<int64_t>(in[0].size())));
    for (const float v : out[0]) ASSERT_TRUE(std::isfinite(v));
    live->Reset();
  }
}

TEST(LiveDenoiser, MixOfNothingIsTheInputLater) {
  const Signal in = Speechlike(1, 44100, 0.3);
  auto live = MakeLive(DeepFilterModel(), {.sample_rate = 44100});
  ASSERT_TRUE(live);
  live->set_mix(0);
  const Signal out = Live(*live, in, 441);
  for (size_t i = live->latency(); i < out[0].size(); ++i) ASSERT_EQ(out[0][i], in[0][i - live->latency()]);
}

TEST(LiveDenoiser, NoLimitIsNoEffect) {
  // At a limit of 0 dB the noisy spectrum comes back as it was.
  const Signal in = Speechlike(1, 48000, 0.5);
  auto live = MakeLive(DeepFilterModel(), {});
  ASSERT_TRUE(live);
  live->set_attenuation_limit(0);
  const Signal out = Live(*live, in, 480);
  const std::vector<float> a(in[0].begin(), in[0].end() - live->latency());
  const std::vector<float> b(out[0].begin() + live->latency(), out[0].end());
  EXPECT_GE(Agreement(a, b), kFloor);
}

// What is left of `in` in `out`, `delay` samples later, over its middle: 1 where it is all there.
double ShareOf(const std::vector<float>& in, const std::vector<float>& out, int64_t delay) {
  double both = 0, own = 0;
  for (size_t i = in.size() / 4; i + delay < out.size() && i < in.size() * 3 / 4; ++i) {
    both += static_cast<double>(in[i]) * out[i + delay];
    own += static_cast<double>(in[i]) * in[i];
  }
  return both / own;
}

Signal Tone(int rate, double hz, double seconds) {
  Signal s(1, std::vector<float>(static_cast<size_t>(rate * seconds)));
  for (size_t i = 0; i < s[0].size(); ++i) {
    s[0][i] = static_cast<float>(0.3 * std::sin(2 * std::numbers::pi * hz * static_cast<double>(i) / rate));
  }
  return s;
}

// The models that there are, each with a rate above its own.
std::vector<std::pair<SpeechModel, int>> ModelsAndHigherRates() {
  std::vector<std::pair<SpeechModel, int>> models{{DeepFilterModel(), 96000}};
  if (auto gtcrn = LoadSpeechModel(testing::SharedFile("goldens/gtcrn/gtcrn-dns3.tar"))) {
    models.emplace_back(*gtcrn, 48000);
  }
  return models;
}

TEST(LiveDenoiser, AboveTheModelsBandNoiseIsLoweredAsFarAsAsked) {
  for (const auto& [model, rate] : ModelsAndHigherRates()) {
    const Signal in = Tone(rate, 0.4 * rate, 0.5);
    for (const float limit : {0.0f, 6.0f, 20.0f, 100.0f}) {
      const double wanted = limit < 100 ? std::pow(10, -limit / 20) : 0;
      auto live = MakeLive(model, {.sample_rate = rate});
      ASSERT_TRUE(live);
      live->set_attenuation_limit(limit);
      EXPECT_NEAR(ShareOf(in[0], Live(*live, in, 700)[0], live->latency()), wanted, 1e-4) << limit;
      const Signal whole = Whole(model, rate, in, 16, {.speech = {.attenuation_limit = limit}});
      EXPECT_NEAR(ShareOf(in[0], whole[0], 0), wanted, 1e-4) << limit;
    }
  }
}

TEST(LiveDenoiser, ALimitOfNothingIsTheInputAtAnyRate) {
  std::mt19937 random(3);
  std::uniform_real_distribution<float> noise(-0.5f, 0.5f);
  std::vector<std::pair<SpeechModel, int>> cases = ModelsAndHigherRates();
  for (const int rate : {8000, 44100, 44056}) cases.emplace_back(DeepFilterModel(), rate);
  for (const auto& [model, rate] : cases) {
    Signal in(2, std::vector<float>(static_cast<size_t>(rate / 2 + 77)));
    for (auto& channel : in) {
      for (float& v : channel) v = noise(random);
    }
    auto live = MakeLive(model, {.sample_rate = rate, .channels = 2});
    ASSERT_TRUE(live);
    live->set_attenuation_limit(0);
    ExpectDelayed(in, Live(*live, in, 333), live->latency(), rate / 20);
    const Signal whole = Whole(model, rate, in, 16, {.speech = {.attenuation_limit = 0}});
    for (int c = 0; c < 2; ++c) EXPECT_GE(Agreement(in[c], whole[c]), kFloor) << rate;
  }
}

TEST(LiveDenoiser, ALimitThatMovesDoesNotClick) {
  // A low tone that the limit's moves must not spread: what is not at most as loud as the tone was split wrongly.
  for (const auto& [model, rate] : ModelsAndHigherRates()) {
    const Signal in = Tone(rate, 500, 1.0);
    auto live = MakeLive(model, {.sample_rate = rate});
    ASSERT_TRUE(live);
    Signal out = in;
    const int64_t piece = rate / 10;
    for (int64_t at = 0, turn = 0; at + piece <= static_cast<int64_t>(in[0].size()); at += piece, ++turn) {
      live->set_attenuation_limit(turn % 2 == 0 ? 0.0f : 3.0f);
      ASSERT_TRUE(live->Process(RowsAt(in, at).data(), RowsAt(out, at).data(), piece));
    }
    // Steps from sample to sample: a tone of 0.3 has none above its slope.
    const double slope = 0.3 * 2 * std::numbers::pi * 500 / rate;
    for (size_t i = live->latency() + 1000; i < out[0].size(); ++i) {
      ASSERT_LT(std::abs(out[0][i] - out[0][i - 1]), 1.5 * slope) << i << " at " << rate;
    }
  }
}

// Inputs that have broken other implementations.
Signal Hostile(const std::string& kind, int rate, double seconds) {
  Signal s = Speechlike(1, rate, seconds);
  for (size_t i = 0; i < s[0].size(); ++i) {
    float& x = s[0][i];
    if (kind == "clipped") x = std::clamp(x * 100, -1.0f, 1.0f);
    if (kind == "silent") x = 0;
    if (kind == "offset") x += 0.5f;
    if (kind == "nan" && i % 1001 == 0) x = std::numeric_limits<float>::quiet_NaN();
    if (kind == "infinite" && i % 777 == 0) x = (i % 2 ? 1 : -1) * std::numeric_limits<float>::infinity();
    if (kind == "huge") x *= 1e30f;
    if (kind == "tiny") x *= 1e-42f;
    if (kind == "telephone" && i % 6 != 0) x = s[0][i / 6 * 6];  // a step of 8 kHz, as bad resampling leaves it
  }
  return s;
}

class Robustness : public ::testing::TestWithParam<const char*> {};

TEST_P(Robustness, OutputIsFiniteAndBounded) {
  std::vector<SpeechModel> models{DeepFilterModel()};
  if (auto gtcrn = LoadSpeechModel(testing::SharedFile("goldens/gtcrn/gtcrn-dns3.tar"))) models.push_back(*gtcrn);
  for (const SpeechModel& model : models) {
    const int rate = model.sample_rate();
    const Signal in = Hostile(GetParam(), rate, 1.0);
    auto live = MakeLive(model, {.sample_rate = rate});
    ASSERT_TRUE(live);
    const Signal out = Live(*live, in, 512);
    float loudest = 0;
    for (const float v : out[0]) {
      ASSERT_TRUE(std::isfinite(v));
      loudest = std::max(loudest, std::abs(v));
    }
    const bool loud = std::string(GetParam()) == "huge" || std::string(GetParam()) == "infinite";
    if (!loud) {
      EXPECT_LT(loudest, 20.0f);
    }
    if (std::string(GetParam()) == "silent") {
      EXPECT_EQ(loudest, 0.0f);
    }
    // It recovers: silence in, silence out, and then speech as from a new stream, but for what it has learnt of the
    // noise.
    const Signal silence(1, std::vector<float>(static_cast<size_t>(rate) * 2));
    const Signal after = Live(*live, silence, 512);
    for (size_t i = after[0].size() - rate / 2; i < after[0].size(); ++i) ASSERT_LT(std::abs(after[0][i]), 1e-3f);
    const Signal again = Live(*live, Speechlike(1, rate, 1.0), 512);
    for (const float v : again[0]) {
      ASSERT_TRUE(std::isfinite(v));
      ASSERT_LT(std::abs(v), 20.0f);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Inputs, Robustness,
                         ::testing::Values("clipped", "silent", "offset", "nan", "infinite", "huge", "tiny",
                                           "telephone"));

TEST(LiveDenoiser, FlushesDenormalsWhileItRunsAndNotAfter) {
  auto live = MakeLive(DeepFilterModel(), {});
  ASSERT_TRUE(live);
  const Signal in = Hostile("tiny", 48000, 0.1);
  Signal out = in;
  ASSERT_TRUE(live->Process(RowsAt(in, 0).data(), RowsAt(out, 0).data(), 4800));
  for (const float v : out[0]) ASSERT_TRUE(v == 0 || std::isnormal(v));
  volatile float least = std::numeric_limits<float>::min();
  EXPECT_NE(least / 2, 0.0f);  // the caller's arithmetic is as it was
}

TEST(LiveDenoiser, SaysWhatItCannotDo) {
  EXPECT_FALSE(LiveDenoiser::Create(DeepFilterModel(), {.channels = 0}));
  EXPECT_FALSE(LiveDenoiser::Create(DeepFilterModel(), {.channels = 65}));
  EXPECT_FALSE(LiveDenoiser::Create(DeepFilterModel(), {.sample_rate = 999}));
}

}  // namespace
}  // namespace timbre
