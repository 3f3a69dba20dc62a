#include "tile.glsl"
// y[b] = scale a[b] b[b] + bias of the row. Workgroups: tiles of columns, tiles of rows, batch. a_batch 0: the same for all.
layout(local_size_x = 256) in;
BUFFER_IN(0, a);
BUFFER_IN(1, b);
BUFFER_IN(2, bias);
BUFFER_OUT(3, y);
layout(push_constant) uniform Push { uint rows, depth, columns, a_batch, transpose_b, has_bias; float scale; };
void main() {
  const uint t = gl_LocalInvocationID.x, tx = t % kLanes, ty = t / kLanes;
  const uint first_column = gl_WorkGroupID.x * kColumns, first_row = gl_WorkGroupID.y * kRows, batch = gl_WorkGroupID.z;
  ClearSums();
  for (uint k0 = 0u; k0 < depth; k0 += kSlice) {
    barrier();
    for (uint i = t; i < kSlice * kRows; i += 256u) {
      const uint l = i % kSlice, line = i / kSlice, k = k0 + l, row = first_row + line;
      slice_a[l * (kRows + 1u) + line] = SLICE(k < depth && row < rows ? a[batch * a_batch + row * depth + k] : 0.0);
    }
    for (uint i = t; i < kSlice * kColumns; i += 256u) {
      // Neighbours read neighbours, whichever way b lies.
      const uint l = transpose_b != 0u ? i % kSlice : i / kColumns, line = transpose_b != 0u ? i / kSlice : i % kColumns;
      const uint k = k0 + l, column = first_column + line;
      const uint p = transpose_b != 0u ? (batch * columns + column) * depth + k : (batch * depth + k) * columns + column;
      slice_b[l * (kColumns + 1u) + line] = SLICE(k < depth && column < columns ? b[p] : 0.0);
    }
    barrier();
    AddSlices(tx, ty);
  }
  for (uint i = 0u; i < kTall; ++i) {
    const uint row = first_row + kTall * ty + i;
    if (row >= rows) break;
    for (uint j = 0u; j < kBroad; ++j) {
      const uint column = first_column + tx + kLanes * j;
      if (column < columns)
        y[(batch * rows + row) * columns + column] = sums[i][j] * scale + (has_bias != 0u ? bias[row] : 0.0);
    }
  }
}
