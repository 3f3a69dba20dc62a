#include "kernels/cpu/epilogue.h"

#include <cmath>

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

template <typename F>
HWY_INLINE void MapTwo(float* y, const float* x, int64_t count, const F& f) {
  const Tag d;
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) hn::StoreU(f(hn::LoadU(d, y + i), hn::LoadU(d, x + i)), d, y + i);
  if (i == count) return;
  HWY_ALIGN float rest_y[kLanes] = {};
  HWY_ALIGN float rest_x[kLanes] = {};
  for (int64_t j = i; j < count; ++j) {
    rest_y[j - i] = y[j];
    rest_x[j - i] = x[j];
  }
  hn::Store(f(hn::Load(d, rest_y), hn::Load(d, rest_x)), d, rest_y);
  for (int64_t j = i; j < count; ++j) y[j] = rest_y[j - i];
}

}  // namespace

void UnaryArrayT(const UnaryAttrs& attrs, const float* x, float* y, int64_t count) {
  const Tag d;
  const Vec alpha = Const(attrs.alpha), beta = Const(attrs.beta), one = Const(1.0f), zero = hn::Zero(d);
  switch (attrs.fn) {
    case UnaryFn::kIdentity: return Map(x, y, count, [&](Vec v) HWY_ATTR { return v; });
    // Max takes its second operand where either is NaN: NaN in must be NaN out.
    case UnaryFn::kRelu:
      return Map(x, y, count, [&](Vec v) HWY_ATTR { return hn::IfThenElse(hn::Lt(v, zero), zero, v); });
    case UnaryFn::kLeakyRelu:
      return Map(x, y, count, [&](Vec v) HWY_ATTR { return hn::IfThenElse(hn::Lt(v, zero), hn::Mul(alpha, v), v); });
    case UnaryFn::kElu:
      return Map(x, y, count, [&](Vec v) HWY_ATTR {
        // e^x - 1 cancels near zero: tanh(x/2) (e^x + 1) is the same and does not.
        const Vec m = hn::Min(v, zero);
        const Vec e = hn::Mul(Tanh(hn::Mul(m, Const(0.5f))), hn::Add(ExpNonPositive(m), one));
        return hn::IfThenElse(hn::Lt(v, zero), hn::Mul(alpha, e), v);
      });
    case UnaryFn::kGelu: return Map(x, y, count, [&](Vec v) HWY_ATTR { return Gelu(v); });
    case UnaryFn::kSilu: return Map(x, y, count, [&](Vec v) HWY_ATTR { return hn::Mul(v, Sigmoid(v)); });
    case UnaryFn::kSigmoid: return Map(x, y, count, [&](Vec v) HWY_ATTR { return Sigmoid(v); });
    case UnaryFn::kTanh: return Map(x, y, count, [&](Vec v) HWY_ATTR { return Tanh(v); });
    case UnaryFn::kExp: return Map(x, y, count, [&](Vec v) HWY_ATTR { return Exp(v); });
    case UnaryFn::kSqrt: return Map(x, y, count, [&](Vec v) HWY_ATTR { return hn::Sqrt(v); });
    case UnaryFn::kRsqrt: return Map(x, y, count, [&](Vec v) HWY_ATTR { return hn::Div(one, hn::Sqrt(v)); });
    case UnaryFn::kAbs: return Map(x, y, count, [&](Vec v) HWY_ATTR { return hn::Abs(v); });
    case UnaryFn::kNeg: return Map(x, y, count, [&](Vec v) HWY_ATTR { return hn::Neg(v); });
    case UnaryFn::kSquare: return Map(x, y, count, [&](Vec v) HWY_ATTR { return hn::Mul(v, v); });
    case UnaryFn::kSin: return Map(x, y, count, [&](Vec v) HWY_ATTR { return hn::Sin(d, v); });
    case UnaryFn::kCos: return Map(x, y, count, [&](Vec v) HWY_ATTR { return hn::Cos(d, v); });
    case UnaryFn::kSnake:
      return Map(x, y, count, [&](Vec v) HWY_ATTR {
        const Vec s = hn::Sin(d, hn::Mul(alpha, v));
        return hn::Add(v, hn::Div(hn::Mul(s, s), alpha));
      });
    case UnaryFn::kClamp:
      return Map(x, y, count, [&](Vec v) HWY_ATTR {
        return hn::IfThenElse(hn::Lt(v, alpha), alpha, hn::IfThenElse(hn::Gt(v, beta), beta, v));
      });
    case UnaryFn::kScale: return Map(x, y, count, [&](Vec v) HWY_ATTR { return hn::MulAdd(alpha, v, beta); });
    // The rare ones whose special values (log of 0, powers of negative numbers) are best left to the C library.
    case UnaryFn::kLog:
      for (int64_t i = 0; i < count; ++i) y[i] = std::log(x[i]);
      return;
    case UnaryFn::kPow:
      for (int64_t i = 0; i < count; ++i) y[i] = std::pow(x[i], attrs.alpha);
      return;
  }
}

