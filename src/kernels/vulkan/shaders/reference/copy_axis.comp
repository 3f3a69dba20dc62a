#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
// A tensor as [outer, size, inner]: rows [begin, begin + rows) of the output are rows of the input, chosen by `mode`:
// 0: first + j * step. 1: j / step. 2: j - first, zero outside. 3: the same, reflected. 4: the same, replicated.
layout(local_size_x = 256) in;
BUFFER_IN(0, x);
BUFFER_OUT(1, y);
layout(push_constant) uniform Push { uint count, inner, in_rows, out_rows, begin, rows, mode; int first, step; };
void main() {
  const uint i = LinearThread();
  if (i >= count) return;
  const uint q = i % inner, j = i / inner % rows, p = i / inner / rows;
  int s = int(j);
  if (mode == 0u) s = first + s * step;
  if (mode == 1u) s = s / step;
  if (mode >= 2u) s -= first;
  const int n = int(in_rows);
  if (mode == 3u) s = s < 0 ? -s : s >= n ? 2 * (n - 1) - s : s;
  if (mode == 4u) s = clamp(s, 0, n - 1);
  y[(p * out_rows + begin + j) * inner + q] = s < 0 || s >= n ? 0.0 : x[(p * in_rows + uint(s)) * inner + q];
}
