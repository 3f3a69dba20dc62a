// The C interface over LiveDenoiser.
#include <algorithm>
#include <cstdlib>
#include <memory>
#include <string>

#include "apps/capi/guard.h"
#include "pipelines/speech/live_denoiser.h"
#include "timbre/timbre.h"

using timbre::LiveDenoiser;
using timbre::Result;

struct timbre_denoiser {
  std::unique_ptr<LiveDenoiser> live;
};

namespace {

float Bounded(float value, float lo, float hi) { return value >= lo ? std::min(value, hi) : lo; }

Result<std::unique_ptr<LiveDenoiser>> Create(const char* model, int sample_rate, int channels) {
  std::string name = model == nullptr ? "" : model;
  const char* chosen = std::getenv("TIMBRE_MODEL");
  if (name.empty()) name = chosen != nullptr && *chosen != '\0' ? chosen : timbre::kDefaultSpeechModel;
  TIMBRE_TRY(const timbre::SpeechModel loaded, timbre::OpenSpeechModel(name));
  return LiveDenoiser::Create(loaded, {.sample_rate = sample_rate, .channels = channels});
}

}  // namespace

timbre_denoiser* timbre_denoiser_create(const char* model, int sample_rate, int channels, char* error,
                                        size_t error_size) {
  auto made = timbre::capi::Guarded([&]() -> Result<std::unique_ptr<timbre_denoiser>> {
    auto denoiser = std::make_unique<timbre_denoiser>();
    TIMBRE_TRY(denoiser->live, Create(model, sample_rate, channels));
    return denoiser;
  });
  if (!made) timbre::capi::Complain(made.error().message, error, error_size);
  return made ? made->release() : nullptr;
}

void timbre_denoiser_destroy(timbre_denoiser* denoiser) { delete denoiser; }

size_t timbre_denoiser_latency(const timbre_denoiser* denoiser) {
  return denoiser == nullptr ? 0 : static_cast<size_t>(denoiser->live->latency());
}

timbre_status timbre_denoiser_process(timbre_denoiser* denoiser, const float* const* in, float* const* out,
                                      size_t frames) {
  if (denoiser == nullptr || in == nullptr || out == nullptr) return TIMBRE_INVALID_ARGUMENT;
  for (int channel = 0; channel < denoiser->live->channels() && frames > 0; ++channel) {
    if (in[channel] == nullptr || out[channel] == nullptr) return TIMBRE_INVALID_ARGUMENT;
  }
  return denoiser->live->Process(in, out, static_cast<int64_t>(frames)) ? TIMBRE_OK : TIMBRE_FAILED;
}

void timbre_denoiser_reset(timbre_denoiser* denoiser) {
  if (denoiser != nullptr) denoiser->live->Reset();
}

timbre_status timbre_denoiser_set(timbre_denoiser* denoiser, timbre_parameter parameter, float value) {
  if (denoiser == nullptr) return TIMBRE_INVALID_ARGUMENT;
  switch (parameter) {
    case TIMBRE_ATTENUATION_LIMIT: denoiser->live->set_attenuation_limit(Bounded(value, 0, 100)); return TIMBRE_OK;
    case TIMBRE_POST_FILTER_BETA: denoiser->live->set_post_filter_beta(Bounded(value, 0, 1)); return TIMBRE_OK;
    case TIMBRE_MIX: denoiser->live->set_mix(Bounded(value, 0, 1)); return TIMBRE_OK;
  }
  return TIMBRE_INVALID_ARGUMENT;
}

float timbre_denoiser_get(const timbre_denoiser* denoiser, timbre_parameter parameter) {
  if (denoiser == nullptr) return 0;
  switch (parameter) {
    case TIMBRE_ATTENUATION_LIMIT: return denoiser->live->attenuation_limit();
    case TIMBRE_POST_FILTER_BETA: return denoiser->live->post_filter_beta();
    case TIMBRE_MIX: return denoiser->live->mix();
  }
  return 0;
}

size_t timbre_denoiser_state_size(timbre_denoiser* denoiser) {
  return denoiser == nullptr ? 0 : denoiser->live->state_size();
}

timbre_status timbre_denoiser_save(timbre_denoiser* denoiser, void* state, size_t size) {
  if (denoiser == nullptr || state == nullptr) return TIMBRE_INVALID_ARGUMENT;
  return denoiser->live->Save({static_cast<std::byte*>(state), size}) ? TIMBRE_OK : TIMBRE_INVALID_ARGUMENT;
}

timbre_status timbre_denoiser_restore(timbre_denoiser* denoiser, const void* state, size_t size) {
  if (denoiser == nullptr || state == nullptr) return TIMBRE_INVALID_ARGUMENT;
  return denoiser->live->Restore({static_cast<const std::byte*>(state), size}) ? TIMBRE_OK : TIMBRE_INVALID_ARGUMENT;
}
