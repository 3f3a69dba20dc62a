// The cases of the op table: small shapes around every edge, what is as long along one axis as in the real networks,
// and a few of theirs for timing.
#pragma once

#include <vector>

#include "graph/op_table.h"

namespace timbre {

using Cases = std::vector<OpCase>;

#define TIMBRE_OP(op, name, infer, flops, tolerance, terms, ints) Cases op##Cases();
#include "graph/op_table.inc"
#undef TIMBRE_OP

}  // namespace timbre
