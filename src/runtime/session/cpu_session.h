#pragma once

#include "runtime/session/session.h"

namespace timbre {

Result<std::unique_ptr<Session>> MakeCpuSession(Graph graph, const SessionOptions& options, ThreadPool& pool,
                                                Stats* stats, std::string reason);

}  // namespace timbre
