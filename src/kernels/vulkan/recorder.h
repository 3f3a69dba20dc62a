// What a Vulkan kernel row sees of the device: buffers, and a place to record dispatches. The device itself is the
// runtime's.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "kernels/kernel.h"

namespace timbre {

// Part of a device buffer; the handle means something to the runtime alone. bytes 0: absent.
struct BufferRange {
  uint64_t buffer = 0, offset = 0, bytes = 0;
};

// A shader compiled at build time. Every shader has set 0 with storage buffers at bindings 0 … n - 1, push constants,
// entry point "main", and workgroups of 256 threads or a size of its own.
struct Shader {
  std::string_view name;
  std::span<const uint32_t> spirv;
  bool cooperative = false;  // on cooperative matrices: its subgroups are full, and of the size that DeviceCaps has
};
// The shader compiled from kernels/vulkan/shaders/NAME.comp; an empty one where there is none, as of those on
// cooperative matrices where glslc did not know them.
const Shader& FindShader(std::string_view name);
std::span<const Shader> AllShaders();

inline constexpr int kMaxBindings = 12;
inline constexpr size_t kMaxPushBytes = 128;  // what every device has

class VulkanRecorder {
 public:
  virtual ~VulkanRecorder() = default;
  // Records one dispatch; what it writes is visible to the next. Errors: kKernelFailed where the pipeline can't be
  // made.
  virtual Status Dispatch(const Shader& shader, std::span<const BufferRange> bindings,
                          std::span<const uint32_t> specialization, std::span<const uint32_t> push,
                          std::array<uint32_t, 3> groups) = 0;
};

struct VulkanCall {
  NodeRef ref;
  // Contiguous, float32 where their TensorInfo does not say otherwise; absent inputs are empty. A kStateWrite's output
  // lies where its state does.
  std::span<const BufferRange> in, out;
  BufferRange packed, scratch;
  BufferRange scalars;  // four bytes each, of the run that the commands are submitted for
  VulkanRecorder& recorder;
  const DeviceCaps& caps;
};

}  // namespace timbre
