#include "kernels/cpu/gemm.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>

#include "kernels/cpu/simd.h"

namespace timbre {
namespace {

class EveryTarget : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override { ASSERT_TRUE(SetSimdTarget(GetParam()).has_value()); }
  void TearDown() override { ASSERT_TRUE(SetSimdTarget("").has_value()); }
};

std::vector<float> Random(int64_t count, uint32_t seed, float bound = 1.0f) {
  std::mt19937 generator(seed);
  std::vector<float> values(count);
  for (float& v : values) v = bound * (static_cast<float>(generator() >> 8) * 0x1p-23f - 1.0f);
  return values;
}

double Sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
double Gelu(double x) { return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0))); }

// Every row is a piece of one long array, so that rows overlap as a convolution's do.
struct Problem {
  int64_t m, k, n, lda;
  bool glu;
  int64_t run = 1;
};

// The whole product in float64, and the room that float32 sums of k terms need.
void Expect(const Problem& p, int threads) {
  SCOPED_TRACE(testing::Message() << "m " << p.m << " k " << p.k << " n " << p.n << " lda " << p.lda << " glu " << p.glu
                                  << " run " << p.run);
  const std::vector<float> a = Random((p.m - 1) * p.lda + p.k, 1), w = Random(p.k * p.n, 2), bias = Random(p.n, 3);
  const int64_t outputs = p.glu ? p.n / 2 : p.n;
  const std::vector<float> scale = Random(outputs, 4), residual = Random(p.m * outputs, 5);

  const PackedLayout layout(p.k, p.n, p.glu, p.run);
  std::vector<float> packed(layout.floats(), std::nanf(""));
  PackWeights(
      layout, [&](int64_t i, int64_t j) { return w[i * p.n + j]; }, bias.data(), packed.data());

  Epilogue epilogue;
  const auto add = [&](EpilogueOp op) { epilogue.ops[epilogue.count++] = op; };
  epilogue.glu = p.glu;
  if (p.glu) add({.kind = EpilogueStep::Kind::kGlu});
  if (p.n % 3 != 0) {
    add({.kind = EpilogueStep::Kind::kUnary, .unary = {.fn = UnaryFn::kGelu}});
    add({.kind = EpilogueStep::Kind::kMulConst, .data = scale.data()});
    add({.kind = EpilogueStep::Kind::kAdd, .data = residual.data()});
    add({.kind = EpilogueStep::Kind::kPRelu, .data = scale.data()});
  }

  ThreadPool pool(threads);
  const GemmShape shape{.m = p.m, .k = p.k, .n = p.n, .glu = p.glu, .row_bytes = p.lda * 4, .run = p.run};
  std::vector<float> scratch(GemmScratchBytes(shape, threads) / sizeof(float), std::nanf(""));
  // A guard after the result: nothing may be written beyond it.
  std::vector<float> c(p.m * outputs + 64, 7.0f);
  const PlainRows rows(a.data(), p.lda, p.k);
  Gemm(rows, shape, packed.data(), epilogue, c.data(), outputs, 0, scratch.data(), pool);

  const double tolerance =
      4 * 1.2e-7 * (1 + std::sqrt(static_cast<double>(p.k))) * std::sqrt(static_cast<double>(p.k) / 9 + 1);
  for (int64_t i = 0; i < p.m; ++i) {
    for (int64_t j = 0; j < outputs; ++j) {
      double value = bias[j], gate = p.glu ? bias[j + outputs] : 0;
      for (int64_t t = 0; t < p.k; ++t) {
        value += double{a[i * p.lda + t]} * w[t * p.n + j];
        if (p.glu) gate += double{a[i * p.lda + t]} * w[t * p.n + j + outputs];
      }
      if (p.glu) value *= Sigmoid(gate);
      if (p.n % 3 != 0) {
        value = Gelu(value) * scale[j] + residual[i * outputs + j];
        if (value < 0) value *= scale[j];
      }
      ASSERT_NEAR(c[i * outputs + j], value, tolerance) << "row " << i << " column " << j;
    }
  }
  for (int64_t i = p.m * outputs; i < static_cast<int64_t>(c.size()); ++i) ASSERT_EQ(c[i], 7.0f);
}

TEST_P(EveryTarget, ProductsAroundTheBlocksEdges) {
  for (const int64_t m : {1, 2, 5, 6, 7, 13, 14, 15, 29}) {
    for (const int64_t n : {1, 4, 7, 8, 15, 16, 17, 31, 32, 33, 48, 65}) Expect({m, 19, n, 23, false}, 1);
  }
  for (const int64_t k : {1, 2, 3, 4, 5, 64}) Expect({17, k, 37, 2, false}, 2);
}

TEST_P(EveryTarget, FewColumnsWhoseTermsComeInPairs) {
  for (const int64_t m : {1, 3, 5, 6, 13, 14, 15, 41}) {
    for (const int64_t n : {1, 2, 3, 4, 5, 6, 8, 9, 12, 16, 17}) {
      for (const int64_t k : {2, 4, 6, 20}) Expect({m, k, n, 3, false, k % 4 == 0 ? 4 : 2}, 2);
    }
  }
}

TEST_P(EveryTarget, GatedProducts) {
  for (const int64_t n : {2, 6, 14, 16, 30, 32, 34, 64, 98}) Expect({16, 11, n, 11, true}, 1);
}

