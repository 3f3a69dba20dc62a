#include "models/song/json_config.h"

#include <fmt/format.h>

#include <cmath>

#include "base/text.h"

namespace timbre {

using nlohmann::json;

namespace {

constexpr size_t kMaxBytes = size_t{1} << 20;
constexpr int kMaxDepth = 64;  // of brackets: the parser recurses where values are destroyed

// Whether brackets nest deeper than any configuration's do; what lies in strings counts too, which does no harm.
bool TooDeep(std::string_view text) {
  int depth = 0;
  for (const char c : text) {
    depth += c == '[' || c == '{' ? 1 : c == ']' || c == '}' ? -1 : 0;
    if (depth > kMaxDepth) return true;
  }
  return false;
}

}  // namespace

Result<JsonConfig> JsonConfig::Parse(std::string_view text) {
  if (text.size() > kMaxBytes) return Fail(ErrorCode::kCorrupt, "the configuration is too large to be one");
  if (TooDeep(text)) return Fail(ErrorCode::kCorrupt, "the configuration's brackets nest too deep");
  json root = json::parse(text.begin(), text.end(), nullptr, false);
  if (!root.is_object()) return Fail(ErrorCode::kCorrupt, "the configuration is not a JSON object");
  return JsonConfig(std::move(root), "");
}

void JsonConfig::Complain(const std::string& what) {
  if (!*error_) *error_ = Error{ErrorCode::kCorrupt, "the configuration's " + what};
}

Status JsonConfig::Finish() const {
  if (*error_) return tl::unexpected<Error>(**error_);
  return {};
}

bool JsonConfig::Has(const std::string& key) const { return root_.contains(key) && !root_[key].is_null(); }

const json* JsonConfig::Find(const std::string& key, bool required) {
  const auto found = root_.find(key);
  if (found != root_.end() && !found->is_null()) return &*found;
  if (required) Complain("'" + path_ + key + "' is missing");
  return nullptr;
}

int64_t JsonConfig::Int(const std::string& key, int64_t least, int64_t most, std::optional<int64_t> otherwise) {
  const json* value = Find(key, !otherwise);
  if (value == nullptr) return otherwise.value_or(least);
  // Whole numbers may be written as 4.0.
  const double number = value->is_number() ? value->get<double>() : NAN;
  if (!(number >= static_cast<double>(least) && number <= static_cast<double>(most)) || number != std::floor(number)) {
    Complain("'" + path_ + key + "' is not a whole number from " + std::to_string(least) + " to " +
             std::to_string(most));
    return least;
  }
  return static_cast<int64_t>(number);
}

double JsonConfig::Number(const std::string& key, double least, double most, std::optional<double> otherwise) {
  const json* value = Find(key, !otherwise);
  if (value == nullptr) return otherwise.value_or(least);
  const double number = value->is_number() ? value->get<double>() : NAN;
  if (number >= least && number <= most) return number;
  Complain(fmt::format("'{}{}' is not a number from {:g} to {:g}", path_, key, least, most));
  return least;
}

bool JsonConfig::Bool(const std::string& key, std::optional<bool> otherwise) {
  const json* value = Find(key, !otherwise);
  if (value == nullptr) return otherwise.value_or(false);
  if (value->is_boolean()) return value->get<bool>();
  Complain("'" + path_ + key + "' is neither true nor false");
  return false;
}

std::string JsonConfig::Text(const std::string& key, const std::optional<std::string>& otherwise) {
  const json* value = Find(key, !otherwise);
  if (value == nullptr) return otherwise.value_or("");
  if (value->is_string()) return value->get<std::string>();
  Complain("'" + path_ + key + "' is not a text");
  return "";
}

std::vector<int> JsonConfig::IntsOf(const json& list, const std::string& key, int64_t least, int64_t most,
                                    size_t count) {
  std::vector<int> values;
  if (!list.is_array() || list.empty() || list.size() > count) {
    Complain("'" + path_ + key + "' is not a list of 1 to " + std::to_string(count) + " numbers");
    return values;
  }
  for (const json& value : list) {
    if (!value.is_number_integer() || value.get<double>() < static_cast<double>(least) ||
        value.get<double>() > static_cast<double>(most)) {
      Complain("'" + path_ + key + "' holds other than whole numbers from " + std::to_string(least) + " to " +
               std::to_string(most));
      return {};
    }
    values.push_back(value.get<int>());
  }
  return values;
}

std::vector<int> JsonConfig::Ints(const std::string& key, int64_t least, int64_t most, size_t count) {
  const json* list = Find(key, true);
  return list == nullptr ? std::vector<int>() : IntsOf(*list, key, least, most, count);
}

std::vector<int> JsonConfig::IntOrInts(const std::string& key, int64_t least, int64_t most, size_t count) {
  const json* value = Find(key, true);
  if (value == nullptr || value->is_array()) return Ints(key, least, most, count);
  return {static_cast<int>(Int(key, least, most))};
}

std::vector<std::vector<int>> JsonConfig::IntLists(const std::string& key, int64_t least, int64_t most, size_t count) {
  std::vector<std::vector<int>> lists;
  const json* outer = Find(key, true);
  if (outer == nullptr) return lists;
  if (!outer->is_array() || outer->empty() || outer->size() > count) {
    Complain("'" + path_ + key + "' is not a list of 1 to " + std::to_string(count) + " lists");
    return lists;
  }
  for (const json& list : *outer) lists.push_back(IntsOf(list, key, least, most, count));
  return lists;
}

JsonConfig JsonConfig::Object(const std::string& key) {
  const json* value = Find(key, false);
  json inner = json::object();
  if (value != nullptr && value->is_object()) inner = *value;
  if (value != nullptr && !value->is_object()) Complain("'" + path_ + key + "' is not an object");
  JsonConfig config(std::move(inner), path_ + key + ".");
  config.error_ = error_;
  return config;
}

}  // namespace timbre
