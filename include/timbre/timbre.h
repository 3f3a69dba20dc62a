/* timbre's C interface: jobs on files, sound in memory parted into stems, speech cleaned live.
 *
 *   char error[256];
 *   timbre_job *job = timbre_job_create("{\"kind\": \"separate\", \"inputs\": [\"song.mp3\"]}", error, sizeof error);
 *   if (job == NULL) fail(error);
 *   if (timbre_job_run(job, on_event, NULL) != TIMBRE_OK) fail(timbre_job_error(job));
 *   puts(timbre_job_report(job));
 *   timbre_job_destroy(job);
 *
 * Link with what `pkg-config timbre` says, or with timbre::timbre of find_package(timbre).
 *
 * All text is UTF-8 that ends in a zero. A function that takes `error` and `error_size` writes one sentence there where
 * it fails, cut to what fits; error may be NULL. What is documented as JSON is made for programs; members may be added
 * to it. The library changes no setting of the process, such as signal handlers or the locale, prints nothing and never
 * ends the process. */
#ifndef TIMBRE_TIMBRE_H_
#define TIMBRE_TIMBRE_H_

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

typedef enum timbre_status {
  TIMBRE_OK = 0,
  TIMBRE_FAILED = 1,           /* a file, a model, a device, the network: the error says which */
  TIMBRE_INVALID_ARGUMENT = 2, /* a null pointer, an unknown option, memory too small, bytes that are no state */
  TIMBRE_CANCELLED = 3
} timbre_status;

/* "0.1.0" */
TIMBRE_API const char* timbre_version(void);

/* Each of these gives text that timbre_free frees, or NULL.
 *   devices: {"devices": [{"device": "cpu", "taken": true, …}, …], "auto": "cpu", "reason": …}
 *   models:  [{"name": "htdemucs", "task": "separate", "state": "installed", "bytes": …, "licence": …}, …]
 *   kinds:   {"separate": {"job": a JSON Schema, "report": a JSON Schema}, …}: the jobs that there are
 * A model is fetched by a job of the kind "pull", whose inputs are names of models, and by every job that needs it. */
TIMBRE_API char* timbre_devices(char* error, size_t error_size);
TIMBRE_API char* timbre_models(char* error, size_t error_size);
TIMBRE_API char* timbre_job_kinds(char* error, size_t error_size);
TIMBRE_API void timbre_free(char* text);

/* What work tells while it runs, an object of JSON an event; `user` is what was given beside the function.
 *   {"event": "progress", "stage": "compute", "subject": "song.mp3", "done": 3, "total": 12, …}: ten times a second at
 * most
 *   {"event": "message", "text": …}, "warning", "step_down", …: kinds and stages may be added
 * Called from threads of the library, one call at a time; `event` is gone when it returns. NULL: nobody listens. */
typedef void (*timbre_event_function)(void* user, const char* event);

/* ---- Jobs: what a command of the program does, options and all. ---- */

/* Jobs are independent of each other: any number may run at once, each in a thread of the caller's. */
typedef struct timbre_job timbre_job;

/* {"kind": "separate", "inputs": ["song.mp3"], "options": {"two_stems": "vocals"}}: as timbre_job_kinds describes.
 * Relative paths are relative to the folder that the process is in when the job runs. NULL where the text is no job. */
TIMBRE_API timbre_job* timbre_job_create(const char* json, char* error, size_t error_size);
/* Not while it runs. */
TIMBRE_API void timbre_job_destroy(timbre_job* job);

/* A descriptor for the sound of a job that has the option "stdout"; without one it fails. Before it runs. */
TIMBRE_API timbre_status timbre_job_set_stream(timbre_job* job, int descriptor);

/* Runs the job to its end, once. Its files have their names when it is done; where it fails or is cancelled, none is
 * left behind, and older ones of these names are as they were. */
TIMBRE_API timbre_status timbre_job_run(timbre_job* job, timbre_event_function on_event, void* user);

/* Ends the run as soon as it can: from any thread, from within on_event, or before it begins. */
TIMBRE_API void timbre_job_cancel(timbre_job* job);

