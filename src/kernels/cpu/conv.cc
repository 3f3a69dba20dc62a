// Convolutions and linear layers as products over the input in place.
#include <algorithm>
#include <cstring>
#include <vector>

#include "kernels/cpu/gemm.h"
#include "kernels/kernel.h"

namespace timbre {
namespace {

// A convolution's geometry with three spatial axes: depth, height, width.
struct Geometry {
  int64_t batch = 1, c = 1;  // c: all channels of the input
  std::array<int64_t, 3> in{1, 1, 1}, out{1, 1, 1};
  Dims3 kernel, stride, dilation, pad;

  int64_t rows() const { return batch * out[0] * out[1] * out[2]; }
  int64_t taps() const { return int64_t{kernel[0]} * kernel[1] * kernel[2]; }
  bool pointwise() const { return taps() == 1 && stride == Dims3{1, 1, 1} && in == out; }
};

Geometry GeometryOf(const NodeRef& ref) {
  const auto& attrs = ref.attrs<ConvAttrs>();
  const Shape& x = ref.in(0);
  const Shape& y = ref.out();
  Geometry g{.batch = x[0],
             .c = x.back(),
             .kernel = attrs.kernel,
             .stride = attrs.stride,
             .dilation = attrs.dilation,
             .pad = attrs.pad_lo};
  for (int i = 0; i < attrs.dims; ++i) {
    g.in[3 - attrs.dims + i] = x[1 + i];
    g.out[3 - attrs.dims + i] = y[1 + i];
  }
  return g;
}

// The unrolled input: one row for each output position, one run for each contiguous piece of its receptive field.
class ConvRows : public GemmRows {
 public:
  // Reads channels [first, first + count) of each position.
  ConvRows(const Geometry& g, const float* x, int64_t first, int64_t count)
      : g_(g), x_(x + first), count_(count), merged_(g.dilation[2] == 1 && count == g.c) {}

  int64_t max_taps() const override { return merged_ ? int64_t{g_.kernel[0]} * g_.kernel[1] : g_.taps(); }

  bool Find(int64_t row, int64_t rows, Place* place, GemmTap* taps) const override {
    const Position at = PositionOf(row);
    if (at.out[2] + rows > g_.out[2]) return false;  // more than one line
    const int64_t first = at.out[2] * g_.stride[2] - g_.pad[2];
    const int64_t last = first + (rows - 1) * g_.stride[2] + (g_.kernel[2] - 1) * g_.dilation[2];
    if (first < 0 || last >= g_.in[2]) return false;
    const int64_t lda = g_.stride[2] * g_.c;
    if (rows > 8 && lda % 1024 == 0) return false;  // see gemm.cc: such rows evict each other
    *place = {.a = x_ + (at.n * g_.in[0] * g_.in[1] * g_.in[2] + first) * g_.c, .lda = lda, .tap_count = 0};
    for (int kd = 0; kd < g_.kernel[0]; ++kd) {
      const int64_t d = at.out[0] * g_.stride[0] - g_.pad[0] + kd * g_.dilation[0];
      if (d < 0 || d >= g_.in[0]) continue;
      for (int kh = 0; kh < g_.kernel[1]; ++kh) {
        const int64_t h = at.out[1] * g_.stride[1] - g_.pad[1] + kh * g_.dilation[1];
        if (h < 0 || h >= g_.in[1]) continue;
        const int64_t a = (d * g_.in[1] + h) * g_.in[2] * g_.c;
        const int64_t b = (int64_t{kd} * g_.kernel[1] + kh) * g_.kernel[2] * count_;
        if (merged_) {
          taps[place->tap_count++] = {.a = a, .b = b, .k = g_.kernel[2] * count_};
          continue;
        }
        for (int kw = 0; kw < g_.kernel[2]; ++kw) {
          taps[place->tap_count++] = {.a = a + kw * g_.dilation[2] * g_.c, .b = b + kw * count_, .k = count_};
        }
      }
    }
    return true;
  }

