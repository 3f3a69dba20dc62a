#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "unary.glsl"
#include "stored.glsl"
// A linear layer over the last axis: a workgroup makes eight outputs of up to kTall rows, 32 threads an output, which take 32
// of its weights at a time and all the rows that these meet. Of the weights, those of outputs from first_output on are bound.
layout(local_size_x = 256) in;
BUFFER_IN(0, x);
BUFFER_IN(2, bias);
BUFFER_IN(3, scale);
BUFFER_IN(4, residual);
BUFFER_IN(5, slope);
BUFFER_OUT(6, y);
layout(constant_id = 1) const uint kTall = 1u;
layout(push_constant) uniform Push {
  uint rows, depth, row_bytes, first_output, outputs, out_c, flags, steps;
  float alpha, beta;
  uint x_first, y_first;  // where the tensors begin in what is bound
};
shared float sums[256 * kTall];
#include "finish.glsl"

void main() {
  const uint t = gl_LocalInvocationID.x, l = t % 32u, o = gl_WorkGroupID.x * 8u + t / 32u;
  const uint first = gl_WorkGroupID.y * kTall;
  float sum[kTall];
  [[unroll]] for (uint r = 0u; r < kTall; ++r) sum[r] = 0.0;
  for (uint p = l; o < outputs && p * 32u < depth; p += 32u) {
    const Part part = PartOf(o * row_bytes, p);
    const uint count = min(32u, depth - p * 32u);
    for (uint j = 0u; j < count; ++j) {
      const float w = Value(part, j);
      [[unroll]] for (uint r = 0u; r < kTall; ++r)
        sum[r] = fma(w, x[x_first + min(first + r, rows - 1u) * depth + p * 32u + j], sum[r]);
    }
  }
  [[unroll]] for (uint r = 0u; r < kTall; ++r) sums[r * 256u + t] = sum[r];
  for (uint step = 16u; step > 0u; step >>= 1) {
    barrier();
    if (l < step) {
      [[unroll]] for (uint r = 0u; r < kTall; ++r) sums[r * 256u + t] += sums[r * 256u + t + step];
    }
  }
  barrier();
  const uint row = first + l, channel = first_output + o, at = y_first + row * out_c + channel;
  if (l < kTall && row < rows && o < outputs) y[at] = Finish(sums[l * 256u + t - l], 0.0, channel, at);
}
