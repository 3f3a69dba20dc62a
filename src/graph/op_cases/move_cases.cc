// What moves elements about.
#include "graph/op_cases/inputs.h"

namespace timbre {

Cases ReshapeCases() { return {{"merge", ReshapeAttrs{Shape{2, 15}}, {X({2, 3, 5})}}}; }

Cases TransposeCases() {
  return {{"matrix", TransposeAttrs{{1, 0}}, {X({33, 17})}},
          {"swap_inner", TransposeAttrs{{0, 2, 1}}, {X({2, 33, 70})}},
          {"swap_outer", TransposeAttrs{{0, 2, 1, 3}}, {X({2, 5, 7, 24})}},
          {"reverse", TransposeAttrs{{3, 2, 1, 0}}, {X({2, 3, 4, 5})}}};
}

Cases SliceCases() {
  return {{"last", SliceAttrs{2, 1, 4, 1}, {X({2, 5, 6})}},
          {"first", SliceAttrs{0, 1, 2, 1}, {X({2, 5, 6})}},
          {"step", SliceAttrs{1, 0, 5, 2}, {X({2, 5, 6})}},
          {"many_rows", SliceAttrs{2, 1, 4, 1}, {X({1, 700, 5})}},
          {"one_stretch", SliceAttrs{1, 3, 38, 1}, {X({1, 40, 3000})}}};
}

Cases ConcatCases() {
  return {{"features", ConcatAttrs{2}, {X({2, 5, 6}), X({2, 5, 3})}},
          {"rows", ConcatAttrs{1}, {X({2, 5, 6}), X({2, 1, 6}), X({2, 2, 6})}},
          {"many_rows", ConcatAttrs{2}, {X({1, 700, 2}), X({1, 700, 3})}},
          {"one_stretch", ConcatAttrs{1}, {X({1, 20, 3000}), X({1, 17, 3000})}}};
}

Cases PadCases() {
  return {{"zero", PadAttrs{1, 2, 3, PadMode::kZero}, {X({2, 5, 6})}},
          {"reflect", PadAttrs{1, 4, 3, PadMode::kReflect}, {X({2, 5, 6})}},
          {"replicate", PadAttrs{2, 7, 8, PadMode::kReplicate}, {X({2, 5, 6})}},
          {"many_rows", PadAttrs{2, 1, 1, PadMode::kReflect}, {X({1, 700, 3})}},
          {"one_picture", PadAttrs{1, 1, 1, PadMode::kReplicate}, {X({1, 40, 3000})}}};
}

Cases UpsampleCases() {
  return {{"rows", UpsampleAttrs{1, 2}, {X({2, 5, 6})}},
          {"features", UpsampleAttrs{2, 3}, {X({2, 5, 6})}},
          {"many_rows", UpsampleAttrs{2, 2}, {X({1, 700, 3})}}};
}

}  // namespace timbre
