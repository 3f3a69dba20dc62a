#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
layout(local_size_x = 256) in;
BUFFER_IN(0, x);
BUFFER_IN(1, state);
BUFFER_OUT(2, y);
BUFFER_OUT(3, next);
layout(push_constant) uniform Push { uint batch, steps, features, first, last; float alpha; };
void main() {
  const uint i = LinearThread();
  if (i >= batch * features) return;
  const uint n = i / features, f = i % features;
  float s = state[i];
  for (uint t = first; t < last; ++t) {
    const uint p = (n * steps + t) * features + f;
    s = x[p] * (1.0 - alpha) + s * alpha;
    y[p] = s;
  }
  next[i] = s;
}
