#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
// One workgroup for each batch, index along the kept axes, and group of channels. The rows (all axes but the channels) that share
// statistics: the batch and the kept axes give the first, the others step from there.
layout(local_size_x = 256) in;
BUFFER_IN(0, x);
BUFFER_IN(1, gamma);
BUFFER_IN(2, beta);
BUFFER_OUT(3, y);
// dims and stride, in rows: kept axes first (batch among them), then the reduced ones.
layout(push_constant) uniform Push { uint buckets, rows, features, groups, kept, has_gamma, has_beta, subtract_mean; float eps; uint dims[5], stride[5]; };
shared float part[256];
uint Row(uint index, uint lo, uint hi) {
  uint p = 0;
  [[unroll]] for (uint back = 0u; back < 5u; ++back) {
    const uint axis = 4u - back;
    if (axis >= lo && axis < hi) {
      p += index % dims[axis] * stride[axis];
      index /= dims[axis];
    }
  }
  return p;
}
float All(float value) {
  const uint t = gl_LocalInvocationID.x;
  part[t] = value;
  barrier();
  for (uint k = 128u; k > 0u; k >>= 1) {
    if (t < k) part[t] += part[t + k];
    barrier();
  }
  const float all = part[0];
  barrier();
  return all;
}
void main() {
  const uint id = LinearGroup(), t = gl_LocalInvocationID.x;
  if (id >= buckets * groups) return;
  const uint width = features / groups, group = id % groups;
  const uint first = Row(id / groups, 0u, kept), count = rows * width;
  float sum = 0.0;
  FOR_SHARE(i, count) sum += x[(first + Row(i / width, kept, 5u)) * features + group * width + i % width];
  const float mean = subtract_mean != 0u ? All(sum) / float(count) : 0.0;
  sum = 0.0;
  FOR_SHARE(i, count) {
    const float d = x[(first + Row(i / width, kept, 5u)) * features + group * width + i % width] - mean;
    sum += d * d;
  }
  const float scale = 1.0 / sqrt(All(sum) / float(count) + eps);
  FOR_SHARE(i, count) {
    const uint f = group * width + i % width, p = (first + Row(i / width, kept, 5u)) * features + f;
    float v = (x[p] - mean) * scale;
    if (has_gamma != 0u) v *= gamma[f];
    if (has_beta != 0u) v += beta[f];
    y[p] = v;
  }
}
