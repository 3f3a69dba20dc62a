// Transposed convolutions as products. Output position p of an axis gets input i by kernel tap k where p + crop = i *
// stride + k. The positions with the same phase r = (p + crop) mod stride thus see an ordinary convolution with the
// taps k = r, r + stride, ... and along the width, the phases of one input position lie side by side: they are columns
// of one product.
#include <algorithm>
#include <type_traits>
#include <vector>

#include "kernels/cpu/conv_rows.h"
#include "kernels/cpu/packed_numbers.h"
#include "kernels/cpu/products.h"
#include "kernels/kernel.h"

namespace timbre {
namespace {

struct TransposeGeometry {
  int64_t batch = 1, in_channels = 1, out_channels = 1;
  std::array<int64_t, 3> in{1, 1, 1}, out{1, 1, 1};
  Dims3 kernel{1, 1, 1}, stride{1, 1, 1}, crop{0, 0, 0};
  int64_t groups = 1;        // in_channels and out_channels are those of one group
  DType type = DType::kF32;  // that FloatProducts packs the weights in

  // Phases along the width in one product: all, where they have equally many taps or would not fill a vector each.
  int64_t joined() const { return groups == 1 && (kernel[2] % stride[2] == 0 || out_channels < 16) ? stride[2] : 1; }
  int64_t phases() const { return int64_t{stride[0]} * stride[1] * stride[2] / joined(); }
  int64_t n() const { return joined() * out_channels; }
};

TransposeGeometry GeometryOf(const NodeRef& ref) {
  const auto& attrs = ref.attrs<ConvTransposeAttrs>();
  const Shape &x = ref.in(0), &y = ref.out();
  TransposeGeometry g;
  g.batch = x[0];
  g.groups = attrs.groups;
  g.in_channels = x.back() / g.groups;
  g.out_channels = ref.in(1)[1];
  g.kernel = attrs.kernel;
  g.stride = attrs.stride;
  g.crop = attrs.crop_lo;
  g.type = PackedType(ref.value(1));
  for (int i = 0; i < attrs.dims; ++i) {
    g.in[3 - attrs.dims + i] = x[1 + i];
    g.out[3 - attrs.dims + i] = y[1 + i];
  }
  return g;
}

// One phase: its taps, and which multiples q of the stride have outputs, along each axis.
struct Phase {
  std::array<int64_t, 3> r{0, 0, 0}, taps{1, 1, 1}, first{0, 0, 0}, count{1, 1, 1};
};

Phase PhaseOf(const TransposeGeometry& g, int64_t index) {
  Phase phase;
  const int64_t along_width = g.stride[2] / g.joined();
  phase.r = {index / along_width / g.stride[1], index / along_width % g.stride[1], index % along_width};
  for (int i = 0; i < 3; ++i) {
    phase.taps[i] = std::max<int64_t>(1, (g.kernel[i] - phase.r[i] + g.stride[i] - 1) / g.stride[i]);
    // Where a row holds all phases of the width, it may lie partly outside.
    const int64_t low = i == 2 && g.joined() > 1 ? g.crop[i] - (g.stride[i] - 1) : g.crop[i] - phase.r[i];
    phase.first[i] = low <= 0 ? 0 : (low + g.stride[i] - 1) / g.stride[i];
    const int64_t high = g.out[i] - 1 + g.crop[i] - phase.r[i];
    phase.count[i] = high < 0 ? 0 : std::max<int64_t>(0, high / g.stride[i] + 1 - phase.first[i]);
  }
  return phase;
}

ConvGeometry RowsOf(const TransposeGeometry& g, const Phase& phase) {
  ConvGeometry rows;
  rows.batch = g.batch;
  rows.c = g.in_channels * g.groups;
  rows.in = g.in;
  rows.out = phase.count;
  for (int i = 0; i < 3; ++i) {
    rows.kernel[i] = static_cast<int32_t>(phase.taps[i]);
    rows.pad[i] = static_cast<int32_t>(phase.taps[i] - 1 - phase.first[i]);
  }
  return rows;
}

class PhaseTarget : public GemmTarget {
 public:
  PhaseTarget(const TransposeGeometry& g, const Phase& phase) : g_(g), phase_(phase) {}

