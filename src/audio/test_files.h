// For the audio tests: a folder that disappears, signals, and files made by the ffmpeg program.
#pragma once

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <numbers>
#include <random>
#include <string>
#include <vector>

namespace timbre {

class TestFolder {
 public:
  TestFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "timbre-audio-XXXXXX").string();
    path_ = mkdtemp(name.data());
  }
  ~TestFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::string operator/(const std::string& name) const { return (path_ / name).string(); }
  // Names of everything in it, hidden files too.
  std::vector<std::string> Names() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(path_)) names.push_back(entry.path().filename());
    return names;
  }

 private:
  std::filesystem::path path_;
};

inline void WriteBytes(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

inline std::string ReadBytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Interleaved noise of the given peak.
inline std::vector<float> NoiseFrames(int64_t frames, int channels, float peak = 0.5f, unsigned seed = 1) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> uniform(-peak, peak);
  std::vector<float> x(frames * channels);
  for (float& v : x) v = uniform(random);
  return x;
}

// A sine in every channel, channel c at hz * (c + 1).
inline std::vector<float> SineFrames(int64_t frames, int channels, double hz, int rate, float peak = 0.5f) {
  std::vector<float> x(frames * channels);
  for (int64_t i = 0; i < frames; ++i) {
    for (int c = 0; c < channels; ++c) {
      x[i * channels + c] =
          peak * static_cast<float>(std::sin(2 * std::numbers::pi * hz * (c + 1) * static_cast<double>(i) / rate));
    }
  }
  return x;
}

// 10 log10 of the energy of `want` over that of the difference, over the common length.
inline double SignalToError(const std::vector<float>& want, const std::vector<float>& got) {
  double signal = 0, error = 1e-300;
  for (size_t i = 0; i < std::min(want.size(), got.size()); ++i) {
    signal += static_cast<double>(want[i]) * want[i];
    error += std::pow(static_cast<double>(want[i]) - got[i], 2);
  }
  return 10 * std::log10(signal / error);
}

inline bool HaveFfmpeg() { return std::system("ffmpeg -version >/dev/null 2>&1") == 0; }
inline bool RunFfmpeg(const std::string& arguments) {
  return std::system(("ffmpeg -nostdin -y -loglevel error " + arguments).c_str()) == 0;
}

}  // namespace timbre
