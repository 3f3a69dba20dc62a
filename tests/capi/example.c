/* Cleans mono float samples from standard input to standard output: example MODEL RATE FRAMES_A_CALL. It also goes
 * through everything else that the interface has, and fails where that is not as promised. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "timbre/timbre.h"

#define CHECK(condition)                                            \
  if (!(condition)) {                                               \
    fprintf(stderr, "line %d: not so: %s\n", __LINE__, #condition); \
    return 1;                                                       \
  }

int main(int argc, char** argv) {
  char error[256] = "";
  CHECK(argc == 4);
  const size_t frames = (size_t)atoi(argv[3]);
  timbre_denoiser* d = timbre_denoiser_create(argv[1], atoi(argv[2]), 1, error, sizeof error);
  if (d == NULL) {
    fprintf(stderr, "%s\n", error);
    return 2;
  }
  float* samples = malloc(frames * sizeof *samples);
  const size_t size = timbre_denoiser_state_size(d);
  void* fresh = malloc(size);
  CHECK(samples != NULL && fresh != NULL);
  CHECK(strlen(timbre_version()) > 0);
  CHECK(timbre_denoiser_latency(d) > 0);
  CHECK(timbre_denoiser_get(d, TIMBRE_MIX) == 1.0f);
  CHECK(timbre_denoiser_get(d, TIMBRE_ATTENUATION_LIMIT) == 100.0f);
  CHECK(timbre_denoiser_set(d, TIMBRE_MIX, -3.0f) == TIMBRE_OK && timbre_denoiser_get(d, TIMBRE_MIX) == 0.0f);
  CHECK(timbre_denoiser_set(d, TIMBRE_MIX, 1.0f) == TIMBRE_OK);
  CHECK(timbre_denoiser_set(d, (timbre_parameter)99, 0.0f) == TIMBRE_INVALID_ARGUMENT);
  CHECK(timbre_denoiser_set(NULL, TIMBRE_MIX, 0.0f) == TIMBRE_INVALID_ARGUMENT);
  CHECK(timbre_denoiser_process(d, NULL, NULL, 1) == TIMBRE_INVALID_ARGUMENT);
  CHECK(timbre_denoiser_save(d, fresh, size) == TIMBRE_OK);
  CHECK(timbre_denoiser_save(d, fresh, size - 1) == TIMBRE_INVALID_ARGUMENT);

  /* Some noise, then back to the beginning: it must leave no trace. */
  const float* in = samples;
  float* out = samples;
  for (size_t i = 0; i < frames; ++i) samples[i] = (float)(rand() % 2001 - 1000) / 1000.0f;
  CHECK(timbre_denoiser_process(d, &in, &out, frames) == TIMBRE_OK);
  CHECK(timbre_denoiser_restore(d, fresh, size) == TIMBRE_OK);
  CHECK(timbre_denoiser_restore(d, fresh, size - 1) == TIMBRE_INVALID_ARGUMENT);
  timbre_denoiser_reset(d);

  size_t count;
  while ((count = fread(samples, sizeof *samples, frames, stdin)) > 0) {
    CHECK(timbre_denoiser_process(d, &in, &out, count) == TIMBRE_OK);
    CHECK(fwrite(samples, sizeof *samples, count, stdout) == count);
  }
  timbre_denoiser_destroy(d);
  timbre_denoiser_destroy(NULL);
  free(samples);
  free(fresh);
  return 0;
}
