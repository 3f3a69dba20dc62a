#include "pipelines/song/song_sampler.h"

#include <map>

#include "pipelines/check_finite.h"
#include "runtime/session/steps.h"

namespace timbre {
namespace {

// What is nearer to all ones than this is a frame of a song's end.
constexpr double kEndFrame = 0.05;
constexpr double kLeastGuidance = 1e-5;
constexpr float kTextTime = -1, kKeptTime = 1;
// Places of keys and values are made so many at a time: songs of about one length share their plans.
constexpr int64_t kPlaces = 128;

std::vector<float> Repeated(std::span<const float> style, int branches) {
  // The null branch has no style: zeros.
  std::vector<float> all(style.begin(), style.end());
  all.resize(static_cast<size_t>(branches) * kStyleFeatures);
  return all;
}

// Whether products of few rows and of many read the same packed weights, those that the checkpoint stores.
bool StayAsStored(const TensorMap& weights) {
  const auto large = weights.find("transformer.transformer_blocks.0.mlp.up_proj.weight");
  return large != weights.end() && large->second.dtype != DType::kF32;
}

std::vector<const float*> InputsOf(const Session& session, const std::map<std::string_view, const float*>& values) {
  std::vector<const float*> in;
  for (const GraphPort& port : session.graph().inputs) in.push_back(values.at(port.name));
  return in;
}

}  // namespace

SongSampler::SongSampler(const DitConfig& config, std::shared_ptr<const TensorMap> weights,
                         std::span<const float> style, const SamplerOptions& options, const SessionOptions& session,
                         ThreadPool& pool, Stats* stats)
    : config_(config),
      weights_(std::move(weights)),
      options_(options),
      session_options_(session),
      pool_(pool),
      stats_(stats),
      branches_(options.guidance >= kLeastGuidance ? 2 : 1),
      style_(Repeated(style, branches_)),
      blocks_((options.frames + config.block_size - 1) / config.block_size) {}

Result<std::unique_ptr<SongSampler>> SongSampler::Create(const DitConfig& config,
                                                         std::shared_ptr<const TensorMap> weights,
                                                         std::span<const int32_t> tokens, std::span<const float> style,
                                                         const SamplerOptions& options, const SessionOptions& session,
                                                         ThreadPool& pool, Stats* stats) {
  if (style.size() != kStyleFeatures) {
    return Fail(ErrorCode::kInvalidArgument,
                "a style has " + std::to_string(kStyleFeatures) + " numbers, not " + std::to_string(style.size()));
  }
  if (options.steps < 2 || options.frames < 1) {
    return Fail(ErrorCode::kInvalidArgument, "a song needs at least two steps and a frame");
  }
  std::unique_ptr<SongSampler> sampler(
      new SongSampler(config, std::move(weights), style, options, session, pool, stats));
  const std::unique_ptr<Weights> source = WeightsFromMap(sampler->weights_);
  for (const auto& [name, tensor] : *sampler->weights_) {
    if (name.starts_with(kDitTrainingOnly)) source->Ignore(name);
  }
  const int64_t places = static_cast<int64_t>(tokens.size()) + sampler->blocks_ * config.block_size;
  sampler->capacity_ = (places + kPlaces - 1) / kPlaces * kPlaces;
  TIMBRE_TRY(std::unique_ptr<Session> text, sampler->PassText(*source, tokens));
  const std::shared_ptr<SessionState> state = text == nullptr ? nullptr : text->state();
  // While the text's session is there, the step's takes its packed weights over. Where they would be packed in another
  // way, it makes room for them first.
  if (!StayAsStored(*sampler->weights_)) text.reset();
  TIMBRE_CHECK(sampler->MakeStep(*source));
  if (state != nullptr) TIMBRE_CHECK(sampler->session_->UseState(state));
  TIMBRE_CHECK(source->CheckAllUsed());
  return sampler;
}

// Null where there is no text.
Result<std::unique_ptr<Session>> SongSampler::PassText(Weights& weights, std::span<const int32_t> tokens) {
  TIMBRE_TRY(std::vector<float> text, EmbedText(config_, weights, tokens));
  if (tokens.empty()) return nullptr;
  if (branches_ == 2) {
    TIMBRE_TRY(const std::vector<float> null, EmbedText(config_, weights, std::vector<int32_t>(tokens.size())));
    text.insert(text.end(), null.begin(), null.end());
  }
  const auto rows = static_cast<int64_t>(tokens.size());
  TIMBRE_TRY(Graph graph, BuildDitText(config_, weights, {branches_, rows, capacity_}));
  TIMBRE_TRY(std::unique_ptr<Session> pass, MakeSession(std::move(graph), session_options_, pool_, stats_));
  const std::vector<float> time = TimeFeatures(kTextTime);
  TIMBRE_CHECK(pass->SetScalar("length", static_cast<int32_t>(rows)));
  TIMBRE_CHECK(
      pass->Run(InputsOf(*pass, {{"text", text.data()}, {"time", time.data()}, {"style", style_.data()}}), {}));
  places_ = rows;
  return pass;
}

Status SongSampler::MakeStep(Weights& weights) {
  TIMBRE_TRY(Graph graph, BuildDitStep(config_, weights, {branches_, config_.block_size, capacity_}));
  velocity_.resize(static_cast<size_t>(branches_ * config_.block_size * config_.mel_dim));
  TIMBRE_TRY(session_, MakeSession(std::move(graph), session_options_, pool_, stats_));
  return {};
}

Status SongSampler::Evaluate(const std::vector<float>& latent, float time) {
  const std::vector<float> features = TimeFeatures(time);
  float* const out[] = {velocity_.data()};
  TIMBRE_CHECK(session_->Run(
      InputsOf(*session_, {{"latent", latent.data()}, {"time", features.data()}, {"style", style_.data()}}), out));
  return CheckFinite(velocity_, "block " + std::to_string(block_ + 1) + " of the song's " + std::to_string(blocks_) +
                                    " came out as something that is not a number");
}

double SongSampler::DistanceFromEnd(int64_t frame) const {
  double sum = 0;
  for (int i = 0; i < config_.mel_dim; ++i) {
    const double d = static_cast<double>(latents_[frame * config_.mel_dim + i]) - 1;
    sum += d * d;
  }
  return sum / config_.mel_dim;
}

// The reference takes one frame more than those of the end, and this keeps to it.
void SongSampler::ApplyStopRule() {
  const int64_t all = static_cast<int64_t>(latents_.size()) / config_.mel_dim;
  kept_ = all - 1;
  if (DistanceFromEnd(all - 1) <= kEndFrame) {
    while (kept_ > 0 && DistanceFromEnd(kept_) <= kEndFrame) --kept_;
    ended_ = true;
  } else if (block_ == blocks_) {
    kept_ = all;
  }
}

Status SongSampler::TryAgain(int tries, const Error& error) {
  const Steps steps(stats_, session_options_.strict);
  const std::string node = "block " + std::to_string(block_ + 1), from = session_->device_name();
  if (tries == 0) return steps.Take(Rung::kKernel, node, from, OnceMore(from), error);
  if (tries > 1 || from.starts_with("CPU")) return tl::unexpected<Error>(error);
  TIMBRE_CHECK(steps.Take(Rung::kKernel, node, from, "the CPU", error));
  session_options_.device = "cpu";
  const std::shared_ptr<SessionState> state = session_->state();
  TIMBRE_CHECK(MakeStep(*WeightsFromMap(weights_)));
  return session_->UseState(state);
}

Status SongSampler::MakeBlock(const Noise& noise, const Between& between, std::vector<float>& x) {
  const int64_t rows = config_.block_size, values = rows * config_.mel_dim;
  x.resize(static_cast<size_t>(values));
  TIMBRE_CHECK(noise(block_, x));
  TIMBRE_CHECK(session_->SetScalar("place", static_cast<int32_t>(places_)));
  TIMBRE_CHECK(session_->SetScalar("length", static_cast<int32_t>(places_ + rows)));
  TIMBRE_CHECK(session_->SetScalar("position", static_cast<int32_t>(block_ * rows)));
  const std::vector<float> times = Linspace(options_.steps);
  const auto guidance = static_cast<float>(options_.guidance);
  states_.clear();
  if (keep_states_) states_ = x;
  for (int i = 0; i + 1 < options_.steps; ++i) {
    TIMBRE_CHECK(between());
    TIMBRE_CHECK(Evaluate(x, times[i]));
    const float step = times[i + 1] - times[i];
    const float *v = velocity_.data(), *null = v + values;
    for (int64_t j = 0; j < values; ++j) {
      const float guided = branches_ == 2 ? v[j] + (v[j] - null[j]) * guidance : v[j];
      x[j] += step * guided;
    }
    if (keep_states_) states_.insert(states_.end(), x.begin(), x.end());
  }
  if (block_ + 1 == blocks_) return {};
  // What the last pass leaves in the block's places stays there.
  TIMBRE_CHECK(between());
  return Evaluate(x, kKeptTime);
}

Status SongSampler::Next(const Noise& noise, const Between& between) {
  TIMBRE_CHECK(session_->state()->Mark());
  std::vector<float> x;
  for (int tries = 0;; ++tries) {
    const Status made = MakeBlock(noise, between, x);
    if (made) break;
    TIMBRE_CHECK(session_->state()->Rollback());
    TIMBRE_CHECK(TryAgain(tries, made.error()));
  }
  places_ += config_.block_size;
  latents_.insert(latents_.end(), x.begin(), x.end());
  ++block_;
  ApplyStopRule();
  return {};
}

}  // namespace timbre
