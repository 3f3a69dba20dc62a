// Linear layers whose weights stay as a checkpoint stores them: packed are their bytes as they are, and not even those
// where they lie in memory already. One row is as fast as the weights come; of more rows, four outputs' weights at a
// time are widened into the first-level cache and meet them all, while the next four's come from memory; of many,
// panels of weights are widened into the second-level cache and meet them in the register blocks of all products.
#include <algorithm>
#include <cstring>

#include "kernels/cpu/epilogue.h"
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/stored.h"
#include "kernels/kernel.h"

namespace timbre {
namespace {

// Float32 weights lie as stored in the panels of linear_product too. So few rows want no panels, and weights so large
// are worth the threads.
constexpr int64_t kMostRowsF32 = 32, kLeastWeightsF32 = 1 << 18;
constexpr int64_t kStrip = 16;            // outputs that go through the epilogue together
constexpr int64_t kRowBytes = 512 << 10;  // of rows that stay in the second-level cache while weights pass by
constexpr int64_t kTileRows = 192;        // rows of a task at most: a multiple of DotFour's six
// Terms that are widened at a time: four outputs' are in the first-level cache while all rows meet them. Twice as many
// for all of a row at once.
constexpr int64_t kTerms = 1024;
constexpr int64_t kPadding = 16;                  // floats between rows that would evict each other
constexpr int64_t kTaskBytes = 32 << 10;          // of weights worth handing to a thread, for one row
constexpr int64_t kTaskTerms = int64_t{1} << 22;  // products worth that, for several
constexpr int64_t kManyRows = 96;                 // from which on panels pay: a guess, not yet measured
constexpr int64_t kPanelBytes = 512 << 10;  // of widened panels that stay in the second-level cache while rows pass by
constexpr int64_t kLeastPieceRows = 448;    // that a panel is widened for, where there are so many
constexpr int64_t kPanelTasksAThread = 4;

struct Plan {
  int64_t rows, k, outputs;
  int64_t padded;     // k in whole vectors
  int64_t terms;      // of a row at a time
  int64_t row_block;  // rows of a task
  int64_t out_block;  // and its outputs
  DType dtype;

  explicit Plan(const NodeRef& ref)
      : rows(ref.in(0).elements() / ref.in(0).back()),
        k(ref.in(1)[1]),
        outputs(ref.in(1)[0]),
        padded((k + 15) / 16 * 16),
        terms(padded <= 2 * kTerms ? padded : kTerms),
        dtype(ref.value(1).dtype) {
    row_block = std::clamp<int64_t>(kRowBytes / (padded * 4) / 6 * 6, 24, kTileRows);
    if (rows <= 40) row_block = rows;
    out_block = std::clamp<int64_t>(kTaskTerms / (row_block * padded) / kStrip, 1, 16) * kStrip;
  }
  // Rows are read where they are, unless they end within a vector or would evict each other: whole pages apart, those
  // that are read together fall into one set of the first-level cache.
  bool in_place() const { return k == padded && k % 1024 != 0; }
  int64_t ld() const { return in_place() ? k : padded + kPadding; }
  int64_t wide_ld() const { return terms + kPadding; }
  int64_t copied_floats() const { return in_place() ? 0 : rows * ld(); }
  // Of a worker: widened weights, results, and parts of them.
  int64_t worker_floats() const { return 4 * wide_ld() + row_block * (kStrip + 4); }
};

// Of many rows: pieces of them by groups of panels.
struct PanelPlan {
  MicroKernels micro = CurrentMicro();
  int64_t panel = micro.panel, panels, group, groups, piece_rows, pieces;
  int64_t gather_ld;  // of rows that are moved apart; 0: they are read where they lie

