#include "pipelines/speech/speech_core.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "dsp/fft.h"
#include "dsp/sample_ring.h"
#include "dsp/window.h"
#include "models/speech/gtcrn.h"
#include "pipelines/speech/stateful_session.h"

namespace timbre {
namespace {

constexpr int64_t kForever = std::numeric_limits<int64_t>::max() / 4;

// What is done to a frame behind the network, whatever the network. `noisy` and `enhanced`: [bins][2].
void ApplyControls(const SpeechControls& controls, bool post_filter, int bins, const float* noisy, float* enhanced) {
  if (post_filter && controls.post_filter_beta > 0) PostFilter(noisy, bins, controls.post_filter_beta, enhanced);
  const float share = NoisyShare(controls.attenuation_limit);
  if (share == 0) return;
  for (int i = 0; i < 2 * bins; ++i) enhanced[i] = noisy[i] * share + enhanced[i] * (1.0f - share);
}

std::vector<float*> Rows(std::vector<float>& block, int channels) {
  std::vector<float*> rows;
  rows.reserve(static_cast<size_t>(channels));
  for (int c = 0; c < channels; ++c) rows.push_back(block.data() + block.size() / static_cast<size_t>(channels) * c);
  return rows;
}

class DeepFilterCore final : public SpeechCore {
 public:
  static Result<std::unique_ptr<SpeechCore>> Make(const SpeechModel& model, const SpeechCoreOptions& options,
                                                  const SessionOptions& session_options, ThreadPool& pool,
                                                  Stats* stats) {
    std::unique_ptr<DeepFilterCore> core(new DeepFilterCore(model.deepfilternet, options));
    for (int c = 0; c < options.channels; ++c) {
      TIMBRE_TRY(DeepFilterFrames frames, DeepFilterFrames::Create(model.deepfilternet));
      core->frames_.push_back(std::move(frames));
    }
    const auto make = [&](DeepFilterPart part) -> Result<std::unique_ptr<StatefulSession>> {
      TIMBRE_TRY(Graph graph, BuildSpeechGraph(model, part, core->block_, core->together_));
      TIMBRE_TRY(StatefulSession made, StatefulSession::Create(std::move(graph), options.channels / core->together_,
                                                               session_options, pool, stats));
      return std::make_unique<StatefulSession>(std::move(made));
    };
    if (!options.use_thresholds) {
      TIMBRE_TRY(core->first_,
                 make(options.deep_filter ? DeepFilterPart::kAll : DeepFilterPart::kEncoderAndErbDecoder));
      core->mask_ = core->first_->Output("mask");
      core->coefs_ = core->first_->Output("coefs");
    } else {
      TIMBRE_TRY(core->first_, make(DeepFilterPart::kEncoder));
      TIMBRE_TRY(core->erb_decoder_, make(DeepFilterPart::kErbDecoder));
      for (const char* name : {"emb", "e0", "e1", "e2", "e3"}) {
        core->erb_decoder_->BindInput(name, core->first_->Output(name));
      }
      core->mask_ = core->erb_decoder_->Output("mask");
      if (options.deep_filter) {
        TIMBRE_TRY(core->df_decoder_, make(DeepFilterPart::kDfDecoder));
        for (const char* name : {"emb", "c0"}) core->df_decoder_->BindInput(name, core->first_->Output(name));
        core->coefs_ = core->df_decoder_->Output("coefs");
      }
    }
    core->feat_erb_ = core->first_->Input("feat_erb");
    core->feat_spec_ = core->first_->Input("feat_spec");
    core->lsnr_ = core->first_->Output("lsnr");
    return std::unique_ptr<SpeechCore>(std::move(core));
  }

  int hop() const override { return c_.hop_size; }

  int64_t lag() const override {
    return static_cast<int64_t>(c_.lookahead() + lead() + block_ - 1) * c_.hop_size + c_.hop_size - 1;
  }

