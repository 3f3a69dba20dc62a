#include "pipelines/song/song_decoder.h"

#include <algorithm>

#include "pipelines/check_finite.h"

namespace timbre {
namespace {

constexpr int64_t kHop = kDecodeChunk - kDecodeOverlap;
// What a chunk leaves out at an edge where it has a neighbour. Two of them are less than the overlap by one frame,
// which is the later chunk's.
constexpr int64_t kEdge = kDecodeOverlap / 2;

}  // namespace

SongDecoder::SongDecoder(BigvganConfig config, std::shared_ptr<const TensorMap> weights, bool chunked,
                         const SessionOptions& options, ThreadPool& pool, Stats* stats, Sink sink)
    : config_(std::move(config)),
      weights_(std::move(weights)),
      chunked_(chunked),
      options_(options),
      pool_(pool),
      stats_(stats),
      sink_(std::move(sink)) {}

Status SongDecoder::Make(int64_t frames) {
  if (session_ != nullptr && session_frames_ == frames) return {};
  session_.reset();
  const std::unique_ptr<Weights> weights = WeightsFromMap(weights_);
  TIMBRE_TRY(Graph graph, BuildBigvgan(config_, *weights, frames));
  TIMBRE_TRY(session_, MakeSession(std::move(graph), options_, pool_, stats_));
  session_frames_ = frames;
  return {};
}

Status SongDecoder::Prepare() { return Make(kDecodeChunk); }

Status SongDecoder::Decode(int64_t first, int64_t count) {
  TIMBRE_CHECK(Make(count));
  decoded_.resize(static_cast<size_t>(count * config_.hop()));
  const float* in[] = {latents_.data() + first * config_.in_channels};
  float* out[] = {decoded_.data()};
  TIMBRE_CHECK(session_->Run(in, out));
  return CheckFinite(decoded_, "the decoder gave something that is not a number at frame " + std::to_string(first) +
                                   " of the song; try --device cpu, and timbre doctor");
}

void SongDecoder::Paste(int64_t at, int64_t skip) {
  pending_.resize(static_cast<size_t>((at - written_) * config_.hop()));
  pending_.insert(pending_.end(), decoded_.begin() + skip * config_.hop(), decoded_.end());
}

Status SongDecoder::Emit(int64_t until) {
  if (until <= written_) return {};
  const int64_t samples = (until - written_) * config_.hop();
  TIMBRE_CHECK(sink_(pending_.data(), samples));
  pending_.erase(pending_.begin(), pending_.begin() + samples);
  written_ = until;
  return {};
}

Status SongDecoder::Push(const float* latents, int64_t frames) {
  latents_.insert(latents_.end(), latents, latents + frames * config_.in_channels);
  const int64_t all = this->frames();
  while (chunked_ && all - next_ >= kDecodeChunk) {
    TIMBRE_CHECK(Decode(next_, kDecodeChunk));
    const int64_t edge = next_ > 0 ? kEdge : 0;
    Paste(next_ + edge, edge);
    next_ += kHop;
    // The next chunk writes from its edge on; the song's last one, wherever it may end, from its own.
    TIMBRE_CHECK(Emit(std::min(next_ + kEdge, all - kDecodeChunk + kEdge)));
  }
  return {};
}

Status SongDecoder::Finish() {
  const int64_t all = frames();
  if (all == 0) return {};
  if (!chunked_ || all < kDecodeChunk) {
    TIMBRE_CHECK(Decode(0, all));
    Paste(0, 0);
  } else if (next_ - kHop + kDecodeChunk != all) {
    TIMBRE_CHECK(Decode(all - kDecodeChunk, kDecodeChunk));
    Paste(all - kDecodeChunk + kEdge, kEdge);
  }
  return Emit(all);
}

}  // namespace timbre
