// timbre man: manual pages, made from the options that the commands have.
#include <fmt/format.h>

#include <algorithm>

#include "apps/cli/command_line.h"
#include "apps/cli/command_table.h"
#include "base/output_set.h"
#include "base/suggest.h"
#include "base/text.h"
#include "base/version.h"

namespace timbre::cli {
namespace {

// Plain text as roff: nothing in it is a request, and hyphens stay what was typed.
std::string Roff(const std::string& text) {
  std::string roff;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\') {
      roff += "\\e";
    } else if (text[i] == '-') {
      roff += "\\-";
    } else {
      if ((text[i] == '.' || text[i] == '\'') && (i == 0 || text[i - 1] == '\n')) roff += "\\&";
      roff += text[i];
    }
  }
  return roff;
}

std::string Capitals(std::string text) {
  for (char& c : text) c = static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
  return text;
}

std::string Title(const std::string& page) {
  return fmt::format(".TH {} 1 \"\" \"timbre {}\" \"User Commands\"\n", Roff(Capitals(page)), Version());
}

std::string Entry(const Field& field) {
  const std::string flag = FlagOf(field);
  std::string entry = ".TP\n";
  if (field.positional) {
    entry += fmt::format("\\fI{}\\fR\n", Roff(flag));
  } else {
    if (field.letter != 0) entry += fmt::format("\\fB\\-{}\\fR, ", field.letter);
    entry += fmt::format("\\fB{}\\fR", Roff(flag));
    if (!std::holds_alternative<bool*>(field.value)) entry += fmt::format(" \\fI{}\\fR", Roff(PlaceholderOf(field)));
    entry += '\n';
  }
  entry += Roff(field.help) + ".";
  const std::string value = std::holds_alternative<bool*>(field.value) ? "" : ValueText(field);
  if (!value.empty()) entry += fmt::format(" Default: \\fB{}\\fR.", Roff(value));
  return entry + "\n";
}

std::string CommandPage(const CommandRow& row) {
  const std::unique_ptr<Command> command = row.make();
  FrameOptions frame;
  FieldList fields = command->Fields();
  Append(fields, frame.Fields());
  std::string inputs;
  std::vector<std::string> headings;
  for (const Field& field : fields) {
    if (field.positional) {
      const bool many = std::holds_alternative<std::vector<std::string>*>(field.value);
      const std::string name = fmt::format("\\fI{}\\fR{}", Roff(FlagOf(field)), many ? " ..." : "");
      inputs += field.required ? " " + name : " [" + name + "]";
    }
    if (std::find(headings.begin(), headings.end(), field.heading) == headings.end()) headings.push_back(field.heading);
  }
  std::stable_partition(headings.begin(), headings.end(), [](const std::string& heading) { return heading.empty(); });
  const std::string name = row.name;
  std::string page = Title("timbre-" + name);
  page += fmt::format(".SH NAME\n{} \\- {}\n", Roff("timbre-" + name), Roff(row.summary));
  page += fmt::format(".SH SYNOPSIS\n\\fBtimbre {}\\fR [\\fIOPTIONS\\fR]{}\n.SH OPTIONS\n", Roff(name), inputs);
  for (const std::string& heading : headings) {
    if (!heading.empty()) page += fmt::format(".SS {}\n", Roff(heading));
    for (const Field& field : fields) {
      if (field.heading == heading) page += Entry(field);
    }
  }
  if (std::string examples = command->Examples(); !examples.empty()) {
    page += fmt::format(".SH NOTES\n.nf\n{}.fi\n", Roff(examples));
  }
  return page + ".SH SEE ALSO\n\\fBtimbre\\fR(1)\n";
}

struct Variable {
  const char* name;
  const char* meaning;
};
constexpr Variable kVariables[] = {
    {"TIMBRE_CACHE", "Where models are kept; else ~/.cache/timbre."},
    {"TIMBRE_CONFIG", "A file of defaults, in place of ~/.config/timbre/config.yaml."},
    {"TIMBRE_DEVICE", "What --device defaults to."},
    {"TIMBRE_MODEL", "The model of the LADSPA plugin and of the C interface, where none is named."},
    {"TIMBRE_MODEL_MIRROR", "Where models are fetched from, as MIRROR/NAME/FILE."},
    {"TIMBRE_OFFLINE", "Not empty and not 0: never use the network."},
    {"TIMBRE_SERVER", "The server that submit, jobs, watch, cancel and fetch ask."},
    {"TIMBRE_SIMD", "A lower instruction set than the machine's best: AMX, AVX3_BF16, AVX3, AVX2, SSE4, ..."},
    {"TIMBRE_TOKEN", "The token that is shown to that server."},
    {"TIMBRE_VULKAN_TIMEOUT", "Seconds after which a silent Vulkan device counts as lost."},
    {"TIMBRE_VULKAN_VALIDATION", "1 switches the Vulkan validation layers on."},
};

