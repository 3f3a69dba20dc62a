#include "base/suggest.h"

#include <algorithm>
#include <vector>

namespace timbre {
namespace {

size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t above = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1])});
      diagonal = above;
    }
  }
  return row[b.size()];
}

}  // namespace

std::string Nearest(std::string_view word, std::span<const std::string> candidates) {
  const std::string_view bounded = word.substr(0, 256);
  std::string best;
  size_t best_distance = std::max<size_t>(1, bounded.size() / 3) + 1;
  for (const std::string& candidate : candidates) {
    const size_t distance = EditDistance(bounded, std::string_view(candidate).substr(0, 256));
    if (distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best;
}

std::string SuggestionFor(std::string_view word, std::span<const std::string> candidates) {
  if (const std::string nearest = Nearest(word, candidates); !nearest.empty())
    return " Did you mean '" + nearest + "'?";
  if (candidates.empty()) return "";
  std::string list;
  for (const std::string& candidate : candidates) list += (list.empty() ? "" : ", ") + candidate;
  return " It can be one of: " + list + ".";
}

}  // namespace timbre
