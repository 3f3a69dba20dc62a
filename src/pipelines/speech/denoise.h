// Cleaning speech in audio files of any rate, channels and length.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/fields.h"
#include "base/observer.h"
#include "base/thread_pool.h"
#include "models/speech/speech.h"
#include "pipelines/separate/separate.h"
#include "runtime/session/session.h"
#include "runtime/session/stats.h"

namespace timbre {

struct DenoiseOptions {
  double attenuation_limit = 100;     // dB
  std::optional<double> post_filter;  // beta; empty: what the model's own configuration says
  double mix = 1;
  bool deep_filter = true;
  bool stream = false;  // hop by hop, as live
  bool thresholds = false;
  double threshold_min = -10, threshold_max_erb = 30, threshold_max_df = 20;
  PartOptions part;  // of the input, that is cleaned

  std::string output_dir = "denoised";
  std::string name = "{track}.{ext}";
  std::string format = "wav";
  std::string sample_format = "s16";
  std::string clip = "rescale";
  int bitrate = 0;
  int rate = 0;                // Hz; 0: the input's
  std::optional<double> peak;  // dBFS, of the output; `clip` is then of no account
  std::string temp_dir;        // for what lies on disk meanwhile; empty: beside the outputs
  bool stream_out = false;     // not to a file but into `stream_to` as it is made (AudioWriter::Stream)
  int stream_to = -1;
  bool tags = true;  // copy title, artist, cover and the like
  bool skip_existing = false;
  std::string made_by;  // MadeBy(), kept with the outputs and compared; empty: neither

  SessionOptions session;
};

// All but `session` and `made_by`. `options` must outlive the fields.
FieldList DenoiseFields(DenoiseOptions& options);

struct DenoiseReport {
  std::string input, input_format, output;
  int sample_rate = 0, channels = 0;
  int64_t samples = 0;
  double seconds = 0;  // of audio
  bool skipped = false;
  float peak = 0, gain = 1;                               // before clip handling; that it applied
  double decode = 0, compute = 0, encode = 0, total = 0;  // seconds
  double real_time_factor = 0;
  std::string warning;  // what was wrong with the input although it could be read
};

// A model made ready for any number of files. Memory does not grow with their length.
class Denoiser {
 public:
  // `pool` and `stats` must outlive the denoiser.
  static Result<std::unique_ptr<Denoiser>> Create(SpeechModel model, const DenoiseOptions& options, ThreadPool& pool,
                                                  Stats& stats);
  virtual ~Denoiser() = default;

  // Cleans the file `input`, or the part of it, into one with its channels and length, and its rate unless another is
  // asked for. On failure or cancellation nothing is left,
  // and an old file of its name is as it was.
  virtual Result<DenoiseReport> Denoise(const TrackInput& input, Observer& observer) = 0;
  // Where it would go, and whether it is there already.
  struct Place {
    std::string path;
    bool done = false;  // as --skip-existing understands it
  };
  virtual Result<Place> PlaceFor(const TrackInput& input) const = 0;

  // Seconds that a second of sound takes, measured on one that is silent.
  virtual Result<double> MeasurePace(int sample_rate, int channels) = 0;

  virtual const SpeechModel& model() const = 0;
  virtual std::string device_name() const = 0;
  virtual std::string device_reason() const = 0;
  virtual KernelCounts kernels() const = 0;
};

}  // namespace timbre
