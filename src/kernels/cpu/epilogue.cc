#include "kernels/cpu/epilogue.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "kernels/cpu/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/epilogue.cc"
#include <hwy/foreach_target.h>
// After foreach_target.h, once for every target.
#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

#include "kernels/cpu/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace timbre {
namespace HWY_NAMESPACE {
namespace {

template <typename F>
HWY_INLINE void Map(const float* x, float* y, int64_t count, const F& f) {
  const Tag d;
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) hn::StoreU(f(hn::LoadU(d, x + i)), d, y + i);
  if (i == count) return;
  HWY_ALIGN float rest[kLanes] = {};
  for (int64_t j = i; j < count; ++j) rest[j - i] = x[j];
  hn::Store(f(hn::Load(d, rest)), d, rest);
  for (int64_t j = i; j < count; ++j) y[j] = rest[j - i];
}

// The functions of a handful of instructions, and those that networks use most.
HWY_INLINE Vec UnaryVector(const UnaryAttrs& attrs, Vec v) {
  const Tag d;
  const Vec zero = hn::Zero(d);
  switch (attrs.fn) {
    case UnaryFn::kIdentity: return v;
    case UnaryFn::kRelu: return AtLeast(zero, v);
    case UnaryFn::kLeakyRelu: return hn::IfThenElse(hn::Lt(v, zero), hn::Mul(Const(attrs.alpha), v), v);
    case UnaryFn::kElu: {
      // e^x - 1 cancels near zero: tanh(x/2) (e^x + 1) is the same and does not.
      const Vec m = AtMost(zero, v);
      const Vec e = hn::Mul(Tanh(hn::Mul(m, Const(0.5f))), hn::Add(ExpBounded(m), Const(1.0f)));
      return hn::IfThenElse(hn::Gt(v, zero), v, hn::Mul(Const(attrs.alpha), e));
    }
    case UnaryFn::kGelu: return Gelu(v);
    case UnaryFn::kGeluTanh: return GeluTanh(v);
    case UnaryFn::kSilu: return hn::Mul(v, Sigmoid(v));
    case UnaryFn::kSigmoid: return Sigmoid(v);
    case UnaryFn::kTanh: return Tanh(v);
    case UnaryFn::kExp: return Exp(v);
    case UnaryFn::kSqrt: return hn::Sqrt(v);
    case UnaryFn::kRsqrt: return hn::Div(Const(1.0f), hn::Sqrt(v));
    case UnaryFn::kAbs: return hn::Abs(v);
    case UnaryFn::kNeg: return hn::Neg(v);
    case UnaryFn::kSquare: return hn::Mul(v, v);
    case UnaryFn::kSin: return hn::Sin(d, v);
    case UnaryFn::kCos: return hn::Cos(d, v);
    case UnaryFn::kSnake: {
      const Vec s = hn::Sin(d, hn::Mul(Const(attrs.alpha), v));
      return hn::Add(v, hn::Div(hn::Mul(s, s), Const(attrs.alpha)));
    }
    case UnaryFn::kClamp: return Clamp(v, attrs.alpha, attrs.beta);
    case UnaryFn::kScale: return hn::MulAdd(Const(attrs.alpha), v, Const(attrs.beta));
    // The rare ones whose special values (log of 0, powers of negative numbers) are best left to the C library.
    case UnaryFn::kLog:
    case UnaryFn::kPow: {
      HWY_ALIGN float lanes[kLanes];
      hn::Store(v, d, lanes);
      for (float& x : lanes) x = attrs.fn == UnaryFn::kLog ? std::log(x) : std::pow(x, attrs.alpha);
      return hn::Load(d, lanes);
    }
    case UnaryFn::kCount: break;
  }
  return v;
}

// All steps on one vector of results. `at` finds a step's operand for these results.
template <typename Operand>
HWY_INLINE Vec Steps(const Epilogue& epilogue, Vec v, Vec gate, const Operand& at) {
  const Tag d;
  bool gated = epilogue.glu;
  for (int n = 0; n < epilogue.count; ++n) {
    const EpilogueOp& op = epilogue.ops[n];
    switch (op.kind) {
      case EpilogueStep::Kind::kUnary:
        v = UnaryVector(op.unary, v);
        if (gated) gate = UnaryVector(op.unary, gate);
        break;
      case EpilogueStep::Kind::kGlu:
        v = hn::Mul(v, Sigmoid(gate));
        gated = false;
        break;
      case EpilogueStep::Kind::kMulConst: v = hn::Mul(v, at(op)); break;
      case EpilogueStep::Kind::kAdd: v = hn::Add(v, at(op)); break;
      case EpilogueStep::Kind::kNorm: break;  // never bound
      case EpilogueStep::Kind::kPRelu: v = hn::IfThenElse(hn::Lt(v, hn::Zero(d)), hn::Mul(v, at(op)), v); break;
    }
  }
  return v;
}

// Whether some step has an operand for each feature.
bool HasColumns(const Epilogue& epilogue) {
  return std::any_of(epilogue.ops.begin(), epilogue.ops.begin() + epilogue.count, [](const EpilogueOp& op) {
    return op.kind == EpilogueStep::Kind::kMulConst || (op.kind == EpilogueStep::Kind::kPRelu && op.per_feature);
  });
}

}  // namespace

