#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "subgroups.glsl"
// One workgroup a row.
layout(local_size_x = 256) in;
BUFFER_IN(0, x);
BUFFER_OUT(1, y);
layout(push_constant) uniform Push { uint rows, features; };
void main() {
  const uint row = LinearGroup(), t = gl_LocalInvocationID.x;
  if (row >= rows) return;
  const uint base = row * features;
  float top = -3.0e38;
  for (uint f = t; f < features; f += 256u) top = max(top, x[base + f]);
  top = MaxOfAll(top);
  float sum = 0.0;
  for (uint f = t; f < features; f += 256u) sum += exp(x[base + f] - top);
  sum = SumOfAll(sum);
  for (uint f = t; f < features; f += 256u) y[base + f] = exp(x[base + f] - top) / sum;
}
