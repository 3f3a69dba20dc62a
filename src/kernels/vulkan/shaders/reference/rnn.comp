#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
// Steps [first, last). One workgroup a sequence: hidden state in shared memory, each thread computes some of the units. GRU: 3 gates, LSTM: 4.
layout(local_size_x = 256) in;
BUFFER_IN(0, x);
BUFFER_IN(1, w_ih);
BUFFER_IN(2, w_hh);
BUFFER_IN(3, b_ih);
BUFFER_IN(4, b_hh);
BUFFER_IN(5, h0);
BUFFER_IN(6, c0);
BUFFER_OUT(7, y);
BUFFER_OUT(8, h1);
BUFFER_OUT(9, c1);
layout(push_constant) uniform Push { uint batch, steps, inputs, units, gates, reverse, has_b_ih, has_b_hh, first, last; };
const uint kMost = 1024u;
shared float h[kMost];
float Sigmoid(float v) { return 1.0 / (1.0 + exp(-v)); }
vec2 Gate(uint row, uint xb) {
  float a = has_b_ih != 0u ? b_ih[row] : 0.0, b = has_b_hh != 0u ? b_hh[row] : 0.0;
  for (uint i = 0u; i < inputs; ++i) a += w_ih[row * inputs + i] * x[xb + i];
  for (uint i = 0u; i < units; ++i) b += w_hh[row * units + i] * h[i];
  return vec2(a, b);
}
void main() {
  const uint n = LinearGroup(), t = gl_LocalInvocationID.x;
  if (n >= batch) return;
  float next[kMost / 256u], cell[kMost / 256u];
  for (uint u = t, e = 0u; u < units; u += 256u, ++e) {
    h[u] = h0[n * units + u];
    cell[e] = gates == 4u ? c0[n * units + u] : 0.0;
  }
  barrier();
  for (uint s = first; s < last; ++s) {
    const uint step = n * steps + (reverse != 0u ? steps - 1u - s : s), xb = step * inputs;
    for (uint u = t, e = 0u; u < units; u += 256u, ++e) {
      const vec2 g0 = Gate(u, xb), g1 = Gate(units + u, xb), g2 = Gate(2u * units + u, xb);
      if (gates == 3u) {
        const float r = Sigmoid(g0.x + g0.y), z = Sigmoid(g1.x + g1.y), c = tanh(g2.x + r * g2.y);
        next[e] = (1.0 - z) * c + z * h[u];
      } else {
        const vec2 g3 = Gate(3u * units + u, xb);
        cell[e] = Sigmoid(g1.x + g1.y) * cell[e] + Sigmoid(g0.x + g0.y) * tanh(g2.x + g2.y);
        next[e] = Sigmoid(g3.x + g3.y) * tanh(cell[e]);
      }
    }
    barrier();
    for (uint u = t, e = 0u; u < units; u += 256u, ++e) {
      h[u] = next[e];
      y[step * units + u] = next[e];
    }
    barrier();
  }
  for (uint u = t, e = 0u; u < units; u += 256u, ++e) {
    h1[n * units + u] = h[u];
    if (gates == 4u) c1[n * units + u] = cell[e];
  }
}
