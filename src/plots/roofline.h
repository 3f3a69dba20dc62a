// The roofline model: what a piece of work could reach at most, by the processor's peak and the memory's bandwidth.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace timbre {

struct Roofline {
  double peak_gflops = 0;         // 10^9 operations a second
  double bandwidth_gb_per_s = 0;  // 10^9 bytes a second

  // The least time that work can take: the longer of computing and moving. 0 where nothing is known of either.
  double Seconds(double flops, double bytes) const;
  // min(peak, intensity * bandwidth), for an arithmetic intensity in operations a byte.
  double Bound(double intensity) const;
};

// What was measured of one node or of several.
struct RooflinePoint {
  std::string name, group;  // the group has a colour
  double flops = 0, bytes = 0, seconds = 0;
};

// Both axes logarithmic: the roof, and every point of `points` that computes something, its area by its share of the
// time; those that only move data are in the legend. The extension of `path` says which: .png or .svg. `title` is
// UTF-8 text.
Status PlotRoofline(const Roofline& roof, std::span<const RooflinePoint> points, const std::string& title,
                    const std::string& path);

}  // namespace timbre
