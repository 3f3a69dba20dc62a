// How fast a network or the kernels are here, against what the processor could do.
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <map>

#include "base/affinity.h"
#include "base/quantities.h"
#include "models/released_networks.h"
#include "pipelines/job_schema.h"
#include "pipelines/machine/bench_kernels.h"
#include "pipelines/machine/bench_transfers.h"
#include "pipelines/runtime_options.h"
#include "plots/picture.h"
#include "plots/roofline.h"
#include "runtime/check/peak.h"
#include "runtime/check/verify.h"

namespace timbre {
namespace {

double Median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + values.size() / 2, values.end());
  return values[values.size() / 2];
}

// Noise like a loud song's, for every input of the graph; and room for the outputs.
struct Buffers {
  std::vector<std::vector<float>> inputs, outputs;
  std::vector<const float*> in;
  std::vector<float*> out;

  explicit Buffers(const Graph& graph) {
    for (const GraphPort& port : graph.inputs) {
      std::vector<float>& values = inputs.emplace_back(graph.shape(port.tensor).elements());
      const bool whole = graph.tensors[port.tensor].dtype == DType::kI32;  // ids, positions, rows: small numbers do
      for (size_t i = 0; i < values.size(); ++i) {
        values[i] =
            whole ? std::bit_cast<float>(static_cast<int32_t>(i)) : FormulaValue(Fnv1a64(port.name), i, -0.5f, 1.0f);
      }
      in.push_back(values.data());
    }
    for (const GraphPort& port : graph.outputs) {
      out.push_back(outputs.emplace_back(graph.shape(port.tensor).elements()).data());
    }
  }
};

// What takes no measurable time has no rate.
double Rate(double amount, double seconds) { return seconds > 0 ? amount / seconds / 1e9 : 0; }

std::string OfPeak(double gflops, double peak) {
  return peak > 0 ? fmt::format(", {:.1f} % of the peak of {:.1f}", 100 * gflops / peak, peak) : "";
}

// Bytes of the weights of products, as they are stored.
double ProductWeights(const Graph& graph) {
  double bytes = 0;
  for (const Node& node : graph.nodes) {
    if (node.op == Op::kLinear && graph.IsConstant(node.inputs[1])) {
      bytes += static_cast<double>(graph.tensors[node.inputs[1]].constant.bytes());
    }
  }
  return bytes;
}

// Sums over nodes with one operator and kernel.
struct Group {
  double seconds = 0, flops = 0, bytes = 0;  // of one run
  double least = 0;                          // seconds, by the roofline model; 0 where it was not measured
  int nodes = 0;

  double intensity() const { return bytes > 0 ? flops / bytes : 0; }
  double fraction_of_bound() const { return seconds > 0 ? least / seconds : 0; }
};

Group GroupOf(const NodeTiming& node, const Roofline& roof) {
  const auto bytes = static_cast<double>(node.bytes);
  return {node.seconds / static_cast<double>(std::max<int64_t>(1, node.runs)), node.flops, bytes,
          roof.bandwidth_gb_per_s > 0 ? roof.Seconds(node.flops, bytes) : 0, 1};
}

class BenchJob final : public Job {
 public:
  BenchJob() {
    for (const NetworkRow& row : Networks()) subjects_.emplace_back(row.name);
    subjects_.emplace_back("kernels");
    subjects_.emplace_back("transfers");
  }

  FieldList Fields() override {
    const auto for_networks = [this] { return what_ == "kernels" ? "'kernels' have cases of their own" : ""; };
    FieldList fields = {
        {.name = "what",
         .value = &what_,
         .help = "a network, with random weights; 'kernels'; or 'transfers', between host and GPU",
         .positional = true,
         .required = true,
         .choices = subjects_},
        {.name = "runs",
         .value = &runs_,
         .help = "of which the median counts, after one more",
         .letter = 'n',
         .min = 1,
         .max = 1000},
        {.name = "batch",
         .value = &batch_,
         .help = "tiles computed together",
         .min = 1,
         .max = 64,
         .idle = for_networks},
        {.name = "seed", .value = &seed_, .help = "of the random weights", .idle = for_networks},
        {.name = "profile",
         .value = &profile_,
         .help = "show the time of every node, and what bounds it",
         .idle = for_networks},
        {.name = "plot", .value = &plot_, .help = "draw the roofline: a .png or an .svg", .placeholder = "FILE"},
        {.name = "only",
         .value = &only_,
         .help = "kernels: those whose operator/case/kernel contains it",
         .idle = [this] { return what_ == "kernels" ? "" : "it chooses among 'kernels'"; }},
        {.name = "pin", .value = &pin_, .help = "let the system move threads between processors"}};
    return Append(fields, runtime_.Fields());
  }

