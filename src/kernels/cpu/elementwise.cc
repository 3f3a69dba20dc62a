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

#ifndef TIMBRE_KERNELS_CPU_BINARY_ROWS_
#define TIMBRE_KERNELS_CPU_BINARY_ROWS_
namespace timbre {
// The two innermost axes of a broadcast: strides of an element and of a row in both operands.
struct BinaryRows {
  int64_t rows, inner;
  int64_t row_a, a, row_b, b;  // a and b: 0 or 1
};
}  // namespace timbre
#endif

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

// Rows of `inner` elements: y[r][i] = f(a[r * ra + i * sa], b[r * rb + i * sb]).
template <typename F>
HWY_INLINE void ZipRows(const BinaryRows& r, const float* a, const float* b, float* y, const F& f) {
  if (r.inner >= 2 * kLanes) {
    for (int64_t i = 0; i < r.rows; ++i) Zip(a + i * r.row_a, r.a, b + i * r.row_b, r.b, y + i * r.inner, r.inner, f);
    return;
  }
  int64_t i = 0;
  if (r.inner == 2 && r.row_a == 2 && r.a == 1 && r.row_b == 1 && r.b == 0) {
    // Complex numbers times a real number each.
    const Tag d;
    alignas(64) int32_t lane[2 * kLanes];
    for (int j = 0; j < 2 * kLanes; ++j) lane[j] = j / 2;
    const auto lower = hn::SetTableIndices(d, lane), upper = hn::SetTableIndices(d, lane + kLanes);
    for (; i + kLanes <= r.rows; i += kLanes, a += 2 * kLanes, b += kLanes, y += 2 * kLanes) {
      const Vec each = hn::LoadU(d, b), first = hn::LoadU(d, a), second = hn::LoadU(d, a + kLanes);
      hn::StoreU(f(first, hn::TableLookupLanes(each, lower)), d, y);
      hn::StoreU(f(second, hn::TableLookupLanes(each, upper)), d, y + kLanes);
    }
  }
  for (; i < r.rows; ++i, a += r.row_a, b += r.row_b, y += r.inner) {
    for (int64_t j = 0; j < r.inner; ++j) y[j] = hn::GetLane(f(Const(a[j * r.a]), Const(b[j * r.b])));
  }
}

}  // namespace