  void Gather(int64_t row, int64_t rows, float* out, int64_t ld) const override {
    for (int64_t r = 0; r < rows; ++r) {
      const Position at = PositionOf(row + r);
      float* to = out + r * ld;
      for (int kd = 0; kd < g_.kernel[0]; ++kd) {
        const int64_t d = at.out[0] * g_.stride[0] - g_.pad[0] + kd * g_.dilation[0];
        for (int kh = 0; kh < g_.kernel[1]; ++kh) {
          const int64_t h = at.out[1] * g_.stride[1] - g_.pad[1] + kh * g_.dilation[1];
          const bool inside = d >= 0 && d < g_.in[0] && h >= 0 && h < g_.in[1];
          const float* line = x_ + ((at.n * g_.in[0] + d) * g_.in[1] + h) * g_.in[2] * g_.c;
          for (int kw = 0; kw < g_.kernel[2]; ++kw, to += count_) {
            const int64_t w = at.out[2] * g_.stride[2] - g_.pad[2] + kw * g_.dilation[2];
            if (inside && w >= 0 && w < g_.in[2]) {
              std::memcpy(to, line + w * g_.c, count_ * sizeof(float));
            } else {
              std::memset(to, 0, count_ * sizeof(float));
            }
          }
        }
      }
    }
  }

 private:
  struct Position {
    int64_t n;
    std::array<int64_t, 3> out;
  };
  Position PositionOf(int64_t row) const {
    Position at;
    at.out[2] = row % g_.out[2];
    row /= g_.out[2];
    at.out[1] = row % g_.out[1];
    row /= g_.out[1];
    at.out[0] = row % g_.out[0];
    at.n = row / g_.out[0];
    return at;
  }