TEST_P(EveryTarget, RowsAPowerOfTwoApart) { Expect({100, 1024, 40, 1024, false}, 2); }

TEST_P(EveryTarget, ManyPiecesOnTwoThreads) { Expect({1500, 33, 70, 33, false}, 2); }

TEST_P(EveryTarget, ThreadsDoNotChangeABit) {
  const Problem p{.m = 317, .k = 77, .n = 45, .lda = 40};
  const std::vector<float> a = Random((p.m - 1) * p.lda + p.k, 1), w = Random(p.k * p.n, 2);
  const PackedLayout layout(p.k, p.n, false);
  std::vector<float> packed(layout.floats());
  PackWeights(
      layout, [&](int64_t i, int64_t j) { return w[i * p.n + j]; }, nullptr, packed.data());
  const GemmShape shape{.m = p.m, .k = p.k, .n = p.n, .row_bytes = p.lda * 4};
  std::vector<float> first;
  for (const int threads : {1, 2, 3}) {
    ThreadPool pool(threads);
    std::vector<float> scratch(GemmScratchBytes(shape, threads) / sizeof(float)), c(p.m * p.n);
    Gemm(PlainRows(a.data(), p.lda, p.k), shape, packed.data(), Epilogue{}, c.data(), p.n, 0, scratch.data(), pool);
    if (first.empty()) first = c;
    EXPECT_EQ(std::memcmp(first.data(), c.data(), c.size() * sizeof(float)), 0) << threads << " threads";
  }
}

// Every function against the C library in float64: relative to the value, or (GELU's negative side, where 1 + erf
// cancels) to x.
TEST_P(EveryTarget, UnaryFunctionsAreExactToAFewUnits) {
  struct Case {
    UnaryAttrs attrs;
    double (*f)(double);
    float lo, hi, units;
    bool absolute;
  };
  const Case cases[] = {
      {{.fn = UnaryFn::kExp}, [](double x) { return std::exp(x); }, -80, 88, 3, false},
      {{.fn = UnaryFn::kSigmoid}, Sigmoid, -80, 80, 5, false},
      {{.fn = UnaryFn::kTanh}, [](double x) { return std::tanh(x); }, -12, 12, 4, false},
      {{.fn = UnaryFn::kTanh}, [](double x) { return std::tanh(x); }, -1, 1, 4, false},
      {{.fn = UnaryFn::kGelu}, Gelu, 0, 9, 6, false},
      {{.fn = UnaryFn::kGelu}, Gelu, -9, 0, 4, true},
      {{.fn = UnaryFn::kSilu}, [](double x) { return x * Sigmoid(x); }, -60, 60, 6, false},
      {{.fn = UnaryFn::kElu, .alpha = 1}, [](double x) { return x < 0 ? std::expm1(x) : x; }, -20, 2, 5, false},
      {{.fn = UnaryFn::kElu, .alpha = 1}, [](double x) { return x < 0 ? std::expm1(x) : x; }, -1e-3f, 0, 5, false},
  };
  constexpr int kCount = 20011;
  for (const Case& c : cases) {
    std::vector<float> x(kCount), y(kCount);
    for (int i = 0; i < kCount; ++i) x[i] = c.lo + (c.hi - c.lo) * static_cast<float>(i) / (kCount - 1);
    UnaryArray(c.attrs, x.data(), y.data(), kCount);
    for (int i = 0; i < kCount; ++i) {
      const double want = c.f(x[i]);
      const double unit =
          0x1p-24 * (c.absolute ? std::max(1.0, std::abs(double{x[i]})) : std::max(std::abs(want), 1e-37));
      ASSERT_NEAR(y[i], want, 2 * c.units * unit) << NameOf(c.attrs.fn) << "(" << x[i] << ")";
    }
  }
}

TEST_P(EveryTarget, NotANumberStaysVisible) {
  for (const UnaryFn fn : {UnaryFn::kRelu, UnaryFn::kLeakyRelu, UnaryFn::kElu, UnaryFn::kGelu, UnaryFn::kSilu,
                           UnaryFn::kSigmoid, UnaryFn::kTanh, UnaryFn::kExp, UnaryFn::kClamp}) {
    std::vector<float> x(40, 0.5f), y(40);
    x[3] = x[39] = std::nanf("");
    UnaryArray({.fn = fn, .alpha = -1, .beta = 1}, x.data(), y.data(), 40);
    EXPECT_TRUE(std::isnan(y[3]) && std::isnan(y[39])) << NameOf(fn);
    EXPECT_FALSE(std::isnan(y[4])) << NameOf(fn);
  }
}

INSTANTIATE_TEST_SUITE_P(Gemm, EveryTarget, testing::ValuesIn(SimdTargets()),
                         [](const auto& test) { return test.param; });

TEST(Simd, AnUnknownTargetIsRefusedAndNothingChanges) {
  const std::string before = SimdTarget();
  const Status status = SetSimdTarget("AVX9");
  ASSERT_FALSE(status.has_value());
  EXPECT_EQ(status.error().code, ErrorCode::kInvalidArgument);
  EXPECT_NE(status.error().message.find("AVX9"), std::string::npos);
  EXPECT_EQ(SimdTarget(), before);
}

}  // namespace
}  // namespace timbre