void BinaryRowsT(BinaryFn fn, const BinaryRows& r, const float* a, const float* b, float* y) {
  switch (fn) {
    case BinaryFn::kAdd: return ZipRows(r, a, b, y, [](Vec p, Vec q) HWY_ATTR { return hn::Add(p, q); });
    case BinaryFn::kSub: return ZipRows(r, a, b, y, [](Vec p, Vec q) HWY_ATTR { return hn::Sub(p, q); });
    case BinaryFn::kMul: return ZipRows(r, a, b, y, [](Vec p, Vec q) HWY_ATTR { return hn::Mul(p, q); });
    case BinaryFn::kDiv: return ZipRows(r, a, b, y, [](Vec p, Vec q) HWY_ATTR { return hn::Div(p, q); });
    // Where either is not a number, so is the result.
    case BinaryFn::kMax:
      return ZipRows(r, a, b, y,
                     [](Vec p, Vec q) HWY_ATTR { return hn::IfThenElse(hn::Or(hn::Gt(p, q), hn::IsNaN(p)), p, q); });
    case BinaryFn::kMin:
      return ZipRows(r, a, b, y,
                     [](Vec p, Vec q) HWY_ATTR { return hn::IfThenElse(hn::Or(hn::Lt(p, q), hn::IsNaN(p)), p, q); });
    case BinaryFn::kAtan2:
      for (int64_t i = 0; i < r.rows; ++i) {
        for (int64_t j = 0; j < r.inner; ++j) {
          y[i * r.inner + j] = std::atan2(a[i * r.row_a + j * r.a], b[i * r.row_b + j * r.b]);
        }
      }
      return;
    case BinaryFn::kComplexMul:
      for (int64_t i = 0; i < r.rows; ++i) {
        const float *p = a + i * r.row_a, *q = b + i * r.row_b;
        float* to = y + i * r.inner;
        for (int64_t j = 0; j < r.inner; j += 2) {
          // The result may lie where a factor does.
          const float re = p[j] * q[j] - p[j + 1] * q[j + 1], im = p[j] * q[j + 1] + p[j + 1] * q[j];
          to[j] = re;
          to[j + 1] = im;
        }
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
    // Long rows are sums of short sums, which keep their digits.
    constexpr int64_t kRun = 64 * kLanes;
    double total = 0;
    for (i = 0; i + kLanes <= width;) {
      Vec sum = hn::Zero(d);
      for (const int64_t end = i + kRun; i < end && i + kLanes <= width; i += kLanes) {
        const Vec e = Exp(hn::Sub(hn::LoadU(d, x + i), shift));
        hn::StoreU(e, d, y + i);
        sum = hn::Add(sum, e);
      }
      total += static_cast<double>(hn::GetLane(hn::SumOfLanes(d, sum)));
    }
    for (; i < width; ++i) total += static_cast<double>(y[i] = hn::GetLane(Exp(Const(x[i] - top))));
    const auto scale = static_cast<float>(1.0 / total);
    for (i = 0; i + kLanes <= width; i += kLanes) hn::StoreU(hn::Mul(hn::LoadU(d, y + i), Const(scale)), d, y + i);
    for (; i < width; ++i) y[i] *= scale;
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace timbre
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace timbre {
HWY_EXPORT(BinaryRowsT);
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
  const auto run = HWY_DYNAMIC_DISPATCH(BinaryRowsT);
  const BinaryFn fn = call.ref.attrs<BinaryAttrs>().fn;
  const Broadcast axes = BroadcastOf(call.ref.in(0), call.ref.in(1), call.ref.out());
  const int last = axes.rank - 1;
  const int64_t inner = axes.size[last];
  if (axes.rank == 1) {
    // Even cuts keep complex numbers whole.
    call.pool.ForRange((inner + 1) / 2, kGrain, [&](int64_t begin, int64_t end, int) {
      begin *= 2;
      end = std::min(end * 2, inner);
      run(fn, {1, end - begin, 0, axes.a[0], 0, axes.b[0]}, call.in[0] + begin * axes.a[0],
          call.in[1] + begin * axes.b[0], call.out[0] + begin);
    });
  } else {
    const int64_t rows = axes.size[last - 1];
    int64_t planes = 1;
    for (int i = 0; i < last - 1; ++i) planes *= axes.size[i];
    call.pool.ForRange(planes * rows, RowGrain(inner), [&](int64_t begin, int64_t end, int) {
      while (begin < end) {
        const int64_t first = begin % rows, count = std::min(rows - first, end - begin);
        int64_t rest = begin / rows, a = first * axes.a[last - 1], b = first * axes.b[last - 1];
        for (int i = last - 2; i >= 0; --i) {
          const int64_t at = rest % axes.size[i];
          rest /= axes.size[i];
          a += at * axes.a[i];
          b += at * axes.b[i];
        }
        run(fn, {count, inner, axes.a[last - 1], axes.a[last], axes.b[last - 1], axes.b[last]}, call.in[0] + a,
            call.in[1] + b, call.out[0] + begin * inner);
        begin += count;
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

// Neighbouring rows that are scaled as one, where a row alone is no vector.
int64_t RowsTogether(const NodeRef& ref) {
  const int64_t width = ref.out().back(), rows = ref.out().elements() / width;
  int64_t together = 1;
  while (together * width < 32 && rows % (2 * together) == 0) together *= 2;
  return together;
}

size_t BatchNormScratch(const NodeRef& ref, const DeviceCaps&) {
  return 2 * ref.out().back() * RowsTogether(ref) * sizeof(float);
}

Status BatchNormRun(const CpuCall& call) {
  const int64_t channels = call.ref.out().back(), width = channels * RowsTogether(call.ref);
  const int64_t rows = call.ref.out().elements() / width;
  float *scale = call.scratch, *shift = call.scratch + width;
  const float eps = call.ref.attrs<BatchNormAttrs>().eps;
  for (int64_t c = 0; c < channels; ++c) {
    const double a =
        (call.in.size() > 3 && call.in[3] ? double{call.in[3][c]} : 1.0) / std::sqrt(double{call.in[2][c]} + eps);
    scale[c] = static_cast<float>(a);
    shift[c] = static_cast<float>((call.in.size() > 4 && call.in[4] ? double{call.in[4][c]} : 0.0) - call.in[1][c] * a);
  }
  for (int64_t c = channels; c < width; ++c) scale[c] = scale[c - channels], shift[c] = shift[c - channels];
  const auto run = HWY_DYNAMIC_DISPATCH(ScaleRowsT);
  const Epilogue epilogue = BindEpilogue(call);
  // An epilogue finds the rows in the first-level cache.
  const int64_t step = epilogue.count == 0 ? rows : std::max<int64_t>(1, 4096 / width);
  call.pool.ForRange(rows, RowGrain(width), [&](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end; r += step) {
      const int64_t count = std::min(step, end - r), first = r * width;
      run(call.in[0] + first, scale, shift, call.out[0] + first, count, width);
      if (epilogue.count == 0) continue;
      ApplyEpilogue(epilogue, call.out[0] + first, channels, 0, count * width / channels, channels, 0, call.out[0],
                    first, channels);
    }
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
    {Op::kUnary, DeviceKind::kCpu, Tier::kFast, "unary_vector", 2, UnarySupports, UnaryRun},
    {Op::kBinary, DeviceKind::kCpu, Tier::kFast, "binary_vector", 2, BinarySupports, BinaryRun},
    {Op::kPRelu, DeviceKind::kCpu, Tier::kFast, "prelu_vector", 1, nullptr, PReluRun},
    {Op::kGlu, DeviceKind::kCpu, Tier::kFast, "glu_vector", 2, nullptr, GluRun},
    {Op::kBatchNorm, DeviceKind::kCpu, Tier::kFast, "batch_norm_vector", 2, UnarySupports, BatchNormRun,
     BatchNormScratch},
    {Op::kSoftmax, DeviceKind::kCpu, Tier::kFast, "softmax_vector", 3, nullptr, SoftmaxRun},
};

}  // namespace

std::span<const KernelRow> CpuElementwiseKernels() { return kRows; }

}  // namespace timbre
#endif
