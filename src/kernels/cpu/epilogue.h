// Element-wise functions over arrays, and what a fused node does to its result before storing it.
#pragma once

#include <array>
#include <cstdint>

#include "kernels/kernel.h"

namespace timbre {

// y[i] = f(x[i]); y may be x.
void UnaryArray(const UnaryAttrs& attrs, const float* x, float* y, int64_t count);
// y[i] = x[i] * sigmoid(gate[i]).
void GateArray(float* y, const float* x, const float* gate, int64_t count);

// One step, its input bound to memory.
struct EpilogueOp {
  EpilogueStep::Kind kind = EpilogueStep::Kind::kUnary;
  UnaryAttrs unary;
  const float* data = nullptr;
  bool per_feature = true;  // kPRelu: false for one slope for all
};

// All steps of a node.
struct Epilogue {
  static constexpr int kMaxOps = 8;
  std::array<EpilogueOp, kMaxOps> ops;
  int count = 0;
  bool glu = false;
};

// Whether ApplyEpilogue can do this node's steps from step `first` on: at most kMaxOps, no norm, and before a GLU only
// unary ones.
bool EpilogueServable(const NodeRef& ref, size_t first = 0);
Epilogue BindEpilogue(const CpuCall& call, size_t first = 0);

// Applies the steps to `rows` rows of `width` results, which lie `ld` apart in `tile`, and stores them at
// out[offset + r * out_ld + j]. Residuals are read at the same place; `column` is the first result's feature. With a
// GLU, `width` counts its outputs and the gate of result j is tile[gate + j]. `tile` may be where the results go.
void ApplyEpilogue(const Epilogue& epilogue, const float* tile, int64_t ld, int64_t gate, int64_t rows, int64_t width,
                   int64_t column, float* out, int64_t offset, int64_t out_ld);

}  // namespace timbre
