#include "apps/cli/config_file.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "apps/cli/command_table.h"
#include "base/config_dir.h"
#include "base/suggest.h"
#include "base/text.h"
#include "pipelines/job_presets.h"
#include "pipelines/studio/yaml_json.h"

namespace timbre::cli {
namespace {

// An item of a list as SetField takes it, which parts texts at commas.
std::string Item(const std::string& text) {
  std::string item;
  for (const char c : text) item += c == ',' ? std::string("\\,") : std::string(1, c);
  return item;
}

// The file's path, or nothing where there is none. Only one that TIMBRE_CONFIG names has to be there.
Result<std::string> ConfigPath() {
  std::error_code error;
  const char* named = std::getenv("TIMBRE_CONFIG");
  if (named != nullptr && *named != '\0') {
    if (std::filesystem::exists(named, error)) return std::string(named);
    return Fail(ErrorCode::kInvalidArgument, "TIMBRE_CONFIG: there is no file '" + Printable(named) + "'.");
  }
  const std::string path = ConfigDir() + "/config.yaml";
  return !ConfigDir().empty() && std::filesystem::exists(path, error) ? path : "";
}

class ConfigFile {
 public:
  explicit ConfigFile(std::string path) : path_(std::move(path)) {}

  Result<std::vector<OptionDefault>> SectionOf(const std::string& command, const FieldList& fields) const {
    std::vector<OptionDefault> defaults;
    TIMBRE_CHECK(ReadYaml(path_).map([](const Json&) {}));  // bounded, and plain data
    try {
      const YAML::Node file = YAML::LoadFile(path_);
      if (file.IsNull()) return defaults;  // nothing but comments
      if (!file.IsMap()) return Wrong(file, "it takes commands, and below each its options");
      for (const auto& section : file) {
        const std::string name = section.first.Scalar();
        TIMBRE_CHECK(CheckCommand(section.first, name));
        if (name != command || section.second.IsNull()) continue;
        if (!section.second.IsMap()) return Wrong(section.second, "'" + name + "' takes a map of options");
        for (const auto& option : section.second) {
          TIMBRE_CHECK(AddOption(fields, option.first, option.second, defaults));
        }
      }
    } catch (const YAML::Exception& e) {
      return Fail(ErrorCode::kInvalidArgument,
                  path_ + ": it cannot be read as YAML: " + Printable(e.what(), 200) + ".");
    }
    return defaults;
  }

 private:
  std::string Where(const YAML::Node& node) const { return path_ + ": line " + std::to_string(node.Mark().line + 1); }
  tl::unexpected<Error> Wrong(const YAML::Node& node, const std::string& what) const {
    return Fail(ErrorCode::kInvalidArgument, Where(node) + ": " + what + ".");
  }

  Status CheckCommand(const YAML::Node& node, const std::string& name) const {
    std::vector<std::string> names;
    for (const CommandRow& row : Commands()) names.emplace_back(row.name);
    if (std::find(names.begin(), names.end(), name) != names.end()) return {};
    return Fail(ErrorCode::kInvalidArgument,
                Where(node) + ": there is no command '" + Printable(name) + "'." + SuggestionFor(name, names));
  }

  Status AddOption(const FieldList& fields, const YAML::Node& key, const YAML::Node& value,
                   std::vector<OptionDefault>& defaults) const {
    std::string name = key.Scalar();  // with hyphens, as on the command line, or as in a job's JSON
    std::replace(name.begin(), name.end(), '_', '-');
    std::vector<std::string> names;
    const Field* field = nullptr;
    for (const Field& one : fields) {
      if (one.positional || one.name == "no-config") continue;
      names.push_back(one.name);
      if (one.name == name) field = &one;
    }
    if (field == nullptr) {
      return Fail(ErrorCode::kInvalidArgument,
                  Where(key) + ": there is no option '" + Printable(key.Scalar()) + "'." + SuggestionFor(name, names));
    }
    OptionDefault entry{.key = KeyOf(*field), .values = {}, .where = Where(key)};
    const bool list = std::holds_alternative<std::vector<std::string>*>(field->value);
    if (value.IsNull()) return {};
    if (value.IsScalar()) {
      entry.values.push_back(value.Scalar());
    } else if (list && value.IsSequence()) {
      for (const auto& item : value) {
        if (!item.IsScalar()) return Wrong(item, "'" + name + "' takes a list of texts");
        entry.values.push_back(Item(item.Scalar()));
      }
    } else {
      return Wrong(key, "'" + name + "' takes " + (list ? "a list of texts" : "one value"));
    }
    defaults.push_back(std::move(entry));
    return {};
  }

  const std::string path_;
};

// A preset's options, checked when it was read.
std::vector<OptionDefault> AsDefaults(const Json& options, const std::string& name) {
  std::vector<OptionDefault> defaults;
  for (const auto& [key, value] : options.items()) {
    OptionDefault entry{.key = key, .values = {}, .where = "--preset " + Printable(name)};
    if (value.is_array()) {
      for (const Json& item : value) entry.values.push_back(Item(item.get<std::string>()));
    } else if (!value.is_null()) {
      entry.values.push_back(value.is_string() ? value.get<std::string>() : value.dump());
    }
    defaults.push_back(std::move(entry));
  }
  return defaults;
}

}  // namespace

Result<std::vector<OptionDefault>> DefaultsOf(const std::string& command, const FieldList& fields, bool with_file) {
  std::vector<OptionDefault> configured;
  if (with_file) {
    TIMBRE_TRY(const std::string path, ConfigPath());
    if (!path.empty()) {
      TIMBRE_TRY(configured, ConfigFile(path).SectionOf(command, fields));
    }
  }
  if (!TakesPresets(command)) return configured;
  std::string preset;
  for (const Field& field : fields) {
    if (field.name == "preset") preset = ValueText(field);
  }
  const auto own = std::find_if(configured.begin(), configured.end(),
                                [](const OptionDefault& entry) { return entry.key == "preset"; });
  if (preset.empty() && own != configured.end() && !own->values.empty()) preset = own->values.back();
  if (preset.empty()) return configured;
  TIMBRE_TRY(const Json options, PresetOptions(command, preset));
  std::vector<OptionDefault> all = AsDefaults(options, preset);
  all.insert(all.end(), configured.begin(), configured.end());
  return all;
}

}  // namespace timbre::cli
