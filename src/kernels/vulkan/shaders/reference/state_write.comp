#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
// x [outer, places, inner] into a state [outer, capacity, inner] from the place on that a scalar says; of the state's
// rows, outer and capacity taken together, [first, first + rows) are bound. Words are moved, whatever they mean.
layout(local_size_x = 256) in;
layout(set = 0, binding = 0) readonly buffer In0 { uint x[]; };
layout(set = 0, binding = 1) buffer Out1 { uint state[]; };
layout(set = 0, binding = 2) readonly buffer In2 { int scalars[]; };
layout(push_constant) uniform Push { uint count, inner, places, capacity; int at_scalar; uint first, rows; };
void main() {
  const uint i = LinearThread();
  if (i >= count) return;
  const uint q = i % inner, t = i / inner % places, o = i / inner / places;
  const int at = (at_scalar < 0 ? 0 : scalars[at_scalar]) + int(t);
  if (at < 0 || at >= int(capacity)) return;
  const uint row = o * capacity + uint(at);
  if (row >= first && row - first < rows) state[(row - first) * inner + q] = x[i];
}