void GateArrayT(float* a, const float* gate, int64_t count) {
  MapTwo(a, gate, count, [](Vec v, Vec g) HWY_ATTR { return hn::Mul(v, Sigmoid(g)); });
}
void AddArrayT(float* y, const float* x, int64_t count) {
  MapTwo(y, x, count, [](Vec v, Vec w) HWY_ATTR { return hn::Add(v, w); });
}

void ApplyEpilogueT(const Epilogue& epilogue, float* tile, int64_t ld, int64_t gate, int64_t rows, int64_t width,
                    int64_t column, float* out, int64_t offset, int64_t out_ld) {
  bool gated = epilogue.glu;  // the gates are still beside the values
  for (int n = 0; n < epilogue.count; ++n) {
    const EpilogueOp& op = epilogue.ops[n];
    if (op.kind == EpilogueStep::Kind::kUnary && (ld == width || (gated && ld == 2 * width))) {
      UnaryArrayT(op.unary, tile, tile, rows * ld);
      continue;
    }
    for (int64_t r = 0; r < rows; ++r) {
      float* v = tile + r * ld;
      switch (op.kind) {
        case EpilogueStep::Kind::kUnary:
          UnaryArrayT(op.unary, v, v, width);
          if (gated) UnaryArrayT(op.unary, v + gate, v + gate, width);
          break;
        case EpilogueStep::Kind::kGlu: GateArrayT(v, v + gate, width); break;
        case EpilogueStep::Kind::kMulConst:
          MapTwo(v, op.data + column, width, [](Vec a, Vec b) HWY_ATTR { return hn::Mul(a, b); });
          break;
        case EpilogueStep::Kind::kAdd:
          MapTwo(v, op.data + offset + r * out_ld, width, [](Vec a, Vec b) HWY_ATTR { return hn::Add(a, b); });
          break;
        case EpilogueStep::Kind::kPRelu: {
          const Tag d;
          const auto prelu = [&](Vec a, Vec slope)
                                 HWY_ATTR { return hn::IfThenElse(hn::Lt(a, hn::Zero(d)), hn::Mul(a, slope), a); };
          if (op.per_feature) {
            MapTwo(v, op.data + column, width, prelu);
          } else {
            const Vec slope = Const(op.data[0]);
            Map(v, v, width, [&](Vec a) HWY_ATTR { return prelu(a, slope); });
          }
          break;
        }
      }
    }
    if (op.kind == EpilogueStep::Kind::kGlu) gated = false;
  }
  for (int64_t r = 0; r < rows; ++r) {
    const float* v = tile + r * ld;
    float* o = out + offset + r * out_ld;
    if (o == v) continue;
    Map(v, o, width, [](Vec a) HWY_ATTR { return a; });
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace timbre
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace timbre {
HWY_EXPORT(UnaryArrayT);
HWY_EXPORT(GateArrayT);
HWY_EXPORT(AddArrayT);
HWY_EXPORT(ApplyEpilogueT);

void UnaryArray(const UnaryAttrs& attrs, const float* x, float* y, int64_t count) {
  HWY_DYNAMIC_DISPATCH(UnaryArrayT)(attrs, x, y, count);
}
void GateArray(float* a, const float* gate, int64_t count) { HWY_DYNAMIC_DISPATCH(GateArrayT)(a, gate, count); }
void AddArray(float* y, const float* x, int64_t count) { HWY_DYNAMIC_DISPATCH(AddArrayT)(y, x, count); }

bool EpilogueServable(const NodeRef& ref) {
  if (ref.node.epilogue.size() > Epilogue::kMaxOps) return false;
  bool only_unary = true;
  for (const EpilogueStep& step : ref.node.epilogue) {
    if (step.kind == EpilogueStep::Kind::kGlu && !only_unary) return false;
    only_unary = only_unary && step.kind == EpilogueStep::Kind::kUnary;
  }
  return true;
}

Epilogue BindEpilogue(const CpuCall& call) {
  Epilogue bound;
  for (const EpilogueStep& step : call.ref.node.epilogue) {
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

void ApplyEpilogue(const Epilogue& epilogue, float* tile, int64_t ld, int64_t gate, int64_t rows, int64_t width,
                   int64_t column, float* out, int64_t offset, int64_t out_ld) {
  HWY_DYNAMIC_DISPATCH(ApplyEpilogueT)(epilogue, tile, ld, gate, rows, width, column, out, offset, out_ld);
}
}  // namespace timbre
#endif
