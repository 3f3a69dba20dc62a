#include "runtime/check/peak.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <vector>

#include "base/aligned.h"
#include "kernels/cpu/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/check/peak.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace timbre {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Enough chains to cover latency times throughput (4 to 5 cycles, 2 to 4 a cycle) and few enough to stay in registers:
// 16 on x86 below AVX-512, 32 elsewhere.
#undef TIMBRE_PEAK_MORE
#undef TIMBRE_PEAK_COUNT
#if HWY_TARGET <= HWY_AVX3 || HWY_ARCH_ARM
#define TIMBRE_PEAK_COUNT 24
#define TIMBRE_PEAK_MORE(F) F(12) F(13) F(14) F(15) F(16) F(17) F(18) F(19) F(20) F(21) F(22) F(23)
#else
#define TIMBRE_PEAK_COUNT 12
#define TIMBRE_PEAK_MORE(F)
#endif
#undef TIMBRE_PEAK_CHAINS
#define TIMBRE_PEAK_CHAINS(F) F(0) F(1) F(2) F(3) F(4) F(5) F(6) F(7) F(8) F(9) F(10) F(11) TIMBRE_PEAK_MORE(F)

// Runs `rounds` rounds of the chains, writes what they come to to `sink`, and returns the operations done.
double MultiplyAdds(int64_t rounds, float start, float* sink) {
  const hn::ScalableTag<float> d;
  // Factors near one and a small addend keep every chain finite and normal for as long as it runs.
  const auto factor = hn::Set(d, 1.0f - start * 1e-6f);
  const auto addend = hn::Set(d, start * 1e-6f);
#define TIMBRE_PEAK_DECLARE(i) auto chain##i = hn::Set(d, start + (i));
#define TIMBRE_PEAK_STEP(i) chain##i = hn::MulAdd(chain##i, factor, addend);
#define TIMBRE_PEAK_SUM(i) sum = hn::Add(sum, chain##i);
  TIMBRE_PEAK_CHAINS(TIMBRE_PEAK_DECLARE)
  for (int64_t round = 0; round < rounds; ++round) {
    TIMBRE_PEAK_CHAINS(TIMBRE_PEAK_STEP)
  }
  auto sum = hn::Zero(d);
  TIMBRE_PEAK_CHAINS(TIMBRE_PEAK_SUM)
  *sink = hn::GetLane(hn::SumOfLanes(d, sum));
#undef TIMBRE_PEAK_DECLARE
#undef TIMBRE_PEAK_STEP
#undef TIMBRE_PEAK_SUM
  return 2.0 * static_cast<double>(rounds) * TIMBRE_PEAK_COUNT * static_cast<double>(hn::Lanes(d));
}

// The sum of `count` floats, a multiple of four vectors.
float SumOf(const float* p, int64_t count) {
  const hn::ScalableTag<float> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  auto a = hn::Zero(d), b = a, c = a, e = a;
  for (int64_t i = 0; i < count; i += 4 * lanes) {
    a = hn::Add(a, hn::Load(d, p + i));
    b = hn::Add(b, hn::Load(d, p + i + lanes));
    c = hn::Add(c, hn::Load(d, p + i + 2 * lanes));
    e = hn::Add(e, hn::Load(d, p + i + 3 * lanes));
  }
  return hn::GetLane(hn::SumOfLanes(d, hn::Add(hn::Add(a, b), hn::Add(c, e))));
}

// to = a + factor * b.
void Triad(const float* a, const float* b, float factor, int64_t count, float* to) {
  const hn::ScalableTag<float> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const auto f = hn::Set(d, factor);
  for (int64_t i = 0; i < count; i += lanes)
    hn::Store(hn::MulAdd(f, hn::Load(d, b + i), hn::Load(d, a + i)), d, to + i);
}

}  // namespace HWY_NAMESPACE
}  // namespace timbre
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace timbre {

HWY_EXPORT(MultiplyAdds);
HWY_EXPORT(SumOf);
HWY_EXPORT(Triad);

CpuPeak MeasureCpuPeak(ThreadPool& pool) {
  CpuPeak peak{.simd_target = SimdTarget()};
  std::vector<float> sinks(pool.threads() * 64);  // a few cache lines apart
  std::vector<double> operations(pool.threads() * 64);
  // The first run also brings the processor to its clock, and tells how many rounds make 25 ms.
  int64_t rounds = 20000;
  for (int run = 0; run < 12; ++run) {
    const auto start = std::chrono::steady_clock::now();
    pool.ForEach(pool.threads(), [&](int64_t i, int) {
      operations[i * 64] = HWY_DYNAMIC_DISPATCH(MultiplyAdds)(rounds, static_cast<float>(i + 1), &sinks[i * 64]);
    });
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    double sum = 0;
    for (int i = 0; i < pool.threads(); ++i) sum += operations[i * 64];
    peak.gflops = std::max(peak.gflops, sum / seconds / 1e9);
    if (run == 0) rounds = std::clamp<int64_t>(static_cast<int64_t>(rounds * 0.025 / seconds), 20000, 100'000'000);
  }
  return peak;
}

Result<MemoryBandwidth> MeasureMemoryBandwidth(ThreadPool& pool, size_t array_bytes) {
  // Each thread has a stretch of every array, and touches it first, so that it lies with its processor.
  constexpr int64_t kPiece = 4096;  // floats; a multiple of any target's vectors
  const auto floats = static_cast<int64_t>(array_bytes / sizeof(float)) / kPiece * kPiece;
  const int64_t stretch = floats / pool.threads() / kPiece * kPiece, used = stretch * pool.threads();
  if (used == 0) return Fail(ErrorCode::kInvalidArgument, "memory is measured over more bytes than that");
  AlignedBytes arrays[3];
  for (AlignedBytes& array : arrays) {
    TIMBRE_TRY(array, AlignedBytes::Allocate(static_cast<size_t>(used) * sizeof(float)));
  }
  std::vector<float> sums(pool.threads() * 64);  // a few cache lines apart
  const auto seconds = [&](const auto& body) {
    const auto start = std::chrono::steady_clock::now();
    pool.ForEach(pool.threads(), [&](int64_t i, int) { body(i, i * stretch); });
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  seconds([&](int64_t i, int64_t at) {
    for (AlignedBytes& array : arrays) std::fill_n(array.f32() + at, stretch, static_cast<float>(i));
  });
  MemoryBandwidth bandwidth;
  const double gigabytes = static_cast<double>(used) * sizeof(float) / 1e9;
  for (int run = 0; run < 5; ++run) {
    const double read = seconds([&](int64_t i, int64_t at) {
      sums[i * 64] = HWY_DYNAMIC_DISPATCH(SumOf)(arrays[run % 3].f32() + at, stretch);
    });
    const double triad = seconds([&](int64_t, int64_t at) {
      HWY_DYNAMIC_DISPATCH(Triad)
      (arrays[0].f32() + at, arrays[1].f32() + at, sums[0] * 0.0f + 0.5f, stretch, arrays[2].f32() + at);
    });
    bandwidth.read = std::max(bandwidth.read, gigabytes / read);
    bandwidth.triad = std::max(bandwidth.triad, 3 * gigabytes / triad);
  }
  return bandwidth;
}

}  // namespace timbre
#endif  // HWY_ONCE
