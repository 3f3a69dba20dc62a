// timbre completions: what a shell completes, as its script.
#include "apps/cli/command.h"
#include "apps/cli/completions.h"

namespace timbre::cli {
namespace {

class CompletionsCommand final : public Command {
 public:
  FieldList Fields() override {
    return {{.name = "shell",
             .value = &shell_,
             .help = "bash, zsh or fish",
             .positional = true,
             .required = true,
             .choices = {"bash", "zsh", "fish"}}};
  }

  std::string Examples() const override {
    return "What is installed brings them along; else:\n"
           "  timbre completions bash > ~/.local/share/bash-completion/completions/timbre\n"
           "  timbre completions zsh > ~/.zfunc/_timbre       (a folder of $fpath)\n"
           "  timbre completions fish > ~/.config/fish/completions/timbre.fish\n";
  }

  bool AnswersData() const override { return true; }

  Status Run(Terminal& terminal, Report& /*report*/) override {
    std::string script = shell_ == "bash" ? BashCompletions() : shell_ == "zsh" ? ZshCompletions() : FishCompletions();
    script.pop_back();  // the line end that printing adds
    terminal.Print(script);
    return {};
  }

 private:
  std::string shell_;
};

}  // namespace

std::unique_ptr<Command> MakeCompletionsCommand() { return std::make_unique<CompletionsCommand>(); }

}  // namespace timbre::cli
