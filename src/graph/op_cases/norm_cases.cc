// Norms, softmax, reductions and running means.
#include "graph/op_cases/inputs.h"

namespace timbre {

Cases NormCases() {
  return {
      {"layer", NormAttrs{1, 1u << 1}, {X({2, 9, 48}), V(48, 0.5f, 1.5f), V(48)}},
      {"layer_odd", NormAttrs{1, 1u << 1}, {X({1, 5, 7}, 9, 11), V(7), V(7)}},
      {"group1", NormAttrs{1, 0}, {X({2, 33, 24}), V(24), V(24)}},
      {"group4", NormAttrs{4, 0}, {X({1, 33, 32}), V(32), V(32)}},
      {"instance", NormAttrs{16, 0}, {X({2, 5, 9, 16}), V(16), V(16)}},
      {"instance_plain", NormAttrs{20, 0}, {X({1, 6, 7, 20}), None(), None()}},
      {"keep_rows", NormAttrs{1, 1u << 2}, {X({1, 12, 5, 6}), V(6), V(6)}},
      {"keep_rows_wide", NormAttrs{1, 1u << 2}, {X({2, 12, 8, 96}), V(96), V(96)}},
      {"keep_time", NormAttrs{1, 1u << 1}, {X({1, 7, 33, 16}), V(16), V(16)}},
      {"rms", NormAttrs{1, 1u << 1, 1e-6f, false}, {X({1, 5, 32}), V(32), None()}},
      {"offset", NormAttrs{1, 0}, {X({1, 200, 16}, 9, 11), V(16), V(16)}},
      {"narrow_long", NormAttrs{1, 0}, {X({1, 11003, 6}), V(6), V(6)}},
      Extent("many_rows", NormAttrs{1, 0}, {X({1, 85995, 96}), V(96), V(96)}),
      {"bench_layer", NormAttrs{1, 1u << 1}, {X({1, 2688, 512}), V(512), V(512)}, true},
      {"bench_instance", NormAttrs{128, 0}, {X({1, 256, 256, 128}), V(128), V(128)}, true},
  };
}

Cases BatchNormCases() {
  return {{"affine", BatchNormAttrs{}, {X({2, 5, 6, 24}), V(24), V(24, 0.5f, 2), V(24), V(24)}},
          {"narrow", BatchNormAttrs{}, {X({1, 6, 6, 2}), V(2), V(2, 0.5f, 2), V(2), V(2)}},
          {"plain", BatchNormAttrs{1e-3f}, {X({1, 5, 7}), V(7), V(7, 0.5f, 2), None(), None()}},
          {"many_rows", BatchNormAttrs{}, {X({1, 700, 3}), V(3), V(3, 0.5f, 2), V(3), V(3)}}};
}

Cases SoftmaxCases() {
  return {{"small", NoAttrs{}, {X({3, 5}, -9, 9)}},
          {"wide", NoAttrs{}, {X({2, 7, 100}, -30, 30)}},
          Extent("long", NoAttrs{}, {X({2, 100003}, -9, 9)})};
}

Cases ReduceCases() {
  Cases cases;
  int i = 0;
  for (const ReduceFn fn : {ReduceFn::kSum, ReduceFn::kMean, ReduceFn::kMax, ReduceFn::kMin, ReduceFn::kStd}) {
    const std::string name = "fn" + std::to_string(i++);
    cases.push_back({name + "_all", ReduceAttrs{fn, 0b1110, 1}, {X({2, 5, 6, 7})}});
    cases.push_back({name + "_last", ReduceAttrs{fn, 0b100, 1}, {X({2, 5, 37})}});
    cases.push_back({name + "_middle", ReduceAttrs{fn, 0b010, 0}, {X({2, 5, 37})}});
  }
  cases.push_back(Extent("spectrogram", ReduceAttrs{ReduceFn::kStd, 0b1110, 1}, {X({1, 336, 2048, 4})}));
  return cases;
}

Cases CumulativeMeanCases() {
  return {{"features", CumulativeMeanAttrs{0.99f}, {X({2, 30, 33}, 0, 1), X({2, 33})}},
          Extent("many_steps", CumulativeMeanAttrs{0.99f}, {X({1, 70000, 3}, 0, 1), X({1, 3})})};
}

}  // namespace timbre
