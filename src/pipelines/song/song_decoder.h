// Latents to sound, as they come: in chunks that overlap, each decoded by itself, so that memory does not grow with the
// song. The chunks are part of the result.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "models/song/bigvgan.h"
#include "runtime/session/session.h"

namespace timbre {

inline constexpr int64_t kDecodeChunk = 20, kDecodeOverlap = 5;  // frames

class SongDecoder {
 public:
  // Takes samples, mono, in order.
  using Sink = std::function<Status(const float* samples, int64_t count)>;

  // `chunked` false decodes everything at once when it ends. `pool` and `stats` (may be null) must outlive it.
  SongDecoder(BigvganConfig config, std::shared_ptr<const TensorMap> weights, bool chunked,
              const SessionOptions& options, ThreadPool& pool, Stats* stats, Sink sink);

  // Builds the network for a chunk ahead of the first, so that a model that can't run is an error here.
  Status Prepare();
  // Latents [frames, in_channels]. What no later chunk can change goes to the sink.
  Status Push(const float* latents, int64_t frames);
  Status Finish();

  int64_t frames() const { return static_cast<int64_t>(latents_.size()) / config_.in_channels; }
  int64_t written() const { return written_; }  // frames given to the sink
  const Session* session() const { return session_.get(); }

 private:
  Status Make(int64_t frames);
  // Frames [first, first + count): their samples into decoded_.
  Status Decode(int64_t first, int64_t count);
  // decoded_'s frames from `skip` on replace what there is from frame `at` on.
  void Paste(int64_t at, int64_t skip);
  Status Emit(int64_t until);

  const BigvganConfig config_;
  const std::shared_ptr<const TensorMap> weights_;
  const bool chunked_;
  const SessionOptions options_;
  ThreadPool& pool_;
  Stats* stats_;
  const Sink sink_;
  std::unique_ptr<Session> session_;
  int64_t session_frames_ = 0;
  std::vector<float> latents_;
  std::vector<float> decoded_;  // the latest chunk
  std::vector<float> pending_;  // from frame written_ on
  int64_t written_ = 0;
  int64_t next_ = 0;  // where the next chunk begins
};

}  // namespace timbre
