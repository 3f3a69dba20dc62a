#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "unary.glsl"
layout(local_size_x = 256) in;
BUFFER_IN(0, x);
BUFFER_OUT(1, y);
layout(push_constant) uniform Push { uint count, fn; float alpha, beta; };
void main() {
  const uint i = LinearThread();
  if (i < count) y[i] = Unary(fn, x[i], alpha, beta);
}
