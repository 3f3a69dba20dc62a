#include "base/fields.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>
#include <type_traits>

#include "base/suggest.h"

namespace timbre {
namespace {

std::string NumberText(double value) {
  char buffer[32];
  const auto end = std::to_chars(buffer, buffer + sizeof(buffer), value).ptr;
  return std::string(buffer, end);
}

std::string RangeText(const Field& field) {
  const bool low = std::isfinite(field.min), high = std::isfinite(field.max);
  if (low && high) return " from " + NumberText(field.min) + " to " + NumberText(field.max);
  if (low) return " of at least " + NumberText(field.min);
  if (high) return " of at most " + NumberText(field.max);
  return "";
}

template <typename T>
bool InRange(const Field& field, T value) {
  const double number = static_cast<double>(value);
  return std::isfinite(number) && number >= field.min && number <= field.max;
}

template <typename T>
Status SetNumber(const Field& field, const std::string& text, T* value) {
  T parsed{};
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, parsed);
  if (text.empty() || error != std::errc() || stop != end || !InRange(field, parsed)) {
    return Fail(ErrorCode::kInvalidArgument, FlagOf(field) + " takes a " + (std::is_integral_v<T> ? "whole " : "") +
                                                 "number" + RangeText(field) + ", not '" + text + "'.");
  }
  *value = parsed;
  return {};
}

Result<size_t> FindChoice(const Field& field, const std::string& text) {
  const auto found = std::find(field.choices.begin(), field.choices.end(), text);
  if (found != field.choices.end()) return static_cast<size_t>(found - field.choices.begin());
  return Fail(ErrorCode::kInvalidArgument,
              FlagOf(field) + " cannot be '" + text + "'." + SuggestionFor(text, field.choices));
}

void Split(const std::string& text, std::vector<std::string>& parts) {
  size_t begin = 0;
  while (begin <= text.size()) {
    const size_t end = std::min(text.find(',', begin), text.size());
    if (end > begin) parts.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
}

}  // namespace

std::string FlagOf(const Field& field) {
  if (field.positional) {
    std::string upper = field.placeholder.empty() ? field.name : field.placeholder;
    for (char& c : upper) c = static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
    return upper;
  }
  const auto* flag = std::get_if<bool*>(&field.value);
  return (flag != nullptr && **flag ? "--no-" : "--") + field.name;
}

Status SetField(const Field& field, std::span<const std::string> values) {
  if (values.empty()) return {};
  const std::string& last = values.back();
  return std::visit(
      [&](auto target) -> Status {
        using T = decltype(target);
        if constexpr (std::is_same_v<T, ChoiceValue>) {
          TIMBRE_TRY(const size_t index, FindChoice(field, last));
          target.set(index);
        } else if constexpr (std::is_same_v<T, bool*>) {
          if (last != "true" && last != "false") {
            return Fail(ErrorCode::kInvalidArgument, FlagOf(field) + " is true or false, not '" + last + "'.");
          }
          *target = last == "true";
        } else if constexpr (std::is_same_v<T, std::string*>) {
          if (!field.choices.empty()) TIMBRE_CHECK(FindChoice(field, last));
          *target = last;
        } else if constexpr (std::is_same_v<T, std::vector<std::string>*>) {
          std::vector<std::string> list;
          for (const std::string& value : values) {
            if (field.positional)
              list.push_back(value);
            else
              Split(value, list);
          }
          for (const std::string& item : list) {
            if (!field.choices.empty()) TIMBRE_CHECK(FindChoice(field, item));
          }
          *target = std::move(list);
        } else if constexpr (std::is_same_v<T, std::optional<int>*> || std::is_same_v<T, std::optional<double>*>) {
          typename std::remove_pointer_t<T>::value_type parsed{};
          TIMBRE_CHECK(SetNumber(field, last, &parsed));
          *target = parsed;
        } else {
          TIMBRE_CHECK(SetNumber(field, last, target));
        }
        return {};
      },
      field.value);
}

std::string ValueText(const Field& field) {
  return std::visit(
      [&](auto target) -> std::string {
        using T = decltype(target);
        if constexpr (std::is_same_v<T, ChoiceValue>) {
          return field.choices[target.get()];
        } else if constexpr (std::is_same_v<T, bool*>) {
          return *target ? "true" : "false";
        } else if constexpr (std::is_same_v<T, std::string*>) {
          return *target;
        } else if constexpr (std::is_same_v<T, std::vector<std::string>*>) {
          std::string list;
          for (const std::string& item : *target) list += (list.empty() ? "" : ",") + item;
          return list;
        } else if constexpr (std::is_same_v<T, std::optional<int>*> || std::is_same_v<T, std::optional<double>*>) {
          return *target ? NumberText(**target) : "";
        } else if (!InRange(field, *target)) {
          return "";
        } else if constexpr (std::is_integral_v<std::remove_pointer_t<T>>) {
          return std::to_string(*target);
        } else {
          return NumberText(*target);
        }
      },
      field.value);
}

nlohmann::ordered_json FieldsToJson(const FieldList& fields) {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  for (const Field& field : fields) {
    std::string key = field.name;
    std::replace(key.begin(), key.end(), '-', '_');
    json[key] = std::visit(
        [&](auto target) -> nlohmann::ordered_json {
          using T = decltype(target);
          if constexpr (std::is_same_v<T, ChoiceValue>) {
            return field.choices[target.get()];
          } else if constexpr (std::is_same_v<T, std::optional<int>*> || std::is_same_v<T, std::optional<double>*>) {
            return *target ? nlohmann::ordered_json(**target) : nlohmann::ordered_json();
          } else {
            if constexpr (std::is_arithmetic_v<std::remove_pointer_t<T>>) {
              if (!InRange(field, *target)) return nullptr;
            }
            return *target;
          }
        },
        field.value);
  }
  return json;
}

FieldList& Append(FieldList& fields, FieldList more) {
  for (Field& field : more) fields.push_back(std::move(field));
  return fields;
}

}  // namespace timbre
