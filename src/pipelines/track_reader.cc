#include "pipelines/track_reader.h"

namespace timbre {
namespace {

constexpr int64_t kBlockFrames = 16384;

}  // namespace

Result<std::unique_ptr<TrackReader>> TrackReader::Open(const std::string& path, int sample_rate, int channels,
                                                       const ReadOptions& options) {
  TIMBRE_TRY(std::unique_ptr<AudioReader> reader, AudioReader::Open(path, options));
  TIMBRE_TRY(StereoMix mix, StereoMix::Create(reader->info().speakers));
  TIMBRE_TRY(Resampler resampler, Resampler::Create(reader->info().sample_rate, sample_rate, channels));
  return std::unique_ptr<TrackReader>(
      new TrackReader(std::move(reader), std::move(mix), std::move(resampler), sample_rate, channels));
}

Status TrackReader::Read(std::vector<float>* samples) {
  const size_t before = samples->size();
  // A resampler may keep a block to itself.
  while (!ended_ && samples->size() == before) {
    raw_.resize(kBlockFrames * mix_.channels());
    TIMBRE_TRY(const int64_t frames, reader_->Read(raw_.data(), kBlockFrames));
    if (frames == 0) {
      ended_ = true;
      return resampler_.Finish(samples);
    }
    mixed_.resize(frames * 2);
    mix_.Apply(raw_.data(), frames, mixed_.data());
    if (channels_ == 1) FoldToMono(mixed_.data(), frames, mixed_.data());
    TIMBRE_CHECK(resampler_.Push(mixed_.data(), frames, samples));
  }
  return {};
}

Status TrackReader::Rewind() {
  TIMBRE_CHECK(reader_->Rewind());
  TIMBRE_TRY(resampler_, Resampler::Create(reader_->info().sample_rate, sample_rate_, channels_));
  ended_ = false;
  return {};
}

}  // namespace timbre
