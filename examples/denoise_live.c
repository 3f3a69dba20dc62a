/* Cleans speech as it comes: denoise_live MODEL RATE. Mono float32 samples from the standard input to the standard
 * output, 480 at a time, for instance behind "ffmpeg -i call.wav -ac 1 -f f32le -". */
#include <stdio.h>
#include <stdlib.h>
#include <timbre/timbre.h>

int main(int argc, char** argv) {
  enum { FRAMES = 480 };
  float samples[FRAMES];
  float* channels[1] = {samples};
  char error[512] = "";
  size_t count;
  if (argc != 3) {
    fprintf(stderr, "usage: denoise_live MODEL RATE < in.f32 > out.f32\n");
    return 2;
  }
  timbre_denoiser* denoiser = timbre_denoiser_create(argv[1], atoi(argv[2]), 1, error, sizeof error);
  if (denoiser == NULL) {
    fprintf(stderr, "%s\n", error);
    return 1;
  }
  timbre_denoiser_set(denoiser, TIMBRE_ATTENUATION_LIMIT, 40);
  while ((count = fread(samples, sizeof samples[0], FRAMES, stdin)) > 0) {
    if (timbre_denoiser_process(denoiser, (const float* const*)channels, channels, count) != TIMBRE_OK) break;
    if (fwrite(samples, sizeof samples[0], count, stdout) != count) break;
  }
  timbre_denoiser_destroy(denoiser);
  return count > 0;
}
