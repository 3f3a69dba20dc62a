#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
// One thread an output element, for many outputs of few terms.
layout(local_size_x = 256) in;
BUFFER_IN(0, x);
BUFFER_OUT(1, y);
#include "reduce.glsl"
void main() {
  const uint o = LinearThread();
  if (o >= outputs) return;
  const uint base = Address(o, 0u, kept);
  float acc = x[base];
  for (uint i = 1u; i < terms; ++i) {
    const float v = x[base + Address(i, kept, 6u)];
    acc = fn == 2u ? max(acc, v) : fn == 3u ? min(acc, v) : acc + v;
  }
  if (fn == 1u) acc /= float(terms);
  if (fn == 4u) {
    const float mean = acc / float(terms);
    float sum = 0.0;
    for (uint i = 0u; i < terms; ++i) {
      const float d = x[base + Address(i, kept, 6u)] - mean;
      sum += d * d;
    }
    acc = sqrt(sum / (float(terms) - float(ddof)));
  }
  y[o] = acc;
}
