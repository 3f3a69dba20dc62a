#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "norm.glsl"
// Workgroups: chunks, channels / lanes, buckets. Sums are of differences from the chunk's first row, which loses no digits where a
// channel lies far from zero, and those of squares from the mean: the first row may lie far from all others.
layout(local_size_x = 256) in;
BUFFER_IN(0, x);
BUFFER_OUT(1, part);  // [buckets, chunks, features] of mean and squared distance from it
shared float first_sum[256];
shared float second_sum[256];
void main() {
  const uint t = gl_LocalInvocationID.x, lane = t % lanes, chunk = first_chunk + gl_WorkGroupID.x;
  const uint bucket = first_bucket + gl_WorkGroupID.z;
  const uint c = gl_WorkGroupID.y * lanes + lane, base = Row(bucket, 0u, kept);
  const uint top = chunk * ChunkRows(), bottom = min(top + ChunkRows(), rows);
  const bool centred = (flags & 4u) != 0u, works = c < features && top < bottom;
  const float n = float(max(bottom, top + 1u) - top);
  float shift = 0.0, mean = 0.0, s = 0.0, ss = 0.0;
  if (centred) {
    if (works) {
      shift = x[(base + Row(top, kept, 5u)) * features + c - begin];
      for (uint r = top + t / lanes; r < bottom; r += 256u / lanes)
        s += x[(base + Row(r, kept, 5u)) * features + c - begin] - shift;
    }
    first_sum[t] = s;
    barrier();
    for (uint k = lane; k < 256u; k += lanes) mean += first_sum[k];
    mean /= n;
    s = 0.0;
    barrier();
  }
  if (works) {
    for (uint r = top + t / lanes; r < bottom; r += 256u / lanes) {
      const float d = x[(base + Row(r, kept, 5u)) * features + c - begin] - shift - mean;
      s += d;
      ss += d * d;
    }
  }
  first_sum[t] = s;
  second_sum[t] = ss;
  barrier();
  if (t >= lanes || !works) return;
  for (uint k = t + lanes; k < 256u; k += lanes) {
    s += first_sum[k];
    ss += second_sum[k];
  }
  // What rounding left of the first mean is in the second sum.
  const float rest = centred ? s / n : 0.0;
  const uint p = 2u * ((bucket * chunks + chunk) * features + c);
  part[p] = shift + (mean + rest);
  part[p + 1u] = max(ss - s * rest, 0.0);
}
