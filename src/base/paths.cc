#include "base/paths.h"

#include <cstdlib>
#include <filesystem>
#include <system_error>

namespace timbre {

Result<std::string> CacheDir() {
  const char* own = std::getenv("TIMBRE_CACHE");
  if (own != nullptr && own[0] != 0) return std::string(own);
  const char* cache = std::getenv("XDG_CACHE_HOME");
  if (cache != nullptr && cache[0] == '/') return std::string(cache) + "/timbre";
  const char* home = std::getenv("HOME");
  if (home != nullptr && home[0] == '/') return std::string(home) + "/.cache/timbre";
  return Fail(ErrorCode::kNotFound, "there is no place for downloads: set TIMBRE_CACHE to a folder.");
}

std::string FolderOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "" : path.substr(0, slash + 1);
}

Status MakeFolders(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) return Fail(ErrorCode::kIo, "the folder '" + path + "' could not be made: " + error.message() + ".");
  return {};
}

}  // namespace timbre
