#include "runtime/check/doctor.h"

#include <algorithm>
#include <map>
#include <set>

#include "graph/single_op_graph.h"
#include "runtime/check/verify.h"

namespace timbre {
namespace {

// The small graph as one fused node, so that one comparison serves.
Node Whole(const SingleOpGraph& one) {
  Node whole = one.graph.nodes[0];
  if (one.graph.nodes.size() == 1) return whole;
  whole.composition = one.graph.nodes;
  whole.outputs = one.graph.nodes.back().outputs;
  for (size_t i = 1; i < one.graph.nodes.size(); ++i) {
    for (const TensorId id : one.graph.nodes[i].inputs) {
      if (!one.inputs[id].empty()) whole.inputs.push_back(id);
    }
  }
  return whole;
}

class Findings {
 public:
  int losses = 0;  // of the device as a whole

  Findings() {
    for (const KernelRow* row : AllKernels()) versions_[std::string(row->name)] = row->version;
  }
  void Add(Op op, const std::string& kernel, double worst, const std::string& problem) {
    KernelFinding& finding = found_[std::string(NameOf(op)) + " " + kernel];
    finding.op = NameOf(op);
    finding.kernel = kernel;
    finding.version = versions_.contains(kernel) ? versions_[kernel] : 0;
    ++finding.cases;
    finding.worst = std::max(finding.worst, worst);
    if (finding.problem.empty()) finding.problem = problem;
  }
  std::vector<KernelFinding> Take() const {
    std::vector<KernelFinding> list;
    for (const auto& [name, finding] : found_) list.push_back(finding);
    return list;
  }

 private:
  std::map<std::string, KernelFinding> found_;
  std::map<std::string, int> versions_;
};

// `done` holds the kernels that this case has been run on, `expected` what its oracle says, once it has been asked.
Status CheckCase(Op op, const std::string& name, const SingleOpGraph& one, const SessionOptions& options,
                 ThreadPool& pool, std::set<std::string>& done, std::vector<Tensor64>& expected, Findings& findings) {
  Stats stats;
  TIMBRE_TRY(const auto session, MakeSession(one.graph, options, pool, &stats));
  std::string kernels;
  for (const NodeTiming& row : session->Profile()) kernels += row.kernel + " ";
  if (stats.steps().empty() && !done.insert(kernels).second) return {};
  std::vector<const float*> in, all;
  for (const GraphPort& port : one.graph.inputs) in.push_back(one.inputs[port.tensor].data());
  std::vector<std::vector<float>> results;
  std::vector<float*> out;
  for (const GraphPort& port : one.graph.outputs) results.emplace_back(one.graph.shape(port.tensor).elements());
  out.reserve(results.size());
  for (auto& r : results) out.push_back(r.data());
  for (const TensorInfo& tensor : one.graph.tensors) {
    if (tensor.kind != TensorKind::kState) continue;
    TIMBRE_CHECK(session->state()->Set(tensor.name, one.inputs[one.graph.FindState(tensor.name)]));
  }
  TIMBRE_CHECK(session->Run(in, out));
  // A kernel that gave up says so; what replaced it has its own cases.
  for (const StepDown& step : stats.steps()) {
    const size_t space = step.from.find(' ');
    const bool whole = step.node == "device";  // no kernel's fault
    findings.losses += whole;
    findings.Add(op,
                 whole                        ? "device"
                 : space == std::string::npos ? step.from
                                              : step.from.substr(space + 1),
                 0, name + ": " + step.reason);
  }
  if (!stats.steps().empty()) return {};
  const std::vector<NodeTiming> profile = session->Profile();
  const auto own =
      std::find_if(profile.begin(), profile.end(), [&](const NodeTiming& row) { return row.op == NameOf(op); });
  if (own == profile.end() || own->kernel == "none") return {};  // a reshape in place
  const Node whole = Whole(one);
  for (const TensorId id : whole.inputs) all.push_back(id == kNoTensor ? nullptr : one.inputs[id].data());
  const std::vector<const float*> computed(out.begin(), out.end());
  if (expected.empty()) expected = OracleOf(one.graph, whole, all);
  const Deviation deviation = Compare(one.graph, whole, computed, expected, options.precision, all);
  findings.Add(op, own->kernel, deviation.worst, deviation.worst <= 1 ? "" : name + ": " + deviation.where);
  return {};
}

}  // namespace

Result<std::vector<KernelFinding>> CheckKernels(const std::string& device, ThreadPool& pool,
                                                const std::function<bool(double)>& progress) {
  const DeviceKind kind = device == "cpu" ? DeviceKind::kCpu : DeviceKind::kVulkan;
  std::vector<EpilogueNames> epilogues{{}, {"gelu"}, {"glu", "scale", "add"}};
  if (kind == DeviceKind::kCpu) epilogues.push_back({"norm", "gelu"});  // of which a kernel there makes one
  Findings findings;
  const auto table = OpTable();
  for (size_t i = 0; i < table.size(); ++i) {
    for (const OpCase& c : table[i].cases()) {
      if (!progress(static_cast<double>(i) / static_cast<double>(table.size())))
        return Fail(ErrorCode::kCancelled, "cancelled");
      if (c.benchmark) continue;
      for (const EpilogueNames& epilogue : epilogues) {
        const SingleOpGraph one = MakeSingleOpGraph(table[i].op, c, epilogue);
        if (one.graph.nodes.empty()) continue;
        // What a plan takes, what it takes without fast kernels or in half precision, and whatever else it could take.
        struct Way {
          bool fast;
          std::string_view prefer;
          Precision precision = Precision::kF32;
        };
        std::vector<Way> ways{{true, ""}};
        if (epilogue.empty()) ways.push_back({false, ""});
        for (const KernelRow* row : KernelsFor(table[i].op, kind)) {
          if (row->tier == Tier::kFast) ways.push_back({true, row->name, row->precision});
        }
        std::set<std::string> done;
        std::vector<Tensor64> expected;
        for (const auto& [fast, prefer, precision] : ways) {
          SessionOptions options;
          options.prefer = prefer;
          options.precision = precision;
          options.device = device;
          options.heed_doctor = false;
          options.toggles.fast_kernels = fast;
          // A device that is lost again and again has shown enough, and may take its time-out for each case.
          if (findings.losses >= 3) return findings.Take();
          TIMBRE_CHECK(CheckCase(table[i].op, c.name, one, options, pool, done, expected, findings));
        }
      }
    }
  }
  progress(1);
  return findings.Take();
}

}  // namespace timbre
