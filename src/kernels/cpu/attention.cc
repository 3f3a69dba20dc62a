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

#ifndef TIMBRE_KERNELS_CPU_ATTENTION_
#define TIMBRE_KERNELS_CPU_ATTENTION_
namespace timbre {
// Lower than any score: e^(this - score) is as good as 0, and times nothing accumulated.
inline constexpr float kNothingYet = -1e30f;
}  // namespace timbre
#endif

HWY_BEFORE_NAMESPACE();
namespace timbre {
namespace HWY_NAMESPACE {

// Scores of `rows` rows become weights: of row r, the first valid[r] of `count` become e^(score - maximum so far), the
// others 0, and what was accumulated with an earlier maximum (out: `width` floats a row; total: kLanes partial sums a
// row) is scaled to the new one. Rows of scores are `ld` apart and may be written up to a whole vector beyond `count`.
void SoftmaxBlockT(float* scores, int64_t ld, int64_t rows, const int64_t* valid, int64_t count, float* most,
                   float* total, float* out, int64_t width) {
  const Tag d;
  // All maxima first: what it takes to fold a vector into one number is hidden behind the next row's.
  float top[kMaxBlockRows];
  for (int64_t r = 0; r < rows; ++r) {
    float* s = scores + r * ld;
    for (int64_t j = valid[r]; j % kLanes != 0; ++j) s[j] = kNothingYet;
    Vec m0 = Const(most[r]), m1 = m0, m2 = m0, m3 = m0;
    int64_t j = 0;
    for (; j + 4 * kLanes <= valid[r]; j += 4 * kLanes) {
      m0 = hn::Max(m0, hn::Load(d, s + j));
      m1 = hn::Max(m1, hn::Load(d, s + j + kLanes));
      m2 = hn::Max(m2, hn::Load(d, s + j + 2 * kLanes));
      m3 = hn::Max(m3, hn::Load(d, s + j + 3 * kLanes));
    }
    for (; j < valid[r]; j += kLanes) m0 = hn::Max(m0, hn::Load(d, s + j));
    top[r] = hn::GetLane(hn::MaxOfLanes(d, hn::Max(hn::Max(m0, m1), hn::Max(m2, m3))));
  }
  for (int64_t r = 0; r < rows; ++r) {
    float* s = scores + r * ld;
    float* sum = total + r * kLanes;
    if (top[r] > most[r]) {
      const Vec scale = ExpOfFall(Const(most[r] - top[r]));
      for (int64_t i = r * width; i < (r + 1) * width; i += kLanes) {
        hn::Store(hn::Mul(hn::Load(d, out + i), scale), d, out + i);
      }
      hn::Store(hn::Mul(hn::Load(d, sum), scale), d, sum);
      most[r] = top[r];
    }
    const Vec shift = Const(top[r]);
    const auto weight = [&](float* at) HWY_ATTR {
      const Vec e = ExpOfFall(hn::Sub(hn::Load(d, at), shift));
      hn::Store(e, d, at);
      return e;
    };
    Vec s0 = hn::Load(d, sum), s1 = hn::Zero(d), s2 = s1, s3 = s1;
    int64_t j = 0;
    for (; j + 4 * kLanes <= valid[r]; j += 4 * kLanes) {
      s0 = hn::Add(s0, weight(s + j));
      s1 = hn::Add(s1, weight(s + j + kLanes));
      s2 = hn::Add(s2, weight(s + j + 2 * kLanes));
      s3 = hn::Add(s3, weight(s + j + 3 * kLanes));
    }
    for (; j < valid[r]; j += kLanes) s0 = hn::Add(s0, weight(s + j));
    hn::Store(hn::Add(hn::Add(s0, s1), hn::Add(s2, s3)), d, sum);
    for (j = valid[r]; j < count; ++j) s[j] = 0.0f;
  }
}

// y[0, width) = out / the sum of `total`.
void DivideByTotalT(const float* out, const float* total, int64_t width, float* y) {
  const Tag d;
  const Vec scale = Const(1.0f / hn::GetLane(hn::SumOfLanes(d, hn::Load(d, total))));
  int64_t i = 0;
  for (; i + kLanes <= width; i += kLanes) hn::StoreU(hn::Mul(hn::Load(d, out + i), scale), d, y + i);
  for (; i < width; ++i) y[i] = out[i] * hn::GetLane(scale);
}

// out[i * panel + j] = k[j * ld + i] * scale for i in [0, width), j in [0, count); 0 for j in [count, panel).
void TransposeKeysT(const float* k, int64_t ld, int64_t count, int64_t width, float scale, int64_t panel, float* out) {
  int64_t done = 0;  // keys
#if HWY_TARGET != HWY_SCALAR
  const hn::FixedTag<float, 4> d4;
  const hn::Repartition<double, decltype(d4)> pairs;
  const auto by = hn::Set(d4, scale);
  for (; done + 4 <= count; done += 4) {
    const float* from = k + done * ld;
    int64_t i = 0;
    for (; i + 4 <= width; i += 4) {
      const auto r0 = hn::Mul(hn::LoadU(d4, from + i), by), r1 = hn::Mul(hn::LoadU(d4, from + ld + i), by);
      const auto r2 = hn::Mul(hn::LoadU(d4, from + 2 * ld + i), by), r3 = hn::Mul(hn::LoadU(d4, from + 3 * ld + i), by);
      const auto a = hn::BitCast(pairs, hn::InterleaveLower(d4, r0, r1));
      const auto b = hn::BitCast(pairs, hn::InterleaveLower(d4, r2, r3));
      const auto e = hn::BitCast(pairs, hn::InterleaveUpper(d4, r0, r1));
      const auto f = hn::BitCast(pairs, hn::InterleaveUpper(d4, r2, r3));
      float* to = out + i * panel + done;
      hn::StoreU(hn::BitCast(d4, hn::InterleaveLower(pairs, a, b)), d4, to);
      hn::StoreU(hn::BitCast(d4, hn::InterleaveUpper(pairs, a, b)), d4, to + panel);
      hn::StoreU(hn::BitCast(d4, hn::InterleaveLower(pairs, e, f)), d4, to + 2 * panel);
      hn::StoreU(hn::BitCast(d4, hn::InterleaveUpper(pairs, e, f)), d4, to + 3 * panel);
    }
    for (; i < width; ++i) {
      for (int64_t j = 0; j < 4; ++j) out[i * panel + done + j] = from[j * ld + i] * scale;
    }
  }
#endif
  for (; done < panel; ++done) {
    for (int64_t i = 0; i < width; ++i) out[i * panel + done] = done < count ? k[done * ld + i] * scale : 0.0f;
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace timbre
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace timbre {
HWY_EXPORT(SoftmaxBlockT);
HWY_EXPORT(DivideByTotalT);
HWY_EXPORT(TransposeKeysT);

namespace {

// Keys at a time: their scores for one register block stay in the first-level cache, their keys and values in the
// second.
constexpr int64_t kKeyBlock = 256;

struct AttentionShape {
  int64_t batch, queries, features, heads, head;
  int64_t groups, group_features;  // heads of keys and values, and the features of a row of them
  int64_t room, keys, past;        // keys that there is room for; those that are valid; those older than the queries
  bool causal;
  int64_t block;        // rows of queries that see each other
  int64_t head_padded;  // to whole vectors
  int64_t keys_padded;  // the room, to whole panels
  int64_t query_rows;   // of a task: so many that fetching the keys does not show
  int lanes, panel, block_rows;

  AttentionShape(const NodeRef& ref, const AttentionAttrs& attrs) {
    const MicroKernels micro = CurrentMicro();
    batch = ref.in(0)[0];
    queries = ref.in(0)[1];
    room = ref.in(1)[1];
    keys = attrs.LengthOf(room);
    past = attrs.PastOf(queries, room);
    causal = attrs.causal;
    block = attrs.block;
    features = ref.in(0)[2];
    heads = attrs.heads;
    head = features / heads;
    groups = attrs.key_heads();
    group_features = groups * head;
    lanes = micro.lanes;
    panel = micro.panel;
    block_rows = micro.block_rows;
    head_padded = (head + lanes - 1) / lanes * lanes;
    keys_padded = (room + panel - 1) / panel * panel;
    query_rows = std::min<int64_t>((queries + block_rows - 1) / block_rows, 16) * block_rows;
  }
  // Keys that a row of queries sees.
  int64_t visible(int64_t row) const { return causal ? std::min(keys, past + (row / block + 1) * block) : keys; }
  int64_t scores_ld() const { return kKeyBlock + 16; }
  // Keys, transposed, in panels [head][panel]; values in panels [keys][panel], the last perhaps half as wide.
  int64_t key_floats() const { return keys_padded * head; }
  int64_t value_floats() const { return keys_padded * head_padded; }
  // Of one thread: queries, results, maxima, partial sums, scores; each starts with a whole cache line.
  int64_t query_floats() const { return Whole(query_rows * head); }
  int64_t out_floats() const { return query_rows * head_padded; }
  int64_t worker_floats() const {
    return query_floats() + Whole(out_floats()) + Whole(query_rows) + Whole(query_rows * lanes) +
           Whole(block_rows * scores_ld());
  }
  static int64_t Whole(int64_t floats) { return (floats + 15) / 16 * 16; }
};

size_t Scratch(const NodeRef& ref, const DeviceCaps& caps) {
  const AttentionShape s(ref, ref.attrs<AttentionAttrs>());
  return (AttentionShape::Whole(s.groups * (s.key_floats() + s.value_floats())) + caps.threads * s.worker_floats()) *
         sizeof(float);
}

// The values of keys [first, first + panel), into each panel of features.
void PackValues(const AttentionShape& s, const float* v, int64_t first, float* out) {
  const int64_t count = std::min<int64_t>(s.panel, s.keys - first);
  for (int64_t f = 0; f < s.head_padded; f += s.panel) {
    const int64_t width = std::min<int64_t>(s.panel, s.head_padded - f), have = std::min(width, s.head - f);
    float* panel = out + f * s.keys_padded + first * width;
    for (int64_t j = 0; j < count; ++j) {
      std::memcpy(panel + j * width, v + (first + j) * s.group_features + f, have * sizeof(float));
      std::fill(panel + j * width + have, panel + (j + 1) * width, 0.0f);
    }
  }
}

// What all rows of a call compute with.
struct Attending {
  const AttentionShape& s;
  const AttentionAttrs& attrs;
  const MicroKernels micro = CurrentMicro();

  // Keys [first, first + panel) of a head, k and v pointing at its features of key 0, into its packed keys and values.
  void Pack(const float* k, const float* v, int64_t first, float* keys, float* values) const {
    HWY_DYNAMIC_DISPATCH(TransposeKeysT)
    (k + first * s.group_features, s.group_features, std::min<int64_t>(s.panel, s.keys - first), s.head, attrs.scale,
     s.panel, keys + first * s.head);
    PackValues(s, v, first, values);
  }

  // Rows [row, row + rows) of one head: q and y point at its features of row 0, `memory` is a thread's.
  void Rows(const float* q, const float* keys, const float* values, int64_t row, int64_t rows, float* memory,
            float* y) const {
    const auto softmax = HWY_DYNAMIC_DISPATCH(SoftmaxBlockT);
    float* query = memory;
    float* out = query + s.query_floats();
    float* most = out + AttentionShape::Whole(s.out_floats());
    float* total = most + AttentionShape::Whole(s.query_rows);
    float* scores = total + AttentionShape::Whole(s.query_rows * s.lanes);
    for (int64_t r = 0; r < rows; ++r) {
      std::memcpy(query + r * s.head, q + (row + r) * s.features, s.head * sizeof(float));
    }
    std::fill_n(out, rows * s.head_padded, 0.0f);
    std::fill_n(most, rows, kNothingYet);
    std::fill_n(total, rows * s.lanes, 0.0f);

    const int64_t last_key = s.visible(row + rows - 1);
    for (int64_t first = 0; first < last_key; first += kKeyBlock) {
      const int64_t count = std::min(kKeyBlock, s.keys - first);
      for (int64_t r = 0; r < rows; r += s.block_rows) {
        const int64_t block = std::min<int64_t>(s.block_rows, rows - r);
        const GemmTap over_features{.a = 0, .b = 0, .k = s.head};
        for (int64_t j = 0; j < count; j += s.panel) {
          micro.full(block, &over_features, 1, query + r * s.head, s.head, keys + (first + j) * s.head, s.panel,
                     GemmStart::kZero, nullptr, scores + j, s.scores_ld());
        }
        int64_t valid[kMaxBlockRows];
        for (int64_t i = 0; i < block; ++i) {
          valid[i] = std::clamp<int64_t>(s.visible(row + r + i) - first, 0, count);
        }
        softmax(scores, s.scores_ld(), block, valid, count, most + r, total + r * s.lanes, out + r * s.head_padded,
                s.head_padded);
        const GemmTap over_keys{.a = 0, .b = first, .k = count};
        for (int64_t f = 0; f < s.head_padded; f += s.panel) {
          const bool half = s.head_padded - f < s.panel;
          (half ? micro.half : micro.full)(block, &over_keys, 1, scores, s.scores_ld(), values + f * s.keys_padded,
                                           half ? s.lanes : s.panel, GemmStart::kAccumulate, nullptr,
                                           out + r * s.head_padded + f, s.head_padded);
        }
      }
    }
    const auto divide = HWY_DYNAMIC_DISPATCH(DivideByTotalT);
    for (int64_t r = 0; r < rows; ++r) {
      divide(out + r * s.head_padded, total + r * s.lanes, s.head, y + (row + r) * s.features);
    }
  }
};

Status Run(const CpuCall& call) {
  const AttentionAttrs attrs = call.ref.attrs<AttentionAttrs>().At(call.scalars, call.ref.in(0)[1], call.ref.in(1)[1]);
  const AttentionShape s(call.ref, attrs);
  const Attending attending{s, attrs};
  float* keys = call.scratch;
  float* values = keys + s.groups * s.key_floats();
  float* workers = keys + AttentionShape::Whole(s.groups * (s.key_floats() + s.value_floats()));
  const int64_t pieces = (s.keys + s.panel - 1) / s.panel;
  const int64_t tasks = (s.queries + s.query_rows - 1) / s.query_rows;

  for (int64_t n = 0; n < s.batch; ++n) {
    const float* q = call.in[0] + n * s.queries * s.features;
    const float* k = call.in[1] + n * s.room * s.group_features;
    const float* v = call.in[2] + n * s.room * s.group_features;
    float* y = call.out[0] + n * s.queries * s.features;
    call.pool.ForRange(s.groups * pieces, 4, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t g = i / pieces;
        attending.Pack(k + g * s.head, v + g * s.head, i % pieces * s.panel, keys + g * s.key_floats(),
                       values + g * s.value_floats());
      }
    });
    call.pool.ForEach(s.heads * tasks, [&](int64_t task, int worker) {
      const int64_t h = task / tasks, row = task % tasks * s.query_rows, g = h / (s.heads / s.groups);
      attending.Rows(q + h * s.head, keys + g * s.key_floats(), values + g * s.value_floats(), row,
                     std::min(s.query_rows, s.queries - row), workers + worker * s.worker_floats(), y + h * s.head);
    });
  }
  return {};
}

// ---- Many sequences: each head of each is one task, from its keys to its results, and threads never wait for others
// between.

// Of a head's keys and values, which stay in the second-level cache while its queries pass.
constexpr int64_t kMostHeadFloats = 1 << 17;

bool ManySupports(const NodeRef& ref, const DeviceCaps& caps) {
  const AttentionShape s(ref, ref.attrs<AttentionAttrs>());
  return ref.node.epilogue.empty() && (caps.any_size || s.batch * s.groups >= 8 * caps.threads) &&
         s.key_floats() + s.value_floats() <= kMostHeadFloats;
}

int64_t ManyFloats(const AttentionShape& s) {
  return AttentionShape::Whole(s.key_floats() + s.value_floats()) + s.worker_floats();
}

size_t ManyScratch(const NodeRef& ref, const DeviceCaps& caps) {
  const AttentionShape s(ref, ref.attrs<AttentionAttrs>());
  return static_cast<size_t>(caps.threads * ManyFloats(s)) * sizeof(float);
}

Status ManyRun(const CpuCall& call) {
  const AttentionAttrs attrs = call.ref.attrs<AttentionAttrs>().At(call.scalars, call.ref.in(0)[1], call.ref.in(1)[1]);
  const AttentionShape s(call.ref, attrs);
  const Attending attending{s, attrs};
  const int64_t shared = s.heads / s.groups;
  call.pool.ForEach(s.batch * s.groups, [&](int64_t task, int worker) {
    const int64_t n = task / s.groups, g = task % s.groups;
    float* keys = call.scratch + worker * ManyFloats(s);
    float* values = keys + s.key_floats();
    float* memory = keys + AttentionShape::Whole(s.key_floats() + s.value_floats());
    const int64_t at = n * s.room * s.group_features + g * s.head;
    for (int64_t first = 0; first < s.keys; first += s.panel) {
      attending.Pack(call.in[1] + at, call.in[2] + at, first, keys, values);
    }
    for (int64_t h = g * shared; h < (g + 1) * shared; ++h) {
      const int64_t of_head = n * s.queries * s.features + h * s.head;
      for (int64_t row = 0; row < s.queries; row += s.query_rows) {
        attending.Rows(call.in[0] + of_head, keys, values, row, std::min(s.query_rows, s.queries - row), memory,
                       call.out[0] + of_head);
      }
    }
  });
  return {};
}

const KernelRow kRows[] = {
    {Op::kAttention, DeviceKind::kCpu, Tier::kFast, "attention_many", 1, ManySupports, ManyRun, ManyScratch},
    {Op::kAttention, DeviceKind::kCpu, Tier::kFast, "attention_online", 3, nullptr, Run, Scratch},
};

}  // namespace

std::span<const KernelRow> CpuAttentionKernels() { return kRows; }

}  // namespace timbre
#endif
