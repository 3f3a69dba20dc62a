// timbre doctor: which kernels are right on this machine's devices, and how fast each device is.
#include <fmt/format.h>

#include <algorithm>

#include "apps/cli/command.h"
#include "base/atomic_file.h"
#include "kernels/cpu/simd.h"
#include "models/released_networks.h"
#include "runtime/check/doctor.h"
#include "runtime/check/tile_check.h"
#include "runtime/check/verdicts.h"
#include "runtime/device/vulkan_device.h"

namespace timbre::cli {
namespace {

// What the plain kernels compute in some seconds.
constexpr double kMostPlainFlops = 2e9;

struct Patient {
  std::string wish, name, key;  // key of the verdict
  std::string simd_target;      // of the CPU's kernels
  bool networks = true;         // whether tiles are computed: on one instruction set of the CPU
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
    return "Kernels that are wrong on a device are left out there from then on, and every command says so.\n"
           "A device's tiles are held against the CPU's, and those against what plain kernels compute, where the\n"
           "network is small enough for them.\n";
  }

  Status Run(Terminal& terminal, Report& report) override {
    TIMBRE_TRY(const std::vector<Patient> patients, Patients());
    ThreadPool pool;
    report["devices"] = Report::array();
    std::string page;
    const std::string current = SimdTarget();
    for (const Patient& patient : patients) {
      TIMBRE_CHECK(SetSimdTarget(patient.simd_target.empty() ? current : patient.simd_target));
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
    std::vector<Patient> all;
    // The one in use comes first.
    std::vector<std::string> targets = SimdTargets();
    const std::string current = SimdTarget();
    std::stable_partition(targets.begin(), targets.end(), [&](const std::string& name) { return name == current; });
    for (const std::string& target : targets)
      all.push_back({"cpu", "CPU, " + target, CpuVerdictKey(target), target, target == current});
    if (const auto listed = ListVulkanDevices()) {
      for (const VulkanDeviceInfo& d : *listed) {
        if (d.unusable.empty())
          all.push_back(
              {"vulkan:" + std::to_string(d.index), d.name, VerdictKey(d.name, d.driver, d.driver_version), ""});
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
    if (!patient.simd_target.empty()) report["simd_target"] = patient.simd_target;
    report["kernels"] = Report::array();
    terminal.Print(fmt::format("{}: {}", patient.wish, patient.name));
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
                                 f.cases, f.worst, fine ? "right" : "WRONG: " + f.problem));
      page += fmt::format("<tr{}><td>{}<td>{}<td>{}<td>{:.3f}<td>{}\n", fine ? "" : " class=\"wrong\"", f.op,
                          Escaped(f.kernel), f.cases, f.worst, fine ? "right" : "wrong: " + Escaped(f.problem));
    }
    page += "</table>\n";
    if (patient.networks) {
      // What is wrong is left out of the tiles already.
      TIMBRE_CHECK(WriteVerdict(patient.key, verdict));
      TIMBRE_CHECK(ExamineNetworks(patient, pool, terminal, report, page, verdict));
    } else {
      verdict.seconds = ReadVerdict(patient.key).seconds;
    }
    terminal.Print(fmt::format("  {} of {} kernels are right{}", right, checked->size(),
                               right == checked->size() ? "" : "; the others are left out here from now on"));
    return WriteVerdict(patient.key, verdict);
  }

  Status ExamineNetworks(const Patient& patient, ThreadPool& pool, Terminal& terminal, Report& report,
                         std::string& page, DeviceVerdict& verdict) const {
    page += "<table><tr><th>network<th>seconds a tile<th>agreement, dB<th>verdict\n";
    report["models"] = Report::array();
    for (const std::string& name : models_) {
      TIMBRE_TRY(const NetworkRow* network, FindNetwork(name));
      const std::unique_ptr<Weights> weights = RandomWeights(1);
      TIMBRE_TRY(const Graph graph, network->build(*weights, 1));
      SessionOptions options;
      options.device = patient.wish;
      TIMBRE_TRY(const ComputedTile tile, ComputeTile(graph, options, pool, 2));
      // The time of a tile that ended on the CPU says nothing about the device.
      if (tile.retired.empty()) verdict.seconds[name] = tile.seconds;
      // The CPU is not held against itself: neither kernels nor passes are shared with its plain ones.
      const bool cpu = patient.wish == "cpu", judged = !cpu || FlopsOf(graph) <= kMostPlainFlops;
      ComputedTile reference;
      TileAgreement agreement;
      if (judged) {
        options.device = "cpu";
        if (cpu) options.toggles = {.fold = false, .fusion = false, .fast_kernels = false, .attention = false};
        TIMBRE_TRY(reference, ComputeTile(graph, options, pool, cpu ? 1 : 2));
        agreement = Compare(reference, tile);
      }
      const bool right = judged && agreement.problem.empty();
      const double cpu_seconds = cpu ? tile.seconds : reference.seconds;
      report["models"].push_back({{"model", name},
                                  {"device", tile.device},
                                  {"seconds_per_tile", tile.seconds},
                                  {"seconds_per_tile_cpu", cpu_seconds},
                                  {"db", judged ? Report(agreement.db) : Report()},
                                  {"right", judged ? Report(right) : Report()},
                                  {"problem", agreement.problem.empty() ? Report() : Report(agreement.problem)}});
      const std::string said = !judged ? "not judged, as plain kernels would take minutes"
                               : right ? fmt::format("{:.0f} dB: right", agreement.db)
                                       : fmt::format("{:.0f} dB: WRONG: {}", agreement.db, agreement.problem);
      terminal.Print(fmt::format("  {:<34} {:.3f} s a tile (CPU {:.3f} s), {}", name, tile.seconds, cpu_seconds, said));
      page += fmt::format("<tr{}><td>{}<td>{:.3f}<td>{}<td>{}\n", judged && !right ? " class=\"wrong\"" : "",
                          Escaped(name), tile.seconds, judged ? fmt::format("{:.0f}", agreement.db) : "",
                          !judged ? "not judged"
                          : right ? "right"
                                  : "wrong: " + Escaped(agreement.problem));
    }
    page += "</table>\n";
    return {};
  }

  std::vector<std::string> names_, models_{"htdemucs-small", "deepfilternet3", "gtcrn"};
  std::string device_, html_;
};

}  // namespace

std::unique_ptr<Command> MakeDoctorCommand() { return std::make_unique<DoctorCommand>(); }

}  // namespace timbre::cli
