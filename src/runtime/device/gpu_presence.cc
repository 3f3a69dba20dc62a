#include "runtime/device/gpu_presence.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <span>
#include <string>
#include <string_view>

namespace timbre {
namespace {

namespace fs = std::filesystem;

// What the drivers of GPUs open, outside of the kernel's own folder for them: NVIDIA's on servers and on Tegra, Arm's,
// Qualcomm's, Imagination's, and Windows' for its subsystem for Linux.
constexpr std::string_view kDevices[] = {"nvidia", "nvgpu", "nvhost", "nvmap", "mali", "kgsl", "pvr", "dxg"};
constexpr std::string_view kRendering[] = {"renderD"};

bool HoldsAny(const fs::path& folder, std::span<const std::string_view> beginnings) {
  std::error_code none;
  for (fs::directory_iterator entry(folder, none), end; !none && entry != end; entry.increment(none)) {
    const std::string name = entry->path().filename().string();
    if (std::any_of(beginnings.begin(), beginnings.end(), [&](std::string_view b) { return name.starts_with(b); }))
      return true;
  }
  return false;
}

std::string FirstWord(const fs::path& file) {
  std::string word;
  std::ifstream(file) >> word;
  return word;
}

// A display controller of NVIDIA's, whose module may not have been loaded since the machine was started.
bool HasNvidia(const fs::path& bus) {
  std::error_code none;
  for (fs::directory_iterator entry(bus, none), end; !none && entry != end; entry.increment(none)) {
    if (FirstWord(entry->path() / "vendor") == "0x10de" && FirstWord(entry->path() / "class").starts_with("0x03"))
      return true;
  }
  return false;
}

bool LoaderIsTold() {
  for (char** variable = environ; *variable != nullptr; ++variable) {
    if (std::string_view(*variable).starts_with("VK_")) return true;
  }
  return false;
}

}  // namespace

bool MayHaveGpu(const fs::path& root) {
  return LoaderIsTold() || HoldsAny(root / "dev/dri", kRendering) || HoldsAny(root / "sys/class/drm", kRendering) ||
         HoldsAny(root / "dev", kDevices) || HasNvidia(root / "sys/bus/pci/devices");
}

}  // namespace timbre
