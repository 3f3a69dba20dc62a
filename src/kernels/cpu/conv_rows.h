// A convolution's input as the left side of a product.
#pragma once

#include <array>
#include <cstdint>

#include "graph/op.h"
#include "kernels/cpu/gemm.h"
#include "kernels/kernel.h"

namespace timbre {

// Three spatial axes: depth, height, width. `pad` may be negative: the first positions are then skipped.
struct ConvGeometry {
  int64_t batch = 1, c = 1;  // c: all channels of the input
  std::array<int64_t, 3> in{1, 1, 1}, out{1, 1, 1};
  Dims3 kernel{1, 1, 1}, stride{1, 1, 1}, dilation{1, 1, 1}, pad{0, 0, 0};

  int64_t rows() const { return batch * out[0] * out[1] * out[2]; }
  int64_t taps() const { return int64_t{kernel[0]} * kernel[1] * kernel[2]; }
  bool pointwise() const { return taps() == 1 && stride == Dims3{1, 1, 1} && pad == Dims3{0, 0, 0} && in == out; }
};

// Of a node that is a kConv.
ConvGeometry ConvGeometryOf(const NodeRef& ref);

// One row for each output position, one run for each contiguous piece of its receptive field. Positions at the edges,
// and register blocks that span two lines, are gathered.
class ConvRows : public GemmRows {
 public:
  // Reads channels [first, first + count) of each position.
  ConvRows(const ConvGeometry& geometry, const float* x, int64_t first, int64_t count);

  int64_t max_taps() const override;
  bool Find(int64_t row, int64_t rows, Place* place, GemmTap* taps) const override;
  void Gather(int64_t row, int64_t rows, float* out, int64_t ld) const override;
  bool in_place(int64_t rows) const override;

 private:
  struct Position {
    int64_t n;
    std::array<int64_t, 3> out;
  };
  Position PositionOf(int64_t row) const;
  // Where along `axis` the tap `k` of output position `out` reads.
  int64_t Source(const Position& at, int axis, int k) const {
    return at.out[axis] * g_.stride[axis] - g_.pad[axis] + int64_t{k} * g_.dilation[axis];
  }

  ConvGeometry g_;
  const float* x_;
  int64_t count_;
  bool merged_;  // a line of the kernel is one run
};

}  // namespace timbre
