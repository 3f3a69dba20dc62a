// A mastering chain: equaliser bands, a compressor, a limiter; docs/presets.yaml documents every entry.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "dsp/biquad.h"
#include "dsp/dynamics.h"

namespace timbre {

enum class BandType : uint8_t { kHighPass, kLowPass, kLowShelf, kHighShelf, kPeak };

struct ChainBand {
  BandType type = BandType::kPeak;
  double hz = 0;
  double db = 0;  // of shelves and peaks
  double q = 0.7071;
};

struct ChainLimiter {
  double ceiling_db = -1;
  double release_ms = 100;
};

struct MasterChain {
  std::string title, description;
  std::vector<ChainBand> bands;  // in the order in which they work
  std::optional<CompressorOptions> compressor;
  std::optional<ChainLimiter> limiter;
};

// From an object of docs/presets.yaml's form. Errors (kInvalidArgument) name the entry.
Result<MasterChain> ChainFromJson(const nlohmann::ordered_json& json);
nlohmann::ordered_json ChainToJson(const MasterChain& chain);
// From YAML or JSON; errors begin with `name`.
Result<MasterChain> ParseChain(std::string_view text, std::string_view name);
Result<MasterChain> ReadChain(const std::string& path);

struct MasterPreset {
  std::string name;
  MasterChain chain;
};
std::span<const MasterPreset> MasterPresets();
Result<MasterChain> FindPreset(const std::string& name);
// A preset's name, a chain as an object, or null for none.
Result<std::optional<MasterChain>> ChainOrPreset(const nlohmann::ordered_json& json);

// What the two engines make of the same numbers.
enum class ChainEngine : uint8_t {
  // Passes of second order; one gain for all channels under a soft knee; the limiter is not a part of it
  // (dsp/true_peak.h).
  kStudio,
  // As the plug-ins of many hosts, bit by bit as far as filters go: passes of first order, in float; channels each on
  // their own, a hard knee, and a limiter that
  // raises the level as its threshold falls.
  kClassic,
};

// A chain over a stream. Bands of 0 dB change no bit, nor do blocks of another size.
class ChainProcessor {
 public:
  ChainProcessor(const MasterChain& chain, ChainEngine engine, double sample_rate, int channels);
  // [frames, channels], in place.
  void Process(float* interleaved, int64_t frames);

 private:
  BiquadChain filters_;
  BasicBiquadChain<float> classic_filters_;
  std::optional<LinkedCompressor> linked_;
  std::optional<PeakCompressor> peak_;
  std::optional<ClassicLimiter> limiter_;
};

}  // namespace timbre
