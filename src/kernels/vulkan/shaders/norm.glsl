// A norm in three passes whose reads lie side by side: statistics of each channel over chunks of rows, their merging over the
// channels of a group, and the result. dims and stride, in rows: kept axes first (batch among them), then the
// reduced ones; axes that follow on each other are one, which saves divisions.
// flags: 1 gamma, 2 beta, 4 subtract the mean.
layout(push_constant) uniform Push {
  uint buckets, rows, features, groups, kept, chunks, lanes, flags;
  float eps;
  uint dims[5], stride[5];
};
uint Row(uint index, uint lo, uint hi) {
  uint p = 0;
  for (uint axis = hi; axis-- > lo + 1u;) {
    if (dims[axis] == 1u) continue;
    p += index % dims[axis] * stride[axis];
    index /= dims[axis];
  }
  return p + index * stride[lo];
}
uint ChunkRows() { return (rows + chunks - 1u) / chunks; }
