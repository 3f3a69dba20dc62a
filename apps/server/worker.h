// The process in which jobs run: engine/worker_process.h says how it is spoken to.
#pragma once

#include <cstdint>

#include "base/result.h"

namespace timbre::server {

struct WorkerLimits {
  int64_t memory_bytes = 0;  // of addresses; 0: none
  int64_t file_bytes = 0;    // of any file that it writes; 0: none
};

// Does what comes in over the standard input, which is a socket, one job after the other, until that is closed. It ends
// with the process that started it.
Status RunWorker(const WorkerLimits& limits);

}  // namespace timbre::server
