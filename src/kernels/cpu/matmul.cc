// Products whose right side is an activation: it is packed panel by panel as the product goes along.
#include <algorithm>
#include <cstring>
#include <vector>

#include "kernels/cpu/epilogue.h"
#include "kernels/cpu/micro.h"
#include "kernels/kernel.h"

namespace timbre {
namespace {

// For each of `batch` products: c [m, n] = scale * a [m, k] b, with b [k, n], or [n, k] if transposed, plus bias[row].
struct Products {
  int64_t batch = 1, m = 0, k = 0, n = 0;
  const float* a = nullptr;
  int64_t a_step = 0;  // from one product to the next; 0: all have the same
  const float* b = nullptr;
  bool transposed = false;
  float scale = 1.0f;
  const float* bias = nullptr;
  float* c = nullptr;

  // A worker's panel, and a register block of results.
  int64_t worker_floats() const { return k * kMaxPanel + kMaxBlockRows * kMaxPanel; }
};

void PackPanel(const Products& p, const float* b, int64_t first, int64_t width, int64_t panel, float* out) {
  if (p.transposed) {
    for (int64_t j = 0; j < width; ++j) {
      for (int64_t i = 0; i < p.k; ++i) out[i * panel + j] = b[(first + j) * p.k + i] * p.scale;
    }
    for (int64_t j = width; j < panel; ++j) {
      for (int64_t i = 0; i < p.k; ++i) out[i * panel + j] = 0.0f;
    }
    return;
  }
  for (int64_t i = 0; i < p.k; ++i) {
    const float* row = b + i * p.n + first;
    for (int64_t j = 0; j < width; ++j) out[i * panel + j] = row[j] * p.scale;
    for (int64_t j = width; j < panel; ++j) out[i * panel + j] = 0.0f;
  }
}

void RunProducts(const Products& p, const Epilogue& epilogue, float* scratch, ThreadPool& pool) {
  const MicroKernels micro = CurrentMicro();
  const int64_t panels = (p.n + micro.panel - 1) / micro.panel;
  pool.ForEach(p.batch * panels, [&](int64_t task, int worker) {
    const int64_t item = task / panels, first = task % panels * micro.panel;
    const int64_t width = std::min<int64_t>(micro.panel, p.n - first);
    const bool half = width <= micro.lanes;
    const int64_t panel = half ? micro.lanes : micro.panel;
    float* packed = scratch + worker * p.worker_floats();
    float* tile = packed + p.k * kMaxPanel;
    PackPanel(p, p.b + item * p.k * p.n, first, width, panel, packed);
    const float* a = p.a + item * p.a_step;
    const GemmTap tap{.a = 0, .b = 0, .k = p.k};
    const bool direct = epilogue.count == 0 && width == panel;
    for (int64_t row = 0; row < p.m; row += micro.block_rows) {
      const int64_t rows = std::min<int64_t>(micro.block_rows, p.m - row);
      const int64_t offset = (item * p.m + row) * p.n + first;
      float* c = direct ? p.c + offset : tile;
      const int64_t ldc = direct ? p.n : panel;
      for (int64_t r = 0; r < rows; ++r) std::fill_n(c + r * ldc, panel, p.bias ? p.bias[row + r] : 0.0f);
      (half ? micro.half : micro.full)(rows, &tap, 1, a + row * p.k, p.k, packed, panel, GemmStart::kAccumulate,
                                       nullptr, c, ldc);
      if (!direct) ApplyEpilogue(epilogue, tile, panel, 0, rows, width, first, p.c, offset, p.n);
    }
  });
}

bool WithoutGlu(const NodeRef& ref) {
  for (const EpilogueStep& step : ref.node.epilogue) {
    if (step.kind == EpilogueStep::Kind::kGlu) return false;
  }
  return EpilogueServable(ref);
}

// ---- Matrix product ----

Products ProductsOf(const NodeRef& ref) {
  const auto& attrs = ref.attrs<MatMulAttrs>();
  const Shape& a = ref.in(0);
  Products p;
  p.m = a[-2];
  p.k = a[-1];
  p.n = ref.out()[-1];
  p.batch = a.elements() / (p.m * p.k);
  p.a_step = p.m * p.k;
  p.transposed = attrs.transpose_b;
  p.scale = attrs.scale;
  return p;
}

bool MatMulSupports(const NodeRef& ref, const DeviceCaps&) { return WithoutGlu(ref); }

size_t MatMulScratch(const NodeRef& ref, const DeviceCaps& caps) {
  return caps.threads * ProductsOf(ref).worker_floats() * sizeof(float);
}

Status MatMulRun(const CpuCall& call) {
  Products p = ProductsOf(call.ref);
  p.a = call.in[0];
  p.b = call.in[1];
  p.c = call.out[0];
  RunProducts(p, BindEpilogue(call), call.scratch, call.pool);
  return {};
}

// ---- Linear over the axis before the features: y[o, c] = sum_i weight[o, i] x[i, c] ----

Products ProductsOfLinear(const NodeRef& ref) {
  const Shape &x = ref.in(0), &w = ref.in(1);
  Products p;
  p.m = w[0];
  p.k = w[1];
  p.n = x[-1];
  p.batch = x.elements() / (x[-2] * x[-1]);
  return p;
}

bool LinearSupports(const NodeRef& ref, const DeviceCaps&) {
  return ref.attrs<LinearAttrs>().axis == -2 && WithoutGlu(ref);
}

size_t LinearScratch(const NodeRef& ref, const DeviceCaps& caps) {
  return caps.threads * ProductsOfLinear(ref).worker_floats() * sizeof(float);
}

Status LinearRun(const CpuCall& call) {
  Products p = ProductsOfLinear(call.ref);
  p.a = call.in[1];
  p.b = call.in[0];
  p.bias = call.ref.has(2) ? call.in[2] : nullptr;
  p.c = call.out[0];
  RunProducts(p, BindEpilogue(call), call.scratch, call.pool);
  return {};
}

const KernelRow kRows[] = {
    {Op::kMatMul, DeviceKind::kCpu, Tier::kFast, "matmul_panels", 1, MatMulSupports, MatMulRun, MatMulScratch},
    {Op::kLinear, DeviceKind::kCpu, Tier::kFast, "linear_panels", 1, LinearSupports, LinearRun, LinearScratch},
};

}  // namespace

std::span<const KernelRow> CpuMatMulKernels() { return kRows; }

}  // namespace timbre
