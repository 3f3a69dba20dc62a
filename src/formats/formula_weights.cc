#include "formats/formula_weights.h"

#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "base/mapped_file.h"
#include "base/text.h"

namespace timbre {
namespace {

using nlohmann::json;

constexpr size_t kMaxFile = size_t{4} << 20;
constexpr int64_t kMaxElements = int64_t{1} << 36;  // they take no memory before they are wanted

tl::unexpected<Error> Corrupt(const std::string& what) {
  return Fail(ErrorCode::kCorrupt, "the list of weights is broken: " + what + ".");
}

Status AddWeight(const json& entry, int64_t& total, TensorMap& tensors) {
  if (!entry.is_object() || !entry.contains("name") || !entry["name"].is_string() || !entry.contains("shape") ||
      !entry["shape"].is_array() || !entry.contains("lo") || !entry["lo"].is_number() || !entry.contains("hi") ||
      !entry["hi"].is_number()) {
    return Corrupt("an entry lacks its name, shape, lo or hi");
  }
  const auto& name = entry["name"].get_ref<const std::string&>();
  const std::string quoted = "'" + Printable(name) + "'";
  Shape shape;
  if (entry["shape"].size() > Shape::kMaxRank) return Corrupt(quoted + " has too many dimensions");
  int64_t elements = 1;
  for (const json& dim : entry["shape"]) {
    if (!dim.is_number_unsigned() || dim.get<uint64_t>() > static_cast<uint64_t>(kMaxElements)) {
      return Corrupt("the shape of " + quoted + " is not one");
    }
    const auto size = dim.get<int64_t>();
    if (__builtin_mul_overflow(elements, size, &elements) || elements > kMaxElements)
      return Corrupt(quoted + " is too large");
    shape.push_back(size);
  }
  total += elements;
  if (total > kMaxElements) return Corrupt("the weights are too large together");
  const double lo = entry["lo"].get<double>(), hi = entry["hi"].get<double>();
  const auto made = [hash = Fnv1a64(name), elements, lo = static_cast<float>(lo),
                     span = static_cast<float>(hi - lo)](float* out) {
    for (int64_t i = 0; i < elements; ++i) out[i] = FormulaValue(hash, static_cast<uint64_t>(i), lo, span);
  };
  HostTensor tensor = HostTensor::Made(shape, made);
  if (!tensors.emplace(name, std::move(tensor)).second) return Corrupt("it names " + quoted + " twice");
  return {};
}

Result<std::shared_ptr<const TensorMap>> Parse(std::string_view text) {
  if (text.size() > kMaxFile)
    return Fail(ErrorCode::kUnsupported, "the list of weights takes more than 4 MiB; it is not one.");
  const json root = json::parse(text.begin(), text.end(), nullptr, false);
  if (root.is_discarded()) return Corrupt("it is not JSON");
  TensorMap tensors;
  int64_t total = 0;
  const auto add_list = [&](const json& list) -> Status {
    if (!list.is_array()) return Corrupt("a list of entries is missing");
    for (const json& entry : list) TIMBRE_CHECK(AddWeight(entry, total, tensors));
    return {};
  };
  if (root.is_object()) {
    for (const json& list : root) TIMBRE_CHECK(add_list(list));
  } else {
    TIMBRE_CHECK(add_list(root));
  }
  return std::make_shared<const TensorMap>(std::move(tensors));
}

}  // namespace

Result<std::shared_ptr<const TensorMap>> ReadFormulaWeights(const std::string& path) {
  TIMBRE_TRY(const SharedBytes bytes, MapFile(path));
  auto weights = Parse(bytes.text());
  if (!weights) return Prefix(std::move(weights).error(), path);
  return weights;
}

}  // namespace timbre
