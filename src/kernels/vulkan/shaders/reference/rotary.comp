#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "rotary.glsl"
// A thread makes one feature: of the first `dims` of a head, one of a pair that is turned by its row's position times the pair's
// frequency. positions: 0 none, 1 one for each row of an item, 2 one for each row. Without, rows follow each
// other from `first` on, or from the scalar at at_scalar where that is not below 0.
layout(local_size_x = 256) in;
BUFFER_IN(0, x);
BUFFER_IN(1, frequency);
layout(set = 0, binding = 2) readonly buffer Positions { int position[]; };
BUFFER_OUT(3, y);
layout(set = 0, binding = 4) readonly buffer In4 { int scalars[]; };
layout(push_constant) uniform Push { uint count, rows, features, width, dims, interleaved, positions, first; int at_scalar; };
void main() {
  const uint i = LinearThread();
  if (i >= count) return;
  const uint f = i % features % width, row = i / features, half_dims = dims / 2u;
  if (f >= dims) {
    y[i] = x[i];
    return;
  }
  const uint pair = interleaved != 0u ? f / 2u : f % half_dims, second = interleaved != 0u ? f % 2u : f / half_dims;
  const uint other = interleaved != 0u ? i ^ 1u : second != 0u ? i - half_dims : i + half_dims;
  int at = (at_scalar < 0 ? int(first) : scalars[at_scalar]) + int(row % rows);
  if (positions != 0u) at = position[positions == 1u ? row % rows : row];
  precise const float angle = float(at) * frequency[pair];
  const vec2 turn = CosSin(angle);
  y[i] = x[i] * turn.x + (second != 0u ? x[other] : -x[other]) * turn.y;
}
