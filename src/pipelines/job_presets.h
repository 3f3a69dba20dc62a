// Presets: options of a kind of job under a name, which that kind's --preset takes. docs/job-presets.yaml, which
// documents the form, is compiled in; the files presets*.yaml in ConfigDir() add the user's own, and replace those of
// their names.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/fields.h"
#include "pipelines/job.h"

namespace timbre {

struct JobPreset {
  std::string name, description;
  Json options;      // by the names that a job's JSON has
  std::string file;  // the user's that it is of; empty: compiled in
};

// Whether the kind's `preset` is one of these. (master's is of another sort.)
bool TakesPresets(std::string_view kind);

// Those of a kind, by their names. Errors (kInvalidArgument) say which of the user's files is wrong, where and how.
Result<std::vector<JobPreset>> JobPresets(std::string_view kind);

// kNotFound, with the nearest, where there is none of that name.
Result<Json> PresetOptions(std::string_view kind, const std::string& name);

// Options of JSON, and those of the preset that they name where they don't have them themselves. What is no object, or
// of a kind without presets, comes back as it is.
Result<Json> WithPreset(std::string_view kind, const Json& options);

// The option that can't be asked for beside this one, by their keys: where either is given itself, presets and defaults
// don't set the other. Empty: none.
std::string_view RivalOf(std::string_view key);

// --preset, of a job whose kind TakesPresets(). What it stands for is set by whoever reads the options (JobFromJson and
// the command line), where they were not given themselves.
Field PresetField(std::string& name);

}  // namespace timbre
