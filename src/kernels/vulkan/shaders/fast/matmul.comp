#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "tile.glsl"
// y[b] = scale a[b] b[b] + bias of the row. Workgroups: columns / 64, rows / 64, batch. a_batch 0: the same for all.
layout(local_size_x = 256) in;
BUFFER_IN(0, a);
BUFFER_IN(1, b);
BUFFER_IN(2, bias);
BUFFER_OUT(3, y);
layout(push_constant) uniform Push { uint rows, depth, columns, a_batch, transpose_b, has_bias; float scale; };
void main() {
  const uint t = gl_LocalInvocationID.x, tx = t % 16u, ty = t / 16u;
  const uint first_column = gl_WorkGroupID.x * kTile, first_row = gl_WorkGroupID.y * kTile, batch = gl_WorkGroupID.z;
  ClearSums();
  for (uint k0 = 0u; k0 < depth; k0 += kSlice) {
    barrier();
    for (uint i = 0u; i < 4u; ++i) {
      const uint k = k0 + tx, line = ty + 16u * i, row = first_row + line;
      slice_a[tx][line] = k < depth && row < rows ? a[batch * a_batch + row * depth + k] : 0.0;
      if (transpose_b != 0u) {
        const uint column = first_column + line;
        slice_b[tx][line] = k < depth && column < columns ? b[(batch * columns + column) * depth + k] : 0.0;
      } else {
        const uint l = t / 64u + 4u * i, column = first_column + t % 64u;
        slice_b[l][t % 64u] = k0 + l < depth && column < columns ? b[(batch * depth + k0 + l) * columns + column] : 0.0;
      }
    }
    barrier();
    AddSlices(tx, ty);
  }
  for (uint i = 0u; i < 4u; ++i) {
    const uint row = first_row + 4u * ty + i;
    if (row >= rows) break;
    for (uint j = 0u; j < 4u; ++j) {
      const uint column = first_column + tx + 16u * j;
      if (column < columns)
        y[(batch * rows + row) * columns + column] = sums[i][j] * scale + (has_bias != 0u ? bias[row] : 0.0);
    }
  }
}