  bool Find(int64_t row, int64_t rows, int64_t* offset) const override {
    if (row % phase_.count[2] + rows > phase_.count[2]) return false;
    int64_t begin, end;
    Row(row + rows - 1, offset, &begin, &end);
    if (begin != 0 || end != g_.n()) return false;
    Row(row, offset, &begin, &end);
    return begin == 0 && end == g_.n();
  }

  void Row(int64_t row, int64_t* offset, int64_t* begin, int64_t* end) const override {
    std::array<int64_t, 3> at;
    for (int i = 2; i >= 0; --i) {
      at[i] = (phase_.first[i] + row % phase_.count[i]) * g_.stride[i] + phase_.r[i] - g_.crop[i];
      row /= phase_.count[i];
    }
    *offset = (((row * g_.out[0] + at[0]) * g_.out[1] + at[1]) * g_.out[2] + at[2]) * g_.out_channels * g_.groups;
    *begin = std::max<int64_t>(0, -at[2]) * g_.out_channels;
    *end = std::min<int64_t>(g_.joined(), g_.out[2] - at[2]) * g_.out_channels;
  }

 private:
  const TransposeGeometry& g_;
  const Phase& phase_;
};

GemmShape ShapeOf(const TransposeGeometry& g, const Phase& phase) {
  return {.m = g.batch * phase.count[0] * phase.count[1] * phase.count[2],
          .k = phase.taps[0] * phase.taps[1] * phase.taps[2] * g.in_channels,
          .n = g.n(),
          .row_bytes = phase.taps[0] * phase.taps[1] * g.in_channels * 4,
          .run = g.in_channels,
          .type = g.type};
}

template <typename Products>
bool Supports(const NodeRef& ref, const DeviceCaps& caps) {
  for (const EpilogueStep& step : ref.node.epilogue) {
    if (step.kind == EpilogueStep::Kind::kGlu) return false;
  }
  const TransposeGeometry g = GeometryOf(ref);
  return Products::Worthwhile(ShapeOf(g, PhaseOf(g, 0)), caps) && ref.constant(1) && (!ref.has(2) || ref.constant(2)) &&
         EpilogueServable(ref);
}

// What Gemm needs, then room for the epilogue's features repeated for each phase of the width.
template <typename Products>
size_t GemmFloats(const TransposeGeometry& g, int threads) {
  size_t bytes = 0;
  for (int64_t p = 0; p < g.phases(); ++p)
    bytes = std::max(bytes, Products::ScratchBytes(ShapeOf(g, PhaseOf(g, p)), threads));
  return bytes / sizeof(float);
}

template <typename Products>
size_t Scratch(const NodeRef& ref, const DeviceCaps& caps) {
  const TransposeGeometry g = GeometryOf(ref);
  return (GemmFloats<Products>(g, caps.threads) + Epilogue::kMaxOps * g.n()) * sizeof(float);
}

// weight [in, out, kernel...]
template <typename Products>
Result<AlignedBytes> Pack(const NodeRef& ref, const DeviceCaps&) {
  const TransposeGeometry g = GeometryOf(ref);
  std::vector<float> bias;
  if (ref.has(2)) {
    const FloatView one(ref.value(2));
    // Of every group in turn, for the joined phases.
    for (int64_t group = 0; group < g.groups; ++group) {
      const float* first = one.data() + group * g.out_channels;
      for (int64_t i = 0; i < g.joined(); ++i) bias.insert(bias.end(), first, first + g.out_channels);
    }
  }
  const int64_t taps = int64_t{g.kernel[0]} * g.kernel[1] * g.kernel[2];
  size_t bytes = 0;
  for (int64_t p = 0; p < g.phases(); ++p) bytes += g.groups * Products::Bytes(ShapeOf(g, PhaseOf(g, p)));
  TIMBRE_TRY(AlignedBytes packed, AlignedBytes::Allocate(bytes));
  std::byte* to = packed.data();
  const auto pack = [&]<typename Number>(const Number* weight) {
    for (int64_t block = 0; block < g.phases() * g.groups; ++block) {
      const Phase phase = PhaseOf(g, block / g.groups);
      const GemmShape shape = ShapeOf(g, phase);
      const int64_t group = block % g.groups;
      const auto at = [&](int64_t i, int64_t j) {
        const int64_t channel = group * g.in_channels + i % g.in_channels;
        int64_t rest = i / g.in_channels, tap = 0, scale = 1;
        for (int axis = 2; axis >= 0; --axis) {
          const int64_t back = phase.taps[axis] - 1 - rest % phase.taps[axis];  // inputs before the position itself
          rest /= phase.taps[axis];
          const int64_t r = axis == 2 && g.joined() > 1 ? j / g.out_channels : phase.r[axis];
          const int64_t k = r + back * g.stride[axis];
          if (k >= g.kernel[axis]) return Number{};
          tap += k * scale;
          scale *= g.kernel[axis];
        }
        return weight[(channel * g.out_channels + j % g.out_channels) * taps + tap];
      };
      Products::Pack(shape, at, bias.empty() ? nullptr : bias.data() + group * g.n(), to);
      to += Products::Bytes(shape);
    }
  };
  if constexpr (std::is_same_v<Products, FloatProducts>) {
    TIMBRE_CHECK(WithNumbers(ref.value(1), g.type, pack));
  } else {
    pack(FloatView(ref.value(1)).data());
  }
  return packed;
}

template <typename Products>
Status Run(const CpuCall& call) {
  const TransposeGeometry g = GeometryOf(call.ref);
  Epilogue epilogue = BindEpilogue(call);
  float* repeated = call.scratch + GemmFloats<Products>(g, call.pool.threads());
  for (int i = 0; i < epilogue.count; ++i) {
    EpilogueOp& op = epilogue.ops[i];
    const bool features =
        op.kind == EpilogueStep::Kind::kMulConst || (op.kind == EpilogueStep::Kind::kPRelu && op.per_feature);
    if (!features || g.joined() == 1) continue;
    float* to = repeated + i * g.n();
    for (int64_t r = 0; r < g.joined(); ++r) std::copy_n(op.data, g.out_channels, to + r * g.out_channels);
    op.data = to;
  }
  const std::byte* packed = call.packed->data();
  for (int64_t p = 0; p < g.phases(); ++p) {
    const Phase phase = PhaseOf(g, p);
    const GemmShape shape = ShapeOf(g, phase);
    const PhaseTarget target(g, phase);
    for (int64_t group = 0; group < g.groups; ++group) {
      const ConvRows rows(RowsOf(g, phase), call.in[0], group * g.in_channels, g.in_channels);
      if (shape.m > 0) {
        Products::Multiply(rows, shape, packed, epilogue, call.out[0], g.stride[2] * g.out_channels * g.groups,
                           group * g.out_channels, call.scratch, call.pool, &target);
      }
      packed += Products::Bytes(shape);
    }
  }
  return {};
}

int64_t PackedBytesAsStored(const NodeRef& ref) { return PackedBytes(ref, 0b110, 0b010); }

template <typename Products>
constexpr KernelRow Row(std::string_view name, int version) {
  return {.op = Op::kConvTranspose,
          .device = DeviceKind::kCpu,
          .tier = Tier::kFast,
          .name = name,
          .version = version,
          .supports = Supports<Products>,
          .run = Run<Products>,
          .scratch_bytes = Scratch<Products>,
          .pack = Pack<Products>,
          .packed_inputs = 0b110,
          .packed_bytes = std::is_same_v<Products, FloatProducts> ? PackedBytesAsStored : nullptr,
          .precision = Products::kPrecision};
}

const KernelRow kRows[] = {
    Row<MatrixProducts<Precision::kBf16>>("conv_transpose_matrix_bf16", 1),
    Row<MatrixProducts<Precision::kBf16x3>>("conv_transpose_matrix_bf16x3", 1),
    Row<HalfProducts<kConvHalfRun>>("conv_transpose_product_f16", 1),
    Row<FloatProducts>("conv_transpose_product", 4),
};

}  // namespace

std::span<const KernelRow> CpuConvTransposeKernels() { return kRows; }

}  // namespace timbre
