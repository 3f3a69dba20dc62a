// timbre bench transfers: what it costs to bring data to a GPU and back.
#pragma once

#include "pipelines/job.h"

namespace timbre {

// Times copies of 4 KiB to 256 MiB from host memory to the device's and back, and a submission that does next to
// nothing; prints a table, and adds "transfers" and "submission_seconds" to the report. Errors: the device is the CPU,
// or cannot be opened.
Status BenchTransfers(int vulkan_index, int runs, Observer& observer, Json& report);

}  // namespace timbre
