#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "stored.glsl"
// The rows of a table that ids name, from element `begin` of the result on; zeros for an id that no row has. Of the table's
// rows, [first, first + bound) are bound: each dispatch writes those, and the first of them the zeros.
layout(local_size_x = 256) in;
layout(set = 0, binding = 0) readonly buffer Ids { int id[]; };
BUFFER_OUT(2, y);
layout(push_constant) uniform Push { uint count, begin, rows, columns, row_bytes, first, bound; };
void main() {
  const uint i = LinearThread();
  if (i >= count) return;
  const int row = id[(begin + i) / columns];
  if (row < 0 || row >= int(rows)) {
    if (first == 0u) y[i] = 0.0;
    return;
  }
  if (uint(row) < first || uint(row) - first >= bound) return;
  const uint k = (begin + i) % columns;
  y[i] = Value(PartOf((uint(row) - first) * row_bytes, k / 32u), k % 32u);
}
