// The GGUF format, versions 2 and 3: typed metadata, then tensors, whole numbers of bytes little-endian.
// Specification: github.com/ggml-org/ggml, docs/gguf.md.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "graph/weights.h"

namespace timbre {

// Whole numbers of all widths are int64_t (one above its range is refused), numbers with a point are double.
using GgufValue = std::variant<bool, int64_t, double, std::string, std::vector<int64_t>, std::vector<double>,
                               std::vector<std::string>>;

struct GgufFile {
  uint32_t version = 3;
  std::map<std::string, GgufValue, std::less<>> metadata;
  // Under the file's names, shapes row-major: a matrix that maps `in` to `out` numbers is [out, in]. Views of the file.
  std::shared_ptr<const TensorMap> tensors = std::make_shared<const TensorMap>();

  bool Has(std::string_view key) const { return metadata.contains(key); }
  // kNotFound where there is no such key, kCorrupt where it holds something else or lies outside; both name the key.
  Result<int64_t> Int(std::string_view key, int64_t least, int64_t most) const;
  Result<double> Number(std::string_view key, double least, double most) const;  // whole ones too
  Result<bool> Bool(std::string_view key) const;
  Result<std::string> Text(std::string_view key) const;
  // The lists live as long as the file.
  Result<std::span<const int64_t>> Ints(std::string_view key) const;
  Result<std::span<const double>> Numbers(std::string_view key) const;
  Result<std::span<const std::string>> Texts(std::string_view key) const;
};

// Whether the bytes begin as such a file does.
bool LooksLikeGguf(const SharedBytes& bytes);

// Errors name the key or the tensor. Refused: lists of lists, more than 4 Mi items in a list or 64 Ki keys or tensors,
// tensors of other types than F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K and Q6_K, which are named.
Result<GgufFile> ReadGguf(const SharedBytes& bytes);
Result<GgufFile> ReadGguf(const std::string& path);

}  // namespace timbre
