#include "unary.glsl"
#include "tile.glsl"
// Convolutions of up to three dimensions, their transposes (one dispatch a phase of the strides) and linear layers as one
// product that never unrolls its input: rows are output positions, depth is taps times input channels, columns are output
// channels. Workgroups: tiles of rows, tiles of columns, groups.
layout(local_size_x = 256) in;
BUFFER_IN(0, x);
layout(constant_id = 4) const uint kHalves = 0u;  // weights lie as halves, two in a word
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
shared ivec4 origin[kRows];  // batch (-1: no such row), and where tap 0 reads along each axis

float Weight(uint i) { return kHalves != 0u ? unpackHalf2x16(weight[i >> 1])[i & 1u] : uintBitsToFloat(weight[i]); }

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

// A gated layer's columns lie in blocks of kLanes values and their gates.
uint Channel(uint column) { return (flags & 2u) != 0u ? column / (2u * kLanes) * kLanes + column % kLanes : column; }

float Finish(float v, uint channel, uint at) {
  for (uint s = steps; s != 0u; s >>= 4) {
    switch (s & 15u) {
      case 1u: v = Unary(flags >> 8, v, alpha, beta); break;
      case 2u: v *= scale[channel]; break;
      case 3u: v += residual[at]; break;
      default: v = v > 0.0 ? v : v * slope[(flags & 4u) != 0u ? channel : 0u];
    }
  }
  return v;
}

void main() {
  const uint t = gl_LocalInvocationID.x, tx = t % kLanes, ty = t / kLanes;
  const uint first_row = gl_WorkGroupID.x * kRows, first_column = gl_WorkGroupID.y * kColumns, group = gl_WorkGroupID.z;
  if (t < kRows) {  // 256 at most
    ivec4 p = ivec4(-1);
    if (first_row + t < rows) {
      p = Place(first_row + t);
      p.yzw = p.yzw * ivec3(Stride(0), Stride(1), Stride(2)) + ivec3(start[0], start[1], start[2]);
    }
    origin[t] = p;
  }
  const uint taps = Kernel(0) * Kernel(1) * Kernel(2), width = taps == 0u ? 1u : depth / taps;
  const uint weights = first_weight + group * depth * columns;
  // 256 threads are whole slices: each stays with its place in them, and steps through taps and features.
  const uint l = t % kSlice;
  uint feature = l % width, tap = l / width;
  uvec3 at = uvec3(0u);
  if (taps != 0u) at = uvec3(tap / (Kernel(1) * Kernel(2)), tap / Kernel(2) % Kernel(1), tap % Kernel(2));
  ClearSums();
  for (uint k0 = 0u; k0 < depth; k0 += kSlice) {
    barrier();
    const uint k = k0 + l, place = group * width + feature;
    const ivec3 reach = ivec3(at) * ivec3(Dilation(0), Dilation(1), Dilation(2));
    for (uint row = t / kSlice; row < kRows; row += 256u / kSlice) {
      const ivec4 o = origin[row];
      const ivec3 p = o.yzw + reach;
      float v = 0.0;
      if (k < depth && o.x >= 0 && p.x >= 0 && p.y >= 0 && p.z >= 0 && p.x < in_size[0] && p.y < in_size[1] && p.z < in_size[2])
        v = x[x_first + uint(((o.x * in_size[0] + p.x) * in_size[1] + p.y) * in_size[2] + p.z) * in_c + place];
      slice_a[l * (kRows + 1u) + row] = SLICE(v);
    }
    for (uint i = t; i < kSlice * kColumns; i += 256u) {
      const uint m = i / kColumns, column = first_column + i % kColumns;
      slice_b[m * (kColumns + 1u) + i % kColumns] =
          SLICE(k0 + m < depth && column < columns ? Weight(weights + (k0 + m) * columns + column) : 0.0);
    }
    for (feature += kSlice; feature >= width; feature -= width) {
      if (++at.z < Kernel(2)) continue;
      at.z = 0u;
      if (++at.y < Kernel(1)) continue;
      at.y = 0u;
      ++at.x;
    }
    barrier();
    AddSlices(tx, ty);
  }
  const bool gated = (flags & 2u) != 0u;
  for (uint i = 0u; i < kTall; ++i) {
    const uint row = first_row + kTall * ty + i;
    if (row >= rows) break;
    const ivec4 p = Place(row);
    const ivec3 q = p.yzw * ivec3(OutStep(0), OutStep(1), OutStep(2)) + ivec3(offset[0], offset[1], offset[2]);
    const uint line = uint(((p.x * out_size[0] + q.x) * out_size[1] + q.y) * out_size[2] + q.z) * out_c + y_first;
    for (uint j = 0u; j < kBroad; j += gated ? 2u : 1u) {
      const uint column = first_column + tx + kLanes * j;
      const uint channel = gated ? Channel(column) : group * columns + column;
      if (column >= columns || channel >= out_c) continue;
      float v = sums[i][j] + ((flags & 1u) != 0u ? bias[channel] : 0.0);
      if (gated) v *= Sigmoid(sums[i][j + 1u] + ((flags & 1u) != 0u ? bias[channel + out_c] : 0.0));
      y[line + channel] = Finish(v, channel, line + channel);
    }
  }
}
