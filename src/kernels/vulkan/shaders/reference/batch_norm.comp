#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
layout(local_size_x = 256) in;
BUFFER_IN(0, x);
BUFFER_IN(1, mean);
BUFFER_IN(2, variance);
BUFFER_IN(3, gamma);
BUFFER_IN(4, beta);
BUFFER_OUT(5, y);
layout(push_constant) uniform Push { uint count, features, has_gamma, has_beta; float eps; };
void main() {
  const uint i = LinearThread();
  if (i >= count) return;
  const uint f = i % features;
  float v = (x[i] - mean[f]) / sqrt(variance[f] + eps);
  if (has_gamma != 0u) v *= gamma[f];
  if (has_beta != 0u) v += beta[f];
  y[i] = v;
}
