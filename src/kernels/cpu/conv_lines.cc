#include "kernels/cpu/conv_lines.h"

namespace timbre {

bool ThinServable(const NodeRef& ref) {
  for (const EpilogueStep& step : ref.node.epilogue) {
    if (step.kind == EpilogueStep::Kind::kGlu) return false;
  }
  return ref.constant(1) && (!ref.has(2) || ref.constant(2)) && EpilogueServable(ref);
}

void FinishThinLine(const Epilogue& epilogue, int64_t positions, int64_t outputs, float* out, int64_t offset) {
  // Steps that know no features take the line as one row, whose vectors are full.
  if (epilogue.count == 0) return;
  bool by_feature = false;
  for (int i = 0; i < epilogue.count; ++i) {
    const EpilogueStep::Kind kind = epilogue.ops[i].kind;
    by_feature = by_feature || (kind != EpilogueStep::Kind::kUnary && kind != EpilogueStep::Kind::kAdd);
  }
  const int64_t rows = by_feature ? positions : 1, width = by_feature ? outputs : positions * outputs;
  ApplyEpilogue(epilogue, out + offset, width, 0, rows, width, 0, out, offset, width);
}

}  // namespace timbre
