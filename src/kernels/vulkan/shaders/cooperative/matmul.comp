#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "cooperative_tile.glsl"
#include "matmul_parts.glsl"

void main() {
  const uint t = gl_LocalInvocationID.x;
  const uint first_column = gl_WorkGroupID.x * kColumns, first_row = gl_WorkGroupID.y * kRows;
  ClearSums();
  for (uint k0 = 0u; k0 < depth; k0 += kSlice) {
    barrier();
    for (uint i = t; i < kRows * kSlice / 2u; i += 256u) {
      const uint l = i % (kSlice / 2u), row = i / (kSlice / 2u), k = k0 + 2u * l;
      slice_a[row * kLineA + l] = f16vec2(A(first_row + row, k), A(first_row + row, k + 1u));
    }
    for (uint i = t; i < kSlice * kColumns / 2u; i += 256u) {
      // Neighbours read neighbours, whichever way b lies.
      const uint l = transpose_b != 0u ? i % kSlice : i / (kColumns / 2u);
      const uint c = transpose_b != 0u ? i / kSlice : i % (kColumns / 2u), column = first_column + 2u * c;
      slice_b[l * kLineB + c] = f16vec2(B(k0 + l, column), B(k0 + l, column + 1u));
    }
    barrier();
    AddSlices();
  }
  for (uint i = 0u; i < kTall * kBroad; ++i) {
    const uint begin = Part(i), row = first_row + FirstRow(i / kBroad), column = first_column + FirstColumn(i % kBroad);
    if (!HasSums()) continue;
    for (uint e = gl_SubgroupInvocationID; e < kM * kN; e += gl_SubgroupSize)
      Store(row + e / kN, column + e % kN, parts[begin + e]);
  }
}
