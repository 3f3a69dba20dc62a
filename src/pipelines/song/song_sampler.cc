#include "pipelines/song/song_sampler.h"

#include <algorithm>
#include <cmath>

namespace timbre {
namespace {

// What is nearer to all ones than this is a frame of a song's end.
constexpr double kEndFrame = 0.05;
constexpr double kLeastGuidance = 1e-5;
constexpr float kTextTime = -1, kKeptTime = 1;

std::vector<float> Repeated(std::span<const float> style, int branches) {
  // The null branch has no style: zeros.
  std::vector<float> all(style.begin(), style.end());
  all.resize(static_cast<size_t>(branches) * kStyleFeatures);
  return all;
}

}  // namespace

SongSampler::SongSampler(const DitConfig& config, std::span<const float> style, const SamplerOptions& options)
    : config_(config),
      options_(options),
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
  std::unique_ptr<SongSampler> sampler(new SongSampler(config, style, options));
  const std::unique_ptr<Weights> source = WeightsFromMap(weights);
  for (const auto& [name, tensor] : *weights) {
    if (name.starts_with(kDitTrainingOnly)) source->Ignore(name);
  }
  sampler->capacity_ = static_cast<int64_t>(tokens.size()) + (sampler->blocks_ - 1) * config.block_size;
  // The sessions one after the other: neither weights nor activations of both are there at once.
  TIMBRE_CHECK(sampler->PassText(*source, tokens, session, pool, stats));
  TIMBRE_CHECK(sampler->MakeStep(*source, session, pool, stats));
  TIMBRE_CHECK(source->CheckAllUsed());
  return sampler;
}

Status SongSampler::PassText(Weights& weights, std::span<const int32_t> tokens, const SessionOptions& session,
                             ThreadPool& pool, Stats* stats) {
  TIMBRE_TRY(std::vector<float> text, EmbedText(config_, weights, tokens));
  const auto rows = static_cast<int64_t>(tokens.size());
  const int64_t layer = branches_ * config_.heads * capacity_ * config_.head();
  for (int i = 0; i < config_.depth && capacity_ > 0; ++i) {
    for (const char* kind : {"past.k.", "past.v."}) {
      inputs_[kind + std::to_string(i)] = std::vector<float>(static_cast<size_t>(layer));
    }
  }
  if (rows == 0) return {};
  if (branches_ == 2) {
    TIMBRE_TRY(const std::vector<float> null, EmbedText(config_, weights, std::vector<int32_t>(tokens.size())));
    text.insert(text.end(), null.begin(), null.end());
  }
  TIMBRE_TRY(Graph graph, BuildDitText(config_, weights, {branches_, rows, 0}));
  const std::vector<float> time = TimeFeatures(kTextTime);
  const RotaryTables tables = MakeRotaryTables(config_.head(), 0, rows);
  const std::map<std::string, const float*> values = {{"text", text.data()},
                                                      {"time", time.data()},
                                                      {"style", style_.data()},
                                                      {"cos", tables.cosine.data()},
                                                      {"sin", tables.sine.data()}};
  std::vector<const float*> in;
  for (const GraphPort& port : graph.inputs) in.push_back(values.at(port.name));
  std::vector<std::string> names;
  std::vector<std::vector<float>> outputs;
  for (const GraphPort& port : graph.outputs) {
    names.push_back(port.name);
    outputs.emplace_back(static_cast<size_t>(graph.shape(port.tensor).elements()));
  }
  std::vector<float*> out;
  for (std::vector<float>& output : outputs) out.push_back(output.data());
  TIMBRE_TRY(const std::unique_ptr<Session> pass, MakeSession(std::move(graph), session, pool, stats));
  TIMBRE_CHECK(pass->Run(in, out));
  Store(names, outputs, rows);
  return {};
}

