// The ways to make the products of linear layers and convolutions: with weights as floats, as halves, or in bfloat16
// on a matrix unit. Each packs a right side, says what it and the product take, and multiplies as Gemm does.
#pragma once

#include "kernels/cpu/half_gemm.h"
#include "kernels/cpu/matrix_gemm.h"

namespace timbre {

struct FloatProducts {
  static constexpr Precision kPrecision = Precision::kF32;
  static size_t Bytes(const GemmShape& shape) { return shape.layout().floats() * sizeof(float); }
  static size_t ScratchBytes(const GemmShape& shape, int threads) { return GemmScratchBytes(shape, threads); }
  template <typename Weight>
  static void Pack(const GemmShape& shape, const Weight& weight, const float* bias, std::byte* to) {
    PackWeights(shape.layout(), weight, bias, reinterpret_cast<float*>(to));
  }
  static void Multiply(const GemmRows& rows, const GemmShape& shape, const std::byte* packed, const Epilogue& epilogue,
                       float* c, int64_t ldc, int64_t column, float* scratch, ThreadPool& pool,
                       const GemmTarget* target = nullptr) {
    Gemm(rows, shape, reinterpret_cast<const float*>(packed), epilogue, c, ldc, column, scratch, pool, target);
  }
  static bool Worthwhile(const GemmShape&, const DeviceCaps&) { return true; }
};

// With sums of so many halves.
template <int64_t kRun>
struct HalfProducts {
  static constexpr Precision kPrecision = Precision::kF16;
  static HalfLayout LayoutOf(const GemmShape& shape) { return {shape.k, shape.n, shape.glu}; }
  static size_t Bytes(const GemmShape& shape) { return LayoutOf(shape).bytes(); }
  static size_t ScratchBytes(const GemmShape& shape, int threads) { return HalfGemmScratchBytes(shape, threads); }
  template <typename Weight>
  static void Pack(const GemmShape& shape, const Weight& weight, const float* bias, std::byte* to) {
    PackHalfWeights(LayoutOf(shape), weight, bias, to);
  }
  static void Multiply(const GemmRows& rows, const GemmShape& shape, const std::byte* packed, const Epilogue& epilogue,
                       float* c, int64_t ldc, int64_t column, float* scratch, ThreadPool& pool,
                       const GemmTarget* target = nullptr) {
    HalfGemm(rows, shape, packed, epilogue, c, ldc, column, scratch, pool, target, kRun);
  }
  static bool Worthwhile(const GemmShape&, const DeviceCaps&) { return true; }
};

// Of one bfloat16 for each factor, or of two.
template <Precision kWhich>
struct MatrixProducts {
  static_assert(kWhich == Precision::kBf16 || kWhich == Precision::kBf16x3);
  static constexpr Precision kPrecision = kWhich;
  static constexpr int kParts = kWhich == Precision::kBf16 ? 1 : 2;
  static MatrixLayout LayoutOf(const GemmShape& shape) { return {shape.k, shape.n, shape.glu, kParts}; }
  static size_t Bytes(const GemmShape& shape) { return LayoutOf(shape).bytes(); }
  static size_t ScratchBytes(const GemmShape& shape, int threads) {
    return MatrixGemmScratchBytes(shape, kParts, threads);
  }
  template <typename Weight>
  static void Pack(const GemmShape& shape, const Weight& weight, const float* bias, std::byte* to) {
    PackMatrixWeights(LayoutOf(shape), weight, bias, to);
  }
  static void Multiply(const GemmRows& rows, const GemmShape& shape, const std::byte* packed, const Epilogue& epilogue,
                       float* c, int64_t ldc, int64_t column, float* scratch, ThreadPool& pool,
                       const GemmTarget* target = nullptr) {
    MatrixGemm(rows, shape, kParts, packed, epilogue, c, ldc, column, scratch, pool, target);
  }
  // Where the processor has a matrix unit that is faster than floats; and fewer rows than a tile's do not pay for it.
  static bool Worthwhile(const GemmShape& shape, const DeviceCaps& caps) {
    return caps.any_size || (CurrentMatrixUnit().faster && shape.m >= kMatrixRows);
  }
};

}  // namespace timbre
