// Products whose right side is an activation: it is packed panel by panel as the product goes along.
#include <algorithm>
#include <cstring>
#include <vector>

#include "kernels/cpu/epilogue.h"
#include "kernels/cpu/float_view.h"
#include "kernels/cpu/micro.h"
#include "kernels/kernel.h"

namespace timbre {
namespace {

// For each of `batch` products: c [m, n] = scale * a [m, k] b, with b [k, n], or [n, k] if transposed, plus bias[row].
struct Products {
  int64_t batch = 1, m = 0, k = 0, n = 0;
  const float* a = nullptr;
  int64_t lda = 0;
  int64_t a_step = 0;  // from one product to the next; 0: all have the same
  const float* b = nullptr;
  bool transposed = false;
  float scale = 1.0f;
  const float* bias = nullptr;
  float* c = nullptr;

  // Panels of the right side that a task packs together, so that it reads whole rows.
  int64_t task_panels(int panel) const {
    const int64_t panels = (n + panel - 1) / panel;
    return std::clamp<int64_t>((64 << 10) / (k * panel), 1, panels);
  }
  // A worker's panels, and a register block of results.
  int64_t worker_floats(int panel) const {
    return (task_panels(panel) * k * panel + kMaxBlockRows * kMaxPanel + 15) / 16 * 16;
  }
};

// Columns [first, first + width) of b as panels of [k][panel], the last filled with zeros.
void PackPanels(const Products& p, const float* b, int64_t first, int64_t width, int64_t panel, float* out) {
  for (int64_t j = 0; j < width; j += panel) {
    if (width - j < panel) std::fill_n(out + j * p.k, p.k * panel, 0.0f);
  }
  if (p.transposed) {
    for (int64_t j = 0; j < width; ++j) {
      float* to = out + j / panel * panel * p.k + j % panel;
      for (int64_t i = 0; i < p.k; ++i) to[i * panel] = b[(first + j) * p.k + i] * p.scale;
    }
    return;
  }
  for (int64_t i = 0; i < p.k; ++i) {
    const float* row = b + i * p.n + first;
    for (int64_t j = 0; j < width; j += panel) {
      float* to = out + j * p.k + i * panel;
      const int64_t count = std::min(panel, width - j);
      if (p.scale == 1.0f) {
        std::memcpy(to, row + j, count * sizeof(float));
      } else {
        for (int64_t l = 0; l < count; ++l) to[l] = row[j + l] * p.scale;
      }
    }
  }
}

void RunProducts(const Products& p, const Epilogue& epilogue, float* scratch, ThreadPool& pool) {
  const MicroKernels micro = CurrentMicro();
  // A vector is enough for the columns of a narrow product.
  const bool half = p.n <= micro.lanes;
  const int64_t panel = half ? micro.lanes : micro.panel;
  const MicroFn product = half ? micro.half : micro.full;
  const int64_t task_columns = p.task_panels(micro.panel) * micro.panel;
  const int64_t tasks = (p.n + task_columns - 1) / task_columns;
  pool.ForEach(p.batch * tasks, [&](int64_t task, int worker) {
    const int64_t item = task / tasks, begin = task % tasks * task_columns, end = std::min(begin + task_columns, p.n);
    float* packed = scratch + worker * p.worker_floats(micro.panel);
    float* tile = packed + p.task_panels(micro.panel) * p.k * micro.panel;
    PackPanels(p, p.b + item * p.k * p.n, begin, end - begin, panel, packed);
    const float* a = p.a + item * p.a_step;
    const GemmTap tap{.a = 0, .b = 0, .k = p.k};
    for (int64_t first = begin; first < end; first += panel) {
      const int64_t width = std::min(panel, end - first);
      const bool direct = epilogue.count == 0 && width == panel;
      for (int64_t row = 0; row < p.m; row += micro.block_rows) {
        const int64_t rows = std::min<int64_t>(micro.block_rows, p.m - row);
        const int64_t offset = (item * p.m + row) * p.n + first;
        float* c = direct ? p.c + offset : tile;
        const int64_t ldc = direct ? p.n : panel;
        for (int64_t r = 0; r < rows && p.bias; ++r) std::fill_n(c + r * ldc, panel, p.bias[row + r]);
        product(rows, &tap, 1, a + row * p.lda, p.lda, packed + (first - begin) * p.k, panel,
                p.bias ? GemmStart::kAccumulate : GemmStart::kZero, nullptr, c, ldc);
        if (!direct) ApplyEpilogue(epilogue, tile, panel, 0, rows, width, first, p.c, offset, p.n);
      }
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
  p.lda = p.k;
  p.a_step = p.m * p.k;
  p.transposed = attrs.transpose_b;
  p.scale = attrs.scale;
  return p;
}

bool MatMulSupports(const NodeRef& ref, const DeviceCaps&) { return WithoutGlu(ref); }

size_t MatMulScratch(const NodeRef& ref, const DeviceCaps& caps) {
  return caps.threads * ProductsOf(ref).worker_floats(CurrentMicro().panel) * sizeof(float);
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
  // Not a power of two: see RowsEvictEachOther.
  p.lda = (p.k + 15) / 16 * 16 + 16;
  return p;
}

bool LinearSupports(const NodeRef& ref, const DeviceCaps&) {
  return ref.attrs<LinearAttrs>().axis == -2 && ref.constant(1) && WithoutGlu(ref);
}

size_t LinearScratch(const NodeRef& ref, const DeviceCaps& caps) {
  return caps.threads * ProductsOfLinear(ref).worker_floats(CurrentMicro().panel) * sizeof(float);
}

Result<AlignedBytes> LinearPack(const NodeRef& ref, const DeviceCaps&) {
  const Products p = ProductsOfLinear(ref);
  TIMBRE_TRY(AlignedBytes packed, AlignedBytes::Allocate(p.m * p.lda * sizeof(float), true));
  const FloatView weight(ref.value(1));
  for (int64_t i = 0; i < p.m; ++i) std::copy_n(weight.data() + i * p.k, p.k, packed.f32() + i * p.lda);
  return packed;
}

Status LinearRun(const CpuCall& call) {
  Products p = ProductsOfLinear(call.ref);
  p.a = call.packed->f32();
  p.b = call.in[0];
  p.bias = call.ref.has(2) ? call.in[2] : nullptr;
  p.c = call.out[0];
  RunProducts(p, BindEpilogue(call), call.scratch, call.pool);
  return {};
}

const KernelRow kRows[] = {
    {Op::kMatMul, DeviceKind::kCpu, Tier::kFast, "matmul_panels", 1, MatMulSupports, MatMulRun, MatMulScratch},
    {Op::kLinear, DeviceKind::kCpu, Tier::kFast, "linear_panels", 1, LinearSupports, LinearRun, LinearScratch,
     LinearPack, 0b010},
};

}  // namespace

std::span<const KernelRow> CpuMatMulKernels() { return kRows; }

}  // namespace timbre
