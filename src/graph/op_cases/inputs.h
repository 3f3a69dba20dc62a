// What the cases of the op table are written with.
#pragma once

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "graph/op_cases/op_cases.h"

namespace timbre {

// An activation, a weight of a size that keeps the sums near 1, a vector of constants, an input that is left out.
inline OpCase::Input X(Shape shape, float lo = -1, float hi = 1) { return {shape, false, lo, hi}; }
inline OpCase::Input W(Shape shape) {
  const float bound =
      std::sqrt(3.0f / static_cast<float>(std::max<int64_t>(1, shape.Product(shape.rank() > 1 ? 1 : 0, shape.rank()))));
  return {shape, true, -bound, bound};
}
// A matrix of weights as a checkpoint may hold them.
inline OpCase::Input Stored(DType dtype, Shape shape) {
  OpCase::Input input = W(shape);
  input.dtype = dtype;
  return input;
}
inline OpCase::Input V(int64_t n, float lo = -0.5f, float hi = 0.5f) { return {Shape{n}, true, lo, hi}; }
inline OpCase::Input None() { return {{}, false, 0, 0, true}; }
// Small but for one axis. Found to be worth it: Mesa's software driver ends all loops of a thread after 65,535 turns.
inline OpCase Extent(std::string name, Attrs attrs, std::vector<OpCase::Input> inputs) {
  return {std::move(name), attrs, std::move(inputs), false, true};
}

// With int32 scalars, in the order in which the attributes name them.
inline OpCase AtRunTime(std::string name, Attrs attrs, std::vector<OpCase::Input> inputs,
                        std::initializer_list<int> scalars) {
  OpCase c{std::move(name), attrs, std::move(inputs)};
  for (const int value : scalars) {
    c.scalars.push_back({std::to_string(c.scalars.size()), DType::kI32, static_cast<uint32_t>(value)});
  }
  return c;
}

}  // namespace timbre
