// Writes audio files, under their final name only once they are complete; or streams, as they are made.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "audio/tags.h"
#include "base/result.h"

namespace timbre {

class OutputSet;

enum class FileFormat : uint8_t {
  kWav,  // RF64 above 4 GiB
  kFlac,
  kMp3,
  kOpus,    // in Ogg, at 48 kHz
  kVorbis,  // in Ogg
  kAac,     // in MP4, as .m4a
  kAlac,    // likewise
};
enum class SampleFormat : uint8_t { kS16, kS24, kF32 };

// What happens to samples beyond full scale.
enum class ClipMode : uint8_t {
  kRescale,  // the whole file is divided by max(1, 1.01 * peak): prevent_clip of demucs/audio.py
  kClamp,    // to [-0.99, 0.99], likewise
  kNone,     // kept where the format has room for them, cut at full scale where not
};

struct WriteOptions {
  FileFormat format = FileFormat::kWav;
  SampleFormat sample_format = SampleFormat::kS16;  // of WAV (any), FLAC and ALAC (s16, s24)
  ClipMode clip = ClipMode::kRescale;
  std::string temp_dir;  // for samples that wait to be rescaled; empty: beside the file, or where large files may lie
  // kbit/s, of MP3 (32 to 320, default 320), Opus (6 to 510, default 160), Vorbis (32 to 500, default: by quality) and
  // AAC (16 to 512, default 256).
  int bitrate = 0;
  AudioTags tags;  // as far as the format holds them
};

// By the names that users give: "wav", "flac", "mp3", "opus", "ogg" (Vorbis), "m4a" (AAC), "alac"; "s16", "s24", "f32";
// "rescale", "clamp", "none".
Result<FileFormat> ParseFileFormat(std::string_view name);
Result<SampleFormat> ParseSampleFormat(std::string_view name);
Result<ClipMode> ParseClipMode(std::string_view name);
// Whether every sample comes back as it was rounded.
bool IsLossless(FileFormat format);
// Whether it is written from front to end, as into a pipe, and decodes to the same samples: the others tell lengths at
// their begin, once they are known.
bool CanStream(FileFormat format);
// The nearest to `sample_rate` that files of the format can be of, from above where there is one.
int NearestFileRate(FileFormat format, int sample_rate);
// Without a dot: "wav", "flac", "mp3", "opus", "ogg", "m4a".
std::string_view FileExtension(FileFormat format);

struct WriteReport {
  // Of the file, which is of another rate than the writer where its format doesn't know that one.
  int64_t frames = 0;
  int sample_rate = 0;
  float peak = 0;  // the largest magnitude given to Write
  float gain = 1;  // that kRescale applied
};

// A stream of interleaved frames into one file. Memory doesn't grow with its length: rescaling keeps the samples in a
// nameless temporary file, which takes 4 bytes a sample and disappears by itself. Destroyed before
// Finish, it leaves nothing behind.
class AudioWriter {
 public:
  // Fails where the options don't fit the format, the rate or the channels (1 to 8; only WAV and FLAC above 2), or
  // where the file can't be made. Rates that the format doesn't know are resampled (NearestFileRate). With `outputs`,
  // Finish() completes the file and the set names it; the set must outlive the writer.
  static Result<std::unique_ptr<AudioWriter>> Create(const std::string& path, const WriteOptions& options,
                                                     int sample_rate, int channels, OutputSet* outputs = nullptr);
  // The same into an open descriptor, which stays the caller's and need not know how to seek; `name` is for messages.
  // What has been written stays when the rest fails. WAV states no lengths then (0xFFFFFFFF), as FFmpeg does in a pipe.
  // kInvalidArgument for formats that cannot. Once `cancelled`, asked on the writing thread, returns true, a call
  // ends with kCancelled, whether or not anybody takes the bytes.
  static Result<std::unique_ptr<AudioWriter>> Stream(int fd, const std::string& name, const WriteOptions& options,
                                                     int sample_rate, int channels, std::function<bool()> cancelled);
  virtual ~AudioWriter() = default;

  // Samples must be finite; kInternal otherwise.
  virtual Status Write(const float* interleaved, int64_t frames) = 0;
  // The largest magnitude given to Write so far.
  virtual float peak() const = 0;
  // Completes the file and gives it its name. Nothing may be called after it. With ClipMode::kRescale `gain` takes the
  // place of the one that keeps the file below full scale; with others it must be left out.
  virtual Result<WriteReport> Finish(std::optional<float> gain = {}) = 0;
};

}  // namespace timbre
