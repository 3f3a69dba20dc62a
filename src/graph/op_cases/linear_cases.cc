// Products: linear layers, also over weights as checkpoints store them, products of two matrices, rows of a table.
#include "graph/op_cases/inputs.h"

namespace timbre {
namespace {

// ids beyond the table's rows are drawn too.
OpCase::Input Ids(Shape shape, int rows) {
  return {shape, false, -1.0f, static_cast<float>(rows + 1), false, DType::kI32};
}

}  // namespace

Cases LinearCases() {
  Cases cases{
      {"small", LinearAttrs{}, {X({3, 5}), W({7, 5}), V(7)}},
      {"batch", LinearAttrs{}, {X({2, 9, 64}), W({96, 64}), V(96)}},
      {"no_bias", LinearAttrs{}, {X({1, 31, 33}), W({65, 33}), None()}},
      {"one_row", LinearAttrs{}, {X({1, 1, 256}), W({96, 256}), V(96)}},
      {"grouped", LinearAttrs{.groups = 8}, {X({1, 6, 64}), W({8, 4, 8}), None()}},
      {"grouped_wide", LinearAttrs{.groups = 4}, {X({2, 15, 64}), W({4, 60, 16}), V(240)}},
      {"many_rows", LinearAttrs{}, {X({1, 700, 5}), W({6, 5}), V(6)}},
      {"axis2", LinearAttrs{.axis = -2}, {X({2, 3, 32, 20}), W({8, 32}), None()}},
      {"axis2_bias", LinearAttrs{.axis = -2}, {X({1, 4, 17, 5}), W({33, 17}), V(33)}},
      Extent("deep", LinearAttrs{}, {X({1, 3, 16384}), W({20, 16384}), V(20)}),
      Extent("axis2_deep", LinearAttrs{.axis = -2}, {X({1, 16384, 5}), W({20, 16384}), V(20)}),
      {"bench_512x2048", LinearAttrs{}, {X({1, 2688, 512}), W({2048, 512}), V(2048)}, true},
      {"bench_2048x512", LinearAttrs{}, {X({1, 2688, 2048}), W({512, 2048}), V(512)}, true},
      {"bench_axis2", LinearAttrs{.axis = -2}, {X({1, 256, 256, 128}), W({64, 256}), None()}, true},
  };
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16, DType::kQ4_0, DType::kQ4_1, DType::kQ5_0,
                            DType::kQ5_1, DType::kQ8_0, DType::kQ4_K, DType::kQ5_K, DType::kQ6_K}) {
    const std::string name(NameOf(dtype));
    for (const int64_t rows : {1, 2, 7, 20, 33, 70}) {
      cases.push_back({name + "_" + std::to_string(rows),
                       LinearAttrs{},
                       {X({1, rows, 512}), Stored(dtype, {rows == 1 ? 301 : 75, 512}), rows == 7 ? V(75) : None()}});
    }
    cases.push_back({"bench_" + name, LinearAttrs{}, {X({1, 1, 4096}), Stored(dtype, {16384, 4096}), None()}, true});
    cases.push_back(
        {"bench_" + name + "_20", LinearAttrs{}, {X({1, 20, 2048}), Stored(dtype, {8192, 2048}), None()}, true});
  }
  // Rows whose terms are no whole vectors or blocks of the larger kind.
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
    cases.push_back(
        {std::string(NameOf(dtype)) + "_odd", LinearAttrs{}, {X({3, 1, 1027}), Stored(dtype, {67, 1027}), V(67)}});
  }
  cases.push_back({"Q4_0_short", LinearAttrs{}, {X({3, 1, 96}), Stored(DType::kQ4_0, {67, 96}), V(67)}});
  return cases;
}

Cases MatMulCases() {
  return {
      {"plain", MatMulAttrs{}, {X({2, 5, 7}), X({2, 7, 9})}},
      {"transposed", MatMulAttrs{.transpose_b = true, .scale = 0.125f}, {X({1, 3, 17, 32}), X({1, 3, 19, 32})}},
      {"constant", MatMulAttrs{}, {X({40, 96}), W({96, 32})}},
      Extent("deep", MatMulAttrs{}, {X({1, 5, 16384}), X({1, 16384, 20})}),
  };
}

Cases EmbeddingCases() {
  Cases cases{{"table", NoAttrs{}, {Ids({2, 5}, 9), W({9, 12})}},
              {"one", NoAttrs{}, {Ids({1}, 40), W({40, 100})}},
              {"activation", NoAttrs{}, {Ids({3, 2}, 5), X({5, 7})}}};
  for (const DType dtype : {DType::kF16, DType::kBF16, DType::kQ4_0, DType::kQ4_1, DType::kQ5_0, DType::kQ5_1,
                            DType::kQ8_0, DType::kQ4_K, DType::kQ5_K, DType::kQ6_K}) {
    cases.push_back({std::string(NameOf(dtype)), NoAttrs{}, {Ids({7}, 30), Stored(dtype, {30, 512})}});
  }
  cases.push_back(Extent("many_rows", NoAttrs{}, {Ids({2, 10}, 70000), W({70000, 8})}));
  cases.push_back({"bench", NoAttrs{}, {Ids({1, 512}, 32000), Stored(DType::kF16, {32000, 1024})}, true});
  return cases;
}

}  // namespace timbre