  PanelPlan(const Plan& p, int threads)
      : panels((p.outputs + panel - 1) / panel),
        group(std::clamp<int64_t>(kPanelBytes / (p.padded * panel * 4), 1, panels)),
        groups((panels + group - 1) / group),
        gather_ld(RowsEvictEachOther(micro.block_rows, p.k) ? p.padded + 16 : 0) {
    const int64_t wanted = (kPanelTasksAThread * threads + groups - 1) / groups;
    pieces = std::clamp<int64_t>(wanted, 1, std::max<int64_t>(1, p.rows / kLeastPieceRows));
    piece_rows = ((p.rows + pieces - 1) / pieces + micro.block_rows - 1) / micro.block_rows * micro.block_rows;
    pieces = (p.rows + piece_rows - 1) / piece_rows;
  }
  // Of a worker: the panels and their bias, four rows of weights on their way there, results, and rows moved apart.
  int64_t worker_floats(const Plan& p) const {
    const int64_t floats =
        group * panel * (p.padded + 1) + 4 * p.padded + kMaxBlockRows * kMaxPanel + micro.block_rows * gather_ld;
    return (floats + 15) / 16 * 16;
  }
};

bool Supports(const NodeRef& ref, const DeviceCaps&) {
  const auto& attrs = ref.attrs<LinearAttrs>();
  if (attrs.axis != -1 || attrs.groups != 1 || !ref.constant(1) || !EpilogueServable(ref)) return false;
  for (const EpilogueStep& step : ref.node.epilogue) {
    if (step.kind == EpilogueStep::Kind::kGlu) return false;
  }
  const HostTensor& weight = ref.value(1);
  if (weight.data == nullptr || !CanRead(weight.dtype) || weight.shape[1] % BlockOf(weight.dtype) != 0) return false;
  return weight.dtype != DType::kF32 || (Plan(ref).rows <= kMostRowsF32 && weight.shape.elements() >= kLeastWeightsF32);
}

size_t Scratch(const NodeRef& ref, const DeviceCaps& caps) {
  const Plan p(ref);
  const int64_t floats = p.rows >= kManyRows ? caps.threads * PanelPlan(p, caps.threads).worker_floats(p)
                         : p.rows > 1        ? p.copied_floats() + caps.threads * p.worker_floats()
                                             : ArrangedFloats(p.dtype, p.k);
  return static_cast<size_t>(floats) * sizeof(float);
}

// Bytes in a file are read once: where somebody cuts it short later, nothing happens.
Result<AlignedBytes> Pack(const NodeRef& ref, const DeviceCaps&) {
  const HostTensor& weight = ref.value(1);
  if (!weight.mapped) return AlignedBytes();
  TIMBRE_TRY(AlignedBytes bytes, AlignedBytes::Allocate(weight.bytes()));
  TIMBRE_CHECK(weight.ReadStored(0, bytes.size(), bytes.data()));
  return bytes;
}

const std::byte* Weights(const CpuCall& call) {
  return call.packed != nullptr && call.packed->size() > 0 ? call.packed->data() : call.ref.value(1).data.get();
}

void RunOneRow(const CpuCall& call, const Plan& p, const Epilogue& epilogue) {
  const std::byte* const w = Weights(call);
  const float *const x = call.in[0], *const bias = call.ref.has(2) ? call.in[2] : nullptr;
  const auto row_bytes = static_cast<int64_t>(BytesOf(p.dtype, p.k));
  const bool arranged = ArrangedFloats(p.dtype, p.k) > 0;
  if (arranged) ArrangeForDot(p.dtype, x, p.k, call.scratch);
  const float* const terms = arranged ? call.scratch : x;
  const int64_t strips = (p.outputs + kStrip - 1) / kStrip;
  call.pool.ForRange(strips, std::max<int64_t>(1, kTaskBytes / (kStrip * row_bytes)),
                     [&](int64_t begin, int64_t end, int) {
                       float y[kStrip];
                       for (int64_t o = begin * kStrip; o < std::min(end * kStrip, p.outputs); o += kStrip) {
                         const int64_t width = std::min(kStrip, p.outputs - o);
                         DotStored(w + o * row_bytes, p.dtype, terms, p.k, width, y);
                         for (int64_t j = 0; j < width && bias != nullptr; ++j) y[j] += bias[o + j];
                         ApplyEpilogue(epilogue, y, kStrip, 0, 1, width, o, call.out[0], o, p.outputs);
                       }
                     });
}

// Terms [at, at + terms) of four outputs' weights, as float32; zeros where there are none.
void WidenFour(const std::byte* w, const Plan& p, int64_t output, int64_t last, int64_t at, int64_t terms,
               float* wide) {
  const auto row_bytes = static_cast<int64_t>(BytesOf(p.dtype, p.k));
  const int64_t there = std::clamp<int64_t>(p.k - at, 0, terms);
  for (int64_t q = 0; q < 4; ++q) {
    float* const to = wide + q * p.wide_ld();
    const int64_t count = output + q < last ? there : 0;
    if (count > 0)
      WidenStored(w + (output + q) * row_bytes + static_cast<int64_t>(BytesOf(p.dtype, at)), p.dtype, count, to);
    std::fill(to + count, to + terms, 0.0f);
  }
}

// The four outputs' weights that come after those.
MemoryAhead AheadOf(const std::byte* w, const Plan& p, int64_t output, int64_t last, int64_t at) {
  const auto row_bytes = static_cast<int64_t>(BytesOf(p.dtype, p.k));
  at += p.terms;
  if (at >= p.k) output += 4, at = 0;
  if (output + 4 > last) return {};
  const auto bytes = static_cast<int64_t>(BytesOf(p.dtype, std::min(p.terms, p.k - at)));
  return {w + output * row_bytes + static_cast<int64_t>(BytesOf(p.dtype, at)), 4, bytes, row_bytes};
}

// Outputs [first, first + count) of the weights as panels.
void WidenPanels(const Plan& p, const std::byte* w, int64_t first, int64_t count, int64_t panel, float* wide,
                 float* panels) {
  const auto row_bytes = static_cast<int64_t>(BytesOf(p.dtype, p.k));
  for (int64_t o = 0; o < count; o += 4) {
    for (int64_t q = 0; q < 4; ++q) {
      float* const to = wide + q * p.padded;
      const bool there = first + o + q < p.outputs;
      if (there) WidenStored(w + (first + o + q) * row_bytes, p.dtype, p.k, to);
      std::fill(to + (there ? p.k : 0), to + p.padded, 0.0f);
    }
    FourColumns(wide, p.padded, p.padded, panels + o / panel * panel * p.padded + o % panel, panel);
  }
}

void RunPanels(const CpuCall& call, const Plan& p, const Epilogue& epilogue) {
  const PanelPlan plan(p, call.pool.threads());
  const std::byte* const w = Weights(call);
  const float* const bias = call.ref.has(2) ? call.in[2] : nullptr;
  const int64_t panel = plan.panel;
  const GemmTap tap{.a = 0, .b = 0, .k = p.k};
  call.pool.ForEach(plan.groups * plan.pieces, [&](int64_t task, int worker) {
    const int64_t first = task / plan.pieces * plan.group, panels = std::min(plan.group, plan.panels - first);
    const int64_t begin = task % plan.pieces * plan.piece_rows, end = std::min(begin + plan.piece_rows, p.rows);
    float* const weights = call.scratch + worker * plan.worker_floats(p);
    float* const biases = weights + plan.group * panel * p.padded;
    float* const wide = biases + plan.group * panel;
    float* const tile = wide + 4 * p.padded;
    float* const apart = tile + kMaxBlockRows * kMaxPanel;
    WidenPanels(p, w, first * panel, panels * panel, panel, wide, weights);
    for (int64_t o = 0; o < panels * panel; ++o)
      biases[o] = bias != nullptr && first * panel + o < p.outputs ? bias[first * panel + o] : 0.0f;
    for (int64_t row = begin; row < end; row += plan.micro.block_rows) {
      const int64_t rows = std::min<int64_t>(plan.micro.block_rows, end - row);
      const float* x = call.in[0] + row * p.k;
      int64_t ldx = p.k;
      if (plan.gather_ld > 0) {
        ldx = plan.gather_ld;
        for (int64_t r = 0; r < rows; ++r) std::memcpy(apart + r * ldx, x + r * p.k, p.k * sizeof(float));
        x = apart;
      }
      for (int64_t n = 0; n < panels; ++n) {
        const int64_t column = (first + n) * panel, width = std::min(panel, p.outputs - column);
        const bool direct = epilogue.count == 0 && width == panel;
        float* const to = direct ? call.out[0] + row * p.outputs + column : tile;
        plan.micro.full(rows, &tap, 1, x, ldx, weights + n * panel * p.padded, panel, GemmStart::kBias,
                        biases + n * panel, to, direct ? p.outputs : panel);
        if (!direct)
          ApplyEpilogue(epilogue, tile, panel, 0, rows, width, column, call.out[0], row * p.outputs + column,
                        p.outputs);
      }
    }
  });
}

Status Run(const CpuCall& call) {
  const Plan p(call.ref);
  const Epilogue epilogue = BindEpilogue(call);
  if (p.rows == 1) {
    RunOneRow(call, p, epilogue);
    return {};
  }
  if (p.rows >= kManyRows) {
    RunPanels(call, p, epilogue);
    return {};
  }
  const std::byte* const w = Weights(call);
  const float* const bias = call.ref.has(2) ? call.in[2] : nullptr;
  const int64_t columns = (p.outputs + p.out_block - 1) / p.out_block;
  const int64_t blocks = (p.rows + p.row_block - 1) / p.row_block;
  const float* rows_at = call.in[0];
  if (!p.in_place()) {
    rows_at = call.scratch;
    call.pool.ForRange(p.rows, 8, [&](int64_t begin, int64_t end, int) {
      for (int64_t r = begin; r < end; ++r) {
        float* const to = call.scratch + r * p.ld();
        std::memcpy(to, call.in[0] + r * p.k, static_cast<size_t>(p.k) * sizeof(float));
        std::fill(to + p.k, to + p.padded, 0.0f);
      }
    });
  }
  call.pool.ForEach(blocks * columns, [&](int64_t task, int worker) {
    const int64_t row = task / columns * p.row_block, rows = std::min(p.row_block, p.rows - row);
    const int64_t first = task % columns * p.out_block, last = std::min(first + p.out_block, p.outputs);
    float* const wide = call.scratch + p.copied_floats() + worker * p.worker_floats();
    float* const tile = wide + 4 * p.wide_ld();
    float* const part = tile + p.row_block * kStrip;
    const float* const x = rows_at + row * p.ld();
    for (int64_t o = first; o < last; o += kStrip) {
      const int64_t width = std::min(kStrip, last - o);
      for (int64_t s = 0; s < width; s += 4) {
        for (int64_t at = 0; at < p.padded; at += p.terms) {
          const int64_t terms = std::min(p.terms, p.padded - at);
          WidenFour(w, p, o + s, last, at, terms, wide);
          const int64_t ld = at == 0 ? kStrip : 4;
          DotFour(wide, p.wide_ld(), terms, x + at, p.ld(), rows, at == 0 ? tile + s : part, ld,
                  AheadOf(w, p, o + s, last, at));
          for (int64_t r = 0; r < rows && at > 0; ++r) {
            for (int64_t q = 0; q < 4; ++q) tile[r * kStrip + s + q] += part[r * 4 + q];
          }
        }
      }
      for (int64_t r = 0; r < rows && bias != nullptr; ++r) {
        for (int64_t j = 0; j < width; ++j) tile[r * kStrip + j] += bias[o + j];
      }
      ApplyEpilogue(epilogue, tile, kStrip, 0, rows, width, o, call.out[0], row * p.outputs + o, p.outputs);
    }
  });
  return {};
}

// What lies in memory is read where it is.
int64_t PackedBytesOf(const NodeRef& ref) {
  const HostTensor& weight = ref.value(1);
  return weight.mapped ? static_cast<int64_t>(weight.bytes()) : 0;
}

const KernelRow kRows[] = {
    {Op::kLinear, DeviceKind::kCpu, Tier::kFast, "linear_stored", 5, Supports, Run, Scratch, Pack, 0b010,
     PackedBytesOf},
};

}  // namespace

std::span<const KernelRow> CpuLinearStoredKernels() { return kRows; }

}  // namespace timbre
