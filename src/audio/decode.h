// Reads any audio that FFmpeg's libraries decode, as a stream of float samples. A plain WAV is read without them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "audio/buffer.h"
#include "audio/byte_source.h"
#include "audio/tags.h"
#include "base/result.h"

struct AVFrame;

namespace timbre {

struct AudioInfo {
  std::string format;  // codec and container as FFmpeg names them: "mp3 in mp3"
  int sample_rate = 0;
  int channels = 0;
  std::vector<Speaker> speakers;  // one a channel
  AudioTags tags;
  int64_t expected_frames = 0;  // by the container's header or the file's size, for progress only; 0: not known
};

// What is larger is no sound: full scale is 1, and integers of 32 bits that were stored as floats as they were reach
// 2^31. Far beyond that, powers leave float32.
inline constexpr float kMostSample = 1e10f;

// A part of a sound, in seconds; all of it by default.
struct AudioPart {
  double start = 0;
  double length = 0;  // 0: all that follows
};

struct ReadOptions {
  // Asked before each piece of the input is read, by the thread that opens, reads or rewinds; true ends that call with
  // kCancelled.
  CancelCheck cancelled;
  // Where what a pipe gives is kept (byte_source.h).
  std::string temporary_folder;
  // What is given of the sound: all numbers of frames and places are the part's then. What comes before is decoded and
  // dropped, so that the samples are those of the whole.
  AudioPart part = {};
};

// The best audio stream of a file or of a container with video, decoded as it is read: memory does not grow with its
// length. Delay and padding that an encoder added, and the container states, are removed. Where rate or channels change
// within the stream, all of it is given in its first format. Nothing but the file itself is opened, whatever it refers
// to, and only the containers and codecs that allowed.h lists. FFmpeg's settings of the process stay as they are
// (ffmpeg_process.h).
class AudioReader {
 public:
  // `path` may be a file, a FIFO, or "-" and other names of the standard input; see ByteSource. Fails in one sentence
  // for a file that is missing, empty, no audio, or of which nothing decodes.
  static Result<std::unique_ptr<AudioReader>> Open(const std::string& path, const ReadOptions& options = {});
  // The same from memory, which must outlive the reader. `name` is for messages, and for its extension.
  static Result<std::unique_ptr<AudioReader>> OpenMemory(std::span<const std::byte> bytes, const std::string& name,
                                                         const ReadOptions& options = {});
  ~AudioReader();

  const AudioInfo& info() const { return info_; }

  // Reads up to `frames` interleaved frames into `out`, and returns how many: fewer only at the end, then 0. Fails with
  // kCorrupt at a sample that is NaN, infinite or beyond kMostSample, with kIo where the file system fails, with
  // kInvalidArgument where the sound ends before the part begins. Samples beyond full scale are passed on as they are.
  Result<int64_t> Read(float* out, int64_t frames);

  // Frames read so far.
  int64_t position() const { return position_; }

  // Back to the first sample, for a second pass.
  Status Rewind();

  // After the end was reached: what was wrong with the file although it could be read (it ends early, parts are
  // damaged), or should be known (its format changes, there are other streams), a sentence each. Empty where nothing.
  const std::string& warning() const { return warning_; }

 private:
  struct Decoder;
  AudioReader();
  static Result<std::unique_ptr<AudioReader>> OpenSource(std::unique_ptr<ByteSource> source, const AudioPart& part);
  static Status OpenContainer(ByteSource* source, const char* edit_lists, Decoder* decoder);
  Status Start();
  Status StartStream();
  Status StartDecoder();
  Status StartPcm();
  int64_t Mp4End();
  struct Part {
    int64_t first = 0, count = 0;
  };
  Part Keep(const AVFrame& frame);
  // Decodes until samples are pending or the end is reached.
  Status Fill();
  Status FillFromPcm();
  // What has been decoded, on its way to `pending_`: whether it belongs to the audio, in which format it is.
  Status Take(const AVFrame& frame);
  Status Append(const AVFrame& frame);
  Status ChangeFormat(const AVFrame& frame);
  Status EndFormat();
  Status CheckSamples(const std::vector<float>& samples, int channels) const;
  void NoteGap(const AVFrame& frame);
  void NoteDamage();
  Status End();
  Status SkipToPart();
  void EndPart();
  void WarnOfDamage();
  void Warn(const std::string& sentence);
  double Seconds() const;  // of the samples decoded

  std::unique_ptr<ByteSource> source_;
  std::unique_ptr<Decoder> decoder_;
  AudioInfo info_;
  std::vector<float> pending_;
  size_t taken_ = 0;       // of pending_
  int64_t position_ = 0;   // frames given out
  int64_t decoded_ = 0;    // frames decoded
  int64_t end_ = 0;        // frames that the container says there are; 0: not known
  int64_t promised_ = 0;   // AudioInfo::expected_frames of the whole
  int64_t damaged_ = 0;    // packets or frames that could not be used, or not whole
  double damaged_at_ = 0;  // seconds, of the first
  bool ended_ = false;
  AudioPart part_;
  int64_t first_ = 0;    // frame that the part begins with
  int64_t skipped_ = 0;  // of those before it
  int64_t most_ = -1;    // frames of the part; negative: all that follow
  std::string warning_;
};

// All of a file, at most `max_frames` of it: more is kUnsupported.
Result<AudioBuffer> ReadAudioFile(const std::string& path, int64_t max_frames, const ReadOptions& options = {});

}  // namespace timbre
