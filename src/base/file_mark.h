// A word that is kept with a file but not in it: an extended attribute, "user.timbre.made". It goes where the file is
// moved to, and is gone with the file; a copy has none, unless whoever copies asks for that (cp -a, rsync -X).
#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace timbre {

// Nothing comes of it where the file system keeps no such thing, or has no room.
void KeepMark(const std::filesystem::path& path, const std::string& mark);

// What was kept; empty where nothing was. Nothing where the file system could not have kept it.
std::optional<std::string> MarkOf(const std::filesystem::path& path);

}  // namespace timbre
