#include "tile.glsl"
#include "matmul_parts.glsl"
void main() {
  const uint t = gl_LocalInvocationID.x, tx = t % kLanes, ty = t / kLanes;
  const uint first_column = gl_WorkGroupID.x * kColumns, first_row = gl_WorkGroupID.y * kRows;
  ClearSums();
  for (uint k0 = 0u; k0 < depth; k0 += kSlice) {
    barrier();
    for (uint i = t; i < kSlice * kRows; i += 256u) {
      const uint l = i % kSlice, line = i / kSlice;
      slice_a[l * (kRows + 1u) + line] = SLICE(A(first_row + line, k0 + l));
    }
    for (uint i = t; i < kSlice * kColumns; i += 256u) {
      // Neighbours read neighbours, whichever way b lies.
      const uint l = transpose_b != 0u ? i % kSlice : i / kColumns, line = transpose_b != 0u ? i / kSlice : i % kColumns;
      slice_b[l * (kColumns + 1u) + line] = SLICE(B(k0 + l, first_column + line));
    }
    barrier();
    AddSlices(tx, ty);
  }
  for (uint i = 0u; i < kTall; ++i)
    for (uint j = 0u; j < kBroad; ++j) Store(first_row + kTall * ty + i, first_column + tx + kLanes * j, sums[i][j]);
}
