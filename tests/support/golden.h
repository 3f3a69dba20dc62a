// Reference cases: where they lie, how they are read, how results are held against them.
#pragma once

#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <iostream>
#include <map>
#include <string>
#include <vector>

#include "dsp/metrics.h"
#include "formats/safetensors.h"
#include "tests/support/places.h"

namespace timbre::testing {

inline std::string DataPath(const std::string& name) { return testing::SourceDir() + "/tests/data/" + name; }
// Cases that hold recordings or weights made by others lie beside the checkout, not in it.
inline std::string SharedPath(const std::string& name) { return testing::SourceDir() + "/../shared/" + name; }

// Skips the test, loudly, where a file that lies beside the checkout is missing.
#define TIMBRE_NEED_SHARED(path)                                                                \
  if (!std::filesystem::exists(path)) {                                                         \
    std::cerr << "SKIPPED for want of " << (path) << ": this reference case was not checked\n"; \
    GTEST_SKIP() << "no " << (path);                                                            \
  }                                                                                             \
  static_assert(true)

// The tensor as float32 values; a test failure and nothing where there is none.
inline std::vector<float> Values(const Safetensors& file, const std::string& name) {
  const auto found = file.tensors->find(name);
  if (found == file.tensors->end()) {
    ADD_FAILURE() << "the reference case has no " << name;
    return {};
  }
  return found->second.ToF32();
}

// Signal-to-error ratio in dB; a test failure and -200 where the two can't be compared.
inline double RatioDb(const std::vector<float>& reference, const std::vector<float>& result) {
  const auto ratio = Sdr(reference, result);
  if (!ratio) ADD_FAILURE() << ratio.error().message;
  return ratio.value_or(-200.0);
}

// [channels, samples] <-> [samples, channels].
inline std::vector<float> Transposed(const std::vector<float>& x, int64_t rows, int64_t columns) {
  std::vector<float> y(x.size());
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < columns; ++c) y[c * rows + r] = x[r * columns + c];
  }
  return y;
}

// `ours` [rows, samples] against the case's tensor, and against its slices NAME.head, NAME.mid and NAME.tail: the ratio
// of each that the case holds, under its name. A test failure where it holds none.
inline std::map<std::string, double> SliceRatiosDb(const Safetensors& file, const std::string& name,
                                                   const std::vector<float>& ours, int64_t rows) {
  const int64_t samples = static_cast<int64_t>(ours.size()) / rows;
  std::map<std::string, double> ratios;
  for (const std::string slice : {"", ".head", ".mid", ".tail"}) {
    const auto found = file.tensors->find(name + slice);
    if (found == file.tensors->end()) continue;
    const int64_t count = found->second.shape.back();
    const int64_t begin = slice == ".mid" ? (samples - count) / 2 : slice == ".tail" ? samples - count : 0;
    std::vector<float> part;
    for (int64_t r = 0; r < rows; ++r)
      part.insert(part.end(), ours.begin() + r * samples + begin, ours.begin() + r * samples + begin + count);
    const double ratio = ratios[name + slice] = RatioDb(Values(file, name + slice), part);
    std::printf("  %-20s %.1f dB\n", (name + slice).c_str(), ratio);
  }
  EXPECT_FALSE(ratios.empty()) << "the reference case has no " << name;
  return ratios;
}

// The same, each held to a floor. How many there were.
inline size_t CheckSlices(const Safetensors& file, const std::string& name, const std::vector<float>& ours,
                          int64_t rows, double floor_db) {
  const auto ratios = SliceRatiosDb(file, name, ours, rows);
  for (const auto& [slice, ratio] : ratios) EXPECT_GE(ratio, floor_db) << slice;
  return ratios.size();
}

}  // namespace timbre::testing
