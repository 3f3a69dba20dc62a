#include "models/song/table_rows.h"

#include <algorithm>

namespace timbre {

Result<std::vector<float>> RowsOf(const HostTensor& table, std::span<const int32_t> rows) {
  const int64_t count = table.shape[0], features = table.shape.stride(0);
  std::vector<float> values;
  values.reserve(rows.size() * static_cast<size_t>(features));
  // Where the values are made rather than stored, all of them are.
  const std::vector<float> made = table.data == nullptr ? table.ToF32() : std::vector<float>();
  const auto size = static_cast<int64_t>(SizeOf(table.dtype));
  for (const int32_t row : rows) {
    if (row < 0 || row >= count) {
      return Fail(ErrorCode::kInvalidArgument,
                  "the token " + std::to_string(row) + " is none of the model's " + std::to_string(count));
    }
    for (int64_t i = row * features; i < (row + 1) * features; ++i) {
      values.push_back(made.empty() ? LoadF32(table.data.get() + i * size, table.dtype) : made[i]);
    }
  }
  return values;
}

}  // namespace timbre
