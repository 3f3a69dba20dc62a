// Activations and arithmetic, element by element, and Snake between its filters.
#include "graph/op_cases/inputs.h"

namespace timbre {
namespace {

OpCase::Input Filter() { return {Shape{12}, true, -0.1f, 0.3f}; }

OpCase SnakeCase(std::string name, int64_t n, int64_t t, int64_t c) {
  return {std::move(name), NoAttrs{}, {X({n, t, c}), V(c, 0.5f, 3), V(c, 0.2f, 1), Filter(), Filter()}};
}

}  // namespace

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

}  // namespace timbre
