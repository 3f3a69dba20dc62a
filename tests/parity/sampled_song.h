// A reference case's latents made by the sampler, on any device.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "formats/safetensors.h"
#include "pipelines/song/song_sampler.h"
#include "tests/support/golden.h"

namespace timbre::testing {

struct SampledSong {
  std::vector<float> latents;
  std::vector<std::vector<float>> states;  // of each block
  std::vector<int64_t> moved;              // bytes of keys and values, by each block
  int64_t blocks = 0;
};

// The case's noise, block by block.
inline SongSampler::Noise NoiseOf(const Safetensors& file) {
  return [noise = Values(file, "noise")](int64_t block, std::span<float> values) -> Status {
    std::copy_n(noise.begin() + block * static_cast<int64_t>(values.size()), values.size(), values.begin());
    return {};
  };
}

// A sampler of the case's tokens, style, steps and guidance; a test failure, and null, where it can't be made. `frames`
// in place of the case's own, where given.
inline std::unique_ptr<SongSampler> SamplerOf(const Safetensors& file, const std::shared_ptr<const TensorMap>& weights,
                                              const SessionOptions& session, ThreadPool& pool, Stats* stats = nullptr,
                                              int64_t frames = 0) {
  const auto config = ParseDitConfig(file.metadata.at("config"));
  EXPECT_TRUE(config) << config.error().message;
  if (!config) return nullptr;
  std::vector<int32_t> tokens;
  for (const float token : Values(file, "text")) tokens.push_back(static_cast<int32_t>(token));
  const SamplerOptions options{.steps = std::stoi(file.metadata.at("steps")),
                               .guidance = std::stod(file.metadata.at("cfg_strength")),
                               .frames = frames > 0 ? frames : std::stoll(file.metadata.at("duration"))};
  auto sampler = SongSampler::Create(*config, weights, tokens, Values(file, "style"), options, session, pool, stats);
  EXPECT_TRUE(sampler) << sampler.error().message;
  return sampler ? std::move(*sampler) : nullptr;
}

// All of it, up to where a block fails.
inline SampledSong Sample(SongSampler& sampler, const SongSampler::Noise& noise, int features) {
  SampledSong song;
  sampler.KeepStates();
  while (!sampler.done()) {
    const int64_t before = sampler.state().bytes_moved();
    const Status next = sampler.Next(noise, []() -> Status { return {}; });
    EXPECT_TRUE(next) << next.error().message;
    if (!next) return song;
    song.states.push_back(sampler.states());
    song.moved.push_back(sampler.state().bytes_moved() - before);
  }
  song.blocks = sampler.block();
  song.latents.assign(sampler.latents().begin(), sampler.latents().begin() + sampler.frames() * features);
  return song;
}

inline SampledSong SampleCase(const Safetensors& file, const std::shared_ptr<const TensorMap>& weights,
                              const SessionOptions& session = {.device = "cpu"}) {
  ThreadPool pool;
  const auto sampler = SamplerOf(file, weights, session, pool);
  if (sampler == nullptr) return {};
  return Sample(*sampler, NoiseOf(file), ParseDitConfig(file.metadata.at("config"))->mel_dim);
}

}  // namespace timbre::testing
