#include "pipelines/speech/denoise_stream.h"

#include <algorithm>
#include <cmath>

#include "dsp/arrays.h"
#include "pipelines/check_finite.h"

namespace timbre {
namespace {

constexpr int64_t kPiece = 512;  // samples taken from the core at once
// Far above full scale, and far below where a sum of squares would overflow.
constexpr float kLoudest = 1e4f;

std::vector<float*> RowsOf(std::vector<float>& block, int channels, int64_t length) {
  block.assign(static_cast<size_t>(channels * length), 0.0f);
  std::vector<float*> rows;
  rows.reserve(static_cast<size_t>(channels));
  for (int c = 0; c < channels; ++c) rows.push_back(block.data() + c * length);
  return rows;
}

}  // namespace

Result<std::unique_ptr<DenoiseStream>> DenoiseStream::Create(const SpeechModel& model, int sample_rate,
                                                             const SpeechCoreOptions& options,
                                                             const SessionOptions& session, ThreadPool& pool,
                                                             Stats* stats) {
  TIMBRE_TRY(auto core, SpeechCore::Create(model, options, session, pool, stats));
  const int native = model.sample_rate();
  TIMBRE_TRY(StreamResampler in, StreamResampler::Create(sample_rate, native, options.channels, kMostPush));
  TIMBRE_TRY(StreamResampler out, StreamResampler::Create(native, sample_rate, options.channels, kPiece));
  // How far output can trail input: each resampler waits for its look-ahead and for up to one sample more.
  int64_t lag = core->lag();
  if (native != sample_rate) {
    const double behind = static_cast<double>(core->lag() + 1 + out.lookahead()) * sample_rate / native;
    lag = in.lookahead() + static_cast<int64_t>(std::ceil(behind)) + 1;
  }
  // What one call can bring at most: all that was lagging, and its own. The end of a signal brings up to a block more.
  const int64_t block = static_cast<int64_t>(options.block_frames + 8) * core->hop();
  const int64_t burst = 2 * (lag + kMostPush + block * std::max(sample_rate, native) / native) + kMostPush;
  return std::unique_ptr<DenoiseStream>(new DenoiseStream(options.channels, sample_rate, native, std::move(core),
                                                          std::move(in), std::move(out), lag, burst));
}

DenoiseStream::DenoiseStream(int channels, int rate, int model_rate, std::unique_ptr<SpeechCore> core,
                             StreamResampler in, StreamResampler out, int64_t lag, int64_t burst)
    : channels_(channels),
      rate_(rate),
      model_rate_(model_rate),
      core_(std::move(core)),
      resample_in_(std::move(in)),
      resample_out_(std::move(out)),
      lag_(lag),
      converts_(resample_in_.lookahead() > 0),
      clean_rows_(RowsOf(clean_, channels, kMostPush)),
      at_model_rows_(RowsOf(at_model_, channels, resample_in_.MostOutput())),
      hop_rows_(RowsOf(hop_, channels, core_->hop())),
      from_core_rows_(RowsOf(from_core_, channels, kPiece)),
      back_rows_(RowsOf(back_, channels, resample_out_.MostOutput())),
      dry_rows_(RowsOf(dry_, channels, kMostPush)),
      under_rows_(RowsOf(under_, channels, kPiece)),
      share_rows_(RowsOf(share_of_, 1, kMostPush)),
      waiting_(channels, core_->hop() + resample_in_.MostOutput()),
      out_(channels, burst),
      input_(channels, burst),
      low_(channels, converts_ ? 2 * core_->lag() + resample_in_.MostOutput() : 1),
      shares_(1, converts_ ? burst + lag : 1) {}

Status DenoiseStream::Push(const float* const* in, int64_t count, const Controls& controls) {
  const ScopedFlushDenormals flush;
  for (int c = 0; c < channels_; ++c) CopySane(in[c], kLoudest, clean_rows_[c], count);
  input_.Push(clean_rows_.data(), count);
  taken_ += count;
  const int64_t made = resample_in_.Process(clean_rows_.data(), count, at_model_rows_.data());
  waiting_.Push(at_model_rows_.data(), made);
  if (converts_) low_.Push(at_model_rows_.data(), made);
  return Drain(controls.speech);
}

Status DenoiseStream::Finish(const Controls& controls) {
  const ScopedFlushDenormals flush;
  // The resamplers' look-ahead reaches into silence.
  for (int64_t left = resample_in_.lookahead(); left > 0;) {
    const int64_t count = std::min(left, kMostPush);
    const int64_t made = resample_in_.Process(nullptr, count, at_model_rows_.data());
    waiting_.Push(at_model_rows_.data(), made);
    if (converts_) low_.Push(at_model_rows_.data(), made);
    TIMBRE_CHECK(Drain(controls.speech));
    left -= count;
  }
  const int64_t rest = waiting_.size();
  waiting_.Pop(hop_rows_.data(), rest);
  TIMBRE_CHECK(core_->Finish(hop_rows_.data(), rest, controls.speech));
  TIMBRE_CHECK(TakeCore(controls.speech));
  while (given_ + out_.size() < taken_) {
    const int64_t made = resample_out_.Process(nullptr, kPiece, back_rows_.data());
    out_.Push(back_rows_.data(), std::min(made, taken_ - given_ - out_.size()));
  }
  return {};
}

Status DenoiseStream::Drain(const SpeechControls& controls) {
  const int64_t hop = core_->hop();
  while (waiting_.size() >= hop) {
    waiting_.Pop(hop_rows_.data(), hop);
    TIMBRE_CHECK(core_->PushHop(hop_rows_.data(), controls));
    TIMBRE_CHECK(TakeCore(controls));
  }
  return {};
}

Status DenoiseStream::TakeCore(const SpeechControls& controls) {
  while (core_->available() > 0) {
    const int64_t count = std::min(core_->available(), kPiece);
    core_->Pop(from_core_rows_.data(), count);
    for (int c = 0; c < channels_; ++c) {
      TIMBRE_CHECK(CheckFinite({from_core_rows_[c], static_cast<size_t>(count)},
                               "the network gave a number that is not finite; a kernel is wrong here (timbre doctor)"));
    }
    if (converts_) TakeShareOut(count, NoisyShare(controls.attenuation_limit));
    const int64_t made = resample_out_.Process(from_core_rows_.data(), count, back_rows_.data());
    // A core pads its last hop: what lies behind the input is cut.
    out_.Push(back_rows_.data(), std::min(made, taken_ - given_ - out_.size()));
  }
  return {};
}

void DenoiseStream::TakeShareOut(int64_t count, float share) {
  // A core that pads its last hop gives more than it took; that would ring into the last samples.
  const int64_t known = std::min(count, low_.size());
  low_.Pop(under_rows_.data(), known);
  for (int c = 0; c < channels_; ++c) std::fill(from_core_rows_[c] + known, from_core_rows_[c] + count, 0.0f);
  // From one share to the next in a straight line, so that nothing clicks.
  const float from = cleaned_ == 0 ? share : share_, way = share - from;
  if (from != 0 || share != 0) {
    for (int c = 0; c < channels_; ++c) {
      for (int64_t i = 0; i < known; ++i) {
        from_core_rows_[c][i] -=
            under_rows_[c][i] * (from + way * static_cast<float>(i + 1) / static_cast<float>(count));
      }
    }
  }
  cleaned_ += count;
  share_ = share;
  const int64_t end = std::min(taken_, (cleaned_ * rate_ + model_rate_ - 1) / model_rate_);
  const int64_t more = end - given_ - shares_.size();
  for (int64_t done = 0; done < more;) {
    const int64_t piece = std::min(more - done, kMostPush);
    for (int64_t i = 0; i < piece; ++i) {
      share_rows_[0][i] = from + way * static_cast<float>(done + i + 1) / static_cast<float>(more);
    }
    shares_.Push(share_rows_.data(), piece);
    done += piece;
  }
}

void DenoiseStream::Pull(float* const* out, int64_t count, const Controls& controls) {
  const ScopedFlushDenormals flush;
  out_.Pop(out, count);
  const float wet = controls.mix, dry = 1.0f - controls.mix;
  for (int64_t done = 0; done < count;) {
    const int64_t piece = std::min(count - done, kMostPush);
    input_.Pop(dry_rows_.data(), piece);
    if (converts_) {
      // Behind the end of what the core gave, its last share holds.
      const int64_t known = std::min(piece, shares_.size());
      shares_.Pop(share_rows_.data(), known);
      std::fill(share_rows_[0] + known, share_rows_[0] + piece, share_);
      for (int c = 0; c < channels_; ++c) {
        for (int64_t i = 0; i < piece; ++i) out[c][done + i] += dry_rows_[c][i] * share_rows_[0][i];
      }
    }
    for (int c = 0; c < channels_ && dry != 0; ++c) {
      for (int64_t i = 0; i < piece; ++i) out[c][done + i] = out[c][done + i] * wet + dry_rows_[c][i] * dry;
    }
    done += piece;
  }
  given_ += count;
}

void DenoiseStream::Reset() {
  core_->Reset();
  resample_in_.Reset();
  resample_out_.Reset();
  waiting_.Clear();
  out_.Clear();
  input_.Clear();
  low_.Clear();
  shares_.Clear();
  share_ = 0;
  taken_ = given_ = cleaned_ = 0;
}

void DenoiseStream::Visit(StateStream& stream) {
  constexpr int64_t kForever = std::numeric_limits<int64_t>::max() / 4;
  core_->Visit(stream);
  resample_in_.Visit(stream);
  resample_out_.Visit(stream);
  waiting_.Visit(stream);
  out_.Visit(stream);
  input_.Visit(stream);
  low_.Visit(stream);
  shares_.Visit(stream);
  stream.Floats({&share_, 1});
  stream.Integer(&cleaned_, 0, kForever / 1'000'000);  // a product with a rate is still a number
  stream.Integer(&taken_, 0, kForever);
  stream.Integer(&given_, 0, kForever);
  stream.Require(waiting_.size() < core_->hop() && input_.size() == taken_ - given_ && out_.size() <= input_.size() &&
                 input_.size() <= lag_ && low_.size() <= core_->lag() && shares_.size() <= input_.size());
}

}  // namespace timbre
