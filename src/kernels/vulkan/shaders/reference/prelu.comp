#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
layout(local_size_x = 256) in;
BUFFER_IN(0, x);
BUFFER_IN(1, slope);
BUFFER_OUT(2, y);
layout(push_constant) uniform Push { uint count, slopes; };
void main() {
  const uint i = LinearThread();
  if (i < count) y[i] = x[i] > 0.0 ? x[i] : x[i] * slope[i % slopes];
}
