#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
// One thread a bin: the plain sum, of sums of 64 samples so that long ones keep their digits. `roots` holds cos and sin of 2 pi k / n_fft, and after them the window, centred in n_fft.
layout(local_size_x = 256) in;
BUFFER_IN(0, x);
BUFFER_IN(1, roots);
BUFFER_OUT(2, y);
layout(push_constant) uniform Push { uint count, samples, channels, frames, bins, n_fft, hop; float scale; };
void main() {
  const uint i = LinearThread();
  if (i >= count) return;
  const uint c = i % channels, k = i / channels % bins, f = i / channels / bins % frames, n = i / channels / bins / frames;
  float re = 0.0, im = 0.0;
  for (uint first = 0u; first < n_fft; first += 64u) {
    float part_re = 0.0, part_im = 0.0;
    for (uint s = first; s < min(first + 64u, n_fft); ++s) {
      const float v = roots[2u * n_fft + s] * x[(n * samples + f * hop + s) * channels + c];
      const uint r = k * s % n_fft;
      part_re += v * roots[2u * r];
      part_im -= v * roots[2u * r + 1u];
    }
    re += part_re;
    im += part_im;
  }
  y[2u * i] = re * scale;
  y[2u * i + 1u] = im * scale;
}
