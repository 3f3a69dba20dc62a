#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
// One workgroup an output element.
layout(local_size_x = 256) in;
BUFFER_IN(0, x);
BUFFER_OUT(1, y);
#include "reduce.glsl"
shared float part[256];
float Combine(float a, float b) { return fn == 2u ? max(a, b) : fn == 3u ? min(a, b) : a + b; }
float All(float value) {
  const uint t = gl_LocalInvocationID.x;
  part[t] = value;
  barrier();
  for (uint k = 128u; k > 0u; k >>= 1) {
    if (t < k) part[t] = Combine(part[t], part[t + k]);
    barrier();
  }
  const float all = part[0];
  barrier();
  return all;
}
void main() {
  const uint o = LinearGroup(), t = gl_LocalInvocationID.x;
  if (o >= outputs) return;
  const uint base = Address(o, 0u, kept);
  float acc = fn == 2u ? -3.402823466e38 : fn == 3u ? 3.402823466e38 : 0.0;
  FOR_SHARE(i, terms) acc = Combine(acc, x[base + Address(i, kept, 6u)]);
  acc = All(acc);
  if (fn == 1u) acc /= float(terms);
  if (fn == 4u) {
    const float mean = acc / float(terms);
    float sum = 0.0;
    FOR_SHARE(i, terms) {
      const float d = x[base + Address(i, kept, 6u)] - mean;
      sum += d * d;
    }
    acc = sqrt(All(sum) / (float(terms) - float(ddof)));
  }
  if (t == 0u) y[o] = acc;
}
