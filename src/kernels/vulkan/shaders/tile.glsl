// A 64 x 64 tile of a matrix product by 256 threads, 4 x 4 elements each: slices of 16 of both factors pass through shared
// memory. Thread (tx, ty) owns rows 4 ty + i and columns tx + 16 j, so that a row of threads stores side by side.
const uint kTile = 64u, kSlice = 16u;
shared float slice_a[16][65];  // [k][row]; 65 keeps columns of it out of one bank
shared float slice_b[16][65];  // [k][column]
float sums[4][4];

void ClearSums() {
  for (uint i = 0u; i < 4u; ++i)
    for (uint j = 0u; j < 4u; ++j) sums[i][j] = 0.0;
}

// Adds the product of the slices in shared memory.
void AddSlices(uint tx, uint ty) {
  for (uint k = 0u; k < kSlice; ++k) {
    float a[4], b[4];
    for (uint i = 0u; i < 4u; ++i) a[i] = slice_a[k][4u * ty + i];
    for (uint j = 0u; j < 4u; ++j) b[j] = slice_b[k][tx + 16u * j];
    for (uint i = 0u; i < 4u; ++i)
      for (uint j = 0u; j < 4u; ++j) sums[i][j] = fma(a[i], b[j], sums[i][j]);
  }
}
