#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "norm.glsl"
layout(local_size_x = 256) in;
BUFFER_IN(0, x);
BUFFER_IN(1, part);
BUFFER_IN(2, gamma);
BUFFER_IN(3, beta);
BUFFER_OUT(4, y);
void main() {
  const uint i = first + LinearThread();
  if (i >= end) return;
  const uint c = i % features, r = i / features % rows, bucket = i / features / rows;
  const uint p = (Row(bucket, 0u, kept) + Row(r, kept, 5u)) * features + c - begin;
  const uint s = 2u * (buckets * chunks * features + bucket * groups + c / (features / groups));
  float v = (x[p] - part[s]) * part[s + 1u];
  if ((flags & 1u) != 0u) v *= gamma[c];
  if ((flags & 2u) != 0u) v += beta[c];
  y[p] = v;
}
