#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "norm.glsl"
#include "subgroups.glsl"
// One workgroup a bucket and group of channels, for buckets of few rows.
layout(local_size_x = 256) in;
BUFFER_IN(0, x);
BUFFER_IN(1, gamma);
BUFFER_IN(2, beta);
BUFFER_OUT(3, y);
void main() {
  const uint id = LinearGroup(), t = gl_LocalInvocationID.x;
  if (id >= buckets * groups) return;
  const uint width = features / groups, channel = id % groups * width, base = Row(id / groups, 0u, kept);
  const uint count = rows * width;
  float mean = 0.0, sum = 0.0;
  if ((flags & 4u) != 0u) {
    FOR_SHARE(i, count) sum += x[(base + Row(i / width, kept, 5u)) * features + channel + i % width];
    mean = SumOfAll(sum) / float(count);
  }
  sum = 0.0;
  FOR_SHARE(i, count) {
    const float d = x[(base + Row(i / width, kept, 5u)) * features + channel + i % width] - mean;
    sum += d * d;
  }
  const float scale = 1.0 / sqrt(SumOfAll(sum) / float(count) + eps);
  FOR_SHARE(i, count) {
    const uint f = channel + i % width, p = (base + Row(i / width, kept, 5u)) * features + f;
    float v = (x[p] - mean) * scale;
    if ((flags & 1u) != 0u) v *= gamma[f];
    if ((flags & 2u) != 0u) v += beta[f];
    y[p] = v;
  }
}
