#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
// One thread an output sample: the windowed frames that cover it, over the sum of their squared windows.
layout(local_size_x = 256) in;
BUFFER_IN(0, part);
BUFFER_IN(1, roots);
BUFFER_OUT(2, y);
layout(push_constant) uniform Push { uint count, samples, channels, frames, n_fft, hop, crop, normalize; };
void main() {
  const uint i = LinearThread();
  if (i >= count) return;
  const uint c = i % channels, t = i / channels % samples + crop, n = i / channels / samples;
  const uint last = min(t / hop, frames - 1u), first = t < n_fft ? 0u : (t - n_fft) / hop + 1u;
  float sum = 0.0, norm = 0.0;
  for (uint f = first; f <= last; ++f) {
    const uint s = t - f * hop;
    const float w = roots[2u * n_fft + s];
    sum += part[((n * frames + f) * n_fft + s) * channels + c];
    norm += w * w;
  }
  y[i] = normalize != 0u ? sum / norm : sum;
}
