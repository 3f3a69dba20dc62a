// A model of the catalogue as programs see it.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string_view>

#include "models/model_files.h"
#include "store/fetch.h"

namespace timbre {

std::string_view ModelStateName(ModelState state);  // "built in", "installed", "incomplete", "not here"

// What the catalogue says of it, and what of it is in `cache`.
nlohmann::ordered_json ModelReport(const ModelEntry& model, const std::filesystem::path& cache);

}  // namespace timbre
