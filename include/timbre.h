/* timbre's C interface: speech cleaned live.
 *
 *   char error[256];
 *   timbre_denoiser *d = timbre_denoiser_create("DeepFilterNet3.zip", 48000, 1, error, sizeof error);
 *   if (d == NULL) fail(error);
 *   timbre_denoiser_process(d, in, out, frames);   as often as there is sound
 *   timbre_denoiser_destroy(d);
 *
 * Link with -ltimbre. Everything works with DeepFilterNet3 and GTCRN, at any sample rate from 1000 to 768000 Hz. */
#ifndef TIMBRE_H_
#define TIMBRE_H_

#include <stddef.h>

#if !defined(TIMBRE_API)
#if defined(__GNUC__)
#define TIMBRE_API __attribute__((visibility("default")))
#else
#define TIMBRE_API
#endif
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* One stream of sound. Each function below that takes one may be called by one thread at a time, but
 * timbre_denoiser_set and timbre_denoiser_get by any thread at any time. */
typedef struct timbre_denoiser timbre_denoiser;

typedef enum timbre_status {
  TIMBRE_OK = 0,
  TIMBRE_FAILED = 1,          /* the network failed: the output is silent, the state that of a new stream */
  TIMBRE_INVALID_ARGUMENT = 2 /* a null pointer, an unknown parameter, memory too small, bytes that are no state */
} timbre_status;

typedef enum timbre_parameter {
  /* Noise is lowered by at most so many dB: 0 (no effect) to 100 (no limit, the default). What lies above half of the
   * model's own rate counts as noise: without a limit nothing of it is left. */
  TIMBRE_ATTENUATION_LIMIT = 0,
  /* Lowers very noisy parts a little more: 0 (off, the default of most models) to 1; 0.02 is usual. */
  TIMBRE_POST_FILTER_BETA = 1,
  /* The cleaned share of the output, the rest being the input: 0 to 1 (the default). */
  TIMBRE_MIX = 2
} timbre_parameter;

/* "0.1.0" */
TIMBRE_API const char* timbre_version(void);

/* Reads a model and makes a stream of 1 to 64 channels. `model` is a file, a folder or the name of a model that `timbre
 * models pull` has fetched; NULL or "": what the environment's TIMBRE_MODEL says, else "deepfilternet3". On failure it
 * returns NULL and, where error is not NULL, writes one sentence into its error_size bytes, ended by a zero. This reads
 * files, allocates and takes tens of milliseconds: not for a real-time thread. */
TIMBRE_API timbre_denoiser* timbre_denoiser_create(const char* model, int sample_rate, int channels, char* error,
                                                   size_t error_size);
TIMBRE_API void timbre_denoiser_destroy(timbre_denoiser* denoiser);

/* Samples by which the output trails the input, whatever the number of frames in a call. */
TIMBRE_API size_t timbre_denoiser_latency(const timbre_denoiser* denoiser);

/* Takes `frames` samples of each channel (in[channel][frame], full scale is 1) and gives as many. Any number; out may
 * be in. Never allocates, locks, waits or does I/O. Samples that are not finite count as silence. */
TIMBRE_API timbre_status timbre_denoiser_process(timbre_denoiser* denoiser, const float* const* in, float* const* out,
                                                 size_t frames);

/* Back to a new stream; parameters stay. Real-time safe, as process is. */
TIMBRE_API void timbre_denoiser_reset(timbre_denoiser* denoiser);

/* Values out of range are taken to the nearest in it. Real-time safe. */
TIMBRE_API timbre_status timbre_denoiser_set(timbre_denoiser* denoiser, timbre_parameter parameter, float value);
TIMBRE_API float timbre_denoiser_get(const timbre_denoiser* denoiser, timbre_parameter parameter);

/* Everything that a stream remembers, parameters apart, as bytes: for going on later, or elsewhere, in a stream of the
 * same model, rate and channels, on a machine of the same byte order. Restoring anything else fails and resets the
 * stream. Real-time safe. */
TIMBRE_API size_t timbre_denoiser_state_size(timbre_denoiser* denoiser);
TIMBRE_API timbre_status timbre_denoiser_save(timbre_denoiser* denoiser, void* state, size_t size);
TIMBRE_API timbre_status timbre_denoiser_restore(timbre_denoiser* denoiser, const void* state, size_t size);

#ifdef __cplusplus
}
#endif

#endif /* TIMBRE_H_ */
