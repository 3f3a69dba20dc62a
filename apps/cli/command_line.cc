#include "apps/cli/command_line.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <filesystem>
#include <map>
#include <set>
#include <span>

#include "apps/cli/foreign_options.h"
#include "base/suggest.h"
#include "pipelines/job_presets.h"

namespace timbre::cli {
namespace {

bool IsFlag(const Field& field) { return std::holds_alternative<bool*>(field.value); }
bool IsList(const Field& field) { return std::holds_alternative<std::vector<std::string>*>(field.value); }

std::string Declaration(const Field& field) {
  if (field.positional) return FlagOf(field);
  return (field.letter != 0 ? std::string("-") + field.letter + "," : "") + FlagOf(field);
}

bool IsNumber(const std::string& word) {
  double number = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
  return !word.empty() && error == std::errc() && end == word.data() + word.size();
}

// The option that a word names, by either of its forms, or null.
const Field* OptionOf(const FieldList& fields, const std::string& word) {
  const auto named = [&](const Field& field) {
    return !field.positional &&
           (word == FlagOf(field) || (field.letter != 0 && word == std::string("-") + field.letter));
  };
  const auto found = std::find_if(fields.begin(), fields.end(), named);
  return found == fields.end() ? nullptr : &*found;
}

// Of all foreign options but `said`: who comes from another program gives several, and asks once.
std::string OtherHints(const std::string& usage, const std::vector<std::string>& words, const std::string& said) {
  std::string hints;
  std::set<std::string> seen = {said};
  for (const std::string& word : words) {
    const std::string name = word.substr(0, word.find('='));
    if (!seen.insert(name).second) continue;
    const std::string hint = ForeignHint(usage, name);
    if (!hint.empty()) hints += " And " + hint;
  }
  return hints;
}

// Words such that the library takes none for what it is not: an option that may stand alone has its value spelt out, an
// empty value is a word, and what looks like an option is no value of the one before unless a '=' joins them.
Status SpellOut(const std::string& usage, const FieldList& fields, std::vector<std::string>& words) {
  std::vector<std::string> spelt;
  for (size_t i = 0; i < words.size(); ++i) {
    const size_t equals = words[i].starts_with("--") ? words[i].find('=') : std::string::npos;
    const Field* field = OptionOf(fields, words[i].substr(0, equals));
    if (field == nullptr || (IsFlag(*field) && equals == std::string::npos)) {
      spelt.push_back(words[i]);
    } else if (IsFlag(*field)) {
      return Fail(ErrorCode::kInvalidArgument, FlagOf(*field) + " takes no value.");
    } else if (equals != std::string::npos) {
      spelt.push_back(FlagOf(*field));
      spelt.push_back(words[i].substr(equals + 1));
    } else {
      const bool last = i + 1 == words.size();
      spelt.push_back(FlagOf(*field));
      if (!field->implied.empty() && (last || !IsNumber(words[i + 1]))) {
        spelt.push_back(field->implied);
      } else if (last || words[i + 1].starts_with("--") || OptionOf(fields, words[i + 1]) != nullptr) {
        return Fail(ErrorCode::kInvalidArgument, words[i] + " needs a value; see '" + usage + " --help'.");
      } else {
        spelt.push_back(words[++i]);
      }
    }
  }
  words = std::move(spelt);
  return {};
}

// What follows "--" goes to the positional fields that have nothing yet, the last of which may take many.
Status GivePlainWords(const std::string& usage, const FieldList& fields, std::span<const std::string> plain,
                      std::vector<std::vector<std::string>>& values) {
  for (size_t i = 0; i < fields.size(); ++i) {
    if (!fields[i].positional) continue;
    const size_t take = IsList(fields[i]) ? plain.size() : std::min<size_t>(values[i].empty() ? 1 : 0, plain.size());
    values[i].insert(values[i].end(), plain.begin(), plain.begin() + static_cast<std::ptrdiff_t>(take));
    plain = plain.subspan(take);
  }
  if (plain.empty()) return {};
  return Fail(ErrorCode::kInvalidArgument, "'" + plain.front() + "' is one word too many; see '" + usage + " --help'.");
}

// Sets what the command line did not: `given` are the keys that it did, and then all that are set. What has no effect
// beside the rest stays away, as nobody has asked for it here: a bitrate, where the command line wants WAV.
Status SetDefaults(const FieldList& fields, const OptionDefaults& defaults, std::set<std::string>& given) {
  if (!defaults) return {};
  TIMBRE_TRY(const std::vector<OptionDefault> all, defaults());
  std::vector<KeptValue> kept;
  for (const OptionDefault& one : all) {
    const auto field = std::find_if(fields.begin(), fields.end(), [&](const Field& f) { return KeyOf(f) == one.key; });
    if (field == fields.end() || given.contains(std::string(RivalOf(one.key))) || !given.insert(one.key).second)
      continue;
    kept.push_back(KeepValue(*field));
    const Status set = SetField(*field, one.values);
    if (!set) return Prefix(set.error(), one.where);
  }
  RestoreIdle(std::move(kept));
  return {};
}

}  // namespace

std::string PlaceholderOf(const Field& field) {
  if (!field.placeholder.empty()) return field.placeholder;
  if (!field.choices.empty()) {
    std::string list;
    for (const std::string& choice : field.choices) list += (list.empty() ? "" : "|") + choice;
    return list;
  }
  if (std::holds_alternative<std::string*>(field.value) || IsList(field)) return "TEXT";
  return "N";
}

std::string InverseOf(const Field& field) {
  if (!IsFlag(field) || field.name.starts_with("no-")) return "";
  return (FlagOf(field).starts_with("--no-") ? "--" : "--no-") + field.name;
}

Result<Parsed> ParseCommandLine(const std::string& usage, const std::string& summary, const std::string& examples,
                                const FieldList& fields, std::vector<std::string> words,
                                const OptionDefaults& defaults) {
  const auto dashes = std::find(words.begin(), words.end(), "--");
  const std::vector<std::string> plain(dashes == words.end() ? dashes : dashes + 1, words.end());
  words.erase(dashes, words.end());
  TIMBRE_CHECK(SpellOut(usage, fields, words));
  CLI::App app(summary, usage);
  app.footer(examples);
  app.allow_extras();
  app.get_formatter()->column_width(36);
  app.get_formatter()->label("REQUIRED", "");
  app.set_help_flag("-h,--help", "show this");
  std::vector<std::string> names = {"--help"};
  std::vector<std::pair<const Field*, CLI::Option*>> options;
  std::map<const Field*, CLI::Option*> inverses;
  try {
    for (const Field& field : fields) {
      CLI::Option* option = nullptr;
      if (IsFlag(field)) {
        option = app.add_flag(Declaration(field), field.help);
      } else {
        option =
            app.add_option(Declaration(field), CLI::callback_t([](const CLI::results_t&) { return true; }), field.help);
        option->type_name(field.positional ? "" : PlaceholderOf(field));
        option->default_str(ValueText(field));
        option->expected(1);
        option->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
        if (field.positional && IsList(field)) option->expected(-1);
      }
      if (!field.heading.empty()) option->group(field.heading);
      options.emplace_back(&field, option);
      if (!field.positional) names.push_back(FlagOf(field));
    }
    for (const Field& field : fields) {
      const std::string inverse = InverseOf(field);
      if (inverse.empty() || OptionOf(fields, inverse) != nullptr) continue;
      inverses[&field] = app.add_flag(inverse)->group("");  // hidden
    }
    // The library takes its words last first.
    std::reverse(words.begin(), words.end());
    app.parse(words);
  } catch (const CLI::CallForHelp&) {
    for (const auto& [field, option] : options) option->required(field->required);  // shown without brackets
    return Parsed{.help = true, .text = app.help()};
  } catch (const CLI::ArgumentMismatch& error) {
    const std::string what = error.what();
    return Fail(ErrorCode::kInvalidArgument,
                what.substr(0, what.find(':')) + " needs a value; see '" + usage + " --help'.");
  } catch (const CLI::ParseError& error) {
    return Fail(ErrorCode::kInvalidArgument, std::string(error.what()) + "; see '" + usage + " --help'.");
  }
  for (const std::string& word : app.remaining()) {
    if (word.size() > 1 && word[0] == '-') {
      const std::string name = word.substr(0, word.find('='));
      const std::string foreign = ForeignHint(usage, name);
      if (!foreign.empty()) {
        return Fail(ErrorCode::kInvalidArgument, fmt::format("there is no option '{}'; {}{}", name, foreign,
                                                             OtherHints(usage, app.remaining(), name)));
      }
      std::error_code missing;
      if (std::filesystem::exists(word, missing)) {
        return Fail(
            ErrorCode::kInvalidArgument,
            fmt::format("there is no option '{}'; files whose names begin with a dash come behind '--'.", name));
      }
      const std::string nearest = Nearest(name, names);
      return Fail(ErrorCode::kInvalidArgument,
                  fmt::format("there is no option '{}'{}", name,
                              nearest.empty() ? fmt::format("; see '{} --help'.", usage)
                                              : fmt::format(". Did you mean '{}'?", nearest)));
    }
  }
  if (!app.remaining().empty()) {
    return Fail(ErrorCode::kInvalidArgument,
                "'" + app.remaining().front() + "' is one word too many; see '" + usage + " --help'.");
  }
  std::vector<std::vector<std::string>> values;
  values.reserve(options.size());
  for (const auto& [field, option] : options) values.push_back(option->results());
  TIMBRE_CHECK(GivePlainWords(usage, fields, plain, values));
  std::vector<std::pair<const Field*, std::string>> given;  // and what it is called; setting a flag changes that
  std::set<std::string> keys;
  for (size_t i = 0; i < fields.size(); ++i) {
    const Field& field = fields[i];
    const auto inverse = inverses.find(&field);
    if (values[i].empty() && (inverse == inverses.end() || inverse->second->empty())) continue;
    keys.insert(KeyOf(field));
    if (values[i].empty()) continue;  // what it is anyway
    const std::string flag = FlagOf(field);
    if (IsFlag(field) && inverse != inverses.end() && !inverse->second->empty()) {
      return Fail(ErrorCode::kInvalidArgument, fmt::format("{} and {} exclude each other.", flag, InverseOf(field)));
    }
    given.emplace_back(&field, flag);
    if (IsFlag(field)) {
      const std::string value = flag.starts_with("--no-") && !field.name.starts_with("no-") ? "false" : "true";
      TIMBRE_CHECK(SetField(field, {&value, 1}));
    } else {
      TIMBRE_CHECK(SetField(field, values[i]));
    }
  }
  TIMBRE_CHECK(SetDefaults(fields, defaults, keys));
  for (const Field& field : fields) {
    if (!field.required || keys.contains(KeyOf(field))) continue;
    return Fail(ErrorCode::kInvalidArgument, fmt::format("{} is missing; see '{} --help'.", FlagOf(field), usage));
  }
  for (const auto& [field, flag] : given) {
    const std::string why = WhyIdle(*field);
    if (!why.empty()) return Fail(ErrorCode::kInvalidArgument, fmt::format("{} has no effect: {}.", flag, why));
  }
  return Parsed{};
}

}  // namespace timbre::cli
