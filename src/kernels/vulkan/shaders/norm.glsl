// A norm in three passes whose reads lie side by side: statistics of each channel over chunks of rows, their merging over the
// channels of a group, and the result. dims and stride, in rows: kept axes first (batch among them), then the
// reduced ones; axes that follow on each other are one, which saves divisions.
// flags: 1 gamma, 2 beta, 4 subtract the mean.
layout(push_constant) uniform Push {
  uint buckets, rows, features, groups, kept, chunks, lanes, flags;
  float eps;
  uint dims[5], stride[5];
  uint first_bucket, first_chunk;  // of a dispatch
  uint begin, first, end;          // what is bound begins with element `begin`; [first, end) are the dispatch's
};
uint Row(uint index, uint lo, uint hi) {
  uint p = 0;
  [[unroll]] for (uint back = 0u; back < 4u; ++back) {
    const uint axis = 4u - back;
    if (axis > lo && axis < hi && dims[axis] != 1u) {
      p += index % dims[axis] * stride[axis];
      index /= dims[axis];
    }
  }
  return p + index * stride[lo];
}
uint ChunkRows() { return (rows + chunks - 1u) / chunks; }
