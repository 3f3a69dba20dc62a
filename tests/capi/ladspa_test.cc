// The C interface from C, and the LADSPA plugin in the hosts of Debian's ladspa-sdk.
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>

#include "audio/decode.h"
#include "audio/encode.h"
#include "include/timbre/timbre.h"
#include "pipelines/speech/live_denoiser.h"
#include "tests/e2e/program.h"
#include "tests/parity/speech_support.h"
#include "tests/support/places.h"

namespace timbre {
namespace {

using testing::Agreement;
using testing::TempFolder;

// What the shell makes of `command`: 0 where all went well.
int Shell(const std::string& command) { return std::system(command.c_str()); }

AudioBuffer ReadWhole(const std::filesystem::path& path) {
  auto audio = ReadAudioFile(path.string(), 1 << 24);
  EXPECT_TRUE(audio) << audio.error().message;
  return audio ? *std::move(audio) : AudioBuffer();
}

// What the plugin and the library must give: interleaved samples through the live path.
std::vector<float> Expected(const std::string& model_path, const AudioBuffer& in, float attenuation_limit, float mix) {
  auto model = LoadSpeechModel(model_path);
  EXPECT_TRUE(model);
  auto live = LiveDenoiser::Create(*model, {.sample_rate = in.sample_rate, .channels = in.channels});
  EXPECT_TRUE(live);
  (*live)->set_attenuation_limit(attenuation_limit);
  (*live)->set_mix(mix);
  const int64_t frames = in.frames();
  std::vector<std::vector<float>> planes(in.channels, std::vector<float>(static_cast<size_t>(frames)));
  std::vector<float*> rows;
  for (int c = 0; c < in.channels; ++c) {
    rows.push_back(planes[c].data());
    for (int64_t i = 0; i < frames; ++i) planes[c][i] = in.samples[i * in.channels + c];
  }
  EXPECT_TRUE((*live)->Process(rows.data(), rows.data(), frames));
  std::vector<float> out(in.samples.size());
  for (int c = 0; c < in.channels; ++c) {
    for (int64_t i = 0; i < frames; ++i) out[i * in.channels + c] = planes[c][i];
  }
  return out;
}

TEST(CInterface, CleansAsTheLibraryDoes) {
  TempFolder folder;
  const std::string model = testing::MakeSmallModelFolder(folder / "model");
  AudioBuffer in{.sample_rate = 48000, .channels = 1};
  in.samples = testing::Golden(testing::DataFile("deepfilternet/deepfilternet3-small.safetensors"))["noisy"];
  testing::WriteAll(folder / "in.f32", {reinterpret_cast<const char*>(in.samples.data()), in.samples.size() * 4});
  const std::string io = " < " + (folder / "in.f32").string() + " > " + (folder / "out.f32").string();
  ASSERT_EQ(Shell(testing::CExamplePath() + " " + model + " 48000 777" + io), 0);
  const std::string bytes = testing::ReadAll(folder / "out.f32");
  std::vector<float> out(bytes.size() / 4);
  std::memcpy(out.data(), bytes.data(), out.size() * 4);
  EXPECT_EQ(out, Expected(model, in, 100, 1));
}

TEST(CInterface, NullPointersAreRefused) {
  TempFolder folder;
  const std::string model = testing::MakeSmallModelFolder(folder / "model");
  timbre_denoiser* const denoiser = timbre_denoiser_create((model + "/").c_str(), 48000, 2, nullptr, 0);
  ASSERT_NE(denoiser, nullptr);
  std::vector<float> sound(100);
  const float* const in[2] = {sound.data(), nullptr};
  float* const out[2] = {sound.data(), sound.data()};
  EXPECT_EQ(timbre_denoiser_process(denoiser, in, out, sound.size()), TIMBRE_INVALID_ARGUMENT);
  EXPECT_EQ(timbre_denoiser_process(denoiser, out, nullptr, sound.size()), TIMBRE_INVALID_ARGUMENT);
  EXPECT_EQ(timbre_denoiser_process(nullptr, out, out, sound.size()), TIMBRE_INVALID_ARGUMENT);
  EXPECT_EQ(timbre_denoiser_process(denoiser, out, out, sound.size()), TIMBRE_OK);
  timbre_denoiser_destroy(denoiser);
}

TEST(CInterface, SaysWhyThereIsNoStream) {
  TempFolder folder;
  const std::string err = " </dev/null >/dev/null 2> " + (folder / "err").string();
  EXPECT_NE(Shell(testing::CExamplePath() + " /no/such/model 48000 100" + err), 0);
  EXPECT_NE(testing::ReadAll(folder / "err").find("/no/such/model"), std::string::npos);
  // No name: what the environment says.
  EXPECT_NE(Shell("TIMBRE_MODEL=/chosen/elsewhere " + testing::CExamplePath() + " '' 48000 100" + err), 0);
  EXPECT_NE(testing::ReadAll(folder / "err").find("/chosen/elsewhere"), std::string::npos);
}

// A host that is not built with a sanitizer can't load a plugin that is.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kHostsCanLoad = false;
#else
constexpr bool kHostsCanLoad = true;
#endif
#define TIMBRE_NEED_HOSTS()                                                                                     \
  if (!kHostsCanLoad) GTEST_SKIP() << "*** SKIPPED: Debian's hosts can't load a plugin with a sanitizer in it"; \
  if (!HaveHosts()) GTEST_SKIP() << "*** SKIPPED: Debian's ladspa-sdk is not installed"

bool HaveHosts() { return Shell("command -v applyplugin >/dev/null && command -v analyseplugin >/dev/null") == 0; }

TEST(Ladspa, AHostFindsBothPlugins) {
  TIMBRE_NEED_HOSTS();
  TempFolder folder;
  ASSERT_EQ(Shell("analyseplugin -l " + testing::LadspaPath() + " > " + (folder / "list").string()), 0);
  const std::string list = testing::ReadAll(folder / "list");
  EXPECT_NE(list.find("timbre_denoise_mono"), std::string::npos) << list;
  EXPECT_NE(list.find("timbre_denoise_stereo"), std::string::npos) << list;
  ASSERT_EQ(Shell("analyseplugin " + testing::LadspaPath() + " timbre_denoise_stereo > " + (folder / "ports").string()),
            0);
  const std::string ports = testing::ReadAll(folder / "ports");
  EXPECT_NE(ports.find("\"Attenuation limit (dB)\" input, control, 0 to 100, default 100"), std::string::npos) << ports;
  EXPECT_NE(ports.find("\"latency\" output, control"), std::string::npos) << ports;
  EXPECT_NE(ports.find("Hard Real-Time"), std::string::npos) << ports;
}

class LadspaRates : public ::testing::TestWithParam<int> {};

TEST_P(LadspaRates, AHostCleansAFile) {
  TIMBRE_NEED_HOSTS();
  TempFolder folder;
  const std::string model = testing::MakeSmallModelFolder(folder / "model");
  const int rate = GetParam();
  testing::WriteTestWav(folder / "stereo.wav", 0.6, rate);
  const AudioBuffer stereo = ReadWhole(folder / "stereo.wav");
  AudioBuffer mono{.sample_rate = rate, .channels = 1};
  for (int64_t i = 0; i < stereo.frames(); ++i) mono.samples.push_back(stereo.samples[2 * i]);
  {
    auto writer = AudioWriter::Create((folder / "mono.wav").string(), {.clip = ClipMode::kNone}, rate, 1);
    ASSERT_TRUE(writer);
    ASSERT_TRUE((*writer)->Write(mono.samples.data(), mono.frames()));
    ASSERT_TRUE((*writer)->Finish());
  }
  for (const AudioBuffer& in : {mono, stereo}) {
    const std::string kind = in.channels == 1 ? "mono" : "stereo";
    for (const auto& [limit, mix] : {std::pair{100.0f, 1.0f}, {6.0f, 0.75f}}) {
      const std::string controls = std::to_string(limit) + " 0 " + std::to_string(mix);
      ASSERT_EQ(Shell("TIMBRE_MODEL=" + model + " applyplugin " + (folder / (kind + ".wav")).string() + " " +
                      (folder / "out.wav").string() + " " + testing::LadspaPath() + " timbre_denoise_" + kind + " " +
                      controls + " > /dev/null"),
                0);
      const AudioBuffer out = ReadWhole(folder / "out.wav");
      EXPECT_EQ(out.sample_rate, rate);
      EXPECT_EQ(out.frames(), in.frames());
      // The host's file has 16 bits: a rounding of 2^-16 against the signal.
      EXPECT_GT(Agreement(Expected(model, in, limit, mix), out.samples), 50.0) << kind << ' ' << controls;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Sweep, LadspaRates, ::testing::Values(44100, 48000, 96000));

TEST(Ladspa, AHostIsToldWhereThereIsNoModel) {
  TIMBRE_NEED_HOSTS();
  TempFolder folder;
  testing::WriteTestWav(folder / "in.wav", 0.1, 48000);
  EXPECT_NE(Shell("TIMBRE_MODEL=/no/such/model applyplugin " + (folder / "in.wav").string() + " " +
                  (folder / "out.wav").string() + " " + testing::LadspaPath() + " timbre_denoise_stereo 100 0 1 2> " +
                  (folder / "err").string() + " > /dev/null"),
            0);
  EXPECT_NE(testing::ReadAll(folder / "err").find("/no/such/model"), std::string::npos);
}

}  // namespace
}  // namespace timbre
