#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "norm.glsl"
// One workgroup a bucket and group: mean and 1 / sqrt(variance + eps) behind the parts (Chan, Golub and LeVeque's merging).
layout(local_size_x = 256) in;
BUFFER_OUT(0, part);
shared float sums[256];
float All(float value) {
  const uint t = gl_LocalInvocationID.x;
  sums[t] = value;
  barrier();
  for (uint k = 128u; k > 0u; k >>= 1) {
    if (t < k) sums[t] += sums[t + k];
    barrier();
  }
  const float all = sums[0];
  barrier();
  return all;
}
float Count(uint chunk) { return float(min(ChunkRows(), rows - min(rows, chunk * ChunkRows()))); }
void main() {
  const uint id = LinearGroup(), t = gl_LocalInvocationID.x;
  if (id >= buckets * groups) return;
  const uint width = features / groups, bucket = id / groups, group = id % groups, parts = chunks * width;
  const float total = float(rows) * float(width);
  float s = 0.0;
  for (uint i = t; i < parts; i += 256u) {
    const uint chunk = i / width;
    const float n = Count(chunk);
    if (n > 0.0) s += n * part[2u * ((bucket * chunks + chunk) * features + group * width + i % width)];
  }
  const float mean = All(s) / total;
  s = 0.0;
  for (uint i = t; i < parts; i += 256u) {
    const uint chunk = i / width, p = 2u * ((bucket * chunks + chunk) * features + group * width + i % width);
    const float n = Count(chunk);
    if (n > 0.0) s += part[p + 1u] + n * (part[p] - mean) * (part[p] - mean);
  }
  const float variance = All(s) / total;
  if (t == 0u) {
    const uint p = 2u * (buckets * chunks * features + id);
    part[p] = mean;
    part[p + 1u] = 1.0 / sqrt(variance + eps);
  }
}
