// Attention in half precision: as in attention.cc, with both products on halves, and scores, softmax and sums in
// float32.
#include <algorithm>
#include <bit>

#include "kernels/cpu/half_micro.h"
#include "kernels/cpu/half_x86.h"
#include "kernels/kernel.h"

namespace timbre {
namespace {

#ifdef TIMBRE_HALF_X86

// Keys at a time: with their values and a register block's scores they stay in the first-level cache.
constexpr int64_t kKeyBlock = 128;
static_assert(kKeyBlock % kHalfPanel == 0);
// Of a head's features.
constexpr int64_t kMaxRuns = 64;
// Lower than any score.
constexpr float kNothingYet = -1e30f;
// A panel's power of two, as many times as it has columns.
constexpr int64_t kScaleBytes = kHalfPanel * sizeof(float);

struct AttentionShape {
  int64_t batch, queries, keys, features, heads, head;
  int64_t head_padded;  // to whole vectors
  int64_t pieces;       // of kHalfPanel keys
  int64_t query_rows;   // of a task: so many that fetching the keys does not show

  explicit AttentionShape(const NodeRef& ref) {
    batch = ref.in(0)[0];
    queries = ref.in(0)[1];
    keys = ref.in(1)[1];
    features = ref.in(0)[2];
    heads = ref.attrs<AttentionAttrs>().heads;
    head = features / heads;
    head_padded = (head + kHalfLanes - 1) / kHalfLanes * kHalfLanes;
    pieces = (keys + kHalfPanel - 1) / kHalfPanel;
    query_rows = std::min<int64_t>((queries + kHalfBlockRows - 1) / kHalfBlockRows, 16) * kHalfBlockRows;
  }
  // Of one piece of one head: its scale, then keys, transposed, as [head][kHalfPanel]; values as panels
  // [kHalfPanel][panel], the last perhaps half as wide.
  int64_t key_bytes() const { return kScaleBytes + head * kHalfPanel * 2; }
  int64_t value_bytes() const { return kScaleBytes + head_padded * kHalfPanel * 2; }
  int64_t worker_bytes() const {
    return (query_rows * (head + 32 + head_padded + 2 + 16) + kHalfBlockRows * kKeyBlock + 4 * 16) * 4 / kAlignment *
           kAlignment;
  }
};

bool Supports(const NodeRef& ref, const DeviceCaps& caps) {
  return caps.float16 && ref.node.epilogue.empty() && ref.attrs<AttentionAttrs>().plain() &&
         AttentionShape(ref).head <= kMaxRuns * kHalfRun;
}

size_t Scratch(const NodeRef& ref, const DeviceCaps& caps) {
  const AttentionShape s(ref);
  return s.heads * s.pieces * (s.key_bytes() + s.value_bytes()) + caps.threads * s.worker_bytes();
}

TIMBRE_HALF __mmask16 First(int64_t count) {
  return count >= 16 ? __mmask16{0xFFFF} : static_cast<__mmask16>((1u << std::max<int64_t>(count, 0)) - 1);
}

float PanelScale(const HalfKernels& halves, const float* x, int64_t rows, int64_t count, int64_t ld, std::byte* to) {
  uint32_t largest = 0;
  for (int64_t i = 0; i < rows; ++i) largest = std::max(largest, halves.largest(x + i * ld, count));
  const float scale = HalfScale(largest, 0);
  std::fill_n(reinterpret_cast<float*>(to), kHalfPanel, 1.0f / scale);
  return scale;
}

// Keys [first, first + kHalfPanel) of a head.
TIMBRE_HALF void PackKeys(const HalfKernels& halves, const AttentionShape& s, const float* k, int64_t first,
                          std::byte* to) {
  const int64_t count = std::min<int64_t>(kHalfPanel, s.keys - first);
  k += first * s.features;
  const __m512 scale = _mm512_set1_ps(PanelScale(halves, k, count, s.head, s.features, to));
  const __m512i step = _mm512_mullo_epi32(_mm512_set1_epi32(static_cast<int>(s.features)),
                                          _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0));
  auto* out = reinterpret_cast<uint16_t*>(to + kScaleBytes);
  for (int64_t i = 0; i < s.head; ++i, out += kHalfPanel) {
    for (int64_t j = 0; j < kHalfPanel; j += 16) {
      const __m512 v =
          _mm512_mask_i32gather_ps(_mm512_setzero_ps(), First(count - j), step, k + j * s.features + i, sizeof(float));
      _mm256_storeu_ph(out + j, _mm512_cvtxps_ph(_mm512_mul_ps(v, scale)));
    }
  }
}

// The same keys' values.
TIMBRE_HALF void PackValues(const HalfKernels& halves, const AttentionShape& s, const float* v, int64_t first,
                            std::byte* to) {
  const int64_t count = std::min<int64_t>(kHalfPanel, s.keys - first);
  v += first * s.features;
  const __m512 scale = _mm512_set1_ps(PanelScale(halves, v, count, s.head, s.features, to));
  auto* out = reinterpret_cast<uint16_t*>(to + kScaleBytes);
  for (int64_t f = 0; f < s.head_padded; f += kHalfPanel) {
    const int64_t width = std::min<int64_t>(kHalfPanel, s.head_padded - f);
    for (int64_t j = 0; j < kHalfPanel; ++j, out += width) {
      for (int64_t i = 0; i < width; i += 16) {
        const __mmask16 have = j < count ? First(s.head - f - i) : __mmask16{0};
        const __m512 x = _mm512_maskz_loadu_ps(have, v + j * s.features + f + i);
        _mm256_storeu_ph(out + i, _mm512_cvtxps_ph(_mm512_mul_ps(x, scale)));
      }
    }
  }
}

// 2^x for x <= 0, to 2^-13 of it, a quarter of a half's last digit: a cubic through 2^f at Chebyshev's points of [0,
// 1].
TIMBRE_HALF inline __m512 Exp2(__m512 x) {
  x = _mm512_max_ps(x, _mm512_set1_ps(-100.0f));  // results below float32's normal numbers take 400 times as long
  const __m512 f = _mm512_reduce_ps(x, _MM_FROUND_TO_NEG_INF);
  __m512 p = _mm512_set1_ps(7.8967257e-2f);
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(2.2469316e-1f));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(6.9632477e-1f));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(9.9990029e-1f));
  return _mm512_scalef_ps(p, x);
}

