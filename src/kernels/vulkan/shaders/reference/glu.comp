#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
layout(local_size_x = 256) in;
BUFFER_IN(0, x);
BUFFER_OUT(1, y);
layout(push_constant) uniform Push { uint count, features; };
void main() {
  const uint i = LinearThread();
  if (i >= count) return;
  const uint p = (i / features) * 2u * features + i % features;
  y[i] = x[p] / (1.0 + exp(-x[p + features]));
}
