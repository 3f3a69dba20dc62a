// Places where the process may be killed, by name, so that a test can die at each of them and look at what is left.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace timbre::engine {

// All of them.
const std::vector<std::string>& CrashPoints();

// Has the process end by _exit(kCrashed) the `count`th time that it comes to the point; an empty name takes it back.
// For tests: before any thread is begun.
inline constexpr int kCrashed = 77;
void SetCrashPoint(const std::string& name, int count = 1);

// The process is at the point.
void At(std::string_view point);

}  // namespace timbre::engine
