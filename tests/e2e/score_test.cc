// `timbre score`, on files.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <numbers>

#include "audio/decode.h"
#include "tests/e2e/program.h"
#include "tests/support/places.h"

namespace timbre::testing {
namespace {

using Json = nlohmann::json;

template <typename T>
void Append(std::string& bytes, T value) {
  bytes.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

// A WAV file of 32-bit floats, so that the samples reach the program as they are.
void WriteFloatWav(const std::filesystem::path& path, const std::vector<float>& samples, int rate, int channels) {
  const auto data = static_cast<uint32_t>(samples.size() * sizeof(float));
  std::string bytes = "RIFF";
  Append(bytes, data + 36);
  bytes += "WAVEfmt ";
  Append(bytes, uint32_t{16});
  Append(bytes, uint16_t{3});
  Append(bytes, static_cast<uint16_t>(channels));
  Append(bytes, static_cast<uint32_t>(rate));
  Append(bytes, static_cast<uint32_t>(rate * channels * 4));
  Append(bytes, static_cast<uint16_t>(channels * 4));
  Append(bytes, uint16_t{32});
  bytes += "data";
  Append(bytes, data);
  bytes.append(reinterpret_cast<const char*>(samples.data()), data);
  WriteAll(path, bytes);
}

// As in src/dsp/metrics_test.cc: white noise that any language repeats bit for bit.
std::vector<double> Noise(size_t length, uint32_t seed) {
  std::vector<double> noise(length);
  for (double& value : noise) {
    seed = seed * 1664525u + 1013904223u;
    value = static_cast<double>(seed >> 8) / 8388608.0 - 1.0;
  }
  return noise;
}

std::vector<float> Degraded(const std::vector<float>& signal, double gain, double noise_gain) {
  const std::vector<double> noise = Noise(signal.size(), 2);
  std::vector<float> out(signal.size());
  for (size_t i = 0; i < out.size(); ++i) out[i] = static_cast<float>(gain * signal[i] + noise_gain * noise[i]);
  return out;
}

// Three seconds of a tone and noise in each of two channels, at 44.1 kHz.
std::vector<float> StereoSignal() {
  const int64_t frames = 44100 * 3;
  const std::vector<double> noise = Noise(2 * frames, 1);
  std::vector<float> signal(2 * frames);
  for (int64_t i = 0; i < frames; ++i) {
    const double turn = 2 * std::numbers::pi * static_cast<double>(i) / 44100;
    const double envelope = 0.5 - 0.5 * std::cos(3 * turn);
    signal[2 * i] = static_cast<float>(envelope * (0.3 * std::sin(220 * turn) + 0.2 * noise[2 * i]));
    signal[2 * i + 1] = static_cast<float>(envelope * (0.3 * std::sin(1300 * turn) + 0.2 * noise[2 * i + 1]));
  }
  return signal;
}

Json ScoreOf(const std::filesystem::path& reference, const std::filesystem::path& estimate,
             const std::vector<std::string>& options = {}) {
  std::vector<std::string> words{"score", reference.string(), estimate.string(), "--json", "-"};
  words.insert(words.end(), options.begin(), options.end());
  const Ran ran = RunTimbre(words);
  EXPECT_EQ(ran.code, 0) << ran.err;
  return ran.code == 0 ? Json::parse(ran.out) : Json();
}

// Ratios from mir_eval 0.8.2, fast_bss_eval 0.1.4 and SNRseg of DeepFilterNet's df/sepm.py, mean over channels; STOI
// and ESTOI from pystoi 0.4.1 on signals that python-soxr (very high quality) brought to 10 kHz. pystoi's own
// resampling differs in its filter; its figures are in the comments.
void ExpectScores(const Json& metrics, double sdr, double median, double si_sdr, double segmental, double stoi,
                  double estoi) {
  EXPECT_NEAR(metrics["sdr_db"], sdr, 1e-5);
  EXPECT_NEAR(metrics["median_frame_sdr_db"], median, 1e-5);
  EXPECT_NEAR(metrics["si_sdr_db"], si_sdr, 1e-5);
  EXPECT_NEAR(metrics["segmental_snr_db"], segmental, 1e-5);
  EXPECT_NEAR(metrics["stoi"], stoi, 1e-5);
  EXPECT_NEAR(metrics["estoi"], estoi, 1e-5);
}

TEST(ScoreCli, AgreesWithIndependentImplementationsOnSpeech) {
  const std::filesystem::path speech =
      std::filesystem::path(testing::SourceDir()) / "../shared/audio/noisy-speech-16k.wav";
  if (!std::filesystem::exists(speech)) GTEST_SKIP() << "SKIPPED: no reference file " << speech;
  const TempFolder folder;
  const auto audio = ReadAudioFile(speech.string(), 1'000'000);
  ASSERT_TRUE(audio) << audio.error().message;
  WriteFloatWav(folder / "estimate.wav", Degraded(audio->samples, 0.8, 0.02), 16000, 1);
  const Json report = ScoreOf(speech, folder / "estimate.wav");
  EXPECT_EQ(report["sample_rate"], 16000);
  EXPECT_EQ(report["frames"], 156302);
  EXPECT_TRUE(report["notes"].empty()) << report["notes"];
  // pystoi's own resampling: 0.891975, 0.789360
  ExpectScores(report["metrics"], 12.33777525, 12.461957688775072, 15.397330261311117, 11.14037527249234, 0.8919752878,
               0.7893638814);
}

TEST(ScoreCli, AgreesWithIndependentImplementationsOnStereo) {
  const TempFolder folder;
  const std::vector<float> signal = StereoSignal();
  WriteFloatWav(folder / "reference.wav", signal, 44100, 2);
  WriteFloatWav(folder / "estimate.wav", Degraded(signal, 0.9, 0.03), 44100, 2);
  const Json report = ScoreOf(folder / "reference.wav", folder / "estimate.wav");
  EXPECT_EQ(report["channels"], 2);
  // pystoi's own resampling: 0.986798, 0.843109
  ExpectScores(report["metrics"], 16.26282049, 16.27893987125341, 17.70313620812335, 10.874668805962141, 0.9867984382,
               0.8431067543);
}

TEST(ScoreCli, PrintsATable) {
  const TempFolder folder;
  const std::vector<float> signal = StereoSignal();
  WriteFloatWav(folder / "reference.wav", signal, 44100, 2);
  WriteFloatWav(folder / "estimate.wav", Degraded(signal, 0.9, 0.03), 44100, 2);
  const Ran ran = RunTimbre({"score", (folder / "reference.wav").string(), (folder / "estimate.wav").string()});
  EXPECT_EQ(ran.code, 0) << ran.err;
  for (const char* part :
       {"SDR ", "16.26 dB", "SI-SDR", "17.70 dB", "segmental SNR", "10.87 dB", "STOI", "extended STOI"}) {
    EXPECT_NE(ran.out.find(part), std::string::npos) << part << "\n" << ran.out;
  }
}

TEST(ScoreCli, SaysWhatItHadToDoToCompare) {
  const TempFolder folder;
  WriteTestWav(folder / "reference.wav", 2.0, 44100);
  WriteTestWav(folder / "longer.wav", 2.5, 44100);
  WriteTestWav(folder / "other.wav", 2.0, 48000);
  WriteTestWav(folder / "short.wav", 0.3, 44100);
  WriteTestWav(folder / "padded.wav", 2.05, 44100);  // as a codec leaves it
  EXPECT_EQ(ScoreOf(folder / "reference.wav", folder / "padded.wav")["frames"], 88200);
  const Json longer = ScoreOf(folder / "reference.wav", folder / "longer.wav", {"--shorter"});
  EXPECT_EQ(longer["frames"], 88200);
  EXPECT_NE(longer["notes"].dump().find("the first 88200"), std::string::npos) << longer["notes"];
  const Json other = ScoreOf(folder / "reference.wav", folder / "other.wav");
  EXPECT_NE(other["notes"].dump().find("resampled from 48000 to 44100 Hz"), std::string::npos) << other["notes"];
  EXPECT_EQ(other["frames"], 88200);
  const Json brief = ScoreOf(folder / "short.wav", folder / "short.wav");
  EXPECT_EQ(brief["metrics"]["sdr_db"], 200.0);
  EXPECT_TRUE(brief["metrics"]["stoi"].is_null());
  EXPECT_NE(brief["notes"].dump().find("STOI is absent"), std::string::npos) << brief["notes"];
}

TEST(ScoreCli, ASilentEstimateHasNoMeasureButTheEnergyRatio) {
  const TempFolder folder;
  WriteFloatWav(folder / "tone.wav", StereoSignal(), 44100, 2);
  WriteFloatWav(folder / "silence.wav", std::vector<float>(StereoSignal().size()), 44100, 2);
  const Json report = ScoreOf(folder / "tone.wav", folder / "silence.wav");
  EXPECT_EQ(report["metrics"]["sdr_db"], 0.0);
  for (const char* key : {"si_sdr_db", "median_frame_sdr_db", "segmental_snr_db", "stoi", "estoi"}) {
    EXPECT_TRUE(report["metrics"][key].is_null()) << key;
  }
  EXPECT_NE(report["notes"].dump().find("The estimate is silent"), std::string::npos) << report["notes"];
}

TEST(ScoreCli, RefusesWhatCannotBeCompared) {
  const TempFolder folder;
  WriteFloatWav(folder / "mono.wav", std::vector<float>(8000, 0.1f), 8000, 1);
  WriteFloatWav(folder / "stereo.wav", std::vector<float>(16000, 0.1f), 8000, 2);
  WriteFloatWav(folder / "silence.wav", std::vector<float>(8000), 8000, 1);
  WriteAll(folder / "text.wav", "this is no audio\n");
  const std::string mono = (folder / "mono.wav").string();
  const auto refused = [&](const std::string& first, const std::string& second, const std::string& part) {
    const Ran ran = RunTimbre({"score", first, second});
    EXPECT_NE(ran.code, 0);
    EXPECT_NE(ran.err.find(part), std::string::npos) << ran.err;
  };
  refused(mono, (folder / "stereo.wav").string(), "of 1 and the estimate of 2 channels");
  refused((folder / "silence.wav").string(), mono, "the reference is silent");
  // A file that was cut short is no perfect estimate, on either side.
  WriteFloatWav(folder / "cut.wav", std::vector<float>(240, 0.1f), 8000, 1);
  refused(mono, (folder / "cut.wav").string(), "the reference is 1.00 s long and the estimate 0.03 s");
  refused((folder / "cut.wav").string(), mono, "the reference is 0.03 s long and the estimate 1.00 s");
  refused(mono, (folder / "missing.wav").string(), "missing.wav");
  refused((folder / "text.wav").string(), mono, "text.wav");
  EXPECT_EQ(RunTimbre({"score", mono}).code, 2);
}

}  // namespace
}  // namespace timbre::testing
