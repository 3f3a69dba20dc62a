// Fourier transforms of frames, and back.
#include "graph/op_cases/inputs.h"

namespace timbre {
namespace {

OpCase::Input Window(int64_t n) { return {Shape{n}, true, 0.1f, 1.0f}; }

}  // namespace

Cases StftCases() {
  return {{"512", StftAttrs{512, 256, 1}, {X({1, 1500, 1}), Window(512)}},
          {"960", StftAttrs{960, 480, 0.5f}, {X({1, 2880, 1}), Window(960)}},
          {"64_stereo", StftAttrs{64, 16, 0.125f}, {X({2, 200, 2}), Window(64)}},
          {"short_window", StftAttrs{64, 16, 1}, {X({1, 200, 3}), Window(48)}},
          Extent("8192", StftAttrs{8192, 1024, 1}, {X({1, 9216, 1}), Window(8192)}),
          {"bench_htdemucs", StftAttrs{4096, 1024, 1 / 64.0f}, {X({1, 350208, 2}), Window(4096)}, true}};
}

Cases IstftCases() {
  return {
      {"512", IstftAttrs{512, 256, 256, 1024, 1, true}, {X({1, 5, 257, 2}), Window(512)}},
      {"960_raw", IstftAttrs{960, 480, 0, 2880, 2, false}, {X({1, 5, 481, 2}), Window(960)}},
      {"64_stereo", IstftAttrs{64, 16, 32, 100, 8, true}, {X({2, 9, 33, 4}), Window(64)}},
      Extent("8192", IstftAttrs{8192, 1024, 7168, 1024, 1, true}, {X({1, 9, 4097, 2}), Window(8192)}),
      {"bench_htdemucs", IstftAttrs{4096, 1024, 2048, 343980, 64, true}, {X({1, 340, 2049, 4}), Window(4096)}, true}};
}

}  // namespace timbre
