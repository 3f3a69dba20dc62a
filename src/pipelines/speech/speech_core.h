// Speech cleaned at the model's own rate, hop by hop: transform, features, network, filter and inverse, with all state.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <string>

#include "base/state_stream.h"
#include "models/speech/speech.h"
#include "runtime/session/session.h"
#include "runtime/session/stats.h"

namespace timbre {

struct SpeechCoreOptions {
  int channels = 1;
  // Frames that the network takes at once. 1 for live use; more is faster and gives the same, later.
  int block_frames = 1;
  bool deep_filter = true;  // false: DeepFilterNet's gains alone
  // DeepFilterNet's estimate of the local signal-to-noise ratio (dB) decides for each frame what is left out: below
  // `min` it is noise alone and silenced; above `max_erb` it is clean and passed; above `max_df` gains are enough. What
  // is left out is not computed, which needs one frame at a time: block_frames is 1 then.
  bool use_thresholds = false;
  float threshold_min = -10, threshold_max_erb = 30, threshold_max_df = 20;
};

// What may change between any two hops.
struct SpeechControls {
  // Noise is lowered by at most so many dB, by mixing the noisy spectrum in. 100 and above: no limit. 0: no effect.
  float attenuation_limit = 100;
  float post_filter_beta = 0;  // 0: off; DeepFilterNet's own is 0.02
};

// The share of the noisy signal that stays under an attenuation limit in dB: 1 at 0, none from 100 on.
float NoisyShare(float attenuation_limit);

// Channels are cleaned independently. Output sample k belongs to input sample k: no delay is added, but output trails
// input by up to lag(). Nothing allocates, locks or does I/O after Create with one thread. Not thread-safe.
class SpeechCore {
 public:
  static Result<std::unique_ptr<SpeechCore>> Create(const SpeechModel& model, const SpeechCoreOptions& options,
                                                    const SessionOptions& session, ThreadPool& pool, Stats* stats);
  virtual ~SpeechCore() = default;

  virtual int hop() const = 0;  // samples
  // The most samples of input whose output has not come yet, counting those that don't fill a hop.
  virtual int64_t lag() const = 0;

  // Takes one hop of each channel; finite samples only. There must be no output left.
  virtual Status PushHop(const float* const* hop, const SpeechControls& controls) = 0;
  // Takes the last `count` samples, fewer than a hop. After it the outputs of all input are there; only Reset may
  // follow. The end of a signal is not silence: it is what the model's reference makes of it.
  virtual Status Finish(const float* const* rest, int64_t count, const SpeechControls& controls) = 0;

  // Output that can be taken, and taking it.
  virtual int64_t available() const = 0;
  virtual void Pop(float* const* out, int64_t count) = 0;

  virtual void Reset() = 0;
  virtual void Visit(StateStream& stream) = 0;

  // What ran on, for reports.
  virtual const Session& session() const = 0;
  virtual Session& session() = 0;
};

}  // namespace timbre