  Status PushHop(const float* const* hop, const SpeechControls& controls) override {
    for (int c = 0; c < options_.channels; ++c) {
      float* spectrum = Spectrum(c, frame_);
      frames_[c].Analyse(hop[c], spectrum);
      // Unless it sees all frames, the network's first has the features `lookahead` hops in; those before it only tune
      // the running means.
      frames_[c].Features(spectrum, Erb(c, pending_), Spec(c, pending_));
    }
    return NextFrame(controls);
  }

  Status Finish(const float* const* rest, int64_t count, const SpeechControls& controls) override {
    // Silence of one transform's length behind the signal, of which whole hops count.
    const int64_t more = c_.sees_first_frames ? c_.lookahead() : 0;  // of it, where zeros would be no silence
    const int64_t wanted = frame_ + (count + c_.fft_size) / c_.hop_size + more;
    std::fill(block_in_.begin(), block_in_.end(), 0.0f);
    for (int c = 0; c < options_.channels; ++c) std::copy_n(rest[c], count, hop_rows_[c]);
    while (frame_ < wanted) {
      TIMBRE_CHECK(PushHop(hop_rows_.data(), controls));
      std::fill(block_in_.begin(), block_in_.end(), 0.0f);
    }
    // Behind the last frame, frames that look ahead see zeros: of the spectrum, and of its features.
    const int64_t made = frame_ - more;
    while (frame_ < made + c_.lookahead()) {
      for (int c = 0; c < options_.channels; ++c) {
        std::fill_n(Spectrum(c, frame_), 2 * c_.bins(), 0.0f);
        std::fill_n(Erb(c, pending_), c_.erb_bands, 0.0f);
        std::fill_n(Spec(c, pending_), 2 * c_.df_bins, 0.0f);
      }
      TIMBRE_CHECK(NextFrame(controls));
    }
    if (pending_ == 0) return {};
    for (int c = 0; c < options_.channels; ++c) {
      std::fill_n(Erb(c, pending_), (block_ - pending_) * c_.erb_bands, 0.0f);
      std::fill_n(Spec(c, pending_), (block_ - pending_) * 2 * c_.df_bins, 0.0f);
    }
    return RunBlock(controls);
  }

  int64_t available() const override { return out_.size(); }
  void Pop(float* const* out, int64_t count) override { out_.Pop(out, count); }

  void Reset() override {
    for (DeepFilterFrames& frames : frames_) frames.Reset();
    for (StatefulSession* s : Sessions()) {
      if (s != nullptr) s->Reset();
    }
    std::fill(spectra_.begin(), spectra_.end(), 0.0f);
    out_.Clear();
    frame_ = pending_ = 0;
    skip_ = most_skipped();
  }

  void Visit(StateStream& stream) override {
    for (DeepFilterFrames& frames : frames_) stream.Floats(frames.state());
    for (StatefulSession* s : Sessions()) {
      if (s != nullptr) s->Visit(stream);
    }
    stream.Floats(spectra_);
    stream.Floats({features_.data(), features_.size()});
    stream.Integer(&frame_, 0, kForever);
    stream.Integer(&pending_, 0, block_ - 1);
    stream.Integer(&skip_, 0, most_skipped());
    out_.Visit(stream);
    stream.Require(pending_ == std::max<int64_t>(frame_ - unseen(), 0) % block_ && out_.size() == 0);
  }

  const Session& session() const override { return first_->session(); }
  Session& session() override { return first_->session(); }

 private:
  DeepFilterCore(const DeepFilterNetConfig& config, const SpeechCoreOptions& options)
      : c_(config),
        options_(options),
        block_(options.use_thresholds ? 1 : options.block_frames),
        together_(options.channels == 2 && !options.use_thresholds ? 2 : 1),
        ring_(block_ + config.lookahead() + config.df_order),
        spectra_(static_cast<size_t>(options.channels) * ring_ * 2 * config.bins()),
        features_(static_cast<size_t>(options.channels) * block_ * (config.erb_bands + 2 * config.df_bins)),
        enhanced_(static_cast<size_t>(2 * config.bins())),
        taps_(static_cast<size_t>(config.df_order)),
        block_in_(static_cast<size_t>(options.channels * config.hop_size)),
        block_out_(static_cast<size_t>(options.channels * block_ * config.hop_size)),
        hop_rows_(Rows(block_in_, options.channels)),
        out_rows_(Rows(block_out_, options.channels)),
        out_(options.channels, static_cast<int64_t>(block_ + config.lookahead() + lead() + 4) * config.hop_size * 2) {
    skip_ = most_skipped();
  }

