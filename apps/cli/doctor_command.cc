// timbre doctor: which kernels are right on this machine's devices, and how fast each device is.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "apps/cli/command.h"
#include "base/atomic_file.h"
#include "models/networks.h"
#include "runtime/doctor.h"
#include "runtime/verdicts.h"
#include "runtime/verify.h"
#include "runtime/vulkan/device.h"

namespace timbre::cli {
namespace {

// Kernels sum in any order: agreement that rounding alone explains.
constexpr double kFloorDb = 90;

struct Tile {
  std::vector<float> result;
  double seconds = 0;
  std::string device;
};

// One tile of a network with random weights, of noise; the second run is timed, as the first makes what is made once.
Result<Tile> RunTile(const NetworkRow& network, const std::string& device, ThreadPool& pool, Stats& stats) {
  const std::unique_ptr<Weights> weights = RandomWeights(1);
  TIMBRE_TRY(Graph graph, network.build(*weights, 1));
  SessionOptions options;
  options.device = device;
  TIMBRE_TRY(const auto session, MakeSession(std::move(graph), options, pool, &stats));
  std::vector<std::vector<float>> inputs, outputs;
  std::vector<const float*> in;
  std::vector<float*> out;
  in.reserve(session->graph().inputs.size());
  out.reserve(session->graph().outputs.size());
  for (const GraphPort& port : session->graph().inputs) {
    auto& values = inputs.emplace_back(session->graph().shape(port.tensor).elements());
    for (size_t i = 0; i < values.size(); ++i) values[i] = FormulaValue(Fnv1a64(port.name), i, -0.5f, 1.0f);
  }
  for (const auto& values : inputs) in.push_back(values.data());
  for (const GraphPort& port : session->graph().outputs)
    outputs.emplace_back(session->graph().shape(port.tensor).elements());
  for (auto& values : outputs) out.push_back(values.data());
  TIMBRE_CHECK(session->Run(in, out));
  const auto start = std::chrono::steady_clock::now();
  TIMBRE_CHECK(session->Run(in, out));
  return Tile{outputs[0], std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(),
              session->device_name()};
}

struct Patient {
  std::string wish, name, key;  // key of the verdict
};

std::string Escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '&')
      out += "&amp;";
    else
      out += c;
  }
  return out;
}

class DoctorCommand final : public Command {
 public:
  DoctorCommand() {
    for (const NetworkRow& row : Networks()) names_.emplace_back(row.name);
  }

  FieldList Fields() override {
    return {{.name = "device",
             .value = &device_,
             .help = "look at this one alone (default: the CPU and every Vulkan device)",
             .placeholder = "NAME"},
            {.name = "models",
             .value = &models_,
             .help = "networks of which a tile is computed, with random weights",
             .placeholder = "A,B",
             .choices = names_},
            {.name = "html", .value = &html_, .help = "write the page there too", .placeholder = "FILE"}};
  }

  std::string Examples() const override {
    return "Kernels that are wrong on a device are left out there from then on, and every command says so.\n";
  }

  Status Run(Terminal& terminal, Report& report) override {
    TIMBRE_TRY(const std::vector<Patient> patients, Patients());
    ThreadPool pool;
    report["devices"] = Report::array();
    std::string page;
    for (const Patient& patient : patients) {
      TIMBRE_CHECK(Examine(patient, pool, terminal, report["devices"].emplace_back(Report::object()), page));
    }
    if (html_.empty()) return {};
    TIMBRE_TRY(AtomicFile file, AtomicFile::Create(html_));
    TIMBRE_CHECK(file.Write(
        std::string_view("<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>timbre doctor</title>\n"
                         "<style>body{font:16px sans-serif;margin:2em}td,th{padding:.2em .8em;text-align:left}"
                         ".wrong{color:#b00}</style><h1>timbre doctor</h1>\n" +
                         page + "</html>\n")));
    return file.Commit();
  }

 private:
  Result<std::vector<Patient>> Patients() const {
    std::vector<Patient> all{{"cpu", "CPU", CpuVerdictKey()}};
    if (const auto listed = ListVulkanDevices()) {
      for (const VulkanDeviceInfo& d : *listed) {
        if (d.unusable.empty())
          all.push_back({"vulkan:" + std::to_string(d.index), d.name, VerdictKey(d.name, d.driver, d.driver_version)});
      }
    }
    if (device_.empty()) return all;
    TIMBRE_TRY(const DeviceChoice choice, ChooseDevice(device_));
    const std::string wish = choice.vulkan_index < 0 ? "cpu" : "vulkan:" + std::to_string(choice.vulkan_index);
    std::erase_if(all, [&](const Patient& p) { return p.wish != wish; });
    return all;
  }

