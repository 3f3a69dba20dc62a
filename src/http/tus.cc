#include "http/tus.h"

#include <algorithm>
#include <charconv>

namespace timbre::http {
namespace {

int Base64Digit(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '+') return 62;
  return c == '/' ? 63 : -1;
}

}  // namespace

std::optional<std::string> Base64Decode(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  size_t padding = 0;
  while (padding < 2 && padding < text.size() && text[text.size() - 1 - padding] == '=') ++padding;
  std::string bytes;
  uint32_t bits = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const int digit = i < text.size() - padding ? Base64Digit(text[i]) : 0;
    if (digit < 0) return std::nullopt;
    bits = bits << 6 | static_cast<uint32_t>(digit);
    if (i % 4 != 3) continue;
    for (int shift = 16; shift >= 0; shift -= 8) bytes += static_cast<char>(bits >> shift & 0xFF);
    bits = 0;
  }
  bytes.resize(bytes.size() - padding);
  return bytes;
}

std::optional<std::map<std::string, std::string>> ParseUploadMetadata(std::string_view header) {
  constexpr size_t kMostNames = 32;
  std::map<std::string, std::string> metadata;
  while (!header.empty()) {
    std::string_view pair = header.substr(0, header.find(','));
    header.remove_prefix(std::min(pair.size() + 1, header.size()));
    while (pair.starts_with(' ')) pair.remove_prefix(1);
    while (pair.ends_with(' ')) pair.remove_suffix(1);
    const size_t blank = std::min(pair.find(' '), pair.size());
    const auto value = Base64Decode(pair.substr(std::min(blank + 1, pair.size())));
    if (blank == 0 || !value || metadata.size() == kMostNames ||
        !metadata.emplace(std::string(pair.substr(0, blank)), *value).second) {
      return std::nullopt;
    }
  }
  return metadata;
}

std::optional<std::string> ParseUploadChecksum(std::string_view header) {
  if (!header.starts_with("sha256 ")) return std::nullopt;
  const auto bytes = Base64Decode(header.substr(7));
  if (!bytes || bytes->size() != 32) return std::nullopt;
  constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  for (const char c : *bytes) {
    hex += kDigits[static_cast<unsigned char>(c) >> 4];
    hex += kDigits[static_cast<unsigned char>(c) & 15];
  }
  return hex;
}

int64_t ParseUploadNumber(std::string_view header) {
  if (header.empty() || header.size() > 18 || header.find_first_not_of("0123456789") != std::string_view::npos) {
    return -1;
  }
  int64_t number = -1;
  std::from_chars(header.data(), header.data() + header.size(), number);
  return number;
}

}  // namespace timbre::http