Status SongSampler::MakeStep(Weights& weights, const SessionOptions& session, ThreadPool& pool, Stats* stats) {
  TIMBRE_TRY(Graph graph, BuildDitStep(config_, weights, {branches_, config_.block_size, capacity_}));
  for (const GraphPort& port : graph.inputs) {
    std::vector<float>& values = inputs_[port.name];
    if (port.name == "style") values = style_;
    values.resize(static_cast<size_t>(graph.shape(port.tensor).elements()));
    in_.push_back(values.data());
  }
  for (const GraphPort& port : graph.outputs) {
    names_.push_back(port.name);
    outputs_.emplace_back(static_cast<size_t>(graph.shape(port.tensor).elements()));
  }
  for (std::vector<float>& output : outputs_) out_.push_back(output.data());
  TIMBRE_TRY(session_, MakeSession(std::move(graph), session, pool, stats));
  return {};
}

void SongSampler::Store(const std::vector<std::string>& names, const std::vector<std::vector<float>>& outputs,
                        int64_t rows) {
  const int64_t head = config_.head(), count = rows * head;
  for (size_t i = 0; i < names.size(); ++i) {
    const auto cache = inputs_.find("past." + names[i]);
    if (cache == inputs_.end()) continue;
    for (int64_t h = 0; h < branches_ * config_.heads; ++h) {
      std::copy_n(outputs[i].begin() + h * count, count, cache->second.begin() + (h * capacity_ + places_) * head);
    }
  }
  places_ += rows;
}

Status SongSampler::Evaluate(const std::vector<float>& latent, float time) {
  const auto set = [this](const char* name, const std::vector<float>& values) {
    std::copy(values.begin(), values.end(), inputs_.at(name).begin());
  };
  set("latent", latent);
  set("time", TimeFeatures(time));
  return session_->Run(in_, out_);
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

Status SongSampler::Next(const Noise& noise, const Between& between) {
  const int64_t rows = config_.block_size, values = rows * config_.mel_dim;
  std::vector<float> x(static_cast<size_t>(values));
  TIMBRE_CHECK(noise(block_, x));
  const RotaryTables tables = MakeRotaryTables(config_.head(), block_ * rows, rows);
  inputs_.at("cos") = tables.cosine;
  inputs_.at("sin") = tables.sine;
  if (capacity_ > 0) {
    std::vector<float>& mask = inputs_.at("mask");
    std::fill(mask.begin(), mask.end(), kMasked);
    std::fill_n(mask.begin(), places_, 0.0f);
  }
  for (size_t i = 0; const float*& in : in_) in = inputs_.at(session_->graph().inputs[i++].name).data();

  const std::vector<float> times = Linspace(options_.steps);
  const auto velocity = static_cast<size_t>(std::find(names_.begin(), names_.end(), "velocity") - names_.begin());
  const auto guidance = static_cast<float>(options_.guidance);
  states_.clear();
  if (keep_states_) states_ = x;
  for (int i = 0; i + 1 < options_.steps; ++i) {
    TIMBRE_CHECK(between());
    TIMBRE_CHECK(Evaluate(x, times[i]));
    const float step = times[i + 1] - times[i];
    const float *v = outputs_[velocity].data(), *null = v + values;
    for (int64_t j = 0; j < values; ++j) {
      const float guided = branches_ == 2 ? v[j] + (v[j] - null[j]) * guidance : v[j];
      x[j] += step * guided;
    }
    if (keep_states_) states_.insert(states_.end(), x.begin(), x.end());
  }
  if (!std::all_of(x.begin(), x.end(), [](float value) { return std::isfinite(value); })) {
    return Fail(ErrorCode::kKernelFailed, "block " + std::to_string(block_ + 1) + " of the song's " +
                                              std::to_string(blocks_) + " came out as something that is not a number");
  }
  if (block_ + 1 < blocks_) {
    TIMBRE_CHECK(between());
    TIMBRE_CHECK(Evaluate(x, kKeptTime));
    Store(names_, outputs_, rows);
  }
  latents_.insert(latents_.end(), x.begin(), x.end());
  ++block_;
  ApplyStopRule();
  return {};
}

}  // namespace timbre
