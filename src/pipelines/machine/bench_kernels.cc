#include "pipelines/machine/bench_kernels.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "graph/op_table.h"
#include "graph/single_op_graph.h"
#include "runtime/session/cpu_ladder.h"

namespace timbre {
namespace {

struct Timed {
  double median = 0;  // seconds
  double gflop = 0;
  double gbytes = 0;  // inputs, as they are stored, and outputs
};

// The median time of `runs` runs; nothing where the kernel does not take the case.
Result<std::optional<Timed>> Time(const KernelRow& row, const OpCase& c, int runs, Precision precision,
                                  ThreadPool& pool) {
  const SingleOpGraph one = MakeSingleOpGraph(row.op, c);
  const Graph& graph = one.graph;
  const Node& node = graph.nodes.front();
  const NodeRef ref{graph, node};
  const DeviceCaps caps = CpuCaps(pool, precision);
  if (!row.Supports(ref, caps)) return std::nullopt;

  AlignedBytes packed, scratch;
  if (row.pack != nullptr) {
    TIMBRE_TRY(packed, row.pack(ref, caps));
  }
  if (row.scratch_bytes != nullptr) {
    TIMBRE_TRY(scratch, AlignedBytes::Allocate(row.scratch_bytes(ref, caps)));
  }
  std::vector<AlignedBytes> blocks;
  std::vector<const float*> in;
  std::vector<float*> out;
  double bytes = 0;
  for (const TensorId id : node.inputs) {
    const std::vector<float> none;
    const std::vector<float>& v = id == kNoTensor ? none : one.inputs[id];
    TIMBRE_TRY(AlignedBytes block, AlignedBytes::Allocate(v.size() * sizeof(float)));
    std::copy(v.begin(), v.end(), block.f32());
    const bool constant = graph.IsConstant(id);
    const bool read = !v.empty() && (!constant || (row.packed_inputs >> in.size() & 1) == 0);
    bytes += static_cast<double>(constant ? graph.tensors[id].constant.bytes() : v.size() * sizeof(float));
    in.push_back(read ? block.f32() : nullptr);
    blocks.push_back(std::move(block));
  }
  for (const TensorId id : node.outputs) {
    TIMBRE_TRY(AlignedBytes block, AlignedBytes::Allocate(graph.shape(id).elements() * sizeof(float)));
    bytes += static_cast<double>(graph.shape(id).elements()) * sizeof(float);
    out.push_back(block.f32());
    blocks.push_back(std::move(block));
  }
  const std::vector<uint32_t> scalars = ScalarDefaults(graph);
  const CpuCall call{ref, in, out, &packed, scratch.f32(), pool, {scalars}};
  const CpuRun run = std::get<CpuRun>(row.run);
  std::vector<double> seconds;
  for (int i = 0; i <= runs; ++i) {
    const auto start = std::chrono::steady_clock::now();
    TIMBRE_CHECK(run(call));
    // The first run warms caches and is not counted.
    if (i > 0) seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  std::nth_element(seconds.begin(), seconds.begin() + seconds.size() / 2, seconds.end());
  return Timed{seconds[seconds.size() / 2], FlopsOf(graph, node) / 1e9, bytes / 1e9};
}

}  // namespace

Status BenchKernels(const std::string& only, int runs, Precision precision, double peak_gflops, ThreadPool& pool,
                    Observer& observer, Json& report) {
  report["kernels"] = Json::array();
  Answer(observer, fmt::format("{:<16} {:<28} {:<24} {:>10} {:>10} {:>8} {:>8}", "operator", "case", "kernel", "ms",
                               "GFLOP/s", "of peak", "GB/s"));
  for (const OpRow& op : OpTable()) {
    for (const OpCase& c : op.cases()) {
      if (!c.benchmark) continue;
      for (const KernelRow* row : KernelsFor(op.op, DeviceKind::kCpu)) {
        const std::string name = fmt::format("{}/{}/{}", op.name, c.name, row->name);
        if (name.find(only) == std::string::npos) continue;
        if (observer.Cancelled()) return Fail(ErrorCode::kCancelled, "cancelled.");
        TIMBRE_TRY(const std::optional<Timed> timed, Time(*row, c, runs, precision, pool));
        if (!timed) continue;
        const double gflops = timed->gflop / timed->median;
        Answer(observer,
               fmt::format("{:<16} {:<28} {:<24} {:>10.3f} {:>10.1f} {:>7.1f}% {:>8.1f}", op.name, c.name, row->name,
                           timed->median * 1e3, gflops, 100 * gflops / peak_gflops, timed->gbytes / timed->median));
        report["kernels"].push_back({{"operator", op.name},
                                     {"case", c.name},
                                     {"kernel", row->name},
                                     {"tier", NameOf(row->tier)},
                                     {"seconds", timed->median},
                                     {"gflop", timed->gflop},
                                     {"gflops", gflops},
                                     {"gbytes", timed->gbytes},
                                     {"fraction_of_peak", gflops / peak_gflops}});
      }
    }
  }
  if (!report["kernels"].empty()) return {};
  return Fail(ErrorCode::kNotFound,
              "no kernel and case contains '" + only + "'; 'timbre bench kernels' alone lists them.");
}

}  // namespace timbre
