// What /metrics tells: counters, gauges and histograms in the text format that Prometheus reads (0.0.4).
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace timbre::server {

// In the order in which they are shown. Values come from few: what a client makes up is no label.
using Labels = std::vector<std::pair<std::string_view, std::string>>;

// Families are those of metrics.cc's table. Thread-safe.
class Metrics {
 public:
  // Adds to a counter.
  void Count(std::string_view family, const Labels& labels, double by = 1);
  // A value of a histogram.
  void Observe(std::string_view family, const Labels& labels, double value);
  // Every counter and histogram that has been touched.
  std::string Text() const;

 private:
  struct Histogram {
    std::vector<int64_t> counts;  // one a bound, and one for what is beyond
    double sum = 0;
  };
  mutable std::mutex mutex_;
  // By family and by labels as text.
  std::map<std::string, std::map<std::string, double>, std::less<>> counters_;
  std::map<std::string, std::map<std::string, Histogram>, std::less<>> histograms_;
};

// "# HELP …" and "# TYPE …" of a family.
std::string MetricHead(std::string_view name, std::string_view type, std::string_view help);
// "name{labels} value".
std::string MetricLine(std::string_view name, const Labels& labels, double value);

}  // namespace timbre::server
