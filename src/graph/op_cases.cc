#include "graph/op_cases.h"

#include <algorithm>
#include <cmath>

namespace timbre {
namespace {

OpCase::Input X(Shape shape, float lo = -1, float hi = 1) { return {shape, false, lo, hi}; }
OpCase::Input W(Shape shape) {
  const float bound =
      std::sqrt(3.0f / static_cast<float>(std::max<int64_t>(1, shape.Product(shape.rank() > 1 ? 1 : 0, shape.rank()))));
  return {shape, true, -bound, bound};
}
// A matrix of weights as a checkpoint may hold them.
OpCase::Input Stored(DType dtype, Shape shape) {
  OpCase::Input input = W(shape);
  input.dtype = dtype;
  return input;
}
OpCase::Input V(int64_t n, float lo = -0.5f, float hi = 0.5f) { return {Shape{n}, true, lo, hi}; }
OpCase::Input None() { return {{}, false, 0, 0, true}; }
// Small but for one axis. Found to be worth it: Mesa's software driver ends all loops of a thread after 65,535 turns.
OpCase Extent(std::string name, Attrs attrs, std::vector<OpCase::Input> inputs) {
  return {std::move(name), attrs, std::move(inputs), false, true};
}

// With int32 scalars, in the order in which the attributes name them.
OpCase AtRunTime(std::string name, Attrs attrs, std::vector<OpCase::Input> inputs, std::initializer_list<int> scalars) {
  OpCase c{std::move(name), attrs, std::move(inputs)};
  for (const int value : scalars) {
    c.scalars.push_back({std::to_string(c.scalars.size()), DType::kI32, static_cast<uint32_t>(value)});
  }
  return c;
}

}  // namespace

static ConvAttrs Conv1(int k, int stride = 1, int pad = 0, int dilation = 1, int groups = 1) {
  return {1, {1, 1, k}, {1, 1, stride}, {1, 1, dilation}, {0, 0, pad}, {0, 0, pad}, groups};
}
static ConvAttrs Conv2(int kh, int kw, int sh, int sw, int ph, int pw, int groups = 1) {
  return {2, {1, kh, kw}, {1, sh, sw}, {1, 1, 1}, {0, ph, pw}, {0, ph, pw}, groups};
}

Cases ConvCases() {
  Cases cases{
      {"k1", Conv1(1), {X({2, 5, 3}), W({4, 3, 1}), V(4)}},
      {"k1_wide", Conv1(1), {X({1, 37, 48}), W({96, 48, 1}), V(96)}},
      {"k1_widens", Conv1(1), {X({2, 157, 6}), W({96, 6, 1}), V(96)}},
      {"2d_1x1_widens", Conv2(1, 1, 1, 1, 0, 0), {X({2, 83, 5, 12}, 3, 5), W({50, 12, 1, 1}), None()}},
      {"2d_1x1_widens_much", Conv2(1, 1, 1, 1, 0, 0), {X({1, 130, 3, 48}), W({192, 48, 1, 1}), V(192)}},
      {"k8s4", Conv1(8, 4, 2), {X({1, 64, 2}), W({48, 2, 8}), V(48)}},
      {"k8s4_wide", Conv1(8, 4, 2), {X({2, 61, 48}), W({96, 48, 8}), V(96)}},
      {"k3_dilated", Conv1(3, 1, 2, 2), {X({1, 33, 24}), W({6, 24, 3}), V(6)}},
      {"k3_no_bias", Conv1(3, 1, 1), {X({1, 9, 16}), W({33, 16, 3}), None()}},
      {"causal",
       ConvAttrs{1, {1, 1, 3}, {1, 1, 1}, {1, 1, 1}, {0, 0, 2}, {0, 0, 0}, 1},
       {X({1, 12, 8}), W({8, 8, 3}), V(8)}},
      {"depthwise", Conv1(3, 1, 1, 1, 16), {X({1, 20, 16}), W({16, 1, 3}), V(16)}},
      {"grouped", Conv1(5, 2, 2, 1, 4), {X({1, 20, 16}), W({24, 4, 5}), V(24)}},
      {"one_row", Conv1(3, 1, 1), {X({1, 1, 7}), W({5, 7, 3}), V(5)}},
      {"2d_3x3", Conv2(3, 3, 1, 1, 1, 1), {X({1, 9, 11, 8}), W({12, 8, 3, 3}), V(12)}},
      {"2d_3x3_wide", Conv2(3, 3, 1, 1, 1, 1), {X({2, 13, 18, 32}), W({48, 32, 3, 3}), None()}},
      {"2d_2x2s2", Conv2(2, 2, 2, 2, 0, 0), {X({1, 8, 10, 16}), W({32, 16, 2, 2}), None()}},
      {"2d_5x5s2", Conv2(5, 5, 2, 2, 2, 2), {X({1, 17, 20, 2}), W({16, 2, 5, 5}), V(16)}},
      {"2d_1x8s4", Conv2(1, 8, 1, 4, 0, 2), {X({1, 5, 32, 4}), W({8, 4, 1, 8}), V(8)}},
      {"2d_3x1_dilated",
       ConvAttrs{2, {1, 3, 1}, {1, 1, 1}, {1, 2, 1}, {0, 2, 0}, {0, 2, 0}, 1},
       {X({1, 9, 6, 16}), W({4, 16, 3, 1}), V(4)}},
      {"2d_4x4_dilated_thin",
       ConvAttrs{2, {1, 4, 4}, {1, 1, 1}, {1, 2, 2}, {0, 3, 3}, {0, 3, 3}, 1},
       {X({1, 4, 480, 2}), W({2, 2, 4, 4}), V(2)}},
      {"pairs", Conv1(4, 1, 2), {X({2, 7, 2}), W({2, 2, 4}), V(2)}},
      {"2d_3x3s2_thin", Conv2(3, 3, 2, 2, 1, 1), {X({1, 5, 960, 3}), W({1, 3, 3, 3}), V(1)}},
      {"2d_depthwise", Conv2(3, 3, 1, 1, 1, 1, 64), {X({1, 6, 8, 64}), W({64, 1, 3, 3}), None()}},
      {"2d_1x3_depthwise_s2", Conv2(1, 3, 1, 2, 0, 1, 16), {X({1, 6, 8, 16}), W({16, 1, 1, 3}), None()}},
      {"2d_grouped", Conv2(1, 5, 1, 2, 0, 2, 2), {X({1, 4, 33, 16}), W({16, 8, 1, 5}), V(16)}},
      {"2d_few_inputs", Conv2(3, 3, 1, 1, 0, 1), {X({2, 4, 11, 2}), W({40, 2, 3, 3}), V(40)}},
      {"2d_few_inputs_wide", Conv2(3, 3, 1, 1, 2, 1), {X({1, 3, 33, 2}), W({64, 2, 3, 3}), None()}},
      {"2d_one_output", Conv2(1, 3, 1, 1, 0, 1), {X({1, 3, 33, 64}), W({1, 64, 1, 3}), V(1)}},
      {"2d_few_outputs", Conv2(3, 3, 2, 2, 1, 1), {X({2, 5, 13, 16}), W({6, 16, 3, 3}), V(6)}},
      {"2d_few_outputs_grouped",
       ConvAttrs{2, {1, 5, 1}, {1, 1, 1}, {1, 1, 1}, {0, 1, 0}, {0, 0, 0}, 2},
       {X({1, 7, 9, 64}), W({10, 32, 5, 1}), None()}},
      {"3d",
       ConvAttrs{3, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {2, 1, 1}, {0, 1, 1}, 1},
       {X({1, 4, 5, 6, 8}), W({16, 8, 3, 3, 3}), V(16)}},
      {"3d_many_planes",
       ConvAttrs{3, {3, 2, 2}, {1, 1, 1}, {1, 1, 1}, {2, 0, 1}, {0, 1, 0}, 1},
       {X({1, 50, 3, 4, 5}), W({6, 5, 3, 2, 2}), V(6)}},
      {"3d_strided",
       ConvAttrs{3, {3, 3, 3}, {2, 2, 2}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, 1},
       {X({1, 5, 6, 7, 4}), W({8, 4, 3, 3, 3}), None()}},
  };
  cases.push_back(Extent("deep", Conv2(3, 3, 1, 1, 1, 1), {X({1, 3, 5, 1536}), W({20, 1536, 3, 3}), V(20)}));
  cases.push_back({"bench_htdemucs_encoder", Conv1(8, 4, 2), {X({1, 21495, 96}), W({192, 96, 8}), V(192)}, true});
  cases.push_back({"bench_htdemucs_rewrite", Conv1(1), {X({1, 85995, 48}), W({96, 48, 1}), V(96)}, true});
  cases.push_back(
      {"bench_mdx23c_3x3", Conv2(3, 3, 1, 1, 1, 1), {X({1, 128, 128, 128}), W({128, 128, 3, 3}), None()}, true});
  return cases;
}

Cases ConvTransposeCases() {
  return {
      {"k8s4",
       ConvTransposeAttrs{1, {1, 1, 8}, {1, 1, 4}, {0, 0, 2}, {0, 0, 2}, 1},
       {X({1, 13, 24}), W({24, 12, 8}), V(12)}},
      {"k8s4_uncropped",
       ConvTransposeAttrs{1, {1, 1, 8}, {1, 1, 4}, {0, 0, 0}, {0, 0, 0}, 1},
       {X({2, 5, 8}), W({8, 17, 8}), V(17)}},
      {"2d_2x2s2",
       ConvTransposeAttrs{2, {1, 2, 2}, {1, 2, 2}, {0, 0, 0}, {0, 0, 0}, 1},
       {X({1, 5, 7, 16}), W({16, 32, 2, 2}), None()}},
      {"2d_5x5s2",
       ConvTransposeAttrs{2, {1, 5, 5}, {1, 2, 2}, {0, 2, 2}, {0, 1, 1}, 1},
       {X({1, 6, 7, 16}), W({16, 8, 5, 5}), V(8)}},
      {"2d_1x8s4",
       ConvTransposeAttrs{2, {1, 1, 8}, {1, 1, 4}, {0, 0, 2}, {0, 0, 2}, 1},
       {X({1, 3, 8, 16}), W({16, 8, 1, 8}), V(8)}},
      {"2d_depthwise",
       ConvTransposeAttrs{2, {1, 1, 3}, {1, 1, 2}, {0, 0, 1}, {0, 0, 0}, 16},
       {X({1, 4, 8, 16}), W({16, 1, 1, 3}), None()}},
      {"2d_grouped",
       ConvTransposeAttrs{2, {1, 1, 5}, {1, 1, 2}, {0, 0, 2}, {0, 0, 2}, 2},
       {X({1, 4, 9, 16}), W({16, 8, 1, 5}), V(16)}},
      {"2d_3x3_dense",
       ConvTransposeAttrs{2, {1, 3, 3}, {1, 1, 1}, {0, 0, 1}, {0, 0, 1}, 1},
       {X({1, 4, 9, 8}), W({8, 8, 3, 3}), V(8)}},
      {"2d_5x5s2_few_outputs",
       ConvTransposeAttrs{2, {1, 5, 5}, {1, 2, 2}, {0, 2, 2}, {0, 1, 1}, 1},
       {X({2, 5, 11, 32}), W({32, 2, 5, 5}), V(2)}},
      {"2d_4x5s2_few_outputs_grouped",
       ConvTransposeAttrs{2, {1, 4, 5}, {1, 1, 2}, {0, 1, 0}, {0, 2, 3}, 2},
       {X({1, 4, 9, 64}), W({64, 3, 4, 5}), None()}},
      {"3d",
       ConvTransposeAttrs{3, {2, 2, 2}, {2, 2, 2}, {0, 0, 0}, {0, 0, 0}, 1},
       {X({1, 3, 4, 5, 8}), W({8, 6, 2, 2, 2}), V(6)}},
      Extent("deep", ConvTransposeAttrs{2, {1, 3, 3}, {1, 1, 1}, {0, 1, 1}, {0, 1, 1}, 1},
             {X({1, 3, 5, 1536}), W({1536, 20, 3, 3}), V(20)}),
      {"bench_htdemucs_decoder",
       ConvTransposeAttrs{1, {1, 1, 8}, {1, 1, 4}, {0, 0, 0}, {0, 0, 0}, 1},
       {X({1, 21499, 96}), W({96, 48, 8}), V(48)},
       true},
  };
}

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
      // An epilogue does not see what the weights were: each type has them once, two have them at every height.
      cases.back().alone = rows != 20 && dtype != DType::kF16 && dtype != DType::kQ4_K;
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

// ids beyond the table's rows are drawn too.
static OpCase::Input Ids(Shape shape, int rows) {
  return {shape, false, -1.0f, static_cast<float>(rows + 1), false, DType::kI32};
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

// Inverse frequencies, as of base 10000.
static OpCase::Input Frequencies(int64_t n) { return {Shape{n}, true, 0.0f, 1.0f}; }
static OpCase::Input Positions(Shape shape, float most) { return {shape, false, 0, most, false, DType::kI32}; }
Cases RotaryCases() {
  return {
      {"halves", RotaryAttrs{2, 8}, {X({1, 9, 16}), Frequencies(4), None()}},
      {"interleaved", RotaryAttrs{2, 8, true}, {X({2, 9, 16}), Frequencies(4), None()}},
      {"partial", RotaryAttrs{3, 6}, {X({2, 5, 33}), Frequencies(3), None()}},
      {"partial_interleaved", RotaryAttrs{1, 10, true, 100}, {X({1, 7, 14}), Frequencies(5), None()}},
      {"first", RotaryAttrs{4, 64, false, 1999}, {X({1, 3, 256}), Frequencies(32), None()}},
      {"positions", RotaryAttrs{2, 32}, {X({2, 6, 64}), Frequencies(16), Positions({6}, 4096)}},
      {"positions_each", RotaryAttrs{2, 36}, {X({2, 6, 80}), Frequencies(18), Positions({2, 6}, 4096)}},
      AtRunTime("at", RotaryAttrs{.heads = 2, .dims = 16, .at = 0}, {X({1, 3, 40}), Frequencies(8), None()}, {777}),
      Extent("long", RotaryAttrs{1, 2}, {X({1, 70000, 2}), Frequencies(1), None()}),
      {"bench_step", RotaryAttrs{16, 128, false, 777}, {X({1, 1, 2048}), Frequencies(64), None()}, true},
      {"bench_prefill", RotaryAttrs{16, 128}, {X({1, 512, 2048}), Frequencies(64), None()}, true},
  };
}

Cases MatMulCases() {
  return {
      {"plain", MatMulAttrs{}, {X({2, 5, 7}), X({2, 7, 9})}},
      {"transposed", MatMulAttrs{.transpose_b = true, .scale = 0.125f}, {X({1, 3, 17, 32}), X({1, 3, 19, 32})}},
      {"constant", MatMulAttrs{}, {X({40, 96}), W({96, 32})}},
      Extent("deep", MatMulAttrs{}, {X({1, 5, 16384}), X({1, 16384, 20})}),
  };
}

Cases AttentionCases() {
  return {
      {"one_head", AttentionAttrs{1, 0.25f}, {X({1, 5, 16}), X({1, 7, 16}), X({1, 7, 16})}},
      {"heads", AttentionAttrs{4, 0.3535534f}, {X({2, 37, 32}), X({2, 37, 32}), X({2, 37, 32})}},
      {"cross", AttentionAttrs{8, 0.125f}, {X({1, 70, 512}, -3, 3), X({1, 131, 512}, -3, 3), X({1, 131, 512})}},
      {"causal", AttentionAttrs{2, 0.5f, true}, {X({1, 9, 8}), X({1, 9, 8}), X({1, 9, 8})}},
      {"causal_cached", AttentionAttrs{2, 0.5f, true}, {X({1, 3, 8}), X({1, 9, 8}), X({1, 9, 8})}},
      {"causal_rows", AttentionAttrs{2, 0.5f, true, 0, 1, -1, 1}, {X({1, 40, 24}), X({1, 70, 24}), X({1, 70, 24})}},
      {"length", AttentionAttrs{2, 0.5f, false, 0, 1, 6}, {X({2, 3, 8}), X({2, 9, 8}), X({2, 9, 8})}},
      {"length_long", AttentionAttrs{2, 0.25f, false, 0, 1, 300}, {X({1, 37, 48}), X({1, 777, 48}), X({1, 777, 48})}},
      {"length_step", AttentionAttrs{4, 0.25f, true, 0, 1, 301}, {X({1, 1, 64}), X({1, 512, 64}), X({1, 512, 64})}},
      {"length_padded", AttentionAttrs{2, 0.3f, true, 0, 1, 9, 5}, {X({1, 12, 24}), X({1, 32, 24}), X({1, 32, 24})}},
      {"grouped", AttentionAttrs{6, 0.25f, false, 2}, {X({2, 11, 96}), X({2, 23, 32}), X({2, 23, 32})}},
      {"grouped_step", AttentionAttrs{9, 0.125f, true, 3, 1, 77}, {X({1, 1, 576}), X({1, 128, 192}), X({1, 128, 192})}},
      {"grouped_causal", AttentionAttrs{8, 0.2f, true, 1}, {X({1, 50, 160}), X({1, 61, 20}), X({1, 61, 20})}},
      {"blocks", AttentionAttrs{1, 0.2f, true, 0, 6}, {X({1, 24, 40}), X({1, 24, 40}), X({1, 24, 40})}},
      {"blocks_past", AttentionAttrs{2, 0.2f, true, 0, 20, 95, 30}, {X({2, 75, 24}), X({2, 110, 24}), X({2, 110, 24})}},
      AtRunTime("valid_step", AttentionAttrs{.heads = 4, .scale = 0.25f, .causal = true, .valid = 0},
                {X({1, 1, 64}), X({1, 96, 64}), X({1, 96, 64})}, {37}),
      AtRunTime("valid_and_older", AttentionAttrs{.heads = 2, .causal = true, .kv_heads = 1, .valid = 0, .older = 1},
                {X({2, 9, 48}), X({2, 64, 24}), X({2, 64, 24})}, {41, 34}),
      AtRunTime("valid_too_few", AttentionAttrs{.heads = 2, .causal = true, .valid = 0},
                {X({1, 9, 16}), X({1, 32, 16}), X({1, 32, 16})}, {-3}),
      {"few_rows", AttentionAttrs{4, 0.25f, false, 0, 1, 530}, {X({2, 10, 128}), X({2, 600, 128}), X({2, 600, 128})}},
      {"many", AttentionAttrs{4, 0.25f}, {X({24, 30, 96}), X({24, 30, 96}), X({24, 30, 96})}},
      {"many_grouped", AttentionAttrs{6, 0.25f, true, 2, 1, 29}, {X({20, 13, 48}), X({20, 33, 16}), X({20, 33, 16})}},
      {"sharp", AttentionAttrs{1, 8.0f}, {X({1, 20, 8}, -4, 4), X({1, 40, 8}, -4, 4), X({1, 40, 8})}},
      Extent("many_keys", AttentionAttrs{1, 0.125f},
             {X({1, 40, 64}, -3, 3), X({1, 8192, 64}, -3, 3), X({1, 8192, 64})}),
      {"bench_htdemucs", AttentionAttrs{8, 0.125f}, {X({1, 1344, 512}), X({1, 1344, 512}), X({1, 1344, 512})}, true},
      {"bench_many", AttentionAttrs{8, 0.125f}, {X({66, 62, 512}), X({66, 62, 512}), X({66, 62, 512})}, true},
      {"bench_step",
       AttentionAttrs{16, 0.0884f, true, 8, 1, 1800},
       {X({1, 1, 2048}), X({1, 2048, 1024}), X({1, 2048, 1024})},
       true},
      {"bench_few_rows",
       AttentionAttrs{16, 0.0884f, false, 0, 1, 900},
       {X({2, 10, 2048}), X({2, 1024, 2048}), X({2, 1024, 2048})},
       true},
  };
}

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

Cases UnaryCases() {
  struct Range {
    UnaryFn fn;
    float lo, hi, alpha, beta;
  };
  const Range ranges[] = {
      {UnaryFn::kIdentity, -1, 1, 0, 0},  {UnaryFn::kRelu, -1, 1, 0, 0},   {UnaryFn::kLeakyRelu, -1, 1, 0.2f, 0},
      {UnaryFn::kElu, -6, 2, 1, 0},       {UnaryFn::kGelu, -7, 7, 0, 0},   {UnaryFn::kSilu, -20, 20, 0, 0},
      {UnaryFn::kSigmoid, -30, 30, 0, 0}, {UnaryFn::kTanh, -6, 6, 0, 0},   {UnaryFn::kExp, -20, 4, 0, 0},
      {UnaryFn::kLog, 1e-6f, 10, 0, 0},   {UnaryFn::kSqrt, 0, 10, 0, 0},   {UnaryFn::kRsqrt, 0.01f, 10, 0, 0},
      {UnaryFn::kAbs, -1, 1, 0, 0},       {UnaryFn::kNeg, -1, 1, 0, 0},    {UnaryFn::kSquare, -3, 3, 0, 0},
      {UnaryFn::kSin, -6, 6, 0, 0},       {UnaryFn::kCos, -6, 6, 0, 0},    {UnaryFn::kSnake, -3, 3, 0.7f, 0},
      {UnaryFn::kClamp, -2, 2, -0.5f, 1}, {UnaryFn::kScale, -2, 2, 3, -1}, {UnaryFn::kPow, 0.01f, 2, 0.6f, 0},
      {UnaryFn::kGeluTanh, -7, 7, 0, 0},
  };
  Cases cases;
  for (const Range& r : ranges)
    cases.push_back({std::string(NameOf(r.fn)), UnaryAttrs{r.fn, r.alpha, r.beta}, {X({3, 41}, r.lo, r.hi)}});
  cases.push_back({"many", UnaryAttrs{UnaryFn::kTanh}, {X({2, 1501}, -6, 6)}});
  cases.push_back({"bench_gelu", UnaryAttrs{UnaryFn::kGelu}, {X({1, 2688, 2048}, -4, 4)}, true});
  return cases;
}

Cases BinaryCases() {
  Cases cases;
  for (const BinaryFn fn : {BinaryFn::kAdd, BinaryFn::kSub, BinaryFn::kMul, BinaryFn::kDiv, BinaryFn::kMax,
                            BinaryFn::kMin, BinaryFn::kAtan2}) {
    const std::string name(NameOf(fn));
    const float lo = fn == BinaryFn::kDiv ? 0.5f : -1;
    cases.push_back({name, BinaryAttrs{fn}, {X({2, 9, 13}), X({2, 9, 13}, lo, 2)}});
    cases.push_back({name + "_features", BinaryAttrs{fn}, {X({2, 9, 13}), X({13}, lo, 2)}});
    cases.push_back({name + "_scalar", BinaryAttrs{fn}, {X({2, 9, 13}), X({1}, lo, 2)}});
    cases.push_back({name + "_middle", BinaryAttrs{fn}, {X({2, 4, 9, 8}), X({2, 1, 9, 1}, lo, 2)}});
    cases.push_back({name + "_pairs", BinaryAttrs{fn}, {X({2, 9, 13, 2}), X({2, 9, 13, 1}, lo, 2)}});
    cases.push_back({name + "_left", BinaryAttrs{fn}, {X({1, 9, 1}), X({3, 9, 5}, lo, 2)}});
  }
  cases.push_back({"complex", BinaryAttrs{BinaryFn::kComplexMul}, {X({3, 5, 2}), X({3, 5, 2})}});
  cases.push_back({"complex_left", BinaryAttrs{BinaryFn::kComplexMul}, {X({3, 1, 2}), X({3, 5, 2})}});
  cases.push_back({"bench_add", BinaryAttrs{BinaryFn::kAdd}, {X({1, 85995, 48}), X({1, 85995, 48})}, true});
  return cases;
}

Cases PReluCases() {
  return {{"one", NoAttrs{}, {X({2, 5, 9}), V(1)}},
          {"each", NoAttrs{}, {X({2, 5, 9}), V(9)}},
          {"many_rows", NoAttrs{}, {X({1, 700, 3}), V(3)}}};
}
Cases GluCases() {
  return {{"small", NoAttrs{}, {X({2, 5, 6}, -9, 9)}},
          {"wide", NoAttrs{}, {X({1, 7, 96}, -9, 9)}},
          {"many_rows", NoAttrs{}, {X({1, 700, 6}, -9, 9)}}};
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
          {"many_rows", SliceAttrs{2, 1, 4, 1}, {X({1, 700, 5})}}};
}
Cases ConcatCases() {
  return {{"features", ConcatAttrs{2}, {X({2, 5, 6}), X({2, 5, 3})}},
          {"rows", ConcatAttrs{1}, {X({2, 5, 6}), X({2, 1, 6}), X({2, 2, 6})}},
          {"many_rows", ConcatAttrs{2}, {X({1, 700, 2}), X({1, 700, 3})}}};
}
Cases PadCases() {
  return {{"zero", PadAttrs{1, 2, 3, PadMode::kZero}, {X({2, 5, 6})}},
          {"reflect", PadAttrs{1, 4, 3, PadMode::kReflect}, {X({2, 5, 6})}},
          {"replicate", PadAttrs{2, 7, 8, PadMode::kReplicate}, {X({2, 5, 6})}},
          {"many_rows", PadAttrs{2, 1, 1, PadMode::kReflect}, {X({1, 700, 3})}}};
}
Cases UpsampleCases() {
  return {{"rows", UpsampleAttrs{1, 2}, {X({2, 5, 6})}},
          {"features", UpsampleAttrs{2, 3}, {X({2, 5, 6})}},
          {"many_rows", UpsampleAttrs{2, 2}, {X({1, 700, 3})}}};
}

static OpCase::Input Window(int64_t n) { return {Shape{n}, true, 0.1f, 1.0f}; }
Cases StftCases() {
  return {{"512", StftAttrs{512, 256, 1}, {X({1, 1500, 1}), Window(512)}},
          {"960", StftAttrs{960, 480, 0.5f}, {X({1, 2880, 1}), Window(960)}},
          {"64_stereo", StftAttrs{64, 16, 0.125f}, {X({2, 200, 2}), Window(64)}},
          {"short_window", StftAttrs{64, 16, 1}, {X({1, 200, 3}), Window(48)}},
          Extent("8192", StftAttrs{8192, 1024, 1}, {X({1, 9216, 1}), Window(8192)}),
          {"bench_htdemucs", StftAttrs{4096, 1024, 1 / 64.0f}, {X({1, 350208, 2}), Window(4096)}, true}};
}
Cases IstftCases() {
  return {
      {"512", IstftAttrs{512, 256, 256, 1024, 1, true}, {X({1, 5, 257, 2}), Window(512)}},
      {"960_raw", IstftAttrs{960, 480, 0, 2880, 2, false}, {X({1, 5, 481, 2}), Window(960)}},
      {"64_stereo", IstftAttrs{64, 16, 32, 100, 8, true}, {X({2, 9, 33, 4}), Window(64)}},
      Extent("8192", IstftAttrs{8192, 1024, 7168, 1024, 1, true}, {X({1, 9, 4097, 2}), Window(8192)}),
      {"bench_htdemucs", IstftAttrs{4096, 1024, 2048, 343980, 64, true}, {X({1, 340, 2049, 4}), Window(4096)}, true}};
}

static Cases RnnCases(int64_t gates, int states) {
  Cases cases;
  struct Size {
    const char* name;
    int64_t n, t, i, h;
    bool reverse, bias, extent = false;
  };
  for (const Size& s : {Size{"one_step", 1, 1, 16, 16, false, true}, Size{"steps", 2, 9, 5, 7, false, true},
                        Size{"reverse", 1, 8, 8, 8, true, true}, Size{"no_bias", 1, 4, 33, 20, false, false},
                        Size{"many_rows", 40, 5, 16, 8, false, true}, Size{"wide", 1, 6, 256, 256, false, true},
                        Size{"many_steps", 2, 20000, 4, 8, false, true, true},
                        Size{"many_steps_reverse", 1, 20000, 4, 8, true, true, true},
                        Size{"wide_steps", 1, 64, 256, 256, false, true, true}}) {
    OpCase c{s.name, RnnAttrs{s.reverse}, {X({s.n, s.t, s.i}), W({gates * s.h, s.i}), W({gates * s.h, s.h})}};
    for (int b = 0; b < 2; ++b) c.inputs.push_back(s.bias ? V(gates * s.h) : None());
    for (int k = 0; k < states; ++k) c.inputs.push_back(X({s.n, s.h}));
    c.extent = s.extent;
    cases.push_back(std::move(c));
  }
  return cases;
}
Cases GruCases() { return RnnCases(3, 1); }
Cases LstmCases() { return RnnCases(4, 2); }
Cases CumulativeMeanCases() {
  return {{"features", CumulativeMeanAttrs{0.99f}, {X({2, 30, 33}, 0, 1), X({2, 33})}},
          Extent("many_steps", CumulativeMeanAttrs{0.99f}, {X({1, 70000, 3}, 0, 1), X({1, 3})})};
}

static OpCase::Input Filter() { return {Shape{12}, true, -0.1f, 0.3f}; }
static OpCase SnakeCase(std::string name, int64_t n, int64_t t, int64_t c) {
  return {std::move(name), NoAttrs{}, {X({n, t, c}), V(c, 0.5f, 3), V(c, 0.2f, 1), Filter(), Filter()}};
}
Cases AliasFreeSnakeCases() {
  Cases cases{SnakeCase("one_sample", 1, 1, 3),    SnakeCase("short", 2, 5, 16),  SnakeCase("odd", 1, 70, 7),
              SnakeCase("two_blocks", 2, 131, 24), SnakeCase("wide", 1, 33, 100), SnakeCase("bench_24", 1, 48000, 24)};
  cases.back().benchmark = true;
  cases.push_back(
      {"other_taps",
       NoAttrs{},
       {X({1, 9, 8}), V(8, 0.5f, 3), V(8, 0.2f, 1), {Shape{6}, true, -0.1f, 0.3f}, {Shape{6}, true, -0.1f, 0.3f}}});
  // Phases of many turns: the sine's argument is reduced.
  cases.push_back({"fast_phase", NoAttrs{}, {X({1, 40, 16}, -9, 9), V(16, 5, 20), V(16, 0.2f, 1), Filter(), Filter()}});
  return cases;
}

static OpCase StateWriteCase(std::string name, Shape state, Shape x, int axis, int32_t at) {
  OpCase c{std::move(name), StateWriteAttrs{axis, 0}, {X(state), X(x)}};
  c.scalars = {{"at", DType::kI32, static_cast<uint32_t>(at)}};
  return c;
}
Cases StateWriteCases() {
  Cases cases{
      {"whole", StateWriteAttrs{}, {X({2, 5, 7}), X({2, 5, 7})}},
      StateWriteCase("first_place", {1, 16, 9}, {1, 1, 9}, 1, 0),
      StateWriteCase("last_place", {1, 16, 9}, {1, 1, 9}, 1, 15),
      StateWriteCase("several_places", {1, 16, 9}, {1, 5, 9}, 1, 6),
      StateWriteCase("every_place", {1, 16, 9}, {1, 16, 9}, 1, 0),
      StateWriteCase("batch", {3, 8, 2, 5}, {3, 2, 2, 5}, 1, 3),
      StateWriteCase("along_features", {2, 3, 8}, {2, 3, 2}, 2, 5),
      StateWriteCase("vector", {10}, {3}, 0, 4),
      StateWriteCase("across_parts", {1, 640, 5}, {1, 9, 5}, 1, 124),
      StateWriteCase("keys", {1, 1024, 1024}, {1, 4, 1024}, 1, 700),
  };
  cases.back().benchmark = true;
  cases.push_back(Extent("many_places", StateWriteAttrs{1, 0}, {X({1, 70000, 3}), X({1, 66000, 3})}));
  cases.back().scalars = {{"at", DType::kI32, 4000}};
  return cases;
}

}  // namespace timbre
