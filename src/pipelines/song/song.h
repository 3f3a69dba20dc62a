// A song from words and a style: tokens, latents block by block, and their sound while later blocks are computed.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/fields.h"
#include "base/observer.h"
#include "base/thread_pool.h"
#include "models/song/song_model.h"
#include "runtime/session/session.h"
#include "runtime/session/stats.h"

namespace timbre {

inline constexpr double kMostSongSeconds = 210;

struct SongOptions {
  std::string lyrics, phones, tokens;  // files; lyrics may be "-", phones and tokens bypass what reads them
  std::string style;                   // a file with a vector
  std::string style_audio, style_text;
  double style_offset = 0, style_blend = 0.7;
  std::string style_model = "muq-mulan";

  double seconds = 0;  // 0: as many as `noise` lasts for, else kMostSongSeconds
  int steps = 16;
  double guidance = 2;
  uint64_t seed = 0;
  std::string noise;                  // a file
  std::string latents, from_latents;  // files
  bool fake_stereo = true;
  std::string decode = "chunked";

  std::string output = "song.wav";
  std::string format = "auto";  // by the output's ending, or a name of ParseFileFormat
  std::string sample_format = "s16";
  std::string clip = "none";  // the decoder itself keeps within full scale
  int bitrate = 0;
  bool keep_partial = false;

  SessionOptions session;
};

// All but `session`. `options` must outlive the fields.
FieldList SongFields(SongOptions& options);

struct SongReport {
  std::string output, latents;
  int64_t tokens = 0, blocks = 0, frames = 0, samples = 0;
  int sample_rate = 0, channels = 0;
  double seconds = 0;  // of sound
  double gain = 1;     // below 1 where all was lowered to stay below full scale
  bool ended = false;  // before the length that was asked for, as the model saw fit
  bool partial = false;
  double text = 0, sample = 0, decode = 0, total = 0;  // seconds of work
  double real_time_factor = 0;
  std::vector<std::string> warnings;
  std::string device, device_reason;
  KernelCounts kernels;
};

// What can be told of the options before a model is read: what is asked for twice or not at all, files that are
// missing, an output that can't be written.
Status CheckSongOptions(const SongOptions& options);

// Makes the song. `lyrics` is what options.lyrics names. On failure or cancellation nothing is left, unless
// options.keep_partial: then what was finished is there, whole as a file, and the error is given all the same.
// `report` is filled as far as it went.
Status MakeSong(const SongModel& model, const SongOptions& options, ThreadPool& pool, Stats& stats, Observer& observer,
                SongReport& report);

}  // namespace timbre