  Status Examine(const Patient& patient, ThreadPool& pool, Terminal& terminal, Report& report,
                 std::string& page) const {
    terminal.BeginProgress("examining", patient.name);
    const auto checked = CheckKernels(patient.wish, pool, [&](double fraction) {
      terminal.OnProgress({.stage = Stage::kCompute, .done = static_cast<int64_t>(fraction * 100), .total = 100});
      return !terminal.Cancelled();
    });
    terminal.EndProgress();
    if (!checked) return tl::unexpected<Error>(checked.error());

    DeviceVerdict verdict;
    report["device"] = patient.wish;
    report["name"] = patient.name;
    report["kernels"] = Report::array();
    terminal.Print(fmt::format("{}: {}", patient.wish, Printable(patient.name)));
    page += fmt::format("<h2>{}: {}</h2>\n<table><tr><th>operator<th>kernel<th>cases<th>error / allowed<th>verdict\n",
                        patient.wish, Escaped(patient.name));
    size_t right = 0;
    for (const KernelFinding& f : *checked) {
      const bool fine = f.problem.empty();
      right += fine;
      if (!fine && f.kernel != "device") verdict.wrong.insert(f.kernel + "@" + std::to_string(f.version));
      report["kernels"].push_back({{"operator", f.op},
                                   {"kernel", f.kernel},
                                   {"cases", f.cases},
                                   {"worst", f.worst},
                                   {"right", fine},
                                   {"problem", fine ? Report() : Report(f.problem)}});
      terminal.Print(fmt::format("  {:<16} {:<33} {:>4} cases  {:>7.3f} of the error allowed  {}", f.op, f.kernel,
                                 f.cases, f.worst, fine ? "right" : "WRONG: " + Printable(f.problem)));
      page += fmt::format("<tr{}><td>{}<td>{}<td>{}<td>{:.3f}<td>{}\n", fine ? "" : " class=\"wrong\"", f.op,
                          Escaped(f.kernel), f.cases, f.worst, fine ? "right" : "wrong: " + Escaped(f.problem));
    }
    // What is wrong is left out of the tiles already.
    TIMBRE_CHECK(WriteVerdict(patient.key, verdict));
    page += "</table>\n<table><tr><th>network<th>seconds a tile<th>agreement with the CPU, dB\n";
    report["models"] = Report::array();
    for (const std::string& name : models_) {
      TIMBRE_TRY(const NetworkRow* network, FindNetwork(name));
      Stats stats;
      TIMBRE_TRY(const Tile cpu, RunTile(*network, "cpu", pool, stats));
      TIMBRE_TRY(const Tile tile, RunTile(*network, patient.wish, pool, stats));
      const double ratio = std::min(SignalToErrorDb(cpu.result, tile.result), 999.0);
      // The time of a tile that ended on the CPU says nothing about the device.
      const std::vector<StepDown> steps = stats.steps();
      const bool retired =
          std::any_of(steps.begin(), steps.end(), [](const StepDown& step) { return step.node == "device"; });
      if (!retired) verdict.seconds[name] = tile.seconds;
      report["models"].push_back({{"model", name},
                                  {"device", tile.device},
                                  {"seconds_per_tile", tile.seconds},
                                  {"seconds_per_tile_cpu", cpu.seconds},
                                  {"db", ratio},
                                  {"right", ratio >= kFloorDb}});
      terminal.Print(fmt::format("  {:<34} {:.3f} s a tile (CPU {:.3f} s), {:.0f} dB: {}", name, tile.seconds,
                                 cpu.seconds, ratio, ratio >= kFloorDb ? "right" : "WRONG"));
      page += fmt::format("<tr{}><td>{}<td>{:.3f}<td>{:.0f}\n", ratio >= kFloorDb ? "" : " class=\"wrong\"",
                          Escaped(name), tile.seconds, ratio);
    }
    page += "</table>\n";
    terminal.Print(fmt::format("  {} of {} kernels are right{}", right, checked->size(),
                               right == checked->size() ? "" : "; the others are left out here from now on"));
    return WriteVerdict(patient.key, verdict);
  }

  std::vector<std::string> names_, models_{"htdemucs-small", "deepfilternet3", "gtcrn"};
  std::string device_, html_;
};

}  // namespace

std::unique_ptr<Command> MakeDoctorCommand() { return std::make_unique<DoctorCommand>(); }

}  // namespace timbre::cli
