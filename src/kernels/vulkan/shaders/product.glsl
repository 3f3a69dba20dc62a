#include "tile.glsl"
#include "product_parts.glsl"
// A product whose tiles are threads' sums.
layout(constant_id = 4) const uint kHalves = 0u;  // weights lie as halves, two in a word
shared ivec4 origin[kRows];

float Weight(uint i) { return kHalves != 0u ? unpackHalf2x16(weight[i >> 1])[i & 1u] : uintBitsToFloat(weight[i]); }

// A gated layer's columns lie in blocks of kLanes values and their gates.
uint Channel(uint column) { return (flags & 2u) != 0u ? column / (2u * kLanes) * kLanes + column % kLanes : column; }

void main() {
  const uint t = gl_LocalInvocationID.x, tx = t % kLanes, ty = t / kLanes;
  const uint first_row = gl_WorkGroupID.x * kRows, first_column = gl_WorkGroupID.y * kColumns, group = gl_WorkGroupID.z;
  if (t < kRows) origin[t] = Origin(first_row + t);  // 256 at most
  const uint taps = Kernel(0) * Kernel(1) * Kernel(2), width = taps == 0u ? 1u : depth / taps;
  const uint weights = first_weight + group * depth * columns;
  // 256 threads are whole slices: each stays with its place in them, and steps through taps and features.
  const uint l = t % kSlice;
  uint feature = l % width;
  uvec3 tap = taps == 0u ? uvec3(0u) : Tap(l / width);
  ClearSums();
  for (uint k0 = 0u; k0 < depth; k0 += kSlice) {
    barrier();
    const uint k = k0 + l, place = group * width + feature;
    const ivec3 reach = Reach(tap);
    for (uint row = t / kSlice; row < kRows; row += 256u / kSlice) {
      const uint at = k < depth ? Features(origin[row], reach) : kOutside;
      slice_a[l * (kRows + 1u) + row] = SLICE(at != kOutside ? x[at + place] : 0.0);
    }
    for (uint i = t; i < kSlice * kColumns; i += 256u) {
      const uint m = i / kColumns, column = first_column + i % kColumns;
      slice_b[m * (kColumns + 1u) + i % kColumns] =
          SLICE(k0 + m < depth && column < columns ? Weight(weights + (k0 + m) * columns + column) : 0.0);
    }
    for (feature += kSlice; feature >= width; feature -= width) Advance(tap);
    barrier();
    AddSlices(tx, ty);
  }
  const bool gated = (flags & 2u) != 0u;
  for (uint i = 0u; i < kTall; ++i) {
    const uint row = first_row + kTall * ty + i;
    if (row >= rows) break;
    const uint line = Line(row);
    for (uint j = 0u; j < kBroad; j += gated ? 2u : 1u) {
      const uint column = first_column + tx + kLanes * j;
      const uint channel = gated ? Channel(column) : group * columns + column;
      if (column >= columns || channel >= out_c) continue;
      y[line + channel] = Finish(sums[i][j], gated ? sums[i][j + 1u] : 0.0, channel, line + channel);
    }
  }
}
