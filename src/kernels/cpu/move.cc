// Operators that only move data.
#include <algorithm>
#include <cstring>

#include "kernels/kernel.h"

namespace timbre {
namespace {

// Bytes worth handing to a thread.
constexpr int64_t kGrainFloats = 1 << 15;

int64_t Grain(int64_t floats) { return std::max<int64_t>(1, kGrainFloats / std::max<int64_t>(1, floats)); }

// A call costs more than a few floats do.
void Copy(float* to, const float* from, int64_t count) {
  if (count > 64) {
    std::memcpy(to, from, count * sizeof(float));
    return;
  }
  constexpr int64_t kVector = 8;
  for (; count >= kVector; count -= kVector, to += kVector, from += kVector) {
    std::memcpy(to, from, kVector * sizeof(float));
  }
  for (int64_t i = 0; i < count; ++i) to[i] = from[i];
}

// ---- Transpose ----

// The axes, with those that stay neighbours merged.
struct Axes {
  int rank = 0;
  int64_t size[Shape::kMaxRank], stride[Shape::kMaxRank];  // in the output's order; strides in the input
};

Axes AxesOf(const NodeRef& ref) {
  const Shape& x = ref.in(0);
  const auto& perm = ref.attrs<TransposeAttrs>().perm;
  Axes axes;
  for (int i = 0; i < x.rank(); ++i) {
    const int64_t n = x[perm[i]], stride = x.stride(perm[i]);
    if (n == 1) continue;
    if (axes.rank > 0 && axes.stride[axes.rank - 1] == n * stride) {
      axes.size[axes.rank - 1] *= n;
      axes.stride[axes.rank - 1] = stride;
      continue;
    }
    axes.size[axes.rank] = n;
    axes.stride[axes.rank++] = stride;
  }
  if (axes.rank == 0) axes = {1, {1}, {1}};
  return axes;
}

Status TransposeRun(const CpuCall& call) {
  const Axes axes = AxesOf(call.ref);
  const int last = axes.rank - 1;
  // Where output index `at` of the first `count` axes begins in the input.
  const auto place = [&](int64_t at, int count) {
    int64_t offset = 0;
    for (int i = count - 1; i >= 0; --i) {
      offset += at % axes.size[i] * axes.stride[i];
      at /= axes.size[i];
    }
    return offset;
  };
  const int64_t inner = axes.size[last];
  int64_t outer = 1;
  for (int i = 0; i < last; ++i) outer *= axes.size[i];
  if (axes.stride[last] == 1) {
    call.pool.ForRange(outer, Grain(inner), [&](int64_t begin, int64_t end, int) {
      for (int64_t r = begin; r < end; ++r) {
        Copy(call.out[0] + r * inner, call.in[0] + place(r, last), inner);
      }
    });
    return {};
  }
  // Blocks of the axis that was contiguous and the axis that becomes so: both sides touch whole cache lines.
  int source = 0;
  while (axes.stride[source] != 1) ++source;
  constexpr int64_t kBlock = 16;
  const int64_t rows = axes.size[source];
  int64_t out_stride = 1, between = 1;  // of the source axis in the output; positions of the axes around it
  for (int i = source + 1; i <= last; ++i) out_stride *= axes.size[i];
  for (int i = source + 1; i < last; ++i) between *= axes.size[i];
  const int64_t planes = outer / rows, row_blocks = (rows + kBlock - 1) / kBlock;
  call.pool.ForRange(planes * row_blocks, Grain(inner * kBlock), [&](int64_t begin, int64_t end, int) {
    for (int64_t task = begin; task < end; ++task) {
      const int64_t plane = task / row_blocks, first = task % row_blocks * kBlock,
                    last_row = std::min(first + kBlock, rows);
      // The output's row with the source axis at 0.
      const int64_t zero = plane / between * rows * between + plane % between;
      const float* x = call.in[0] + place(zero, last);
      float* y = call.out[0] + zero * inner;
      for (int64_t j = 0; j < inner; j += kBlock) {
        const int64_t until = std::min(j + kBlock, inner);
        for (int64_t r = first; r < last_row; ++r) {
          for (int64_t i = j; i < until; ++i) y[r * out_stride + i] = x[r + i * axes.stride[last]];
        }
      }
    }
  });
  return {};
}

// ---- Along one axis: [outer, axis, inner] ----

struct AlongAxis {
  int64_t outer, size, inner;
  AlongAxis(const Shape& shape, int axis)
      : outer(shape.Product(0, axis)), size(shape[axis]), inner(shape.Product(axis + 1, shape.rank())) {}
};

constexpr int64_t kShortRun = 8;  // floats, for which a loop of their own costs more than to copy them

// `count` runs of `length` floats, one behind the other, to places `stride` apart.
void CopyShortRuns(float* to, int64_t stride, const float* from, int64_t length, int64_t count) {
  const auto copy = [&](int64_t n) {
    for (int64_t i = 0; i < count; ++i) {
      for (int64_t j = 0; j < n; ++j) to[i * stride + j] = from[i * n + j];
    }
  };
  switch (length) {
    case 1: return copy(1);
    case 2: return copy(2);
    case 4: return copy(4);
    case 8: return copy(8);
    default: return copy(length);
  }
}

// One stretch, by all threads: an axis with nothing outside it is one, however long.
void CopyAll(ThreadPool& pool, float* to, const float* from, int64_t count) {
  pool.ForRange(count, kGrainFloats, [&](int64_t begin, int64_t end, int) {
    std::memcpy(to + begin, from + begin, (end - begin) * sizeof(float));
  });
}

Status SliceRun(const CpuCall& call) {
  const auto& attrs = call.ref.attrs<SliceAttrs>();
  const AlongAxis x(call.ref.in(0), attrs.axis), y(call.ref.out(), attrs.axis);
  // With a step of 1 the slice of each outer index is one run.
  const int64_t runs = attrs.step == 1 ? 1 : y.size, length = attrs.step == 1 ? y.size * y.inner : y.inner;
  if (x.outer * runs == 1) {
    CopyAll(call.pool, call.out[0], call.in[0] + attrs.begin * x.inner, length);
    return {};
  }
  call.pool.ForRange(x.outer * runs, Grain(length), [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      const float* from = call.in[0] + (i / runs * x.size + attrs.begin + i % runs * attrs.step) * x.inner;
      Copy(call.out[0] + i * length, from, length);
    }
  });
  return {};
}

Status ConcatRun(const CpuCall& call) {
  const int axis = call.ref.attrs<ConcatAttrs>().axis;
  const AlongAxis y(call.ref.out(), axis);
  const int64_t row = y.size * y.inner;
  if (y.outer == 1) {
    float* to = call.out[0];
    for (size_t k = 0; k < call.in.size(); ++k) {
      const int64_t length = call.ref.in(static_cast<int>(k)).elements();
      CopyAll(call.pool, to, call.in[k], length);
      to += length;
    }
    return {};
  }
  int64_t longest = 0;
  for (size_t k = 0; k < call.in.size(); ++k) {
    longest = std::max(longest, call.ref.in(static_cast<int>(k))[axis] * y.inner);
  }
  if (longest <= kShortRun) {
    call.pool.ForRange(y.outer, Grain(row), [&](int64_t begin, int64_t end, int) {
      // So many rows at a time that what is written stays in the first-level cache.
      constexpr int64_t kRows = 256;
      for (int64_t o = begin; o < end; o += kRows) {
        float* to = call.out[0] + o * row;
        for (size_t k = 0; k < call.in.size(); ++k) {
          const int64_t length = call.ref.in(static_cast<int>(k))[axis] * y.inner;
          CopyShortRuns(to, row, call.in[k] + o * length, length, std::min(kRows, end - o));
          to += length;
        }
      }
    });
    return {};
  }
  // Row by row, so that the output is written from its beginning to its end.
  call.pool.ForRange(y.outer, Grain(row), [&](int64_t begin, int64_t end, int) {
    for (int64_t o = begin; o < end; ++o) {
      float* to = call.out[0] + o * row;
      for (size_t k = 0; k < call.in.size(); ++k) {
        const int64_t length = call.ref.in(static_cast<int>(k))[axis] * y.inner;
        Copy(to, call.in[k] + o * length, length);
        to += length;
      }
    }
  });
  return {};
}

Status PadRun(const CpuCall& call) {
  const auto& attrs = call.ref.attrs<PadAttrs>();
  const AlongAxis x(call.ref.in(0), attrs.axis), y(call.ref.out(), attrs.axis);
  // Place by place, as the rows of a lone picture are one axis with nothing outside it.
  call.pool.ForRange(y.outer * y.size, Grain(y.inner), [&](int64_t begin, int64_t end, int) {
    for (int64_t at = begin; at < end;) {
      const int64_t o = at / y.size, last = std::min(end - o * y.size, y.size);
      const float* from = call.in[0] + o * x.size * x.inner;
      float* to = call.out[0] + o * y.size * y.inner;
      const auto fill = [&](int64_t i) {
        int64_t source = i - attrs.lo;
        if (attrs.mode == PadMode::kZero) {
          std::memset(to + i * x.inner, 0, x.inner * sizeof(float));
          return;
        }
        if (attrs.mode == PadMode::kReplicate) source = std::clamp<int64_t>(source, 0, x.size - 1);
        if (source < 0) source = -source;
        if (source >= x.size) source = 2 * (x.size - 1) - source;
        Copy(to + i * x.inner, from + source * x.inner, x.inner);
      };
      int64_t i = at % y.size;
      for (; i < std::min(last, attrs.lo); ++i) fill(i);
      const int64_t copied = std::min(last, attrs.lo + x.size) - i;
      if (copied > 0) {
        std::memcpy(to + i * x.inner, from + (i - attrs.lo) * x.inner, copied * x.inner * sizeof(float));
        i += copied;
      }
      for (; i < last; ++i) fill(i);
      at = o * y.size + last;
    }
  });
  return {};
}

Status UpsampleRun(const CpuCall& call) {
  const auto& attrs = call.ref.attrs<UpsampleAttrs>();
  const AlongAxis x(call.ref.in(0), attrs.axis);
  const int64_t factor = attrs.factor;
  call.pool.ForRange(x.outer * x.size, Grain(x.inner * factor), [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      for (int64_t f = 0; f < factor; ++f) {
        Copy(call.out[0] + (i * factor + f) * x.inner, call.in[0] + i * x.inner, x.inner);
      }
    }
  });
  return {};
}

Status ReshapeRun(const CpuCall& call) {
  if (call.out[0] != call.in[0]) CopyAll(call.pool, call.out[0], call.in[0], call.ref.out().elements());
  return {};
}

const KernelRow kRows[] = {
    {Op::kTranspose, DeviceKind::kCpu, Tier::kFast, "transpose_blocks", 1, nullptr, TransposeRun},
    {Op::kSlice, DeviceKind::kCpu, Tier::kFast, "slice_runs", 1, nullptr, SliceRun},
    {Op::kConcat, DeviceKind::kCpu, Tier::kFast, "concat_runs", 1, nullptr, ConcatRun},
    {Op::kPad, DeviceKind::kCpu, Tier::kFast, "pad_runs", 1, nullptr, PadRun},
    {Op::kUpsample, DeviceKind::kCpu, Tier::kFast, "upsample_runs", 1, nullptr, UpsampleRun},
    {Op::kReshape, DeviceKind::kCpu, Tier::kFast, "reshape_copy", 1, nullptr, ReshapeRun},
};

}  // namespace

std::span<const KernelRow> CpuMoveKernels() { return kRows; }

}  // namespace timbre
