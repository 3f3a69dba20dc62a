#include "formats/byte_pairs.h"

#include <queue>
#include <tuple>

namespace timbre {
namespace {

// A symbol of the piece, linked to its neighbours; -1 where there is none. One that was merged away has the id -1.
struct Symbol {
  int32_t id, before, after;
};

// A merge that was possible when it was noted.
struct Candidate {
  PairMerger::Merge merge;
  int32_t at, left, right;                        // the left symbol's place, and the ids that were there
  bool operator<(const Candidate& other) const {  // std::priority_queue gives the greatest first
    return std::tie(merge.rank, at) > std::tie(other.merge.rank, other.at);
  }
};

}  // namespace

void PairMerger::Apply(std::vector<int32_t>& ids) const {
  if (ids.size() < 2) return;
  std::vector<Symbol> symbols;
  symbols.reserve(ids.size());
  const auto count = static_cast<int32_t>(ids.size());
  for (int32_t i = 0; i < count; ++i) {
    symbols.push_back({ids[static_cast<size_t>(i)], i - 1, i + 1 < count ? i + 1 : -1});
  }
  std::priority_queue<Candidate> candidates;
  const auto at = [&](int32_t i) -> Symbol& { return symbols[static_cast<size_t>(i)]; };
  const auto note = [&](int32_t left) {
    if (left < 0 || at(left).after < 0) return;
    const int32_t a = at(left).id, b = at(at(left).after).id;
    const auto found = merges_.find(Key(a, b));
    if (found != merges_.end()) candidates.push({found->second, left, a, b});
  };
  for (int32_t i = 0; i < count; ++i) note(i);
  while (!candidates.empty()) {
    const Candidate best = candidates.top();
    candidates.pop();
    Symbol& left = at(best.at);
    // A neighbour may have been merged meanwhile.
    if (left.id != best.left || left.after < 0 || at(left.after).id != best.right) continue;
    Symbol& right = at(left.after);
    left.id = best.merge.id;
    right.id = -1;
    left.after = right.after;
    if (left.after >= 0) at(left.after).before = best.at;
    note(left.before);
    note(best.at);
  }
  ids.clear();
  for (int32_t i = 0; i >= 0; i = at(i).after) ids.push_back(at(i).id);
}

}  // namespace timbre
