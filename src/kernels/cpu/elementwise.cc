// Operators whose elements depend on few others: functions, arithmetic, gates, scales, softmax.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/cpu/epilogue.h"
#include "kernels/cpu/simd.h"
#include "kernels/kernel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/elementwise.cc"
#include <hwy/foreach_target.h>
// After foreach_target.h, once for every target.
#include <hwy/highway.h>

#include "kernels/cpu/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace timbre {
namespace HWY_NAMESPACE {
namespace {

// y[i] = f(a[i * sa], b[i * sb]), strides 0 or 1.
template <typename F>
HWY_INLINE void Zip(const float* a, int64_t sa, const float* b, int64_t sb, float* y, int64_t count, const F& f) {
  const Tag d;
  const Vec a0 = Const(a[0]), b0 = Const(b[0]);
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    hn::StoreU(f(sa ? hn::LoadU(d, a + i) : a0, sb ? hn::LoadU(d, b + i) : b0), d, y + i);
  }
  for (; i < count; ++i) y[i] = hn::GetLane(f(Const(a[i * sa]), Const(b[i * sb])));
}

}  // namespace

void BinaryArrayT(BinaryFn fn, const float* a, int64_t sa, const float* b, int64_t sb, float* y, int64_t count) {
  switch (fn) {
    case BinaryFn::kAdd: return Zip(a, sa, b, sb, y, count, [](Vec p, Vec q) HWY_ATTR { return hn::Add(p, q); });
    case BinaryFn::kSub: return Zip(a, sa, b, sb, y, count, [](Vec p, Vec q) HWY_ATTR { return hn::Sub(p, q); });
    case BinaryFn::kMul: return Zip(a, sa, b, sb, y, count, [](Vec p, Vec q) HWY_ATTR { return hn::Mul(p, q); });
    case BinaryFn::kDiv: return Zip(a, sa, b, sb, y, count, [](Vec p, Vec q) HWY_ATTR { return hn::Div(p, q); });
    // Where either is not a number, so is the result.
    case BinaryFn::kMax:
      return Zip(a, sa, b, sb, y, count,
                 [](Vec p, Vec q) HWY_ATTR { return hn::IfThenElse(hn::Or(hn::Gt(p, q), hn::IsNaN(p)), p, q); });
    case BinaryFn::kMin:
      return Zip(a, sa, b, sb, y, count,
                 [](Vec p, Vec q) HWY_ATTR { return hn::IfThenElse(hn::Or(hn::Lt(p, q), hn::IsNaN(p)), p, q); });
    case BinaryFn::kAtan2:
      for (int64_t i = 0; i < count; ++i) y[i] = std::atan2(a[i * sa], b[i * sb]);
      return;
    case BinaryFn::kComplexMul:
      for (int64_t i = 0; i < count; i += 2) {
        const float ar = a[i * sa], ai = a[i * sa + 1], br = b[i * sb], bi = b[i * sb + 1];
        y[i] = ar * br - ai * bi;
        y[i + 1] = ar * bi + ai * br;
      }
      return;
  }
}

// Rows of `width`: y = x * scale + shift, element by element of a row.
void ScaleRowsT(const float* x, const float* scale, const float* shift, float* y, int64_t rows, int64_t width) {
  const Tag d;
  for (int64_t r = 0; r < rows; ++r, x += width, y += width) {
    int64_t i = 0;
    for (; i + kLanes <= width; i += kLanes) {
      hn::StoreU(hn::MulAdd(hn::LoadU(d, x + i), hn::LoadU(d, scale + i), hn::LoadU(d, shift + i)), d, y + i);
    }
    for (; i < width; ++i) y[i] = x[i] * scale[i] + shift[i];
  }
}

