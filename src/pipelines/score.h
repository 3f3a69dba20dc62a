// How close one audio file is to another: decode, bring to one rate, measure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "audio/buffer.h"
#include "base/observer.h"
#include "base/result.h"

namespace timbre {

// What dsp/metrics.h defines, of whole files. A measure that can't be taken of them (too short, no speech, a silent
// reference in every channel) is absent, and a note says why.
struct Score {
  std::optional<double> sdr;               // dB, all samples and channels
  std::optional<double> median_frame_sdr;  // dB, frames of one second, all channels
  std::optional<double> si_sdr;            // dB, all samples and channels, one scale
  std::optional<double> segmental_snr;     // dB, mean over channels
  std::optional<double> stoi, estoi;       // mean over channels
  // What was compared.
  int sample_rate = 0, channels = 0;
  int64_t frames = 0;
  std::vector<std::string> notes;  // sentences: what was resampled or cut, which measure is absent and why
};

// Of two signals with the same number of channels. Another rate is resampled to the reference's, and the longer signal
// is cut to the shorter one's length, both with a note. Codecs pad what they encode; lengths that differ by more than
// a quarter of a second are of different recordings, and kInvalidArgument unless `shorter` says that the common part is
// meant. For STOI both are resampled to 10 kHz by soxr; another
// filter there, such as pystoi's own, was seen to move STOI by less than 0.00001.
Result<Score> ScoreSignals(const AudioBuffer& reference, const AudioBuffer& estimate, bool shorter = false);

// Of two audio files, of at most 500 million frames each; they are held in memory.
Result<Score> ScoreFiles(const std::string& reference, const std::string& estimate, bool shorter, Observer& observer);

}  // namespace timbre
