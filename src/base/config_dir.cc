#include "base/config_dir.h"

#include <cstdlib>

namespace timbre {

std::string ConfigDir() {
  const char* config = std::getenv("XDG_CONFIG_HOME");
  if (config != nullptr && config[0] == '/') return std::string(config) + "/timbre";
  const char* home = std::getenv("HOME");
  if (home != nullptr && home[0] == '/') return std::string(home) + "/.config/timbre";
  return "";
}

}  // namespace timbre