  std::array<StatefulSession*, 3> Sessions() { return {first_.get(), erb_decoder_.get(), df_decoder_.get()}; }

  // Hops by which the transform and its inverse delay the signal.
  int64_t lead() const { return c_.fft_size / c_.hop_size - 1; }
  // Frames at the begin that the network does not see.
  int64_t unseen() const { return c_.sees_first_frames ? 0 : c_.lookahead(); }
  // Hops of output that lie before the signal, when nothing has come out yet.
  int64_t most_skipped() const { return lead() + c_.lookahead() - unseen(); }
  // Frame `frame`'s spectrum; frames before the first read as the zeros that were never written.
  float* Spectrum(int c, int64_t frame) {
    return spectra_.data() + (c * ring_ + (frame + ring_) % ring_) * 2 * c_.bins();
  }
  float* Erb(int c, int64_t slot) { return features_.data() + (c * block_ + slot) * c_.erb_bands; }
  float* Spec(int c, int64_t slot) {
    return features_.data() + options_.channels * block_ * c_.erb_bands + (c * block_ + slot) * 2 * c_.df_bins;
  }

  // The spectrum of frame_ and the features at pending_ are there.
  Status NextFrame(const SpeechControls& controls) {
    if (frame_++ < unseen()) return {};
    if (++pending_ < block_) return {};
    return RunBlock(controls);
  }

  // Runs the network on the pending frames (what lies behind them in the block is of no interest) and gives their
  // samples.
  Status RunBlock(const SpeechControls& controls) {
    const int64_t count = pending_;
    const int64_t first = frame_ - c_.lookahead() - count;
    pending_ = 0;
    for (int c = 0; c < options_.channels; ++c) {
      const int64_t row = c % together_ * block_;  // of the network's results
      if (row == 0) {
        std::copy_n(Erb(c, 0), together_ * block_ * c_.erb_bands, feat_erb_);
        std::copy_n(Spec(c, 0), together_ * block_ * 2 * c_.df_bins, feat_spec_);
        TIMBRE_CHECK(first_->Run(c / together_));
      }
      Stages stages{.gains = true, .filter = options_.deep_filter};
      if (options_.use_thresholds) {
        stages = StagesFor(lsnr_[0]);
        if (stages.gains) TIMBRE_CHECK(erb_decoder_->Run(c));
        if (stages.filter) TIMBRE_CHECK(df_decoder_->Run(c));
      }
      for (int64_t t = 0; t < count; ++t) {
        Enhance(c, first + t, row + t, stages, controls);
        frames_[c].Synthesise(enhanced_.data(), out_rows_[c] + t * c_.hop_size);
      }
    }
    const int64_t skipped = std::min(skip_, count);
    skip_ -= skipped;
    for (float*& row : out_rows_) row += skipped * c_.hop_size;
    out_.Push(out_rows_.data(), (count - skipped) * c_.hop_size);
    for (float*& row : out_rows_) row -= skipped * c_.hop_size;
    return {};
  }

  struct Stages {
    bool gains = false, filter = false, silence = false;
  };

  Stages StagesFor(float lsnr) const {
    if (lsnr < options_.threshold_min) return {.silence = true};
    if (lsnr > options_.threshold_max_erb) return {};
    return {.gains = true, .filter = options_.deep_filter && lsnr <= options_.threshold_max_df};
  }

