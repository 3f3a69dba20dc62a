// A tile of a matrix product by 256 threads, kTall x kBroad elements each: slices of both factors pass through shared
// memory. Thread (tx, ty) owns rows kTall ty + i and columns tx + kLanes j, so that a row of threads stores side by
// side. Tiles of 4 x 4 elements are 64 x 64, or taller and narrower for layers with few channels; those of 8 x 8 read
// half as much of shared memory for each multiplication, and want more rows and columns to fill a device.
#ifndef SLICE
#define SLICE float
#endif
layout(constant_id = 0) const uint kLanes = 16u;  // 16, 8 or 4
layout(constant_id = 1) const uint kTall = 4u;
layout(constant_id = 2) const uint kBroad = 4u;
layout(constant_id = 3) const uint kSlice = 16u;  // 8 or 16, as shared memory allows
const uint kRows = 256u / kLanes * kTall, kColumns = kBroad * kLanes;
shared SLICE slice_a[kSlice * (kRows + 1)];     // [k][row]; the odd length keeps columns of it out of one bank
shared SLICE slice_b[kSlice * (kColumns + 1)];  // [k][column]
float sums[kTall][kBroad];

void ClearSums() {
  [[unroll]] for (uint i = 0u; i < kTall; ++i)
    [[unroll]] for (uint j = 0u; j < kBroad; ++j) sums[i][j] = 0.0;
}

// Adds the product of the slices in shared memory.
void AddSlices(uint tx, uint ty) {
  for (uint k = 0u; k < kSlice; ++k) {
    float a[kTall], b[kBroad];
    [[unroll]] for (uint i = 0u; i < kTall; ++i) a[i] = float(slice_a[k * (kRows + 1u) + kTall * ty + i]);
    [[unroll]] for (uint j = 0u; j < kBroad; ++j) b[j] = float(slice_b[k * (kColumns + 1u) + tx + kLanes * j]);
    [[unroll]] for (uint i = 0u; i < kTall; ++i)
      [[unroll]] for (uint j = 0u; j < kBroad; ++j) sums[i][j] = fma(a[i], b[j], sums[i][j]);
  }
}
