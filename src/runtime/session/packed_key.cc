#include "runtime/session/packed_key.h"

namespace timbre {

std::string PackedKey(const KernelRow& row, const NodeRef& ref) {
  if (row.pack == nullptr) return "";
  // Those that a model runs piece by piece; what else a node is, is then its attributes.
  const Node& node = ref.node;
  std::string key(row.name);
  const auto number = [&key](int64_t n) { key += " " + std::to_string(n); };
  if (node.op == Op::kLinear) {
    number(node.As<LinearAttrs>().axis);
    number(node.As<LinearAttrs>().groups);
  } else if (node.op == Op::kConv) {
    const auto& attrs = node.As<ConvAttrs>();
    number(attrs.dims);
    number(attrs.groups);
    for (const Dims3& sizes : {attrs.kernel, attrs.stride, attrs.dilation, attrs.pad_lo, attrs.pad_hi}) {
      for (const int32_t size : sizes) number(size);
    }
  } else if (node.op == Op::kLstm || node.op == Op::kGru) {
    key += node.As<RnnAttrs>().reverse ? " reverse" : " forward";
  } else {
    return "";
  }
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    const int input = static_cast<int>(i);
    key += !ref.has(input)       ? " -"
           : ref.constant(input) ? " #" + std::to_string(node.inputs[i])
                                 : " " + ref.in(input).ToString();
  }
  for (const EpilogueStep& step : node.epilogue) key += " +" + std::to_string(static_cast<int>(step.kind));
  return key;
}

}  // namespace timbre
