#include "apps/server/metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <span>

namespace timbre::server {
namespace {

constexpr double kMoments[] = {0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10, 60};        // seconds, of requests
constexpr double kJobs[] = {0.1, 0.5, 1, 5, 15, 60, 300, 1800, 7200};              // seconds, of work
constexpr double kFactors[] = {0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20};  // seconds a second of sound

struct Family {
  std::string_view name, help;
  std::span<const double> bounds = {};  // of a histogram, ascending; none: a counter
};

const Family kFamilies[] = {
    {"timbre_http_requests_total", "Requests that were answered."},
    {"timbre_http_seconds", "From a request's first line to the end of its answer.", kMoments},
    {"timbre_queue_wait_seconds", "From a job's acceptance to its first start.", kJobs},
    {"timbre_job_seconds", "From a job's last start to its end.", kJobs},
    {"timbre_job_realtime_factor", "Seconds that a second of sound took, of jobs that succeeded.", kFactors},
    {"timbre_jobs_retried_total", "Jobs that were queued again."},
    {"timbre_cancel_seconds", "From a cancel to the end of the job that ran.", kMoments},
    {"timbre_kernel_stepdowns_total", "Steps down to a plainer way of computing, of all jobs."},
};

const Family* FamilyOf(std::string_view name) {
  const auto* const found = std::find_if(std::begin(kFamilies), std::end(kFamilies),
                                         [&](const Family& family) { return family.name == name; });
  return found == std::end(kFamilies) ? nullptr : found;
}

// As the text format wants it.
std::string Escaped(std::string_view text) {
  std::string quoted;
  for (const char c : text) {
    if (c == '\\' || c == '"') quoted += '\\';
    quoted += c == '\n' ? ' ' : c;
  }
  return quoted;
}

std::string TextOf(const Labels& labels) {
  std::string text;
  for (const auto& [name, value] : labels) {
    text += fmt::format("{}{}=\"{}\"", text.empty() ? "" : ",", name, Escaped(value));
  }
  return text;
}

std::string Line(std::string_view name, const std::string& labels, double value) {
  const std::string number = value == std::floor(value) && std::abs(value) < 1e15
                                 ? fmt::format("{}", static_cast<int64_t>(value))
                                 : fmt::format("{:.9g}", value);
  if (labels.empty()) return fmt::format("{} {}\n", name, number);
  return fmt::format("{}{{{}}} {}\n", name, labels, number);
}

}  // namespace

std::string MetricHead(std::string_view name, std::string_view type, std::string_view help) {
  return fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
}

std::string MetricLine(std::string_view name, const Labels& labels, double value) {
  return Line(name, TextOf(labels), value);
}

void Metrics::Count(std::string_view family, const Labels& labels, double by) {
  const std::lock_guard lock(mutex_);
  counters_[std::string(family)][TextOf(labels)] += by;
}

void Metrics::Observe(std::string_view family, const Labels& labels, double value) {
  const Family* known = FamilyOf(family);
  if (known == nullptr) return;
  const std::lock_guard lock(mutex_);
  Histogram& histogram = histograms_[std::string(family)][TextOf(labels)];
  histogram.counts.resize(known->bounds.size() + 1);
  const auto bound = std::lower_bound(known->bounds.begin(), known->bounds.end(), value);
  ++histogram.counts[static_cast<size_t>(bound - known->bounds.begin())];
  histogram.sum += value;
}

std::string Metrics::Text() const {
  const std::lock_guard lock(mutex_);
  std::string text;
  for (const Family& family : kFamilies) {
    const std::string name(family.name);
    if (family.bounds.empty()) {
      const auto found = counters_.find(name);
      if (found == counters_.end()) continue;
      text += MetricHead(name, "counter", family.help);
      for (const auto& [labels, value] : found->second) text += Line(name, labels, value);
      continue;
    }
    const auto found = histograms_.find(name);
    if (found == histograms_.end()) continue;
    text += MetricHead(name, "histogram", family.help);
    for (const auto& [labels, histogram] : found->second) {
      const std::string more = labels.empty() ? "" : labels + ",";
      int64_t count = 0;
      for (size_t i = 0; i < histogram.counts.size(); ++i) {
        count += histogram.counts[i];
        const std::string bound = i < family.bounds.size() ? fmt::format("{}", family.bounds[i]) : "+Inf";
        text += Line(name + "_bucket", fmt::format("{}le=\"{}\"", more, bound), static_cast<double>(count));
      }
      text += Line(name + "_sum", labels, histogram.sum);
      text += Line(name + "_count", labels, static_cast<double>(count));
    }
  }
  return text;
}

}  // namespace timbre::server
