#include "pipelines/made_by.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/file_mark.h"
#include "base/files.h"
#include "base/sha256.h"

namespace timbre {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

// Raised where what is written changes although no option does.
constexpr int kVersion = 1;
// Of a folder that a model is; more are not looked at.
constexpr size_t kMostFiles = 1000;

// Where, on what and how fast: by their keys. All others count, those that are yet to come as well.
constexpr std::string_view kNoDifference[] = {
    "input",   "output", "name",    "temp",   "skip_existing", "recursive", "stems",  "stdout", "stream", "device",
    "threads", "tune",   "disable", "strict", "verify",        "in_flight", "inject", "batch",  "dry_run"};

// One file, or all in a folder, as far as they can be told from others without being read.
Json Described(const fs::path& path) {
  std::error_code error;
  std::vector<fs::path> files;
  if (fs::is_directory(path, error)) {
    for (fs::recursive_directory_iterator entry(path, error), end; !error && entry != end && files.size() < kMostFiles;
         entry.increment(error)) {
      if (entry->is_regular_file(error)) files.push_back(entry->path());
    }
    std::sort(files.begin(), files.end());
  } else {
    files.push_back(path);
    for (const char* beside : {".yaml", ".yml"}) files.push_back(fs::path(path).replace_extension(beside));
  }
  Json described = Json::array();
  for (const fs::path& file : files) {
    const int64_t bytes = FileBytes(file);
    if (bytes < 0) continue;
    described.push_back({fs::weakly_canonical(file, error).string(), bytes,
                         fs::last_write_time(file, error).time_since_epoch().count()});
  }
  return described;
}

}  // namespace

std::string MadeBy(std::string_view kind, const FieldList& fields) {
  Json made = {{"version", kVersion}, {"kind", kind}};
  const Json options = FieldsToJson(fields);
  for (const auto& [key, value] : options.items()) {
    if (std::find(std::begin(kNoDifference), std::end(kNoDifference), key) != std::end(kNoDifference)) continue;
    made["options"][key] = value;
    if (!value.is_string()) continue;
    const std::string text = value.get<std::string>();
    std::error_code error;
    if (!text.empty() && fs::exists(text, error)) {
      made["files"][key] = Described(text);
      continue;
    }
    std::istringstream parts(text);  // several models, with commas between
    for (std::string part; std::getline(parts, part, ',');) {
      if (!part.empty() && fs::exists(part, error)) made["files"][key].push_back(Described(part));
    }
  }
  return Sha256Of(made.dump(-1, ' ', false, Json::error_handler_t::replace)).value_or("");
}

std::string OutputMark(const std::string& made_by, std::string_view output) {
  return made_by.empty() ? "" : made_by + " " + std::string(output);
}

bool IsMadeSo(const std::string& path, const std::string& mark) {
  return mark.empty() || MarkOf(path).value_or(mark) == mark;
}

void KeepMarks(const std::vector<std::string>& paths, const std::vector<std::string>& marks) {
  for (size_t i = 0; i < paths.size(); ++i) {
    if (!marks[i].empty()) KeepMark(paths[i], marks[i]);
  }
}

}  // namespace timbre
