#include "runtime/session/steps.h"

namespace timbre {

std::string OnceMore(const std::string& place) { return place + ", once more"; }

bool MayStepDown(Rung rung, ErrorCode code, int tiles) {
  const bool memory = code == ErrorCode::kOutOfMemory;
  switch (rung) {
    case Rung::kKernel: return code == ErrorCode::kKernelFailed || memory || code == ErrorCode::kUnsupported;
    case Rung::kTiles: return memory && tiles > 1;
    case Rung::kPlace: return memory && tiles == 1;
    case Rung::kDevice:
      return code == ErrorCode::kDeviceLost || code == ErrorCode::kKernelFailed || code == ErrorCode::kUnsupported ||
             (memory && tiles == 1);
    case Rung::kOpen: return code == ErrorCode::kDeviceLost || memory;
  }
  return false;
}

Status Steps::Take(Rung rung, const std::string& node, const std::string& from, const std::string& to,
                   const Error& reason) const {
  return May(rung, reason) ? Record(node, from, to, reason) : Status(tl::unexpected<Error>(reason));
}

Status Steps::Record(const std::string& node, const std::string& from, const std::string& to,
                     const Error& reason) const {
  if (strict_) {
    return Fail(reason.code, node + ": would step down from " + from + " to " + to + " (" + reason.message +
                                 "), which strict mode forbids");
  }
  if (stats_) stats_->Record(node, from, to, reason.message);
  return {};
}

}  // namespace timbre
