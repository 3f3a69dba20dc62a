// A tile of a matrix product by 256 threads, 4 x 4 elements each: slices of both factors pass through shared memory. Thread
// (tx, ty) owns rows 4 ty + i and columns tx + kLanes j, so that a row of threads stores side by side. Tiles are
// 1024 / kLanes rows by 4 kLanes columns: 64 x 64, or taller and narrower for layers with few channels.
layout(constant_id = 0) const uint kLanes = 16u;  // 16, 8 or 4
const uint kRows = 1024u / kLanes, kColumns = 4u * kLanes;
const uint kSlice = kLanes == 4u ? 8u : 16u;      // shared memory stays under the 16 KiB that every device has
shared float slice_a[kSlice * (kRows + 1)];       // [k][row]; the odd length keeps columns of it out of one bank
shared float slice_b[kSlice * (kColumns + 1)];    // [k][column]
float sums[4][4];

void ClearSums() {
  for (uint i = 0u; i < 4u; ++i)
    for (uint j = 0u; j < 4u; ++j) sums[i][j] = 0.0;
}

// Adds the product of the slices in shared memory.
void AddSlices(uint tx, uint ty) {
  for (uint k = 0u; k < kSlice; ++k) {
    float a[4], b[4];
    for (uint i = 0u; i < 4u; ++i) a[i] = slice_a[k * (kRows + 1u) + 4u * ty + i];
    for (uint j = 0u; j < 4u; ++j) b[j] = slice_b[k * (kColumns + 1u) + tx + kLanes * j];
    for (uint i = 0u; i < 4u; ++i)
      for (uint j = 0u; j < 4u; ++j) sums[i][j] = fma(a[i], b[j], sums[i][j]);
  }
}
