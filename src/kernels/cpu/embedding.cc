// Rows of a table by their numbers. A table of weights is read as it is stored, a row at a time.
#include <algorithm>
#include <bit>
#include <limits>

#include "kernels/kernel.h"

namespace timbre {
namespace {

constexpr int64_t kGrainFloats = 1 << 13;

// Values that are made when they are wanted can't be made a row at a time.
bool Supports(const NodeRef& ref, const DeviceCaps&) {
  return ref.node.epilogue.empty() && (!ref.constant(1) || ref.value(1).data != nullptr);
}

// A row as it is stored, for each thread.
size_t Scratch(const NodeRef& ref, const DeviceCaps& caps) {
  if (!ref.constant(1) || !ref.value(1).mapped) return 0;
  return static_cast<size_t>(caps.threads) * BytesOf(ref.value(1).dtype, ref.in(1)[1]);
}

Status Run(const CpuCall& call) {
  const int64_t rows = call.ref.in(1)[0], width = call.ref.in(1)[1];
  const bool constant = call.ref.constant(1);
  const DType dtype = constant ? call.ref.value(1).dtype : DType::kF32;
  const std::byte* table = constant ? call.ref.value(1).data.get() : reinterpret_cast<const std::byte*>(call.in[1]);
  const size_t row_bytes = BytesOf(dtype, width);
  const int64_t grain = std::max<int64_t>(1, kGrainFloats / std::max<int64_t>(1, width));
  const bool mapped = constant && call.ref.value(1).mapped;
  call.pool.ForRange(call.ref.in(0).elements(), grain, [&](int64_t begin, int64_t end, int worker) {
    std::byte* const row = reinterpret_cast<std::byte*>(call.scratch) + static_cast<size_t>(worker) * row_bytes;
    for (int64_t i = begin; i < end; ++i) {
      const auto id = std::bit_cast<int32_t>(call.in[0][i]);
      float* const y = call.out[0] + i * width;
      const size_t at = static_cast<size_t>(id) * row_bytes;
      if (id < 0 || id >= rows) {
        std::fill_n(y, width, 0.0f);
      } else if (!mapped) {
        LoadF32(table + at, dtype, width, y);
      } else if (call.ref.value(1).ReadStored(at, row_bytes, row)) {
        LoadF32(row, dtype, width, y);
      } else {
        std::fill_n(y, width, std::numeric_limits<float>::quiet_NaN());  // the file was cut short
      }
    }
  });
  return {};
}

const KernelRow kRows[] = {
    {Op::kEmbedding, DeviceKind::kCpu, Tier::kFast, "embedding_stored", 1, Supports, Run, Scratch, nullptr, 0b10},
};

}  // namespace

std::span<const KernelRow> CpuEmbeddingKernels() { return kRows; }

}  // namespace timbre
