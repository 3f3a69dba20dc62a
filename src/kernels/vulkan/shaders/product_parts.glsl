#include "unary.glsl"
// What the shaders of products have in common, whatever their tiles. Convolutions of up to three dimensions, their
// transposes (one dispatch a phase of the strides) and linear layers as one product that never unrolls its input: rows are
// output positions, depth is taps times input channels, columns are output channels. Workgroups: tiles of rows, tiles of
// columns, groups.
layout(local_size_x = 256) in;
BUFFER_IN(0, x);
layout(set = 0, binding = 1) readonly buffer Weights { uint weight[]; };  // [groups, depth, columns] from `first_weight`
BUFFER_IN(2, bias);
BUFFER_IN(3, scale);
BUFFER_IN(4, residual);
BUFFER_IN(5, slope);
BUFFER_OUT(6, y);
// flags: 1 bias, 2 gated, 4 a slope per channel; bits 8 … the unary function. steps: four bits each, in order: 1 unary,
// 2 scale, 3 residual, 4 slope. axis: kernel, stride, dilation + 128 and output step, a byte each. Row r along an axis reads
// r stride + start + tap dilation and is output position r step + offset.
layout(push_constant) uniform Push {
  uint rows, depth, columns, first_weight, in_c, out_c, flags, steps;
  float alpha, beta;
  int row_size[3], in_size[3], out_size[3], offset[3], start[3];
  uint axis[3];
  uint x_first, y_first;  // where the tensors begin in what is bound
};
const uint kOutside = ~0u;

uint Kernel(uint i) { return axis[i] & 255u; }
int Stride(uint i) { return int(axis[i] >> 8 & 255u); }
int Dilation(uint i) { return int(axis[i] >> 16 & 255u) - 128; }
int OutStep(uint i) { return int(axis[i] >> 24); }

// Batch, and the row's place along each axis.
ivec4 Place(uint row) {
  ivec4 p;
  p.w = int(row % uint(row_size[2])); row /= uint(row_size[2]);
  p.z = int(row % uint(row_size[1])); row /= uint(row_size[1]);
  p.y = int(row % uint(row_size[0]));
  p.x = int(row / uint(row_size[0]));
  return p;
}

// Batch (-1: no such row), and where tap 0 reads along each axis.
ivec4 Origin(uint row) {
  if (row >= rows) return ivec4(-1);
  ivec4 p = Place(row);
  p.yzw = p.yzw * ivec3(Stride(0), Stride(1), Stride(2)) + ivec3(start[0], start[1], start[2]);
  return p;
}

// The tap with that number along each axis, how far from tap 0 it reads, and the one after it.
uvec3 Tap(uint tap) { return uvec3(tap / (Kernel(1) * Kernel(2)), tap / Kernel(2) % Kernel(1), tap % Kernel(2)); }
ivec3 Reach(uvec3 tap) { return ivec3(tap) * ivec3(Dilation(0), Dilation(1), Dilation(2)); }
void Advance(inout uvec3 tap) {
  if (++tap.z < Kernel(2)) return;
  tap.z = 0u;
  if (++tap.y < Kernel(1)) return;
  tap.y = 0u;
  ++tap.x;
}

// Where the features begin that a tap reads; kOutside where those are zeros.
uint Features(ivec4 origin, ivec3 reach) {
  const ivec3 p = origin.yzw + reach;
  if (origin.x < 0 || p.x < 0 || p.y < 0 || p.z < 0 || p.x >= in_size[0] || p.y >= in_size[1] || p.z >= in_size[2])
    return kOutside;
  return x_first + uint(((origin.x * in_size[0] + p.x) * in_size[1] + p.y) * in_size[2] + p.z) * in_c;
}

// Where a row's result begins.
uint Line(uint row) {
  const ivec4 p = Place(row);
  const ivec3 q = p.yzw * ivec3(OutStep(0), OutStep(1), OutStep(2)) + ivec3(offset[0], offset[1], offset[2]);
  return uint(((p.x * out_size[0] + q.x) * out_size[1] + q.y) * out_size[2] + q.z) * out_c + y_first;
}

#include "finish.glsl"