  Geometry g_;
  const float* x_;
  int64_t count_;
  bool merged_;  // a line of the kernel is one run
};

bool HasGlu(const NodeRef& ref) {
  return std::any_of(ref.node.epilogue.begin(), ref.node.epilogue.end(),
                     [](const EpilogueStep& step) { return step.kind == EpilogueStep::Kind::kGlu; });
}

// ---- Convolution ----

GemmShape ConvShape(const NodeRef& ref) {
  const Geometry g = GeometryOf(ref);
  const Shape& weight = ref.in(1);
  const int groups = ref.attrs<ConvAttrs>().groups;
  const int64_t lines = std::max<int64_t>(1, int64_t{g.kernel[0]} * g.kernel[1]);
  return {.m = g.rows(),
          .k = weight[1] * g.taps(),
          .n = weight[0] / groups,
          .glu = HasGlu(ref),
          .row_bytes = lines * g.stride[2] * g.c * 4};
}

bool ConvSupports(const NodeRef& ref, const DeviceCaps&) {
  return ref.constant(1) && (!ref.has(2) || ref.constant(2)) && EpilogueServable(ref) &&
         (ref.attrs<ConvAttrs>().groups == 1 || !HasGlu(ref));
}

size_t ConvScratch(const NodeRef& ref, const DeviceCaps& caps) {
  return GemmScratchBytes(ConvShape(ref), caps.threads);
}

// weight [out, in/groups, kernel...] as one block of panels for each group.
Result<AlignedBytes> ConvPack(const NodeRef& ref, const DeviceCaps&) {
  const GemmShape shape = ConvShape(ref);
  const PackedLayout layout(shape.k, shape.n, shape.glu);
  const int groups = ref.attrs<ConvAttrs>().groups;
  const std::vector<float> weight = ref.value(1).ToF32();
  const std::vector<float> bias = ref.has(2) ? ref.value(2).ToF32() : std::vector<float>();
  const int64_t channels = ref.in(1)[1], taps = shape.k / channels;
  TIMBRE_TRY(AlignedBytes packed, AlignedBytes::Allocate(groups * layout.floats() * sizeof(float)));
  for (int g = 0; g < groups; ++g) {
    const float* w = weight.data() + g * shape.n * shape.k;
    const auto at = [&](int64_t i, int64_t j) { return w[(j * channels + i % channels) * taps + i / channels]; };
    PackWeights(layout, at, bias.empty() ? nullptr : bias.data() + g * shape.n, packed.f32() + g * layout.floats());
  }
  return packed;
}

Status ConvRun(const CpuCall& call) {
  const Geometry g = GeometryOf(call.ref);
  const GemmShape shape = ConvShape(call.ref);
  const PackedLayout layout(shape.k, shape.n, shape.glu);
  const int groups = call.ref.attrs<ConvAttrs>().groups;
  const Epilogue epilogue = BindEpilogue(call);
  const int64_t channels = g.c / groups;
  for (int i = 0; i < groups; ++i) {
    const float* packed = call.packed->f32() + i * layout.floats();
    if (g.pointwise()) {
      const PlainRows rows(call.in[0] + i * channels, g.c, channels);
      Gemm(rows, shape, packed, epilogue, call.out[0], call.ref.out().back(), i * shape.n, call.scratch, call.pool);
    } else {
      const ConvRows rows(g, call.in[0], i * channels, channels);
      Gemm(rows, shape, packed, epilogue, call.out[0], call.ref.out().back(), i * shape.n, call.scratch, call.pool);
    }
  }
  return {};
}

// ---- Linear over the last axis ----

GemmShape LinearShape(const NodeRef& ref) {
  const Shape& weight = ref.in(1);
  const int64_t in = weight.back(), rows = ref.in(0).elements() / ref.in(0).back();
  return {.m = rows, .k = in, .n = weight[-2], .glu = HasGlu(ref), .row_bytes = ref.in(0).back() * 4};
}

bool LinearSupports(const NodeRef& ref, const DeviceCaps&) {
  const auto& attrs = ref.attrs<LinearAttrs>();
  return attrs.axis == -1 && ref.constant(1) && (!ref.has(2) || ref.constant(2)) && EpilogueServable(ref) &&
         (attrs.groups == 1 || !HasGlu(ref));
}

size_t LinearScratch(const NodeRef& ref, const DeviceCaps& caps) {
  return GemmScratchBytes(LinearShape(ref), caps.threads);
}

Result<AlignedBytes> LinearPack(const NodeRef& ref, const DeviceCaps&) {
  const GemmShape shape = LinearShape(ref);
  const PackedLayout layout(shape.k, shape.n, shape.glu);
  const int groups = ref.attrs<LinearAttrs>().groups;
  const std::vector<float> weight = ref.value(1).ToF32();
  const std::vector<float> bias = ref.has(2) ? ref.value(2).ToF32() : std::vector<float>();
  TIMBRE_TRY(AlignedBytes packed, AlignedBytes::Allocate(groups * layout.floats() * sizeof(float)));
  for (int g = 0; g < groups; ++g) {
    const float* w = weight.data() + g * shape.n * shape.k;
    PackWeights(
        layout, [&](int64_t i, int64_t j) { return w[j * shape.k + i]; },
        bias.empty() ? nullptr : bias.data() + g * shape.n, packed.f32() + g * layout.floats());
  }
  return packed;
}

Status LinearRun(const CpuCall& call) {
  const GemmShape shape = LinearShape(call.ref);
  const PackedLayout layout(shape.k, shape.n, shape.glu);
  const Epilogue epilogue = BindEpilogue(call);
  for (int g = 0; g < call.ref.attrs<LinearAttrs>().groups; ++g) {
    const PlainRows rows(call.in[0] + g * shape.k, call.ref.in(0).back(), shape.k);
    Gemm(rows, shape, call.packed->f32() + g * layout.floats(), epilogue, call.out[0], call.ref.out().back(),
         g * shape.n, call.scratch, call.pool);
  }
  return {};
}

constexpr uint32_t kWeightAndBias = 0b110;

const KernelRow kRows[] = {
    {Op::kConv, DeviceKind::kCpu, Tier::kFast, "conv_product", 1, ConvSupports, ConvRun, ConvScratch, ConvPack,
     kWeightAndBias},
    {Op::kLinear, DeviceKind::kCpu, Tier::kFast, "linear_product", 1, LinearSupports, LinearRun, LinearScratch,
     LinearPack, kWeightAndBias},
};

}  // namespace

std::span<const KernelRow> CpuConvKernels() { return kRows; }

}  // namespace timbre
