#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
// One operand has the result's shape; element i meets element i / inner % period of the other. swapped: the other is the left one.
layout(local_size_x = 256) in;
BUFFER_IN(0, whole);
BUFFER_IN(1, part);
BUFFER_OUT(2, y);
layout(push_constant) uniform Push { uint count, fn, inner, period, swapped; };
void main() {
  const uint i = LinearThread();
  if (i >= count) return;
  uint p = i;
  if (inner > 1u) p /= inner;
  if (period == 1u) p = 0u; else if (period * inner < count) p %= period;
  const float a = swapped != 0u ? part[p] : whole[i], b = swapped != 0u ? whole[i] : part[p];
  switch (fn) {
    case 0u: y[i] = a + b; break;
    case 1u: y[i] = a - b; break;
    case 2u: y[i] = a * b; break;
    case 3u: y[i] = a / b; break;
    case 4u: y[i] = max(a, b); break;
    default: y[i] = min(a, b);
  }
}