// What a register block's rows have come to, row by row.
struct Progress {
  float* most;   // the largest score when it was last looked for
  float* total;  // the sum of weights, in 16 parts
  float* out;    // of values, `width` floats a row
  int64_t width;
};

// A weight may outgrow the largest score by so many powers of two before everything is scaled to the new one: to look
// whether it does is a comparison, to find the largest a chain of shuffles.
constexpr int kSlack = 5;

// Rows of kKeyBlock scores, to base 2, become weights: row r's [0, valid[r]) are replaced by
// half(2^(kHalfTop - kSlack + score - most)), twice, [valid[r], kKeyBlock) by 0, and what was accumulated with an
// earlier maximum is scaled to the new one.
TIMBRE_HALF void SoftmaxStep(float* scores, int64_t rows, const int64_t* valid, const Progress& progress) {
  alignas(64) static constexpr uint16_t kTwice[32] = {0, 0, 1, 1, 2,  2,  3,  3,  4,  4,  5,  5,  6,  6,  7,  7,
                                                      8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13, 14, 14, 15, 15};
  constexpr int kVectors = kKeyBlock / 16;
  const __m512 lowest = _mm512_set1_ps(kNothingYet);
  for (int64_t r = 0; r < rows; ++r) {
    const float* const row = scores + r * kKeyBlock;
    __m512 m[2] = {lowest, lowest};
#pragma GCC unroll 8
    for (int j = 0; j < kVectors; ++j) {
      m[j % 2] = _mm512_mask_max_ps(m[j % 2], First(valid[r] - j * 16), m[j % 2], _mm512_loadu_ps(row + j * 16));
    }
    const __m512 most = _mm512_max_ps(m[0], m[1]), bound = _mm512_set1_ps(progress.most[r] + kSlack);
    if (_mm512_cmp_ps_mask(most, bound, _CMP_GT_OQ) == 0) continue;
    const float top = _mm512_reduce_max_ps(most);
    const __m512 scale = Exp2(_mm512_set1_ps(progress.most[r] - top));
    float* const out = progress.out + r * progress.width;
    for (int64_t i = 0; i < progress.width; i += 16) {
      _mm512_storeu_ps(out + i, _mm512_mul_ps(_mm512_loadu_ps(out + i), scale));
    }
    _mm512_storeu_ps(progress.total + r * 16, _mm512_mul_ps(_mm512_loadu_ps(progress.total + r * 16), scale));
    progress.most[r] = top;
  }
  const __m512i twice = _mm512_load_si512(kTwice);
  for (int64_t r = 0; r < rows; ++r) {
    float* const row = scores + r * kKeyBlock;
    const __m512 shift = _mm512_set1_ps(static_cast<float>(kHalfTop - kSlack) - progress.most[r]);
    __m512 sums[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
#pragma GCC unroll 8
    for (int j = 0; j < kVectors; ++j) {
      const __mmask16 seen = First(valid[r] - j * 16);
      const __m512 e = _mm512_maskz_mov_ps(seen, Exp2(_mm512_add_ps(_mm512_loadu_ps(row + j * 16), shift)));
      sums[j % 2] = _mm512_add_ps(sums[j % 2], e);
      const __m256i half = _mm256_castph_si256(_mm512_cvtxps_ph(e));
      _mm512_storeu_si512(row + j * 16, _mm512_permutexvar_epi16(twice, _mm512_castsi256_si512(half)));
    }
    sums[0] = _mm512_add_ps(sums[0], _mm512_loadu_ps(progress.total + r * 16));
    _mm512_storeu_ps(progress.total + r * 16, _mm512_add_ps(sums[0], sums[1]));
  }
}

Status Run(const CpuCall& call) {
  const AttentionShape s(call.ref);
  const auto& attrs = call.ref.attrs<AttentionAttrs>();
  const HalfKernels& halves = *CurrentHalf();
  auto* const keys = reinterpret_cast<std::byte*>(call.scratch);
  std::byte* const values = keys + s.heads * s.pieces * s.key_bytes();
  std::byte* const workers = values + s.heads * s.pieces * s.value_bytes();
  const int64_t tasks = (s.queries + s.query_rows - 1) / s.query_rows;
  // With a mask, query i sees keys up to i + past.
  const int64_t past = s.keys - s.queries;
  const int64_t query_ld = (s.head + 15) / 16 * 16 + (s.head % 1024 == 0 ? 16 : 0);
  // To base 2.
  const float score_scale = attrs.scale * 1.44269504f;
  alignas(64) static constexpr float kZeros[kHalfPanel] = {};

  for (int64_t n = 0; n < s.batch; ++n) {
    const float* q = call.in[0] + n * s.queries * s.features;
    const float* k = call.in[1] + n * s.keys * s.features;
    const float* v = call.in[2] + n * s.keys * s.features;
    float* y = call.out[0] + n * s.queries * s.features;
    call.pool.ForRange(s.heads * s.pieces, 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t h = i / s.pieces, first = i % s.pieces * kHalfPanel;
        PackKeys(halves, s, k + h * s.head, first, keys + i * s.key_bytes());
        PackValues(halves, s, v + h * s.head, first, values + i * s.value_bytes());
      }
    });
    call.pool.ForEach(s.heads * tasks, [&](int64_t task, int worker) {
      const int64_t h = task / tasks, row = task % tasks * s.query_rows;
      const int64_t rows = std::min(s.query_rows, s.queries - row);
      float* const query = reinterpret_cast<float*>(workers + worker * s.worker_bytes());
      float* const scores = query + s.query_rows * query_ld;
      float* const out = scores + kHalfBlockRows * kKeyBlock;
      float* const most = out + s.query_rows * s.head_padded;
      float* const total = most + s.query_rows;
      float* const factors = total + s.query_rows * 16;  // of the block that a row belongs to
      for (int64_t r = 0; r < rows; r += kHalfBlockRows) {
        const int64_t block = std::min<int64_t>(kHalfBlockRows, rows - r);
        const float* const from = q + (row + r) * s.features + h * s.head;
        uint32_t largest = 0;
        for (int64_t i = 0; i < block; ++i) largest = std::max(largest, halves.largest(from + i * s.features, s.head));
        const float scale = HalfScale(largest);
        factors[r / kHalfBlockRows] = score_scale / scale;
        for (int64_t i = 0; i < block; ++i) {
          halves.repeat(from + i * s.features, s.head, scale, reinterpret_cast<uint32_t*>(query + (r + i) * query_ld));
        }
      }
      std::fill_n(out, rows * s.head_padded, 0.0f);
      std::fill_n(most, rows, kNothingYet);
      std::fill_n(total, rows * 16, 0.0f);

      HalfTap over_features[kMaxRuns];
      int64_t runs = 0;
      for (int64_t i = 0; i < s.head; i += kHalfRun) {
        over_features[runs++] = {.a = i, .b = i, .k = std::min<int64_t>(kHalfRun, s.head - i)};
      }
      const int64_t last_key = attrs.causal ? std::min(s.keys, row + rows + past) : s.keys;
      for (int64_t first = 0; first < last_key; first += kKeyBlock) {
        const int64_t count = std::min(kKeyBlock, s.keys - first);
        const int64_t piece = h * s.pieces + first / kHalfPanel;
        for (int64_t r = 0; r < rows; r += kHalfBlockRows) {
          const int64_t block = std::min<int64_t>(kHalfBlockRows, rows - r);
          for (int64_t j = 0; j < count; j += kHalfPanel) {
            const std::byte* const panel = keys + (piece + j / kHalfPanel) * s.key_bytes();
            halves.full(block, over_features, runs, reinterpret_cast<const uint32_t*>(query + r * query_ld), query_ld,
                        reinterpret_cast<const uint16_t*>(panel + kScaleBytes), HalfStart::kBias, kZeros,
                        reinterpret_cast<const float*>(panel), factors[r / kHalfBlockRows], scores + j, kKeyBlock, {});
          }
          int64_t valid[kHalfBlockRows];
          for (int64_t i = 0; i < block; ++i) {
            valid[i] = attrs.causal ? std::min(row + r + i + past + 1 - first, count) : count;
          }
          SoftmaxStep(scores, block, valid, {most + r, total + r * 16, out + r * s.head_padded, s.head_padded});
          for (int64_t j = 0; j < count; j += kHalfPanel) {
            const std::byte* const panel = values + (piece + j / kHalfPanel) * s.value_bytes();
            const HalfTap over_keys{.a = j, .b = 0, .k = std::min<int64_t>(kHalfPanel, count - j)};
            for (int64_t f = 0; f < s.head_padded; f += kHalfPanel) {
              const bool half = s.head_padded - f < kHalfPanel;
              (half ? halves.half : halves.full)(
                  block, &over_keys, 1, reinterpret_cast<const uint32_t*>(scores), kKeyBlock,
                  reinterpret_cast<const uint16_t*>(panel + kScaleBytes) + f * kHalfPanel, HalfStart::kAccumulate,
                  nullptr, reinterpret_cast<const float*>(panel), 1.0f, out + r * s.head_padded + f, s.head_padded, {});
            }
          }
        }
      }
      for (int64_t r = 0; r < rows; ++r) {
        float sum = 0;
        for (int i = 0; i < 16; ++i) sum += total[r * 16 + i];
        const float scale = 1.0f / sum;
        float* to = y + (row + r) * s.features + h * s.head;
        for (int64_t i = 0; i < s.head; ++i) to[i] = out[r * s.head_padded + i] * scale;
      }
    });
  }
  return {};
}

const KernelRow kRows[] = {
    {Op::kAttention, DeviceKind::kCpu, Tier::kFast, "attention_online_f16", 1, Supports, Run, Scratch, nullptr, 0,
     nullptr, Precision::kF16},
};

}  // namespace

std::span<const KernelRow> CpuHalfAttentionKernels() { return kRows; }
#else
}  // namespace

std::span<const KernelRow> CpuHalfAttentionKernels() { return {}; }
#endif

}  // namespace timbre
