#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
// One workgroup for 32 queries of a head, 8 threads a query: keys and values pass through shared memory 32 at a time, with the
// running maximum and sum of the online softmax (Milakov and Gimelshein, arXiv 1805.02867). Scores never reach memory.
// There is room for `keys` keys, of which the first `valid` count.
layout(local_size_x = 256) in;
BUFFER_IN(0, q);
BUFFER_IN(1, k);
BUFFER_IN(2, v);
BUFFER_OUT(3, y);
layout(set = 0, binding = 4) readonly buffer In4 { int scalars[]; };
layout(constant_id = 0) const uint kWidth = 64u;  // features of a head, rounded up to a multiple of 8
layout(push_constant) uniform Push { uint queries, keys, features, heads, causal; float scale; uint groups, valid; int past; uint block; int valid_at, older_at; };
#include "attention_keys.glsl"
shared float query[32 * (kWidth + 1)];
shared float key[32 * (kWidth + 1)];
shared float value[32 * (kWidth + 1)];
shared float score[32 * 33];
void main() {
  const uint t = gl_LocalInvocationID.x, i = t / 8u, l = t % 8u;
  const uint first = gl_WorkGroupID.x * 32u, h = gl_WorkGroupID.y, n = gl_WorkGroupID.z, width = features / heads;
  const uint q_base = n * queries * features + h * width, line = groups * width;
  const uint k_base = n * keys * line + h / (heads / groups) * width;
  for (uint e = t; e < 32u * kWidth; e += 256u) {
    const uint r = e / kWidth, f = e % kWidth;
    query[r * (kWidth + 1u) + f] = f < width && first + r < queries ? q[q_base + (first + r) * features + f] * scale : 0.0;
  }
  const uint last = min(first + 31u, queries - 1u);
  const uint valid_keys = ValidKeys(), older = OlderKeys(valid_keys);
  const uint visible = causal != 0u ? min(valid_keys, older + (last / block + 1u) * block) : valid_keys;
  const uint mine = causal != 0u ? min(valid_keys, older + (min(first + i, last) / block + 1u) * block) : valid_keys;
  float sums[kWidth / 8u];
  [[unroll]] for (uint f = 0u; f < kWidth / 8u; ++f) sums[f] = 0.0;
  float top = -3.0e38, total = 0.0;
  for (uint j0 = 0u; j0 < visible; j0 += 32u) {
    barrier();
    for (uint e = t; e < 32u * kWidth; e += 256u) {
      const uint r = e / kWidth, f = e % kWidth, p = r * (kWidth + 1u) + f;
      const bool there = f < width && j0 + r < valid_keys;
      key[p] = there ? k[k_base + (j0 + r) * line + f] : 0.0;
      value[p] = there ? v[k_base + (j0 + r) * line + f] : 0.0;
    }
    barrier();
    float s[4];
    [[unroll]] for (uint m = 0u; m < 4u; ++m) s[m] = 0.0;
    for (uint f = 0u; f < kWidth; ++f) {
      const float w = query[i * (kWidth + 1u) + f];
      [[unroll]] for (uint m = 0u; m < 4u; ++m) s[m] = fma(w, key[(l + 8u * m) * (kWidth + 1u) + f], s[m]);
    }
    [[unroll]] for (uint m = 0u; m < 4u; ++m) score[i * 33u + l + 8u * m] = j0 + l + 8u * m < mine ? s[m] : -3.0e38;
    barrier();
    float next = top;
    [[unroll]] for (uint j = 0u; j < 32u; ++j) next = max(next, score[i * 33u + j]);
    barrier();
    [[unroll]] for (uint m = 0u; m < 4u; ++m)
      score[i * 33u + l + 8u * m] = j0 + l + 8u * m < mine ? exp(s[m] - next) : 0.0;
    barrier();
    const float shrink = exp(top - next);
    top = next;
    total *= shrink;
    [[unroll]] for (uint f = 0u; f < kWidth / 8u; ++f) sums[f] *= shrink;
    for (uint j = 0u; j < 32u; ++j) {
      const float p = score[i * 33u + j];
      total += p;
      [[unroll]] for (uint f = 0u; f < kWidth / 8u; ++f) sums[f] = fma(p, value[j * (kWidth + 1u) + l + 8u * f], sums[f]);
    }
  }
  if (first + i >= queries) return;
  [[unroll]] for (uint f = 0u; f < kWidth / 8u; ++f) {
    if (l + 8u * f < width) y[q_base + (first + i) * features + l + 8u * f] = sums[f] / total;
  }
}
