// Uncompressed audio by libsndfile: where FFmpeg's libraries read its header wrongly, and where they are not needed.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "audio/byte_source.h"
#include "base/result.h"

extern "C" {
#include <libavcodec/codec_id.h>
}

namespace timbre {

// Whether the header of a RIFF file (WAV, AVI) or a CAF file leaves open how long it is, as what writes to a pipe must:
// 0, all ones, or about the most that other programs can read, where the file is shorter. `source` is left anywhere.
bool LengthIsOpen(ByteSource* source);

// An RF64 or BW64 file whose own chunk for lengths ("ds64") was left empty, as in a pipe, holds nothing by its header:
// from here on `source` gives it as the RIFF file of open length that it is otherwise. Leaves all else as it is, and
// `source` anywhere.
void OpenEmptyRf64(ByteSource* source);

class PcmFile {
 public:
  // Null where the file is none of those that FFmpeg's libraries are known to misread: WAVE_FORMAT_EXTENSIBLE (24 bits
  // in 32 are taken for floats, 20 in 32 for samples of three bytes), big-endian WAV (RIFX, read as little-endian),
  // little-endian AU (taken for anything) and AIFF-C, and their kin W64, RF64 and CAF. `source` must outlive the file,
  // and is left anywhere.
  static std::unique_ptr<PcmFile> OpenIfDoubtful(ByteSource* source);
  // Null where the file is any but a plain WAV, of which no two programs think differently: 16, 24 or 32-bit integers
  // or 32-bit floats in one or two channels, lengths that are the file's own, nothing else in it that is kept, and no
  // compressed stream that poses as samples (DTS and S/PDIF do, in what was copied from discs). To
  // open FFmpeg's libraries takes longer than to read some minutes of such sound.
  static std::unique_ptr<PcmFile> OpenIfPlain(ByteSource* source);
  ~PcmFile();

  // Whether FFmpeg means the same samples, having read them as `codec`.
  bool Agrees(AVCodecID codec) const;

  int sample_rate() const { return sample_rate_; }
  int channels() const { return channels_; }
  int64_t frames() const { return frames_; }
  // What the header says there are, where the file is a RIFF that ends before that; else frames().
  int64_t promised_frames() const { return promised_; }
  // "24-bit PCM in WAV"; of a plain WAV what FFmpeg calls it, "pcm_s24le in wav"
  const std::string& format() const { return format_; }

  // Interleaved floats; fewer than asked for only at the end or where the source failed.
  int64_t Read(float* out, int64_t frames);

 private:
  PcmFile() = default;
  static std::unique_ptr<PcmFile> Open(ByteSource* source);

  void* file_ = nullptr;  // SNDFILE
  int kind_ = 0;          // its format, as libsndfile puts it
  int bytes_ = 0;         // of a sample
  bool integers_ = false;
  int sample_rate_ = 0, channels_ = 0;
  int64_t frames_ = 0, promised_ = 0;
  std::string format_;
};

}  // namespace timbre
