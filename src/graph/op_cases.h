// The cases of the op table: small shapes around every edge, what is as long along one axis as in the real networks,
// and a few of theirs for timing.
#pragma once

#include <vector>

#include "graph/op_table.h"

namespace timbre {

using Cases = std::vector<OpCase>;

Cases ConvCases();
Cases ConvTransposeCases();
Cases LinearCases();
Cases EmbeddingCases();
Cases RotaryCases();
Cases MatMulCases();
Cases AttentionCases();
Cases NormCases();
Cases BatchNormCases();
Cases UnaryCases();
Cases BinaryCases();
Cases PReluCases();
Cases GluCases();
Cases SoftmaxCases();
Cases ReduceCases();
Cases ReshapeCases();
Cases TransposeCases();
Cases SliceCases();
Cases ConcatCases();
Cases PadCases();
Cases UpsampleCases();
Cases StftCases();
Cases IstftCases();
Cases GruCases();
Cases LstmCases();
Cases CumulativeMeanCases();
Cases AliasFreeSnakeCases();
Cases StateWriteCases();

}  // namespace timbre
