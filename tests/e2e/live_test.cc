// Live sound through the program, between devices that are files: what ALSA's own plugins make of them.
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "tests/e2e/program.h"
#include "tests/parity/speech_support.h"
#include "tests/support/environment.h"

namespace timbre::testing {
namespace {

namespace fs = std::filesystem;

class LiveDevices : public ::testing::Test {
 protected:
  // Devices for ALSA to know, and no others. Where all can be opened, PortAudio aborts.
  void Configure(bool one_is_missing) {
    const std::string folder = folder_.path().string();
    WriteAll(folder_ / "in.raw", std::string(1 << 16, '\0'));
    WriteAll(folder_ / "asound.conf",
             "pcm.null { type null }\n"
             "pcm.test_microphone { type file slave.pcm null file /dev/null infile \"" +
                 folder +
                 "/in.raw\" format raw }\n"
                 "pcm.test_ear { type file slave.pcm null file \"" +
                 folder + "/out.raw\" format raw }\n" +
                 (one_is_missing ? "pcm.test_gone { type file slave.pcm gone file /dev/null format raw }\n" : ""));
  }
  int64_t Written() const {
    std::error_code error;
    const auto bytes = fs::file_size(folder_ / "out.raw", error);
    return error ? 0 : static_cast<int64_t>(bytes);
  }

  TempFolder folder_;
  const Environment environment_{{{"ALSA_CONFIG_PATH", (folder_ / "asound.conf").string()}}};
};

TEST_F(LiveDevices, AreListedAndChosenByName) {
  Configure(true);
  const Ran devices = RunTimbre({"devices"}, folder_.path());
  ASSERT_EQ(devices.code, 0) << devices.err;
  EXPECT_NE(devices.out.find(": test_microphone (ALSA)"), std::string::npos) << devices.out;
  EXPECT_EQ(devices.out.find("test_gone"), std::string::npos) << devices.out;
  const std::string model = MakeSmallModelFolder(folder_ / "model");
  const auto complaint = [&](std::vector<std::string> words) {
    words.insert(words.begin(), {"denoise", "-m", model});
    const Ran ran = RunTimbre(words, folder_.path());
    EXPECT_NE(ran.code, 0);
    EXPECT_EQ(std::count(ran.err.begin(), ran.err.end(), '\n'), 1) << ran.err;
    return ran.err;
  };
  EXPECT_NE(complaint({"--live", "--in", "gramophone", "--out", "EAR"}).find("no device 'gramophone' that records"),
            std::string::npos);
  EXPECT_NE(complaint({"--live", "--out", "Test_"}).find("could be any of 0: test_"), std::string::npos);
  EXPECT_NE(complaint({"--in", "ear", "a.wav"}).find("--in has no effect: --live is not given"), std::string::npos);

  Child live({"denoise", "-m", model, "--live", "--in", "Microphone", "--out", "test_ear"}, folder_.path());
  for (int i = 0; i < 1000 && Written() < 4096; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  live.Signal(SIGINT);
  const Ran ran = live.Wait();
  EXPECT_GE(Written(), 4096) << ran.out << ran.err;
  EXPECT_NE(ran.out.find("test_microphone to test_ear at "), std::string::npos) << ran.out << ran.err;
}

TEST_F(LiveDevices, ASoundSystemThatAbortsTakesNothingWithIt) {
  Configure(false);
  const Ran devices = RunTimbre({"devices"}, folder_.path());
  EXPECT_EQ(devices.code, 0) << devices.err;
  EXPECT_NE(devices.out.find("auto takes "), std::string::npos) << devices.out;
  EXPECT_NE(devices.out.find("sound"), std::string::npos) << devices.out;
  EXPECT_EQ(devices.err, "");
}

}  // namespace
}  // namespace timbre::testing
