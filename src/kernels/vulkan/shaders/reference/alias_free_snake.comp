#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
layout(local_size_x = 256) in;
BUFFER_IN(0, x);
BUFFER_IN(1, alpha);
BUFFER_IN(2, scale);
BUFFER_IN(3, up);
BUFFER_IN(4, down);
BUFFER_OUT(5, y);
layout(push_constant) uniform Push { uint count, samples, channels, taps; };
// The period of sin^2 is pi, in two parts: the device's own sine may be wrong for large angles.
float SinSquared(float a) {
  const float n = round(a * 0.318309886);
  const float s = sin((a - n * 3.140625) - n * 9.67653589793e-4);
  return s * s;
}
void main() {
  const uint i = LinearThread();
  if (i >= count) return;
  const int c = int(i % channels), t = int(i / channels % samples), last = int(samples) - 1;
  const int signal = int(i / channels / samples * samples), pad = int(taps) / 2 - 1;
  float sum = 0.0;
  for (int k = 0; k < int(taps); ++k) {
    const int j = clamp(2 * t + k - pad, 0, 2 * last + 1);
    float v = 0.0;
    for (int l = (j + 3 * pad) % 2; l < int(taps); l += 2) {
      const int from = clamp((j + 3 * pad - l) / 2 - pad, 0, last);
      v += up[l] * x[(signal + from) * int(channels) + c];
    }
    v *= 2.0;
    sum += down[k] * (v + scale[c] * SinSquared(alpha[c] * v));
  }
  y[i] = sum;
}
