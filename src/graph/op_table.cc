#include "graph/op_table.h"

#include "graph/op_cases/op_cases.h"
#include "graph/op_loops.h"
#include "graph/op_rules.h"

namespace timbre {
namespace {

template <Op op>
void Oracle(const Attrs& attrs, std::span<const Tensor64* const> in, std::span<Tensor64> out, const Scalars& scalars) {
  std::vector<loops::In<double>> ins;
  for (const Tensor64* t : in) ins.push_back(t ? loops::In<double>{t->data.data(), t->shape} : loops::In<double>{});
  std::vector<loops::Out<double>> outs;
  for (Tensor64& t : out) outs.push_back({t.data.data(), t.shape});
  loops::Run<double>(op, attrs, ins, outs, scalars);
}

constexpr double kProduct = 8, kElement = 8, kCopy = 0;

const OpRow kTable[] = {
#define TIMBRE_OP(op, name, infer, flops, tolerance, terms, ints) \
  {Op::k##op, name, infer, Oracle<Op::k##op>, flops, tolerance, terms, op##Cases, ints},
#include "graph/op_table.inc"
#undef TIMBRE_OP
};
static_assert(std::size(kTable) == static_cast<size_t>(Op::kCount));

}  // namespace

const OpRow& RowOf(Op op) { return kTable[static_cast<size_t>(op)]; }
std::span<const OpRow> OpTable() { return kTable; }
std::string_view NameOf(Op op) { return op == Op::kCount ? "none" : RowOf(op).name; }

std::string_view NameOf(UnaryFn fn) {
  static constexpr std::string_view kNames[] = {
      "identity", "relu", "leaky_relu", "elu",    "gelu", "silu", "sigmoid", "tanh",  "exp",   "log", "sqrt",
      "rsqrt",    "abs",  "neg",        "square", "sin",  "cos",  "snake",   "clamp", "scale", "pow", "gelu_tanh"};
  return kNames[static_cast<size_t>(fn)];
}

std::string_view NameOf(BinaryFn fn) {
  static constexpr std::string_view kNames[] = {"add", "sub", "mul", "div", "max", "min", "complex_mul", "atan2"};
  return kNames[static_cast<size_t>(fn)];
}

}  // namespace timbre
