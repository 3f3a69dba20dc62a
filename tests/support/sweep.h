// Heavy work that the suite leaves out and `./dev sweep` does: every point at which something can fail, networks of the
// released sizes, whole tiles on a software driver.
#pragma once

#include <gtest/gtest.h>

#include <cstdio>

namespace timbre::testing {

// The tests that have such work, as --gtest_filter. With TIMBRE_SWEEP=full the program runs these unless told
// otherwise.
extern const char* const kSweepTests;

// Whether a test is to do all of its work (TIMBRE_SWEEP=full). It fails a test that is not among those above, whose
// work nobody would ever do.
bool FullSweep();

}  // namespace timbre::testing

// For what has nothing else to do; `what` is not checked then.
#define TIMBRE_SWEEP_ONLY(what)                                                    \
  do {                                                                             \
    if (!timbre::testing::FullSweep()) {                                           \
      std::fprintf(stderr, "SKIPPED without ./dev sweep: %s not checked\n", what); \
      GTEST_SKIP() << "takes long; ./dev sweep runs it";                           \
    }                                                                              \
  } while (false)
