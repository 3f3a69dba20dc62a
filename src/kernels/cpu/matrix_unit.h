// The block of products that matrix units make: float32 sums of pairs of bfloat16 factors. One layout for all of them,
// that of AMX's tile registers, so that a processor without AMX reads the very bytes that AMX would.
#pragma once

#include <cstdint>
#include <string_view>

namespace timbre {

// A tile of the left side: so many rows of so many terms, two of them in 32 bits. A tile of the right side: for each
// pair of terms so many columns, each with both terms in 32 bits. Either takes kMatrixTile numbers, and a row 64 bytes.
// A block of results has one or two tiles of rows and one or two of columns.
inline constexpr int kMatrixRows = 16, kMatrixColumns = 16, kMatrixDepth = 32;
inline constexpr int kMatrixTile = kMatrixRows * kMatrixDepth;
inline constexpr int kMatrixBlock = 2 * kMatrixRows;  // rows and columns of a whole block

// A piece of the sum: terms [a, a + steps * kMatrixDepth) of every left row, times steps [b, b + steps) of the panel.
struct MatrixRun {
  int64_t a = 0, b = 0, steps = 0;
};

// c[r, j] = start[r, j] + the sum over runs of left row r times column j of the panel, for r in [0, rows) and j in
// [0, 16 * column_tiles). With two parts each factor is the sum of a high and a low bfloat16, and high * low, high *
// high and low * high are added.
struct MatrixProduct {
  const MatrixRun* runs = nullptr;
  int64_t run_count = 0;
  int parts = 1;         // 1 or 2
  int column_tiles = 2;  // 1 or 2
  int64_t rows = 0;      // up to kMatrixBlock; memory is read and written to whole tiles of rows
  // The left side, `lda` numbers from row to row; its low parts `low` numbers behind.
  const uint16_t* a = nullptr;
  int64_t lda = 0, low = 0;
  // The right side: for each step its tiles, one or two of high parts, then as many of low ones.
  const uint16_t* b = nullptr;
  // `start_ld` is 0 where all rows start from the same.
  const float* start = nullptr;
  int64_t start_ld = 0;
  float* c = nullptr;
  int64_t ldc = 0;
};

struct MatrixUnit {
  std::string_view name;  // of the SIMD target that has it
  bool faster = false;    // than products of floats
  // A thread calls these around its products.
  void (*begin)() = nullptr;
  void (*end)() = nullptr;
  void (*multiply)(const MatrixProduct& product) = nullptr;
  // high[i] = bfloat16(x[i]), to nearest even, and low[i] = bfloat16(x[i] - high[i]) where `low` is not null. Numbers
  // below float32's normal ones become 0.
  void (*split)(const float* x, int64_t count, uint16_t* high, uint16_t* low) = nullptr;
};

// A thread's use of a unit.
class MatrixUse {
 public:
  explicit MatrixUse(const MatrixUnit& unit) : unit_(unit) {
    if (unit_.begin) unit_.begin();
  }
  ~MatrixUse() {
    if (unit_.end) unit_.end();
  }
  MatrixUse(const MatrixUse&) = delete;
  MatrixUse& operator=(const MatrixUse&) = delete;

 private:
  const MatrixUnit& unit_;
};

// Whether the processor and the system have the unit, whatever target is in use; asks the system for nothing.
bool HasAmx();
bool HasAvx512Bf16();
// AMX's registers are the process's only when it has asked for them: done here, once, because it makes every signal
// stack that the process has or makes larger. Null where there is none, or the system refuses; HasAmx() is then false.
const MatrixUnit* AmxUnit();
const MatrixUnit* Avx512Bf16Unit();  // null where there is none
const MatrixUnit& SoftwareMatrixUnit();

// That of the SIMD target in use: the software one where it has no other.
const MatrixUnit& CurrentMatrixUnit();

// MatrixUnit::split in portable code; packing uses it, so that packed weights are the same everywhere.
void SplitBf16(const float* x, int64_t count, uint16_t* high, uint16_t* low);

}  // namespace timbre
