// What packing reads of a constant: its numbers in the two bytes that a checkpoint stores them in, or as float32.
#pragma once

#include <cstdint>

#include "base/aligned.h"
#include "graph/tensor.h"
#include "kernels/cpu/float_view.h"
#include "kernels/cpu/matrix_unit.h"
#include "kernels/kernel.h"

namespace timbre {

// The type that kernels which keep weights as they are stored pack a constant in: float16 and bfloat16 as they are, be
// it that the values are stored so or made as numbers of that type whenever they are wanted; float32 for all others.
inline DType PackedType(const HostTensor& tensor) {
  return tensor.dtype == DType::kF16 || tensor.dtype == DType::kBF16 ? tensor.dtype : DType::kF32;
}

// The bytes of those of a node's constants whose bit is set in `inputs` (bit i = input i): of what is also in `stored`
// in its PackedType, of the others as float32.
inline int64_t PackedBytes(const NodeRef& ref, uint32_t inputs, uint32_t stored) {
  int64_t bytes = 0;
  for (int i = 0; i < static_cast<int>(ref.node.inputs.size()); ++i) {
    if ((inputs >> i & 1) == 0 || !ref.constant(i)) continue;
    const DType type = (stored >> i & 1) != 0 ? PackedType(ref.value(i)) : DType::kF32;
    bytes += static_cast<int64_t>(BytesOf(type, ref.in(i).elements()));
  }
  return bytes;
}

// Calls use(numbers) with all of the tensor's in their order: where `type`, float16, bfloat16 or float32, is of two
// bytes, the bits of each as uint16_t, rounded to nearest even where another type is stored; floats otherwise. Fails
// where they lie in a file that was cut short.
template <typename Use>
Status WithNumbers(const HostTensor& tensor, DType type, const Use& use) {
  if (type == DType::kF32) {
    use(FloatView(tensor).data());
    return {};
  }
  const bool stored = tensor.data != nullptr && tensor.dtype == type;
  const bool here = stored && !tensor.mapped && reinterpret_cast<uintptr_t>(tensor.data.get()) % sizeof(uint16_t) == 0;
  AlignedBytes copy;
  if (!here) {
    TIMBRE_TRY(copy, AlignedBytes::Allocate(BytesOf(type, tensor.shape.elements())));
    if (stored) {
      // Bytes in a file are read once: where somebody cuts it short later, nothing happens.
      TIMBRE_CHECK(tensor.ReadStored(0, tensor.bytes(), copy.data()));
    } else {
      const FloatView made(tensor);
      auto* const bits = reinterpret_cast<uint16_t*>(copy.data());
      const int64_t count = tensor.shape.elements();
      if (type == DType::kBF16) SplitBf16(made.data(), count, bits, nullptr);
      for (int64_t i = 0; i < count && type == DType::kF16; ++i) bits[i] = FloatToHalf(made[i]);
    }
  }
  use(reinterpret_cast<const uint16_t*>(here ? tensor.data.get() : copy.data()));
  return {};
}

}  // namespace timbre
