#include "base/fields.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>
#include <type_traits>

#include "base/quantities.h"
#include "base/suggest.h"
#include "base/text.h"

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

// `name` is what errors call the field.
template <typename T>
Status SetNumber(const Field& field, const std::string& name, const std::string& text, T* value) {
  T parsed{};
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data() + PlusBefore(text), end, parsed);
  if (text.empty() || error != std::errc() || stop != end || !InRange(field, parsed)) {
    return Fail(ErrorCode::kInvalidArgument, name + " takes a " + (std::is_integral_v<T> ? "whole " : "") + "number" +
                                                 RangeText(field) + ", not '" + text + "'.");
  }
  *value = parsed;
  return {};
}

Result<size_t> FindChoice(const Field& field, const std::string& name, const std::string& text) {
  const auto found = std::find(field.choices.begin(), field.choices.end(), text);
  if (found != field.choices.end()) return static_cast<size_t>(found - field.choices.begin());
  return Fail(ErrorCode::kInvalidArgument, name + " cannot be '" + text + "'." + SuggestionFor(text, field.choices));
}

// Where commas part it, but for those behind a backslash, which is taken away.
void Split(const std::string& text, std::vector<std::string>& parts) {
  std::string part;
  for (size_t i = 0; i <= text.size(); ++i) {
    if (i == text.size() || text[i] == ',') {
      if (!part.empty()) parts.push_back(std::move(part));
      part.clear();
      continue;
    }
    if (text[i] == '\\' && i + 1 < text.size() && text[i + 1] == ',') ++i;
    part += text[i];
  }
}

Status SetField(const Field& field, const std::string& name, std::span<const std::string> values, bool split) {
  if (values.empty()) return {};
  for (const std::string& value : values) {
    // The system would end a path there.
    if (value.find('\0') == std::string::npos) continue;
    return Fail(ErrorCode::kInvalidArgument, name + " takes no text that holds a zero byte.");
  }
  const std::string& last = values.back();
  return std::visit(
      [&](auto target) -> Status {
        using T = decltype(target);
        if constexpr (std::is_same_v<T, ChoiceValue>) {
          TIMBRE_TRY(const size_t index, FindChoice(field, name, last));
          target.set(index);
        } else if constexpr (std::is_same_v<T, bool*>) {
          if (last != "true" && last != "false") {
            return Fail(ErrorCode::kInvalidArgument, name + " is true or false, not '" + last + "'.");
          }
          *target = last == "true";
        } else if constexpr (std::is_same_v<T, std::string*>) {
          if (!field.choices.empty()) TIMBRE_CHECK(FindChoice(field, name, last));
          if (last.empty() && split) return Fail(ErrorCode::kInvalidArgument, name + " takes a text, and got none.");
          *target = last;
        } else if constexpr (std::is_same_v<T, std::vector<std::string>*>) {
          std::vector<std::string> list;
          for (const std::string& value : values) {
            if (split)
              Split(value, list);
            else
              list.push_back(value);
          }
          if (list.empty() && split) {
            return Fail(ErrorCode::kInvalidArgument,
                        name + " takes one name or more, with commas between, and got none.");
          }
          for (const std::string& item : list) {
            if (!field.choices.empty()) TIMBRE_CHECK(FindChoice(field, name, item));
          }
          *target = std::move(list);
        } else if constexpr (std::is_same_v<T, std::optional<int>*> || std::is_same_v<T, std::optional<double>*>) {
          typename std::remove_pointer_t<T>::value_type parsed{};
          TIMBRE_CHECK(SetNumber(field, name, last, &parsed));
          *target = parsed;
        } else {
          TIMBRE_CHECK(SetNumber(field, name, last, target));
        }
        return {};
      },
      field.value);
}

}  // namespace

KeptValue KeepValue(const Field& field) {
  KeptValue kept{&field, {}};
  std::visit(
      [&](const auto& value) {
        if constexpr (std::is_same_v<std::decay_t<decltype(value)>, ChoiceValue>) {
          kept.restore = [set = value.set, was = value.get()] { set(was); };
        } else {
          kept.restore = [value, was = *value] { *value = was; };
        }
      },
      field.value);
  return kept;
}

void RestoreIdle(std::vector<KeptValue> kept) {
  const auto idle = [](const KeptValue& one) {
    if (WhyIdle(*one.field).empty()) return false;
    one.restore();
    return true;
  };
  while (std::erase_if(kept, idle) > 0) {
  }
}

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
  return SetField(field, FlagOf(field), values, !field.positional);
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

std::string KeyOf(const Field& field) {
  std::string key = field.name;
  std::replace(key.begin(), key.end(), '-', '_');
  return key;
}

