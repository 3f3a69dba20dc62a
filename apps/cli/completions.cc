#include "apps/cli/completions.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <variant>
#include <vector>

#include "apps/cli/command_line.h"
#include "apps/cli/command_table.h"
#include "models/catalogue.h"
#include "pipelines/job_presets.h"

namespace timbre::cli {
namespace {

enum class Takes : uint8_t { kNothing, kWords, kFolder, kFile, kText };

// One option or positional of a command, as a shell sees it.
struct Word {
  std::string flag;  // "--output"; of a positional its name in capitals
  char letter = 0;
  bool positional = false, many = false;
  std::string help;
  Takes takes = Takes::kText;
  std::vector<std::string> words;  // of kWords; files are possible besides where `or_file`
  bool or_file = false;
};

struct Described {
  const CommandRow* row;
  std::vector<Word> words;
};

bool Has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

Word Describe(const Field& field, std::string_view command) {
  Word word{.flag = FlagOf(field), .letter = field.letter, .positional = field.positional, .help = field.help};
  word.many = field.positional && std::holds_alternative<std::vector<std::string>*>(field.value);
  const std::string placeholder = PlaceholderOf(field);
  if (std::holds_alternative<bool*>(field.value)) {
    word.takes = Takes::kNothing;
  } else if (!field.choices.empty()) {
    word.takes = Takes::kWords;
    word.words = field.choices;
  } else if (field.name == "model" || field.name == "from-model" || field.name == "style-model") {
    word.takes = Takes::kWords;
    word.or_file = true;
    for (const ModelEntry& model : ModelCatalogue()) {
      if (ModelTaskName(model.task) == command || command == "drums") word.words.emplace_back(model.name);
    }
  } else if (field.name == "preset" && TakesPresets(command)) {
    word.takes = Takes::kWords;
    for (const JobPreset& preset : JobPresets(command).value_or(std::vector<JobPreset>())) {
      if (preset.file.empty()) word.words.push_back(preset.name);  // the user's own may be others tomorrow
    }
  } else if (placeholder == "DIR") {
    word.takes = Takes::kFolder;
  } else if (field.positional || Has(placeholder, "FILE") || Has(placeholder, "PATH")) {
    word.takes = Takes::kFile;
  }
  return word;
}

std::vector<Described> DescribeAll() {
  std::vector<Described> all;
  for (const CommandRow& row : Commands()) {
    const std::unique_ptr<Command> command = row.make();
    FrameOptions frame;
    FieldList fields = command->Fields();
    Append(fields, frame.Fields());
    Described& described = all.emplace_back(Described{&row, {}});
    for (const Field& field : fields) described.words.push_back(Describe(field, row.name));
    described.words.push_back(
        {.flag = "--help", .letter = 'h', .help = "show this", .takes = Takes::kNothing, .words = {}});
  }
  return all;
}

std::vector<std::string> CommandNames() {
  std::vector<std::string> names = {"help", "version"};
  for (const CommandRow& row : Commands()) names.emplace_back(row.name);
  return names;
}

// Every spelling of the options.
std::vector<std::string> Spellings(const std::vector<Word>& words) {
  std::vector<std::string> spellings;
  for (const Word& word : words) {
    if (word.positional) continue;
    spellings.push_back(word.flag);
    if (word.letter != 0) spellings.push_back({'-', word.letter});
  }
  return spellings;
}

// In single quotes.
std::string Quoted(const std::string& text) {
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

// In zsh's specifications of options, where brackets and colons part fields.
std::string Escaped(const std::string& text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '[' || c == ']' || c == ':' || c == '\\') escaped += '\\';
    escaped += c;
  }
  return escaped;
}

std::string ZshAction(const Word& word) {
  std::string words = fmt::format("({})", fmt::join(word.words, " "));
  if (word.takes == Takes::kWords && word.or_file) {
    return fmt::format("{{_alternative \"words\\:word\\:{}\" \"files\\:file\\:_files\"}}", words);
  }
  if (word.takes == Takes::kWords) return words;
  if (word.takes == Takes::kFolder) return "_files -/";
  return word.takes == Takes::kFile ? "_files" : " ";
}

std::string ZshSpecification(const Word& word) {
  if (word.positional) {
    return Quoted(fmt::format("{}:{}:{}", word.many ? "*" : "", Escaped(word.flag), ZshAction(word)));
  }
  std::string value;
  if (word.takes != Takes::kNothing) value = fmt::format(":value:{}", ZshAction(word));
  const std::string rest = Quoted(fmt::format("[{}]{}", Escaped(word.help), value));
  if (word.letter == 0) return Quoted(word.flag) + rest;
  return fmt::format("'(-{0} {1})'{{-{0},{1}}}{2}", word.letter, word.flag, rest);
}

}  // namespace

