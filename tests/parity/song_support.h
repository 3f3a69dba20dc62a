// What the reference cases of songs have in common: where they lie, and a graph run once on named inputs.
#pragma once

#include <gtest/gtest.h>

#include <cstdio>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "runtime/session/session.h"
#include "tests/support/golden.h"

namespace timbre::testing {

inline std::string SongCase(const std::string& name) { return DataPath("diffrhythm/" + name); }

// Every output by its name; `prepare` may set the session's scalars and state. A test failure, and nothing, where an
// input is missing or anything fails.
inline std::map<std::string, std::vector<float>> RunOnce(Graph graph,
                                                         const std::map<std::string, std::vector<float>>& inputs,
                                                         const SessionOptions& options = {.device = "cpu"},
                                                         const std::function<Status(Session&)>& prepare = {}) {
  std::map<std::string, std::vector<float>> results;
  std::vector<const float*> in;
  for (const GraphPort& port : graph.inputs) {
    const auto found = inputs.find(port.name);
    if (found == inputs.end() || static_cast<int64_t>(found->second.size()) != graph.shape(port.tensor).elements()) {
      ADD_FAILURE() << "no input " << port.name << " of shape " << graph.shape(port.tensor).ToString();
      return {};
    }
    in.push_back(found->second.data());
  }
  std::vector<float*> out;
  for (const GraphPort& port : graph.outputs) {
    std::vector<float>& result = results[port.name];
    result.resize(static_cast<size_t>(graph.shape(port.tensor).elements()));
    out.push_back(result.data());
  }
  ThreadPool pool;
  auto session = MakeSession(std::move(graph), options, pool, nullptr);
  if (!session) {
    ADD_FAILURE() << session.error().message;
    return {};
  }
  Status ran = prepare ? prepare(**session) : Status();
  if (ran) ran = (*session)->Run(in, out);
  if (!ran) {
    ADD_FAILURE() << ran.error().message;
    return {};
  }
  return results;
}

// `ours` [steps, features] against the case's tap [features, steps of the first], whose last axis is cut.
inline void CheckTap(const Safetensors& file, const std::string& tap, const std::vector<float>& ours, double floor_db) {
  const auto found = file.tensors->find(tap);
  if (found == file.tensors->end()) return;
  const int64_t features = found->second.shape[0], steps = found->second.shape.back();
  std::vector<float> cut;
  for (int64_t c = 0; c < features; ++c) {
    for (int64_t t = 0; t < steps; ++t) cut.push_back(ours[t * features + c]);
  }
  const double ratio = RatioDb(found->second.ToF32(), cut);
  std::printf("  %-36s %.1f dB\n", tap.c_str(), ratio);
  EXPECT_GE(ratio, floor_db) << tap;
}

}  // namespace timbre::testing
