#include "apps/cli/manifest.h"

#include <sys/stat.h>

#include <charconv>
#include <filesystem>
#include <fstream>
#include <iostream>

#include "base/atomic_file.h"
#include "base/files.h"
#include "base/paths.h"
#include "base/sha256.h"
#include "base/text.h"
#include "base/version.h"
#include "engine/ids.h"

namespace timbre::cli {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr size_t kLongestPath = 4096;
constexpr size_t kMostPaths = 10'000'000;
constexpr int64_t kLargestManifest = 16 << 20;
constexpr int kMostShards = 1'000'000;

// Of a file: its bytes, and when it was last written to; zeros where there is none, as of what a pipe gave.
Json StateOf(const std::string& path) {
  struct stat info = {};
  if (stat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) return {{"bytes", 0}, {"modified_ns", 0}};
  return {{"bytes", info.st_size},
          {"modified_ns", int64_t{info.st_mtim.tv_sec} * 1000000000 + int64_t{info.st_mtim.tv_nsec}}};
}

// The files that a track of a report names, whichever kind of job it is of.
std::vector<std::string> FilesOf(const Json& track) {
  std::vector<std::string> files;
  const auto add = [&](const Json& value) {
    if (value.is_string() && !value.get_ref<const std::string&>().empty()) files.push_back(value.get<std::string>());
  };
  for (const char* key : {"output", "midi", "plot"}) add(track.value(key, Json()));
  for (const char* key : {"outputs", "stem_files"}) {
    for (const Json& entry : track.value(key, Json::array()))
      add(entry.is_object() ? entry.value("path", Json()) : entry);
  }
  const Json learned = track.value("learned", Json());
  if (learned.is_object()) add(learned.value("path", Json()));
  return files;
}

Result<Json> ReadManifest(const std::string& path) {
  if (FileBytes(path) < 0 || FileBytes(path) > kLargestManifest) return Fail(ErrorCode::kNotFound, "no manifest");
  std::ifstream file(path);
  Json manifest = Json::parse(file, nullptr, false);
  if (!manifest.is_object()) return Fail(ErrorCode::kCorrupt, "no manifest");
  return manifest;
}

}  // namespace

bool Shard::Has(const std::string& path) const {
  if (count == 1) return true;
  const std::string digest = engine::Sha256Of(path);
  uint64_t number = 0;
  std::from_chars(digest.data(), digest.data() + 16, number, 16);
  return number % static_cast<uint64_t>(count) == static_cast<uint64_t>(index);
}

Result<Shard> ParseShard(const std::string& text) {
  Shard shard;
  if (text.empty()) return shard;
  const char* const end = text.data() + text.size();
  const auto [slash, first] = std::from_chars(text.data(), end, shard.index);
  const bool divided = first == std::errc() && slash != end && *slash == '/';
  const auto [rest, second] = std::from_chars(divided ? slash + 1 : end, end, shard.count);
  if (!divided || second != std::errc() || rest != end || shard.index < 0 || shard.count < 1 ||
      shard.count > kMostShards || shard.index >= shard.count) {
    return Fail(ErrorCode::kInvalidArgument,
                "--shard takes I/N with I from 0 to N - 1, such as 17/1000, not '" + Printable(text) + "'.");
  }
  return shard;
}

Result<std::vector<std::string>> ReadPathList(const std::string& file, const Shard& shard) {
  std::ifstream opened;
  if (file != "-") {
    opened.open(file);
    if (!opened) return Fail(ErrorCode::kNotFound, "the list '" + Printable(file) + "' can't be read.");
  }
  std::istream& in = file == "-" ? std::cin : opened;
  std::vector<std::string> paths;
  std::string line;
  for (size_t number = 1; std::getline(in, line); ++number) {
    // Editors of other systems begin a text with a byte order mark, and end lines with two characters.
    if (number == 1 && line.starts_with("\xEF\xBB\xBF")) line.erase(0, 3);
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (line.empty()) continue;
    if (line.size() > kLongestPath || line.find('\0') != std::string::npos || number > kMostPaths) {
      return Fail(ErrorCode::kInvalidArgument,
                  "line " + std::to_string(number) + " of the list '" + Printable(file) +
                      "' is no path: a list has a path a line, of at most 4096 bytes, and ten million of them.");
    }
    if (shard.Has(line)) paths.push_back(line);
  }
  if (in.bad()) return Fail(ErrorCode::kIo, "the list '" + Printable(file) + "' can't be read to its end.");
  return paths;
}

std::string ManifestPath(const std::string& folder, const std::string& command, const std::string& input) {
  const std::string digest = engine::Sha256Of(command + "\n" + input);
  return (fs::path(folder.empty() ? "." : folder) / ".timbre" / digest.substr(0, 2) / (digest.substr(0, 32) + ".json"))
      .string();
}

Status WriteManifest(const std::string& folder, const std::string& command, const Json& options, const Json& track) {
  const std::string input = track.value("input", "");
  Json manifest = {{"version", Version()},    {"command", command}, {"input", input},
                   {"state", StateOf(input)}, {"options", options}, {"outputs", Json::array()}};
  for (const std::string& file : FilesOf(track)) {
    TIMBRE_CHECK(SyncToDisk(file));
    TIMBRE_TRY(const std::string digest, Sha256OfFile(file));
    // Relative, so that the folder can be moved as a whole.
    const fs::path relative = fs::path(file).lexically_proximate(folder.empty() ? "." : folder);
    manifest["outputs"].push_back({{"path", relative.string()}, {"bytes", FileBytes(file)}, {"sha256", digest}});
  }
  manifest["report"] = track;
  const std::string path = ManifestPath(folder, command, input);
  TIMBRE_CHECK(MakeFolders(FolderOf(path)));
  TIMBRE_TRY(AtomicFile file, AtomicFile::Create(path));
  TIMBRE_CHECK(file.Write(std::string_view(manifest.dump(1, ' ', false, Json::error_handler_t::replace) + "\n")));
  return file.Commit(true);
}

Finished CheckManifest(const std::string& folder, const std::string& command, const std::string& input,
                       const Json& options, bool whole) {
  const auto manifest = ReadManifest(ManifestPath(folder, command, input));
  if (!manifest || !manifest->contains("outputs") || !(*manifest)["outputs"].is_array()) return Finished::kMissing;
  if (manifest->value("state", Json()) != StateOf(input)) return Finished::kStale;
  if (!options.is_null() && manifest->value("options", Json()) != options) return Finished::kStale;
  for (const Json& output : (*manifest)["outputs"]) {
    if (!output.is_object()) return Finished::kMissing;
    const Json path = output.value("path", Json()), bytes = output.value("bytes", Json());
    if (!path.is_string() || !bytes.is_number_integer()) return Finished::kMissing;
    const std::string file = (fs::path(folder.empty() ? "." : folder) / path.get<std::string>()).string();
    if (FileBytes(file) != bytes.get<int64_t>()) return Finished::kDamaged;
    if (!whole) continue;
    const auto digest = Sha256OfFile(file);
    if (!digest || output.value("sha256", Json()) != *digest) return Finished::kDamaged;
  }
  return Finished::kYes;
}

}  // namespace timbre::cli
