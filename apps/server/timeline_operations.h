// What a client may do to a timeline, as JSON: {"op": "insert", "asset": …}.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "pipelines/studio/timeline.h"

namespace timbre::server {

// How long an asset is, as decoding it found; a client's word is not taken for it.
struct SoundLength {
  int64_t frames = 0;
  int sample_rate = 0;
};
// Nothing where it is still being found out.
using LengthOf = std::function<Result<std::optional<SoundLength>>(const std::string& asset)>;

struct Operated {
  bool done = true;  // false: a length is not known yet, and nothing has changed
  std::string clip;  // that came to be
};
// One operation, or nothing where it fails (kInvalidArgument, kNotFound).
Result<Operated> Operate(Timeline& timeline, const nlohmann::ordered_json& operation, const LengthOf& length_of);

// The names of all operations.
std::vector<std::string> TimelineOperations();

}  // namespace timbre::server
