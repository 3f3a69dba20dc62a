#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
// One thread an output sample: every frame that covers it, each frame's inverse as a plain sum.
layout(local_size_x = 256) in;
BUFFER_IN(0, z);
BUFFER_IN(1, roots);
BUFFER_OUT(2, y);
layout(push_constant) uniform Push { uint count, samples, channels, frames, bins, n_fft, hop, crop, normalize; float scale; };
void main() {
  const uint i = LinearThread();
  if (i >= count) return;
  const uint c = i % channels, t = i / channels % samples + crop, n = i / channels / samples;
  const uint last = min(t / hop, frames - 1u), first = t < n_fft ? 0u : (t - n_fft) / hop + 1u;
  float sum = 0.0, norm = 0.0;
  for (uint f = first; f <= last; ++f) {
    const uint s = t - f * hop;
    const float w = roots[2u * n_fft + s];
    float v = 0.0;
    for (uint k = 0u; k < bins; ++k) {
      const uint p = ((n * frames + f) * bins + k) * 2u * channels + 2u * c, r = k * s % n_fft;
      const bool edge = k == 0u || 2u * k == n_fft;
      v += edge ? z[p] * roots[2u * r] : 2.0 * (z[p] * roots[2u * r] - z[p + 1u] * roots[2u * r + 1u]);
    }
    sum += v / float(n_fft) * scale * w;
    norm += w * w;
  }
  y[i] = normalize != 0u ? sum / norm : sum;
}
