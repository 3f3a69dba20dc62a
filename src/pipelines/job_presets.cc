#include "pipelines/job_presets.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <map>

#include "base/config_dir.h"
#include "base/suggest.h"
#include "base/text.h"
#include "pipelines/studio/yaml_json.h"

namespace timbre {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kBuiltIn =
#include "job-presets_yaml.inc"
    ;
constexpr std::array<std::string_view, 2> kKinds = {"separate", "drums"};
constexpr size_t kMostFiles = 64;

using PresetMap = std::map<std::string, JobPreset>;  // of all kinds: "KIND NAME"

std::string PlaceOf(std::string_view kind, const std::string& name) { return std::string(kind) + " " + name; }

// A preset's options have to be the kind's, and possible; what they do together is found when they are used.
Status CheckOptions(const JobKind& kind, const Json& options) {
  const std::unique_ptr<Job> job = kind.make();
  FieldList settable;
  for (Field& field : job->Fields()) {
    if (field.positional || field.name == "preset") continue;
    field.required = false;
    settable.push_back(std::move(field));
  }
  return FieldsFromJson(settable, options);
}

Status AddPreset(const std::string& name, const Json& entry, const std::string& file, PresetMap& presets) {
  if (!entry.is_object())
    return Fail(ErrorCode::kInvalidArgument, "a preset is a map of kind, description and options");
  JobPreset preset{.name = name, .description = "", .options = Json::object(), .file = file};
  std::string kind;
  for (const auto& [key, value] : entry.items()) {
    if (key == "options" && value.is_object()) {
      preset.options = value;
    } else if (key == "kind" && value.is_string()) {
      kind = value.get<std::string>();
    } else if (key == "description" && value.is_string()) {
      preset.description = Printable(value.get<std::string>(), 200);
    } else {
      return Fail(ErrorCode::kInvalidArgument,
                  key == "kind" || key == "description" ? "'" + key + "' takes a text"
                  : key == "options"
                      ? "'options' takes a map"
                      : "a preset has 'kind', 'description' and 'options', and no '" + Printable(key) + "'");
    }
  }
  if (!TakesPresets(kind)) {
    return Fail(ErrorCode::kInvalidArgument, kind.empty()
                                                 ? "'kind' is missing: separate or drums"
                                                 : "'kind' is separate or drums, and not '" + Printable(kind) + "'");
  }
  TIMBRE_TRY(const JobKind* const row, FindJobKind(kind));
  TIMBRE_CHECK(CheckOptions(*row, preset.options));
  JobPreset& place = presets[PlaceOf(kind, name)];
  if (!file.empty() && !place.file.empty()) {
    return Fail(ErrorCode::kInvalidArgument, "'" + Printable(place.file) + "' has a preset of this name too");
  }
  place = std::move(preset);
  return {};
}

Status AddPresets(const Json& yaml, const std::string& file, PresetMap& presets) {
  const std::string where = file.empty() ? "docs/job-presets.yaml" : file;
  if (yaml.is_null()) return {};  // nothing but comments
  if (!yaml.is_object()) return Fail(ErrorCode::kInvalidArgument, where + ": it is no map of presets.");
  for (const auto& [name, entry] : yaml.items()) {
    if (const Status added = AddPreset(name, entry, file, presets); !added) {
      return Prefix(added.error(), where + ": preset '" + Printable(name) + "'");
    }
  }
  return {};
}

// presets*.yaml, in the order of their names.
std::vector<std::string> UserFiles() {
  std::vector<std::string> files;
  const std::string folder = ConfigDir();
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !folder.empty() && !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (name.starts_with("presets") && name.ends_with(".yaml")) files.push_back(entry->path().string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

bool TakesPresets(std::string_view kind) { return std::find(kKinds.begin(), kKinds.end(), kind) != kKinds.end(); }

Result<std::vector<JobPreset>> JobPresets(std::string_view kind) {
  PresetMap all;
  TIMBRE_TRY(const Json built_in, ParseYaml(kBuiltIn, "docs/job-presets.yaml"));
  TIMBRE_CHECK(AddPresets(built_in, "", all));
  const std::vector<std::string> files = UserFiles();
  if (files.size() > kMostFiles) {
    return Fail(ErrorCode::kInvalidArgument, "there are more than 64 files of presets in '" + ConfigDir() + "'.");
  }
  for (const std::string& file : files) {
    TIMBRE_TRY(const Json yaml, ReadYaml(file));
    TIMBRE_CHECK(AddPresets(yaml, file, all));
  }
  std::vector<JobPreset> presets;
  for (auto& [key, preset] : all) {
    if (key.starts_with(std::string(kind) + " ")) presets.push_back(std::move(preset));
  }
  return presets;
}

Result<Json> PresetOptions(std::string_view kind, const std::string& name) {
  TIMBRE_TRY(const std::vector<JobPreset> presets, JobPresets(kind));
  std::vector<std::string> names;
  for (const JobPreset& preset : presets) {
    if (preset.name == name) return preset.options;
    names.push_back(preset.name);
  }
  for (const std::string_view other : kKinds) {
    if (other == kind) continue;
    TIMBRE_TRY(const std::vector<JobPreset> others, JobPresets(other));
    if (std::any_of(others.begin(), others.end(), [&](const JobPreset& preset) { return preset.name == name; })) {
      return Fail(ErrorCode::kNotFound, "'" + Printable(name) + "' is a preset of " + std::string(other) +
                                            ", and not of " + std::string(kind) + ".");
    }
  }
  return Fail(ErrorCode::kNotFound,
              std::string(kind) + " has no preset '" + Printable(name) + "'." + SuggestionFor(name, names));
}

Result<Json> WithPreset(std::string_view kind, const Json& options) {
  if (!TakesPresets(kind) || !options.is_object()) return options;
  const auto name = options.find("preset");
  if (name == options.end() || !name->is_string()) return options;
  if (name->get_ref<const std::string&>().empty()) return options;
  TIMBRE_TRY(Json all, PresetOptions(kind, name->get<std::string>()));
  for (const auto& [key, value] : options.items()) {
    // What a report lists as empty was not asked for.
    if (!value.is_null() && !value.empty() && value != "") all.erase(std::string(RivalOf(key)));
  }
  for (const auto& [key, value] : options.items()) {
    if (!value.is_null() || !all.contains(key)) all[key] = value;
  }
  return all;
}

std::string_view RivalOf(std::string_view key) {
  if (key == "stems") return "two_stems";
  return key == "two_stems" ? "stems" : "";
}

Field PresetField(std::string& name) {
  return {.name = "preset",
          .value = &name,
          .help = "options under a name (--list-presets); those given themselves win",
          .placeholder = "NAME"};
}

}  // namespace timbre
