#include "base/file_mark.h"

#include <sys/xattr.h>

#include <array>
#include <cerrno>

namespace timbre {
namespace {

constexpr char kAttribute[] = "user.timbre.made";

}  // namespace

void KeepMark(const std::filesystem::path& path, const std::string& mark) {
  setxattr(path.c_str(), kAttribute, mark.data(), mark.size(), 0);
}

std::optional<std::string> MarkOf(const std::filesystem::path& path) {
  std::array<char, 512> mark;
  const ssize_t bytes = getxattr(path.c_str(), kAttribute, mark.data(), mark.size());
  if (bytes >= 0) return std::string(mark.data(), static_cast<size_t>(bytes));
  if (errno == ENOTSUP) return std::nullopt;
  return std::string();  // there is none, or one that nobody here has written
}

}  // namespace timbre
