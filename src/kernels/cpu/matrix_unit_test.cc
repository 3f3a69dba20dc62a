#include "kernels/cpu/matrix_unit.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <iostream>
#include <limits>
#include <random>
#include <vector>

#include "kernels/cpu/matrix_gemm.h"
#include "kernels/cpu/matrix_tiles.h"
#include "kernels/cpu/simd.h"

namespace timbre {
namespace {

float Wide(uint16_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }

std::vector<float> Random(int64_t count, uint32_t seed) {
  std::mt19937 generator(seed);
  std::vector<float> values(count);
  for (float& v : values) v = static_cast<float>(generator() >> 8) * 0x1p-23f - 1.0f;
  return values;
}

std::vector<const MatrixUnit*> Units() {
  std::vector<const MatrixUnit*> units{&SoftwareMatrixUnit()};
  if (Avx512Bf16Unit()) units.push_back(Avx512Bf16Unit());
  if (AmxUnit()) units.push_back(AmxUnit());
  return units;
}

// The whole panel of a product of `steps` steps, and rows that reach `gap` numbers beyond them.
struct Problem {
  int parts, column_tiles;
  int64_t rows, steps, gap;
  std::vector<uint16_t> left, right;
  std::vector<float> start;
  std::vector<MatrixRun> runs;
  int64_t low = 0;

