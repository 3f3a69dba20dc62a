// English words for whole numbers.
#pragma once

#include <string>
#include <string_view>

namespace timbre {

// Of a run of ASCII digits: "1234" is "one thousand, two hundred and thirty-four", with `between` for "and" ("" leaves
// it out). More digits than a decillion has are read one by one.
std::string CardinalWords(std::string_view digits, std::string_view between = "and");

// The same as an ordinal: "third", "twenty-first".
std::string OrdinalWords(std::string_view digits);
// Words of a cardinal made ordinal.
std::string ToOrdinal(std::string words);

}  // namespace timbre
