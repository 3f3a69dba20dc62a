// How loud audio is: ITU-R BS.1770-4 and EBU R 128, by libebur128.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

#include "audio/buffer.h"
#include "base/result.h"

namespace timbre {

// LUFS, LU and dBTP. What silence has none of is minus infinity.
struct Loudness {
  double integrated = -std::numeric_limits<double>::infinity();      // of what the gates of -70 LUFS and -10 LU leave
  double short_term_max = -std::numeric_limits<double>::infinity();  // over 3 s: of less there is none
  double momentary_max = -std::numeric_limits<double>::infinity();   // over 0.4 s, likewise
  double range = 0;                                                  // EBU Tech 3342
  double true_peak = -std::numeric_limits<double>::infinity();       // of the loudest channel
};

// Is given a stream in blocks of any size, which never change the result. What is kept for the gates is about 300 bytes
// a second of audio, whatever its rate.
class LoudnessMeter {
 public:
  // A channel's weight goes by its speaker: the low-frequency one counts nothing, surrounds 1.5 dB more. Without
  // `true_peak`, which takes most of the time, that is the largest sample. Fails with kUnsupported on rates below 16 Hz
  // or above 2.8 MHz, and on no channel or more than 64.
  static Result<LoudnessMeter> Create(int sample_rate, const std::vector<Speaker>& speakers, bool true_peak = true);
  LoudnessMeter(LoudnessMeter&&) noexcept;
  LoudnessMeter& operator=(LoudnessMeter&&) noexcept;
  ~LoudnessMeter();

  // [frames, channels], finite.
  Status Add(const float* interleaved, int64_t frames);
  // Of all that was added.
  Result<Loudness> Measure() const;

 private:
  struct State;
  explicit LoudnessMeter(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// The factor of a level in decibels, and the other way.
double FromDb(double db);
double ToDb(double factor);

}  // namespace timbre
