#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
// One thread an output element, for many outputs of few terms. The input's axes, kept ones first. fn: 0 sum, 1 mean, 2
// max, 3 min, 4 standard deviation over n - ddof.
layout(local_size_x = 256) in;
BUFFER_IN(0, x);
BUFFER_OUT(1, y);
layout(push_constant) uniform Push { uint outputs, terms, fn, ddof, kept; uint dims[6], stride[6]; };
uint Address(uint index, uint lo, uint hi) {
  uint p = 0;
  for (uint axis = hi; axis-- > lo;) {
    if (dims[axis] == 1u) continue;
    p += index % dims[axis] * stride[axis];
    index /= dims[axis];
  }
  return p;
}
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
