// A worker that does what a test's job says, in place of one that computes.
#pragma once

namespace timbre::testing {

// The word by which the tests' program becomes it: `timbre_tests --fake-worker`.
inline constexpr char kFakeWorker[] = "--fake-worker";

// Reads lines from its standard input and answers there, until that is closed. Options of its jobs: "do", one of
// "copy" (each input into the output folder), "fail", "crash", "crash-once" (with "mark", a path), "hang", "slow" (some
// progress, until it is cancelled), "deaf" (the same, and heeds no cancel).
int RunFakeWorker();

}  // namespace timbre::testing
