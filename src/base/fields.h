// Options declared once. A struct of options lists its members as fields; the command line, the help, the validation
// and the JSON report all come from that list.
//
//   struct MixOptions {
//     double gain = 1.0;
//     std::string output = ".";
//     FieldList Fields() {
//       return {{.name = "gain", .value = &gain, .help = "how loud", .min = 0, .max = 10},
//               {.name = "output", .value = &output, .help = "where to write", .placeholder = "DIR", .letter = 'o'}};
//     }
//   };
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"

namespace timbre {

// An index into Field::choices, kept somewhere as something else: see ChoiceField.
struct ChoiceValue {
  std::function<void(size_t)> set;
  std::function<size_t()> get;
};

struct Field {
  std::string name;  // with hyphens, as on the command line: "two-stems"; in JSON "two_stems"
  // Where the value lives, already holding its default. It must outlive the field.
  std::variant<bool*, int*, uint64_t*, float*, double*, std::optional<int>*, std::optional<double>*, std::string*,
               std::vector<std::string>*, ChoiceValue>
      value;
  std::string help;              // starts in lower case, no full stop
  std::string placeholder = {};  // what stands for the value in the help; empty: from the type
  char letter = 0;               // a short form, 'o' for -o
  bool positional = false;       // a vector takes all that remain
  bool required = false;
  // Of numbers, inclusive. A default outside stands for "not given": the help leaves it out, and in JSON it is null.
  double min = -std::numeric_limits<double>::infinity();
  double max = std::numeric_limits<double>::infinity();
  std::vector<std::string> choices = {};  // of texts, where only some are allowed
  // The value of an option that may be given without one; empty: a value is needed. On the command line such an option
  // takes the next word only where that is a number, and what follows a '=' always.
  std::string implied = {};
  // Where other options may leave it without effect: says why it has none as they are now, else nothing. To give it all
  // the same is an error.
  std::function<std::string()> idle = {};
  std::string heading = {};  // that it stands under in the help; empty: among the first
};

using FieldList = std::vector<Field>;

// A field for an enumeration, by names.
template <typename E>
Field ChoiceField(std::string name, E* value, std::vector<std::pair<std::string, E>> choices, std::string help) {
  Field field{.name = std::move(name), .value = ChoiceValue{}, .help = std::move(help)};
  std::vector<E> values;
  for (auto& [text, v] : choices) {
    field.choices.push_back(text);
    values.push_back(v);
  }
  field.value = ChoiceValue{[value, values](size_t i) { *value = values[i]; },
                            [value, values] {
                              size_t i = 0;
                              while (i + 1 < values.size() && values[i] != *value) ++i;
                              return i;
                            }};
  return field;
}

// Gives the field its value from text, checked. A list takes all of `values`, each split at commas unless the field is
// positional; everything else takes the last. Flags take "true" and "false". Errors name the field as on the command
// line.
Status SetField(const Field& field, std::span<const std::string> values);

// Why the field has no effect beside the others as they are; nothing where it has one.
inline std::string WhyIdle(const Field& field) { return field.idle ? field.idle() : ""; }

// A field, which it must not outlive, and what gives it back the value that it had.
struct KeptValue {
  const Field* field;
  std::function<void()> restore;
};
KeptValue KeepValue(const Field& field);

// Gives those that have no effect their kept values back: defaults that nobody asked for by themselves. One that goes
// may leave another without effect.
void RestoreIdle(std::vector<KeptValue> kept);

// How it is written on the command line: "--name", "--no-name" for a flag that is on unless switched off, "NAME" if
// positional.
std::string FlagOf(const Field& field);

// The value as text for the help, empty where there is none.
std::string ValueText(const Field& field);

// The field's key in JSON: "two_stems".
std::string KeyOf(const Field& field);

// {"two_stems": "vocals", …}; absent optionals are null.
nlohmann::ordered_json FieldsToJson(const FieldList& fields);

// The way back: gives fields the values of an object's members. A field without a member, or with null, keeps its
// value. Members in `others` are for the caller to read. Errors (kInvalidArgument) name the member: one that is
// neither, a value of the wrong type or out of range, a required field without one.
Status FieldsFromJson(const FieldList& fields, const nlohmann::ordered_json& json,
                      const std::vector<std::string>& others = {});

// What FieldsFromJson takes, as a JSON Schema (draft 2020-12) of an object, defaults and descriptions included.
nlohmann::ordered_json FieldsSchema(const FieldList& fields);

// `more` at the end of `fields`.
FieldList& Append(FieldList& fields, FieldList more);

// The same fields under a heading of their own.
FieldList Under(const std::string& heading, FieldList fields);

}  // namespace timbre
