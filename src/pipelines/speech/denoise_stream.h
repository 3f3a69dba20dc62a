// Speech cleaned at any sample rate, in pieces of any size.
#pragma once

#include <memory>
#include <vector>

#include "base/denormals.h"
#include "dsp/sample_ring.h"
#include "dsp/stream_resampler.h"
#include "pipelines/speech/speech_core.h"

namespace timbre {

// Output sample k belongs to input sample k and trails it by up to lag() samples; what samples the input is does not
// matter to it: values that are not finite count as silence and huge ones are cut. Files and live streams run through
// this same class, with blocks of many frames or of one. What lies outside the band that passes the model's rate and
// back is noise to it: lowered as far as the attenuation limit allows, and gone where there is none. Nothing allocates,
// locks or does I/O after Create with one thread. Not thread-safe.
class DenoiseStream {
 public:
  // The most samples that one call of Push may bring.
  static constexpr int64_t kMostPush = 1024;

  static Result<std::unique_ptr<DenoiseStream>> Create(const SpeechModel& model, int sample_rate,
                                                       const SpeechCoreOptions& options, const SessionOptions& session,
                                                       ThreadPool& pool, Stats* stats);

  struct Controls {
    SpeechControls speech;
    float mix = 1;  // the share of the cleaned signal in the output; the rest is the input as it came
  };

  int channels() const { return channels_; }
  int sample_rate() const { return rate_; }
  int64_t lag() const { return lag_; }

  // Takes `count` samples of each channel, up to kMostPush. At most lag() samples may be in it: taken, and not pulled.
  Status Push(const float* const* in, int64_t count, const Controls& controls);
  // No more input: then there is as much output as there was input, to be taken by Pull. Only Reset may follow.
  Status Finish(const Controls& controls);
  int64_t available() const { return out_.size(); }
  int64_t in_flight() const { return taken_ - given_; }
  // Gives `count` samples of each channel; as many must be available. `out` may be what was given to Push.
  void Pull(float* const* out, int64_t count, const Controls& controls);

  // Back to the state of a new stream.
  void Reset();
  void Visit(StateStream& stream);

  Session& session() { return core_->session(); }

 private:
  DenoiseStream(int channels, int rate, int model_rate, std::unique_ptr<SpeechCore> core, StreamResampler in,
                StreamResampler out, int64_t lag, int64_t burst);
  // Hands whole hops to the core, and what it gives to the output.
  Status Drain(const SpeechControls& controls);
  Status TakeCore(const SpeechControls& controls);
  // Takes the input's share under the attenuation limit out of `count` samples that the core gave, and remembers the
  // share for the output that they become.
  void TakeShareOut(int64_t count, float share);

  const int channels_, rate_, model_rate_;
  std::unique_ptr<SpeechCore> core_;
  StreamResampler resample_in_, resample_out_;
  const int64_t lag_;
  const bool converts_;  // the model's rate is another
  std::vector<float> clean_, at_model_, hop_, from_core_, back_, dry_, under_, share_of_;  // [channel][…] each
  std::vector<float*> clean_rows_, at_model_rows_, hop_rows_, from_core_rows_, back_rows_, dry_rows_, under_rows_,
      share_rows_;
  SampleRing waiting_;  // at the model's rate, less than a hop between calls
  SampleRing out_;      // at the stream's rate
  SampleRing input_;    // what came in and has not gone out
  // Under a limit that leaves the share s, the output is in(x) s + out(core - in(low) s), `low` being x at the model's
  // rate: so x keeps its share in the bands that neither resampler passes, at the cost of a product a sample.
  SampleRing low_;                 // at the model's rate: what the core has not given yet
  SampleRing shares_;              // at the stream's rate, one channel: of output to come
  float share_ = 0;                // the last one
  int64_t cleaned_ = 0;            // samples at the model's rate that the core has given
  int64_t taken_ = 0, given_ = 0;  // samples
};

}  // namespace timbre