void UnaryArrayT(const UnaryAttrs& attrs, const float* x, float* y, int64_t count) {
  // One loop a function for those where the choice would cost more than the work.
  switch (attrs.fn) {
    case UnaryFn::kGelu: return Map(x, y, count, [](Vec v) HWY_ATTR { return Gelu(v); });
    case UnaryFn::kGeluTanh: return Map(x, y, count, [](Vec v) HWY_ATTR { return GeluTanh(v); });
    case UnaryFn::kSilu: return Map(x, y, count, [](Vec v) HWY_ATTR { return hn::Mul(v, Sigmoid(v)); });
    case UnaryFn::kRelu: return Map(x, y, count, [](Vec v) HWY_ATTR { return AtLeast(hn::Zero(Tag()), v); });
    case UnaryFn::kTanh: return Map(x, y, count, [](Vec v) HWY_ATTR { return Tanh(v); });
    default: return Map(x, y, count, [&](Vec v) HWY_ATTR { return UnaryVector(attrs, v); });
  }
}

void GateArrayT(float* y, const float* x, const float* gate, int64_t count) {
  const Tag d;
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    hn::StoreU(hn::Mul(hn::LoadU(d, x + i), Sigmoid(hn::LoadU(d, gate + i))), d, y + i);
  }
  for (; i < count; ++i) y[i] = x[i] * hn::GetLane(Sigmoid(Const(gate[i])));
}