/* After the run, until the job is destroyed: the report as JSON, and what went wrong, or "". */
TIMBRE_API const char* timbre_job_report(const timbre_job* job);
TIMBRE_API const char* timbre_job_error(const timbre_job* job);

/* ---- Sound in memory, parted into stems. ---- */

/* A model made ready. One thread at a time may use it, but timbre_separator_cancel. */
typedef struct timbre_separator timbre_separator;

/* `options` is an object of JSON, or NULL: {"model": "htdemucs", "two_stems": "vocals", …}, those of a separate job
 * that say nothing about files. Fetches the model where it isn't here. Takes seconds. */
TIMBRE_API timbre_separator* timbre_separator_create(const char* options, timbre_event_function on_event, void* user,
                                                     char* error, size_t error_size);
TIMBRE_API void timbre_separator_destroy(timbre_separator* separator);

TIMBRE_API size_t timbre_separator_stem_count(const timbre_separator* separator);
/* "drums"; NULL beyond the last. */
TIMBRE_API const char* timbre_separator_stem(const timbre_separator* separator, size_t stem);
/* The rate at which nothing is resampled. */
TIMBRE_API int timbre_separator_sample_rate(const timbre_separator* separator);

/* Parts in[channel][frame], of 1 or 2 channels at any rate from 1000 to 768000 Hz, into
 * out[stem * channels + channel][frame], of the same. In and out may not overlap. Where it fails, `out` is as it was.
 */
TIMBRE_API timbre_status timbre_separator_run(timbre_separator* separator, const float* const* in, int channels,
                                              size_t frames, int sample_rate, float* const* out,
                                              timbre_event_function on_event, void* user, char* error,
                                              size_t error_size);

/* Ends the run that is under way with TIMBRE_CANCELLED; without one, nothing. From any thread, and from on_event. */
TIMBRE_API void timbre_separator_cancel(timbre_separator* separator);

/* ---- Speech cleaned live, with DeepFilterNet3 and GTCRN, at any sample rate from 1000 to 768000 Hz. ---- */

/* One stream of sound. Each function below that takes one may be called by one thread at a time, but
 * timbre_denoiser_set and timbre_denoiser_get by any thread at any time. */
typedef struct timbre_denoiser timbre_denoiser;

typedef enum timbre_parameter {
  /* Noise is lowered by at most so many dB: 0 (no effect) to 100 (no limit, the default). What lies above half of the
   * model's own rate counts as noise: without a limit nothing of it is left. */
  TIMBRE_ATTENUATION_LIMIT = 0,
  /* Lowers very noisy parts a little more: 0 (off, the default of most models) to 1; 0.02 is usual. */
  TIMBRE_POST_FILTER_BETA = 1,
  /* The cleaned share of the output, the rest being the input: 0 to 1 (the default). */
  TIMBRE_MIX = 2
} timbre_parameter;

/* Reads a model and makes a stream of 1 to 64 channels. `model` is a file, a folder or the name of a model that `timbre
 * models pull` has fetched; NULL or "": what the environment's TIMBRE_MODEL says, else "deepfilternet3". NULL where it
 * fails. This reads files, allocates and takes tens of milliseconds: not for a real-time thread. */
TIMBRE_API timbre_denoiser* timbre_denoiser_create(const char* model, int sample_rate, int channels, char* error,
                                                   size_t error_size);
TIMBRE_API void timbre_denoiser_destroy(timbre_denoiser* denoiser);

/* Samples by which the output trails the input, whatever the number of frames in a call. */
TIMBRE_API size_t timbre_denoiser_latency(const timbre_denoiser* denoiser);

/* Takes `frames` samples of each channel (in[channel][frame], full scale is 1) and gives as many. Any number; out may
 * be in. Never allocates, locks, waits or does I/O. Samples that are not finite count as silence. Where the network
 * fails, the output is silent and the state that of a new stream. */
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

#endif /* TIMBRE_TIMBRE_H_ */
