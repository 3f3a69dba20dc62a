// Attention of few queries over many keys, as when a sequence is made step by step: keys and values are read where they
// lie, once for all queries and heads that share them. Long runs of keys are cut into parts of a fixed length, whose
// results are put together afterwards, so that threads find enough to do and their number changes nothing.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/cpu/micro.h"
#include "kernels/cpu/simd.h"
#include "kernels/cpu/stored.h"
#include "kernels/kernel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/attention_rows.cc"
#include <hwy/foreach_target.h>
// After foreach_target.h, once for every target.
#include <hwy/highway.h>

#include "kernels/cpu/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace timbre {
namespace HWY_NAMESPACE {

// The first `valid` of `count` scores become e^(score - most), the others 0; most is their maximum, *sum the sum.
// Scores have room for whole vectors.
float WeightsOfScoresT(float* scores, int64_t valid, int64_t count, float* sum) {
  const Tag d;
  float most = scores[0];
  for (int64_t j = 1; j < valid; ++j) most = std::max(most, scores[j]);
  Vec total = hn::Zero(d);
  int64_t j = 0;
  for (; j + kLanes <= valid; j += kLanes) {
    const Vec e = ExpOfFall(hn::Sub(hn::LoadU(d, scores + j), Const(most)));
    hn::StoreU(e, d, scores + j);
    total = hn::Add(total, e);
  }
  *sum = hn::GetLane(hn::SumOfLanes(d, total));
  for (; j < valid; ++j) *sum += scores[j] = hn::GetLane(ExpOfFall(Const(scores[j] - most)));
  std::fill(scores + valid, scores + count, 0.0f);
  return most;
}

}  // namespace HWY_NAMESPACE
}  // namespace timbre
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace timbre {
HWY_EXPORT(WeightsOfScoresT);

namespace {

constexpr int64_t kMostRows = 48;  // queries times the heads that share keys: more are worth packing the keys for
constexpr int64_t kPart = 128;     // keys
constexpr float kNothing = -1e30f;

struct Shapes {
  int64_t batch, queries, room, heads, groups, head, shared, rows, parts;

  explicit Shapes(const NodeRef& ref) {
    const auto& attrs = ref.attrs<AttentionAttrs>();
    batch = ref.in(0)[0];
    queries = ref.in(0)[1];
    room = ref.in(1)[1];
    heads = attrs.heads;
    groups = attrs.key_heads();
    head = ref.in(0)[2] / heads;
    shared = heads / groups;
    rows = queries * shared;
    parts = (attrs.LengthOf(room) + kPart - 1) / kPart;
  }
  // Of a part: for each row its sums, its maximum and its total.
  int64_t part_floats() const { return (rows * (head + 2) + 15) / 16 * 16; }
  int64_t worker_floats() const { return rows * (head + kPart); }
};

bool Supports(const NodeRef& ref, const DeviceCaps&) {
  const Shapes s(ref);
  return ref.node.epilogue.empty() && s.head % 16 == 0 && s.rows <= kMostRows;
}

size_t Scratch(const NodeRef& ref, const DeviceCaps& caps) {
  const Shapes s(ref);
  return static_cast<size_t>(s.batch * s.groups * s.parts * s.part_floats() + caps.threads * s.worker_floats()) *
         sizeof(float);
}

// q and out: of the group's rows; k and v: of its keys from `first` on, `ld` apart.
struct Part {
  const float *k, *v;
  int64_t ld, first, count;
};

void RunPart(const Shapes& s, const AttentionAttrs& attrs, const Part& part, const float* q, float* scores,
             float* result) {
  const auto weights = HWY_DYNAMIC_DISPATCH(WeightsOfScoresT);
  const MicroKernels micro = CurrentMicro();
  float *const most = result + s.rows * s.head, *const total = most + s.rows;
  int64_t j = 0;
  for (; j + 4 <= part.count; j += 4) {
    DotFour(part.k + j * part.ld, part.ld, s.head, q, s.head, s.rows, scores + j, kPart);
  }
  for (; j < part.count; ++j) {  // fewer than four keys are left: each alone
    for (int64_t r = 0; r < s.rows; ++r) {
      DotStored(reinterpret_cast<const std::byte*>(part.k + j * part.ld), DType::kF32, q + r * s.head, s.head, 1,
                scores + r * kPart + j);
    }
  }
  const int64_t length = attrs.LengthOf(s.room), past = attrs.PastOf(s.queries, s.room);
  for (int64_t r = 0; r < s.rows; ++r) {
    const int64_t row = r / s.shared;
    const int64_t seen = attrs.causal ? std::min(length, past + (row / attrs.block + 1) * attrs.block) : length;
    const int64_t valid = std::clamp<int64_t>(seen - part.first, 0, part.count);
    if (valid > 0) {
      most[r] = weights(scores + r * kPart, valid, part.count, total + r);
    } else {
      most[r] = kNothing;
      total[r] = 0;
      std::fill_n(scores + r * kPart, part.count, 0.0f);
    }
  }
  const GemmTap over_keys{.a = 0, .b = 0, .k = part.count};
  for (int64_t f = 0; f < s.head; f += micro.panel) {
    const bool half = s.head - f < micro.panel;
    (half ? micro.half : micro.full)(s.rows, &over_keys, 1, scores, kPart, part.v + f, part.ld, GemmStart::kZero,
                                     nullptr, result + f, s.head);
  }
}

// Every part's sums, brought to the largest of their maxima.
void PutTogether(const Shapes& s, const float* results, int64_t parts, int64_t row, float* y) {
  const float* const most = results + s.rows * s.head;
  float top = most[row];
  for (int64_t p = 1; p < parts; ++p) top = std::max(top, most[p * s.part_floats() + row]);
  float total = 0;
  std::fill_n(y, s.head, 0.0f);
  for (int64_t p = 0; p < parts; ++p) {
    const float* const result = results + p * s.part_floats();
    const float shrink = std::exp(result[s.rows * s.head + row] - top);
    total += shrink * result[s.rows * s.head + s.rows + row];
    for (int64_t f = 0; f < s.head; ++f) y[f] += shrink * result[row * s.head + f];
  }
  for (int64_t f = 0; f < s.head; ++f) y[f] /= total;
}

Status Run(const CpuCall& call) {
  const Shapes s(call.ref);
  const AttentionAttrs attrs = call.ref.attrs<AttentionAttrs>().At(call.scalars, s.queries, s.room);
  const int64_t length = attrs.LengthOf(s.room), parts = (length + kPart - 1) / kPart;
  const int64_t features = s.heads * s.head, ld = s.groups * s.head;
  float* const results = call.scratch;
  float* const workers = results + s.batch * s.groups * s.parts * s.part_floats();
  call.pool.ForEach(s.batch * s.groups * parts, [&](int64_t task, int worker) {
    const int64_t p = task % parts, g = task / parts % s.groups, n = task / parts / s.groups;
    float* const q = workers + worker * s.worker_floats();
    float* const scores = q + s.rows * s.head;
    for (int64_t r = 0; r < s.rows; ++r) {
      const float* from =
          call.in[0] + (n * s.queries + r / s.shared) * features + (g * s.shared + r % s.shared) * s.head;
      for (int64_t f = 0; f < s.head; ++f) q[r * s.head + f] = from[f] * attrs.scale;
    }
    const int64_t first = p * kPart, at = (n * s.room + first) * ld + g * s.head;
    RunPart(s, attrs, {call.in[1] + at, call.in[2] + at, ld, first, std::min(kPart, length - first)}, q, scores,
            results + ((n * s.groups + g) * s.parts + p) * s.part_floats());
  });
  call.pool.ForRange(s.batch * s.groups * s.rows, 16, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t r = i % s.rows, g = i / s.rows % s.groups, n = i / s.rows / s.groups;
      PutTogether(s, results + (n * s.groups + g) * s.parts * s.part_floats(), parts, r,
                  call.out[0] + (n * s.queries + r / s.shared) * features + (g * s.shared + r % s.shared) * s.head);
    }
  });
  return {};
}

const KernelRow kRows[] = {
    {Op::kAttention, DeviceKind::kCpu, Tier::kFast, "attention_rows", 2, Supports, Run, Scratch},
};

}  // namespace

std::span<const KernelRow> CpuAttentionRowsKernels() { return kRows; }

}  // namespace timbre
#endif