nlohmann::ordered_json FieldsToJson(const FieldList& fields) {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  for (const Field& field : fields) {
    json[KeyOf(field)] = std::visit(
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

Status FieldsFromJson(const FieldList& fields, const nlohmann::ordered_json& json,
                      const std::vector<std::string>& others) {
  if (!json.is_object()) return Fail(ErrorCode::kInvalidArgument, "options are an object of names and values");
  std::vector<std::string> keys;
  for (const Field& field : fields) keys.push_back(KeyOf(field));
  keys.insert(keys.end(), others.begin(), others.end());
  for (const auto& [key, value] : json.items()) {
    const auto found = std::find(keys.begin(), keys.end(), key);
    if (found == keys.end()) {
      return Fail(ErrorCode::kInvalidArgument,
                  "there is no option '" + Printable(key) + "'." + SuggestionFor(key, keys));
    }
  }
  for (size_t i = 0; i < fields.size(); ++i) {
    const Field& field = fields[i];
    const auto member = json.find(keys[i]);
    if (member == json.end() || member->is_null()) {
      if (field.required) return Fail(ErrorCode::kInvalidArgument, "'" + keys[i] + "' is missing");
      continue;
    }
    const std::string name = "'" + keys[i] + "'";
    const auto wrong = [&](const char* wanted) -> Status {
      return Fail(ErrorCode::kInvalidArgument, name + " takes " + wanted + ", not " + member->type_name());
    };
    std::vector<std::string> values;
    if (std::holds_alternative<std::vector<std::string>*>(field.value)) {
      if (!member->is_array()) return wrong("a list of texts");
      for (const auto& item : *member) {
        if (!item.is_string()) {
          return Fail(ErrorCode::kInvalidArgument, name + " takes a list of texts, and one of it is no text but " +
                                                       item.type_name() + "; write \"1\" for 1");
        }
        values.push_back(item.get<std::string>());
      }
      if (values.empty()) {
        std::get<std::vector<std::string>*>(field.value)->clear();
        continue;
      }
    } else if (std::holds_alternative<std::string*>(field.value) || std::holds_alternative<ChoiceValue>(field.value)) {
      if (!member->is_string()) return wrong("a text");
      values.push_back(member->get<std::string>());
    } else if (std::holds_alternative<bool*>(field.value)) {
      if (!member->is_boolean()) return wrong("true or false");
      values.emplace_back(member->get<bool>() ? "true" : "false");
    } else {
      if (!member->is_number()) return wrong("a number");
      // A whole number may be written as one with a point, as some programs do.
      values.push_back(member->is_number_float() ? NumberText(member->get<double>()) : member->dump());
    }
    TIMBRE_CHECK(SetField(field, name, values, false));
  }
  return {};
}

nlohmann::ordered_json FieldsSchema(const FieldList& fields) {
  using Json = nlohmann::ordered_json;
  const Json defaults = FieldsToJson(fields);
  Json properties = Json::object(), required = Json::array();
  for (const Field& field : fields) {
    Json schema = {{"description", field.help}};
    const Json texts = field.choices.empty() ? Json{{"type", "string"}} : Json{{"enum", field.choices}};
    const bool list = std::holds_alternative<std::vector<std::string>*>(field.value);
    if (list) {
      schema["type"] = "array";
      schema["items"] = texts;
    } else if (std::holds_alternative<std::string*>(field.value) || std::holds_alternative<ChoiceValue>(field.value)) {
      schema.update(texts);
    } else if (std::holds_alternative<bool*>(field.value)) {
      schema["type"] = "boolean";
    } else {
      const bool whole = std::holds_alternative<int*>(field.value) || std::holds_alternative<uint64_t*>(field.value) ||
                         std::holds_alternative<std::optional<int>*>(field.value);
      schema["type"] = {whole ? "integer" : "number", "null"};
      if (std::isfinite(field.min)) schema["minimum"] = field.min;
      if (std::isfinite(field.max)) schema["maximum"] = field.max;
    }
    const std::string key = KeyOf(field);
    if (field.required)
      required.push_back(key);
    else
      schema["default"] = defaults[key];
    properties[key] = std::move(schema);
  }
  Json schema = {{"type", "object"}, {"properties", properties}, {"additionalProperties", false}};
  if (!required.empty()) schema["required"] = required;
  return schema;
}

FieldList& Append(FieldList& fields, FieldList more) {
  for (Field& field : more) fields.push_back(std::move(field));
  return fields;
}

FieldList Under(const std::string& heading, FieldList fields) {
  for (Field& field : fields) field.heading = heading;
  return fields;
}

}  // namespace timbre
