#include "runtime/session.h"

#include "runtime/cpu_session.h"

namespace timbre {

Result<std::unique_ptr<Session>> MakeSession(Graph graph, const SessionOptions& options, ThreadPool& pool,
                                             Stats* stats) {
  if (options.device == "cpu") return MakeCpuSession(std::move(graph), options, pool, stats, "asked for");
  if (options.device == "auto") return MakeCpuSession(std::move(graph), options, pool, stats, "the only device");
  return Fail(ErrorCode::kNotFound, "there is no device '" + options.device + "'; it can be one of: auto, cpu");
}

}  // namespace timbre