  void Enhance(int c, int64_t frame, int64_t slot, const Stages& stages, const SpeechControls& controls) {
    const float* noisy = Spectrum(c, frame);
    std::copy_n(noisy, enhanced_.size(), enhanced_.data());
    if (stages.silence) std::fill(enhanced_.begin(), enhanced_.end(), 0.0f);
    if (stages.gains) ApplyErbGains(frames_[c].widths(), mask_ + slot * c_.erb_bands, enhanced_.data());
    if (stages.filter) {
      const int64_t oldest = frame - (c_.df_order - 1 - c_.df_lookahead);
      for (int n = 0; n < c_.df_order; ++n) taps_[n] = Spectrum(c, oldest + n);
      ApplyDeepFilter(taps_, coefs_ + slot * c_.df_bins * 2 * c_.df_order, c_.df_bins, enhanced_.data());
    }
    ApplyControls(controls, stages.gains, c_.bins(), noisy, enhanced_.data());
  }

  const DeepFilterNetConfig c_;
  const SpeechCoreOptions options_;
  const int64_t block_;
  const int together_;  // channels that share a run, for which the recurrent weights pass by once
  const int64_t ring_;  // spectra kept of each channel
  std::vector<DeepFilterFrames> frames_;
  std::unique_ptr<StatefulSession> first_, erb_decoder_, df_decoder_;  // the whole network, or its encoder and decoders
  float *feat_erb_ = nullptr, *feat_spec_ = nullptr;
  const float *mask_ = nullptr, *coefs_ = nullptr, *lsnr_ = nullptr;

  std::vector<float> spectra_;   // [channel][ring][bins][2]
  std::vector<float> features_;  // erb [channel][block][bands], then spec [channel][block][df_bins][2]
  std::vector<float> enhanced_;  // one frame
  std::vector<const float*> taps_;
  std::vector<float> block_in_, block_out_;  // one hop, one block
  std::vector<float*> hop_rows_, out_rows_;
  SampleRing out_;
  int64_t frame_ = 0;    // hops taken
  int64_t pending_ = 0;  // frames waiting for the network
  int64_t skip_ = 0;     // hops of output that lie before the signal
};

// Frames are centered: the first begins half a frame before the signal, which continues mirrored beyond both ends, as
// torch.stft does it. Behind a last hop that is not full comes one more frame, so that every sample has two.
class GtcrnCore final : public SpeechCore {
 public:
  static Result<std::unique_ptr<SpeechCore>> Make(const SpeechModel& model, const SpeechCoreOptions& options,
                                                  const SessionOptions& session_options, ThreadPool& pool,
                                                  Stats* stats) {
    TIMBRE_TRY(RealFft fft, RealFft::Create(kGtcrnFft));
    TIMBRE_TRY(Graph graph, BuildSpeechGraph(model, DeepFilterPart::kAll, options.block_frames));
    TIMBRE_TRY(StatefulSession session,
               StatefulSession::Create(std::move(graph), options.channels, session_options, pool, stats));
    return std::unique_ptr<SpeechCore>(new GtcrnCore(options, std::move(fft), std::move(session)));
  }

  int hop() const override { return kHop; }
  int64_t lag() const override { return block_ * kHop + kHop - 1; }

  Status PushHop(const float* const* hop, const SpeechControls& controls) override {
    // The mirror image before the signal is known once its second hop is.
    if (hops_ == 1) {
      for (int c = 0; c < channels_; ++c) {
        float* mirror = hop_rows_[c];
        mirror[0] = hop[c][0];
        for (int i = 1; i < kHop; ++i) mirror[i] = Recent(c)[2 * kHop - i];
      }
      TIMBRE_CHECK(PushPadded(hop_rows_.data(), controls));
      for (int c = 0; c < channels_; ++c) std::copy_n(Recent(c) + kHop, kHop, hop_rows_[c]);
      TIMBRE_CHECK(PushPadded(hop_rows_.data(), controls));
    }
    for (int c = 0; c < channels_; ++c) {
      float* recent = Recent(c);
      std::copy_n(recent + kHop, kHop, recent);
      std::copy_n(hop[c], kHop, recent + kHop);
    }
    if (hops_++ == 0) return {};
    return PushPadded(hop, controls);
  }

