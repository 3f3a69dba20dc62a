#include "pipelines/track_inputs.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <string_view>

#include "audio/byte_source.h"
#include "base/text.h"

namespace timbre {
namespace {

namespace fs = std::filesystem;

// What FFmpeg's libraries read and people keep music, speech and videos in. A file named on its own may be called
// anything.
constexpr std::string_view kExtensions[] = {".wav",  ".wave", ".w64", ".rf64", ".aif",  ".aiff", ".aifc", ".caf",
                                            ".flac", ".mp3",  ".mp2", ".m4a",  ".m4b",  ".aac",  ".ogg",  ".oga",
                                            ".opus", ".wma",  ".ac3", ".eac3", ".ape",  ".wv",   ".tta",  ".mka",
                                            ".mp4",  ".m4v",  ".mov", ".mkv",  ".webm", ".avi",  ".au",   ".amr"};

bool LooksLikeAudio(const fs::path& path) {
  const std::string extension = LowerCase(path.extension().string());
  return std::find(std::begin(kExtensions), std::end(kExtensions), extension) != std::end(kExtensions);
}

// Without symbolic links, "." and "..", as far as it exists.
fs::path Normal(const fs::path& path) {
  std::error_code error;
  fs::path normal = fs::weakly_canonical(fs::absolute(path, error), error);
  return error ? path.lexically_normal() : normal;
}

Status ListFolder(const fs::path& folder, bool recursive, const fs::path& except, std::vector<TrackInput>& files) {
  std::error_code error;
  std::vector<fs::path> found;
  std::vector<fs::path> folders = {folder};
  while (!folders.empty()) {
    const fs::path current = folders.back();
    folders.pop_back();
    for (fs::directory_iterator entry(current, error), end; !error && entry != end; entry.increment(error)) {
      const fs::path& path = entry->path();
      if (path.filename().string().starts_with(".")) continue;
      std::error_code ignored;  // what cannot be examined is no audio file
      if (entry->is_directory(ignored)) {
        if (recursive && !entry->is_symlink(ignored) && Normal(path) != except) folders.push_back(path);
      } else if (entry->is_regular_file(ignored) && LooksLikeAudio(path)) {
        found.push_back(path);
      }
    }
    if (error) {
      return Fail(ErrorCode::kIo, "'" + current.string() + "' cannot be listed: " + error.message() + ".");
    }
  }
  if (found.empty()) {
    return Fail(ErrorCode::kNotFound, "there is no audio file in '" + folder.string() + "'" +
                                          (recursive ? "." : "; --recursive looks into its folders too."));
  }
  std::sort(found.begin(), found.end());
  for (const fs::path& path : found) {
    const fs::path below = path.parent_path().lexically_relative(folder.has_filename() ? folder : folder.parent_path());
    files.emplace_back(path.string(), below.empty() || below == "." ? "" : below.string());
  }
  return {};
}

}  // namespace

Result<std::vector<TrackInput>> ExpandInputs(const std::vector<std::string>& inputs, bool recursive,
                                             const std::string& except) {
  std::vector<TrackInput> files;
  for (const std::string& input : inputs) {
    if (IsStandardInput(input)) {
      const auto standard = [](const TrackInput& file) { return IsStandardInput(file.path); };
      if (std::any_of(files.begin(), files.end(), standard)) {
        return Fail(ErrorCode::kInvalidArgument, "the standard input is given twice; it can be read once.");
      }
      files.emplace_back(input);
      continue;
    }
    std::error_code error;
    const fs::file_status status = fs::status(input, error);
    if (status.type() == fs::file_type::not_found) {
      return Fail(ErrorCode::kNotFound, "there is no file '" + input + "'.");
    }
    if (fs::is_directory(status)) {
      TIMBRE_CHECK(ListFolder(input, recursive, Normal(except), files));
      continue;
    }
    if (fs::is_fifo(status)) {
      files.emplace_back(input);
      continue;
    }
    if (!fs::is_regular_file(status)) {
      return Fail(ErrorCode::kUnsupported, "'" + input + "' is neither a file nor a folder.");
    }
    if (fs::file_size(input, error) == 0 && !error) {
      return Fail(ErrorCode::kCorrupt, "'" + input + "' is empty.");
    }
    if (access(input.c_str(), R_OK) != 0) {
      return Fail(ErrorCode::kIo, "'" + input + "' cannot be read; check its permissions.");
    }
    files.emplace_back(input);
  }
  std::set<std::string> seen;
  std::erase_if(files, [&](const TrackInput& file) {
    return !IsStandardInput(file.path) && !seen.insert(Normal(file.path).string()).second;
  });
  return files;
}

std::string NameFor(const std::string& name, const std::string& usual, bool recursive) {
  if (!recursive || name != usual) return name;
  const size_t track = name.find("{track}");
  return name.substr(0, track) + "{folder}/" + name.substr(track);
}

Status CheckOutputFolder(const std::string& folder) {
  std::error_code error;
  fs::path path = fs::absolute(folder, error);
  while (fs::status(path, error).type() == fs::file_type::not_found && path.has_relative_path())
    path = path.parent_path();
  if (!fs::is_directory(path, error)) {
    return Fail(ErrorCode::kIo,
                "the output folder '" + folder + "' cannot be made: '" + path.string() + "' is not a folder.");
  }
  if (access(path.c_str(), W_OK | X_OK) != 0) {
    return Fail(ErrorCode::kIo, "the output folder '" + folder + "' cannot be written to; check the permissions of '" +
                                    path.string() + "'.");
  }
  return {};
}

OutputPlan::OutputPlan(const std::vector<TrackInput>& inputs) {
  for (const TrackInput& input : inputs) inputs_.insert(Normal(input.path).string());
}

Result<std::string> OutputPlan::Add(const std::vector<std::string>& paths, const std::string& input) {
  std::set<std::string> own;
  for (const std::string& path : paths) {
    const std::string normal = Normal(path).string();
    if (!own.insert(normal).second) {
      return Fail(
          ErrorCode::kInvalidArgument,
          fmt::format("two outputs of '{}' would both be written to '{}'; put {{stem}} into --name.", input, path));
    }
    if (inputs_.contains(normal)) {
      return fmt::format("'{}' would be written over an input; choose another --output or --name.", path);
    }
    if (const auto other = planned_.find(normal); other != planned_.end()) {
      return fmt::format(
          "'{}' and '{}' would both be written to '{}'; put {{folder}} into --name, or give them to two runs with an "
          "--output each.",
          other->second, input, path);
    }
  }
  for (const std::string& path : own) planned_.emplace(path, input);
  return "";
}

}  // namespace timbre
