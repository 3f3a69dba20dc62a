// The files of the page, which are a part of the program: apps/web/dist as it was when the program was built.
#pragma once

#include <span>
#include <string_view>

namespace timbre::server {

struct WebFile {
  std::string_view path;  // "/index.html"
  std::span<const unsigned char> bytes;
  std::string_view sha256;  // 64 hexadecimal digits
};
std::span<const WebFile> WebFiles();

}  // namespace timbre::server
