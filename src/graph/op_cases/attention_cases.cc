// Attention, the positions that it reads, and the states that keep its keys and values.
#include "graph/op_cases/inputs.h"

namespace timbre {
namespace {

// Inverse frequencies, as of base 10000.
OpCase::Input Frequencies(int64_t n) { return {Shape{n}, true, 0.0f, 1.0f}; }

OpCase::Input Positions(Shape shape, float most) { return {shape, false, 0, most, false, DType::kI32}; }

OpCase StateWriteCase(std::string name, Shape state, Shape x, int axis, int32_t at) {
  OpCase c{std::move(name), StateWriteAttrs{axis, 0}, {X(state), X(x)}};
  c.scalars = {{"at", DType::kI32, static_cast<uint32_t>(at)}};
  return c;
}

}  // namespace

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
