#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
// The rows of a table that ids name; zeros for an id that no row has.
layout(local_size_x = 256) in;
layout(set = 0, binding = 0) readonly buffer Ids { int id[]; };
BUFFER_IN(1, table);
BUFFER_OUT(2, y);
layout(push_constant) uniform Push { uint count, rows, columns; };
void main() {
  const uint i = LinearThread();
  if (i >= count) return;
  const int row = id[i / columns];
  y[i] = row >= 0 && row < int(rows) ? table[uint(row) * columns + i % columns] : 0.0;
}
