// Byte-pair merging: pieces of text, as ids of single bytes, merged by a table of ranks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <vector>

namespace timbre {

class PairMerger {
 public:
  struct Merge {
    int32_t rank, id;
  };

  void Reserve(size_t merges) { merges_.reserve(merges); }
  // The first rank given to a pair stands.
  void Add(int32_t left, int32_t right, Merge merge) { merges_.emplace(Key(left, right), merge); }

  // Merges the pair of the lowest rank, of equals the leftmost, until none is left that has a rank. In time that grows
  // as n log n.
  void Apply(std::vector<int32_t>& ids) const;

 private:
  static uint64_t Key(int32_t left, int32_t right) {
    return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
  }
  std::unordered_map<uint64_t, Merge> merges_;
};

}  // namespace timbre