  Status Run(const JobHost& host, Observer& observer, Json& report) override {
    TIMBRE_CHECK(runtime_.Check());
    report["options"] = FieldsToJson(Fields());
    if (!plot_.empty()) {
      TIMBRE_CHECK(CheckPicturePath(plot_));
      if (what_ == "kernels" || what_ == "transfers") {
        return Fail(ErrorCode::kInvalidArgument,
                    "--plot draws a network's roofline; name one instead of '" + what_ + "'.");
      }
    }
    if (what_ == "transfers") {
      TIMBRE_TRY(const DeviceChoice choice, ChooseDevice(runtime_.device()));
      return BenchTransfers(choice.vulkan_index, runs_, observer, report);
    }
    const ScopedAffinity unpinned;
    ThreadPool pool(runtime_.threads());
    if (pin_ && host.alone) pool.Pin();
    if (what_ != "kernels") return BenchNetwork(host, pool, observer, report);
    const CpuPeak peak = MeasureCpuPeak(pool);
    report["simd_target"] = peak.simd_target;
    report["threads"] = pool.threads();
    report["peak_gflops"] = peak.gflops;
    Say(observer, fmt::format("{}, {} threads, peak {:.1f} GFLOP/s", peak.simd_target, pool.threads(), peak.gflops));
    return BenchKernels(only_, runs_, runtime_.Session().precision, peak.gflops, pool, observer, report);
  }

