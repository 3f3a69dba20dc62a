#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "norm.glsl"
// Workgroups: chunks, channels / lanes, buckets. Sums are of differences from the chunk's first row, which loses no digits where a
// channel lies far from zero.
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
  const bool centred = (flags & 4u) != 0u;
  float shift = 0.0, s = 0.0, ss = 0.0;
  if (c < features && top < bottom) {
    if (centred) shift = x[(base + Row(top, kept, 5u)) * features + c - begin];
    for (uint r = top + t / lanes; r < bottom; r += 256u / lanes) {
      const float d = x[(base + Row(r, kept, 5u)) * features + c - begin] - shift;
      s += d;
      ss += d * d;
    }
  }
  first_sum[t] = s;
  second_sum[t] = ss;
  barrier();
  if (t >= lanes || c >= features || top >= bottom) return;
  for (uint k = t + lanes; k < 256u; k += lanes) {
    s += first_sum[k];
    ss += second_sum[k];
  }
  const float n = float(bottom - top), mean = centred ? s / n : 0.0;
  const uint p = 2u * ((bucket * chunks + chunk) * features + c);
  part[p] = mean + shift;
  part[p + 1u] = centred ? max(ss - s * mean, 0.0) : ss;
}
