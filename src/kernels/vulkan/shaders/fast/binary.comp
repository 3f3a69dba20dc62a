#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
// One operand has the result's shape; its element i meets element i / inner % period of the other, or i where period is
// 0. swapped: the other is the left one. What is bound of the whole ones begins with element `first`.
layout(local_size_x = 256) in;
BUFFER_IN(0, whole);
BUFFER_IN(1, part);
BUFFER_OUT(2, y);
layout(push_constant) uniform Push { uint count, fn, inner, period, swapped, first; };
void main() {
  const uint i = LinearThread();
  if (i >= count) return;
  uint p = i;
  if (period == 1u) {
    p = 0u;
  } else if (period > 1u) {
    p += first;
    if (inner > 1u) p /= inner;
    p %= period;
  }
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
