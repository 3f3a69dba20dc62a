// Fuzz targets. Each is one file tests/fuzz/NAME_fuzz_test.cc:
//
//   TIMBRE_FUZZ_TARGET(Name, Seeds) { MustNotCrash(bytes); }
//
// where `bytes` is a std::string_view and Seeds() gives a std::vector<std::string> of well-formed input. In the tests a
// target runs on its seeds and on a fixed number of reproducible mutations of them; `./dev fuzz` builds it with
// libFuzzer and runs it at length from the same seeds. A slow target names a smaller number of mutations as its third
// argument.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace timbre::testing {

using FuzzBody = void (*)(std::string_view bytes);

// The body on each seed and on `mutations` inputs made from them, the same ones in every run.
void FuzzBriefly(FuzzBody body, const std::vector<std::string>& seeds, int mutations = 20000);

// Writes the seeds into `folder` as files, where the program was started as `PROGRAM --write-seeds FOLDER`, and ends
// it.
void WriteSeedsIfAsked(int argc, char** argv, const std::vector<std::string>& seeds);

}  // namespace timbre::testing

#ifdef TIMBRE_LIBFUZZER
#define TIMBRE_FUZZ_TARGET(name, seeds, ...)                                      \
  static void Fuzz##name(std::string_view bytes);                                 \
  extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {                  \
    ::timbre::testing::WriteSeedsIfAsked(*argc, *argv, seeds());                  \
    return 0;                                                                     \
  }                                                                               \
  extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, size_t size) { \
    Fuzz##name(std::string_view(reinterpret_cast<const char*>(data), size));      \
    return 0;                                                                     \
  }                                                                               \
  static void Fuzz##name(std::string_view bytes)
#else
#include <gtest/gtest.h>
#define TIMBRE_FUZZ_TARGET(name, seeds, ...)                                                           \
  static void Fuzz##name(std::string_view bytes);                                                      \
  TEST(Fuzz, name) { ::timbre::testing::FuzzBriefly(Fuzz##name, seeds() __VA_OPT__(, ) __VA_ARGS__); } \
  static void Fuzz##name(std::string_view bytes)
#endif
