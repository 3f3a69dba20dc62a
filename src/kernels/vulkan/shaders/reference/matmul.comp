#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
layout(local_size_x = 256) in;
BUFFER_IN(0, a);
BUFFER_IN(1, b);
BUFFER_OUT(2, y);
layout(push_constant) uniform Push { uint count, m, k, n, transpose_b; float scale; };
void main() {
  const uint i = LinearThread();
  if (i >= count) return;
  const uint col = i % n, row = i / n % m, batch = i / n / m;
  float sum = 0.0;
  for (uint l = 0u; l < k; ++l)
    sum += a[(batch * m + row) * k + l] * (transpose_b != 0u ? b[(batch * n + col) * k + l] : b[(batch * k + l) * n + col]);
  y[i] = sum * scale;
}
