// "did you mean …": the nearest of a list of names.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace timbre {

// The candidate with the smallest edit distance to `word`, or empty where none is near (more than a third of it
// differs).
std::string Nearest(std::string_view word, std::span<const std::string> candidates);

// " Did you mean 'x'?" or " It can be one of a, b, c." for the end of an error sentence.
std::string SuggestionFor(std::string_view word, std::span<const std::string> candidates);

}  // namespace timbre
