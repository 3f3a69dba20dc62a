// Compressors: what is louder than a threshold is turned down, over time.
#pragma once

#include <cstdint>
#include <vector>

namespace timbre {

struct CompressorOptions {
  double threshold_db = 0;  // of full scale
  double ratio = 1;         // dB in for each dB out above the threshold
  double attack_ms = 1, release_ms = 100;
  double knee_db = 6;    // wide, around the threshold; of LinkedCompressor
  double makeup_db = 0;  // of LinkedCompressor
};

// Channel by channel, peaks of |x| under a hard knee, as the plug-ins of many hosts do it: in a time constant the
// envelope goes 1 - exp(-2 pi) of the way, so that "5 ms" are 0.8 ms as others count. Of what is sent through
// `CutAtFullScale` it is the limiter of the same family as well.
class PeakCompressor {
 public:
  PeakCompressor(const CompressorOptions& options, double sample_rate, int channels);
  // [frames, channels], in place. Blocks of any size give the same bits.
  void Process(float* interleaved, int64_t frames);

 private:
  int channels_;
  double threshold_, exponent_, attack_, release_;
  std::vector<double> envelopes_;
};

// Two compressors in a row (-10 dBFS, 4:1, 2 and 200 ms; `threshold_db`, 1000:1, 0.001 ms and `release_ms`), a gain of
// 3.75 dB less the threshold, and a cut at full scale. Not a limiter with that ceiling: a lower threshold is louder.
class ClassicLimiter {
 public:
  ClassicLimiter(double threshold_db, double release_ms, double sample_rate, int channels);
  void Process(float* interleaved, int64_t frames);

 private:
  PeakCompressor first_, second_;
  int channels_;
  float gain_;
};

// All channels get one gain, so that nothing moves between them: by the loudest of them, under a soft knee (Giannoulis,
// Massberg and Reiss, "Digital Dynamic Range Compressor Design", JAES 2012), smoothed in decibels by one pole that
// branches, whose times are those of 63 % of the way.
class LinkedCompressor {
 public:
  LinkedCompressor(const CompressorOptions& options, double sample_rate, int channels);
  // [frames, channels], in place. Blocks of any size give the same bits.
  void Process(float* interleaved, int64_t frames);

  // dB that a steady level of `level_db` is turned down by, 0 or less, without the make-up gain.
  double Reduction(double level_db) const;

 private:
  CompressorOptions options_;
  int channels_;
  double attack_, release_, quiet_;
  double reduction_ = 0;  // dB, 0 or less
};

}  // namespace timbre
