#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
// y[r, o, c] = bias[o] + sum_i weight[o, i] x[r, first + i, c]; columns 1 for a layer over the last axis.
layout(local_size_x = 256) in;
BUFFER_IN(0, x);
BUFFER_IN(1, weight);
BUFFER_IN(2, bias);
BUFFER_OUT(3, y);
layout(push_constant) uniform Push { uint count, has_bias, groups, in_c, out_c, columns; };
void main() {
  const uint i = LinearThread();
  if (i >= count) return;
  const uint c = i % columns, o = i / columns % out_c, r = i / columns / out_c;
  const uint gi = in_c / groups, first = o / (out_c / groups) * gi;
  float sum = has_bias != 0u ? bias[o] : 0.0;
  for (uint k = 0u; k < gi; ++k) sum += weight[o * gi + k] * x[(r * in_c + first + k) * columns + c];
  y[i] = sum;
}
