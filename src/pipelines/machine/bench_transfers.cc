#include "pipelines/machine/bench_transfers.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <vector>

#include "runtime/device/vulkan_device.h"

namespace timbre {
namespace {

using Placement = VulkanDevice::Placement;

// Median seconds of submitting and waiting, after one run that is not counted.
Result<double> TimeOf(VulkanDevice& device, const VulkanCommands& commands, int runs) {
  std::vector<double> seconds;
  for (int run = 0; run <= runs; ++run) {
    const auto start = std::chrono::steady_clock::now();
    TIMBRE_CHECK(device.Run(commands));
    if (run > 0) seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  std::nth_element(seconds.begin(), seconds.begin() + static_cast<ptrdiff_t>(seconds.size() / 2), seconds.end());
  return seconds[seconds.size() / 2];
}

Result<double> TimeCopy(VulkanDevice& device, const VulkanBuffer& from, const VulkanBuffer& to, uint64_t bytes,
                        int runs) {
  TIMBRE_TRY(const std::unique_ptr<VulkanCommands> commands, device.Record());
  commands->Copy(from, 0, to, 0, bytes);
  TIMBRE_CHECK(commands->End());
  return TimeOf(device, *commands, runs);
}

}  // namespace

Status BenchTransfers(int vulkan_index, int runs, Observer& observer, Json& report) {
  if (vulkan_index < 0) {
    return Fail(ErrorCode::kUnsupported,
                "'timbre bench transfers' is about a GPU; name one with --device, as 'timbre devices' lists them.");
  }
  TIMBRE_TRY(const std::shared_ptr<VulkanDevice> device, VulkanDevice::Open(vulkan_index));
  constexpr uint64_t kLeast = uint64_t{4} << 10, kMost = uint64_t{256} << 20;
  TIMBRE_TRY(const VulkanBuffer host, device->Allocate(kMost, Placement::kHost));
  TIMBRE_TRY(const VulkanBuffer local, device->Allocate(kMost, Placement::kDevice));
  std::memset(host.mapped(), 1, kMost);
  report["device"] = device->info().name;
  report["unified_memory"] = device->unified();
  TIMBRE_TRY(const double submission, TimeCopy(*device, host, local, 4, runs));
  report["submission_seconds"] = submission;
  Answer(observer, fmt::format("{}{}: a submission takes {:.1f} microseconds", device->info().name,
                               device->unified() ? ", memory shared with the host" : "", submission * 1e6));
  Answer(observer, fmt::format("  {:>10} {:>14} {:>14}", "bytes", "to it, GB/s", "from it, GB/s"));
  report["transfers"] = Json::array();
  for (uint64_t bytes = kLeast; bytes <= kMost; bytes *= 4) {
    if (observer.Cancelled()) return Fail(ErrorCode::kCancelled, "cancelled.");
    TIMBRE_TRY(const double to, TimeCopy(*device, host, local, bytes, runs));
    TIMBRE_TRY(const double from, TimeCopy(*device, local, host, bytes, runs));
    const auto rate = [&](double seconds) { return static_cast<double>(bytes) / seconds / 1e9; };
    Answer(observer, fmt::format("  {:>10} {:>14.2f} {:>14.2f}", bytes, rate(to), rate(from)));
    report["transfers"].push_back({{"bytes", bytes}, {"to_device_seconds", to}, {"from_device_seconds", from}});
  }
  return {};
}

}  // namespace timbre