  Status Finish(const float* const* rest, int64_t count, const SpeechControls& controls) override {
    // A signal too short for a mirror image continues with zeros.
    const bool whole = hops_ >= 2;
    tail_.assign(tail_.size(), 0.0f);
    for (int c = 0; c < channels_; ++c) {
      float* tail = tail_.data() + c * kTail;
      // The last two hops, the rest, the mirror image of what lies before the last sample.
      std::copy_n(Recent(c), 2 * kHop, tail);
      std::copy_n(rest[c], count, tail + 2 * kHop);
      const int64_t end = 2 * kHop + count;
      for (int64_t i = 0; i < kHop && whole; ++i) tail[end + i] = tail[end - 2 - i];
    }
    if (!whole) {
      TIMBRE_CHECK(PushPadded(ZeroHop(), controls));
      if (hops_ == 1) TIMBRE_CHECK(PushPadded(TailHop(1), controls));
    }
    const int64_t more = count > 0 ? 2 : 1;
    for (int64_t i = 0; i < more; ++i) TIMBRE_CHECK(PushPadded(TailHop(2 + i), controls));
    if (pending_ == 0) return {};
    for (int c = 0; c < channels_; ++c) std::fill_n(Spectrum(c, pending_), (block_ - pending_) * 2 * kGtcrnBins, 0.0f);
    return RunBlock(controls);
  }

  int64_t available() const override { return out_.size(); }
  void Pop(float* const* out, int64_t count) override { out_.Pop(out, count); }

  void Reset() override {
    session_.Reset();
    for (std::vector<float>* memory : {&recent_, &last_, &spectra_, &overlap_}) {
      std::fill(memory->begin(), memory->end(), 0.0f);
    }
    out_.Clear();
    hops_ = padded_ = pending_ = emitted_ = 0;
  }

  void Visit(StateStream& stream) override {
    session_.Visit(stream);
    for (std::vector<float>* memory : {&recent_, &last_, &spectra_, &overlap_}) stream.Floats(*memory);
    stream.Integer(&hops_, 0, kForever);
    stream.Integer(&padded_, 0, kForever);
    stream.Integer(&pending_, 0, block_ - 1);
    stream.Integer(&emitted_, 0, kForever);
    out_.Visit(stream);
    const int64_t frames = std::max<int64_t>(padded_ - 1, 0);
    stream.Require(padded_ == (hops_ < 2 ? 0 : hops_ + 1) && pending_ == frames % block_ &&
                   emitted_ == frames - pending_ && out_.size() == 0);
  }

  const Session& session() const override { return session_.session(); }
  Session& session() override { return session_.session(); }

 private:
  static constexpr int64_t kHop = kGtcrnHop;
  static constexpr int64_t kTail = 5 * kHop;

  GtcrnCore(const SpeechCoreOptions& options, RealFft fft, StatefulSession session)
      : channels_(options.channels),
        block_(options.block_frames),
        fft_(std::move(fft)),
        session_(std::move(session)),
        window_(MakeWindow(WindowKind::kSqrtHann, kGtcrnFft)),
        frame_(kGtcrnFft),
        scratch_(fft_.ScratchFloats()),
        recent_(static_cast<size_t>(channels_ * 2 * kHop)),
        last_(static_cast<size_t>(channels_ * kHop)),
        overlap_(static_cast<size_t>(channels_ * kHop)),
        spectra_(static_cast<size_t>(channels_ * block_ * 2 * kGtcrnBins)),
        enhanced_(2 * kGtcrnBins),
        tail_(static_cast<size_t>(channels_ * kTail)),
        hop_(static_cast<size_t>(channels_ * kHop)),
        block_out_(static_cast<size_t>(channels_ * block_ * kHop)),
        hop_rows_(Rows(hop_, channels_)),
        out_rows_(Rows(block_out_, channels_)),
        out_(channels_, (2 * block_ + 8) * kHop) {}

  float* Recent(int c) { return recent_.data() + c * 2 * kHop; }  // the last two hops
  float* Spectrum(int c, int64_t slot) { return spectra_.data() + (c * block_ + slot) * 2 * kGtcrnBins; }

  const float* const* ZeroHop() {
    std::fill(hop_.begin(), hop_.end(), 0.0f);
    return hop_rows_.data();
  }
  const float* const* TailHop(int64_t index) {
    for (int c = 0; c < channels_; ++c) std::copy_n(tail_.data() + c * kTail + index * kHop, kHop, hop_rows_[c]);
    return hop_rows_.data();
  }