  Problem(int parts_, int tiles, int64_t rows_, int64_t steps_, int64_t gap_)
      : parts(parts_), column_tiles(tiles), rows(rows_), steps(steps_), gap(gap_) {
    low = kMatrixBlock * lda();
    const std::vector<float> a = Random(low, 1), b = Random(steps * tiles * kMatrixTile, 2);
    left.resize(2 * low);
    SplitBf16(a.data(), low, left.data(), left.data() + low);
    right.resize(parts * steps * tiles * kMatrixTile);
    const int64_t step = tiles * kMatrixTile;
    for (int64_t s = 0; s < steps; ++s) {
      uint16_t* const high = right.data() + s * step * parts;
      SplitBf16(b.data() + s * step, step, high, parts == 2 ? high + step : nullptr);
    }
    start = Random(kMatrixBlock * kMatrixBlock, 3);
    // The last step first, then the others: the left side's steps lie the other way round.
    runs = {{.a = 0, .b = steps - 1, .steps = 1}, {.a = kMatrixDepth, .b = 0, .steps = steps - 1}};
  }
  int64_t lda() const { return steps * kMatrixDepth + gap; }
  std::vector<float> Run(const MatrixUnit& unit, int64_t start_ld) const {
    std::vector<float> c(kMatrixBlock * kMatrixBlock);
    const MatrixUse use(unit);
    unit.multiply({.runs = runs.data(),
                   .run_count = static_cast<int64_t>(runs.size()),
                   .parts = parts,
                   .column_tiles = column_tiles,
                   .rows = rows,
                   .a = left.data(),
                   .lda = lda(),
                   .low = low,
                   .b = right.data(),
                   .start = start.data(),
                   .start_ld = start_ld,
                   .c = c.data(),
                   .ldc = kMatrixBlock});
    return c;
  }
  // Left factor `i` of row r in the order of the runs, right factor `i` of column j.
  uint16_t Left(int64_t r, int64_t i, int part) const { return left[part * low + r * lda() + i]; }
  uint16_t Right(int64_t i, int64_t j, int part) const {
    const int64_t step = (i / kMatrixDepth + steps - 1) % steps;
    const int64_t tile = (step * parts + part) * column_tiles + j / kMatrixColumns;
    return right[tile * kMatrixTile + i % kMatrixDepth / 2 * 2 * kMatrixColumns + j % kMatrixColumns * 2 + i % 2];
  }
  // TDPBF16PS of one step, as Intel's manual writes it down.
  float Step(float sum, int64_t r, int64_t j, int64_t s, int left_part, int right_part) const {
    float first = 0, second = 0;
    for (int64_t i = s * kMatrixDepth; i < (s + 1) * kMatrixDepth; i += 2) {
      first = std::fma(Wide(Left(r, i, left_part)), Wide(Right(i, j, right_part)), first);
      second = std::fma(Wide(Left(r, i + 1, left_part)), Wide(Right(i + 1, j, right_part)), second);
    }
    return sum + (first + second);
  }
};

const Problem kProblems[] = {{1, 2, 32, 3, 0}, {1, 1, 17, 2, 6}, {2, 2, 32, 2, 4},
                             {2, 1, 16, 3, 0}, {1, 2, 5, 2, 2},  {2, 2, 1, 2, 0}};

TEST(MatrixUnit, EveryUnitAddsUpThePairs) {
  for (const MatrixUnit* unit : Units()) {
    for (const Problem& p : kProblems) {
      for (const int64_t start_ld : {0, kMatrixBlock}) {
        SCOPED_TRACE(testing::Message() << unit->name << " parts " << p.parts << " rows " << p.rows);
        const std::vector<float> c = p.Run(*unit, start_ld);
        for (int64_t r = 0; r < p.rows; ++r) {
          for (int64_t j = 0; j < p.column_tiles * kMatrixColumns; ++j) {
            double sum = p.start[r * start_ld + j], size = std::abs(sum);
            for (int64_t i = 0; i < p.steps * kMatrixDepth; ++i) {
              for (int parts = 0; parts < (p.parts == 2 ? 3 : 1); ++parts) {
                const double product =
                    static_cast<double>(Wide(p.Left(r, i, parts == 2))) * Wide(p.Right(i, j, parts == 1));
                sum += product;
                size += std::abs(product);
              }
            }
            ASSERT_NEAR(c[r * kMatrixBlock + j], sum, size * 4e-7) << r << ", " << j;
          }
        }
      }
    }
  }
  if (AmxUnit() == nullptr) std::cerr << "SKIPPED: this processor has no AMX; the software unit reads what it would\n";
}

// To the last bit, with the products in the order in which the registers get them.
TEST(MatrixUnit, TheSoftwareUnitIsAmxToTheLastBit) {
  const std::string target = SimdVectorTarget();
  if (target.starts_with("SSE") || target == "SCALAR" || target == "EMU128")
    GTEST_SKIP() << "not here: " << target << " rounds each product before it is added";
  for (const Problem& p : kProblems) {
    const std::vector<float> c = p.Run(SoftwareMatrixUnit(), kMatrixBlock);
    for (int64_t r = 0; r < p.rows; ++r) {
      for (int64_t j = 0; j < p.column_tiles * kMatrixColumns; ++j) {
        float sum = p.start[r * kMatrixBlock + j];
        for (int64_t s = 0; s < p.steps; ++s) {
          if (p.parts == 2) sum = p.Step(sum, r, j, s, 0, 1);
          sum = p.Step(sum, r, j, s, 0, 0);
          if (p.parts == 2) sum = p.Step(sum, r, j, s, 1, 0);
        }
        ASSERT_EQ(c[r * kMatrixBlock + j], sum) << r << ", " << j;
      }
    }
  }
}

// Intel's manual, LDTILECFG: byte 0 the palette, 16 to 31 bytes of a row in 16 bits each, 48 to 55 rows.
TEST(MatrixUnit, TheConfigurationIsOfEightWholeTiles) {
  uint8_t expected[64] = {1};
  for (int t = 0; t < 8; ++t) {
    expected[16 + 2 * t] = 64;
    expected[48 + t] = 16;
  }
  const TileConfig config;
  EXPECT_EQ(std::memcmp(&config, expected, sizeof(expected)), 0);
}

// Intel's manual, TDPBF16PS: row k of the right tile holds for column n, in 32 bits, terms 2k and 2k + 1 of that
// column.
TEST(MatrixUnit, PackedWeightsAreTilesOfPairs) {
  for (const bool glu : {false, true}) {
    const MatrixLayout layout{.k = 70, .n = 90, .glu = glu, .parts = 2};
    const auto weight = [](int64_t i, int64_t j) { return static_cast<float>(1 + i * 90 + j) * 1.001f; };
    std::vector<float> bias(90);
    for (int64_t j = 0; j < 90; ++j) bias[j] = static_cast<float>(-j);
    std::vector<std::byte> packed(layout.bytes());
    PackMatrixWeights(layout, weight, bias.data(), packed.data());
    const std::byte* at = packed.data();
    for (int64_t p = 0; p < layout.panels(); ++p) {
      const int64_t tiles = layout.column_tiles(p);
      const auto column_of = [&](int64_t t, int64_t n) -> int64_t {
        const int64_t output = glu ? p * 16 + n : p * 32 + t * 16 + n;
        return output >= layout.outputs() ? -1 : glu && t == 1 ? output + 45 : output;
      };
      const auto next = [&](auto& value) {
        std::memcpy(&value, at, sizeof(value));
        at += sizeof(value);
      };
      for (int64_t j = 0; j < 32; ++j) {
        float got;
        next(got);
        const int64_t column = j < tiles * 16 ? column_of(j / 16, j % 16) : -1;
        ASSERT_EQ(got, column < 0 ? 0 : bias[column]);
      }
      for (int64_t step = 0; step < 3; ++step) {
        for (const bool low : {false, true}) {
          for (int64_t t = 0; t < tiles; ++t) {
            for (int64_t k = 0; k < 16; ++k) {
              for (int64_t n = 0; n < 16; ++n) {
                for (int64_t term = step * 32 + 2 * k; term < step * 32 + 2 * k + 2; ++term) {
                  uint16_t got;
                  next(got);
                  const int64_t column = column_of(t, n);
                  const float value = term < 70 && column >= 0 ? weight(term, column) : 0;
                  uint16_t high, rest;
                  SplitBf16(&value, 1, &high, &rest);
                  ASSERT_EQ(got, low ? rest : high) << "panel " << p << " step " << step << " tile " << t;
                }
              }
            }
          }
        }
      }
    }
    EXPECT_EQ(at, packed.data() + packed.size());
  }
}

TEST(MatrixUnit, NumbersAreSplitToNearestEven) {
  const float infinity = std::numeric_limits<float>::infinity();
  const struct {
    float value;
    uint16_t high;
  } cases[] = {{1.0f, 0x3F80},          {-1.5f, 0xBFC0},    {0x1.01p0f, 0x3F80},      {0x1.03p0f, 0x3F82},
               {0x1.010002p0f, 0x3F81}, {infinity, 0x7F80}, {-infinity, 0xFF80},      {0x1p-130f, 0},
               {-0x1p-130f, 0x8000},    {0.0f, 0},          {0x1.fffffep127f, 0x7F80}};
  for (const MatrixUnit* unit : Units()) {
    for (const auto& c : cases) {
      uint16_t high = 1;
      unit->split(&c.value, 1, &high, nullptr);
      EXPECT_EQ(high, c.high) << unit->name << ": " << c.value;
    }
    const float nan = std::nanf("");
    uint16_t high = 1;
    unit->split(&nan, 1, &high, nullptr);
    EXPECT_TRUE(std::isnan(Wide(high))) << unit->name;
    // Of a count that is no whole vector, and no number behind it.
    const std::vector<float> x = Random(100, 4);
    std::vector<uint16_t> parts[2] = {std::vector<uint16_t>(101, 7), std::vector<uint16_t>(101, 7)},
                          expected[2] = {parts[0], parts[1]};
    unit->split(x.data(), 100, parts[0].data(), parts[1].data());
    SplitBf16(x.data(), 100, expected[0].data(), expected[1].data());
    EXPECT_EQ(parts[0], expected[0]) << unit->name;
    EXPECT_EQ(parts[1], expected[1]) << unit->name;
    for (int i = 0; i < 100; ++i) EXPECT_NEAR(Wide(parts[0][i]) + Wide(parts[1][i]), x[i], std::abs(x[i]) * 0x1p-16f);
  }
}

// Rows that overlap as a convolution's do, read in place and gathered; what is not a whole block of rows or columns.
TEST(MatrixGemm, ThreadsChangeNothing) {
  for (const int parts : {1, 2}) {
    for (const bool glu : {false, true}) {
      for (const int64_t k : {96, 70}) {
        const GemmShape shape{.m = 333, .k = k, .n = 90, .glu = glu};
        const int64_t lda = 32, outputs = glu ? 45 : 90;
        const std::vector<float> a = Random((shape.m - 1) * lda + k, 1), w = Random(k * shape.n, 2);
        const std::vector<float> bias = Random(shape.n, 3), residual = Random(shape.m * outputs, 4);
        const MatrixLayout layout{k, shape.n, glu, parts};
        AlignedBytes packed = *AlignedBytes::Allocate(layout.bytes());
        PackMatrixWeights(
            layout, [&](int64_t i, int64_t j) { return w[j * k + i]; }, bias.data(), packed.data());
        Epilogue epilogue{.glu = glu};
        if (glu) epilogue.ops[epilogue.count++].kind = EpilogueStep::Kind::kGlu;
        epilogue.ops[epilogue.count++] = {.kind = EpilogueStep::Kind::kAdd, .data = residual.data()};
        for (const MatrixUnit* unit : Units()) {
          ASSERT_TRUE(SetSimdTarget(unit != &SoftwareMatrixUnit() ? std::string(unit->name) : SimdVectorTarget()));
          std::vector<float> first;
          for (const int threads : {1, 2, 3}) {
            ThreadPool pool(threads);
            AlignedBytes scratch = *AlignedBytes::Allocate(MatrixGemmScratchBytes(shape, parts, threads));
            std::memset(scratch.data(), 0xff, scratch.size());
            std::vector<float> c(shape.m * outputs);
            MatrixGemm(PlainRows(a.data(), lda, k), shape, parts, packed.data(), epilogue, c.data(), outputs, 0,
                       scratch.f32(), pool);
            if (first.empty()) first = c;
            EXPECT_EQ(std::memcmp(first.data(), c.data(), c.size() * sizeof(float)), 0) << unit->name;
          }
          double worst = 0;
          for (int64_t r = 0; r < shape.m; ++r) {
            for (int64_t j = 0; j < outputs; ++j) {
              const auto sum = [&](int64_t column) {
                double value = bias[column];
                for (int64_t i = 0; i < k; ++i) value += static_cast<double>(a[r * lda + i]) * w[column * k + i];
                return value;
              };
              const double value = sum(j) / (glu ? 1 + std::exp(-sum(j + outputs)) : 1) + residual[r * outputs + j];
              worst = std::max(worst, std::abs(value - first[r * outputs + j]));
            }
          }
          // Sums of 70 to 96 products of 1/9 in the mean square: see NarrowAllowance in rounding.cc.
          EXPECT_LE(worst, 6 * std::sqrt(96.0) / 3 * (parts == 1 ? 0x1p-8 : 0x1p-16)) << unit->name;
          EXPECT_GE(worst, parts == 1 ? 0x1p-10 : 0x1p-21) << unit->name << ": nothing was rounded";
        }
        ASSERT_TRUE(SetSimdTarget(""));
      }
    }
  }
}

}  // namespace
}  // namespace timbre
