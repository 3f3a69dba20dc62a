// Whether there is any use in asking Vulkan for a GPU.
#pragma once

#include <filesystem>

namespace timbre {

// False where the kernel shows no graphics processor below `root`, so that no driver could find one: to ask Vulkan all
// the same would load every driver that is installed, a software one and the compiler in it too, for tens of
// milliseconds. True where in doubt: a driver of NVIDIA's, say, makes its files below /dev when it is first asked, and
// whoever tells the loader where to look, by a variable whose name begins with VK_, knows more than the kernel.
bool MayHaveGpu(const std::filesystem::path& root = "/");

}  // namespace timbre
