#include "apps/cli/command_line.h"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "base/suggest.h"

namespace timbre::cli {
namespace {

bool IsFlag(const Field& field) { return std::holds_alternative<bool*>(field.value); }
bool IsList(const Field& field) { return std::holds_alternative<std::vector<std::string>*>(field.value); }

std::string Placeholder(const Field& field) {
  if (!field.placeholder.empty()) return field.placeholder;
  if (!field.choices.empty()) {
    std::string list;
    for (const std::string& choice : field.choices) list += (list.empty() ? "" : "|") + choice;
    return list;
  }
  if (std::holds_alternative<std::string*>(field.value) || IsList(field)) return "TEXT";
  return "N";
}

std::string Declaration(const Field& field) {
  if (field.positional) return FlagOf(field);
  return (field.letter != 0 ? std::string("-") + field.letter + "," : "") + FlagOf(field);
}

// "--post-filter" alone means "--post-filter=<implied>", unless the next word is a value for it.
void SpellOutImplied(const FieldList& fields, std::vector<std::string>& words) {
  for (size_t i = 0; i < words.size() && words[i] != "--"; ++i) {
    for (const Field& field : fields) {
      if (field.implied.empty() || words[i] != FlagOf(field)) continue;
      if (i + 1 < words.size() && SetField(field, {&words[i + 1], 1})) break;
      words[i] += "=" + field.implied;
    }
  }
}

}  // namespace

Result<Parsed> ParseCommandLine(const std::string& usage, const std::string& summary, const std::string& examples,
                                const FieldList& fields, std::vector<std::string> words) {
  SpellOutImplied(fields, words);
  CLI::App app(summary, usage);
  app.footer(examples);
  app.allow_extras();
  app.get_formatter()->column_width(36);
  app.get_formatter()->label("REQUIRED", "");
  app.set_help_flag("-h,--help", "show this");
  std::vector<std::string> names = {"--help"};
  std::vector<std::pair<const Field*, CLI::Option*>> options;
  try {
    for (const Field& field : fields) {
      CLI::Option* option = nullptr;
      if (IsFlag(field)) {
        option = app.add_flag(Declaration(field), field.help);
      } else {
        option =
            app.add_option(Declaration(field), CLI::callback_t([](const CLI::results_t&) { return true; }), field.help);
        option->type_name(field.positional ? "" : Placeholder(field));
        option->default_str(ValueText(field));
        option->expected(1);
        option->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
        if (field.positional && IsList(field)) option->expected(-1);
      }
      options.emplace_back(&field, option);
      if (!field.positional) names.push_back(FlagOf(field));
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
      const std::string nearest = Nearest(name, names);
      return Fail(ErrorCode::kInvalidArgument,
                  "there is no option '" + name + "'" +
                      (nearest.empty() ? "; see '" + usage + " --help'." : ". Did you mean '" + nearest + "'?"));
    }
  }
  if (!app.remaining().empty()) {
    return Fail(ErrorCode::kInvalidArgument,
                "'" + app.remaining().front() + "' is one word too many; see '" + usage + " --help'.");
  }
  for (const auto& [field, option] : options) {
    if (option->count() == 0) {
      if (!field->required) continue;
      return Fail(ErrorCode::kInvalidArgument, FlagOf(*field) + " is missing; see '" + usage + " --help'.");
    }
    if (IsFlag(*field)) {
      if (option->results().back() != "true") {
        return Fail(ErrorCode::kInvalidArgument, FlagOf(*field) + " takes no value.");
      }
      const std::string value = FlagOf(*field).starts_with("--no-") ? "false" : "true";
      TIMBRE_CHECK(SetField(*field, {&value, 1}));
    } else {
      TIMBRE_CHECK(SetField(*field, option->results()));
    }
  }
  return Parsed{};
}

}  // namespace timbre::cli
