// Text that came from outside.
#pragma once

#include <string>
#include <string_view>

namespace timbre {

// Whether `text` is well-formed UTF-8 (no overlong forms, no surrogates).
bool IsUtf8(std::string_view text);

// ASCII's letters in lower case, and every other byte as it is.
constexpr char LowerCase(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }
std::string LowerCase(std::string_view text);
// Of texts that differ in those letters' case alone.
bool EqualIgnoringCase(std::string_view a, std::string_view b);

// `text` made fit for a terminal, a log or a message, whoever wrote it: '?' for what is not well-formed UTF-8 and for
// every character that controls what is shown: C0 (line ends and tabs too), DEL, C1, line and paragraph separators, and
// those that change the direction of the text behind them. What is longer than `longest` bytes is cut.
std::string Printable(std::string_view text, size_t longest = 100);

// The same of a text of whatever length and of several lines, which end in `line_end`: a blank makes them one.
std::string PrintableLines(std::string_view text, char line_end = '\n');

// JSON of the same meaning, in which those characters are escaped: "\u009b".
std::string PrintableJson(std::string_view json);

}  // namespace timbre