std::string BashCompletions() {
  std::string cases;
  for (const Described& command : DescribeAll()) {
    cases += fmt::format("    {})\n      options={}\n      case $previous in\n", command.row->name,
                         Quoted(fmt::format("{}", fmt::join(Spellings(command.words), " "))));
    for (const Word& word : command.words) {
      if (word.takes == Takes::kNothing || word.positional) continue;
      std::string patterns = word.flag;
      if (word.letter != 0) patterns += fmt::format(" | -{}", word.letter);
      std::string does = "return";  // to files, or to what only the user knows
      if (word.takes == Takes::kWords) {
        does = fmt::format("COMPREPLY=($(compgen -W {}{} -- \"$current\")); return",
                           Quoted(fmt::format("{}", fmt::join(word.words, " "))), word.or_file ? " -f" : "");
      } else if (word.takes == Takes::kFolder) {
        does = "COMPREPLY=($(compgen -d -- \"$current\")); return";
      }
      cases += fmt::format("        {}) {} ;;\n", patterns, does);
    }
    cases += "      esac\n";
    for (const Word& word : command.words) {
      if (!word.positional || word.takes != Takes::kWords || word.many) continue;
      cases += fmt::format("      [[ $COMP_CWORD -eq 2 && $current != -* ]] && words={}\n",
                           Quoted(fmt::format("{}", fmt::join(word.words, " "))));
    }
    cases += "      ;;\n";
  }
  return fmt::format(
      "# Completion of timbre's commands and options for bash; made by 'timbre completions bash'.\n"
      "_timbre() {{\n"
      "  local current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD - 1]}} options= words=\n"
      "  COMPREPLY=()\n"
      "  if [[ $COMP_CWORD -eq 1 || ($COMP_CWORD -eq 2 && ($previous == help || $previous == man)) ]]; then\n"
      "    COMPREPLY=($(compgen -W {} -- \"$current\"))\n"
      "    return\n"
      "  fi\n"
      "  case ${{COMP_WORDS[1]}} in\n{}"
      "  esac\n"
      "  [[ $current == -* ]] && words=$options\n"
      "  [[ -n $words ]] && COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
      "  return 0\n"
      "}}\n"
      "complete -o default -o filenames -F _timbre timbre\n",
      Quoted(fmt::format("{} --help --version", fmt::join(CommandNames(), " "))), cases);
}

std::string ZshCompletions() {
  std::string commands, cases;
  for (const Described& command : DescribeAll()) {
    commands += fmt::format("    {}\n", Quoted(fmt::format("{}:{}", command.row->name, Escaped(command.row->summary))));
    cases += fmt::format("    {})\n      _arguments -s", command.row->name);
    for (const Word& word : command.words) cases += " \\\n        " + ZshSpecification(word);
    cases += "\n      ;;\n";
  }
  return fmt::format(
      "#compdef timbre\n"
      "# Completion of timbre's commands and options for zsh; made by 'timbre completions zsh'.\n"
      "_timbre() {{\n"
      "  local -a commands\n"
      "  commands=(\n{}    'help:Show what a command does'\n    'version:Show the version'\n  )\n"
      "  if (( CURRENT == 2 )); then\n"
      "    _describe command commands\n"
      "    return\n"
      "  fi\n"
      "  local command=$words[2]\n"
      "  shift words\n"
      "  (( CURRENT-- ))\n"
      "  case $command in\n"
      "    help) _describe command commands ;;\n{}"
      "  esac\n"
      "}}\n"
      "_timbre \"$@\"\n",
      commands, cases);
}

std::string FishCompletions() {
  std::string text =
      "# Completion of timbre's commands and options for fish; made by 'timbre completions fish'.\n"
      "complete -c timbre -n __fish_use_subcommand -f\n";
  for (const CommandRow& row : Commands()) {
    text += fmt::format("complete -c timbre -n __fish_use_subcommand -a {} -d {}\n", row.name, Quoted(row.summary));
  }
  text += "complete -c timbre -n __fish_use_subcommand -a 'help version'\n";
  for (const Described& command : DescribeAll()) {
    const std::string when = fmt::format("complete -c timbre -n '__fish_seen_subcommand_from {}'", command.row->name);
    for (const Word& word : command.words) {
      const std::string words = Quoted(fmt::format("{}", fmt::join(word.words, " ")));
      if (word.positional) {
        if (word.takes == Takes::kWords) text += fmt::format("{} -a {}\n", when, words);
        continue;
      }
      text += fmt::format("{} -l {}", when, word.flag.substr(2));
      if (word.letter != 0) text += fmt::format(" -s {}", word.letter);
      if (word.takes == Takes::kWords) text += fmt::format(" {} -a {}", word.or_file ? "-r" : "-x", words);
      if (word.takes == Takes::kFile) text += " -r";
      if (word.takes == Takes::kFolder) text += " -x -a '(__fish_complete_directories)'";
      if (word.takes == Takes::kText) text += " -x";
      text += fmt::format(" -d {}\n", Quoted(word.help));
    }
  }
  return text;
}

}  // namespace timbre::cli