std::string MainPage() {
  std::string page = Title("timbre");
  page += ".SH NAME\ntimbre \\- run audio models: songs into stems, drums into MIDI, clean speech, songs from words\n";
  page += ".SH SYNOPSIS\n\\fBtimbre\\fR \\fICOMMAND\\fR [\\fIOPTIONS\\fR] ...\n.SH COMMANDS\n";
  for (const CommandRow& row : Commands()) {
    page += fmt::format(".TP\n\\fBtimbre\\-{}\\fR(1)\n{}.\n", Roff(row.name), Roff(row.summary));
  }
  page += ".SH EXIT STATUS\n";
  const std::pair<int, const char*> codes[] = {
      {0, "Done."},
      {1, "Failed: a file, a model, a device, the network, or a track of several."},
      {2, "The command line, the configuration or a variable makes no sense."},
      {130, "Cancelled."}};
  for (const auto& [code, meaning] : codes) page += fmt::format(".TP\n\\fB{}\\fR\n{}\n", code, Roff(meaning));
  page += ".SH ENVIRONMENT\n";
  for (const Variable& variable : kVariables) {
    page += fmt::format(".TP\n\\fB{}\\fR\n{}\n", variable.name, Roff(variable.meaning));
  }
  page +=
      ".SH FILES\n"
      ".TP\n\\fI~/.config/timbre/config.yaml\\fR\n"
      "Defaults of options: commands, and below each its options. The command line wins; \\fB\\-\\-no\\-config\\fR "
      "leaves "
      "them alone.\n"
      ".TP\n\\fI~/.config/timbre/presets*.yaml\\fR\nPresets for \\fB\\-\\-preset\\fR.\n"
      ".TP\n\\fI~/.cache/timbre\\fR\nModels that were fetched.\n";
  return page;
}

class ManCommand final : public Command {
 public:
  FieldList Fields() override {
    return {{.name = "command",
             .value = &command_,
             .help = "whose page; none: that of the program itself",
             .positional = true},
            {.name = "output",
             .value = &folder_,
             .help = "write all pages into this folder instead, as timbre.1, timbre-separate.1, …",
             .placeholder = "DIR",
             .letter = 'o'}};
  }

  std::string Examples() const override {
    return "What is installed brings the pages along: man timbre-separate. Else:\n"
           "  timbre man separate | man -l -\n";
  }

  bool AnswersData() const override { return true; }

  Status Run(Terminal& terminal, Report& /*report*/) override {
    if (!folder_.empty()) return WriteAll();
    std::vector<std::string> names;
    std::string page = command_.empty() ? MainPage() : "";
    for (const CommandRow& row : Commands()) {
      if (command_ == row.name) page = CommandPage(row);
      names.emplace_back(row.name);
    }
    if (page.empty()) {
      return Fail(ErrorCode::kInvalidArgument,
                  "there is no command '" + Printable(command_) + "'." + SuggestionFor(command_, names));
    }
    page.pop_back();  // the line end that printing adds
    terminal.Print(page);
    return {};
  }

 private:
  Status WriteAll() const {
    OutputSet outputs;
    const auto write = [&](const std::string& name, const std::string& page) -> Status {
      TIMBRE_TRY(AtomicFile file, outputs.Create(folder_ + "/" + name + ".1"));
      TIMBRE_CHECK(file.Write(page));
      return file.Commit();
    };
    TIMBRE_CHECK(write("timbre", MainPage()));
    for (const CommandRow& row : Commands()) TIMBRE_CHECK(write(std::string("timbre-") + row.name, CommandPage(row)));
    return outputs.Commit();
  }

  std::string command_, folder_;
};

}  // namespace

std::unique_ptr<Command> MakeManCommand() { return std::make_unique<ManCommand>(); }

}  // namespace timbre::cli