 private:
  Status BenchNetwork(const JobHost& host, ThreadPool& pool, Observer& observer, Json& report) {
    TIMBRE_TRY(const NetworkRow* network, FindNetwork(what_));
    TIMBRE_TRY(const DeviceChoice choice, ChooseDevice(runtime_.device()));
    // What the processor could do says nothing about a GPU.
    const bool on_cpu = choice.vulkan_index < 0;
    if (!on_cpu && !plot_.empty()) {
      return Fail(ErrorCode::kUnsupported,
                  "--plot needs the peak and the bandwidth of what computes, which are measured for the CPU alone; use "
                  "--device cpu.");
    }
    CpuPeak peak;
    if (on_cpu) peak = MeasureCpuPeak(pool);
    Stats stats;
    const std::unique_ptr<Weights> weights = RandomWeights(seed_);
    TIMBRE_TRY(Graph graph, network->build(*weights, batch_));
    const double gflop = FlopsOf(graph) / 1e9 / batch_;
    const double constant_bytes = ProductWeights(graph);
    Buffers buffers(graph);
    TIMBRE_TRY(const std::unique_ptr<Session> session,
               MakeSession(std::move(graph), runtime_.Session(host), pool, &stats));

    std::vector<double> seconds;
    BeginProgress(observer, "timing", what_);
    const int slots = session->in_flight();
    int started = 0;
    auto start = std::chrono::steady_clock::now();
    for (int run = 0; run <= runs_; ++run) {
      if (observer.Cancelled()) return Fail(ErrorCode::kCancelled, "cancelled.");
      for (; started <= runs_ && started < run + slots; ++started)
        TIMBRE_CHECK(session->Start(started % slots, buffers.in));
      TIMBRE_CHECK(session->Finish(run % slots, buffers.out));
      // The first run makes what is made when first needed, and is not counted. With several under way, it is the time
      // from one result to the next.
      const auto end = std::chrono::steady_clock::now();
      if (run > 0) seconds.push_back(std::chrono::duration<double>(end - start).count() / batch_);
      start = end;
      observer.OnProgress({.stage = Stage::kCompute, .done = run + 1, .total = runs_ + 1});
    }
    EndProgress(observer);
    const double memory = PeakMemory();
    session->EnableProfile(true);
    const int profiled = profile_ || !plot_.empty() ? std::min(runs_, 3) : 1;
    for (int run = 0; run < profiled; ++run) TIMBRE_CHECK(session->Run(buffers.in, buffers.out));
    // Before and after: a machine that was disturbed during one of them does not flatter the fraction.
    if (on_cpu) peak.gflops = std::max(peak.gflops, MeasureCpuPeak(pool).gflops);
    Roofline roof{.peak_gflops = peak.gflops};
    if (on_cpu && (profile_ || !plot_.empty() || network->tokens > 0)) {
      TIMBRE_TRY(const MemoryBandwidth bandwidth, MeasureMemoryBandwidth(pool));
      roof.bandwidth_gb_per_s = bandwidth.best();
      report["memory_read_gb_per_s"] = bandwidth.read;
      report["memory_triad_gb_per_s"] = bandwidth.triad;
    }

    const double median = Median(seconds);
    report["model"] = what_;
    report["device"] = session->device_name();
    report["device_reason"] = session->device_reason();
    report["simd_target"] = on_cpu ? Json(peak.simd_target) : Json();
    report["threads"] = pool.threads();
    report["batch"] = batch_;
    report["in_flight"] = slots;
    report["runs"] = seconds;
    report["seconds_per_tile"] = median;
    const bool text = network->tokens > 0;
    report["real_time_factor"] = text ? Json() : Json(median / network->seconds);
    if (text) {
      // What a step can't do without: every weight once.
      report["tokens_per_second"] = static_cast<double>(network->tokens) / median;
      report["weight_bytes"] = constant_bytes;
      report["fraction_of_read_bandwidth"] =
          on_cpu ? Json(constant_bytes / median / 1e9 / report["memory_read_gb_per_s"].get<double>()) : Json();
    }
    report["gflop_per_tile"] = gflop;
    report["gflops"] = gflop / median;
    report["peak_gflops"] = on_cpu ? Json(peak.gflops) : Json();
    report["fraction_of_peak"] = on_cpu ? Json(gflop / median / peak.gflops) : Json();
    report["peak_memory_mb"] = memory / 1e6;
    report["arena_mb"] = static_cast<double>(session->arena_bytes()) / 1e6;
    report["weights_mb"] = static_cast<double>(session->weight_bytes()) / 1e6;
    report["precision"] = NameOf(runtime_.Session().precision);
    Answer(observer, fmt::format("{} on {} ({})", what_, session->device_name(), session->device_reason()));
    const auto [fastest, slowest] = std::minmax_element(seconds.begin(), seconds.end());
    Answer(observer, fmt::format("  seconds per tile   {:.4f}, median of {} ({:.4f} to {:.4f})", median, runs_,
                                 *fastest, *slowest));
    if (text) {
      Answer(observer, fmt::format("  tokens per second  {:.1f}", static_cast<double>(network->tokens) / median));
      Answer(observer, fmt::format("  weights read       {}: {:.1f} GB/s{}", BytesText(constant_bytes),
                                   constant_bytes / median / 1e9,
                                   on_cpu ? fmt::format(", {:.1f} % of the {:.1f} of a read",
                                                        100 * report["fraction_of_read_bandwidth"].get<double>(),
                                                        report["memory_read_gb_per_s"].get<double>())
                                          : ""));
    } else {
      Answer(observer, fmt::format("  real-time factor   {:.4f}", median / network->seconds));
    }
    Answer(observer, fmt::format("  GFLOP per tile     {:.1f}", gflop));
    Answer(observer, fmt::format("  GFLOP/s            {:.1f}{}", gflop / median, OfPeak(gflop / median, peak.gflops)));
    Answer(observer, fmt::format("  peak memory        {} (activations {}, weights {})", BytesText(memory),
                                 BytesText(static_cast<double>(session->arena_bytes())),
                                 BytesText(static_cast<double>(session->weight_bytes()))));
    if (runtime_.Session().precision != Precision::kF32) {
      TIMBRE_TRY(const double db, AgainstFloat32(host, *network, *weights, buffers, pool));
      report["signal_to_error_db"] = db;
      Answer(observer, fmt::format("  precision          {:.1f} dB of signal to error against --precision f32", db));
    }
    if (roof.bandwidth_gb_per_s > 0)
      Answer(observer, fmt::format("  memory bandwidth   {:.1f} GB/s", roof.bandwidth_gb_per_s));
    const std::vector<NodeTiming> nodes = session->Profile();
    PrintProfile(nodes, roof, observer, report);
    if (!plot_.empty()) {
      TIMBRE_CHECK(Plot(nodes, roof, session->device_name()));
      report["plot"] = plot_;
    }
    ReportSteps(stats, observer, report);
    return {};
  }

