// Harmonic and percussive parts by median filters with soft masks (Fitzgerald, "Harmonic/percussive separation using
// median filtering", DAFx 2010): what sounds long is flat along time in the spectrogram, what sounds short is flat
// along frequency.
#pragma once

#include <cstdint>
#include <span>

namespace timbre {

// The paper's: frames of 4096 samples at 44.1 kHz, a hop of a quarter, medians of 17.
inline constexpr int64_t kHarmonicFrame = 4096, kHarmonicHop = 1024, kHarmonicReach = 8;

// The harmonic part's share of each bin of the frame rows[middle], 0 to 1; the rest is percussive. `rows` are the
// magnitudes of the frames within kHarmonicReach of it, as many as there are; each has `bins`.
void HarmonicShares(std::span<const float* const> rows, size_t middle, int64_t bins, float* shares);

}  // namespace timbre