void SoftmaxRowsT(const float* x, float* y, int64_t rows, int64_t width) {
  const Tag d;
  for (int64_t r = 0; r < rows; ++r, x += width, y += width) {
    Vec most = Const(x[0]);
    int64_t i = 0;
    for (; i + kLanes <= width; i += kLanes) most = hn::Max(most, hn::LoadU(d, x + i));
    float top = hn::GetLane(hn::MaxOfLanes(d, most));
    for (; i < width; ++i) top = std::max(top, x[i]);
    const Vec shift = Const(top);
    Vec sum = hn::Zero(d);
    for (i = 0; i + kLanes <= width; i += kLanes) {
      const Vec e = Exp(hn::Sub(hn::LoadU(d, x + i), shift));
      hn::StoreU(e, d, y + i);
      sum = hn::Add(sum, e);
    }
    float total = hn::GetLane(hn::SumOfLanes(d, sum));
    for (; i < width; ++i) total += y[i] = hn::GetLane(Exp(Const(x[i] - top)));
    const float scale = 1.0f / total;
    for (i = 0; i + kLanes <= width; i += kLanes) hn::StoreU(hn::Mul(hn::LoadU(d, y + i), Const(scale)), d, y + i);
    for (; i < width; ++i) y[i] *= scale;
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace timbre
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace timbre {
HWY_EXPORT(BinaryArrayT);
HWY_EXPORT(ScaleRowsT);
HWY_EXPORT(SoftmaxRowsT);

namespace {

// Elements worth handing to a thread.
constexpr int64_t kGrain = 1 << 14;

int64_t RowGrain(int64_t width) { return std::max<int64_t>(1, kGrain / std::max<int64_t>(1, width)); }

// What comes after an element-wise operator, done where its result lies.
bool InPlaceEpilogue(const NodeRef& ref) {
  if (!EpilogueServable(ref)) return false;
  for (const EpilogueStep& step : ref.node.epilogue) {
    if (step.kind == EpilogueStep::Kind::kGlu) return false;
  }
  return true;
}

// ---- Unary ----

bool UnarySupports(const NodeRef& ref, const DeviceCaps&) { return InPlaceEpilogue(ref); }

Status UnaryRun(const CpuCall& call) {
  const auto& attrs = call.ref.attrs<UnaryAttrs>();
  const Epilogue epilogue = BindEpilogue(call);
  const int64_t width = call.ref.out().back(), rows = call.ref.out().elements() / std::max<int64_t>(1, width);
  if (epilogue.count == 0) {
    call.pool.ForRange(rows * width, kGrain, [&](int64_t begin, int64_t end, int) {
      UnaryArray(attrs, call.in[0] + begin, call.out[0] + begin, end - begin);
    });
    return {};
  }
  call.pool.ForRange(rows, RowGrain(width), [&](int64_t begin, int64_t end, int) {
    const int64_t step = std::max<int64_t>(1, 4096 / width);
    for (int64_t r = begin; r < end; r += step) {
      const int64_t count = std::min(step, end - r);
      float* y = call.out[0] + r * width;
      UnaryArray(attrs, call.in[0] + r * width, y, count * width);
      ApplyEpilogue(epilogue, y, width, 0, count, width, 0, call.out[0], r * width, width);
    }
  });
  return {};
}

// ---- Binary ----

// The axes of a broadcast, those that lie alike in both operands merged into one. The last is the inner loop.
struct Broadcast {
  int rank = 0;
  int64_t size[Shape::kMaxRank], a[Shape::kMaxRank], b[Shape::kMaxRank];  // strides in floats
};

Broadcast BroadcastOf(const Shape& p, const Shape& q, const Shape& y) {
  Broadcast result;
  // From the innermost axis outwards; then the order is turned round.
  for (int i = y.rank() - 1; i >= 0; --i) {
    const int pi = i - y.rank() + p.rank(), qi = i - y.rank() + q.rank();
    const int64_t n = y[i];
    if (n == 1) continue;
    const int64_t a = pi < 0 || p[pi] == 1 ? 0 : p.stride(pi), b = qi < 0 || q[qi] == 1 ? 0 : q.stride(qi);
    if (result.rank > 0) {
      const int last = result.rank - 1;
      const int64_t inner = result.size[last];
      if (a == result.a[last] * inner && b == result.b[last] * inner) {
        result.size[last] *= n;
        continue;
      }
    }
    result.size[result.rank] = n;
    result.a[result.rank] = a;
    result.b[result.rank++] = b;
  }
  if (result.rank == 0) result = {1, {1}, {0}, {0}};
  std::reverse(result.size, result.size + result.rank);
  std::reverse(result.a, result.a + result.rank);
  std::reverse(result.b, result.b + result.rank);
  return result;
}

bool BinarySupports(const NodeRef& ref, const DeviceCaps&) {
  if (!InPlaceEpilogue(ref)) return false;
  if (ref.attrs<BinaryAttrs>().fn != BinaryFn::kComplexMul) return true;
  // The inner loop must hold whole numbers, in both operands.
  const Broadcast axes = BroadcastOf(ref.in(0), ref.in(1), ref.out());
  return axes.a[axes.rank - 1] == 1 && axes.b[axes.rank - 1] == 1;
}

Status BinaryRun(const CpuCall& call) {
  const auto array = HWY_DYNAMIC_DISPATCH(BinaryArrayT);
  const BinaryFn fn = call.ref.attrs<BinaryAttrs>().fn;
  const Broadcast axes = BroadcastOf(call.ref.in(0), call.ref.in(1), call.ref.out());
  const int last = axes.rank - 1;
  const int64_t inner = axes.size[last];
  int64_t outer = 1;
  for (int i = 0; i < last; ++i) outer *= axes.size[i];
  if (outer == 1) {
    call.pool.ForRange(inner / 2, kGrain, [&](int64_t begin, int64_t end, int) {
      // Even cuts keep complex numbers whole.
      begin *= 2;
      end = end == inner / 2 ? inner : end * 2;
      array(fn, call.in[0] + begin * axes.a[0], axes.a[0], call.in[1] + begin * axes.b[0], axes.b[0],
            call.out[0] + begin, end - begin);
    });
    if (inner == 1) array(fn, call.in[0], 0, call.in[1], 0, call.out[0], 1);
  } else {
    call.pool.ForRange(outer, RowGrain(inner), [&](int64_t begin, int64_t end, int) {
      for (int64_t r = begin; r < end; ++r) {
        int64_t rest = r, a = 0, b = 0;
        for (int i = last - 1; i >= 0; --i) {
          const int64_t at = rest % axes.size[i];
          rest /= axes.size[i];
          a += at * axes.a[i];
          b += at * axes.b[i];
        }
        array(fn, call.in[0] + a, axes.a[last], call.in[1] + b, axes.b[last], call.out[0] + r * inner, inner);
      }
    });
  }
  const Epilogue epilogue = BindEpilogue(call);
  if (epilogue.count > 0) {
    const int64_t width = call.ref.out().back(), rows = call.ref.out().elements() / width;
    call.pool.ForRange(rows, RowGrain(width), [&](int64_t begin, int64_t end, int) {
      const int64_t step = std::max<int64_t>(1, 4096 / width);
      for (int64_t r = begin; r < end; r += step) {
        ApplyEpilogue(epilogue, call.out[0] + r * width, width, 0, std::min(step, end - r), width, 0, call.out[0],
                      r * width, width);
      }
    });
  }
  return {};
}

// ---- PReLU, GLU ----

Status PReluRun(const CpuCall& call) {
  Epilogue prelu;
  prelu.count = 1;
  prelu.ops[0] = {.kind = EpilogueStep::Kind::kPRelu, .data = call.in[1], .per_feature = call.ref.in(1).elements() > 1};
  const int64_t width = call.ref.out().back(), rows = call.ref.out().elements() / width;
  call.pool.ForRange(rows, RowGrain(width), [&](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end; ++r) {
      ApplyEpilogue(prelu, call.in[0] + r * width, width, 0, 1, width, 0, call.out[0], r * width, width);
    }
  });
  return {};
}

Status GluRun(const CpuCall& call) {
  const int64_t width = call.ref.out().back(), rows = call.ref.out().elements() / width;
  call.pool.ForRange(rows, RowGrain(width), [&](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end; ++r) {
      const float* x = call.in[0] + r * 2 * width;
      GateArray(call.out[0] + r * width, x, x + width, width);
    }
  });
  return {};
}

// ---- Batch norm: one scale and one shift for each channel ----

size_t BatchNormScratch(const NodeRef& ref, const DeviceCaps&) { return 2 * ref.out().back() * sizeof(float); }

Status BatchNormRun(const CpuCall& call) {
  const int64_t width = call.ref.out().back(), rows = call.ref.out().elements() / width;
  float *scale = call.scratch, *shift = call.scratch + width;
  const float eps = call.ref.attrs<BatchNormAttrs>().eps;
  for (int64_t c = 0; c < width; ++c) {
    const double a =
        (call.in.size() > 3 && call.in[3] ? double{call.in[3][c]} : 1.0) / std::sqrt(double{call.in[2][c]} + eps);
    scale[c] = static_cast<float>(a);
    shift[c] = static_cast<float>((call.in.size() > 4 && call.in[4] ? double{call.in[4][c]} : 0.0) - call.in[1][c] * a);
  }
  const auto run = HWY_DYNAMIC_DISPATCH(ScaleRowsT);
  call.pool.ForRange(rows, RowGrain(width), [&](int64_t begin, int64_t end, int) {
    run(call.in[0] + begin * width, scale, shift, call.out[0] + begin * width, end - begin, width);
  });
  return {};
}

// ---- Softmax ----

Status SoftmaxRun(const CpuCall& call) {
  const int64_t width = call.ref.out().back(), rows = call.ref.out().elements() / width;
  const auto run = HWY_DYNAMIC_DISPATCH(SoftmaxRowsT);
  call.pool.ForRange(rows, RowGrain(width), [&](int64_t begin, int64_t end, int) {
    run(call.in[0] + begin * width, call.out[0] + begin * width, end - begin, width);
  });
  return {};
}

const KernelRow kRows[] = {
    {Op::kUnary, DeviceKind::kCpu, Tier::kFast, "unary_vector", 1, UnarySupports, UnaryRun},
    {Op::kBinary, DeviceKind::kCpu, Tier::kFast, "binary_vector", 1, BinarySupports, BinaryRun},
    {Op::kPRelu, DeviceKind::kCpu, Tier::kFast, "prelu_vector", 1, nullptr, PReluRun},
    {Op::kGlu, DeviceKind::kCpu, Tier::kFast, "glu_vector", 1, nullptr, GluRun},
    {Op::kBatchNorm, DeviceKind::kCpu, Tier::kFast, "batch_norm_vector", 1, nullptr, BatchNormRun, BatchNormScratch},
    {Op::kSoftmax, DeviceKind::kCpu, Tier::kFast, "softmax_vector", 1, nullptr, SoftmaxRun},
};

}  // namespace

std::span<const KernelRow> CpuElementwiseKernels() { return kRows; }

}  // namespace timbre
#endif