  // What was computed last against the same network in float32, all outputs together.
  Result<double> AgainstFloat32(const JobHost& host, const NetworkRow& network, Weights& weights,
                                const Buffers& computed, ThreadPool& pool) const {
    SessionOptions options = runtime_.Session(host);
    options.precision = Precision::kF32;
    options.faults = nullptr;
    TIMBRE_TRY(Graph graph, network.build(weights, batch_));
    Buffers exact(graph);
    TIMBRE_TRY(const std::unique_ptr<Session> session, MakeSession(std::move(graph), options, pool, nullptr));
    TIMBRE_CHECK(session->Run(exact.in, exact.out));
    std::vector<float> expected, got;
    for (const auto& output : exact.outputs) expected.insert(expected.end(), output.begin(), output.end());
    for (const auto& output : computed.outputs) got.insert(got.end(), output.begin(), output.end());
    return SignalToErrorDb(expected, got);
  }

  // Bytes are those of the inputs and outputs, each once: what a node moves at least.
  void PrintProfile(const std::vector<NodeTiming>& nodes, const Roofline& roof, Observer& observer,
                    Json& report) const {
    const bool roofline = roof.bandwidth_gb_per_s > 0;
    std::map<std::pair<std::string, std::string>, Group> groups;
    double total = 0;
    for (const NodeTiming& node : nodes) {
      const Group one = GroupOf(node, roof);
      Group& group = groups[{node.op, node.kernel}];
      group.seconds += one.seconds;
      group.flops += one.flops;
      group.bytes += one.bytes;
      group.least += one.least;
      ++group.nodes;
      total += one.seconds;
    }
    const auto line = [&](const std::string& name, const std::string& kernel, const Group& group) {
      std::string text = fmt::format(
          "  {:<40} {:<24} {:>5} {:>9.2f} {:>6.1f}% {:>8.2f} {:>8.1f} {:>6.1f}% {:>7.1f}", name, kernel, group.nodes,
          group.seconds * 1e3, 100 * group.seconds / total, group.flops / 1e9, Rate(group.flops, group.seconds),
          roof.peak_gflops > 0 ? 100 * Rate(group.flops, group.seconds) / roof.peak_gflops : 0,
          Rate(group.bytes, group.seconds));
      if (roofline) {
        text += fmt::format(" {:>9.2f} {:>8.1f} {:>7.1f}%", group.intensity(), Rate(group.flops, group.least),
                            100 * group.fraction_of_bound());
      }
      return text;
    };
    std::string head = fmt::format("  {:<40} {:<24} {:>5} {:>9} {:>7} {:>8} {:>8} {:>7} {:>7}", "operator", "kernel",
                                   "nodes", "ms", "time", "GFLOP", "GFLOP/s", "of peak", "GB/s");
    if (roofline) head += fmt::format(" {:>9} {:>8} {:>8}", "FLOP/byte", "bound", "of bound");
    const auto json = [&](const std::string& op, const std::string& kernel, const Group& group) {
      Json entry{{"op", op},
                 {"kernel", kernel},
                 {"nodes", group.nodes},
                 {"seconds", group.seconds},
                 {"gflop", group.flops / 1e9},
                 {"gigabytes", group.bytes / 1e9},
                 {"gflops", Rate(group.flops, group.seconds)}};
      if (roofline) {
        entry["arithmetic_intensity"] = group.intensity();
        entry["bound_gflops"] = Rate(group.flops, group.least);
        entry["fraction_of_bound"] = group.fraction_of_bound();
      }
      return entry;
    };
    std::vector<std::pair<std::pair<std::string, std::string>, Group>> sorted(groups.begin(), groups.end());
    std::sort(sorted.begin(), sorted.end(),
              [](const auto& a, const auto& b) { return a.second.seconds > b.second.seconds; });
    Answer(observer, head);
    report["operators"] = Json::array();
    for (const auto& [key, group] : sorted) {
      Answer(observer, line(key.first, key.second, group));
      report["operators"].push_back(json(key.first, key.second, group));
    }
    if (!profile_) return;
    Answer(observer, head);
    report["nodes"] = Json::array();
    for (const NodeTiming& node : nodes) {
      const Group group = GroupOf(node, roof);
      Answer(observer, line(node.op + " " + node.node, node.kernel, group));
      report["nodes"].push_back(json(node.op, node.kernel, group));
      report["nodes"].back()["node"] = node.node;
    }
  }

