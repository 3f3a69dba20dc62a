#include "http/names.h"

#include <algorithm>
#include <array>

#include "base/text.h"
#include "http/message.h"

namespace timbre::http {
namespace {

constexpr size_t kLongest = 120;

bool IsContinuation(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

// The first bytes of UTF-8, no more than `most`, without a half character at the end.
std::string Cut(std::string text, size_t most) {
  if (text.size() <= most) return text;
  while (most > 0 && IsContinuation(text[most])) --most;
  text.resize(most);
  return text;
}

std::string Disposition(std::string_view how, std::string_view name) {
  const std::string safe = SafeFileName(name);
  std::string ascii;
  for (const char c : safe) {
    const auto byte = static_cast<unsigned char>(c);
    ascii += byte < 0x20 || byte > 0x7E || c == '"' || c == '\\' || c == '%' ? '_' : c;
  }
  return std::string(how) + "; filename=\"" + ascii + "\"; filename*=UTF-8''" + PercentEncode(safe);
}

}  // namespace

std::string SafeFileName(std::string_view name) {
  std::string text = Printable(name, 4096);
  for (char& c : text) {
    if (std::string_view("/\\:*?\"<>|").find(c) != std::string_view::npos) c = '_';
  }
  // Windows drops blanks and dots at the end; a leading dot hides a file.
  const size_t first = text.find_first_not_of(" .");
  text = first == std::string::npos ? "" : text.substr(first);
  while (!text.empty() && (text.back() == ' ' || text.back() == '.')) text.pop_back();
  const size_t dot = text.rfind('.');
  const std::string extension = dot != std::string::npos && text.size() - dot <= 12 ? text.substr(dot) : "";
  text = Cut(text.substr(0, text.size() - extension.size()), kLongest - extension.size()) + extension;
  std::string stem = text.substr(0, text.find('.'));
  std::transform(stem.begin(), stem.end(), stem.begin(),
                 [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; });
  while (!stem.empty() && stem.back() == ' ') stem.pop_back();
  constexpr std::array<std::string_view, 4> kDevices = {"CON", "PRN", "AUX", "NUL"};
  const bool numbered =
      stem.size() == 4 && (stem.starts_with("COM") || stem.starts_with("LPT")) && stem[3] >= '0' && stem[3] <= '9';
  if (numbered || std::find(kDevices.begin(), kDevices.end(), stem) != kDevices.end()) text = Cut("_" + text, kLongest);
  return text.empty() ? "unnamed" : text;
}

std::string Attachment(std::string_view name) { return Disposition("attachment", name); }
std::string Inline(std::string_view name) { return Disposition("inline", name); }

std::string NameFromDisposition(std::string_view header) {
  if (const size_t star = header.find("filename*="); star != std::string_view::npos) {
    std::string_view value = header.substr(star + 10);
    value = value.substr(0, value.find(';'));
    if (value.size() > 7 && EqualIgnoringCase(value.substr(0, 7), "UTF-8''")) {
      if (const auto decoded = PercentDecode(value.substr(7)); decoded) return SafeFileName(*decoded);
    }
  }
  const size_t plain = header.find("filename=");
  if (plain == std::string_view::npos) return "";
  std::string_view value = header.substr(plain + 9);
  std::string name;
  if (value.starts_with('"')) {
    for (size_t i = 1; i < value.size() && value[i] != '"'; ++i) {
      if (value[i] == '\\' && i + 1 < value.size()) ++i;
      name += value[i];
    }
  } else {
    name = value.substr(0, value.find(';'));
  }
  return SafeFileName(name);
}

}  // namespace timbre::http
