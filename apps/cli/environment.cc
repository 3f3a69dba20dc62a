#include "apps/cli/environment.h"

#include <charconv>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/text.h"
#include "kernels/cpu/simd.h"
#include "runtime/device/vulkan_device.h"

namespace timbre::cli {
namespace {

// Empty counts as not set.
std::string_view Variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

tl::unexpected<Error> Malformed(const char* name, const std::string& allowed) {
  return Fail(ErrorCode::kInvalidArgument, "the environment variable " + std::string(name) + " is '" +
                                               Printable(Variable(name)) + "'; it can be " + allowed);
}

}  // namespace

Status HeedEnvironment() {
  if (const std::string_view name = Variable("TIMBRE_SIMD"); !name.empty() && !SetSimdTarget(name)) {
    std::string allowed;
    for (const std::string& target : SimdTargets()) allowed += (allowed.empty() ? "" : ", ") + target;
    return Malformed("TIMBRE_SIMD", allowed + " on this machine");
  }
  if (const std::string_view text = Variable("TIMBRE_VULKAN_TIMEOUT"); !text.empty()) {
    int seconds = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
    if (error != std::errc() || end != text.data() + text.size() || seconds < 1 || seconds > kLongestPatience) {
      return Malformed("TIMBRE_VULKAN_TIMEOUT",
                       "a whole number of seconds from 1 to " + std::to_string(kLongestPatience));
    }
  }
  if (const std::string_view text = Variable("TIMBRE_VULKAN_VALIDATION"); !text.empty() && text != "0" && text != "1") {
    return Malformed("TIMBRE_VULKAN_VALIDATION", "0 or 1");
  }
  return {};
}

}  // namespace timbre::cli
