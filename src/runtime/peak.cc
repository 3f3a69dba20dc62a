#include "runtime/peak.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <vector>

#include "kernels/cpu/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/peak.cc"
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

}  // namespace HWY_NAMESPACE
}  // namespace timbre
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace timbre {

HWY_EXPORT(MultiplyAdds);

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

}  // namespace timbre
#endif  // HWY_ONCE
