// The states of a session as they lie on a Vulkan device.
#pragma once

#include "runtime/device/vulkan_device.h"
#include "runtime/session/state.h"
#include "runtime/session/vulkan_memory.h"

namespace timbre {

// One for each SessionState and device, whatever sessions work on it. Kernels read a state from `now`; one that is
// replaced whole is made in `next` and copied over at the end of a run, so that recorded commands stay valid.
class VulkanStates : public SessionState::Twin {
 public:
  // The twin of `state` on `device`, with room for all that `state` has now. Errors: kOutOfMemory.
  static Result<std::shared_ptr<VulkanStates>> Of(SessionState& state, const std::shared_ptr<VulkanDevice>& device,
                                                  const VulkanMemory& memory);
  explicit VulkanStates(std::shared_ptr<VulkanDevice> device) : device_(std::move(device)) {}

  const VulkanBuffer& now(int state) const { return now_[state]; }
  const VulkanBuffer& next(int state) const { return next_[state]; }
  // Brings what changed in `state` to the device, which is at work with none of it.
  Status BringUp(const SessionState& state, FaultInjector* faults);
  // What BringUp has brought so far.
  int64_t bytes_brought() const { return brought_; }
  // What a run may have written, and left unfinished, has to be brought again.
  void Doubt(std::span<const SessionState::Write> writes, const Scalars& scalars);

 private:
  Status Copy(std::span<const std::byte> from, const VulkanBuffer& to, int64_t offset, FaultInjector* faults);

  std::shared_ptr<VulkanDevice> device_;
  std::vector<VulkanBuffer> now_, next_;
  int64_t brought_ = 0;
};

}  // namespace timbre
