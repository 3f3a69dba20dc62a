// A tile of a matrix product on cooperative matrices. Slices of both factors pass through shared memory; each subgroup owns
// kTall x kBroad matrices of sums, and reads a slice of its rows and of its columns for all of them. Subgroups beyond
// kDown x kAcross only help to load. Results pass through shared memory a matrix at a time.
#include "cooperative_matrix.glsl"
#extension GL_EXT_control_flow_attributes : require
layout(constant_id = 3) const uint kSlice = 32u;  // a multiple of kK, and even
layout(constant_id = 4) const uint kTall = 2u;
layout(constant_id = 5) const uint kBroad = 2u;
layout(constant_id = 6) const uint kDown = 2u;  // subgroups
layout(constant_id = 7) const uint kAcross = 2u;
const uint kRows = kM * kTall * kDown, kColumns = kN * kBroad * kAcross;
// In pairs; four more keep lines out of each other's banks.
const uint kLineA = kSlice / 2u + 4u, kLineB = kColumns / 2u + 4u;
shared f16vec2 slice_a[kRows * kLineA];   // [row][k]
shared f16vec2 slice_b[kSlice * kLineB];  // [k][column]
shared float parts[kDown * kAcross * kM * kN];
coopmat<float, gl_ScopeSubgroup, kM, kN, gl_MatrixUseAccumulator> sums[kTall * kBroad];

bool HasSums() { return gl_SubgroupID < kDown * kAcross; }
// Where the subgroup's matrices from above, and from the left, begin in the tile.
uint FirstRow(uint i) { return (gl_SubgroupID / kAcross * kTall + i) * kM; }
uint FirstColumn(uint j) { return (gl_SubgroupID % kAcross * kBroad + j) * kN; }

void ClearSums() {
  [[unroll]] for (uint i = 0u; i < kTall * kBroad; ++i)
    sums[i] = coopmat<float, gl_ScopeSubgroup, kM, kN, gl_MatrixUseAccumulator>(0.0);
}

// Adds the product of the slices in shared memory.
void AddSlices() {
  if (!HasSums()) return;
  [[unroll]] for (uint k = 0u; k < kSlice; k += kK) {
    coopmat<float16_t, gl_ScopeSubgroup, kM, kK, gl_MatrixUseA> a[kTall];
    [[unroll]] for (uint i = 0u; i < kTall; ++i)
      coopMatLoad(a[i], slice_a, FirstRow(i) * kLineA + k / 2u, kLineA, gl_CooperativeMatrixLayoutRowMajor);
    [[unroll]] for (uint j = 0u; j < kBroad; ++j) {
      coopmat<float16_t, gl_ScopeSubgroup, kK, kN, gl_MatrixUseB> b;
      coopMatLoad(b, slice_b, k * kLineB + FirstColumn(j) / 2u, kLineB, gl_CooperativeMatrixLayoutRowMajor);
      [[unroll]] for (uint i = 0u; i < kTall; ++i) sums[i * kBroad + j] = coopMatMulAdd(a[i], b, sums[i * kBroad + j]);
    }
  }
}

// Brings one of the subgroup's matrices of sums to where its threads can read it, row after row; returns where that is.
// Every subgroup comes here, those without sums too: Mesa's software driver loses subgroups that wait where others have
// ended.
uint Part(uint wanted) {
  const uint begin = gl_SubgroupID * kM * kN;
  subgroupBarrier();  // what was there has been read
  // Unrolled, so that no matrix has to be found by its number.
  [[unroll]] for (uint i = 0u; i < kTall * kBroad; ++i)
    if (i == wanted && HasSums()) coopMatStore(sums[i], parts, begin, kN, gl_CooperativeMatrixLayoutRowMajor);
  subgroupBarrier();
  return begin;
}