  // One hop of the signal with what continues it before and behind.
  Status PushPadded(const float* const* hop, const SpeechControls& controls) {
    for (int c = 0; c < channels_; ++c) {
      float* last = last_.data() + c * kHop;
      if (padded_ > 0) {
        for (int64_t i = 0; i < kHop; ++i) {
          frame_[i] = last[i] * window_[i];
          frame_[kHop + i] = hop[c][i] * window_[kHop + i];
        }
        fft_.Forward(frame_.data(), Spectrum(c, pending_), scratch_.data());
      }
      std::copy_n(hop[c], kHop, last);
    }
    if (padded_++ == 0 || ++pending_ < block_) return {};
    return RunBlock(controls);
  }

  Status RunBlock(const SpeechControls& controls) {
    const int64_t count = pending_;
    pending_ = 0;
    for (int c = 0; c < channels_; ++c) {
      std::copy_n(Spectrum(c, 0), block_ * 2 * kGtcrnBins, session_.Input("spectrum"));
      TIMBRE_CHECK(session_.Run(c));
      for (int64_t t = 0; t < count; ++t) {
        std::copy_n(session_.Output("enhanced") + t * 2 * kGtcrnBins, 2 * kGtcrnBins, enhanced_.data());
        ApplyControls(controls, true, kGtcrnBins, Spectrum(c, t), enhanced_.data());
        fft_.Inverse(enhanced_.data(), frame_.data(), scratch_.data());
        float* overlap = overlap_.data() + c * kHop;
        // The squares of the window and of its shift by a hop sum to one.
        for (int64_t i = 0; i < kHop; ++i) {
          out_rows_[c][t * kHop + i] = overlap[i] + frame_[i] * window_[i];
          overlap[i] = frame_[kHop + i] * window_[kHop + i];
        }
      }
    }
    // The first hop lies before the signal.
    const int64_t skipped = emitted_ == 0 ? 1 : 0;
    for (float*& row : out_rows_) row += skipped * kHop;
    out_.Push(out_rows_.data(), (count - skipped) * kHop);
    for (float*& row : out_rows_) row -= skipped * kHop;
    emitted_ += count;
    return {};
  }

  const int channels_;
  const int64_t block_;
  const RealFft fft_;
  StatefulSession session_;
  const std::vector<float> window_;
  std::vector<float> frame_, scratch_;
  std::vector<float> recent_;   // [channel][2 hops] of the signal
  std::vector<float> last_;     // [channel][hop]: the first half of the next frame
  std::vector<float> overlap_;  // [channel][hop]: the last frame's second half
  std::vector<float> spectra_;  // [channel][block][bins][2]
  std::vector<float> enhanced_, tail_, hop_, block_out_;
  std::vector<float*> hop_rows_, out_rows_;
  SampleRing out_;
  int64_t hops_ = 0;     // of the signal
  int64_t padded_ = 0;   // of the signal with its mirror images
  int64_t pending_ = 0;  // frames waiting for the network
  int64_t emitted_ = 0;  // hops given, the one before the signal included
};

}  // namespace

float NoisyShare(float attenuation_limit) {
  const float db = std::abs(attenuation_limit);
  return db >= 100.0f ? 0.0f : std::pow(10.0f, -db / 20.0f);
}

Result<std::unique_ptr<SpeechCore>> SpeechCore::Create(const SpeechModel& model, const SpeechCoreOptions& options,
                                                       const SessionOptions& session, ThreadPool& pool, Stats* stats) {
  if (options.channels < 1 || options.channels > 64 || options.block_frames < 1 || options.block_frames > 4096) {
    return Fail(ErrorCode::kInvalidArgument, "speech is cleaned in 1 to 64 channels and blocks of 1 to 4096 frames");
  }
  if (model.architecture == SpeechArchitecture::kGtcrn) return GtcrnCore::Make(model, options, session, pool, stats);
  return DeepFilterCore::Make(model, options, session, pool, stats);
}

}  // namespace timbre
