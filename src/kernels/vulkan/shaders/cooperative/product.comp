#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "cooperative_tile.glsl"
#include "product_parts.glsl"
// Weights are halves. A gated layer's columns are values and their gates in turn.
shared ivec4 origin[kRows];
shared uint line[kRows];

// Columns of a line of weights side by side, from `i` on; zeros after the last, of which there are `left`.
f16vec2 Weights2(uint i, int left) {
  if (left <= 0) return f16vec2(0.0);
  const f16vec2 word = unpackFloat2x16(weight[i >> 1]);
  if ((i & 1u) == 0u) return left > 1 ? word : f16vec2(word.x, 0.0);
  return f16vec2(word.y, left > 1 ? unpackFloat2x16(weight[(i >> 1) + 1u]).x : float16_t(0.0));
}

void main() {
  const uint t = gl_LocalInvocationID.x;
  const uint first_row = gl_WorkGroupID.x * kRows, first_column = gl_WorkGroupID.y * kColumns, group = gl_WorkGroupID.z;
  for (uint row = t; row < kRows; row += 256u) {
    origin[row] = Origin(first_row + row);
    line[row] = Line(first_row + row);
  }
  const uint taps = Kernel(0) * Kernel(1) * Kernel(2), width = taps == 0u ? 1u : depth / taps;
  const uint weights = first_weight + group * depth * columns;
  // 256 threads are whole slices of pairs: each stays with its place in them, and steps through taps and features.
  const uint pairs = kSlice / 2u, l = t % pairs;
  uint feature = 2u * l % width;
  uvec3 tap = taps == 0u ? uvec3(0u) : Tap(2u * l / width);
  ClearSums();
  for (uint k0 = 0u; k0 < depth; k0 += kSlice) {
    barrier();
    const uint k = k0 + 2u * l, place = group * width + feature;
    const bool next_tap = feature + 1u == width;  // the pair's second half is another tap's
    uvec3 second = tap;
    if (next_tap) Advance(second);
    const uint second_place = next_tap ? group * width : place + 1u;
    const ivec3 reach = Reach(tap), second_reach = Reach(second);
    for (uint row = t / pairs; row < kRows; row += 256u / pairs) {
      const ivec4 o = origin[row];
      const uint at = k < depth ? Features(o, reach) : kOutside;
      uint second_at = at;
      if (next_tap) second_at = Features(o, second_reach);
      if (k + 1u >= depth) second_at = kOutside;
      slice_a[row * kLineA + l] = f16vec2(at != kOutside ? x[at + place] : 0.0,
                                          second_at != kOutside ? x[second_at + second_place] : 0.0);
    }
    for (uint i = t; i < kSlice * kColumns / 2u; i += 256u) {
      const uint m = i / (kColumns / 2u), c = i % (kColumns / 2u), column = first_column + 2u * c;
      slice_b[m * kLineB + c] =
          k0 + m < depth ? Weights2(weights + (k0 + m) * columns + column, int(columns) - int(column)) : f16vec2(0.0);
    }
    for (feature += kSlice; feature >= width; feature -= width) Advance(tap);
    barrier();
    AddSlices();
  }
  if (depth == 0u) barrier();  // lines are there
  const uint each = (flags & 2u) != 0u ? 2u : 1u;  // columns of a channel
  for (uint i = 0u; i < kTall * kBroad; ++i) {
    const uint begin = Part(i);
    if (!HasSums()) continue;
    for (uint e = gl_SubgroupInvocationID * each; e < kM * kN; e += gl_SubgroupSize * each) {
      const uint row = FirstRow(i / kBroad) + e / kN, column = first_column + FirstColumn(i % kBroad) + e % kN;
      if (first_row + row >= rows || column >= columns) continue;
      const uint channel = each == 2u ? column / 2u : group * columns + column, at = line[row] + channel;
      y[at] = Finish(parts[begin + e], each == 2u ? parts[begin + e + 1u] : 0.0, channel, at);
    }
  }
}
