// Which kernels are right on this machine's devices, and how fast each device is.
#include <fmt/format.h>

#include <algorithm>

#include "base/atomic_file.h"
#include "models/released_networks.h"
#include "pipelines/job_schema.h"
#include "runtime/check/cpu_targets.h"
#include "runtime/check/doctor.h"
#include "runtime/check/tile_check.h"
#include "runtime/check/verdicts.h"
#include "runtime/device/vulkan_device.h"

namespace timbre {
namespace {

// What the plain kernels compute in some seconds.
constexpr double kMostPlainFlops = 2e9;

struct Patient {
  std::string wish, name, key;  // key of the verdict
  std::string simd_target;      // of the CPU's kernels
  bool networks = true;         // whether tiles are computed: on one instruction set of the CPU
};

// Whatever happens, the processor's instruction set is afterwards the one that it was.
class TargetKept {
 public:
  ~TargetKept() {
    if (CurrentCpuTarget() != name_) (void)UseCpuTarget(name_);
  }
  const std::string& name() const { return name_; }

 private:
  const std::string name_ = CurrentCpuTarget();
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

class DoctorJob final : public Job {
 public:
  DoctorJob() {
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

  Status Run(const JobHost& host, Observer& observer, Json& report) override {
    TIMBRE_TRY(const std::vector<Patient> patients, Patients(host));
    ThreadPool pool;
    report["devices"] = Json::array();
    std::string page;
    const TargetKept kept;
    for (const Patient& patient : patients) {
      if (host.alone) TIMBRE_CHECK(UseCpuTarget(patient.simd_target.empty() ? kept.name() : patient.simd_target));
      TIMBRE_CHECK(Examine(patient, host, pool, observer, report["devices"].emplace_back(Json::object()), page));
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
  Result<std::vector<Patient>> Patients(const JobHost& host) const {
    std::vector<Patient> all;
    // The one in use comes first.
    const std::string current = CurrentCpuTarget();
    std::vector<std::string> targets = host.alone ? CpuTargets() : std::vector<std::string>{current};
    std::stable_partition(targets.begin(), targets.end(), [&](const std::string& name) { return name == current; });
    all.reserve(targets.size());
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

  Status Examine(const Patient& patient, const JobHost& host, ThreadPool& pool, Observer& observer, Json& report,
                 std::string& page) const {
    BeginProgress(observer, "examining", patient.name);
    const auto checked = CheckKernels(patient.wish, pool, [&](double fraction) {
      observer.OnProgress({.stage = Stage::kCompute, .done = static_cast<int64_t>(fraction * 100), .total = 100});
      return !observer.Cancelled();
    });
    EndProgress(observer);
    if (!checked) return tl::unexpected<Error>(checked.error());

    std::set<std::string> wrong;
    report["device"] = patient.wish;
    report["name"] = patient.name;
    if (!patient.simd_target.empty()) report["simd_target"] = patient.simd_target;
    report["kernels"] = Json::array();
    Answer(observer, fmt::format("{}: {}", patient.wish, patient.name));
    page += fmt::format("<h2>{}: {}</h2>\n<table><tr><th>operator<th>kernel<th>cases<th>error / allowed<th>verdict\n",
                        patient.wish, Escaped(patient.name));
    size_t right = 0;
    for (const KernelFinding& f : *checked) {
      const bool fine = f.problem.empty();
      right += fine;
      if (!fine && f.kernel != "device") wrong.insert(f.kernel + "@" + std::to_string(f.version));
      report["kernels"].push_back({{"operator", f.op},
                                   {"kernel", f.kernel},
                                   {"cases", f.cases},
                                   {"worst", f.worst},
                                   {"right", fine},
                                   {"problem", fine ? Json() : Json(f.problem)}});
      Answer(observer, fmt::format("  {:<16} {:<33} {:>4} cases  {:>7.3f} of the error allowed  {}", f.op, f.kernel,
                                   f.cases, f.worst, fine ? "right" : "WRONG: " + f.problem));
      page += fmt::format("<tr{}><td>{}<td>{}<td>{}<td>{:.3f}<td>{}\n", fine ? "" : " class=\"wrong\"", f.op,
                          Escaped(f.kernel), f.cases, f.worst, fine ? "right" : "wrong: " + Escaped(f.problem));
    }
    page += "</table>\n";
    // What is wrong is left out of the tiles already. Networks that aren't looked at this time keep their times.
    TIMBRE_CHECK(ChangeVerdict(patient.key, [&](DeviceVerdict& verdict) {
      verdict.wrong = wrong;
      if (!patient.networks) return;
      for (const std::string& name : models_) verdict.seconds.erase(name);
    }));
    if (patient.networks) TIMBRE_CHECK(ExamineNetworks(patient, host, pool, observer, report, page));
    Answer(observer, fmt::format("  {} of {} kernels are right{}", right, checked->size(),
                                 right == checked->size() ? "" : "; the others are left out here from now on"));
    return {};
  }

  Status ExamineNetworks(const Patient& patient, const JobHost& host, ThreadPool& pool, Observer& observer,
                         Json& report, std::string& page) const {
    page += "<table><tr><th>network<th>seconds a tile<th>agreement, dB<th>verdict\n";
    report["models"] = Json::array();
    for (const std::string& name : models_) {
      TIMBRE_TRY(const NetworkRow* network, FindNetwork(name));
      const std::unique_ptr<Weights> weights = RandomWeights(1);
      TIMBRE_TRY(const Graph graph, network->build(*weights, 1));
      SessionOptions options;
      options.device = patient.wish;
      options.cancelled = host.cancelled;
      TIMBRE_TRY(const ComputedTile tile, ComputeTile(graph, options, pool, 2));
      // The time of a tile that ended on the CPU says nothing about the device.
      if (tile.retired.empty())
        TIMBRE_CHECK(ChangeVerdict(patient.key, [&](DeviceVerdict& verdict) { verdict.seconds[name] = tile.seconds; }));
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
                                  {"db", judged ? Json(agreement.db) : Json()},
                                  {"right", judged ? Json(right) : Json()},
                                  {"problem", agreement.problem.empty() ? Json() : Json(agreement.problem)}});
      const std::string said = !judged ? "not judged, as plain kernels would take minutes"
                               : right ? fmt::format("{:.0f} dB: right", agreement.db)
                                       : fmt::format("{:.0f} dB: WRONG: {}", agreement.db, agreement.problem);
      Answer(observer,
             fmt::format("  {:<34} {:.3f} s a tile (CPU {:.3f} s), {}", name, tile.seconds, cpu_seconds, said));
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

std::unique_ptr<Job> MakeDoctorJob() { return std::make_unique<DoctorJob>(); }

Json DoctorJobReportSchema() {
  const Json kernel = ObjectSchema({{"operator", "string"},
                                    {"kernel", "string"},
                                    {"cases", "integer"},
                                    {"worst", "number|null"},
                                    {"right", "boolean"},
                                    {"problem", "string|null"}});
  const Json model = ObjectSchema({{"model", "string"},
                                   {"device", "string"},
                                   {"seconds_per_tile", "number"},
                                   {"seconds_per_tile_cpu", "number"},
                                   {"db", "number|null"},
                                   {"right", "boolean|null"},
                                   {"problem", "string|null"}});
  const Json device = ObjectSchema({{"device", "string"},
                                    {"name", "string"},
                                    {"simd_target?", "string"},
                                    {"kernels", ListSchema(kernel)},
                                    {"models?", ListSchema(model)}});
  return ObjectSchema({{"devices", ListSchema(device)}});
}

}  // namespace timbre
