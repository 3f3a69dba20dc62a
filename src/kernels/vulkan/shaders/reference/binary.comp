#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
// Strides of 0 broadcast.
layout(local_size_x = 256) in;
BUFFER_IN(0, a);
BUFFER_IN(1, b);
BUFFER_OUT(2, y);
layout(push_constant) uniform Push { uint count, fn; uint dims[6], stride_a[6], stride_b[6]; };
void main() {
  const uint i = LinearThread();
  if (i >= count) return;
  uint rest = i, p = 0, q = 0;
  for (int axis = 5; axis >= 0; --axis) {
    const uint position = rest % dims[axis];
    rest /= dims[axis];
    p += position * stride_a[axis];
    q += position * stride_b[axis];
  }
  if (fn == 6u) {  // complex product: even elements are real parts
    const uint e = i & 1u;
    p -= e, q -= e;
    y[i] = e == 0u ? a[p] * b[q] - a[p + 1] * b[q + 1] : a[p] * b[q + 1] + a[p + 1] * b[q];
    return;
  }
  const float u = a[p], v = b[q];
  switch (fn) {
    case 0u: y[i] = u + v; break;
    case 1u: y[i] = u - v; break;
    case 2u: y[i] = u * v; break;
    case 3u: y[i] = u / v; break;
    case 4u: y[i] = max(u, v); break;
    case 5u: y[i] = min(u, v); break;
    case 7u: y[i] = atan(u, v); break;
  }
}
