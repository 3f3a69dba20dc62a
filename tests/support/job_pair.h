// A job from a file against the command that it stands for.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/e2e/program.h"

namespace timbre::testing {

struct JobPair {
  std::vector<std::string> command;  // without --json
  nlohmann::ordered_json job;
  std::vector<std::string> measured = {};  // keys of the report whose values are times, besides the usual ones
};

// Runs both, each in a folder of its own that `prepare` has filled, and expects of both the same files to the byte
// and the same report but for what is measured; and that job and reports are as the kind's schemas say.
void ExpectSame(const JobPair& pair, const std::function<void(const TempFolder&)>& prepare);

// {"job": …, "report": …}, as `timbre run --schema KIND` prints them.
nlohmann::ordered_json SchemasOf(const std::string& kind);

}  // namespace timbre::testing
