// Host tensors over bytes that came from a file.
#pragma once

#include "base/bytes.h"
#include "graph/tensor.h"

namespace timbre {

// The same bytes at an address that suits elements of any type: a copy where they don't lie so.
Result<SharedBytes> AlignBytes(const SharedBytes& bytes);

// A row-major tensor over the front of `bytes`, which must be long enough. The bytes are copied only where they are not
// aligned for their type.
Result<HostTensor> ViewTensor(const SharedBytes& bytes, DType dtype, const Shape& shape);

// The same for elements `strides` apart (in elements), all of which must lie in `bytes`. Copied to row-major order
// unless they are in it.
Result<HostTensor> GatherTensor(const SharedBytes& bytes, DType dtype, const Shape& shape, const Shape& strides);

// Whether elements `strides` apart lie in row-major order without gaps.
bool IsRowMajor(const Shape& shape, const Shape& strides);

}  // namespace timbre