void ApplyEpilogueT(const Epilogue& epilogue, const float* tile, int64_t ld, int64_t gate, int64_t rows, int64_t width,
                    int64_t column, float* out, int64_t offset, int64_t out_ld) {
  const Tag d;
  // Rows without gaps and with nothing of their own columns in the steps are one long row.
  if (ld == width && out_ld == width && !epilogue.glu && !HasColumns(epilogue)) width *= std::exchange(rows, 1);
  // A step alone has loops without a choice in them.
  if (epilogue.count == 1 && epilogue.ops[0].kind == EpilogueStep::Kind::kUnary) {
    for (int64_t r = 0; r < rows; ++r) {
      UnaryArrayT(epilogue.ops[0].unary, tile + r * ld, out + offset + r * out_ld, width);
    }
    return;
  }
  if (epilogue.count == 1 && epilogue.glu) {
    for (int64_t r = 0; r < rows; ++r) {
      GateArrayT(out + offset + r * out_ld, tile + r * ld, tile + r * ld + gate, width);
    }
    return;
  }
  // So is a residual branch's end: a gate, a scale for each feature and what is added to.
  const auto kind = [&](int n) { return epilogue.ops[n].kind; };
  if (epilogue.count == 3 && kind(0) == EpilogueStep::Kind::kGlu && kind(1) == EpilogueStep::Kind::kMulConst &&
      kind(2) == EpilogueStep::Kind::kAdd && epilogue.ops[1].per_feature && width % kLanes == 0) {
    for (int64_t j = 0; j < width; j += kLanes) {
      const Vec scale = hn::LoadU(d, epilogue.ops[1].data + column + j);
      const float* add = epilogue.ops[2].data + offset + j;
      for (int64_t r = 0; r < rows; ++r) {
        const Vec v = hn::Mul(hn::LoadU(d, tile + r * ld + j), Sigmoid(hn::LoadU(d, tile + r * ld + gate + j)));
        hn::StoreU(hn::Add(hn::Mul(v, scale), hn::LoadU(d, add + r * out_ld)), d, out + offset + j + r * out_ld);
      }
    }
    return;
  }
  for (int64_t r = 0; r < rows; ++r) {
    const float* v = tile + r * ld;
    const int64_t to = offset + r * out_ld;
    int64_t j = 0;
    for (; j + kLanes <= width; j += kLanes) {
      const auto operand = [&](const EpilogueOp& op) HWY_ATTR {
        if (op.kind == EpilogueStep::Kind::kAdd) return hn::LoadU(d, op.data + to + j);
        return op.per_feature ? hn::LoadU(d, op.data + column + j) : Const(op.data[0]);
      };
      const Vec g = epilogue.glu ? hn::LoadU(d, v + gate + j) : hn::Zero(d);
      hn::StoreU(Steps(epilogue, hn::LoadU(d, v + j), g, operand), d, out + to + j);
    }
    if (j == width) continue;
    const int64_t rest = width - j;
    const auto partial = [&](const float* from) HWY_ATTR {
      HWY_ALIGN float lanes[kLanes] = {};
      for (int64_t i = 0; i < rest; ++i) lanes[i] = from[i];
      return hn::Load(d, lanes);
    };
    const auto operand = [&](const EpilogueOp& op) HWY_ATTR {
      if (op.kind == EpilogueStep::Kind::kAdd) return partial(op.data + to + j);
      return op.per_feature ? partial(op.data + column + j) : Const(op.data[0]);
    };
    HWY_ALIGN float lanes[kLanes];
    const Vec g = epilogue.glu ? partial(v + gate + j) : hn::Zero(d);
    hn::Store(Steps(epilogue, partial(v + j), g, operand), d, lanes);
    for (int64_t i = 0; i < rest; ++i) out[to + j + i] = lanes[i];
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace timbre
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace timbre {
HWY_EXPORT(UnaryArrayT);
HWY_EXPORT(GateArrayT);
HWY_EXPORT(ApplyEpilogueT);

void UnaryArray(const UnaryAttrs& attrs, const float* x, float* y, int64_t count) {
  HWY_DYNAMIC_DISPATCH(UnaryArrayT)(attrs, x, y, count);
}
void GateArray(float* y, const float* x, const float* gate, int64_t count) {
  HWY_DYNAMIC_DISPATCH(GateArrayT)(y, x, gate, count);
}

bool EpilogueServable(const NodeRef& ref, size_t first) {
  if (ref.node.epilogue.size() - first > Epilogue::kMaxOps) return false;
  bool only_unary = true;
  for (const EpilogueStep& step : std::span(ref.node.epilogue).subspan(first)) {
    if (step.kind == EpilogueStep::Kind::kNorm) return false;
    if (step.kind == EpilogueStep::Kind::kGlu && !only_unary) return false;
    only_unary = only_unary && step.kind == EpilogueStep::Kind::kUnary;
  }
  return true;
}

Epilogue BindEpilogue(const CpuCall& call, size_t first) {
  Epilogue bound;
  for (const EpilogueStep& step : std::span(call.ref.node.epilogue).subspan(first)) {
    EpilogueOp& op = bound.ops[bound.count++];
    op.kind = step.kind;
    op.unary = step.unary;
    if (step.input >= 0) {
      op.data = call.in[step.input];
      op.per_feature = call.ref.in(step.input).elements() > 1;
    }
    bound.glu = bound.glu || step.kind == EpilogueStep::Kind::kGlu;
  }
  return bound;
}

void ApplyEpilogue(const Epilogue& epilogue, const float* tile, int64_t ld, int64_t gate, int64_t rows, int64_t width,
                   int64_t column, float* out, int64_t offset, int64_t out_ld) {
  HWY_DYNAMIC_DISPATCH(ApplyEpilogueT)(epilogue, tile, ld, gate, rows, width, column, out, offset, out_ld);
}
}  // namespace timbre
#endif
