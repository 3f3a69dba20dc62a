// The matrix unit of AMX: eight tile registers of 1 KiB. Written after Intel's manual; all but the instructions is run
// by the software unit on any machine, the instructions on no processor yet.
#include <atomic>

#include "kernels/cpu/matrix_tiles.h"
#include "kernels/cpu/matrix_x86.h"

#ifdef TIMBRE_MATRIX_X86
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace timbre {

#ifdef TIMBRE_MATRIX_X86
namespace {

// The instructions, which say to the compiler that they read and write memory; its own functions for them do not.
struct AmxTiles {
  template <int kTile>
  static void Load(const void* from, int64_t stride) {
    asm volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(from), "r"(stride), "i"(kTile) : "memory");
  }
  template <int kTile>
  static void Store(void* to, int64_t stride) {
    asm volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(to), "r"(stride), "i"(kTile) : "memory");
  }
  template <int kResult, int kLeft, int kRight>
  static void Multiply() {
    asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(kResult), "i"(kLeft), "i"(kRight));
  }
};

void Begin() {
  static constexpr TileConfig kConfig;
  asm volatile("ldtilecfg %0" ::"m"(kConfig));
}

// Gives the registers back: until then every switch of threads saves them.
void End() { asm volatile("tilerelease"); }

void Multiply(const MatrixProduct& product) { MultiplyByTiles<AmxTiles>(product); }

// The kernel's numbers for its part of the question (asm/prctl.h, which Debian 12's headers have, but older ones lack).
constexpr int kGetSupported = 0x1021, kRequest = 0x1023, kTileData = 18;

bool Detect() {
  unsigned a, b, c, d;
  if (!HasAvx512Bf16()) return false;  // splits what AMX multiplies; no processor has AMX alone
  if (__get_cpuid(1, &a, &b, &c, &d) == 0 || (c >> 27 & 1) == 0) return false;  // OSXSAVE
  unsigned low, high;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  if ((low >> 17 & 3) != 3) return false;  // the system keeps configuration and registers
  // EDX bit 22: AMX-BF16, bit 24: AMX-TILE.
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0 || (d >> 22 & 1) == 0 || (d >> 24 & 1) == 0) return false;
  // Palette 1: bytes of a tile, of a row, registers, rows.
  if (__get_cpuid_count(0x1D, 1, &a, &b, &c, &d) == 0) return false;
  if (a >> 16 < 1024 || (b & 0xFFFF) < 64 || b >> 16 < 8 || (c & 0xFFFF) < 16) return false;
  uint64_t supported = 0;
  return syscall(SYS_arch_prctl, kGetSupported, &supported) == 0 && (supported >> kTileData & 1) != 0;
}

std::atomic<bool> refused = false;

}  // namespace

bool HasAmx() {
  static const bool has = Detect();
  return has && !refused;
}

const MatrixUnit* AmxUnit() {
  static constexpr auto kSplit = [](const float* x, int64_t count, uint16_t* high, uint16_t* low) {
    Avx512Bf16Unit()->split(x, count, high, low);
  };
  static constexpr MatrixUnit kUnit{
      .name = "AMX", .faster = true, .begin = &Begin, .end = &End, .multiply = &Multiply, .split = kSplit};
  if (!HasAmx()) return nullptr;
  static const bool granted = syscall(SYS_arch_prctl, kRequest, kTileData) == 0;
  if (!granted) refused = true;
  return granted ? &kUnit : nullptr;
}
#else
bool HasAmx() { return false; }
const MatrixUnit* AmxUnit() { return nullptr; }
#endif

}  // namespace timbre
