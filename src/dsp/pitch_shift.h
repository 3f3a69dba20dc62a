// Raises or lowers the pitch of a sound and keeps its time, or the other way round: grain by grain the sound is
// stretched, each grain laid where it goes on best from the one before (waveform similarity overlap-add), and what was
// stretched is read so much faster. The page's player does the same, to the same numbers (apps/web/src/audio/pitch.ts).
#pragma once

#include <cstdint>
#include <vector>

namespace timbre {

// Streaming: as many frames out as in, kLatency later. Not thread-safe.
class PitchShifter {
 public:
  static constexpr double kMostRatio = 8;  // of pitches, and 1 / 8 the least
  // Frames by which what comes out is behind what went in, whatever the ratio is.
  static constexpr int64_t kLatency = 2688;

  // `ratio` within the range above; `channels` share their grains.
  PitchShifter(double ratio, int channels);

  // `frames` interleaved in, as many out in their place. Blocks of any size give the same.
  void Process(float* samples, int64_t frames);

 private:
  float Read(int channel, int64_t at);
  void LayGrain();
  // Where about `nominal` the sound is most like what it is from `natural` on, of every `step` places.
  int64_t Search(int64_t nominal, int64_t natural, int64_t least, int64_t most, int64_t step) const;

  const double ratio_;
  const int channels_;
  const int64_t half_;                                 // taps of the filter that reads, on each side
  std::vector<float> window_;                          // of a grain
  std::vector<float> kernel_;                          // [phases + 1, 2 half_]
  std::vector<std::vector<float>> input_, stretched_;  // rings, by channel
  int64_t taken_ = 0, given_ = 0;                      // frames
  int64_t grain_ = -1;                                 // the next one
  int64_t last_;                                       // where the one before begins in the input
};

}  // namespace timbre
