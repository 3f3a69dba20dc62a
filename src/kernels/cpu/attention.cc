// Attention that never holds more than one register block's scores: softmax is corrected as larger scores turn up
// (Milakov and Gimelshein, "Online normalizer calculation for softmax", 2018; Dao et al., "FlashAttention", 2022).
#include <algorithm>
#include <cstring>

#include "kernels/cpu/micro.h"
#include "kernels/cpu/simd.h"
#include "kernels/kernel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/attention.cc"
#include <hwy/foreach_target.h>
// After foreach_target.h, once for every target.
#include <hwy/highway.h>

#include "kernels/cpu/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace timbre {
namespace HWY_NAMESPACE {

// One row of scores becomes weights: scores[0, valid) are replaced by e^(score - maximum so far), scores[valid, count)
// by 0, and what was accumulated with an earlier maximum (`out`, `width` floats, and *total) is scaled to the new one.
void SoftmaxStepT(float* scores, int64_t valid, int64_t count, float* most, float* total, float* out, int64_t width) {
  const Tag d;
  if (valid > 0) {
    Vec m0 = Const(*most), m1 = m0;
    int64_t j = 0;
    for (; j + 2 * kLanes <= valid; j += 2 * kLanes) {
      m0 = hn::Max(m0, hn::LoadU(d, scores + j));
      m1 = hn::Max(m1, hn::LoadU(d, scores + j + kLanes));
    }
    float top = hn::GetLane(hn::MaxOfLanes(d, hn::Max(m0, m1)));
    for (; j < valid; ++j) top = std::max(top, scores[j]);

    const Vec shift = Const(top);
    Vec s0 = hn::Zero(d), s1 = s0;
    for (j = 0; j + 2 * kLanes <= valid; j += 2 * kLanes) {
      const Vec e0 = ExpBounded(hn::Sub(hn::LoadU(d, scores + j), shift));
      const Vec e1 = ExpBounded(hn::Sub(hn::LoadU(d, scores + j + kLanes), shift));
      hn::StoreU(e0, d, scores + j);
      hn::StoreU(e1, d, scores + j + kLanes);
      s0 = hn::Add(s0, e0);
      s1 = hn::Add(s1, e1);
    }
    float sum = hn::GetLane(hn::SumOfLanes(d, hn::Add(s0, s1)));
    for (; j < valid; ++j) sum += scores[j] = hn::GetLane(ExpBounded(Const(scores[j] - top)));

    if (top > *most) {
      const float scale = hn::GetLane(ExpBounded(Const(*most - top)));
      for (int64_t i = 0; i < width; i += kLanes) hn::StoreU(hn::Mul(hn::LoadU(d, out + i), Const(scale)), d, out + i);
      *total *= scale;
      *most = top;
    }
    *total += sum;
  }
  for (int64_t j = valid; j < count; ++j) scores[j] = 0.0f;
}

}  // namespace HWY_NAMESPACE
}  // namespace timbre
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace timbre {
HWY_EXPORT(SoftmaxStepT);

namespace {

// Keys at a time: their scores for one register block stay in the first-level cache, their keys and values in the
// second.
constexpr int64_t kKeyBlock = 256;
// Lower than any score: e^(this - score) is 0 times nothing accumulated.
constexpr float kNothingYet = -1e30f;

struct AttentionShape {
  int64_t batch, queries, keys, features, heads, head;
  int64_t head_padded;  // to whole vectors
  int64_t keys_padded;  // to whole panels
  int64_t query_rows;   // of a task: so many that fetching the keys does not show
  int lanes, panel, block_rows;

  explicit AttentionShape(const NodeRef& ref) {
    const MicroKernels micro = CurrentMicro();
    batch = ref.in(0)[0];
    queries = ref.in(0)[1];
    keys = ref.in(1)[1];
    features = ref.in(0)[2];
    heads = ref.attrs<AttentionAttrs>().heads;
    head = features / heads;
    lanes = micro.lanes;
    panel = micro.panel;
    block_rows = micro.block_rows;
    head_padded = (head + lanes - 1) / lanes * lanes;
    keys_padded = (keys + panel - 1) / panel * panel;
    query_rows = std::min<int64_t>((queries + block_rows - 1) / block_rows, 16) * block_rows;
  }
  int64_t scores_ld() const { return kKeyBlock + 16; }
  // Keys, transposed, in panels [head][panel]; values in panels [keys][panel], the last perhaps half as wide.
  int64_t key_floats() const { return keys_padded * head; }
  int64_t value_floats() const { return keys_padded * head_padded; }
  int64_t worker_floats() const { return query_rows * (head + head_padded + 2) + block_rows * scores_ld() + 2 * 16; }
};

size_t Scratch(const NodeRef& ref, const DeviceCaps& caps) {
  const AttentionShape s(ref);
  return (s.heads * (s.key_floats() + s.value_floats()) + (caps.threads + 1) * (s.worker_floats() + 16)) *
         sizeof(float);
}

// Keys [first, first + panel) of a head, times `scale`, as [head][panel].
void PackKeys(const AttentionShape& s, const float* k, int64_t first, float scale, float* out) {
  const int64_t count = std::min<int64_t>(s.panel, s.keys - first);
  for (int64_t j = 0; j < count; ++j) {
    const float* row = k + (first + j) * s.features;
    for (int64_t i = 0; i < s.head; ++i) out[i * s.panel + j] = row[i] * scale;
  }
  for (int64_t j = count; j < s.panel; ++j) {
    for (int64_t i = 0; i < s.head; ++i) out[i * s.panel + j] = 0.0f;
  }
}

// The same keys' values, into each panel of features.
void PackValues(const AttentionShape& s, const float* v, int64_t first, float* out) {
  const int64_t count = std::min<int64_t>(s.panel, s.keys - first);
  for (int64_t f = 0; f < s.head_padded; f += s.panel) {
    const int64_t width = std::min<int64_t>(s.panel, s.head_padded - f), have = std::min(width, s.head - f);
    float* panel = out + f * s.keys_padded + first * width;
    for (int64_t j = 0; j < count; ++j) {
      std::memcpy(panel + j * width, v + (first + j) * s.features + f, have * sizeof(float));
      std::fill(panel + j * width + have, panel + (j + 1) * width, 0.0f);
    }
  }
}

Status Run(const CpuCall& call) {
  const AttentionShape s(call.ref);
  const auto& attrs = call.ref.attrs<AttentionAttrs>();
  const MicroKernels micro = CurrentMicro();
  const auto softmax_step = HWY_DYNAMIC_DISPATCH(SoftmaxStepT);
  float* keys = call.scratch;
  float* values = keys + s.heads * s.key_floats();
  float* workers = values + s.heads * s.value_floats();
  const int64_t pieces = s.keys_padded / s.panel;
  const int64_t tasks = (s.queries + s.query_rows - 1) / s.query_rows;
  // With a mask, query i sees keys up to i + past.
  const int64_t past = s.keys - s.queries;

  for (int64_t n = 0; n < s.batch; ++n) {
    const float* q = call.in[0] + n * s.queries * s.features;
    const float* k = call.in[1] + n * s.keys * s.features;
    const float* v = call.in[2] + n * s.keys * s.features;
    float* y = call.out[0] + n * s.queries * s.features;
    call.pool.ForRange(s.heads * pieces, 4, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t h = i / pieces, first = i % pieces * s.panel;
        PackKeys(s, k + h * s.head, first, attrs.scale, keys + h * s.key_floats() + first * s.head);
        PackValues(s, v + h * s.head, first, values + h * s.value_floats());
      }
    });
    call.pool.ForEach(s.heads * tasks, [&](int64_t task, int worker) {
      const int64_t h = task / tasks, row = task % tasks * s.query_rows;
      const int64_t rows = std::min(s.query_rows, s.queries - row);
      float* query = workers + worker * (s.worker_floats() + 16) / 16 * 16;
      float* out = query + s.query_rows * s.head;
      float* most = out + s.query_rows * s.head_padded;
      float* total = most + s.query_rows;
      float* scores = total + s.query_rows;
      for (int64_t r = 0; r < rows; ++r) {
        std::memcpy(query + r * s.head, q + (row + r) * s.features + h * s.head, s.head * sizeof(float));
      }
      std::fill_n(out, rows * s.head_padded, 0.0f);
      std::fill_n(most, rows, kNothingYet);
      std::fill_n(total, rows, 0.0f);

      const int64_t last_key = attrs.causal ? std::min(s.keys, row + rows + past) : s.keys;
      for (int64_t first = 0; first < last_key; first += kKeyBlock) {
        const int64_t count = std::min(kKeyBlock, s.keys - first);
        for (int64_t r = 0; r < rows; r += s.block_rows) {
          const int64_t block = std::min<int64_t>(s.block_rows, rows - r);
          const GemmTap over_features{.a = 0, .b = 0, .k = s.head};
          for (int64_t j = 0; j < count; j += s.panel) {
            micro.full(block, &over_features, 1, query + r * s.head, s.head,
                       keys + h * s.key_floats() + (first + j) * s.head, s.panel, GemmStart::kZero, nullptr, scores + j,
                       s.scores_ld());
          }
          for (int64_t i = 0; i < block; ++i) {
            const int64_t seen = attrs.causal ? row + r + i + past + 1 - first : count;
            softmax_step(scores + i * s.scores_ld(), std::clamp<int64_t>(seen, 0, count), count, &most[r + i],
                         &total[r + i], out + (r + i) * s.head_padded, s.head_padded);
          }
          const GemmTap over_keys{.a = 0, .b = first, .k = count};
          for (int64_t f = 0; f < s.head_padded; f += s.panel) {
            const bool half = s.head_padded - f < s.panel;
            (half ? micro.half : micro.full)(
                block, &over_keys, 1, scores, s.scores_ld(), values + h * s.value_floats() + f * s.keys_padded,
                half ? s.lanes : s.panel, GemmStart::kAccumulate, nullptr, out + r * s.head_padded + f, s.head_padded);
          }
        }
      }
      for (int64_t r = 0; r < rows; ++r) {
        const float scale = 1.0f / total[r];
        float* to = y + (row + r) * s.features + h * s.head;
        for (int64_t i = 0; i < s.head; ++i) to[i] = out[r * s.head_padded + i] * scale;
      }
    });
  }
  return {};
}

const KernelRow kRows[] = {
    {Op::kAttention, DeviceKind::kCpu, Tier::kFast, "attention_online", 1, nullptr, Run, Scratch},
};

}  // namespace

std::span<const KernelRow> CpuAttentionKernels() { return kRows; }

}  // namespace timbre
#endif
