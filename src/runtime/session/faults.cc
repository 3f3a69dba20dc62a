#include "runtime/session/faults.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/text.h"

namespace timbre {
namespace {

constexpr std::array<std::string_view, kFaultPoints> kNames = {
    "kernel", "pack", "allocation", "pipeline", "submit", "wait", "device", "memory", "hang", "result", "reserve"};

ErrorCode CodeOf(FaultPoint point) {
  switch (point) {
    case FaultPoint::kKernel:
    case FaultPoint::kPack:
    case FaultPoint::kPipeline:
    case FaultPoint::kResult: return ErrorCode::kKernelFailed;
    case FaultPoint::kMemory:
    case FaultPoint::kReserve:
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

void FaultInjector::Add(FaultPoint point, int64_t nth, bool lasting) {
  std::lock_guard lock(mutex_);
  faults_.push_back({point, nth, lasting});
}

void FaultInjector::FailAt(FaultPoint point, int64_t nth) { Add(point, nth, false); }

void FaultInjector::FailFrom(FaultPoint point, int64_t nth) { Add(point, nth, true); }

Status FaultInjector::Pass(FaultPoint point, const std::string& where) {
  std::lock_guard lock(mutex_);
  const int64_t pass = passes_[point]++;
  bool fails = false;
  for (size_t i = 0; i < struck_; ++i) fails |= faults_[i].lasting && faults_[i].point == point;
  if (struck_ < faults_.size() && faults_[struck_].point == point && faults_[struck_].passes_left-- == 0) {
    fails = true;
    ++struck_;
  }
  if (!fails) return {};
  return Fail(CodeOf(point), where + ": injected fault at " + std::string(NameOf(point)) + " " + std::to_string(pass));
}

size_t FaultInjector::struck() const {
  std::lock_guard lock(mutex_);
  return struck_;
}

int64_t FaultInjector::passes(FaultPoint point) const {
  std::lock_guard lock(mutex_);
  const auto it = passes_.find(point);
  return it == passes_.end() ? 0 : it->second;
}

Status FaultInjector::Parse(const std::string& text, FaultInjector& out) {
  for (std::string_view rest = text;;) {
    const size_t comma = rest.find(',');
    if (!ParseOne(rest.substr(0, comma), out)) break;
    if (comma == std::string_view::npos) return {};
    rest.remove_prefix(comma + 1);
  }
  return Fail(ErrorCode::kInvalidArgument,
              "'" + Printable(text) +
                  "' is no fault; write POINT:N or POINT:N+, or several with commas between, with POINT one of kernel, "
                  "pack, allocation, pipeline, submit, wait, device, memory, hang, result, reserve");
}

Status FaultInjector::ParseOne(std::string_view text, FaultInjector& out) {
  const Error bad{ErrorCode::kInvalidArgument, "no fault"};
  const size_t colon = text.find(':');
  if (colon == std::string_view::npos) return tl::unexpected<Error>(bad);
  const auto name = std::find(kNames.begin(), kNames.end(), text.substr(0, colon));
  std::string_view number = text.substr(colon + 1);
  const bool lasting = number.ends_with('+');
  if (lasting) number.remove_suffix(1);
  int64_t nth = -1;
  const auto [stop, error] = std::from_chars(number.data(), number.data() + number.size(), nth);
  if (name == kNames.end() || error != std::errc() || stop != number.data() + number.size() || nth < 0)
    return tl::unexpected<Error>(bad);
  out.Add(static_cast<FaultPoint>(name - kNames.begin()), nth, lasting);
  return {};
}

}  // namespace timbre
