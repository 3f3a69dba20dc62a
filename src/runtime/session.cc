#include "runtime/session.h"

#include <algorithm>
#include <iterator>

#include "base/suggest.h"
#include "base/text.h"
#include "runtime/cpu_session.h"

namespace timbre {

Status CheckDevice(const std::string& device) {
  static const std::string kDevices[] = {"auto", "cpu"};
  if (std::find(std::begin(kDevices), std::end(kDevices), device) != std::end(kDevices)) return {};
  return Fail(ErrorCode::kNotFound,
              "there is no device '" + Printable(device) + "'." + SuggestionFor(device, kDevices));
}

Result<std::unique_ptr<Session>> MakeSession(Graph graph, const SessionOptions& options, ThreadPool& pool,
                                             Stats* stats) {
  TIMBRE_CHECK(CheckDevice(options.device));
  const char* const reason = options.device == "auto" ? "the only device" : "asked for";
  return MakeCpuSession(std::move(graph), options, pool, stats, reason);
}

}  // namespace timbre
