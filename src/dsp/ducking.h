// Side-chain ducking: one signal is turned down while another is loud, so that what bled into it goes.
#pragma once

#include <span>

namespace timbre {

struct DuckingOptions {
  double threshold_db = -30;  // level of the key, over full scale, from which it acts
  double ratio = 4;           // 1 dB out for so many dB of the key above the threshold; at least 1
  double attack_ms = 1, release_ms = 60;
  double knee_db = 6;  // width of the soft knee around the threshold
  double mix = 1;      // 0 dry … 1 wet
};

// Keeps its envelope from block to block: blocks of any size give the same result as the whole. Not thread-safe.
class Ducker {
 public:
  Ducker(const DuckingOptions& options, double sample_rate);

  // The next block: turns `signal` down by what `key`, of the same length, asks for.
  void Process(std::span<float> signal, std::span<const float> key);

 private:
  float Next(float key);

  DuckingOptions options_;
  double attack_, release_;  // what is kept of the envelope from one sample to the next
  double reduction_db_ = 0;
};

}  // namespace timbre
