#include "models/song/number_words.h"

#include <array>
#include <utility>

namespace timbre {
namespace {

constexpr std::array<std::string_view, 20> kUnits = {
    "",    "one",    "two",    "three",    "four",     "five",    "six",     "seven",     "eight",    "nine",
    "ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"};
constexpr std::array<std::string_view, 10> kTens = {"",      "",      "twenty",  "thirty", "forty",
                                                    "fifty", "sixty", "seventy", "eighty", "ninety"};
constexpr std::array<std::string_view, 12> kScales = {"",
                                                      " thousand",
                                                      " million",
                                                      " billion",
                                                      " trillion",
                                                      " quadrillion",
                                                      " quintillion",
                                                      " sextillion",
                                                      " septillion",
                                                      " octillion",
                                                      " nonillion",
                                                      " decillion"};

std::string BelowHundred(int n) {
  if (n < 20) return std::string(kUnits[n]);
  std::string words(kTens[n / 10]);
  if (n % 10 != 0) words += "-" + std::string(kUnits[n % 10]);
  return words;
}

std::string DigitByDigit(std::string_view digits) {
  std::string words;
  for (const char c : digits) {
    if (!words.empty()) words += ' ';
    words += c == '0' ? "zero" : kUnits[c - '0'];
  }
  return words;
}

}  // namespace

std::string CardinalWords(std::string_view digits, std::string_view between) {
  while (!digits.empty() && digits.front() == '0') digits.remove_prefix(1);
  if (digits.empty()) return "zero";
  if (digits.size() > 3 * kScales.size()) return DigitByDigit(digits);
  const std::string glue = between.empty() ? " " : " " + std::string(between) + " ";
  std::string words;
  for (size_t scale = (digits.size() - 1) / 3 + 1; scale-- > 0;) {
    int group = 0;
    for (size_t i = scale * 3 + 3; i-- > scale * 3;) {
      if (i < digits.size()) group = group * 10 + (digits[digits.size() - 1 - i] - '0');
    }
    if (group == 0) continue;
    std::string part;
    if (group >= 100) part = std::string(kUnits[group / 100]) + " hundred";
    if (group % 100 != 0) part += (part.empty() ? "" : glue) + BelowHundred(group % 100);
    // The last word alone follows without a comma: "one thousand and five".
    if (!words.empty()) words += scale == 0 && group < 100 ? glue : ", ";
    words += part + std::string(kScales[scale]);
  }
  return words;
}

std::string ToOrdinal(std::string words) {
  constexpr std::pair<std::string_view, std::string_view> kOdd[] = {
      {"one", "first"},    {"two", "second"}, {"three", "third"},   {"five", "fifth"},
      {"eight", "eighth"}, {"nine", "ninth"}, {"twelve", "twelfth"}};
  const size_t last = words.find_last_of(" -") + 1;  // 0 where there is one word
  for (const auto& [cardinal, ordinal] : kOdd) {
    if (std::string_view(words).substr(last) == cardinal) return words.replace(last, std::string::npos, ordinal);
  }
  if (words.ends_with('y')) return words.replace(words.size() - 1, 1, "ieth");
  return words + "th";
}

std::string OrdinalWords(std::string_view digits) { return ToOrdinal(CardinalWords(digits)); }

}  // namespace timbre
