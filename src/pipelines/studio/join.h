// Several files into one, cross-faded.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "audio/loudness.h"
#include "base/fields.h"
#include "base/observer.h"
#include "base/result.h"
#include "pipelines/studio/render.h"

namespace timbre {

enum class JoinLevel : uint8_t {
  kNone,
  kPeak,      // turned down where a peak would be above the ceiling, never up
  kLoudness,  // one gain to the wanted loudness, as far as the ceiling lets it
};

struct JoinOptions {
  std::string output = "joined.wav";
  std::string timeline;  // a file that says which clips, instead of inputs
  double crossfade = 0;  // seconds
  FadeLaw law = FadeLaw::kEqualPower;
  int sample_rate = 0;  // 0: the highest of the clips'
  JoinLevel level = JoinLevel::kPeak;
  double loudness = -14;        // LUFS
  double ceiling = -1;          // dBTP
  std::string format = "auto";  // by the output's extension, or a name of ParseFileFormat
  std::string sample_format = "s16";
  int bitrate = 0;
  std::string temp_dir;
};

// `options` must outlive the fields.
FieldList JoinFields(JoinOptions& options);

struct JoinReport {
  std::string output;
  int sample_rate = 0, channels = 0;
  int64_t samples = 0;
  double seconds = 0;
  nlohmann::ordered_json timeline;  // with the places of the clips
  Loudness loudness;                // of the output
  double gain_db = 0;
  std::vector<std::string> warnings;
};

// The files, or the clips of the options' timeline file:
//
//   crossfade: 2                # seconds, where a clip has none of its own
//   master: rock_master         # a preset, or a chain (docs/presets.yaml)
//   clips:
//     - {file: verse.wav, from: 1.5, length: 30, gain_db: -2}     # seconds; files beside the timeline
//     - {file: chorus.flac, crossfade: 1, chain: vocal_focused}
Result<JoinReport> Join(const std::vector<std::string>& inputs, const JoinOptions& options, Observer& observer);

}  // namespace timbre
