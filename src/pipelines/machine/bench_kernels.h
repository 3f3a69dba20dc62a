// timbre bench kernels: every kernel on the op table's cases.
#pragma once

#include <string>

#include "base/thread_pool.h"
#include "pipelines/job.h"
#include "runtime/session/session.h"

namespace timbre {

// Times each CPU kernel on the benchmark cases of its operator whose "op/case/kernel" contains `only`; prints a table,
// and adds "kernels" to the report. Fractions are of `peak_gflops`.
Status BenchKernels(const std::string& only, int runs, Precision precision, double peak_gflops, ThreadPool& pool,
                    Observer& observer, Json& report);

}  // namespace timbre
