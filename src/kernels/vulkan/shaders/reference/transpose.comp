#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
layout(local_size_x = 256) in;
BUFFER_IN(0, x);
BUFFER_OUT(1, y);
layout(push_constant) uniform Push { uint count; uint dims[6], stride[6]; };
void main() {
  const uint i = LinearThread();
  if (i >= count) return;
  uint rest = i, p = 0;
  for (int axis = 5; axis >= 0; --axis) {
    p += rest % dims[axis] * stride[axis];
    rest /= dims[axis];
  }
  y[i] = x[p];
}
