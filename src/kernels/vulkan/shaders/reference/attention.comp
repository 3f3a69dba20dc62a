#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
// There is room for `keys` keys, of which the first `valid` count. One workgroup a query and head: scores of 256 keys at a time, with the running maximum and sum of the online softmax; each thread then
// adds up its own features.
layout(local_size_x = 256) in;
BUFFER_IN(0, q);
BUFFER_IN(1, k);
BUFFER_IN(2, v);
BUFFER_OUT(3, y);
layout(set = 0, binding = 4) readonly buffer In4 { int scalars[]; };
layout(push_constant) uniform Push { uint batch, queries, keys, features, heads, causal; float scale; uint groups, valid; int past; uint block; int valid_at, older_at; };
#include "attention_keys.glsl"
shared float score[256];
shared float part[256];
void main() {
  const uint id = LinearGroup(), t = gl_LocalInvocationID.x;
  if (id >= batch * queries * heads) return;
  const uint h = id % heads, i = id / heads % queries, n = id / heads / queries, width = features / heads;
  const uint valid_keys = ValidKeys(), older = OlderKeys(valid_keys), row = groups * width;
  const uint visible = causal != 0u ? min(valid_keys, older + (i / block + 1u) * block) : valid_keys;
  const uint qb = (n * queries + i) * features + h * width, kb = n * keys * row + h / (heads / groups) * width;
  float top = -3.0e38, sum = 0.0, acc = 0.0;  // acc: feature t, for widths up to 256
  for (uint first = 0u; first < visible; first += 256u) {
    const uint j = first + t;
    float s = -3.0e38;
    if (j < visible) {
      s = 0.0;
      for (uint e = 0u; e < width; ++e) s += q[qb + e] * k[kb + j * row + e];
      s *= scale;
    }
    part[t] = s;
    barrier();
    for (uint step = 128u; step > 0u; step >>= 1) {
      if (t < step) part[t] = max(part[t], part[t + step]);
      barrier();
    }
    const float next = max(top, part[0]);
    barrier();
    score[t] = j < visible ? exp(s - next) : 0.0;
    part[t] = score[t];
    barrier();
    for (uint step = 128u; step > 0u; step >>= 1) {
      if (t < step) part[t] += part[t + step];
      barrier();
    }
    const float shrink = exp(top - next);
    sum = sum * shrink + part[0];
    acc *= shrink;
    const uint here = min(256u, visible - first);
    if (t < width)
      for (uint l = 0u; l < here; ++l) acc += score[l] * v[kb + (first + l) * row + t];
    top = next;
    barrier();
  }
  if (t < width) y[qb + t] = acc / sum;
}
