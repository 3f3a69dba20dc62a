#include "runtime/faults.h"

#include <array>
#include <charconv>

namespace timbre {
namespace {

constexpr std::array<std::string_view, kFaultPoints> kNames = {"kernel", "pack",   "allocation", "pipeline", "submit",
                                                               "wait",   "device", "memory",     "hang",     "result"};

ErrorCode CodeOf(FaultPoint point) {
  switch (point) {
    case FaultPoint::kKernel:
    case FaultPoint::kPack:
    case FaultPoint::kPipeline:
    case FaultPoint::kResult: return ErrorCode::kKernelFailed;
    case FaultPoint::kMemory:
    case FaultPoint::kAllocation: return ErrorCode::kOutOfMemory;
    case FaultPoint::kSubmit:
    case FaultPoint::kWait:
    case FaultPoint::kHang:
    case FaultPoint::kDevice: return ErrorCode::kDeviceLost;
  }
  return ErrorCode::kInternal;
}

}  // namespace

std::string_view NameOf(FaultPoint point) { return kNames[static_cast<size_t>(point)]; }

void FaultInjector::FailAt(FaultPoint point, int64_t nth) {
  std::lock_guard lock(mutex_);
  point_ = point;
  nth_ = nth;
  lasting_ = false;
}

void FaultInjector::FailFrom(FaultPoint point, int64_t nth) {
  FailAt(point, nth);
  std::lock_guard lock(mutex_);
  lasting_ = true;
}

Status FaultInjector::Pass(FaultPoint point, const std::string& where) {
  std::lock_guard lock(mutex_);
  const int64_t pass = passes_[point]++;
  if (point != point_ || nth_ < 0 || !(pass == nth_ || (lasting_ && pass > nth_))) return {};
  return Fail(CodeOf(point), where + ": injected fault at " + std::string(NameOf(point)) + " " + std::to_string(pass));
}

int64_t FaultInjector::passes(FaultPoint point) const {
  std::lock_guard lock(mutex_);
  const auto it = passes_.find(point);
  return it == passes_.end() ? 0 : it->second;
}

Status FaultInjector::Parse(const std::string& text, FaultInjector& out) {
  const size_t colon = text.find(':');
  const bool lasting = text.ends_with('+');
  int64_t nth = -1;
  const char* begin = text.data() + (colon == std::string::npos ? text.size() : colon + 1);
  const char* end = text.data() + text.size() - (lasting ? 1 : 0);
  const auto [stop, error] =
      begin <= end ? std::from_chars(begin, end, nth) : std::from_chars_result{begin, std::errc::invalid_argument};
  for (size_t i = 0; i < kNames.size(); ++i) {
    if (colon == std::string::npos || text.substr(0, colon) != kNames[i]) continue;
    if (error != std::errc() || stop != end || nth < 0) break;
    lasting ? out.FailFrom(static_cast<FaultPoint>(i), nth) : out.FailAt(static_cast<FaultPoint>(i), nth);
    return {};
  }
  return Fail(ErrorCode::kInvalidArgument,
              "'" + text +
                  "' is no fault; write POINT:N or POINT:N+ with POINT one of kernel, pack, "
                  "allocation, pipeline, submit, wait, device, memory, hang, result");
}

}  // namespace timbre