  Status Plot(const std::vector<NodeTiming>& nodes, const Roofline& roof, const std::string& device) const {
    std::vector<RooflinePoint> points;
    for (const NodeTiming& node : nodes) {
      const Group group = GroupOf(node, roof);
      points.push_back({node.node, node.op + ", " + node.kernel, group.flops, group.bytes, group.seconds});
    }
    return PlotRoofline(roof, points, what_ + " on " + device, plot_);
  }

  std::vector<std::string> subjects_;
  std::string what_, only_, plot_;
  int runs_ = 5, batch_ = 1;
  uint64_t seed_ = 1;
  bool profile_ = false, pin_ = true;
  RuntimeOptions runtime_;
};

}  // namespace

std::unique_ptr<Job> MakeBenchJob() { return std::make_unique<BenchJob>(); }

// What is measured decides what is reported: a network, kernels, or transfers.
Json BenchJobReportSchema() {
  const std::vector<SchemaMember> timed = {{"op", "string"},
                                           {"kernel", "string"},
                                           {"nodes", "integer"},
                                           {"seconds", "number"},
                                           {"gflop", "number"},
                                           {"gigabytes", "number"},
                                           {"gflops", "number"},
                                           {"arithmetic_intensity?", "number"},
                                           {"bound_gflops?", "number"},
                                           {"fraction_of_bound?", "number"}};
  std::vector<SchemaMember> node = timed;
  node.emplace_back("node", "string");
  const Json kernel = ObjectSchema({{"operator", "string"},
                                    {"case", "string"},
                                    {"kernel", "string"},
                                    {"tier", "string"},
                                    {"seconds", "number"},
                                    {"gflop", "number"},
                                    {"gflops", "number"},
                                    {"gbytes", "number"},
                                    {"fraction_of_peak", "number"}});
  const Json transfer =
      ObjectSchema({{"bytes", "integer"}, {"to_device_seconds", "number"}, {"from_device_seconds", "number"}});
  return ObjectSchema({{"options", OptionsSchema(BenchJob().Fields())},
                       {"model?", "string"},
                       {"device?", "string"},
                       {"device_reason?", "string"},
                       {"simd_target?", "string|null"},
                       {"threads?", "integer"},
                       {"batch?", "integer"},
                       {"in_flight?", "integer"},
                       {"runs?", ListSchema(TypeSchema("number"))},
                       {"seconds_per_tile?", "number"},
                       {"real_time_factor?", "number|null"},
                       {"tokens_per_second?", "number"},
                       {"weight_bytes?", "number"},
                       {"fraction_of_read_bandwidth?", "number|null"},
                       {"gflop_per_tile?", "number"},
                       {"gflops?", "number"},
                       {"peak_gflops?", "number|null"},
                       {"fraction_of_peak?", "number|null"},
                       {"peak_memory_mb?", "number"},
                       {"arena_mb?", "number"},
                       {"weights_mb?", "number"},
                       {"precision?", "string"},
                       {"signal_to_error_db?", "number|null"},
                       {"memory_read_gb_per_s?", "number"},
                       {"memory_triad_gb_per_s?", "number"},
                       {"operators?", ListSchema(ObjectSchema(timed))},
                       {"nodes?", ListSchema(ObjectSchema(node))},
                       {"plot?", "string"},
                       {"steps_down?", StepsDownSchema()},
                       {"kernels?", ListSchema(kernel)},
                       {"unified_memory?", "boolean"},
                       {"submission_seconds?", "number"},
                       {"transfers?", ListSchema(transfer)}});
}

}  // namespace timbre
