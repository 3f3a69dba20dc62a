#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "cooperative_matrix.glsl"
// As fast/attention.comp, with both products on cooperative matrices: one workgroup for 32 queries of a head, keys and then
// values 32 at a time through the same memory. Sums of values stay in shared memory, where 8 threads a query shrink them.
layout(local_size_x = 256) in;
BUFFER_IN(0, q);
BUFFER_IN(1, k);
BUFFER_IN(2, v);
BUFFER_OUT(3, y);
layout(constant_id = 3) const uint kWidth = 64u;  // features of a head, rounded up to a multiple of 16
layout(push_constant) uniform Push { uint queries, keys, features, heads, causal; float scale; };
const uint kLine = kWidth / 2u + 4u, kShareLine = 32u / 2u + 4u;  // in pairs
const uint kScoreLine = 32u + 4u, kSumLine = kWidth + 4u;
shared f16vec2 query[32 * kLine];
shared f16vec2 memory[32 * kLine];  // of keys, then of values
shared f16vec2 share[32 * kShareLine];
shared float score[32 * kScoreLine];
shared float sums[32 * kSumLine];

float Q(uint at, bool there) { return there ? q[at] * scale : 0.0; }
float K(uint at, bool there) { return there ? k[at] : 0.0; }
float V(uint at, bool there) { return there ? v[at] : 0.0; }
// Fills lines with 32 rows of a tensor's head, from row `first` of `count` on.
#define LOAD(LINES, OF, first, count)                                                                  \
  for (uint e = gl_LocalInvocationID.x; e < 16u * kWidth; e += 256u) {                                 \
    const uint r = e / (kWidth / 2u), f = e % (kWidth / 2u) * 2u;                                      \
    const uint at = (gl_WorkGroupID.z * count + first + r) * features + gl_WorkGroupID.y * width + f;  \
    const bool row = first + r < count;                                                                \
    LINES[r * kLine + f / 2u] = f16vec2(OF(at, row && f < width), OF(at + 1u, row && f + 1u < width)); \
  }

void main() {
  const uint t = gl_LocalInvocationID.x, i = t / 8u, l = t % 8u;
  const uint first = gl_WorkGroupID.x * 32u, width = features / heads;
  LOAD(query, Q, first, queries)
  for (uint e = t; e < 32u * kSumLine; e += 256u) sums[e] = 0.0;
  const uint last = min(first + 31u, queries - 1u);
  const uint visible = causal != 0u ? min(keys, last + 1u + keys - queries) : keys;
  const uint mine = causal != 0u ? min(keys, min(first + i, queries - 1u) + 1u + keys - queries) : keys;
  float top = -3.0e38, total = 0.0;  // the total of this thread's keys alone
  for (uint j0 = 0u; j0 < visible; j0 += 32u) {
    barrier();
    LOAD(memory, K, j0, keys)
    barrier();
    for (uint m = gl_SubgroupID; m < 32u / kM * (32u / kN); m += gl_NumSubgroups) {
      const uint row = m / (32u / kN) * kM, column = m % (32u / kN) * kN;
      coopmat<float, gl_ScopeSubgroup, kM, kN, gl_MatrixUseAccumulator> products =
          coopmat<float, gl_ScopeSubgroup, kM, kN, gl_MatrixUseAccumulator>(0.0);
      for (uint f = 0u; f < kWidth; f += kK) {
        coopmat<float16_t, gl_ScopeSubgroup, kM, kK, gl_MatrixUseA> a;
        coopmat<float16_t, gl_ScopeSubgroup, kK, kN, gl_MatrixUseB> b;
        coopMatLoad(a, query, row * kLine + f / 2u, kLine, gl_CooperativeMatrixLayoutRowMajor);
        coopMatLoad(b, memory, column * kLine + f / 2u, kLine, gl_CooperativeMatrixLayoutColumnMajor);
        products = coopMatMulAdd(a, b, products);
      }
      coopMatStore(products, score, row * kScoreLine + column, kScoreLine, gl_CooperativeMatrixLayoutRowMajor);
    }
    barrier();
    LOAD(memory, V, j0, keys)
    float next = top;
    for (uint j = 0u; j < 32u; ++j)
      if (j0 + j < mine) next = max(next, score[i * kScoreLine + j]);
    const float shrink = exp(top - next);
    top = next;
    total *= shrink;
    for (uint j = 2u * l; j < 32u; j += 16u) {
      f16vec2 p = f16vec2(0.0);
      if (j0 + j < mine) p.x = float16_t(exp(score[i * kScoreLine + j] - next));
      if (j0 + j + 1u < mine) p.y = float16_t(exp(score[i * kScoreLine + j + 1u] - next));
      share[i * kShareLine + j / 2u] = p;
      total += float(p.x) + float(p.y);
    }
    for (uint f = l; f < kWidth; f += 8u) sums[i * kSumLine + f] *= shrink;
    barrier();
    for (uint m = gl_SubgroupID; m < 32u / kM * (kWidth / kN); m += gl_NumSubgroups) {
      const uint row = m / (kWidth / kN) * kM, column = m % (kWidth / kN) * kN, at = row * kSumLine + column;
      coopmat<float, gl_ScopeSubgroup, kM, kN, gl_MatrixUseAccumulator> weighted;
      coopMatLoad(weighted, sums, at, kSumLine, gl_CooperativeMatrixLayoutRowMajor);
      for (uint j = 0u; j < 32u; j += kK) {
        coopmat<float16_t, gl_ScopeSubgroup, kM, kK, gl_MatrixUseA> a;
        coopmat<float16_t, gl_ScopeSubgroup, kK, kN, gl_MatrixUseB> b;
        coopMatLoad(a, share, row * kShareLine + j / 2u, kShareLine, gl_CooperativeMatrixLayoutRowMajor);
        coopMatLoad(b, memory, j * kLine + column / 2u, kLine, gl_CooperativeMatrixLayoutRowMajor);
        weighted = coopMatMulAdd(a, b, weighted);
      }
      coopMatStore(weighted, sums, at, kSumLine, gl_CooperativeMatrixLayoutRowMajor);
    }
  }
  barrier();
  score[i * kScoreLine + l] = total;
  barrier();
  total = 0.0;
  for (uint j = 0u; j < 8u; ++j) total += score[i * kScoreLine + j];
  if (first + i >= queries) return;
  const uint line = (gl_WorkGroupID.z * queries + first + i) * features + gl_WorkGroupID.y * width;
  for (uint f = l; f < width; f += 8u) y[line + f] = sums[i * kSumLine + f] / total;
}
